//! The directories of a store, open. What is read and written in them is what nobody else can change or exchange: neither the directories nor the files are others',
//! can be written by others, or are links.
//!
//! Failure contract: refusals name the directory or the file, and the command that mends it. What is looked at is what was opened.

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use woof_core::error::{Code, Error, Result};
use woof_core::limits::KEY_FILE_MAX;
use woof_core::sys::{self, Spot};

/// Others may write.
const WRITABLE: u32 = 0o022;

/// Others may read or write.
const OPEN_TO_OTHERS: u32 = 0o066;

/// Names in it are removed and renamed only by whoever they are of.
const STICKY: u32 = 0o1000;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open directory of a store.
pub(super) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory of a store, which a path leads to by links too. Who can exchange it for another is looked at as well.
    ///
    /// # Errors
    /// [`Code::Denied`] when it is not only ours; [`Code::NotFound`] when there is none.
    pub(super) fn open(path: &Path) -> Result<Dir> {
        let failed = |err: Errno| Error::io(path.display().to_string(), "open", err);
        let fd = rustix::fs::open(path, DIR, Mode::empty()).map_err(failed)?;
        check(&rustix::fs::fstat(&fd).map_err(failed)?, "key directory", path, WRITABLE)?;
        let above = rustix::fs::openat(&fd, "..", OFlags::PATH | DIR, Mode::empty());
        let above = above.and_then(rustix::fs::fstat).map_err(failed)?;
        let what = match path.parent().filter(|above| !above.as_os_str().is_empty()) {
            Some(above) => above.to_owned(),
            None => path.join(".."),
        };
        let may = if above.st_mode & STICKY == 0 { WRITABLE } else { 0 };
        check(&above, "the directory of the key directory,", &what, may)?;
        Ok(Dir { fd, path: path.to_owned() })
    }

    /// Opens a directory in it.
    ///
    /// # Errors
    /// As [`Dir::open`]; [`Code::Denied`] for a link.
    pub(super) fn below(&self, name: &str) -> Result<Dir> {
        let path = self.path.join(name);
        let failed = |err: Errno| refused(err, "key directory", &path, "open");
        let fd = rustix::fs::openat(&self.fd, name, DIR | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)?;
        check(&rustix::fs::fstat(&fd).map_err(failed)?, "key directory", &path, WRITABLE)?;
        Ok(Dir { fd, path })
    }

    /// Reads a file, which may hold a key or not.
    ///
    /// # Errors
    /// [`Code::Denied`] when others may write it, or read it where it holds a key; when it is no file, or too large.
    pub(super) fn read(&self, file: &str, is_secret: bool) -> Result<Vec<u8>> {
        let path = self.path.join(file);
        let failed = |err: Errno| refused(err, "key file", &path, "read");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let open = self.spot(file).open(flags, Mode::empty()).map_err(failed)?;
        let stat = rustix::fs::fstat(&open).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new(Code::Invalid, path.display().to_string(), "not a file"));
        }
        check(&stat, "key file", &path, if is_secret { OPEN_TO_OTHERS } else { WRITABLE })?;
        bounded(File::from(open), &path)
    }

    /// Puts a file in the place of what has its name.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(super) fn write(&self, file: &str, text: &str, mode: u32) -> Result<()> {
        let named = |err: Error| err.of(self.path.join(file).display().to_string());
        sys::replace_at(self.spot(file), text.as_bytes(), mode).map_err(named)
    }

    /// Whether there is anything of this name.
    pub(super) fn has(&self, file: &str) -> bool {
        self.spot(file).look().is_ok()
    }

    /// Locks it, as long as the file is open that this gives.
    ///
    /// # Errors
    /// When it cannot be locked.
    pub(super) fn lock(&self) -> Result<File> {
        let locked = || {
            // A lock is of what was opened, and this may be open for longer.
            let fd = rustix::fs::openat(&self.fd, ".", DIR, Mode::empty())?;
            rustix::fs::flock(&fd, FlockOperation::LockExclusive)?;
            Ok(File::from(fd))
        };
        locked().map_err(|err: Errno| Error::io(self.path.display().to_string(), "lock", err))
    }

    /// The names of the certificates in it, in order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn certificates(&self) -> Result<Vec<String>> {
        let failed = |err: Errno| Error::io(self.path.display().to_string(), "read", err);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().ok().and_then(|name| name.strip_suffix(".pem"));
            names.extend(name.filter(|name| !name.starts_with('.')).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    fn spot<'a>(&'a self, file: &'a str) -> Spot<'a> {
        Spot::exactly(self.fd.as_fd(), file)
    }
}

/// The error of what cannot be opened. In a store there are no links.
fn refused(err: Errno, what: &str, path: &Path, doing: &str) -> Error {
    let is_link = || path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if err == Errno::LOOP || (err == Errno::NOTDIR && is_link()) {
        let path = path.display();
        let text =
            format!("{what} {path} is a symbolic link, which is not followed: put there what it leads to");
        return Error::new(Code::Denied, "", text);
    }
    Error::io(path.display().to_string(), doing, err)
}

/// Refuses what somebody else could change.
fn check(stat: &Stat, what: &str, path: &Path, refused: u32) -> Result<()> {
    let (us, mode, path) = (rustix::process::geteuid().as_raw(), stat.st_mode & 0o7777, path.display());
    let refuse = |text: String| Err(Error::new(Code::Denied, "", text));
    if stat.st_uid != 0 && stat.st_uid != us {
        let owner = stat.st_uid;
        return refuse(format!(
            "{what} {path} belongs to user {owner}, who can change it: chown {us} {path}"
        ));
    }
    if mode & refused == 0 {
        return Ok(());
    }
    let (how, cure) = match (refused == OPEN_TO_OTHERS, mode & 0o044 != 0) {
        (true, true) => ("readable", "chmod 600"),
        (true, false) => ("writable", "chmod 600"),
        (false, _) => ("writable", "chmod go-w"),
    };
    refuse(format!("{what} {path} is {how} by others (mode {mode:04o}): {cure} {path}"))
}

/// Reads a file that is open.
fn bounded(file: File, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(KEY_FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|err| Error::io(path.display().to_string(), "read", err))?;
    if bytes.len() as u64 > KEY_FILE_MAX {
        let text = format!("larger than {KEY_FILE_MAX} bytes");
        return Err(Error::new(Code::TooLarge, path.display().to_string(), text));
    }
    Ok(bytes)
}

/// Reads a file that holds no key and is nobody's in particular, as what is in it is signed.
///
/// # Errors
/// When it cannot be read, or is too large.
pub(super) fn read_signed(path: &Path) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = rustix::fs::open(path, flags, Mode::empty());
    bounded(open.map_err(|err| Error::io(path.display().to_string(), "read", err))?.into(), path)
}
