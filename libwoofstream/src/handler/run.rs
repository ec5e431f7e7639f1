//! What a runner is: it runs a handler for one trigger, wherever that is.

use super::bindings::Binding;
use crate::content::ContentType;
use std::path::Path;

/// A handler to be run for one element.
#[derive(Debug)]
pub struct Run<'a> {
    /// The namespace's directory.
    pub namespace: &'a Path,
    /// The binding.
    pub binding: &'a Binding,
    /// The id of the trigger.
    pub trigger: &'a str,
    /// The name of the woof in the namespace.
    pub woof: &'a str,
    /// The element.
    pub seqno: u64,
    /// When it was put, in nanoseconds since 1970.
    pub time_ns: u64,
    /// What its data is.
    pub content: ContentType,
    /// Its data.
    pub data: &'a [u8],
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What the attempt is for.
    pub cause: &'a str,
    /// The depth of what the handler puts.
    pub depth: u8,
}

/// Where a handler wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Its standard output.
    Out,
    /// Its standard error.
    Err,
}

/// How an attempt ended: done, or why it failed.
pub type Outcome = std::result::Result<(), String>;

/// Runs handlers.
pub trait Runner: Send + Sync {
    /// Runs a handler to its end. `line` gets each line that it writes, without its newline; once it returns a reason, the attempt has failed with it.
    fn run(&self, run: &Run<'_>, line: &mut dyn FnMut(Channel, &[u8]) -> Outcome) -> Outcome;
}
