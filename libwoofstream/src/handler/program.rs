//! Where a handler's program is: in the directory `handlers` of its namespace, and nowhere else.
//!
//! Failure contract: each reason why a name cannot be run has its own words, and nothing outside of the directory is ever run. The directory
//! itself is opened without following a link, so it is the namespace's own.

use super::HANDLERS_DIR;
use super::bindings::check_handler;
use crate::error::{Code, Error, Result};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
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
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(&dir, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOTDIR) => {
            let is_link = dir.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
            let what =
                if is_link { "a symbolic link: only a directory has handlers" } else { "no directory" };
            return Err(format!("{HANDLERS_DIR} is {what}"));
        }
        Err(Errno::NOENT) => return Err(no_such(handler)),
        Err(err) => return Err(failed(err)),
    };
    let found = match sys::open_beneath(opened, handler.as_ref(), OFlags::PATH) {
        Ok(found) => File::from(found),
        Err(Errno::NOENT) => return Err(no_such(handler)),
        Err(Errno::LOOP) => return Err(format!("{HANDLERS_DIR}/{handler} is a link that leads to itself")),
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

fn no_such(handler: &str) -> String {
    format!("no such handler: there is no {HANDLERS_DIR}/{handler}")
}

/// So much of a program is read to find out why it does not start; the kernel looks at no more.
const HEAD: u64 = 256;

/// Why a program that is there does not start. The kernel says of a script whose interpreter is missing that the script is.
pub(super) fn not_started(program: &Path, dir: &Path, err: &std::io::Error) -> String {
    let errno = Errno::from_io_error(err);
    let plain = errno.map_or_else(|| err.to_string(), |errno| Error::io("", "", errno).text().to_owned());
    let mut head = Vec::new();
    if !matches!(errno, Some(Errno::NOENT | Errno::NOEXEC))
        || File::open(program).and_then(|file| file.take(HEAD).read_to_end(&mut head)).is_err()
    {
        return plain;
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let interpreter = line.strip_prefix(b"#!").map(|line| {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t'));
        words.find(|word| !word.is_empty()).unwrap_or_default()
    });
    match (errno, interpreter) {
        (Some(Errno::NOENT), Some(name)) if !dir.join(OsStr::from_bytes(name)).exists() => {
            let shown = name.escape_ascii();
            let cure =
                if name.ends_with(b"\r") { ": the line ends with CR LF, and has to with LF" } else { "" };
            format!("the interpreter that its #! line names is not there: {shown}{cure}")
        }
        (Some(Errno::NOENT), None) if head.starts_with(b"\x7fELF") => {
            "the loader that this binary needs, of shared libraries, is not there".to_owned()
        }
        (Some(Errno::NOEXEC), Some(b"")) => "it is no program: its #! line names no interpreter".to_owned(),
        (Some(Errno::NOEXEC), None) if head.is_empty() => "it is no program: the file is empty".to_owned(),
        (Some(Errno::NOEXEC), None) => {
            "it is no program: it has no #! line, and is no binary of this machine".to_owned()
        }
        _ => plain,
    }
}
