//! Client and server in one process, over simulated links: seeded runs, hostile clients, hostile servers.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap here fails the test")]

mod direct;
mod exchanged;
mod held;
mod hostile_clients;
mod hostile_servers;
mod puts;
mod reads;
mod rights;
mod runs;
mod sockets;
mod world;
