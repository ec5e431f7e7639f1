//! A namespace that is open, and its state directory: what is read and written there is where it was when it was opened, whatever handlers in a container exchange
//! for links meanwhile.
//!
//! Failure contract: in the state directory no link is followed, and neither is the directory itself one.

use super::STATE_DIR;
use crate::error::{Code, Error, Result};
use crate::sys::{self, Spot};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked whether a lock is free.
const LOCK_AGAIN: Duration = Duration::from_millis(1);

/// An open namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    path: PathBuf,
    dir: Arc<OwnedFd>,
}

impl Namespace {
    /// The namespace that a path leads to, by links too.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn of(path: &Path) -> Result<Namespace> {
        let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Namespace::opened(path, rustix::fs::open(here, PLACE, Mode::empty()))
    }

    /// The namespace at a path that had no link in it when it was found.
    ///
    /// # Errors
    /// When there is no such directory, or by now there is a link: handlers can make some.
    pub fn exactly(path: &Path) -> Result<Namespace> {
        Namespace::opened(path, sys::open_exactly(path, PLACE))
    }

    fn opened(path: &Path, dir: std::result::Result<OwnedFd, Errno>) -> Result<Namespace> {
        let shown = || path.display().to_string();
        let dir = dir.map_err(|err| match err {
            Errno::LOOP => {
                Error::new(Code::Denied, shown(), "by now a symbolic link leads to another directory")
            }
            Errno::NOTDIR => Error::new(Code::Invalid, shown(), "not a namespace: it is no directory"),
            err => Error::io(shown(), "", err),
        })?;
        Ok(Namespace { path: path.to_owned(), dir: Arc::new(dir) })
    }

    /// The namespace whose directory is open already, with its path for messages and for the environment of handlers.
    pub fn opened_at(path: PathBuf, dir: Arc<OwnedFd>) -> Namespace {
        Namespace { path, dir }
    }

    /// Its directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        (*self.dir).as_fd()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Works with the place of a woof of this namespace. No link leads there, and no other namespace is on the way.
    ///
    /// # Errors
    /// `LOOP` where a directory on the way is a link, `XDEV` where one is a namespace of its own; those of the system.
    pub fn at<T>(&self, name: &str, work: impl FnOnce(Spot<'_>) -> T) -> std::result::Result<T, Errno> {
        let (mut above, mut rest) = (None::<OwnedFd>, name);
        while let Some((part, below)) = rest.split_once('/') {
            let dir = sys::open_step(above.as_ref().map_or(self.dir(), OwnedFd::as_fd), part)?;
            if has_state(&dir) {
                return Err(Errno::XDEV);
            }
            (above, rest) = (Some(dir), below);
        }
        if matches!(rest, "" | "." | "..") {
            return Err(Errno::INVAL);
        }
        Ok(work(Spot::exactly(above.as_ref().map_or(self.dir(), OwnedFd::as_fd), rest)))
    }

    /// Its state directory.
    ///
    /// # Errors
    /// [`Code::NotFound`] when it has none.
    pub fn state(&self) -> Result<StateDir> {
        let path = self.path.join(STATE_DIR);
        match rustix::fs::openat(self.dir(), STATE_DIR, DIR | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(dir) => Ok(StateDir { path, dir }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                let text = format!("not a namespace: it has no directory {STATE_DIR}");
                Err(Error::new(Code::NotFound, self.path.display().to_string(), text))
            }
            Err(err) => Err(Error::io(path.display().to_string(), "open", err)),
        }
    }

    /// The number of the user whose directory it is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn owner(&self) -> Result<u32> {
        let stat = rustix::fs::fstat(self.dir());
        stat.map(|stat| stat.st_uid).map_err(|err| Error::io(self.path.display().to_string(), "", err))
    }
}

/// Whether a directory is a namespace. One whose state directory was exchanged for a link is one too, in which nobody has any right.
pub fn has_state(dir: impl AsFd) -> bool {
    let found = rustix::fs::statat(dir, STATE_DIR, AtFlags::SYMLINK_NOFOLLOW);
    let kind = found.map(|found| FileType::from_raw_mode(found.st_mode));
    matches!(kind, Ok(FileType::Directory | FileType::Symlink))
}

/// How directories are opened: to find what is in them, and to lock them or make changes durable.
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The open state directory of a namespace.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    dir: OwnedFd,
}

impl StateDir {
    /// How long a lock of what people change is waited for. Whoever can read the directory can lock it, and for ever.
    pub const LOCK_WAIT: Duration = Duration::from_secs(10);

    /// That of the namespace that a path leads to, by links too.
    ///
    /// # Errors
    /// [`Code::NotFound`] when it is no namespace.
    pub fn of(namespace: &Path) -> Result<StateDir> {
        Namespace::of(namespace)?.state()
    }

    /// That of the namespace at a path that had no link in it when it was found.
    ///
    /// # Errors
    /// As [`StateDir::of`], and when by now there is a link.
    pub fn exactly(namespace: &Path) -> Result<StateDir> {
        Namespace::exactly(namespace)?.state()
    }

    /// The name of a file in it, for messages.
    pub fn shown(&self, file: &str) -> String {
        self.path.join(file).display().to_string()
    }

    /// Where a file in it is.
    pub fn spot<'a>(&'a self, file: &'a str) -> Spot<'a> {
        Spot::exactly(self.dir.as_fd(), file)
    }

    /// Opens a file in it.
    ///
    /// # Errors
    /// Those of the system; `LOOP` where it is a link.
    pub fn open(&self, file: &str, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
        self.spot(file).open(flags, mode)
    }

    /// Reads a whole file of at most `max` bytes; `None` where there is none. What is no file is not waited for.
    ///
    /// # Errors
    /// When it is no file, is larger, or cannot be read. The object is the file.
    pub fn read(&self, file: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let refuse = |code, text: String| Err(Error::new(code, self.shown(file), text));
        let failed = |err: std::io::Error| Error::io(self.shown(file), "read", err);
        let open = match self.open(file, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(open) => File::from(open),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return refuse(Code::Invalid, "a symbolic link, and not a file".to_owned()),
            Err(err) => return Err(failed(err.into())),
        };
        if !open.metadata().is_ok_and(|meta| meta.is_file()) {
            return refuse(Code::Invalid, "not a file".to_owned());
        }
        let mut bytes = Vec::new();
        open.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > max {
            return refuse(Code::TooLarge, format!("larger than {max} bytes"));
        }
        Ok(Some(bytes))
    }

    /// Puts a file in the place of what has its name, as [`sys::replace`] does.
    ///
    /// # Errors
    /// When the directory cannot be written. The object is the file.
    pub fn replace(&self, file: &str, data: &[u8], mode: u32) -> Result<()> {
        sys::replace_at(self.spot(file), data, mode).map_err(|err| err.of(self.shown(file)))
    }

    /// Locks it, as long as the file is open that this gives.
    ///
    /// # Errors
    /// When somebody else has it locked for as long as this waits.
    pub fn lock(&self, wait: Duration) -> Result<File> {
        let failed = |err: Errno| Error::io(self.path.display().to_string(), "lock", err);
        // A lock is of what was opened, and this may be open for longer.
        let file = rustix::fs::openat(&self.dir, ".", DIR, Mode::empty()).map_err(failed)?;
        let until = Instant::now() + wait;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(File::from(file)),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => {
                    std::thread::sleep(LOCK_AGAIN);
                }
                Err(Errno::WOULDBLOCK) => {
                    let text = format!("locked by somebody else for {wait:?}");
                    return Err(Error::new(Code::Failed, self.path.display().to_string(), text));
                }
                Err(err) => return Err(failed(err)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn neither_the_state_directory_nor_what_is_in_it_is_reached_through_a_link() {
        let dir = woof_kit::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (farm, other) = (root.join("farm"), root.join("other"));
        std::fs::create_dir_all(farm.join(STATE_DIR)).unwrap();
        std::fs::create_dir_all(other.join(STATE_DIR)).unwrap();
        std::fs::write(other.join(".woof/file"), "other's").unwrap();
        symlink("../../other/.woof/file", farm.join(".woof/file")).unwrap();
        let state = StateDir::exactly(&farm).unwrap();
        let err = state.read("file", 10).unwrap_err().to_string();
        assert_eq!(err, format!("{}: a symbolic link, and not a file", farm.join(".woof/file").display()));
        assert_eq!(state.open("file", OFlags::RDWR | OFlags::CREATE).unwrap_err(), Errno::LOOP);
        // A file is put in the place of the link, and where the directory was.
        std::fs::rename(&farm, root.join("moved")).unwrap();
        symlink("other", &farm).unwrap();
        state.replace("file", b"mine", 0o644).unwrap();
        assert_eq!(state.read("file", 4).unwrap().unwrap(), b"mine");
        assert!(state.read("file", 3).unwrap_err().to_string().ends_with("larger than 3 bytes"));
        assert_eq!(state.read("none", 3).unwrap(), None);
        assert_eq!(std::fs::read(other.join(".woof/file")).unwrap(), b"other's");

        let err = StateDir::exactly(&farm).unwrap_err();
        assert_eq!(
            (err.code(), err.text()),
            (Code::Denied, "by now a symbolic link leads to another directory")
        );
        assert!(StateDir::of(&farm).is_ok(), "whoever names a link means where it leads");
        std::fs::rename(root.join("moved/.woof"), root.join("moved/.woof-moved")).unwrap();
        symlink("../other/.woof", root.join("moved/.woof")).unwrap();
        for open in [StateDir::of, StateDir::exactly] {
            let err = open(&root.join("moved")).unwrap_err();
            assert_eq!(
                (err.code(), err.text()),
                (Code::NotFound, "not a namespace: it has no directory .woof")
            );
        }
    }

    #[test]
    fn a_lock_is_not_that_of_whoever_has_the_directory_open() {
        let dir = woof_kit::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(STATE_DIR)).unwrap();
        let state = StateDir::of(dir.path()).unwrap();
        let lock = state.lock(Duration::ZERO).unwrap();
        assert!(state.lock(Duration::from_millis(5)).unwrap_err().text().contains("locked by somebody else"));
        drop(lock);
        assert!(state.lock(Duration::ZERO).is_ok());
    }
}
