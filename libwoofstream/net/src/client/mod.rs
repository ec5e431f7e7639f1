//! The namespaces of another machine, or of a server on this one, behind the same trait as local directories.
//!
//! [`Remote`] is a [`woof_space::Space`]. Each of its verbs has a connection of its own while it lasts, worked on by the thread that
//! calls: no other thread and no runtime is started. When an answer is complete the connection is kept for the next request for
//! some seconds. What carries the bytes is a [`Transport`] that a [`Dial`] makes: a socket with or without
//! TLS ([`Dialer`]), or a simulated link.
//!
//! Failure contract: a read that had begun goes on after a lost connection with what comes after the last element it knows of, and gives out
//! nothing twice. A put sends again what was not answered for, and each element is appended once. What cannot be mended that way is an
//! error that says which step failed: finding the address, connecting, the handshake, the request.

mod answer;
mod dial;
mod link;
mod putting;
mod reading;
mod remote;
mod running;
mod transport;

pub use dial::Dialer;
pub use remote::{Limit, Patience, Remote};
pub use transport::{Dial, Transport, Waited};
