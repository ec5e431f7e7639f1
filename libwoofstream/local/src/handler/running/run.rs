//! A handler that is to run, one that runs, and how that ended.

use super::written::Written;
use crate::handler::bindings::Binding;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use woof_core::content::ContentType;
use woof_core::name::Namespace;

/// How the ids of runs on demand begin: the process that started them follows, and a number.
pub const ON_DEMAND: &str = "run-";

/// A handler that is to run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The namespace's directory.
    pub namespace: &'a Path,
    /// The binding.
    pub binding: &'a Binding,
    /// The id of the trigger, or another that is the namespace's own.
    pub trigger: &'a str,
    /// The depth of what the handler puts.
    pub depth: u8,
    /// What the attempt is for: it is in the environment of the handler. A long-lived handler, which gets many, has none there.
    pub attempt: Option<Attempt<'a>>,
    /// Who asked for it, where somebody did and it is not for an element.
    pub asked: Option<Asked<'a>>,
    /// The arguments of the program.
    pub args: &'a [String],
    /// The same directory, open, where whoever has it run has looked at it already.
    pub open: Option<&'a Namespace>,
}

impl Run<'_> {
    /// The namespace, open.
    pub fn namespace(&self) -> Result<Namespace, String> {
        self.open
            .cloned()
            .map_or_else(|| Namespace::exactly(self.namespace), Ok)
            .map_err(|err| err.to_string())
    }
}

/// What a handler that runs on demand is told of who asked and what for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The user.
    pub user: &'a str,
    /// The woof of the element that it is run for, if it is for one.
    pub woof: Option<&'a str>,
    /// The element.
    pub seqno: Option<u64>,
    /// When it was put, in nanoseconds since 1970.
    pub time_ns: Option<u64>,
}

/// An attempt for one element.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The name of the woof in the namespace.
    pub woof: &'a str,
    /// The element.
    pub seqno: u64,
    /// When it was put, in nanoseconds since 1970.
    pub time_ns: u64,
    /// What its data is.
    pub content: ContentType,
    /// Its data.
    pub data: &'a [u8],
    /// Which attempt, from 1.
    pub number: u32,
    /// What it is for.
    pub cause: &'a str,
}

/// Where a handler wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Its standard output.
    Out,
    /// Its standard error.
    Err,
}

/// Why an attempt is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The handler failed: this counts.
    Failed(String),
    /// There is nowhere to run it now, which is no fault of the handler: it is tried again, however often.
    NotReady(String),
}

impl Failure {
    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Failure::Failed(reason) | Failure::NotReady(reason) => reason,
        }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Failed(reason)
    }
}

/// How an attempt ended: done, or why not.
pub type Outcome = std::result::Result<(), Failure>;

/// Gets all that a handler writes; once it returns a reason, the attempt has failed with it.
pub type OnWritten<'a> = &'a mut dyn FnMut(Channel, Written<'_>) -> Result<(), String>;

/// A program that runs. Dropped, it is killed with all that came of it.
pub trait Running: Send {
    /// A descriptor that is readable once it has ended.
    fn ended(&self) -> BorrowedFd<'_>;

    /// Takes how it ended, once it has, and kills what it left behind.
    fn end(&mut self) -> Outcome;

    /// The exit status as a shell has it, after [`Running::end`] and where it is known.
    fn status(&self) -> Option<u8> {
        None
    }

    /// Kills it with all that came of it.
    fn kill(&mut self);
}

/// A program that was started.
pub struct Started {
    /// The program.
    pub running: Box<dyn Running>,
    /// What it writes to its standard output.
    pub stdout: OwnedFd,
    /// What it writes to its standard error.
    pub stderr: OwnedFd,
}
