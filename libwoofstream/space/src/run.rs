//! A handler that is to be run on demand: what is asked for, what it reads and writes, and how it ended.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use woof_core::element::Mark;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{RUN_ARGS_BYTES_MAX, RUN_ARGS_MAX};

/// Why an element of the greatest depth is not handled.
pub const TOO_DEEP: &str = "put by handlers of handlers 15 deep (a loop? wbind --chain allows it)";

/// What is to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The handler: a file name in the directory `handlers` of the namespace.
    pub handler: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// How many handlers led to this.
    pub depth: u8,
    /// The woof of the element that it is run for, if it is for one.
    pub woof: Option<String>,
    /// The element.
    pub seqno: Option<u64>,
    /// When it was put, in nanoseconds since 1970.
    pub time_ns: Option<u64>,
    /// How it runs on this machine; on another one its server knows.
    pub here: RunOptions,
}

impl Call {
    /// Whether it is within the limits.
    ///
    /// # Errors
    /// Which limit it is over.
    pub fn check(&self) -> Result<()> {
        let too_large = |text| Err(Error::new(Code::TooLarge, "", text));
        let bytes: usize = self.args.iter().map(|arg| arg.len() + 1).sum();
        if self.args.len() > RUN_ARGS_MAX {
            return too_large(format!("{} arguments, the limit is {RUN_ARGS_MAX}", self.args.len()));
        }
        if bytes > RUN_ARGS_BYTES_MAX {
            return too_large(format!("arguments of {bytes} bytes, the limit is {RUN_ARGS_BYTES_MAX}"));
        }
        if self.args.iter().any(|arg| arg.contains('\0')) {
            return Err(Error::new(Code::Invalid, "", "an argument with a zero byte in it"));
        }
        if self.depth >= Mark::DEPTH_MAX {
            return Err(Error::new(Code::Invalid, "", TOO_DEEP.replace("put by", "asked for by")));
        }
        Ok(())
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit status as a shell has it; 1 where that is not known.
    pub status: u8,
    /// What was wrong, where something was.
    pub why: Option<String>,
}

impl Exit {
    /// It ended well.
    pub const DONE: Exit = Exit { status: 0, why: None };
}

/// What a program reads and where it writes to. All of it is closed when it has ended.
pub struct Pipes<'a> {
    /// What it reads.
    pub stdin: OwnedFd,
    /// Where it writes to; no more than what this takes is read of it.
    pub stdout: OwnedFd,
    /// Is given what it writes to its standard error.
    pub stderr: &'a mut dyn FnMut(&[u8]),
    /// Once this can be read, it is killed.
    pub stop: &'a OwnedFd,
}

/// How handlers run where a namespace does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// The `PATH` of handlers that are processes.
    pub path: OsString,
    /// The image of the container of namespaces that name none; without, their handlers are processes.
    pub image: Option<String>,
    /// The address of the container engine; without, Docker's at its usual place.
    pub engine: Option<String>,
    /// Whether this process has the namespaces: the containers of others before it are removed then.
    pub serves: bool,
}

impl RunOptions {
    /// Of a server: processes with this `PATH`, and containers where a namespace wants one.
    pub fn new(path: impl Into<OsString>) -> RunOptions {
        RunOptions { path: path.into(), serves: true, ..RunOptions::default() }
    }
}

/// The error of a run that was stopped from here.
pub fn told_to_stop() -> Error {
    Error::new(Code::Cut, "", "told to stop: killed")
}
