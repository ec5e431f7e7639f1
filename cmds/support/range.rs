//! Ranges of sequence numbers, which the library defines.

pub use libwoofstream::space::{Bound, SeqRange};
