//! The engine of this machine: woofs in directories, with what is bound to them, and without a server.
//!
//! [`Local`] is a [`Space`](woof_space::Space). [`Elements`] and [`Walk`] are its reads and finds in steps, for who has many readers to
//! serve in turn. [`handler`] has bindings, the log of triggers, and the programs that they run.

mod elements;
mod find;
pub mod handler;
mod local;
mod span;
mod stat;

pub use elements::{Elements, Step};
pub use find::Walk;
pub use local::Local;
pub use stat::stat_of;
