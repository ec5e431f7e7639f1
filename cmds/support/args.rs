//! The parsed arguments of a command. Asking for an argument that the definition does not have is answered with
//! nothing, so that shared code can ask every command the same question.

use clap::ArgMatches;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

/// What the user asked for.
#[derive(Debug)]
pub struct Args {
    matches: ArgMatches,
    subcommand: Option<String>,
}

impl Args {
    /// Wraps what clap parsed. Of a command with subcommands these are the arguments of the one that was given, the shared
    /// flags among them.
    pub fn new(mut matches: ArgMatches) -> Args {
        let mut subcommand = None;
        while let Some((name, inner)) = matches.remove_subcommand() {
            (subcommand, matches) = (Some(name), inner);
        }
        Args { matches, subcommand }
    }

    /// The name of the subcommand.
    pub fn subcommand(&self) -> Option<&str> {
        self.subcommand.as_deref()
    }

    /// True when the flag `id` was given.
    pub fn has(&self, id: &str) -> bool {
        self.get::<bool>(id).copied().unwrap_or(false)
    }

    /// The text of an option or operand.
    pub fn text(&self, id: &str) -> Option<&str> {
        self.get::<String>(id).map(String::as_str)
    }

    /// All texts of an operand or of a repeated option, in order.
    pub fn texts<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a str> {
        self.all::<String>(id).map(String::as_str)
    }

    /// The bytes of all operands of `id`, which need not be UTF-8 (see [`super::flags::data`]).
    pub fn bytes<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all::<OsString>(id).map(|value| value.as_bytes())
    }

    /// A number or a size in bytes (see [`super::flags::number`], [`super::flags::size`]).
    pub fn number(&self, id: &str) -> Option<u64> {
        self.get::<u64>(id).copied()
    }

    /// The value of an option of type `T`, as its value parser made it.
    pub fn get<T: Clone + Send + Sync + 'static>(&self, id: &str) -> Option<&T> {
        self.matches.try_get_one::<T>(id).ok().flatten()
    }

    /// All values of type `T`.
    pub fn all<'a, T: Clone + Send + Sync + 'static>(&'a self, id: &str) -> impl Iterator<Item = &'a T> {
        self.matches.try_get_many::<T>(id).ok().flatten().into_iter().flatten()
    }
}
