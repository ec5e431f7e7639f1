//! The stream format: a preamble, messages in frames, and an end. It is the same on a pipe, in a file and inside
//! a connection. `docs/format-stream.md` describes it to the byte.
//!
//! This module does no I/O. [`encode`] appends frames to a buffer; [`Decoder`] takes bytes apart, and hands out
//! messages that borrow them.
//!
//! Failure contract: whatever bytes come in, decoding gives a message, the end with its status, a request for more
//! bytes, or an error that names what is wrong ([`crate::error::Code::Damaged`], `TooLarge`, `Unsupported` or `Cut`). It never
//! panics, and never takes memory because a header claims a length: only bytes that are there are kept. After an error the
//! stream is lost: no later byte of it can be trusted.
//!
//! ```
//! use woof_core::wire::{Decoder, Step, encode};
//! let mut stream = Vec::new();
//! encode::preamble(&mut stream);
//! encode::bytes(&mut stream, b"21.5\n");
//! encode::end(&mut stream, Ok(()));
//!
//! let mut decoder = Decoder::new(1 << 20);
//! let mut unread = &stream[..];
//! let mut got = Vec::new();
//! while !unread.is_empty() {
//!     let (used, step) = decoder.step(unread)?;
//!     if let Step::Message(raw) = step {
//!         got.push(raw.payload.to_vec());
//!     }
//!     unread = &unread[used..];
//! }
//! decoder.finish(0)?;
//! assert_eq!(got, [b"21.5\n"]);
//! # Ok::<(), woof_core::error::Error>(())
//! ```

mod addr;
mod decode;
mod dir;
pub mod encode;
mod fault;
mod frame;
mod kind;
mod message;
mod position;
#[cfg(test)]
mod properties;
mod structured;
mod value;

pub use addr::Addr;
pub use decode::{Decoder, Step};
pub use decode::{Event, message};
pub use dir::Dir;
pub use fault::Fault;
pub use frame::{Detected, ELEM_PREFIX, HEADER_SIZE, Header, MORE, PREAMBLE, VERSION, detect};
pub use kind::Kind;
pub use message::{Elem, Message, Raw};
pub use position::Position;
pub use value::Value;

/// Names of marks that every part knows.
pub mod mark {
    /// A follower has now seen all that was there when it came this far.
    pub const CAUGHT_UP: &str = "caught-up";
}
