//! A find on its way: what is at and below a place, as far as the peer may know of it.

use super::answer::Answer;
use super::exchange::{Context, Progress};
use super::held::Held;
use super::reading::predicate;
use super::site::directory_of;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use woof_core::access::Right;
use woof_core::error::Result;
use woof_local::{Step, Walk};
use woof_net::net;

/// So many places are looked at, and so many elements of one, before others have their turn.
const TURN: u64 = 64;
const ELEMENTS: u64 = 4096;

/// A find in progress.
pub(super) struct Finding {
    name: String,
    walk: Walk,
    /// Of one that begins where it needs a right; else each place is looked at as it comes.
    pub(super) held: Option<Held>,
}

impl Finding {
    /// Begins where it was asked to.
    pub(super) fn open(context: &Context<'_>, request: &net::Find) -> Result<Finding> {
        let name = &*request.name;
        let site = context.site;
        let place = site.place(name)?;
        let predicate = predicate(request.filter.as_deref(), request.now, context)?;
        let at_the_top = place.directory().is_some() && site.is_top(place.namespace());
        let held = if at_the_top {
            None
        } else {
            let dir = if place.directory().is_some() { name } else { directory_of(name) };
            Some(site.hold(context.peer, place.namespace(), dir, &[Right::Read], name)?)
        };
        let walk = match place.directory() {
            Some(dir) => Walk::of_directory(Arc::clone(dir), name, predicate.as_ref(), request.get),
            None => {
                let woof = place.open().map_err(|err| err.of(name))?;
                Walk::of_woof(woof, name, predicate.as_ref(), request.get)
            }
        };
        // Who may not read at the top may look for namespaces below that it may read.
        let readable = !at_the_top || site.may(context.peer, place.namespace(), Right::Read);
        Ok(Finding { name: name.to_owned(), walk: if readable { walk } else { walk.hidden() }, held })
    }

    /// Makes more of the answer.
    pub(super) fn step(&mut self, context: &Context<'_>, answer: &mut Answer) -> Progress {
        let may_read = |dir: &Arc<OwnedFd>| {
            // What a peer may not read it is not told of; that is no refusal of a request.
            context.site.may(context.peer, &context.site.namespace(dir), Right::Read)
        };
        for _ in 0..TURN {
            if !answer.has_room() {
                break;
            }
            if let Some(namespace) = self.walk.reading() {
                // The right to read it may have been taken away in the middle of it.
                let namespace = context.site.namespace(namespace);
                if let Err(err) = context.site.allow(context.peer, &namespace, Right::Read, &self.name) {
                    answer.end(Err(err));
                    return Progress::Over;
                }
            }
            match self.walk.step(answer, ELEMENTS, &mut { may_read }) {
                Ok(Step::Done) => {
                    answer.end(Ok(()));
                    return Progress::Over;
                }
                Ok(_) => {}
                Err(err) => {
                    answer.end(Err(err));
                    return Progress::Over;
                }
            }
        }
        Progress::More
    }
}
