//! New files that have no name until they are whole.
//!
//! Failure contract: of a file that was not named nothing is left, also when its maker is killed; where a file system has no files
//! without a name, it has one in passing, which only a kill leaves behind, until the next one is made.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use woof_core::error::{Code, Error, Result};
use woof_core::sys::{Spot, Temporary};

/// A whole woof that nobody can find yet.
pub(super) enum Unnamed<'a> {
    /// It has no name.
    Nameless(File),
    /// The name it has meanwhile, on a file system that has no files without one.
    Passing(Temporary<'a>),
}

impl<'a> Unnamed<'a> {
    /// A new empty file for the directory that this is in.
    pub(super) fn new(spot: Spot<'a>, mode: Mode) -> std::io::Result<Unnamed<'a>> {
        match spot.open_dir(OFlags::RDWR | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Unnamed::Nameless(File::from(file))),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                Ok(Unnamed::Passing(Temporary::make(spot, mode)?))
            }
            Err(err) => Err(err.into()),
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        match self {
            Unnamed::Nameless(file) => file,
            Unnamed::Passing(temporary) => temporary.file(),
        }
    }

    /// Gives the file its name, for whose directory it was made: if that is free, or in the place of what has it.
    pub(super) fn take_name(self, spot: Spot<'_>, replace: bool) -> Result<()> {
        let named = match self {
            // A link takes no name away, but a rename does.
            Unnamed::Nameless(file) if replace => {
                Temporary::name(spot, &file).and_then(|temporary| temporary.take_name(true))
            }
            Unnamed::Nameless(file) => spot.give_to(&file).map_err(Into::into),
            Unnamed::Passing(temporary) => temporary.take_name(replace),
        };
        named.map_err(|err| match err.kind() {
            std::io::ErrorKind::AlreadyExists => Error::new(Code::Exists, "", "it exists already"),
            _ => Error::io("", "create", err),
        })
    }
}
