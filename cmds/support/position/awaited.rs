//! The end of a pipeline that keeps a position: `wtail --keep` looks whether the position has come to what it sent. Nobody else can tell
//! that a pipeline has no end that moves it.
//!
//! Failure contract: the wait ends when the position is moved, or when nobody reads what was sent, nobody has the position in hand, and
//! some time has passed. Programs between the two ends may be done before the last one has begun to read: the time is for that.

use super::Position;
use crate::support::output::Reading;
use libwoofstream::error::{Code, Error};
use std::time::{Duration, Instant};

/// So long a last command may take to begin, after all before it have ended.
const BEGIN: Duration = Duration::from_secs(3);
/// The same where the next command has ended before it had read all: then it is not because there was little to read.
const BEGIN_CUT: Duration = Duration::from_millis(300);
/// The first and the longest pause between two looks.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A position that is to come to what was sent.
#[derive(Debug)]
pub(crate) struct Awaited {
    position: Position,
    /// What the woof is called.
    name: String,
    /// The last element that a message said was sent.
    sent: u64,
    /// Who reads what was sent; `None` when it went into a file.
    reading: Option<Reading>,
}

impl Awaited {
    pub(crate) fn new(position: Position, name: &str, sent: u64, reading: Option<Reading>) -> Awaited {
        Awaited { position, name: name.to_owned(), sent, reading }
    }

    /// Waits until the position is moved; tells when nobody does that. To be called when the output is closed, or `is_cut`, as its
    /// reader has gone.
    pub(crate) fn wait(mut self, is_cut: bool) -> Option<Error> {
        let begin = if is_cut { BEGIN_CUT } else { BEGIN };
        let (mut pause, mut alone_since) = (PAUSE, None);
        loop {
            let is_done = self.position.look().is_ok_and(|done| done >= self.sent);
            if is_done {
                return None;
            }
            let is_read = self.reading.as_ref().is_some_and(Reading::goes_on);
            if is_read || self.position.is_carried() {
                alone_since = None;
            } else {
                let since = *alone_since.get_or_insert_with(Instant::now);
                if self.reading.is_none() || since.elapsed() >= begin {
                    return Some(self.not_moved());
                }
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    fn not_moved(&self) -> Error {
        let (keep, done, sent) = (self.position.name(), self.position.done(), self.sent);
        let text = format!(
            "position {keep} was not moved beyond {done}, though elements up to {sent} were sent: \
             the end of the pipeline did not put them away, or cannot reach its file"
        );
        Error::new(Code::Failed, &*self.name, text)
    }
}
