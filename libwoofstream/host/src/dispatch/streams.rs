//! The long-lived handlers of a dispatcher: those of its bindings, and those that are told to end and have not yet.
//!
//! Failure contract: nobody waits for one to end that is told to, but who drops this: then all their programs have ended.

use super::stream::Stream;
use std::collections::HashMap;
use woof_local::handler::bindings::Binding;

/// The long-lived handlers of a dispatcher.
#[derive(Default)]
pub(super) struct Streams {
    /// By the id of their binding.
    running: HashMap<u32, Stream>,
    /// What is told to end and may not have. Few: of each woof and handler there is one at the most.
    leaving: Vec<Stream>,
}

impl Streams {
    pub(super) fn get(&self, id: u32) -> Option<&Stream> {
        self.running.get(&id)
    }

    pub(super) fn insert(&mut self, id: u32, stream: Stream) {
        self.running.insert(id, stream);
    }

    /// Has those of all other bindings end.
    pub(super) fn keep(&mut self, is_kept: impl Fn(u32) -> bool) {
        let ending = self.running.extract_if(|id, _| !is_kept(*id));
        self.leaving.extend(ending.map(|(_, stream)| stream).inspect(Stream::close));
    }

    /// Has that of a binding end. It tells the dispatcher when it has.
    pub(super) fn end(&mut self, id: u32) {
        self.keep(|other| other != id);
    }

    /// Forgets those that have ended by now.
    pub(super) fn forget_ended(&mut self) {
        self.leaving.retain(|stream| !stream.has_ended());
    }

    /// Whether one that is told to end may still be at elements of the woof of a binding, with the same handler.
    pub(super) fn is_leaving(&self, binding: &Binding) -> bool {
        self.leaving.iter().any(|stream| stream.binding().is_of(&binding.woof, Some(&binding.handler)))
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        // All at once, before the first is waited for.
        self.running.values().for_each(Stream::close);
    }
}
