//! Writing a file whole: who reads it sees the old contents or the new ones, and never a part.
//!
//! Failure contract: after an error the old file is as it was, and nothing is left beside it unless the process was killed.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Puts a file with `data` and permission bits `mode` into the place of `path`, durably. The file is made anew: it never had other
/// permissions, and a link of that name is replaced and not followed.
///
/// # Errors
/// When the directory cannot be written. The object of the error is `path`.
pub fn replace(path: &Path, data: &[u8], mode: u32) -> Result<()> {
    let named =
        |doing: &'static str| move |err: std::io::Error| Error::io(path.display().to_string(), doing, err);
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = dir.join(format!(".{name}.{:016x}", super::random_u64()));
    let written = write(&fresh, data, mode).and_then(|()| std::fs::rename(&fresh, path));
    if let Err(err) = written {
        let _ = std::fs::remove_file(&fresh);
        return Err(named("write")(err));
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(named("sync the directory"))
}

fn write(path: &Path, data: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The mask of the process may have taken bits away that are wanted.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(data)?;
    file.sync_all()
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
