//! From the flags that select elements to the library's selection.

use super::args::Args;
use super::command::Failure;
use super::flags;
use libwoofstream::predicate::Predicate;
use libwoofstream::space::Selection;

/// The selection that the flags ask for: range, times and predicate. What `-n` means is the command's to say; it comes back
/// beside the selection.
///
/// # Errors
/// What [`flags::Selection::of`] refuses, and a predicate that is not one.
pub fn selection(args: &Args) -> Result<(Selection, Option<u64>), Failure> {
    let asked = flags::Selection::of(args)?;
    let predicate = asked.filter.as_deref().map(Predicate::compile).transpose()?;
    let selection = Selection {
        range: asked.range,
        since_ns: asked.since_ns,
        until_ns: asked.until_ns,
        predicate,
        ..Selection::default()
    };
    Ok((selection, asked.count))
}
