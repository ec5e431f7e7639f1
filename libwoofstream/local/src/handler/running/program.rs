//! Where a handler's program is: in the directory `handlers` of its namespace, and nowhere else.
//!
//! Failure contract: each reason why a name cannot be run has its own words, and nothing outside of the directory is ever run: what is run is the file that was
//! opened there. The directory itself is opened without following a link, so it is the namespace's own.

use crate::handler::HANDLERS_DIR;
use crate::handler::bindings::check_handler;
use rustix::fs::{AtFlags, FileType, OFlags};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use woof_core::error::{Code, Error, Result};
use woof_core::name::Namespace;
use woof_core::sys;
use woof_core::text;

/// A handler's program, open: to be run whatever has its name by then.
pub struct Program {
    file: OwnedFd,
    /// Where it is, for messages and as the name it is called by.
    path: PathBuf,
}

/// Looks whether a namespace, given by its directory, has this handler, and it could be run.
///
/// # Errors
/// [`Code::NotFound`] when there is none, [`Code::Invalid`] when it cannot be run, saying why; the object is the handler.
pub fn check_program(namespace: &Path, handler: &str) -> Result<()> {
    check_handler(handler)?;
    check_program_in(&Namespace::of(namespace)?, handler)
}

/// As [`check_program`], of a namespace that is open.
pub fn check_program_in(namespace: &Namespace, handler: &str) -> Result<()> {
    check_handler(handler)?;
    program(namespace, handler).map(drop).map_err(|why| {
        let dir = sys::open_step(namespace.dir(), HANDLERS_DIR);
        let is_there =
            dir.is_ok_and(|dir| rustix::fs::statat(&dir, handler, AtFlags::SYMLINK_NOFOLLOW).is_ok());
        Error::new(if is_there { Code::Invalid } else { Code::NotFound }, handler, why)
    })
}

/// The program that a handler's name leads to, after all links, or why there is none.
pub fn program(namespace: &Namespace, handler: &str) -> std::result::Result<Program, String> {
    check_handler(handler).map_err(|err| err.to_string())?;
    let failed = |err: Errno| format!("handler: {}", Error::io("", "", err));
    let opened = match sys::open_step(namespace.dir(), HANDLERS_DIR) {
        Ok(opened) => opened,
        Err(Errno::LOOP) => {
            return Err(format!("{HANDLERS_DIR} is a symbolic link: only a directory has handlers"));
        }
        Err(Errno::NOTDIR) => return Err(format!("{HANDLERS_DIR} is no directory")),
        Err(Errno::NOENT) => return Err(no_such(handler)),
        Err(err) => return Err(failed(err)),
    };
    let file = match sys::open_beneath(opened, handler.as_ref(), OFlags::PATH) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Err(no_such(handler)),
        Err(Errno::LOOP) => return Err(format!("{HANDLERS_DIR}/{handler} is a link that leads to itself")),
        Err(Errno::XDEV) => {
            return Err(format!("{HANDLERS_DIR}/{handler} leads out of the directory {HANDLERS_DIR}"));
        }
        Err(err) => return Err(failed(err)),
    };
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(format!("{HANDLERS_DIR}/{handler} is a directory")),
        _ => return Err(format!("{HANDLERS_DIR}/{handler} is no file")),
    }
    if stat.st_mode & 0o111 == 0 {
        return Err(format!("{HANDLERS_DIR}/{handler} is not executable"));
    }
    let path = sys::path_of(&file).unwrap_or_else(|_| namespace.path().join(HANDLERS_DIR).join(handler));
    Ok(Program { file, path })
}

impl Program {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs it, and nothing that gets its name meanwhile. This is to be there until the command was started.
    pub fn command(&self) -> std::io::Result<Command> {
        // Of a script the kernel gives the interpreter this path, which has to lead to it in the new process too. A binary needs nothing more, and an
        // interpreter that is registered with the kernel may.
        if !self.head().is_some_and(|head| head.starts_with(ELF)) {
            fcntl_setfd(&self.file, FdFlags::empty())?;
        }
        let mut command = Command::new(sys::link_to(&self.file));
        command.arg0(&self.path);
        Ok(command)
    }

    /// How it begins, if it can be read.
    fn head(&self) -> Option<Vec<u8>> {
        let (mut head, file) = (Vec::new(), File::open(sys::link_to(&self.file)).ok()?);
        file.take(HEAD).read_to_end(&mut head).ok().map(|_| head)
    }
}

/// How a binary of this system begins.
const ELF: &[u8] = b"\x7fELF";

fn no_such(handler: &str) -> String {
    format!("no such handler: there is no {HANDLERS_DIR}/{handler}")
}

/// Where the programs that are open have paths.
const PROC: &str = "/proc/self/fd";

/// So much of a program is read to find out why it does not start; the kernel looks at no more.
const HEAD: u64 = 256;

/// Why a program that is there does not start. The kernel says of a script whose interpreter is missing that the script is.
pub fn not_started(program: &Path, dir: &Path, err: &std::io::Error) -> String {
    let errno = Errno::from_io_error(err);
    let plain = errno.map_or_else(|| err.to_string(), |errno| Error::io("", "", errno).text().to_owned());
    if errno == Some(Errno::NOENT) && !Path::new(PROC).exists() {
        return format!("{PROC} is not there, which handlers need: it is to be mounted");
    }
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
        (Some(Errno::NOEXEC), None) if text::unmarked(&head).map_or(true, |text| text.len() < head.len()) => {
            "it is no program: a byte order mark stands before its #! line: save it as UTF-8 without one"
                .to_owned()
        }
        (Some(Errno::NOEXEC), None) => {
            "it is no program: it has no #! line, and is no binary of this machine".to_owned()
        }
        _ => plain,
    }
}
