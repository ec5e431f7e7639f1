//! How far a reader of a woof has come, kept under a name: beside a woof of this machine in `.woof/positions/NAME`, of a woof at a
//! server in `woofstream/positions/NAME` in the user's state directory.
//!
//! The file is text of seven lines, the last of them a checksum (CRC-32C) of the others:
//!
//! ```text
//! woofstream position 1
//! woof "temp"
//! made 1795309323000000004
//! done 41
//! last 41 1795309324000000007
//! token 00112233445566778899aabbccddeeff
//! sum 8c4a10fd
//! ```
//!
//! `woof` is the file name of the woof, or its name at a server, quoted; `made` is when it was made, in nanoseconds since 1970, so that a new woof of
//! the same name is told from the old one; `done` is the last element that is done with, 0 before the first. `last` is the newest
//! of those of which the time is known, with that. When the woof has another element of that number, numbers came again. The first half of `token` is made
//! anew by each process that takes the position: only a stream of that process moves it ([`Moved`], `docs/decisions/0008-kept-positions.md`). Its
//! second half is the writer id with which elements are stamped that are put elsewhere. It is made anew when numbers of the woof may come
//! again, so streams in which a number is the same element have it in common. The numbers are
//! filled up with blanks, so that the file keeps its length and is written in place: see
//! `docs/decisions/0006-positions.md`.
//!
//! Failure contract: a kill leaves the record before or the one after, and so does a power loss where the disk writes a sector
//! as a whole. A file that is neither is an error with its name and is left as it is. One process holds a position at a time,
//! by a lock on the file; who changes the record holds a lock on its first byte meanwhile.

mod again;
mod awaited;
mod moved;
mod record;

pub(crate) use awaited::Awaited;
pub(crate) use moved::{Arrivals, Moved, NotMoved, Reached, is_not_moved, writer_of};

use super::env::Env;
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::space::{Space as _, Spaces, Target};
use libwoofstream::sys::{Spot, Temporary};
use libwoofstream::wire;
use record::{Locked, Record, Token};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// A name takes part in the name of a passing file.
const NAME_MAX: usize = 200;

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
    record: Record,
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
        let mut record = Record { woof, made_ns, done, last: (0, 0), token: Token::of_new_numbers() };
        let file = hold(&path, name, &record.compose())?;
        let of_path = |err: Error| if err.object().is_empty() { err.of(shown(&path)) } else { err };
        let held = {
            // Who puts away what the last holder sent may be at work still. Behind this lock it knows that it is not its position any
            // more.
            let _locked = Locked::change(&file).map_err(of_path)?;
            let mut held = load(&file, &path, &record.woof)?;
            held.token = held.token.of_next_stream();
            file.write_all_at(held.compose().as_bytes(), 0)
                .map_err(|err| Error::io(shown(&path), "write", err))?;
            held
        };
        let of_another = held.made_ns != made_ns;
        if of_another {
            record.done = 0;
        } else {
            (record.done, record.last, record.token) = (held.done, held.last, held.token);
        }
        Ok(Position { file, path, record, of_another })
    }

    /// The last element that is done with.
    pub(crate) fn done(&self) -> u64 {
        self.record.done
    }

    /// Whether what was kept is about an earlier woof of the same name; then [`Position::done`] is 0.
    pub(crate) fn is_of_another(&self) -> bool {
        self.of_another
    }

    /// Keeps that all elements up to `seqno`, which has this time if that is known, are done with. It is durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep(&mut self, seqno: u64, time_ns: Option<u64>) -> Result<()> {
        if self.record.done == seqno && !self.of_another {
            return Ok(());
        }
        if seqno < self.record.done {
            // The numbers behind it come again for other elements, which must not be taken for those that had them.
            self.record.token = Token::of_new_numbers();
            self.record.last = (0, 0);
        }
        self.record.done = seqno;
        if let Some(time_ns) = time_ns {
            self.record.last = (seqno, time_ns);
        }
        let of_path = |err: Error| err.of(shown(&self.path));
        let _locked = Locked::change(&self.file).map_err(of_path)?;
        let text = self.record.compose();
        let written = self.file.write_all_at(text.as_bytes(), 0).and_then(|()| self.file.sync_data());
        written.map_err(|err| Error::io(shown(&self.path), "write", err))?;
        self.of_another = false;
        Ok(())
    }

    /// The first element to go on with, of a woof whose next one will be `next`; what is odd about that is said.
    ///
    /// # Errors
    /// When the position cannot be written.
    pub(crate) fn go_on(&mut self, next: u64, name: &str, env: &Env) -> Result<u64> {
        let mut done = self.done();
        if self.is_of_another() {
            env.messages()
                .note(&format!("{name}: woof was made anew since: beginning with its first element"));
        } else if let Some(begin) = again::begin(&env.spaces(), name, self.record.last, next)?
            && begin <= done
            && begin < next
        {
            let how = format!("{name}: elements from {begin} on are others than those that were done with");
            let why = "an older copy of the woof was put back, or a power failure took some";
            env.messages().note(&format!("{how}, as {why}: going on with {begin}"));
            done = begin - 1;
        } else if done >= next {
            // Numbers can come again when a power loss took elements that were not synced.
            let lost = format!("{name}: position is after element {done}, the newest is {}", next - 1);
            env.messages().note(&format!("{lost}: going on from there"));
            done = next - 1;
        }
        self.keep(done, None)?;
        Ok(done + 1)
    }

    /// The name it is kept under.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// How far whoever has the elements has moved it by now.
    ///
    /// # Errors
    /// When the file cannot be read, or has no position in it any more.
    pub(crate) fn look(&mut self) -> Result<u64> {
        let _locked = Locked::change(&self.file).map_err(|err| err.of(shown(&self.path)))?;
        self.record.done = load(&self.file, &self.path, &self.record.woof)?.done;
        Ok(self.record.done)
    }

    /// Whether somebody has elements in hand that were sent for it.
    pub(crate) fn is_carried(&self) -> bool {
        record::is_carried(&self.file)
    }

    /// The message that lets whoever puts elements of `woof` away move this position.
    ///
    /// # Errors
    /// When the file has no absolute path that is text.
    pub(crate) fn message(&self, woof: &str) -> Result<wire::Position> {
        let path = fs::canonicalize(&self.path).map_err(|err| Error::io(shown(&self.path), "", err))?;
        let path = path
            .into_os_string()
            .into_string()
            .map_err(|_| Error::new(Code::Invalid, shown(&self.path), "its path is not UTF-8"))?;
        let Record { made_ns, done, last, token, .. } = self.record;
        Ok(wire::Position { seqno: done, made_ns, last, token: token.0, path, woof: woof.to_owned() })
    }
}

/// What positions call a woof that is not one file of this machine.
///
/// # Errors
/// For what can be no name.
pub(crate) fn woof_of(spaces: &Spaces, name: &str) -> Result<String> {
    Ok(match spaces.resolve(name)?.targets.as_slice() {
        [Target::Remote(address)] => address.to_string(),
        // Which one of a union it is may change; when it was made tells.
        _ => name.to_owned(),
    })
}

/// When a woof was made, and the seqno of its next element.
pub(crate) fn attributes(spaces: &Spaces, name: &str) -> Result<(u64, u64)> {
    let dir = spaces.stat(name)?;
    let number = |attr: &str| {
        dir.uint(attr)
            .ok_or_else(|| Error::new(Code::Unsupported, name, format!("says nothing of its {attr}")))
    };
    Ok((number("created")?, number("next_seqno")?))
}

/// What the file has in it.
fn load(file: &File, path: &Path, woof: &str) -> Result<Record> {
    let refused = |what: &str| {
        let text = format!("position file is {what}: remove it to begin anew");
        Err(Error::new(Code::Damaged, shown(path), text))
    };
    let text = Record::read(file).map_err(|err| Error::io(shown(path), "read", err))?;
    if text.is_empty() {
        return refused("empty");
    }
    let Some(record) = Record::parse(&text) else { return refused("damaged") };
    if record.woof != woof {
        let text =
            format!("position is one of the woof {}, not of {woof} (--keep names another one)", record.woof);
        return Err(Error::new(Code::Invalid, shown(path), text));
    }
    Ok(record)
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
                let text = format!("position {name} is in use by another program (--keep names another one)");
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
    let fresh = Temporary::make(Spot::at(path), Mode::from_raw_mode(0o666))?;
    let mut file = fresh.file();
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match fresh.take_name(false) {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {}
        named => named?,
    }
    File::open(dir)?.sync_all()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(dir: &Path) -> Result<Position> {
        Position::take(&Place::beside(&dir.join("temp")), 7, "temp-log", 3)
    }

    /// The same where nobody has it. A program that another test starts has a copy of each open file, and so of the lock, until it is
    /// executed.
    fn taken(dir: &Path) -> Position {
        let mut position = None;
        woof_kit::until("the position is free", || match take(dir) {
            Err(err) if err.code() == Code::Exists => false,
            taken => {
                position = Some(taken.unwrap());
                true
            }
        });
        position.unwrap()
    }

    #[test]
    fn a_position_is_kept_for_the_next_one_who_takes_it() {
        let dir = woof_kit::tempdir().unwrap();
        let position = taken(dir.path());
        assert_eq!(position.done(), 3);
        drop(position);
        let mut position = taken(dir.path());
        assert_eq!(position.done(), 3);
        position.keep(41, Some(9)).unwrap();
        drop(position);
        let text = fs::read_to_string(dir.path().join(".woof/positions/temp-log")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "woofstream position 1",
                "woof \"temp\"",
                "made 7                   ",
                "done 41                  ",
                "last 41                   9                   "
            ]
        );
        assert_eq!(taken(dir.path()).done(), 41);
    }

    #[test]
    fn streams_have_the_writer_in_common_as_long_as_their_numbers_are_of_the_same_elements() {
        let dir = woof_kit::tempdir().unwrap();
        let message = |position: &Position| position.message("temp").unwrap();
        let taken = || taken(dir.path());
        let writer = |message: &wire::Position| message.token[8..].to_vec();
        let position = taken();
        let first = message(&position);
        let moved = Moved::find(&first).unwrap();
        assert!(position.is_carried());
        drop(position);
        let mut position = taken();
        let second = message(&position);
        assert_ne!(first.token, second.token);
        assert_eq!(writer(&first), writer(&second));
        // It moves nothing any more.
        moved.to(Reached { seqno: 9, last: (9, 1) }).unwrap();
        assert_eq!(position.look().unwrap(), 3);
        assert!(matches!(Moved::find(&first), Err(NotMoved::IsOld)));
        Moved::find(&second).unwrap().to(Reached { seqno: 9, last: (9, 1) }).unwrap();
        assert_eq!(position.look().unwrap(), 9);
        drop(moved);
        assert!(!position.is_carried());
        // The numbers behind it come again.
        position.keep(2, None).unwrap();
        assert!(Moved::find(&second).is_err());
        assert_ne!(writer(&message(&position)), writer(&second));
        drop(position);
        let another = Position::take(&Place::beside(&dir.path().join("temp")), 8, "temp-log", 0).unwrap();
        assert!(Moved::find(&message(&another)).is_err(), "not before it is kept");
    }

    #[test]
    fn a_position_that_cannot_be_moved_from_here_says_why() {
        let dir = woof_kit::tempdir().unwrap();
        let position = taken(dir.path());
        let message = position.message("temp").unwrap();
        let why = |path: &Path| {
            let message = wire::Position { path: shown(path), ..message.clone() };
            Moved::find(&message).map(drop).unwrap_err()
        };
        let because = |text: &str| NotMoved::Because(text.to_owned());
        let place = dir.path().join(".woof/positions");
        assert_eq!(why(&dir.path().join("temp")), because("no place where positions are kept"));
        assert_eq!(why(&place.join("nosuch")), because("no such file or directory"));
        std::os::unix::fs::symlink("temp-log", place.join("link")).unwrap();
        assert!(matches!(why(&place.join("link")), NotMoved::Because(_)));
        fs::write(place.join("other"), "text").unwrap();
        assert_eq!(why(&place.join("other")), because("no position"));
        // Whose home it is does not matter: only the stream itself has the token.
        let home = dir.path().join("state/woofstream/positions");
        fs::create_dir_all(&home).unwrap();
        fs::copy(&message.path, home.join("up")).unwrap();
        let message = wire::Position { path: shown(&home.join("up")), ..message.clone() };
        assert!(Moved::find(&message).is_ok());
    }

    #[test]
    fn a_position_is_held_by_one_at_a_time() {
        let dir = woof_kit::tempdir().unwrap();
        let position = taken(dir.path());
        let err = take(dir.path()).unwrap_err();
        assert_eq!(
            err.to_string(),
            "position temp-log is in use by another program (--keep names another one)"
        );
        drop(position);
        taken(dir.path());
    }

    #[test]
    fn every_torn_file_is_refused_and_left_as_it_is() {
        let dir = woof_kit::tempdir().unwrap();
        taken(dir.path()).keep(4123, None).unwrap();
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
        assert_eq!(taken(dir.path()).done(), 4123);
        fs::write(&path, String::from_utf8(whole).unwrap().replace("4123", "4124")).unwrap();
        assert_eq!(take(dir.path()).unwrap_err().code(), Code::Damaged);
    }

    #[test]
    fn a_woof_that_was_made_anew_begins_anew() {
        let dir = woof_kit::tempdir().unwrap();
        taken(dir.path()).keep(41, None).unwrap();
        let mut position =
            Position::take(&Place::beside(&dir.path().join("temp")), 8, "temp-log", 3).unwrap();
        assert_eq!((position.done(), position.is_of_another()), (0, true));
        position.keep(0, None).unwrap();
        drop(position);
        let position = Position::take(&Place::beside(&dir.path().join("temp")), 8, "temp-log", 3).unwrap();
        assert_eq!((position.done(), position.is_of_another()), (0, false));
    }

    #[test]
    fn a_position_of_another_woof_or_without_a_good_name_is_refused() {
        let dir = woof_kit::tempdir().unwrap();
        taken(dir.path()).keep(1, None).unwrap();
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
