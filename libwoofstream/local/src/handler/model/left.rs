//! Which triggers of a binding are open: what the log of triggers says, and which elements are triggers.

use super::record::{Record, Totals, What};
use std::collections::BTreeMap;
use woof_core::content::ContentType;
use woof_core::wire::Dir;
use woof_log::Mark;
use woof_predicate::{Predicate, Subject};

/// A record stands for no more triggers than these.
const RANGE_MAX: u64 = 1 << 20;

/// What the log of triggers says of a binding.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Elements up to this one were looked at; what came later is in the next one.
    pub upto: Option<u64>,
    /// Triggers that are open, with their attempts and how many of them failed.
    pub open: BTreeMap<u64, (u32, u32)>,
    /// When the woof was made that this is of, in nanoseconds since 1970.
    pub made: Option<u64>,
    /// How many recoveries that woof had.
    pub recoveries: Option<u64>,
    /// What was done until now.
    pub totals: Totals,
}

impl Left {
    /// Takes the next record of the binding.
    pub fn take(&mut self, record: Record) {
        self.totals.count(&record);
        match record.what {
            What::Position => {
                let open = record.open.unwrap_or_default();
                self.open = open
                    .into_iter()
                    .map(|(seqno, attempts, failures)| (seqno, (attempts, failures)))
                    .collect();
                (self.upto, self.made, self.recoveries) = (record.upto, record.made, record.recoveries);
            }
            what => {
                if what == What::Put {
                    // They are found in order, so all before it were looked at.
                    self.upto = self.upto.max(Some(record.to.unwrap_or(record.seqno)));
                }
                // A range from a damaged or strange record takes no longer than one that could be.
                let to = record.to.unwrap_or(record.seqno).min(record.seqno + RANGE_MAX);
                for seqno in record.seqno..=to {
                    match what {
                        What::Claimed => self.open.entry(seqno).or_default().0 = record.attempt.unwrap_or(1),
                        What::Failed => self.open.entry(seqno).or_default().1 += 1,
                        What::Put => drop(self.open.entry(seqno).or_default()),
                        _ => drop(self.open.remove(&seqno)),
                    }
                }
            }
        }
    }
}

/// What a predicate is asked about an element.
pub fn subject<'a>(
    content: ContentType,
    dir: &'a Dir,
    seqno: u64,
    time_ns: u64,
    data: &'a [u8],
) -> Subject<'a> {
    Subject {
        data: Some(data),
        content,
        seqno: Some(seqno),
        time_ns: Some(time_ns),
        attrs: Some(dir),
        depth: None,
    }
}

/// Whether an element is a trigger of a binding.
pub fn is_trigger(
    named: Option<u8>,
    predicate: Option<&Predicate>,
    mark: Mark,
    subject: &Subject<'_>,
) -> bool {
    let matches = |predicate: &Predicate| {
        let matches = predicate.matches(subject);
        if let Some(trouble) = predicate.trouble() {
            tracing::warn!(predicate = predicate.text(), error = %trouble, "an element cannot be judged");
        }
        matches
    };
    named.is_none_or(|number| mark.handler() == number) && predicate.is_none_or(matches)
}
