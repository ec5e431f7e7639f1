//! Keys: an authority, the identities and host certificates that it makes, and TLS by them.
//!
//! A [`Store`] is a directory with the certificate of one authority, its key on the machine where it was made, identities of users,
//! certificates of hosts, and the list of what is revoked. [`ServerKeys`] and [`ClientKeys`] make TLS configurations from it, and
//! make them anew when its files change. TLS is 1.3 and nothing older, both ends have a certificate, and early data of a resumed
//! session carries the identity of the session.
//!
//! Synchronous, and without sockets. Its callers bring the directory and names; it reads the clock.
//!
//! Failure contract: a key that others could read is refused, and so is whatever of a store others could change. What is wrong with a certificate has its own words ([`explain`]).
//! Files are replaced whole, so that nobody reads half a key; two writers wait for each other.

mod bundle;
mod cert;
mod client;
mod explain;
mod files;
mod issue;
mod place;
mod revoked;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod tls;

pub use cert::{Certificate, Kind, Serial};
pub use client::ClientKeys;
pub use explain::{Us, explain, explain_io};
pub use server::{Admitted, ServerKeys, ServerOptions, own_names};
pub use store::{Entry, Store};
pub use tls::{ALPN, server_name};
