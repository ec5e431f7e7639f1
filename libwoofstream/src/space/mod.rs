//! Name spaces: what stands behind a name.

mod range;

pub use range::{Bound, SeqRange};
