//! Walking the directories of this machine for woofs and namespaces.
//!
//! The walk is in the order of the names' bytes, a directory before what is in it, so that two walks can be merged. It does
//! not follow symbolic links, and asks the predicate whether anything below a directory can match before it enters.

use super::{Sink, attrs};
use crate::error::{Error, Result};
use crate::log;
use crate::name::{self, STATE_DIR};
use crate::predicate::{Predicate, Subject};
use crate::wire::{Dir, Fault};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Sends a `Dir` for everything at and below `name` that matches; without a predicate for all woofs.
pub(super) fn walk(name: &str, predicate: Option<&Predicate>, sink: &mut dyn Sink) -> Result<()> {
    let path = name::local(name)?;
    let metadata = path.symlink_metadata().map_err(|err| Error::io(name, "", err))?;
    if !metadata.is_dir() {
        // What was named is to be a woof, and says why when it is not.
        let woof = log::open(&name::local_woof(name)?).map_err(|err| err.of(name))?;
        return offer(&attrs::of_woof(name, &woof.status(), Some(&metadata)), 0, predicate, sink);
    }
    // Directories and woofs still to be looked at, the next one last.
    let mut rest: Vec<(PathBuf, u64)> = vec![(path.to_owned(), 0)];
    while let Some((path, depth)) = rest.pop() {
        let shown = path.to_string_lossy();
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            // Removed meanwhile.
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => continue,
            Err(err) => {
                sink.fault(&Fault::from(&Error::io(&*shown, "", err)))?;
                continue;
            }
        };
        if metadata.is_file() {
            match is_woof(&path) {
                Ok(true) => match log::open(&path) {
                    Ok(woof) => {
                        offer(
                            &attrs::of_woof(&shown, &woof.status(), Some(&metadata)),
                            depth,
                            predicate,
                            sink,
                        )?;
                    }
                    Err(err) => sink.fault(&Fault::from(&err.of(&*shown)))?,
                },
                Ok(false) => {}
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
                Err(err) => sink.fault(&Fault::from(&Error::io(&*shown, "open", err)))?,
            }
            continue;
        }
        if !metadata.is_dir() {
            continue;
        }
        let dir = attrs::of_namespace(&shown, Some(&metadata));
        if path.join(STATE_DIR).is_dir() {
            offer(&dir, depth, predicate, sink)?;
        }
        let subject = Subject { attrs: Some(&dir), depth: Some(depth), ..Subject::default() };
        if predicate.is_some_and(|predicate| !predicate.below(&subject)) {
            continue;
        }
        match names_in(&path) {
            Ok(names) => rest.extend(names.into_iter().rev().map(|name| (join(&path, &name), depth + 1))),
            Err(err) => sink.fault(&Fault::from(&Error::io(&*shown, "read directory", err)))?,
        }
    }
    Ok(())
}

/// Sends a `Dir` if it matches; without a predicate, if it is of a woof.
fn offer(dir: &Dir, depth: u64, predicate: Option<&Predicate>, sink: &mut dyn Sink) -> Result<()> {
    let matches = match predicate {
        None => dir.text("type") == Some("woof"),
        Some(predicate) => {
            predicate.matches(&Subject { attrs: Some(dir), depth: Some(depth), ..Subject::default() })
        }
    };
    if matches { sink.dir(dir) } else { Ok(()) }
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
        Local.find(root.to_str().unwrap(), predicate.as_ref(), &mut seen).unwrap();
        let root = format!("{}/", root.to_str().unwrap());
        (seen.0.iter().map(|path| path.replace(&root, "")).collect(), seen.1)
    }

    #[test]
    fn woofs_are_found_in_order_and_what_is_not_one_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
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
