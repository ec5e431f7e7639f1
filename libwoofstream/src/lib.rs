//! The library of woofstream: typed streams, named channels, woofs (append-only logs), predicates and
//! name spaces. This is the face of it: what a program needs, in one place.
//!
//! Without features: streams, channels and woofs. With `space` also predicates and what stands behind names, with `local` the directories
//! of this machine, with `net` clients of servers and keys, with `host` servers and the dispatcher of handlers, and with `container`
//! (which is the default and brings all of them) handlers in containers.
//!
//! Nothing here prints, exits, reads arguments or the environment, or installs signal handlers: callers do.
//! What a user, a peer or a disk can cause is an error value with one line to act on; nothing panics over it.

pub use woof_core::{access, chan, content, duration, error, limits, name, number, sys, text, wire};
#[cfg(feature = "host")]
pub use woof_host::server;
pub use woof_log as log;
#[cfg(feature = "net")]
pub use woof_net::{client, keys, net};
#[cfg(feature = "space")]
pub use woof_predicate as predicate;

/// What stands behind a name, and the engine of this machine.
#[cfg(feature = "space")]
pub mod space {
    pub use woof_core::attrs::{ELEMENT_NAMES, FOUND_NAMES, context, is_context, is_time};
    #[cfg(feature = "local")]
    pub use woof_local::{Elements, Local, Step, Walk};
    pub use woof_space::*;
}

/// Handlers: programs of a namespace that run when elements arrive.
#[cfg(feature = "local")]
pub mod handler {
    #[cfg(feature = "host")]
    pub use woof_host::dispatch::*;
    pub use woof_local::handler::*;
    pub use woof_space::{Call, Exit, Pipes, RunOptions};

    /// Containers for handlers.
    pub mod container {
        #[cfg(feature = "container")]
        pub use woof_host::Docker;
        pub use woof_local::handler::container::*;
    }
}
