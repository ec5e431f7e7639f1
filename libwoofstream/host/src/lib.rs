//! What stays: the [`server`] of namespaces, the [`dispatch`] of elements to handlers, and the container engine ([`Docker`]).
//!
//! The heavy parts are here, the runtime among them, so that what comes and goes need not have them.

pub mod dispatch;
#[cfg(feature = "container")]
mod engine;
pub mod server;

#[cfg(feature = "container")]
pub use engine::Docker;
