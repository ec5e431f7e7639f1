//! Dispatch: elements that arrive, and the handlers that run for them. `docs/handlers.md` has the words, files and promises.
//!
//! [`woof_local::handler::bindings`] say which elements of which woof go to which handler. A [`Dispatcher`] finds those behind the
//! position of each binding, claims them, has a [`Runner`](woof_local::handler::Runner) run the handler, and writes what became of them
//! into the namespace's log of triggers. The elements themselves are the triggers, so there is nothing that a crash could part from them.
//!
//! Failure contract: each trigger is done at least once, or is dead and in the dead-letter woof, whoever is killed whenever. What a
//! handler does wrong ends its attempt and nothing else. Errors have the woof or the handler as their object.

mod attempt;
mod claim;
mod dispatcher;
mod journal;
mod outcome;
mod output;
mod pool;
mod queue;
mod serve;
mod shared;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod trigger;
mod watch;

pub use dispatcher::{Dispatcher, Ended, Stopper};
pub use serve::{Dispatchers, Stopping, run_pending};
