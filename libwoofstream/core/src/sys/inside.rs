//! Opening files where somebody else may put symbolic links: looking where they lead and opening is one step, so that nothing can be exchanged in between.
//!
//! Failure contract: what a link leads out to is not opened, also where a filter of system calls refuses `openat2`: then the file is found first, without
//! being opened, and where it is decides.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// How often a look that names were exchanged under is begun again.
const TRIES: u32 = 64;

/// Opens a path of which no part is a symbolic link.
///
/// # Errors
/// Those of the system; `LOOP` where there is a link.
pub fn open_exactly(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    match resolve(CWD, path, flags, ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS | Errno::PERM) => find_exactly(path, flags),
        opened => opened,
    }
}

/// Opens what a name in a directory leads to.
///
/// # Errors
/// Those of the system; `XDEV` where it leads out of the directory.
pub fn open_beneath(dir: impl AsFd, name: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    match resolve(dir.as_fd(), name, flags, ResolveFlags::BENEATH) {
        // To the kernel an absolute link leads out, wherever it leads to.
        Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => find_beneath(dir.as_fd(), name, flags),
        opened => opened,
    }
}

/// Opens a directory in an open one. No link is followed.
///
/// # Errors
/// Those of the system; `LOOP` where it is a link.
pub fn open_step(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<OwnedFd, Errno> {
    let name = name.as_ref();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&dir, name, flags, Mode::empty()).map_err(|err| {
        let is_link = || {
            rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
        };
        if err == Errno::NOTDIR && is_link() { Errno::LOOP } else { err }
    })
}

/// Where an open file is.
///
/// # Errors
/// When `/proc` does not say.
pub fn path_of(file: impl AsFd) -> Result<PathBuf, Errno> {
    let path = rustix::fs::readlink(link_to(file.as_fd()), Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// A path that leads to an open file or directory, whatever has its name by now.
pub fn link_to(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

fn resolve(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES {
        match rustix::fs::openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// As [`open_exactly`], without `openat2`.
fn find_exactly(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let found = find(CWD, path)?;
    if path_of(&found)? == path { open_found(found, flags) } else { Err(Errno::LOOP) }
}

/// As [`open_beneath`], without `openat2`.
fn find_beneath(dir: BorrowedFd<'_>, name: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let found = find(dir, name)?;
    if path_of(&found)?.starts_with(path_of(dir)?) { open_found(found, flags) } else { Err(Errno::XDEV) }
}

/// Finds a file without opening it: nothing happens to what is not to be opened.
fn find(dir: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Opens what was found, and not what has its name by now.
fn open_found(found: OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    if flags.contains(OFlags::PATH) && !flags.contains(OFlags::DIRECTORY) {
        return Ok(found);
    }
    rustix::fs::open(link_to(&found), flags | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    type Open = fn(&OwnedFd, &Path, OFlags) -> Result<OwnedFd, Errno>;

    /// With and without `openat2`.
    const WAYS: [Open; 2] = [
        |dir, name, flags| open_beneath(dir, name, flags),
        |dir, name, flags| find_beneath(dir.as_fd(), name, flags),
    ];

    /// A directory `in` with a file, and a file beside it.
    fn places() -> (woof_kit::TempDir, OwnedFd) {
        let dir = woof_kit::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("in/sub")).unwrap();
        fs::write(dir.path().join("in/sub/file"), "inside").unwrap();
        fs::write(dir.path().join("out"), "outside").unwrap();
        let open = rustix::fs::open(dir.path().join("in"), OFlags::PATH, Mode::empty()).unwrap();
        (dir, open)
    }

    fn text(file: OwnedFd) -> String {
        std::io::read_to_string(fs::File::from(file)).unwrap()
    }

    #[test]
    fn links_may_lead_around_in_a_directory_and_not_out_of_it() {
        let (dir, open) = places();
        let root = dir.path().canonicalize().unwrap().join("in");
        symlink("sub/file", root.join("inside")).unwrap();
        symlink("../in/sub", root.join("round")).unwrap();
        symlink(root.join("sub"), root.join("absolute")).unwrap();
        symlink("../out", root.join("out")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink(root.join("../out"), root.join("absolutely-out")).unwrap();
        for way in WAYS {
            for name in ["sub/file", "inside", "absolute/file"] {
                assert_eq!(text(way(&open, name.as_ref(), OFlags::RDONLY).unwrap()), "inside", "{name}");
            }
            for name in ["out", "up/out", "absolutely-out", "../out", "up"] {
                assert_eq!(way(&open, name.as_ref(), OFlags::RDONLY).unwrap_err(), Errno::XDEV, "{name}");
            }
            assert_eq!(way(&open, "none".as_ref(), OFlags::RDONLY).unwrap_err(), Errno::NOENT);
        }
        assert_eq!(text(open_beneath(&open, "round/file".as_ref(), OFlags::RDONLY).unwrap()), "inside");
    }

    #[test]
    fn a_path_that_has_a_link_in_it_is_not_opened_exactly() {
        let (dir, _) = places();
        let root = dir.path().canonicalize().unwrap().join("in");
        symlink("sub", root.join("link")).unwrap();
        for way in [open_exactly, find_exactly] {
            assert_eq!(text(way(&root.join("sub/file"), OFlags::RDONLY).unwrap()), "inside");
            assert_eq!(way(&root.join("link/file"), OFlags::RDONLY).unwrap_err(), Errno::LOOP);
            assert_eq!(way(&root.join("link"), OFlags::PATH).unwrap_err(), Errno::LOOP);
            assert_eq!(way(&root.join("none"), OFlags::PATH).unwrap_err(), Errno::NOENT);
        }
    }

    #[test]
    fn a_directory_that_is_exchanged_for_a_link_all_the_time_never_leads_out() {
        let (dir, open) = places();
        let root = dir.path().join("in");
        fs::create_dir(dir.path().join("elsewhere")).unwrap();
        fs::write(dir.path().join("elsewhere/file"), "outside").unwrap();
        symlink("../elsewhere", root.join("link")).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                while !stop.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(CWD, root.join("sub"), CWD, root.join("link"), exchange)
                        .unwrap();
                }
            });
            let mut opened = [0; 2];
            while opened.iter().any(|count| *count < 100) {
                for (way, count) in WAYS.iter().zip(&mut opened) {
                    if let Ok(file) = way(&open, "sub/file".as_ref(), OFlags::RDONLY) {
                        assert_eq!(text(file), "inside");
                        *count += 1;
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
