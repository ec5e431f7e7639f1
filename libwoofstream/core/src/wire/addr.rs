//! Names with ranges.

use serde::{Deserialize, Serialize};

/// A name with a range of lines, bytes or sequence numbers, both ends in. Keys of the map that this version does not know
/// are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Addr {
    /// The name of the file or woof.
    pub name: String,
    /// The first and the last line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<(u64, u64)>,
    /// The first and the last byte, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<(u64, u64)>,
    /// The first and the last sequence number, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seqnos: Option<(u64, u64)>,
}
