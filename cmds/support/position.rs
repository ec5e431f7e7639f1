//! How far a reader of a woof has come, kept under a name: beside a woof of this machine in `.woof/positions/NAME`, of a woof at a
//! server in `woofstream/positions/NAME` in the user's state directory.
//!
//! The file is text of five lines, the last of them a checksum (CRC-32C) of the others:
//!
//! ```text
//! woofstream position 1
//! woof "temp"
//! made 1795309323000000004
//! done 41
//! sum 8c4a10fd
//! ```
//!
//! `woof` is the file name of the woof, or its name at a server, quoted; `made` is when it was made, in nanoseconds since 1970, so that a new woof of
//! the same name is told from the old one; `done` is the last element that is done with, 0 before the first. The numbers are
//! filled up with blanks, so that the file keeps its length and is written in place: see
//! `docs/decisions/0006-positions.md`.
//!
//! Failure contract: a kill leaves the record before or the one after, and so does a power loss where the disk writes a sector
//! as a whole. A file that is neither is an error with its name and is left as it is. One process holds a position at a time,
//! by a lock on the file.

use libwoofstream::error::{Code, Error, Result};
use libwoofstream::sys;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// A name takes part in the name of a passing file.
const NAME_MAX: usize = 200;
const FIRST_LINE: &str = "woofstream position 1";
/// Of larger files no more is read: they are no positions.
const FILE_MAX: u64 = 4096;

/// Where the positions of a woof are kept, and what they call it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    woof: String,
}

impl Place {
    /// Beside the woof at this path.
    pub(crate) fn beside(path: &Path) -> Place {
        let beside = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Place {
            dir: beside.join(".woof/positions"),
            woof: format!("{:?}", path.file_name().unwrap_or_default()),
        }
    }

    /// In the state directory of this user, for a woof that is somewhere else.
    ///
    /// # Errors
    /// When there is no such directory.
    pub(crate) fn of_user(woof: &str) -> Result<Place> {
        let text = "no place for its position: neither XDG_STATE_HOME nor HOME is set";
        let state = super::names::user_dir("XDG_STATE_HOME", ".local/state")
            .ok_or_else(|| Error::new(Code::NotFound, woof, text))?;
        Ok(Place { dir: state.join("woofstream/positions"), woof: format!("{woof:?}") })
    }
}

/// A position, held by this process.
#[derive(Debug)]
pub(crate) struct Position {
    /// Locked as long as this lives.
    file: File,
    path: PathBuf,
    /// The woof as its line in the file has it.
    woof: String,
    made_ns: u64,
    done: u64,
    /// The position is kept for a woof of this name that was made at another time.
    of_another: bool,
}

impl Position {
    /// Takes the position `name` for the woof of `place`, which was made at `made_ns`. A new one begins after element `done`,
    /// and is durable when this returns.
    ///
    /// # Errors
    /// When the name can be no file name, somebody else holds the position, it is one of another woof, or its file is
    /// empty or damaged.
    pub(crate) fn take(place: &Place, made_ns: u64, name: &str, done: u64) -> Result<Position> {
        let legal = |name: &str| {
            !name.is_empty() && !name.starts_with('.') && !name.contains(|c: char| c == '/' || c.is_control())
        };
        if !legal(name) || name.len() > NAME_MAX {
            let text = "cannot be the name of a position: up to 200 bytes without / and control characters, no dot first";
            return Err(Error::new(Code::Invalid, name, format!("{text} (--keep)")));
        }
        let Place { dir, woof } = place.clone();
        fs::create_dir_all(&dir).map_err(|err| Error::io(shown(&dir), "make the directory", err))?;
        let path = dir.join(name);
        let file = hold(&path, name, &compose(&woof, made_ns, done))?;
        let mut position = Position { file, path, woof, made_ns, done, of_another: false };
        position.load()?;
        Ok(position)
    }

    /// The last element that is done with.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Whether what was kept is about an earlier woof of the same name; then [`Position::done`] is 0.
    pub(crate) fn is_of_another(&self) -> bool {
        self.of_another
    }

    /// Keeps that all elements up to `seqno` are done with. It is durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep(&mut self, seqno: u64) -> Result<()> {
        if self.done == seqno && !self.of_another {
            return Ok(());
        }
        let text = compose(&self.woof, self.made_ns, seqno);
        let written = self.file.write_all_at(text.as_bytes(), 0).and_then(|()| self.file.sync_data());
        written.map_err(|err| Error::io(shown(&self.path), "write", err))?;
        (self.done, self.of_another) = (seqno, false);
        Ok(())
    }

    fn load(&mut self) -> Result<()> {
        let refused = |what: &str| {
            let text = format!("position file is {what}: remove it to begin anew");
            Err(Error::new(Code::Damaged, shown(&self.path), text))
        };
        let mut text = Vec::new();
        let read = (&self.file).take(FILE_MAX).read_to_end(&mut text);
        if read.map_err(|err| Error::io(shown(&self.path), "read", err))? == 0 {
            return refused("empty");
        }
        let Some((woof, made_ns, done)) = std::str::from_utf8(&text).ok().and_then(parse) else {
            return refused("damaged");
        };
        if woof != self.woof {
            let text = format!(
                "position is one of the woof {woof}, not of {} (--keep names another one)",
                self.woof
            );
            return Err(Error::new(Code::Invalid, shown(&self.path), text));
        }
        self.of_another = made_ns != self.made_ns;
        self.done = if self.of_another { 0 } else { done };
        Ok(())
    }
}

/// Opens and locks the file of a position, which is made with `first` in it when it is not there.
fn hold(path: &Path, name: &str, first: &str) -> Result<File> {
    let failed = |doing: &'static str| move |err: std::io::Error| Error::io(shown(path), doing, err);
    loop {
        let file = match File::options().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(err) if err.kind() == ErrorKind::NotFound => {
                make(path, first).map_err(failed("make"))?;
                continue;
            }
            Err(err) => return Err(failed("open")(err)),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let text = format!("position {name} is in use by another wrun (--keep names another one)");
                return Err(Error::new(Code::Exists, "", text));
            }
            Err(err) => return Err(failed("lock")(err.into())),
        }
        // Removed between the two, it is no position any more.
        let held = file.metadata().map_err(failed("open"))?;
        if fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
            return Ok(file);
        }
    }
}

/// Makes the file under a passing name and gives it its own when it is whole. Somebody else may have made it by then.
fn make(path: &Path, text: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let passing = dir.join(format!(".new-position-{:016x}", sys::random_u64()));
    let made = File::create_new(&passing).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&passing, path) {
            Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    let _ = fs::remove_file(&passing);
    made?;
    File::open(dir)?.sync_all()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn compose(woof: &str, made_ns: u64, done: u64) -> String {
    let lines = format!("{FIRST_LINE}\nwoof {woof}\nmade {made_ns:<20}\ndone {done:<20}\n");
    let sum = crc32c::crc32c(lines.as_bytes());
    format!("{lines}sum {sum:08x}\n")
}

/// The woof, when it was made, and what is done; `None` for anything that [`compose`] did not write.
fn parse(text: &str) -> Option<(&str, u64, u64)> {
    let mut lines = text.lines();
    let _ = lines.next().filter(|line| *line == FIRST_LINE)?;
    let woof = lines.next()?.strip_prefix("woof ")?;
    let made_ns = lines.next()?.strip_prefix("made ")?.trim_end().parse().ok()?;
    let done = lines.next()?.strip_prefix("done ")?.trim_end().parse().ok()?;
    (compose(woof, made_ns, done) == text).then_some((woof, made_ns, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(dir: &Path) -> Result<Position> {
        Position::take(&Place::beside(&dir.join("temp")), 7, "temp-log", 3)
    }

    #[test]
    fn a_position_is_kept_for_the_next_one_who_takes_it() {
        let dir = tempfile::tempdir().unwrap();
        let position = take(dir.path()).unwrap();
        assert_eq!(position.done(), 3);
        drop(position);
        let mut position = take(dir.path()).unwrap();
        assert_eq!(position.done(), 3);
        position.keep(41).unwrap();
        drop(position);
        assert_eq!(
            fs::read_to_string(dir.path().join(".woof/positions/temp-log")).unwrap(),
            "woofstream position 1\nwoof \"temp\"\nmade 7                   \ndone 41                  \nsum 1858ce5b\n"
        );
        assert_eq!(take(dir.path()).unwrap().done(), 41);
    }

    #[test]
    fn a_position_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let position = take(dir.path()).unwrap();
        let err = take(dir.path()).unwrap_err();
        assert_eq!(err.to_string(), "position temp-log is in use by another wrun (--keep names another one)");
        drop(position);
        assert!(take(dir.path()).is_ok());
    }

    #[test]
    fn every_torn_file_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        take(dir.path()).unwrap().keep(4123).unwrap();
        let path = dir.path().join(".woof/positions/temp-log");
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let what = if len == 0 { "empty" } else { "damaged" };
            assert_eq!(
                take(dir.path()).unwrap_err().to_string(),
                format!("{}: position file is {what}: remove it to begin anew", path.display())
            );
            assert_eq!(fs::read(&path).unwrap(), &whole[..len]);
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(take(dir.path()).unwrap().done(), 4123);
        fs::write(&path, String::from_utf8(whole).unwrap().replace("4123", "4124")).unwrap();
        assert_eq!(take(dir.path()).unwrap_err().code(), Code::Damaged);
    }

    #[test]
    fn a_woof_that_was_made_anew_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        take(dir.path()).unwrap().keep(41).unwrap();
        let mut position =
            Position::take(&Place::beside(&dir.path().join("temp")), 8, "temp-log", 3).unwrap();
        assert_eq!((position.done(), position.is_of_another()), (0, true));
        position.keep(0).unwrap();
        drop(position);
        let position = Position::take(&Place::beside(&dir.path().join("temp")), 8, "temp-log", 3).unwrap();
        assert_eq!((position.done(), position.is_of_another()), (0, false));
    }

    #[test]
    fn a_position_of_another_woof_or_without_a_good_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        take(dir.path()).unwrap().keep(1).unwrap();
        let err = Position::take(&Place::beside(&dir.path().join("wind")), 7, "temp-log", 3).unwrap_err();
        assert!(err.text().starts_with("position is one of the woof \"temp\", not of \"wind\""), "{err}");
        for name in ["", ".hidden", "a/b", "a\nb", &"x".repeat(201)] {
            assert_eq!(
                Position::take(&Place::beside(&dir.path().join("temp")), 7, name, 3).unwrap_err().code(),
                Code::Invalid
            );
        }
    }
}
