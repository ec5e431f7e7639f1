//! Named channels, and the readers and writers of streams on file descriptors.
//!
//! Everything is synchronous and knows descriptors only: pipes, files, FIFOs, terminals. A [`Reader`] tells a framed stream
//! from raw bytes by itself. A [`Writer`] batches; the rule for sending a batch is: when it is large enough, and before
//! waiting for input ([`BeforeWait`]). There is no timer.
//!
//! Failure contract: a reader has three outcomes, which are a message, the end with its status, and an error; input that
//! stops before its end is the error [`crate::error::Code::Cut`]. A writer whose reader has gone gives an error for which
//! [`crate::error::Error::is_broken_pipe`] holds. Interrupted system calls are repeated, and descriptors that do not block are
//! waited for.

mod argument;
mod buffer;
mod channels;
mod descriptor;
mod reader;
mod split;
mod wait;
mod writer;

pub use argument::{Argument, argument};
pub use channels::Channels;
pub use reader::{Input, Reader};
pub use split::Split;
pub use wait::BeforeWait;
pub use writer::Writer;
