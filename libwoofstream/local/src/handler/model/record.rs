//! Records: the elements of a namespace's log of triggers, in JSON.
//!
//! Failure contract: an element that is none of these is passed over by readers, so that a later version may add others.

use serde::{Deserialize, Serialize};

/// What happened to a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It was found.
    Put,
    /// An attempt is about to begin.
    Claimed,
    /// The handler succeeded.
    Done,
    /// The handler failed, and will be tried again.
    Failed,
    /// It was given up.
    Dead,
    /// Elements that cannot be handled.
    Lost,
    /// How far a binding has come.
    Position,
}

/// How often what happened to the triggers of a binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Triggers that were done.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Triggers that were given up.
    pub dead: u64,
    /// Elements that could not be handled.
    pub lost: u64,
}

impl Totals {
    /// Counts a record.
    pub fn count(&mut self, record: &Record) {
        match record.what {
            What::Done => self.done += record.count(),
            What::Failed => self.failed += 1,
            What::Dead => (self.dead, self.failed) = (self.dead + 1, self.failed + 1),
            What::Lost => self.lost += record.count(),
            What::Position => *self = record.totals.unwrap_or(*self),
            What::Put | What::Claimed => {}
        }
    }
}

/// An element of the log of triggers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What happened.
    pub what: What,
    /// To a trigger of this binding.
    pub binding: u32,
    /// Its element; 0 for a position.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seqno: u64,
    /// The last of several elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The name of the woof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woof: Option<String>,
    /// The handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Of a dead letter that was put back: the id of the trigger that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// When the element was put, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<u64>,
    /// Which attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What the attempt is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How long the attempt took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is tried again, in milliseconds from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_ms: Option<u64>,
    /// Of a position: all triggers up to this seqno are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Of a position: all elements up to this seqno were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<u64>,
    /// Of a position: triggers that are not done, each with its attempts and how many of them failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Vec<(u64, u32, u32)>>,
    /// Of a position: how many triggers were done, attempts failed, triggers given up and elements lost until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    /// Of a position: when the woof was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<u64>,
    /// Of a position: how often the woof was recovered from a power loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recoveries: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Record {
    /// A record with nothing else in it.
    pub fn new(what: What, binding: u32, seqno: u64) -> Record {
        Record {
            what,
            binding,
            seqno,
            to: None,
            woof: None,
            handler: None,
            trigger: None,
            put: None,
            attempt: None,
            cause: None,
            ms: None,
            reason: None,
            again_ms: None,
            done: None,
            upto: None,
            open: None,
            totals: None,
            made: None,
            recoveries: None,
        }
    }

    /// How many elements it tells of.
    pub fn count(&self) -> u64 {
        self.to.unwrap_or(self.seqno).saturating_sub(self.seqno) + 1
    }

    /// The record in the data of an element, if it is one.
    pub fn parse(data: &[u8]) -> Option<Record> {
        serde_json::from_slice(data).ok()
    }
}
