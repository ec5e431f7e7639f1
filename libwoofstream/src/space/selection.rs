//! Which elements of a woof a source sends.

use super::{SeqRange, Stop};
use woof_core::error::{Code, Error, Result};
use woof_log::{Item, Woof};
use woof_predicate::{Attributes, Predicate, Subject};

/// Goes on with the elements to come.
#[derive(Clone, Default)]
pub struct Follow {
    /// Ends it.
    pub stop: Stop,
}

/// Which elements of a woof are sent. Without anything set: all that are kept.
#[derive(Clone, Default)]
pub struct Selection {
    /// By seqno.
    pub range: Option<SeqRange>,
    /// Not before this time, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// Not after this time, in nanoseconds since 1970.
    pub until_ns: Option<u64>,
    /// Only what matches.
    pub predicate: Option<Predicate>,
    /// Of what is kept and matches, only the newest so many.
    pub last: Option<u64>,
    /// Stop after so many elements.
    pub limit: Option<u64>,
    /// Go on with the elements to come.
    pub follow: Option<Follow>,
    /// It goes on with a read that had begun: what is not there any more is told as gone, and is no error.
    pub resumed: bool,
}

/// A selection made concrete for one woof at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first seqno.
    pub(super) from: u64,
    /// The last seqno, itself included; `u64::MAX` for a follow without an end.
    pub(super) to: u64,
}

impl Selection {
    /// Works out the seqnos.
    pub(super) fn span(&self, woof: &Woof, attrs: &dyn Attributes) -> Result<Span> {
        let (first, next) = (woof.first_seqno(), woof.next_seqno());
        let (mut from, mut to) = match &self.range {
            Some(range) => {
                let (from, to) = range.seqnos(first, next.saturating_sub(1));
                let open = range.to == super::Bound::Open;
                if !self.resumed {
                    check_there(range, first, next, self.follow.is_some())?;
                }
                (from, if open && self.follow.is_some() { u64::MAX } else { to })
            }
            // A follow alone starts with what is new.
            None if self.follow.is_some() && self.last.is_none() && self.since_ns.is_none() => {
                (next, u64::MAX)
            }
            None if self.follow.is_some() => (first, u64::MAX),
            None => (first, next.saturating_sub(1)),
        };
        if let Some(since) = self.since_ns {
            from = from.max(woof.seqno_at(since)?);
        }
        if let Some(until) = self.until_ns
            && self.follow.is_none()
        {
            to = to.min(woof.seqno_at(until.saturating_add(1))?.saturating_sub(1));
        }
        if let Some(count) = self.last {
            from = self.last_from(woof, attrs, from, to.min(next.saturating_sub(1)), count)?;
        }
        Ok(Span { from, to })
    }

    /// Where the newest `count` elements of `from..=to` that match begin. Looks from the newest back, block by block.
    fn last_from(&self, woof: &Woof, attrs: &dyn Attributes, from: u64, to: u64, count: u64) -> Result<u64> {
        const BLOCK: u64 = 4096;
        let Some(predicate) = &self.predicate else {
            return Ok(from.max((to + 1).saturating_sub(count)));
        };
        let (mut high, mut missing) = (to + 1, count);
        let mut matching = Vec::new();
        while high > from && missing > 0 {
            let low = high.saturating_sub(BLOCK).max(from);
            let mut cursor = woof.cursor(low);
            matching.clear();
            while cursor.seqno() < high {
                let Some(item) = cursor.next() else { break };
                match item {
                    Item::Elem { seqno, .. } if seqno >= high => break,
                    Item::Elem { seqno, time_ns, data, .. } => {
                        if predicate.matches(&subject(woof, attrs, seqno, time_ns, data)) {
                            matching.push(seqno);
                        }
                        if let Some(over) = predicate.over() {
                            let text = format!("evaluation of element {seqno} {over}");
                            return Err(Error::new(Code::TooLarge, "predicate", text));
                        }
                        if let Some(ended) = predicate.ended() {
                            return Err(ended);
                        }
                    }
                    Item::Gone { .. } | Item::Damaged { .. } => {}
                }
            }
            if matching.len() as u64 >= missing {
                let index = matching.len() - usize::try_from(missing).unwrap_or(matching.len());
                return Ok(matching.get(index).copied().unwrap_or(high));
            }
            missing -= matching.len() as u64;
            high = low;
        }
        Ok(if missing == 0 { high } else { from })
    }
}

/// What a predicate is asked about an element.
#[inline]
pub(super) fn subject<'a>(
    woof: &Woof,
    attrs: &'a dyn Attributes,
    seqno: u64,
    time_ns: u64,
    data: &'a [u8],
) -> Subject<'a> {
    Subject {
        data: Some(data),
        content: woof.options().content,
        seqno: Some(seqno),
        time_ns: Some(time_ns),
        attrs: Some(attrs),
        depth: None,
    }
}

/// Refuses a range of which nothing can be there, and says what is.
fn check_there(range: &SeqRange, first: u64, next: u64, follow: bool) -> Result<()> {
    let missing = |what: String| {
        let kept = match next.saturating_sub(first) {
            0 if next == 1 => "nothing was put yet".to_owned(),
            0 => format!("nothing is kept, the next will be {next}"),
            _ => format!("the oldest kept is {first}, the newest {}", next - 1),
        };
        Err(Error::new(Code::NotFound, "", format!("no element {what}: {kept}")))
    };
    match (range.from, range.to) {
        (super::Bound::Seqno(from), super::Bound::Seqno(to))
            if from == to && (from < first || (from >= next && !follow)) =>
        {
            missing(from.to_string())
        }
        (super::Bound::Seqno(from), _) if from >= next && !follow => missing(from.to_string()),
        (_, super::Bound::Seqno(to)) if to < first => missing(to.to_string()),
        _ if *range == SeqRange::NEWEST && first == next => missing("at all".to_owned()),
        _ => Ok(()),
    }
}
