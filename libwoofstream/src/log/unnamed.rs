//! New files that have no name until they are whole.
//!
//! Failure contract: of a file that was not named nothing is left, also when its maker is killed; where a file system has no files
//! without a name, it has one in passing, which only a kill leaves behind.

use super::files::dir_of;
use crate::error::{Code, Error, Result};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A whole woof that nobody can find yet.
pub(super) struct Unnamed {
    file: File,
    /// The name it has meanwhile, on a file system that has no files without one.
    passing: Option<Passing>,
}

impl Unnamed {
    /// A new empty file for `dir`.
    pub(super) fn new(dir: &Path, mode: Mode) -> std::io::Result<Unnamed> {
        use rustix::io::Errno;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Unnamed { file: File::from(file), passing: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let passing = Passing::new(dir);
                let file = rustix::fs::open(&passing.path, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
                Ok(Unnamed { file: File::from(file), passing: Some(passing) })
            }
            Err(err) => Err(err.into()),
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name: if that is free, or in the place of what has it.
    pub(super) fn take_name(self, path: &Path, replace: bool) -> Result<()> {
        self.named(path, replace).map_err(|err| match err.kind() {
            std::io::ErrorKind::AlreadyExists => Error::new(Code::Exists, "", "it exists already"),
            _ => Error::io("", "create", err),
        })
    }

    fn named(self, path: &Path, replace: bool) -> std::io::Result<()> {
        use rustix::fs::{AtFlags, CWD, RenameFlags, linkat, renameat_with};
        let link = |to: &Path| {
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            linkat(CWD, unnamed, CWD, to, AtFlags::SYMLINK_FOLLOW)
        };
        match &self.passing {
            None if replace => {
                // A link takes no name away, but a rename does.
                let passing = Passing::new(dir_of(path));
                link(&passing.path)?;
                std::fs::rename(&passing.path, path)
            }
            None => Ok(link(path)?),
            Some(passing) if replace => std::fs::rename(&passing.path, path),
            Some(passing) => match renameat_with(CWD, &passing.path, CWD, path, RenameFlags::NOREPLACE) {
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                    // A file system without it: a link fails as well when the name is taken.
                    std::fs::hard_link(&passing.path, path)
                }
                renamed => Ok(renamed?),
            },
        }
    }
}

/// A name that a file has in passing. It goes away, unless the file was renamed.
struct Passing {
    path: PathBuf,
}

impl Passing {
    fn new(dir: &Path) -> Passing {
        Passing { path: dir.join(format!(".new-woof-{:016x}", sys::random_u64())) }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // Renamed, it is not there any more.
        let _ = std::fs::remove_file(&self.path);
    }
}
