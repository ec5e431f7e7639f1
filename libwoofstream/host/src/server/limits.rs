//! What a server allows. Each is a setting, and each refusal names it.

use std::time::Duration;
use woof_core::limits;

/// The limits of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. An eighth of them is for the Unix socket alone.
    pub connections: usize,
    /// Handshakes at once, which are no connections yet.
    pub handshakes: usize,
    /// Connections at once of one user.
    pub connections_of_user: usize,
    /// Exchanges open at once on one connection.
    pub exchanges: usize,
    /// The largest element that a client may put, in bytes.
    pub element: usize,
    /// Bytes of messages that have not come whole yet, on one connection.
    pub unfinished: usize,
    /// Steps that the evaluation of a predicate for one element may take, of about 0.1 microseconds.
    pub steps: u64,
    /// How long a handshake, with the greeting, may take.
    pub handshake: Duration,
    /// Woofs that are followed at once; each has a thread that sleeps.
    pub followed: usize,
    /// Handlers that run on demand at once.
    pub runs: usize,
    /// Handlers that run on demand at once for one user.
    pub runs_of_user: usize,
    /// How long a stop waits for what is going on.
    pub stop: Duration,
}

impl Limits {
    /// Connections at once of those who do not come over the Unix socket.
    pub(super) fn remote(&self) -> usize {
        self.connections - self.connections / 8
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 4096,
            handshakes: limits::HANDSHAKES_MAX,
            connections_of_user: 1024,
            exchanges: limits::EXCHANGES_MAX,
            element: limits::REMOTE_ELEMENT_MAX,
            unfinished: 2 * limits::REMOTE_ELEMENT_MAX,
            steps: limits::STEPS_MAX,
            handshake: Duration::from_secs(10),
            followed: 1024,
            runs: limits::RUNS_MAX,
            runs_of_user: limits::RUNS_OF_USER_MAX,
            stop: Duration::from_secs(10),
        }
    }
}
