//! The library of woofstream: typed streams, named channels, woofs (append-only logs), predicates and
//! name spaces.
//!
//! Nothing here prints, exits, reads arguments or the environment, or installs signal handlers: callers do.
//! What a user, a peer or a disk can cause is an error value with one line to act on; nothing panics over it.

pub mod access;
pub mod chan;
pub mod client;
pub mod content;
pub mod error;
pub mod handler;
pub mod keys;
pub mod limits;
pub mod log;
pub mod name;
pub mod net;
pub mod predicate;
pub mod server;
pub mod space;
pub mod sys;
pub mod wire;
