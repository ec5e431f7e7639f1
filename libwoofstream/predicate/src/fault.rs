//! Refusals of an expression: where, and what was expected.

use woof_core::error::{Code, Error};

/// What is wrong with an expression, at a byte offset of its text.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) text: String,
}

/// The result of everything that reads an expression.
pub(super) type Result<T> = std::result::Result<T, Fault>;

/// A refusal at byte offset `at`.
pub(super) fn fault<T>(at: usize, text: impl Into<String>) -> Result<T> {
    Err(Fault { at, text: text.into() })
}

impl Fault {
    /// The error that users see: `expression:9: expected a number, found a string`. Positions count
    /// characters from 1.
    pub(super) fn into_error(self, source: &str) -> Error {
        let position = source.char_indices().take_while(|(at, _)| *at < self.at).count() + 1;
        Error::new(Code::Invalid, format!("expression:{position}"), self.text)
    }
}
