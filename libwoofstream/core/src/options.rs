//! What a woof is made with.

use crate::content::ContentType;

/// What a woof is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many elements are kept, at most. 1 or more.
    pub history: u64,
    /// How many bytes of elements are kept, at most.
    pub capacity: u64,
    /// When given: no element is larger, and exactly the newest `history` are always kept, whatever `capacity` says.
    pub element_size: Option<u64>,
    /// What the elements are.
    pub content: ContentType,
    /// Every append is durable before it is acknowledged.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            history: 65_536,
            capacity: 16 << 20,
            element_size: None,
            content: ContentType::Text,
            sync: false,
        }
    }
}
