//! What a runner is: it runs handlers, wherever that is.
//!
//! A runner has one thing to be able to do: [`Runner::start`], which gives a program that runs and its pipes. Attempts of one element and long-lived handlers
//! are made of that. A runner that has a shorter way for one element, as one without processes has, says so in [`Runner::run`].

use super::follow;
use super::input;
use super::run::{Failure, OnWritten, Outcome, Run, Started};
use std::os::fd::OwnedFd;

/// Runs handlers.
pub trait Runner: Send + Sync {
    /// Starts a handler that reads `stdin`.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&self, run: &Run<'_>, stdin: OwnedFd) -> std::result::Result<Started, Failure>;

    /// Kills everything that it started.
    fn end_all(&self) {}

    /// Kills what it started in a directory that is not at its place any more, and nothing of what may be there now.
    fn abandon(&self) {}

    /// Runs a handler for the element of an attempt to its end, or to its time limit.
    ///
    /// # Errors
    /// When it is not done.
    fn run(&self, run: &Run<'_>, on_written: OnWritten<'_>) -> Outcome {
        let input = input::in_memory(run).map_err(|err| format!("make its input: {err}"))?;
        let started = self.start(run, input)?;
        follow::to_the_end(started, run.binding.timeout(), on_written)
    }
}
