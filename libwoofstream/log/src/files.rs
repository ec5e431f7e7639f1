//! Woofs as files: made, opened, removed, reset.
//!
//! A woof is made without a name and gets its own when it is whole, so there is no half-made one, and nothing is left of one
//! whose maker was killed. It is never truncated: a reset puts a new file in its place and tells those who have the old one open, as a removal does.
//!
//! It has its whole length at once, and takes room on the disk as it fills ([`super::room`]).
//!
//! Failure contract: each reason why a file cannot be opened as a woof has its own words. What a full disk keeps from being recovered can
//! still be read.

use super::format::{Geometry, HEADER_LEN, PAGE, SEQNO_MAX, shared};
use super::lock::{Slot, Taken};
use super::recover;
use super::region::Region;
use super::repair;
use super::unnamed::Unnamed;
use super::woof::Woof;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use woof_core::error::{Code, Error, Result};
use woof_core::options::Options;
use woof_core::sys::{self, Spot};

/// Makes a woof.
///
/// # Errors
/// [`Code::Exists`] when there is anything of that name; [`Code::Invalid`] for options out of range; [`Code::Full`] when the
/// disk has no room for its header. Nothing is left behind then.
pub fn create(path: &Path, options: &Options) -> Result<()> {
    create_at(Spot::at(path), options)
}

/// As [`create`], wherever that is.
pub fn create_at(spot: Spot<'_>, options: &Options) -> Result<()> {
    if spot.look().is_ok() {
        return Err(Error::new(Code::Exists, "", "it exists already"));
    }
    made(spot, options, None)?.take_name(spot, false)?;
    name_durably(spot, "create")
}

/// Makes a woof in the place of one that is there, with its owner and mode, or anew. Who has the old one open is told. A
/// symbolic link stays and leads to the new one.
///
/// # Errors
/// As [`create`]; also when what is there is not a woof.
pub fn reset(path: &Path, options: &Options) -> Result<()> {
    let real = path.canonicalize();
    reset_at(Spot::at(real.as_deref().unwrap_or(path)), options)
}

/// As [`reset`], wherever that is.
pub fn reset_at(spot: Spot<'_>, options: &Options) -> Result<()> {
    loop {
        let old = match open_to_end(spot) {
            Ok(old) => old,
            Err(err) if err.code() == Code::NotFound => return create_at(spot, options),
            Err(err) => return Err(err),
        };
        let new = made(spot, options, Some(&old.file))?;
        if end(&old, spot, shared::STATE_RESET, || new.take_name(spot, true))? {
            return name_durably(spot, "create");
        }
    }
}

/// Removes a woof. Who has it open is told, and can still read what it kept. Of a symbolic link to a woof only the link is
/// removed.
///
/// # Errors
/// When there is no woof of that name, or the directory cannot be written.
pub fn remove(path: &Path) -> Result<()> {
    remove_at(Spot::at(path))
}

/// As [`remove`], wherever that is.
pub fn remove_at(spot: Spot<'_>) -> Result<()> {
    loop {
        let woof = open_to_end(spot)?;
        let unlink = || spot.remove().map_err(|err| Error::io("", "remove", err));
        if spot.look().is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink) {
            return unlink();
        }
        if end(&woof, spot, shared::STATE_REMOVED, unlink)? {
            return name_durably(spot, "remove");
        }
    }
}

/// Opens a woof for what the rights allow: appending and reading, or reading alone.
///
/// The first who opens it for writing after a boot recovers it (see `docs/format-woof.md`).
///
/// # Errors
/// What the file is instead of a woof, by name: another version, truncated, a damaged header, a directory, a device.
pub fn open(path: &Path) -> Result<Woof> {
    open_at(Spot::at(path))
}

/// As [`open`], wherever that is.
pub fn open_at(spot: Spot<'_>) -> Result<Woof> {
    open_by(|flags| spot.open(flags, Mode::empty())).map_err(|err| refused_link(spot, err))
}

/// The error of a link that is not followed.
fn refused_link(spot: Spot<'_>, err: Error) -> Error {
    if spot.is_exact() && err.is_errno(Errno::LOOP) { sys::no_link() } else { err }
}

/// As [`open`], of a file that `opened` opens: with other ideas of which links are followed.
fn open_by(opened: impl Fn(OFlags) -> std::result::Result<OwnedFd, Errno>) -> Result<Woof> {
    let ((file, len), writable) = match open_file(&opened, true) {
        Ok(file) => (file, true),
        Err(err) if matches!(err.code(), Code::Denied) => (open_file(&opened, false)?, false),
        Err(err) => return Err(err),
    };
    let (geometry, has_words) = read_geometry(&file, len)?;
    if !has_words {
        // Nothing is looked at through the mapping where there may be no block.
        if !writable {
            return Err(Error::new(Code::Damaged, "", "damaged header: its shared words are gone"));
        }
        super::room::reserve_shared(&file).map_err(|err| Error::io("", "recover", err))?;
    }
    let region = Region::new(file, geometry, writable)?;
    let boot_id = sys::boot_id()?;
    if recover::boot_id(&region) == boot_id {
        return plausible(region).map(Woof::live);
    }
    if !writable {
        return Ok(Woof::frozen(region, boot_id));
    }
    match recover_once(&region, boot_id) {
        Err(err) if is_no_room(&err) => return Ok(Woof::frozen(region, boot_id)),
        done => done?,
    }
    plausible(region).map(Woof::live)
}

/// True for the error of a disk that is full.
fn is_no_room(err: &Error) -> bool {
    err.is_errno(Errno::NOSPC) || err.is_errno(Errno::DQUOT)
}

/// Refuses a woof whose seqnos cannot be.
fn plausible(region: Region) -> Result<Region> {
    if region.map.writable() {
        region.look_at_words();
    }
    // In this order, since others may append meanwhile.
    let (first, next) = (region.first_seqno(), region.next_seqno());
    if first == 0 || first > next || next > SEQNO_MAX {
        return Err(Error::new(Code::Damaged, "", "damaged header: its seqnos cannot be"));
    }
    Ok(region)
}

/// Recovers a woof, unless another process did while we waited for the lock.
#[cold]
pub(super) fn recover_once(region: &Region, boot_id: [u8; 16]) -> Result<()> {
    let slot = Slot::take(&region.map, &region.file)?;
    let taken = slot.lock(&region.map, shared::APPEND_LOCK);
    let done = if recover::boot_id(region) != boot_id {
        recover::repair(region, boot_id)
    } else {
        // A writer that came after the recovery and was killed left its work to who has the lock next: hand it on.
        if taken == Taken::FromDead {
            repair::mark(region);
        }
        Ok(())
    };
    Slot::unlock(&region.map, shared::APPEND_LOCK);
    done
}

/// True for the first bytes of a woof.
pub fn is_woof(start: &[u8]) -> bool {
    start.starts_with(&super::format::MAGIC)
}

/// Opens a regular file, and gives its length.
fn open_file(
    opened: impl Fn(OFlags) -> std::result::Result<OwnedFd, Errno>,
    write: bool,
) -> Result<(File, u64)> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    // Without NONBLOCK a FIFO of that name would make us wait for its other end.
    let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match opened(flags) {
        Ok(fd) => File::from(fd),
        Err(Errno::ISDIR) => return Err(not_a_woof("a directory")),
        Err(Errno::NXIO) => return Err(not_a_woof("a socket or a device")),
        Err(Errno::NOENT) => return Err(Error::new(Code::NotFound, "", "no such woof")),
        Err(err) => return Err(Error::io("", "open", err)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|err| Error::io("", "open", err))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, u64::try_from(stat.st_size).unwrap_or(0))),
        FileType::Directory => Err(not_a_woof("a directory")),
        FileType::Fifo => Err(not_a_woof("a FIFO")),
        FileType::Socket => Err(not_a_woof("a socket")),
        _ => Err(not_a_woof("a device")),
    }
}

fn not_a_woof(what: &str) -> Error {
    Error::new(Code::Unsupported, "", format!("not a woof but {what}"))
}

/// Reads the fixed part and holds it against the length of the file. It never gets shorter, so what it was when it was opened will do.
/// Tells also whether there are shared words: where there are zeros, there may be a hole.
fn read_geometry(file: &File, actual: u64) -> Result<(Geometry, bool)> {
    let mut page = [0; 2 * PAGE];
    let mut len = 0;
    while len < page.len() {
        match file.read_at(&mut page[len..], len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(Error::io("", "read", err)),
        }
    }
    let (page, words) = page.split_at(PAGE);
    let geometry = Geometry::decode(&page[..len.min(PAGE)])?;
    if actual < geometry.file_len() {
        return Err(Error::new(
            Code::Damaged,
            "",
            format!("truncated file: it is {actual} bytes long and should be {}", geometry.file_len()),
        ));
    }
    Ok((geometry, words.iter().any(|byte| *byte != 0)))
}

/// Opens a woof that is about to be removed or replaced. Also one that needs recovery, as nothing of it is kept.
fn open_to_end(spot: Spot<'_>) -> Result<Region> {
    let opened = open_file(|flags| spot.open(flags, Mode::empty()), true);
    let (file, len) = opened.map_err(|err| refused_link(spot, err))?;
    let (geometry, _) = read_geometry(&file, len)?;
    Region::new(file, geometry, true)
}

/// Takes the file at `spot` away with `take`, between two appends, and tells everybody who has the woof open that it came to
/// its end. False when another file is there by now. Killed in the middle, the next writer finds that its file has no name
/// any more.
fn end(region: &Region, spot: Spot<'_>, state: u32, take: impl FnOnce() -> Result<()>) -> Result<bool> {
    let slot = match Slot::take(&region.map, &region.file) {
        // A copy with a hole in place of the table of appenders, on a full disk: nobody appends to it, and removing it may be the cure.
        Err(err) if is_no_room(&err) => {
            take()?;
            region.set_state(state);
            return Ok(true);
        }
        slot => slot?,
    };
    let taken = slot.lock(&region.map, shared::APPEND_LOCK);
    let done = if is_at(region, spot) { take().map(|()| true) } else { Ok(false) };
    if matches!(done, Ok(true)) {
        region.set_state(state);
    } else if taken == Taken::FromDead {
        repair::mark(region);
    }
    Slot::unlock(&region.map, shared::APPEND_LOCK);
    done
}

/// True when the file of a woof is the one at `spot`.
fn is_at(region: &Region, spot: Spot<'_>) -> bool {
    let (Ok(own), Ok(there)) = (rustix::fs::fstat(&region.file), spot.look()) else { return false };
    (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
}

/// Makes durable what file has a name, or that none has.
fn name_durably(spot: Spot<'_>, doing: &str) -> Result<()> {
    let synced = spot.open_dir(OFlags::RDONLY, Mode::empty()).and_then(rustix::fs::fsync);
    synced.map_err(|err| Error::io("", doing, err))
}

/// Makes the file, still without its name. With `like`, it gets the mode and the owner of that file.
fn made<'a>(spot: Spot<'a>, options: &Options, like: Option<&File>) -> Result<Unnamed<'a>> {
    let geometry = Geometry::new(options, sys::random_u64(), sys::now_ns())?;
    let unnamed = made_as(spot, &geometry, sys::boot_id()?, like)?;
    // Handlers that are bound to the old one are bound to the new one.
    let mut hold = [0; 8];
    let held = like.is_some_and(|old| old.read_exact_at(&mut hold, shared::HOLD_SEQNO as u64).is_ok());
    if held && hold != [0; 8] {
        use std::os::unix::fs::MetadataExt as _;
        let held = unnamed.file().metadata().and_then(|meta| {
            for (place, word) in
                [(shared::HOLD_FILE, meta.ino()), (shared::HOLD_SEQNO_2, 1), (shared::HOLD_SEQNO, 1)]
            {
                unnamed.file().write_all_at(&word.to_le_bytes(), place as u64)?;
            }
            Ok(())
        });
        held.and_then(|()| unnamed.file().sync_all()).map_err(|err| Error::io("", "create", err))?;
    }
    Ok(unnamed)
}

/// Whether a directory that is not there can be made, as far as can be told without trying.
fn can_be_made(dir: &Path) -> bool {
    use rustix::fs::{Access, PROC_SUPER_MAGIC, access, statfs};
    let above = dir.ancestors().skip(1).map(|above| above.join(".")).find(|above| above.exists());
    above.is_some_and(|above| {
        // Nobody makes directories among those of processes, whatever their mode is.
        access(&above, Access::WRITE_OK).is_ok()
            && statfs(&above).is_ok_and(|of| of.f_type != PROC_SUPER_MAGIC)
    })
}

/// The same of a woof whose number, time and boot are given: made again, it has the same bytes.
pub(super) fn made_as<'a>(
    spot: Spot<'a>,
    geometry: &Geometry,
    boot_id: [u8; 16],
    like: Option<&File>,
) -> Result<Unnamed<'a>> {
    let dir = spot.path().parent().unwrap_or(Path::new(""));
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let created = |err: std::io::Error| match err.kind() {
        std::io::ErrorKind::NotFound => {
            let advice = if can_be_made(dir) { " (wcreate -p makes it)" } else { "" };
            Error::new(Code::NotFound, "", format!("create: no directory {}{advice}", dir.display()))
        }
        std::io::ErrorKind::FileTooLarge => {
            let failed = Error::io("", "create", err);
            let text = format!("{}: it would be {} bytes long", failed.text(), geometry.file_len());
            Error::new(failed.code(), "", text)
        }
        _ => Error::io("", "create", err),
    };
    let old = like.map(rustix::fs::fstat).transpose().map_err(|err| created(err.into()))?;
    // Not for a moment may others read more than they could of the old one.
    let mode = Mode::from_raw_mode(if old.is_some() { 0o600 } else { 0o666 });
    let unnamed = Unnamed::new(spot, mode).map_err(created)?;
    let file = unnamed.file().try_clone().map_err(created)?;
    if let Some(old) = old {
        use rustix::fs::{Gid, Uid, fchmod, fchown};
        // Without the right to give it away it is ours, as any file we make.
        let _ = fchown(&file, Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)));
        fchmod(&file, Mode::from_raw_mode(old.st_mode & 0o777)).map_err(|err| created(err.into()))?;
    }
    file.set_len(geometry.file_len()).map_err(created)?;
    // All of the header is written, so that it has blocks.
    let mut header = vec![0; HEADER_LEN];
    header[..PAGE].copy_from_slice(&geometry.encode());
    file.write_all_at(&header, 0).map_err(created)?;
    let region = Region::new(file, geometry.clone(), true)?;
    let map = &region.map;
    map.store32(shared::STATE, shared::STATE_LIVE, Ordering::Relaxed);
    map.store(shared::NEXT_SEQNO, 1, Ordering::Relaxed);
    map.store(shared::FIRST_SEQNO, 1, Ordering::Relaxed);
    region.set_synced(0, 1);
    map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::Relaxed);
    map.store(shared::LAST_TIME, geometry.created_ns, Ordering::Relaxed);
    region.seal_words();
    map.copy_in(shared::BOOT_ID, &boot_id);
    region.file.sync_all().map_err(created)?;
    Ok(unnamed)
}
