//! What the tests share, so that they pass for every user on every machine:
//!
//! - [`command`] starts a program as a shell would, whatever the tests themselves inherited.
//! - [`output`], [`fed`], [`ended`] and [`wait`] wait for a program, [`until`] for anything else, and all of them with one limit.
//! - [`tempdir`] is a place to work in, and [`watch`] a limit for a whole test.
//! - [`skip`] says that something was not tested, and why.
//! - [`set_newest_time`] has a woof be of another time than the clock says.
//! - [`many_files`] lets a test open more files than the system allows at first.
//!
//! Everything here is for tests: what goes wrong is a panic, so the test fails.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

mod clock;
mod files;
mod place;
mod process;
mod shell;
mod skip;
mod watch;

pub use clock::set_newest_time;
pub use files::many_files;
pub use place::{TempDir, in_memory, tempdir};
pub use process::{LIMIT, ended, fed, output, until, wait, works};
pub use shell::command;
pub use skip::{say, skip};
pub use watch::{Watch, watch};
