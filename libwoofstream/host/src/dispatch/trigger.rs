//! A trigger that was found and is not done, and why it is run.

use std::time::Instant;

/// What an attempt is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The element was put.
    Put,
    /// The last attempt failed, with this reason.
    Retry(String),
    /// The last attempt ended with the server.
    Restart,
    /// Somebody put it back.
    Asked,
}

impl Cause {
    /// As the handler and the log are told of it.
    pub(super) fn text(&self) -> String {
        match self {
            Cause::Put => "put".to_owned(),
            Cause::Retry(reason) => format!("retry: {reason}"),
            Cause::Restart => "restart".to_owned(),
            Cause::Asked => "asked".to_owned(),
        }
    }
}

/// Where a trigger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Running,
    /// Until then.
    Waiting(Instant),
    /// Given up; its dead letter is still to be written.
    Dying,
}

/// A trigger that is not done.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    /// Attempts that began.
    pub(super) attempts: u32,
    /// Attempts that failed; those that ended with the server are no failures of the handler.
    pub(super) failures: u32,
    pub(super) cause: Cause,
    pub(super) state: State,
    /// When its element was put, in nanoseconds since 1970; 0 where it was not read yet.
    pub(super) put_ns: u64,
}

impl Trigger {
    pub(super) fn found(put_ns: u64, cause: Cause) -> Trigger {
        Trigger { attempts: 0, failures: 0, cause, state: State::Ready, put_ns }
    }

    /// One that was open when the last dispatcher ended.
    pub(super) fn left(attempts: u32, failures: u32) -> Trigger {
        let cause = match attempts {
            0 => Cause::Put,
            attempts if attempts > failures => Cause::Restart,
            _ => Cause::Retry("failed before a restart".to_owned()),
        };
        Trigger { attempts, failures, cause, state: State::Ready, put_ns: 0 }
    }
}
