//! What an argument of a command names.

use std::path::Path;

/// A place that an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// `@left`: the channel of this name.
    Channel(&'a str),
    /// Anything else: a path, or what a name table makes of it.
    Path(&'a Path),
}

/// Reads an argument. A file whose name begins with `@` can be named as `./@file`.
///
/// ```
/// use woof_core::chan::{Argument, argument};
/// use std::path::Path;
/// assert_eq!(argument("@left"), Argument::Channel("left"));
/// assert_eq!(argument("farm/temp"), Argument::Path(Path::new("farm/temp")));
/// ```
pub fn argument(text: &str) -> Argument<'_> {
    match text.strip_prefix('@') {
        Some(name) if !name.is_empty() => Argument::Channel(name),
        _ => Argument::Path(Path::new(text)),
    }
}
