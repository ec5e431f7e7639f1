//! Writers that are killed: real processes, `kill -9` at any instruction, thousands of times, beside each other and from
//! different containers. What a killed writer was told is in must be there, once and in order; the others, the followers
//! and the next writer must not notice. (The library's own tests stop at every single store and at power losses; here it is
//! the system that kills.)
//!
//! Times are printed, not tested. A failure prints the seed; `WOOF_TEST_SEED` starts from it.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]
#![expect(clippy::print_stderr, reason = "seeds, times and what is skipped are told to who runs the tests")]

mod books;
mod child;
mod containers;
mod follower;
mod keeper;
mod kept;
mod random;
#[path = "../cmds/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands, which use all of it")]
mod support;
mod wputs;
mod writers;
