//! The library of woofstream: typed streams, named channels, woofs (append-only logs), predicates and
//! name spaces.
//!
//! With the feature `net` (on by default) also servers, clients and the keys they know each other by.
//!
//! Nothing here prints, exits, reads arguments or the environment, or installs signal handlers: callers do.
//! What a user, a peer or a disk can cause is an error value with one line to act on; nothing panics over it.

pub mod access;
pub mod chan;
#[cfg(feature = "net")]
pub mod client;
pub mod content;
pub mod error;
pub mod handler;
#[cfg(feature = "net")]
pub mod keys;
pub mod limits;
pub mod log;
pub mod name;
pub mod net;
pub mod number;
pub mod predicate;
#[cfg(feature = "net")]
pub mod server;
pub mod space;
pub mod sys;
pub mod text;
pub mod wire;
