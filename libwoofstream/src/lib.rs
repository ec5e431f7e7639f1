//! The library of woofstream: typed streams, named channels, woofs (append-only logs), predicates and
//! name spaces.
//!
//! With the feature `net` (on by default) also servers, clients and the keys they know each other by.
//!
//! Nothing here prints, exits, reads arguments or the environment, or installs signal handlers: callers do.
//! What a user, a peer or a disk can cause is an error value with one line to act on; nothing panics over it.

#[cfg(feature = "net")]
pub mod client;
pub mod handler;
#[cfg(feature = "net")]
pub mod keys;
pub mod net;
#[cfg(feature = "net")]
pub mod server;
pub mod space;

pub use woof_core::{access, chan, content, error, limits, name, number, sys, text, wire};
pub use woof_log as log;
pub use woof_predicate as predicate;
