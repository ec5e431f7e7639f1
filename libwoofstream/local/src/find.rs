//! Walking the directories of this machine for woofs and namespaces.
//!
//! The walk is in the order of the names' bytes, a directory before what is in it, so that two walks can be merged. It asks the predicate whether anything
//! below a directory can match before it enters.
//!
//! Failure contract: it follows no symbolic link, whatever is exchanged for one meanwhile: what is in a directory is looked at, and opened, in the one that is open.

use crate::elements::{Elements, Step};
use crate::stat;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::FIND_DEPTH_MAX;
use woof_core::name::{has_state, shown};
use woof_core::sys::{self, Spot};
use woof_core::wire::{Dir, Fault};
use woof_log::{self as log, Woof};
use woof_predicate::{Predicate, Subject};
use woof_space::{Selection, Sink};

/// Where a walk still has to look.
enum At {
    /// At a path, where it begins.
    Path(PathBuf),
    /// At a name in an open directory.
    In(Arc<OwnedFd>, OsString),
    /// In this directory.
    Open(Arc<OwnedFd>),
    /// At this woof.
    Woof(Box<Woof>),
}

/// What a walk still has to look at.
struct Place {
    at: At,
    /// Its path as whoever looks calls it.
    name: OsString,
    depth: u64,
    /// What lies in its namespace may be told of.
    readable: bool,
    /// The namespace, where it was come to on the way.
    namespace: Option<Arc<OwnedFd>>,
}

impl Place {
    /// What it is called in messages.
    fn shown(&self) -> String {
        shown(self.name.as_bytes())
    }
}

/// A walk in progress, in steps, so that who has many walks can serve them in turn.
pub struct Walk {
    predicate: Option<Predicate>,
    /// Send the elements of the woofs that match, too.
    get: bool,
    /// Places to look at, the next one last.
    rest: Vec<Place>,
    /// The woof whose elements are being sent, and its namespace, if that is known.
    elements: Option<Elements>,
    namespace: Option<Arc<OwnedFd>>,
}

impl Walk {
    /// Begins at `path`, which is called `name` in messages. Without a predicate all woofs match.
    ///
    /// # Errors
    /// When there is nothing of that name, or what is there is neither a directory nor a woof.
    pub fn open(path: &Path, name: &str, predicate: Option<&Predicate>, get: bool) -> Result<Walk> {
        let found = Spot::at(path).look().map_err(|err| Error::io(name, "", err))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            // What was named is to be a woof, and says why when it is not.
            log::open(path).map_err(|err| err.of(name))?;
        }
        Ok(Walk::new(At::Path(path.to_owned()), name, predicate, get))
    }

    /// Begins in an open directory.
    pub fn of_directory(dir: Arc<OwnedFd>, name: &str, predicate: Option<&Predicate>, get: bool) -> Walk {
        Walk::new(At::Open(dir), name, predicate, get)
    }

    /// Begins, and ends, at a woof.
    pub fn of_woof(woof: Woof, name: &str, predicate: Option<&Predicate>, get: bool) -> Walk {
        Walk::new(At::Woof(Box::new(woof)), name, predicate, get)
    }

    fn new(at: At, name: &str, predicate: Option<&Predicate>, get: bool) -> Walk {
        let first = Place { at, name: name.into(), depth: 0, readable: true, namespace: None };
        Walk { predicate: predicate.cloned(), get, rest: vec![first], elements: None, namespace: None }
    }

    /// What lies in the namespace that the walk begins in may not be told of, unless it is in one of its own below.
    #[must_use]
    pub fn hidden(mut self) -> Walk {
        self.rest.iter_mut().for_each(|place| place.readable = false);
        self
    }

    /// Looks at one more place, or gives out up to `most` elements of a woof. `may_read` says whether may be told what is in a
    /// namespace, given by its open directory; what cannot is passed over in silence.
    ///
    /// # Errors
    /// Those of the sink. What cannot be looked at is a fault in the stream.
    pub fn step(
        &mut self,
        sink: &mut dyn Sink,
        most: u64,
        may_read: &mut dyn FnMut(&Arc<OwnedFd>) -> bool,
    ) -> Result<Step> {
        if let Some(elements) = &mut self.elements {
            if elements.step(sink, most)? == Step::Done {
                self.elements = None;
            }
            return Ok(Step::More);
        }
        let Some(place) = self.rest.pop() else { return Ok(Step::Done) };
        match self.look(place, sink, may_read) {
            // Removed meanwhile.
            Err(Looked::Failed(_, Errno::NOENT)) | Ok(()) => {}
            Err(Looked::Failed(name, err)) => sink.fault(&Fault::from(&Error::io(name, "", err)))?,
            Err(Looked::Over(err)) => return Err(err),
        }
        if let Some(trouble) = self.predicate.as_ref().and_then(Predicate::trouble) {
            sink.fault(&Fault::from(&trouble))?;
        }
        Ok(Step::More)
    }

    fn look(
        &mut self,
        place: Place,
        sink: &mut dyn Sink,
        may_read: &mut dyn FnMut(&Arc<OwnedFd>) -> bool,
    ) -> std::result::Result<(), Looked> {
        let failed = |err| Looked::Failed(place.shown(), err);
        let dir = match &place.at {
            At::Open(dir) => Arc::clone(dir),
            At::Woof(woof) => {
                let woof = Woof::clone(woof);
                if place.readable {
                    self.woof(woof, &place, sink)?;
                }
                return Ok(());
            }
            At::Path(path) => match self.look_at(Spot::at(path), &place, sink)? {
                None => return Ok(()),
                Some(()) => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    Arc::new(rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?)
                }
            },
            At::In(above, file) => {
                match self.look_at(Spot::exactly((**above).as_fd(), file), &place, sink)? {
                    None => return Ok(()),
                    Some(()) => match sys::open_step(above, file) {
                        // It is none any more.
                        Err(Errno::LOOP | Errno::NOTDIR) => return Ok(()),
                        dir => Arc::new(dir.map_err(failed)?),
                    },
                }
            }
        };
        Ok(self.directory(place, dir, sink, may_read)?)
    }

    /// Looks at what has a name; `Some` for a directory.
    fn look_at(
        &mut self,
        spot: Spot<'_>,
        place: &Place,
        sink: &mut dyn Sink,
    ) -> std::result::Result<Option<()>, Looked> {
        let found = spot.look().map_err(|err| Looked::Failed(place.shown(), err))?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => return Ok(Some(())),
            FileType::RegularFile if place.readable => self.file(spot, place, sink)?,
            _ => {}
        }
        Ok(None)
    }

    fn file(&mut self, spot: Spot<'_>, place: &Place, sink: &mut dyn Sink) -> Result<()> {
        match is_woof(spot) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(err) => return sink.fault(&Fault::from(&Error::io(place.shown(), "open", err))),
        }
        match log::open_at(spot) {
            Ok(woof) => self.woof(woof, place, sink),
            Err(err) => sink.fault(&Fault::from(&err.of(place.shown()))),
        }
    }

    fn woof(&mut self, woof: Woof, place: &Place, sink: &mut dyn Sink) -> Result<()> {
        let dir = stat::stat_of(&woof, &place.name);
        if !self.matches(&dir, place.depth, sink)? {
            return Ok(());
        }
        if !self.get {
            return sink.dir(&dir);
        }
        match Elements::of(woof, &place.name, &Selection::default()) {
            Ok(elements) => {
                sink.dir(elements.context())?;
                self.elements = Some(elements);
                self.namespace = place.namespace.clone();
                Ok(())
            }
            Err(err) => sink.fault(&Fault::from(&err)),
        }
    }

    fn directory(
        &mut self,
        place: Place,
        open: Arc<OwnedFd>,
        sink: &mut dyn Sink,
        may_read: &mut dyn FnMut(&Arc<OwnedFd>) -> bool,
    ) -> Result<()> {
        let stat: Option<Stat> = rustix::fs::fstat(&open).ok();
        let dir = stat::of_namespace(&place.name, stat.as_ref());
        let mut readable = place.readable;
        let mut namespace = place.namespace.clone();
        if has_state(&open) {
            readable = may_read(&open);
            namespace = Some(Arc::clone(&open));
            if readable && self.predicate.is_some() && self.matches(&dir, place.depth, sink)? {
                sink.dir(&dir)?;
            }
        }
        let subject = Subject { attrs: Some(&dir), depth: Some(place.depth), ..Subject::default() };
        if self.predicate.as_ref().is_some_and(|predicate| !predicate.below(&subject)) {
            return Ok(());
        }
        if place.depth >= FIND_DEPTH_MAX {
            let text = format!("{FIND_DEPTH_MAX} directories deep: what is below is not looked at");
            return sink.fault(&Fault::from(&Error::new(Code::TooLarge, place.shown(), text)));
        }
        let shown = place.shown();
        match names_in(&open) {
            Ok(names) => self.rest.extend(names.into_iter().rev().map(|name| Place {
                name: join(Path::new(&place.name), &name).into_os_string(),
                at: At::In(Arc::clone(&open), name),
                depth: place.depth + 1,
                readable,
                namespace: namespace.clone(),
            })),
            Err(_) if !readable => {}
            Err(err) => sink.fault(&Fault::from(&Error::io(shown, "read directory", err)))?,
        }
        Ok(())
    }

    /// The namespace of the woof whose elements are being sent, where it was come to on the way.
    pub fn reading(&self) -> Option<&Arc<OwnedFd>> {
        self.elements.as_ref().and(self.namespace.as_ref())
    }

    /// Whether this is wanted; without a predicate, woofs are.
    fn matches(&self, dir: &Dir, depth: u64, sink: &mut dyn Sink) -> Result<bool> {
        let Some(predicate) = &self.predicate else { return Ok(dir.text("type") == Some("woof")) };
        let matches =
            predicate.matches(&Subject { attrs: Some(dir), depth: Some(depth), ..Subject::default() });
        if let Some(over) = predicate.over() {
            let name = dir.text("path").unwrap_or_default();
            let text = format!("predicate: its evaluation {over}");
            sink.fault(&Fault::from(&Error::new(Code::TooLarge, name, text)))?;
        }
        predicate.ended().map_or(Ok(matches), Err)
    }
}

/// Why a place was not looked at.
enum Looked {
    /// The system refuses, for what is called this.
    Failed(String, Errno),
    /// The sink takes no more.
    Over(Error),
}

impl From<Error> for Looked {
    fn from(err: Error) -> Looked {
        Looked::Over(err)
    }
}

/// The names in a directory in order, those that begin with a dot left out.
fn names_in(dir: &OwnedFd) -> std::result::Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for entry in rustix::fs::Dir::new(rustix::fs::openat(dir, ".", flags, Mode::empty())?)? {
        let name = entry?.file_name().to_owned().into_bytes();
        if !name.starts_with(b".") {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The path of an entry, without `./` before it.
fn join(dir: &Path, name: &OsStr) -> PathBuf {
    if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) }
}

/// True for a file that begins as a woof does.
fn is_woof(spot: Spot<'_>) -> std::io::Result<bool> {
    let mut start = [0; 8];
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    match File::from(spot.open(flags, Mode::empty())?).read_exact(&mut start) {
        Ok(()) => Ok(log::is_woof(&start)),
        Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Local;
    use woof_core::error::Code;
    use woof_space::{Collected, Create, Space as _};

    fn found(root: &Path, expression: Option<&str>) -> (Vec<String>, Vec<Code>) {
        let predicate = expression.map(|text| Predicate::compile(text).unwrap());
        let mut seen = Collected::default();
        Local::default().find(root.to_str().unwrap(), predicate.as_ref(), false, &mut seen).unwrap();
        let root = format!("{}/", root.to_str().unwrap());
        (
            seen.paths().iter().map(|path| path.replace(&root, "")).collect(),
            seen.faults.iter().map(|fault| fault.to_error().code()).collect(),
        )
    }

    #[test]
    fn woofs_are_found_in_order_and_what_is_not_one_is_left_out() {
        let dir = woof_kit::tempdir().unwrap();
        let root = dir.path();
        let make = |name: &str, history| {
            let options = log::Options { history, capacity: 4096, ..log::Options::default() };
            let create = Create { options, parents: true, reset: false };
            Local::default().create(root.join(name).to_str().unwrap(), &create).unwrap();
        };
        make("b/temp", 10);
        make("a/deep/x", 20);
        make("a/alerts", 30);
        std::fs::write(root.join("a/notes.txt"), "text").unwrap();
        std::fs::write(root.join("a/old"), b"\x89wooflog then rubbish").unwrap();
        std::os::unix::fs::symlink("b", root.join("link")).unwrap();
        let (woofs, faults) = found(root, None);
        assert_eq!(woofs, ["a/alerts", "a/deep/x", "b/temp"]);
        assert_eq!(faults, [Code::Unsupported]);
        assert_eq!(found(root, Some("history > 15")).0, ["a/alerts", "a/deep/x"]);
        // The first that was missing above a woof is made a namespace with it.
        assert_eq!(found(root, Some("type == 'namespace'")).0, ["a/deep", "b"]);
        assert_eq!(found(root, Some("depth <= 2 && type == 'woof'")).0, ["a/alerts", "b/temp"]);
        assert_eq!(found(&root.join("b/temp"), None).0.len(), 1);
    }
}
