//! Handlers: programs of a namespace that run when elements arrive. `docs/handlers.md` has the words, files and promises.
//!
//! [`model`] is what a namespace says of them: [`bindings`] say which elements of which woof go to which handler, and the log of triggers
//! ([`Record`]) what became of those. The elements themselves are the triggers, so there is nothing that a crash could part from them.
//! [`running`] has a [`Runner`] run the program of one, as a process of this machine or in a [`container`]. What finds the triggers and
//! has them run, the dispatcher, is where servers are.
//!
//! Failure contract: each trigger is done at least once, or is dead and in the dead-letter woof, whoever is killed whenever. What a
//! handler does wrong ends its attempt and nothing else. Errors have the woof or the handler as their object.

pub mod container;
pub mod model;
pub mod running;

pub use model::{bind, bindings, dead, element, holder, left, own, record, summary};
pub use running::{
    asked, environment, follow, groups, input, lines, logged, process, program, run, runner, runners, seals,
    written,
};

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
