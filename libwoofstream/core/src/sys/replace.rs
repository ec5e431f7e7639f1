//! Writing a file whole: who reads it sees the old contents or the new ones, and never a part.
//!
//! Failure contract: after an error the old file is as it was, and nothing is left beside it unless the process was killed.

use super::Temporary;
use super::spot::Spot;
use crate::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Puts a file with `data` and permission bits `mode` into the place of `path`, durably. The file is made anew: it never had other
/// permissions, and a link of that name is replaced and not followed.
///
/// # Errors
/// When the directory cannot be written. The object of the error is `path`.
pub fn replace(path: &Path, data: &[u8], mode: u32) -> Result<()> {
    replace_at(Spot::at(path), data, mode).map_err(|err| err.of(path.display().to_string()))
}

/// As [`replace`], wherever that is; the error has no object.
///
/// # Errors
/// As [`replace`].
pub fn replace_at(spot: Spot<'_>, data: &[u8], mode: u32) -> Result<()> {
    write(spot, data, mode).map_err(|err| Error::io("", "write", err))?;
    let synced = spot.open_dir(OFlags::RDONLY, Mode::empty()).and_then(rustix::fs::fsync);
    synced.map_err(|err| Error::io("", "sync the directory", err))
}

fn write(spot: Spot<'_>, data: &[u8], mode: u32) -> std::io::Result<()> {
    let fresh = Temporary::make(spot, Mode::from_raw_mode(mode))?;
    let mut file: &File = fresh.file();
    // The mask of the process may have taken bits away that are wanted.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(data)?;
    file.sync_all()?;
    fresh.take_name(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let dir = woof_kit::tempdir().unwrap();
        let path = dir.path().join("key");
        for (data, mode) in [("one", 0o644), ("two", 0o600)] {
            replace(&path, data.as_bytes(), mode).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), data);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, mode);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = woof_kit::tempdir().unwrap();
        let (path, other) = (dir.path().join("key"), dir.path().join("other"));
        std::fs::write(&other, "other").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        replace(&path, b"mine", 0o600).unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "other");
        assert!(!path.is_symlink());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let err = replace(Path::new("/nowhere/key"), b"", 0o600).unwrap_err();
        assert_eq!(err.to_string(), "/nowhere/key: write: no such file or directory");
    }
}
