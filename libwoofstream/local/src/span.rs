//! Which elements of a woof a selection asks for.

use woof_core::error::{Code, Error, Result};
use woof_log::{Item, Woof};
use woof_predicate::{Attributes, Subject};
use woof_space::{Bound, Selection, SeqRange};

/// A selection made concrete for one woof at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first seqno.
    pub(crate) from: u64,
    /// The last seqno, itself included; `u64::MAX` for a follow without an end.
    pub(crate) to: u64,
}

impl Span {
    /// Works out the seqnos.
    pub(crate) fn of(selection: &Selection, woof: &Woof, attrs: &dyn Attributes) -> Result<Span> {
        let (first, next) = (woof.first_seqno(), woof.next_seqno());
        let (mut from, mut to) = match &selection.range {
            Some(range) => {
                let (from, to) = range.seqnos(first, next.saturating_sub(1));
                let open = range.to == Bound::Open;
                if !selection.resumed {
                    check_there(range, first, next, selection.follow.is_some())?;
                }
                (from, if open && selection.follow.is_some() { u64::MAX } else { to })
            }
            // A follow alone starts with what is new.
            None if selection.follow.is_some()
                && selection.last.is_none()
                && selection.since_ns.is_none() =>
            {
                (next, u64::MAX)
            }
            None if selection.follow.is_some() => (first, u64::MAX),
            None => (first, next.saturating_sub(1)),
        };
        if let Some(since) = selection.since_ns {
            from = from.max(woof.seqno_at(since)?);
        }
        if let Some(until) = selection.until_ns
            && selection.follow.is_none()
        {
            to = to.min(woof.seqno_at(until.saturating_add(1))?.saturating_sub(1));
        }
        if let Some(count) = selection.last {
            from = Span::last_from(selection, woof, attrs, from, to.min(next.saturating_sub(1)), count)?;
        }
        Ok(Span { from, to })
    }

    /// Where the newest `count` elements of `from..=to` that match begin. Looks from the newest back, block by block.
    fn last_from(
        selection: &Selection,
        woof: &Woof,
        attrs: &dyn Attributes,
        from: u64,
        to: u64,
        count: u64,
    ) -> Result<u64> {
        const BLOCK: u64 = 4096;
        let Some(predicate) = &selection.predicate else {
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
pub(crate) fn subject<'a>(
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
        (Bound::Seqno(from), Bound::Seqno(to))
            if from == to && (from < first || (from >= next && !follow)) =>
        {
            missing(from.to_string())
        }
        (Bound::Seqno(from), _) if from >= next && !follow => missing(from.to_string()),
        (_, Bound::Seqno(to)) if to < first => missing(to.to_string()),
        _ if *range == SeqRange::NEWEST && first == next => missing("at all".to_owned()),
        _ => Ok(()),
    }
}
