//! The server of the namespaces under a directory: on a Unix socket and, when told to, on TCP with TLS.
//!
//! [`Site`] is what is served: the directory, who may do what in it, what is going on. [`Connection`] is one client's connection
//! without I/O: bytes in, bytes out, and exchanges that are worked on in turn. [`Server`] has the sockets, and is the only part that
//! names tokio. [`Metrics`] are what it counts, which a [`Listener`] gives over HTTP to who collects them.
//!
//! Failure contract: what a client does wrong ends its request or its connection, with an error that names it, and touches
//! nobody else. What was acknowledged is in the woof. Everything has a limit ([`Limits`]).

mod answer;
mod caller;
mod connection;
mod exchange;
mod finding;
mod handshakes;
mod held;
mod io;
mod limits;
mod listen;
mod metrics;
mod place;
mod pool;
mod putting;
mod reading;
mod ready;
mod repeats;
mod running;
mod runs;
mod scrape;
mod site;
mod spare;
mod tls;
mod watch;
mod woofs;
mod writers;

pub use connection::{Connection, Pumped};
pub use exchange::{Apart, Wake};
pub use limits::Limits;
pub use listen::{Listener, Server};
pub use metrics::Metrics;
pub use site::Site;
