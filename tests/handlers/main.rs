//! Handlers as a user has them: real namespaces, programs and servers. What the log and the library do is tested there; here it is
//! that no trigger is lost, whatever a handler does and whoever is killed.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

mod container;
mod disk;
mod farm;
mod faults;
mod hostile;
mod image;
mod kills;
mod output;
mod own;
mod pending;
mod plain;
mod predicates;
mod proxy;
mod replaced;
mod runs;
mod stops;
#[path = "../cmds/support.rs"]
#[expect(dead_code, reason = "helpers of the tests of commands, not all of them used here")]
mod support;
#[path = "../cmds/woofs.rs"]
#[expect(dead_code, reason = "only its mounts are needed here")]
mod woofs;
