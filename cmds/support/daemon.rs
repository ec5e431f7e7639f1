//! `woofd`, the program of what stays: it serves namespaces, and keeps the containers that commands run programs in. It lies beside
//! `woof`, so that what comes and goes need not carry it.
//!
//! Failure contract: a `woofd` that is not there, or of another version, is told by its path, and nothing was done.

use libwoofstream::error::{Code, Error, Result};
use libwoofstream::handler::container::Keeper;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What it is called.
pub const PROGRAM: &str = "woofd";

/// The command that it is.
pub const COMMAND: &str = "wserve";

/// The argument before the version of the `woof` that calls it.
pub const CALLED_BY: &str = "--called-by";

/// The argument that has it keep a container, for whoever is at the other end of its standard input.
pub const KEEP_CONTAINER: &str = "--keep-container";

/// Where it is.
///
/// # Errors
/// When it is not beside this program.
pub fn path() -> Result<PathBuf> {
    let own = std::env::current_exe().and_then(|path| path.canonicalize());
    let path = own.map_err(|err| Error::io("woof", "find this program", err))?.with_file_name(PROGRAM);
    if path.exists() {
        return Ok(path);
    }
    let text = "not there: the server is a program of its own, and belongs beside woof";
    Err(Error::new(Code::NotFound, path.display().to_string(), text))
}

fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.args([CALLED_BY, env!("CARGO_PKG_VERSION")]);
    command
}

/// Has it run in place of this process, with the arguments that this one has as `wserve`. Comes back with an error alone.
pub fn run_instead() -> Error {
    let path = match path() {
        Ok(path) => path,
        Err(err) => return err,
    };
    let mut arguments = std::env::args_os();
    let called = arguments.next().map(|called| Path::new(&called).file_name().map(OsString::from));
    if called.flatten().is_none_or(|called| called != COMMAND) {
        // The name of the command, behind that of the program.
        arguments.next();
    }
    let err = command(&path).arg(COMMAND).args(arguments).exec();
    Error::io(path.display().to_string(), "run", err)
}

/// What makes containers: each has a `woofd` that keeps it as long as this process has it.
pub fn containers() -> Keeper {
    Keeper::new(|connection| {
        let path = path()?;
        let mut command = command(&path);
        // A signal of the terminal is for us, and what we have it do comes through the connection.
        command.arg(KEEP_CONTAINER).stdin(connection).stdout(Stdio::null()).process_group(0);
        command.spawn().map_err(|err| Error::io(path.display().to_string(), "run", err))
    })
}
