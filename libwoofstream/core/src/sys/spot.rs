//! Where a file is: a name in an open directory, which no link leads away from, or a path of this process, whose links are followed.
//!
//! Failure contract: at [`Spot::exactly`] nothing is opened, made, renamed or removed but what has this name in this directory, whatever is
//! exchanged for a link meanwhile.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where a file is.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    dir: BorrowedFd<'a>,
    path: &'a Path,
    exact: bool,
}

impl<'a> Spot<'a> {
    /// At a path of this process. Links are followed.
    pub fn at(path: &'a Path) -> Spot<'a> {
        Spot { dir: CWD, path, exact: false }
    }

    /// At a name, of one part, in an open directory. It is no link.
    pub fn exactly(dir: BorrowedFd<'a>, name: &'a (impl AsRef<Path> + ?Sized)) -> Spot<'a> {
        let path = name.as_ref();
        debug_assert_eq!(path.components().count(), 1, "a name in the directory, and no way to one");
        Spot { dir, path, exact: true }
    }

    /// Whether a link of this name is not followed.
    pub fn is_exact(self) -> bool {
        self.exact
    }

    /// The path, from the directory.
    pub fn path(self) -> &'a Path {
        self.path
    }

    /// Opens the file.
    ///
    /// # Errors
    /// Those of the system; `LOOP` for a link that is not followed.
    pub fn open(self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let follow = if self.exact { OFlags::NOFOLLOW } else { OFlags::empty() };
        rustix::fs::openat(self.dir, self.path, flags | follow | OFlags::CLOEXEC, mode)
    }

    /// Opens the directory that has the file, or, with the flag for it, a file in it that has no name.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open_dir(self, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(self.dir, self.above(), flags | OFlags::CLOEXEC, mode)
    }

    /// What has the name, which may be a link.
    ///
    /// # Errors
    /// Those of the system.
    pub fn look(self) -> Result<Stat, Errno> {
        rustix::fs::statat(self.dir, self.path, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The path of another name in the directory that has the file: for [`Spot::beside`].
    pub fn path_beside(self, name: &str) -> PathBuf {
        if self.exact { PathBuf::from(name) } else { self.above().join(name) }
    }

    /// Another name in the directory that has the file.
    #[must_use]
    pub fn beside<'b>(self, path: &'b Path) -> Spot<'b>
    where
        'a: 'b,
    {
        Spot { path, ..self }
    }

    /// Removes the name. A link is not followed.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(self) -> Result<(), Errno> {
        rustix::fs::unlinkat(self.dir, self.path, AtFlags::empty())
    }

    /// Gives an open file without a name this one, if it is free.
    ///
    /// # Errors
    /// Those of the system.
    pub fn give_to(self, file: impl AsFd) -> Result<(), Errno> {
        let unnamed = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        rustix::fs::linkat(CWD, unnamed, self.dir, self.path, AtFlags::SYMLINK_FOLLOW)
    }

    /// Gives this name to the file that has another one in the same directory: in the place of what has it, or if it is free.
    ///
    /// # Errors
    /// Those of the system.
    pub fn take_from(self, other: Spot<'_>, replace: bool) -> Result<(), Errno> {
        if replace {
            return rustix::fs::renameat(other.dir, other.path, self.dir, self.path);
        }
        match rustix::fs::renameat_with(other.dir, other.path, self.dir, self.path, RenameFlags::NOREPLACE) {
            // A file system without it: a link fails as well when the name is taken.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(other.dir, other.path, self.dir, self.path, AtFlags::empty())
            }
            renamed => renamed,
        }
    }

    /// The directory that has the file, as a path from the one it goes by.
    fn above(self) -> &'a Path {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}
