//! Handlers: programs of a namespace that run when elements arrive. `docs/handlers.md` has the words, files and promises.
//!
//! [`bindings`] says which elements of which woof go to which handler. A [`Dispatcher`] finds those behind the position of each binding,
//! claims them, has a [`Runner`] run the handler, and writes what became of them into the namespace's log of triggers ([`Record`]). The
//! elements themselves are the triggers, so there is nothing that a crash could part from them.
//!
//! Failure contract: each trigger is done at least once, or is dead and in the dead-letter woof, whoever is killed whenever. What a
//! handler does wrong ends its attempt and nothing else. Errors have the woof or the handler as their object.

pub mod asked;
pub mod bind;
pub mod bindings;
pub mod container;
pub mod dead;
pub mod element;
pub mod environment;
pub mod follow;
pub mod groups;
pub mod holder;
pub mod input;

pub mod left;
pub mod lines;
pub mod logged;
pub mod own;
pub mod process;
pub mod program;
pub mod record;
pub mod run;
pub mod runner;
pub mod runners;
pub mod seals;
pub mod summary;
pub mod written;

pub use asked::{run_here, start, user_of};
pub use bindings::{Binding, Bindings, Input};
pub use dead::{DeadLetter, Retried, retry};
pub use holder::{asked_by, is_held_by_nobody, let_go};
pub use logged::Logged;
pub use process::kill_orphans;
pub use program::check_program;
pub use record::{Record, Totals, What};
pub use run::{Asked, Attempt, Channel, Failure, OnWritten, Outcome, Run, Running, Started};
pub use runner::Runner;
pub use runners::Runners;
pub use summary::{BindingSummary, Open, Summary};
pub use written::{Splitter, Written};

/// The directory of a namespace that has its handlers.
pub const HANDLERS_DIR: &str = "handlers";

/// Names of files in the state directory, and of the woofs in it that may be read.
pub mod files {
    /// What became of triggers: a woof.
    pub const TRIGGERS: &str = "triggers";
    /// Triggers that were given up: a woof.
    pub const DEAD: &str = "dead";
    /// Dead letters that were put back: a woof.
    pub const RETRIES: &str = "retries";
    /// The bindings.
    pub const BINDINGS: &str = "bindings";
    /// Locked by the dispatcher.
    pub const LOCK: &str = "dispatcher.lock";
}
