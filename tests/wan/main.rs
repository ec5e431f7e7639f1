//! The commands over a long link: real processes, the kernel's TCP, TLS, and a line between two network namespaces that delays, loses
//! packets and is cut.
//!
//! Lower bounds of times are exact, since no packet is early. Upper bounds are far away, and the best of some tries has to keep them: a
//! busy machine is late. Where there can be no link the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]
#![expect(clippy::print_stderr, reason = "seeds and times are told to who runs the tests")]

mod carried;
mod cuts;
mod farm;
mod forward;
mod moves;
#[path = "../crash/random.rs"]
#[allow(dead_code, reason = "shared with the tests of crashes, which use all of it")]
mod random;
mod readers;
#[path = "../cmds/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the commands, which use all of it")]
mod support;
mod tails;
mod transfers;
mod trips;
