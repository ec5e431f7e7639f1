//! Woofs as files: made, opened, removed, reset.
//!
//! A woof is made without a name and gets its own when it is whole, so there is no half-made one, and nothing is left of one
//! whose maker was killed. It is never truncated: a reset puts a new file in its place and tells those who have the old one open, as a removal does.
//!
//! Failure contract: each reason why a file cannot be opened as a woof has its own words; a disk without room is an error
//! here, at creation, and not later.

use super::format::{Geometry, Options, PAGE, shared};
use super::lock::Slot;
use super::recover;
use super::region::Region;
use super::woof::Woof;
use crate::error::{Code, Error, Result};
use crate::sys;
use rustix::fs::{FallocateFlags, FileType, Mode, OFlags};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Up to this size a woof made with `sync` is filled with zeros when it is made, since the first write to a block that was
/// only reserved needs a change of the file system's own tables, which is several times slower to make durable.
const ZERO_FILL_MAX: u64 = 1 << 30;

/// Makes a woof.
///
/// # Errors
/// [`Code::Exists`] when there is anything of that name; [`Code::Invalid`] for options out of range; [`Code::Full`] when the
/// disk has no room for all of it. Nothing is left behind then.
pub fn create(path: &Path, options: &Options) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(Error::new(Code::Exists, "", "it exists already"));
    }
    make(path, options, false)
}

/// Makes a woof in the place of one that is there, or anew. Who has the old one open is told.
///
/// # Errors
/// As [`create`]; also when what is there is not a woof.
pub fn reset(path: &Path, options: &Options) -> Result<()> {
    let old = match open_to_end(path) {
        Ok(old) => Some(old),
        Err(err) if err.code() == Code::NotFound => None,
        Err(err) => return Err(err),
    };
    make(path, options, old.is_some())?;
    if let Some(old) = old {
        end(&old, shared::STATE_RESET)?;
    }
    Ok(())
}

/// Removes a woof. Who has it open is told, and can still read what it kept.
///
/// # Errors
/// When there is no woof of that name, or the directory cannot be written.
pub fn remove(path: &Path) -> Result<()> {
    let woof = open_to_end(path)?;
    std::fs::remove_file(path).map_err(|err| Error::io("", "remove", err))?;
    end(&woof, shared::STATE_REMOVED)
}

/// Opens a woof for what the rights allow: appending and reading, or reading alone.
///
/// The first who opens it for writing after a boot recovers it (see `docs/format-woof.md`).
///
/// # Errors
/// What the file is instead of a woof, by name: another version, truncated, a damaged header, a directory, a device.
pub fn open(path: &Path) -> Result<Woof> {
    let (file, writable) = match open_file(path, true) {
        Ok(file) => (file, true),
        Err(err) if matches!(err.code(), Code::Denied) => (open_file(path, false)?, false),
        Err(err) => return Err(err),
    };
    let geometry = read_geometry(&file)?;
    let region = Region::new(file, geometry, writable)?;
    let boot_id = sys::boot_id()?;
    if recover::boot_id(&region) == boot_id {
        return Ok(Woof::new(region, None));
    }
    if !writable {
        let found = recover::scan(&region);
        return Ok(Woof::new(region, Some(found)));
    }
    recover_once(&region, boot_id)?;
    Ok(Woof::new(region, None))
}

/// Recovers a woof, unless another process did while we waited for the lock.
#[cold]
fn recover_once(region: &Region, boot_id: [u8; 16]) -> Result<()> {
    let slot = Slot::take(&region.map, &region.file)?;
    let _ = slot.lock(&region.map, shared::APPEND_LOCK);
    let done = if recover::boot_id(region) == boot_id { Ok(0) } else { recover::repair(region, boot_id) };
    Slot::unlock(&region.map, shared::APPEND_LOCK);
    done.map(|_| ())
}

/// True for the first bytes of a woof.
pub fn is_woof(start: &[u8]) -> bool {
    start.starts_with(&super::format::MAGIC)
}

/// Opens `path` as a regular file.
fn open_file(path: &Path, write: bool) -> Result<File> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    // Without NONBLOCK a FIFO of that name would make us wait for its other end.
    let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = match opened {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::ISDIR) => return Err(not_a_woof("a directory")),
        Err(rustix::io::Errno::NXIO) => return Err(not_a_woof("a socket or a device")),
        Err(rustix::io::Errno::NOENT) => return Err(Error::new(Code::NotFound, "", "no such woof")),
        Err(err) => return Err(Error::io("", "open", err)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|err| Error::io("", "open", err))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(file),
        FileType::Directory => Err(not_a_woof("a directory")),
        FileType::Fifo => Err(not_a_woof("a FIFO")),
        FileType::Socket => Err(not_a_woof("a socket")),
        _ => Err(not_a_woof("a device")),
    }
}

fn not_a_woof(what: &str) -> Error {
    Error::new(Code::Unsupported, "", format!("not a woof but {what}"))
}

/// Reads the fixed part and holds it against the length of the file.
fn read_geometry(file: &File) -> Result<Geometry> {
    let mut page = [0; PAGE];
    let mut len = 0;
    while len < PAGE {
        match file.read_at(&mut page[len..], len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(Error::io("", "read", err)),
        }
    }
    let geometry = Geometry::decode(&page[..len])?;
    let actual = file.metadata().map_err(|err| Error::io("", "open", err))?.len();
    if actual < geometry.file_len() {
        return Err(Error::new(
            Code::Damaged,
            "",
            format!("truncated file: it is {actual} bytes long and should be {}", geometry.file_len()),
        ));
    }
    Ok(geometry)
}

/// Opens a woof that is about to be removed or replaced. Also one that needs recovery, as nothing of it is kept.
fn open_to_end(path: &Path) -> Result<Region> {
    let file = open_file(path, true)?;
    let geometry = read_geometry(&file)?;
    Region::new(file, geometry, true)
}

/// Tells everybody who has the woof open that it came to its end, between two appends.
fn end(region: &Region, state: u32) -> Result<()> {
    let slot = Slot::take(&region.map, &region.file)?;
    let _ = slot.lock(&region.map, shared::APPEND_LOCK);
    region.set_state(state);
    Slot::unlock(&region.map, shared::APPEND_LOCK);
    Ok(())
}

/// Makes the file and gives it its name.
fn make(path: &Path, options: &Options, replace: bool) -> Result<()> {
    let geometry = Geometry::new(options, sys::random_u64(), sys::now_ns())?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let created = |err: std::io::Error| match err.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(Code::NotFound, "", format!("create: no directory {} (wcreate -p makes it)", dir.display()))
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::FileTooLarge => {
            let failed = Error::io("", "create", err);
            Error::new(
                failed.code(),
                "",
                format!("{}: it needs {} bytes", failed.text(), geometry.file_len()),
            )
        }
        _ => Error::io("", "create", err),
    };
    let (file, passing) = new_file(dir).map_err(created)?;
    reserve(&file, &geometry).map_err(created)?;
    file.write_all_at(&geometry.encode(), 0).map_err(created)?;
    let region = Region::new(file, geometry.clone(), true)?;
    let map = &region.map;
    map.store32(shared::STATE, shared::STATE_LIVE, Ordering::Relaxed);
    map.store(shared::NEXT_SEQNO, 1, Ordering::Relaxed);
    map.store(shared::FIRST_SEQNO, 1, Ordering::Relaxed);
    map.store(shared::SYNCED_SEQNO, 1, Ordering::Relaxed);
    map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::Relaxed);
    map.store(shared::LAST_TIME, geometry.created_ns, Ordering::Relaxed);
    map.copy_in(shared::BOOT_ID, &sys::boot_id()?);
    region.file.sync_all().map_err(created)?;
    give_name(&region.file, passing, path, replace).map_err(|err| match err.kind() {
        std::io::ErrorKind::AlreadyExists => Error::new(Code::Exists, "", "it exists already"),
        _ => created(err),
    })?;
    // The name too is to be there after a power loss.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(created)
}

/// A new file in `dir` without a name, or, on a file system that has no such files, with a passing one.
fn new_file(dir: &Path) -> std::io::Result<(File, Option<Passing>)> {
    use rustix::io::Errno;
    let mode = Mode::from_raw_mode(0o666);
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags | OFlags::TMPFILE, mode) {
        Ok(file) => Ok((File::from(file), None)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let passing = Passing::in_dir(dir);
            let file = rustix::fs::open(&passing.path, flags | OFlags::CREATE | OFlags::EXCL, mode)?;
            Ok((File::from(file), Some(passing)))
        }
        Err(err) => Err(err.into()),
    }
}

/// Gives a new file its name: if that is free, or in the place of what has it.
fn give_name(file: &File, passing: Option<Passing>, path: &Path, replace: bool) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, RenameFlags, linkat, renameat_with};
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    match passing {
        None if replace => {
            // A link takes no name away, but a rename does.
            let passing = Passing::in_dir(path.parent().unwrap_or(Path::new("")));
            linkat(CWD, &unnamed, CWD, &passing.path, AtFlags::SYMLINK_FOLLOW)?;
            std::fs::rename(&passing.path, path)
        }
        None => Ok(linkat(CWD, &unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?),
        Some(passing) if replace => std::fs::rename(&passing.path, path),
        Some(passing) => match renameat_with(CWD, &passing.path, CWD, path, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                // A file system without it: a link fails as well when the name is taken.
                std::fs::hard_link(&passing.path, path)
            }
            renamed => Ok(renamed?),
        },
    }
}

/// Takes all the room the woof will ever need.
fn reserve(file: &File, geometry: &Geometry) -> std::io::Result<()> {
    let len = geometry.file_len();
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) if !geometry.options.sync || len > ZERO_FILL_MAX => return Ok(()),
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(err) => return Err(err.into()),
    }
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        let part = usize::try_from(len - at).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// A file under its passing name, which goes away unless it was given another.
struct Passing {
    path: PathBuf,
}

impl Passing {
    fn in_dir(dir: &Path) -> Passing {
        Passing { path: dir.join(format!(".new-woof-{:016x}", sys::random_u64())) }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // Renamed, it is not there any more.
        let _ = std::fs::remove_file(&self.path);
    }
}
