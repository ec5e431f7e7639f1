//! Where a handler's program is: in the directory `handlers` of its namespace, and nowhere else.
//!
//! Failure contract: each reason why a name cannot be run has its own words, and nothing outside of the directory is ever run.

use super::HANDLERS_DIR;
use super::bindings::check_handler;
use crate::error::{Code, Error, Result};
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
    let dir = namespace.join(HANDLERS_DIR);
    let path = dir.join(handler);
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("no such handler: there is no {HANDLERS_DIR}/{handler}"));
        }
        Err(err) => return Err(format!("handler: {err}")),
    };
    let inside = dir.canonicalize().is_ok_and(|dir| real.starts_with(dir));
    if !inside {
        return Err(format!(
            "{HANDLERS_DIR}/{handler} leads out of the directory {HANDLERS_DIR}, to {}",
            real.display()
        ));
    }
    let meta = real.metadata().map_err(|err| format!("handler: {err}"))?;
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
