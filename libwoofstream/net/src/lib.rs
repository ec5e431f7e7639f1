//! Servers from outside: the protocol ([`net`]), the keys they and their users know each other by ([`keys`]), and the client
//! ([`client`]), which is an engine behind names: a [`Space`](woof_space::Space).

pub mod client;
pub mod keys;
pub mod net;
