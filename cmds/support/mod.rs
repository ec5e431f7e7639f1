//! What commands share: flags, channels, forms of output, messages, exit status.
//!
//! A command is one file with a [`command::Command`] in it: names, options and one verb. This is all of `wecho` without its
//! flags:
//!
//! ```
//! //! `wecho`: sends its arguments as messages.
//! use woofcmds::support::prelude::*;
//!
//! pub const COMMAND: Command = Command {
//!     name: "wecho",
//!     about: "sends its arguments as messages",
//!     group: Group::Streams,
//!     define,
//!     verb: Verb::Stream(run),
//! };
//!
//! fn define(command: clap::Command) -> clap::Command {
//!     command.arg(flags::data("DATA", "What to send")).after_long_help("EXAMPLES\n  wecho one two | wcat")
//! }
//!
//! fn run(args: &Args, _env: &mut Env, out: &mut Output) -> Run {
//!     for data in args.bytes("DATA") {
//!         out.bytes(data)?;
//!     }
//!     Ok(Outcome::Done)
//! }
//! # COMMAND.definition().debug_assert();
//! ```
//!
//! and this is the verb of a filter that keeps data longer than 80 bytes and forwards all that is not data:
//!
//! ```
//! use std::ops::ControlFlow;
//! use woofcmds::support::prelude::*;
//!
//! fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
//!     let mut input = env.input(args)?; // `in`, or what -i names; cut as --split says
//!     each(&mut input, out, |raw, out| {
//!         if raw.data().is_none_or(|data| data.len() > 80) {
//!             out.message(raw)?;
//!         }
//!         Ok(ControlFlow::Continue(()))
//!     })?;
//!     Ok(Outcome::Done)
//! }
//! ```
//!
//! What the frame does, so that commands need not:
//!
//! - **Flags.** [`flags`] has every shared flag once. `-u --delimiter --json -o --color` come with the verb; a command that reads
//!   adds [`flags::input`], one that selects elements adds [`flags::range`], [`flags::bounds`], [`flags::count`] and reads them with
//!   [`flags::Selection::of`]. Values are parsed before the verb runs.
//! - **Output.** [`output::Output`] has one form, decided once; `out.bytes`, `elem`, `dir`, `seqno`, `mark` and `message` work in
//!   all of them. [`output::Output::framed`] gives the bare writer for bulk work.
//! - **Flush.** `out` is what readers call before they wait. A command that waits for anything else calls `out.flush()`.
//! - **Errors.** Return them with `?`: the frame says why, ends the stream with it, and exits 2. An error about one item goes to
//!   [`output::Output::error`] (or [`env::Env::error`] where there is no stream) and the work goes on; the status is then 1. An
//!   honest no is [`command::Outcome::No`]. `Failure::from(error).help("try this")` adds a hint for people.
//! - **Ends.** [`env::each`] notes how the streams that were read ended; a verb that calls `Reader::next` itself gives every
//!   `Input::End` to [`output::Output::ended`].
//! - **Broken pipe.** A write to `out` that nobody reads any more ends the command with status 0; just return the error.
//!
//! Failure contract: nothing here exits or panics over what a user, peer or disk can cause.

pub mod args;
pub mod command;
pub mod daemon;
pub mod env;
pub mod flags;
pub mod gather;
pub mod install;
pub mod keys;
pub mod man;
pub mod messages;
pub mod names;
pub mod output;
pub mod plot;
pub mod plots;
pub(crate) mod position;
pub(crate) mod progress;
pub mod range;
pub mod remote;
pub mod select;
pub(crate) mod shared_output;
pub mod signals;
mod sink;
pub mod subject;
pub mod time;
pub mod units;
pub mod usage;
mod woof_input;

/// All that a command file needs.
pub mod prelude {
    pub use super::args::Args;
    pub use super::command::{Command, Failure, Group, Outcome, Run, Verb};
    pub use super::env::{Env, each};
    pub use super::flags;
    pub use super::output::{Form, Output};
    pub use super::range::{Bound, SeqRange};
    pub use libwoofstream::chan::{Input, Reader};
    pub use libwoofstream::error::{Code, Error};
    pub use libwoofstream::wire::{Dir, Fault, Kind, Message, Raw};
}
