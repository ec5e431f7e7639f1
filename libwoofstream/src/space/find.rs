//! Walking the directories of this machine for woofs and namespaces.
//!
//! The walk is in the order of the names' bytes, a directory before what is in it, so that two walks can be merged. It does
//! not follow symbolic links, and asks the predicate whether anything below a directory can match before it enters.

use super::elements::{Elements, Step};
use super::{Selection, Sink, attrs};
use crate::error::{Error, Result};
use crate::log;
use crate::name::STATE_DIR;
use crate::predicate::{Predicate, Subject};
use crate::wire::{Dir, Fault};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a walk still has to look at.
struct Place {
    path: PathBuf,
    /// What it is called in messages.
    name: String,
    depth: u64,
    /// What lies in its namespace may be told of.
    readable: bool,
}

/// A walk in progress, in steps, so that who has many walks can serve them in turn.
pub struct Walk {
    predicate: Option<Predicate>,
    /// Send the elements of the woofs that match, too.
    get: bool,
    /// Places to look at, the next one last.
    rest: Vec<Place>,
    /// The woof whose elements are being sent.
    elements: Option<Elements>,
}

impl Walk {
    /// Begins at `path`, which is called `name` in messages. Without a predicate all woofs match.
    ///
    /// # Errors
    /// When there is nothing of that name, or what is there is neither a directory nor a woof.
    pub fn open(path: &Path, name: &str, predicate: Option<&Predicate>, get: bool) -> Result<Walk> {
        let metadata = path.symlink_metadata().map_err(|err| Error::io(name, "", err))?;
        if !metadata.is_dir() {
            // What was named is to be a woof, and says why when it is not.
            log::open(path).map_err(|err| err.of(name))?;
        }
        let first = Place { path: path.to_owned(), name: name.to_owned(), depth: 0, readable: true };
        Ok(Walk { predicate: predicate.cloned(), get, rest: vec![first], elements: None })
    }

    /// What lies in the namespace that the walk begins in may not be told of, unless it is in one of its own below.
    #[must_use]
    pub fn hidden(mut self) -> Walk {
        self.rest.iter_mut().for_each(|place| place.readable = false);
        self
    }

    /// Looks at one more place, or gives out up to `most` elements of a woof. `may_read` says whether may be told what is in a
    /// namespace; what cannot is passed over in silence.
    ///
    /// # Errors
    /// Those of the sink. What cannot be looked at is a fault in the stream.
    pub fn step(
        &mut self,
        sink: &mut dyn Sink,
        most: u64,
        may_read: &mut dyn FnMut(&Path) -> bool,
    ) -> Result<Step> {
        if let Some(elements) = &mut self.elements {
            if elements.step(sink, most)? == Step::Done {
                self.elements = None;
            }
            return Ok(Step::More);
        }
        let Some(place) = self.rest.pop() else { return Ok(Step::Done) };
        let metadata = match place.path.symlink_metadata() {
            Ok(metadata) => metadata,
            // Removed meanwhile.
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Step::More),
            Err(err) => {
                sink.fault(&Fault::from(&Error::io(&*place.name, "", err)))?;
                return Ok(Step::More);
            }
        };
        if metadata.is_file() && place.readable {
            self.file(&place, &metadata, sink)?;
        } else if metadata.is_dir() {
            self.directory(place, &metadata, sink, may_read)?;
        }
        if let Some(trouble) = self.predicate.as_ref().and_then(Predicate::trouble) {
            sink.fault(&Fault::from(&trouble))?;
        }
        Ok(Step::More)
    }

    fn file(&mut self, place: &Place, metadata: &std::fs::Metadata, sink: &mut dyn Sink) -> Result<()> {
        let name = &*place.name;
        match is_woof(&place.path) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(err) => return sink.fault(&Fault::from(&Error::io(name, "open", err))),
        }
        let woof = match log::open(&place.path) {
            Ok(woof) => woof,
            Err(err) => return sink.fault(&Fault::from(&err.of(name))),
        };
        let dir = attrs::of_woof(name, &woof.status(), Some(metadata));
        if !self.matches(&dir, place.depth) {
            return Ok(());
        }
        if !self.get {
            return sink.dir(&dir);
        }
        match Elements::open(&place.path, name, &Selection::default()) {
            Ok(elements) => {
                sink.dir(elements.context())?;
                self.elements = Some(elements);
                Ok(())
            }
            Err(err) => sink.fault(&Fault::from(&err)),
        }
    }

    fn directory(
        &mut self,
        place: Place,
        metadata: &std::fs::Metadata,
        sink: &mut dyn Sink,
        may_read: &mut dyn FnMut(&Path) -> bool,
    ) -> Result<()> {
        let dir = attrs::of_namespace(&place.name, Some(metadata));
        let mut readable = place.readable;
        if place.path.join(STATE_DIR).is_dir() {
            readable = may_read(&place.path);
            if readable && self.predicate.is_some() && self.matches(&dir, place.depth) {
                sink.dir(&dir)?;
            }
        }
        let subject = Subject { attrs: Some(&dir), depth: Some(place.depth), ..Subject::default() };
        if self.predicate.as_ref().is_some_and(|predicate| !predicate.below(&subject)) {
            return Ok(());
        }
        match names_in(&place.path) {
            Ok(names) => self.rest.extend(names.into_iter().rev().map(|name| Place {
                path: join(&place.path, &name),
                name: join(Path::new(&place.name), &name).to_string_lossy().into_owned(),
                depth: place.depth + 1,
                readable,
            })),
            Err(_) if !readable => {}
            Err(err) => sink.fault(&Fault::from(&Error::io(&*place.name, "read directory", err)))?,
        }
        Ok(())
    }

    /// Whether this is wanted; without a predicate, woofs are.
    fn matches(&self, dir: &Dir, depth: u64) -> bool {
        match &self.predicate {
            None => dir.text("type") == Some("woof"),
            Some(predicate) => {
                predicate.matches(&Subject { attrs: Some(dir), depth: Some(depth), ..Subject::default() })
            }
        }
    }
}

/// The names in a directory in order, those that begin with a dot left out.
fn names_in(dir: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The path of an entry, without `./` before it.
fn join(dir: &Path, name: &std::ffi::OsStr) -> PathBuf {
    if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) }
}

/// True for a file that begins as a woof does.
fn is_woof(path: &Path) -> std::io::Result<bool> {
    let mut start = [0; 8];
    match std::fs::File::open(path)?.read_exact(&mut start) {
        Ok(()) => Ok(log::is_woof(&start)),
        Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Create, Local, Space};
    use super::*;
    use crate::error::Code;

    #[derive(Default)]
    struct Seen(Vec<String>, Vec<Code>);

    impl Sink for Seen {
        fn elem(&mut self, _: u64, _: u64, _: &[u8]) -> Result<()> {
            Ok(())
        }
        fn dir(&mut self, dir: &Dir) -> Result<()> {
            self.0.push(dir.text("path").unwrap().to_owned());
            Ok(())
        }
        fn mark(&mut self, _: &str) -> Result<()> {
            Ok(())
        }
        fn fault(&mut self, fault: &Fault) -> Result<()> {
            self.1.push(fault.to_error().code());
            Ok(())
        }
        fn before_wait(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn found(root: &Path, expression: Option<&str>) -> (Vec<String>, Vec<Code>) {
        let predicate = expression.map(|text| Predicate::compile(text).unwrap());
        let mut seen = Seen::default();
        Local.find(root.to_str().unwrap(), predicate.as_ref(), false, &mut seen).unwrap();
        let root = format!("{}/", root.to_str().unwrap());
        (seen.0.iter().map(|path| path.replace(&root, "")).collect(), seen.1)
    }

    #[test]
    fn woofs_are_found_in_order_and_what_is_not_one_is_left_out() {
        let dir = woof_kit::tempdir().unwrap();
        let root = dir.path();
        let make = |name: &str, history| {
            let options = log::Options { history, capacity: 4096, ..log::Options::default() };
            let create = Create { options, parents: true, reset: false };
            Local.create(root.join(name).to_str().unwrap(), &create).unwrap();
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
