//! Where a handler's program is: in the directory `handlers` of its namespace, and nowhere else.
//!
//! Failure contract: each reason why a name cannot be run has its own words, and nothing outside of the directory is ever run.

use super::HANDLERS_DIR;
use super::bindings::check_handler;
use crate::error::{Code, Error, Result};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Looks whether a namespace, given by its directory, has this handler, and it could be run.
///
/// # Errors
/// [`Code::NotFound`] when there is none, [`Code::Invalid`] when it cannot be run, saying why; the object is the handler.
pub fn check_program(namespace: &Path, handler: &str) -> Result<()> {
    check_handler(handler)?;
    program(namespace, handler).map(drop).map_err(|why| {
        let is_there = namespace.join(HANDLERS_DIR).join(handler).symlink_metadata().is_ok();
        Error::new(if is_there { Code::Invalid } else { Code::NotFound }, handler, why)
    })
}

/// The program that a handler's name leads to, after all links, or why there is none.
pub(super) fn program(namespace: &Path, handler: &str) -> std::result::Result<PathBuf, String> {
    check_handler(handler).map_err(|err| err.to_string())?;
    let failed = |err: Errno| format!("handler: {}", Error::io("", "", err));
    let dir = namespace.join(HANDLERS_DIR);
    let found = rustix::fs::open(&dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|dir| sys::open_beneath(dir, handler.as_ref(), OFlags::PATH));
    let found = match found {
        Ok(found) => File::from(found),
        Err(Errno::NOENT) => return Err(format!("no such handler: there is no {HANDLERS_DIR}/{handler}")),
        Err(Errno::XDEV) => {
            let path = dir.join(handler);
            let real = path.canonicalize();
            let real = real.as_deref().unwrap_or(&path).display();
            return Err(format!(
                "{HANDLERS_DIR}/{handler} leads out of the directory {HANDLERS_DIR}, to {real}"
            ));
        }
        Err(err) => return Err(failed(err)),
    };
    let real = sys::path_of(&found).map_err(failed)?;
    let meta = found.metadata().map_err(|err| format!("handler: {err}"))?;
    if meta.is_dir() {
        return Err(format!("{HANDLERS_DIR}/{handler} is a directory"));
    }
    if !meta.is_file() {
        return Err(format!("{HANDLERS_DIR}/{handler} is no file"));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(format!("{HANDLERS_DIR}/{handler} is not executable"));
    }
    Ok(real)
}
