//! The protocol between client and server, without I/O: frames, exchanges, credit, requests. `docs/protocol.md` describes it to
//! the byte.
//!
//! [`Session`] is one side of a connection. It is given the bytes that came, and says what they were; what is to be sent collects in
//! its output. Sockets, TLS and time are the business of its callers.
//!
//! Failure contract: whatever bytes come in, the answer is what they mean, a request for more, or an error that ends the
//! connection and names what the other side did wrong. Memory is taken for what is there, and never for what a header claims.

mod frame;
#[cfg(test)]
mod properties;
mod request;
mod session;
#[cfg(test)]
mod session_tests;

pub use frame::{FRAME_HEADER, GREETING, VERSION};
pub use request::{Access, Create, Find, Named, Put, Read, Request, Run};
pub use session::{Received, Role, Session};

/// The name of a server's Unix socket in the state directory of what it serves.
pub const SOCKET: &str = "server.sock";

/// Names of the `App` messages that answer a put.
pub mod answer {
    /// First: when the woof was made, its next seqno, its largest element, its content type.
    pub const OPENED: &str = "woof.opened";
    /// Elements are in: the first's writer sequence and seqno, and how many.
    pub const IN: &str = "woof.in";
    /// The time of the newest element, in nanoseconds since 1970: it is over a minute ahead of the server's clock.
    pub const AHEAD: &str = "woof.ahead";
    /// Elements did not keep their times: how many were behind the newest element, and how many ahead of the clock.
    pub const TIMES: &str = "woof.times";
    /// An element does not fit: its writer sequence, and why.
    pub const REFUSED: &str = "woof.refused";
}

/// Names of the `App` messages in the answer of a run.
pub mod ran {
    /// What the program wrote to its standard error.
    pub const STDERR: &str = "woof.stderr";
    /// The program reads no more: what is sent is thrown away.
    pub const CLOSED: &str = "woof.closed";
    /// The program ended: its exit status as a shell has it, one byte.
    pub const EXIT: &str = "woof.exit";
}
