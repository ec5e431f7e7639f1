//! Files that have a name in passing, until they are whole and take their own.
//!
//! Whoever makes one holds it locked. So whoever makes the next one in the same directory finds out which are those of makers that were
//! killed, and removes them.
//!
//! Failure contract: nothing is left of a file that did not take its name, unless its maker was killed; then the next maker removes it. A file that
//! somebody works on is never removed.

use super::{Spot, random_u64};
use rustix::fs::{Dir, FileType, FlockOperation, Mode, OFlags, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// How these names begin. No woof of a user has such a name.
const PREFIX: &str = ".woof-new-";

/// So many names of a directory are looked at for what was left.
const LOOKED_AT: usize = 4096;

/// A file that has a name in passing.
#[derive(Debug)]
pub struct Temporary<'a> {
    /// What it is to be called.
    spot: Spot<'a>,
    path: PathBuf,
    file: File,
}

impl<'a> Temporary<'a> {
    /// A new file, empty, in the directory of what it is to be called.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn make(spot: Spot<'a>, mode: Mode) -> std::io::Result<Temporary<'a>> {
        sweep(spot);
        loop {
            let path = name(spot);
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
            let file = File::from(spot.beside(&path).open(flags, mode)?);
            let temporary = Temporary { spot, path, file };
            lock(&temporary.file);
            // Before it was locked it may have been taken for one of a killed maker.
            if fstat(&temporary.file)?.st_nlink > 0 {
                return Ok(temporary);
            }
        }
    }

    /// Gives a file without a name one in passing.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn name(spot: Spot<'a>, file: &File) -> std::io::Result<Temporary<'a>> {
        sweep(spot);
        let temporary = Temporary { spot, path: name(spot), file: file.try_clone()? };
        lock(&temporary.file);
        temporary.passing().give_to(file)?;
        Ok(temporary)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its own name: in the place of what has it, or if it is free.
    ///
    /// # Errors
    /// [`std::io::ErrorKind::AlreadyExists`] when it is not free; those of the system.
    pub fn take_name(self, replace: bool) -> std::io::Result<()> {
        Ok(self.spot.take_from(self.passing(), replace)?)
    }

    fn passing(&self) -> Spot<'_> {
        self.spot.beside(&self.path)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // Renamed, it is not there any more.
        let _ = self.passing().remove();
    }
}

fn name(spot: Spot<'_>) -> PathBuf {
    spot.path_beside(&format!("{PREFIX}{:016x}", random_u64()))
}

/// Locks a file of ours. On a file system without locks nothing is swept.
fn lock(file: impl AsFd) {
    while rustix::fs::flock(&file, FlockOperation::LockExclusive) == Err(Errno::INTR) {}
}

/// Removes what killed makers left in the directory that this is in.
fn sweep(spot: Spot<'_>) {
    let Ok(dir) = spot.open_dir(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) else { return };
    let Ok(entries) = Dir::read_from(&dir) else { return };
    for entry in entries.take(LOOKED_AT).flatten() {
        if let Ok(name) = entry.file_name().to_str()
            && name.starts_with(PREFIX)
        {
            remove_left(Spot::exactly(dir.as_fd(), Path::new(name)));
        }
    }
}

/// Removes a file that nobody has locked.
fn remove_left(spot: Spot<'_>) {
    let Ok(found) = spot.look() else { return };
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = spot.open(flags, Mode::empty()) else { return };
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && spot.look().is_ok_and(|now| (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino))
        && fstat(&file).is_ok_and(|open| (open.st_dev, open.st_ino) == (found.st_dev, found.st_ino))
    {
        let _ = spot.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_killed_maker_left_is_removed_by_the_next_one_and_what_is_worked_on_is_not() {
        let dir = woof_kit::tempdir().unwrap();
        std::fs::write(dir.path().join(".woof-new-left"), "half").unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join(".woof-new-link")).unwrap();
        let path = dir.path().join("file");
        let works = Temporary::make(Spot::at(&path), Mode::RUSR).unwrap();
        let passing = works.path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut left = names(dir.path());
        left.sort();
        let mut there = vec![".woof-new-link".to_owned(), passing.clone()];
        there.sort();
        assert_eq!(left, there);
        let other = dir.path().join("other");
        let unnamed = std::fs::File::open(dir.path()).unwrap();
        let second = Temporary::make(Spot::at(&other), Mode::RUSR).unwrap();
        assert!(names(dir.path()).contains(&passing), "somebody works on it");
        drop((second, unnamed));
        works.take_name(true).unwrap();
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, [".woof-new-link", "file"]);
    }

    #[test]
    fn makers_in_one_directory_hinder_each_other_in_nothing() {
        let dir = woof_kit::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let path = dir.path().join(format!("file-{thread}"));
                scope.spawn(move || {
                    for n in 0..200 {
                        super::super::replace(&path, format!("{n}").as_bytes(), 0o600).unwrap();
                    }
                });
            }
        });
        let mut left = names(dir.path());
        left.sort();
        assert_eq!(left, ["file-0", "file-1", "file-2", "file-3"]);
    }
}
