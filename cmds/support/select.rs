//! From the flags that select elements to the library's selection.

use super::args::Args;
use super::command::Failure;
use super::env::Env;
use super::flags;
use super::messages::Messages;
use libwoofstream::error::Error;
use libwoofstream::predicate::Predicate;
use libwoofstream::space::{ELEMENT_NAMES, Selection};

/// Compiles a predicate about what has these names; `what` is what has them. That another name matches nothing is said, unless with `-q`.
///
/// # Errors
/// When it is no predicate.
pub fn predicate(text: &str, known: &[&str], what: &str, args: &Args, env: &Env) -> Result<Predicate, Error> {
    let predicate = Predicate::compile(text)?;
    tell_unknown(&predicate, known, what, args, env.messages());
    Ok(predicate)
}

/// Says that a name in a predicate matches nothing, if none of these is that name, unless with `-q`. A server or a stream may know more than is
/// known here, so it is no error.
pub fn tell_unknown(predicate: &Predicate, known: &[&str], what: &str, args: &Args, messages: Messages) {
    if let Some(unknown) = predicate.unknown(known, what)
        && !args.has("quiet")
    {
        messages.note(&format!("{unknown} (what does not have it does not match)"));
    }
}

/// The selection that the flags ask for: range, times and predicate. What `-n` means is the command's to say; it comes back
/// beside the selection.
///
/// # Errors
/// What [`flags::Selection::of`] refuses, and a predicate that is not one.
pub fn selection(args: &Args, env: &Env) -> Result<(Selection, Option<u64>), Failure> {
    let asked = flags::Selection::of(args)?;
    let predicate = asked
        .filter
        .as_deref()
        .map(|text| predicate(text, &ELEMENT_NAMES, "an element", args, env))
        .transpose()?;
    let selection = Selection {
        range: asked.range,
        since_ns: asked.since_ns,
        until_ns: asked.until_ns,
        predicate,
        ..Selection::default()
    };
    Ok((selection, asked.count))
}
