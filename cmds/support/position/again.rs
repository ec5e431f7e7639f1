//! Numbers of a woof that came again: an older copy was put in its place, or a power failure took elements, and others got their numbers.
//!
//! Failure contract: where elements are gone that would tell, nothing is found.

use libwoofstream::error::{Code, Result};
use libwoofstream::space::{Bound, Each, MessageRef, Selection, SeqRange, Space as _, Spaces};

/// The first element of a selection, if there is any.
fn first(spaces: &Spaces, name: &str, selection: &Selection) -> Result<Option<(u64, u64)>> {
    let mut found = None;
    let mut sink = Each(|message: MessageRef<'_>| {
        if let MessageRef::Elem { seqno, time_ns, .. } = message {
            found.get_or_insert((seqno, time_ns));
        }
        Ok(())
    });
    match spaces.read(name, selection, &mut sink) {
        Err(err) if err.code() != Code::NotFound => Err(err),
        _ => Ok(found),
    }
}

/// The first element of a woof whose next one is `next` that has the number of another one, if the element `last` is not the one that had
/// its number at that time. Times never go back, so it is the first one that is later.
///
/// # Errors
/// When the woof cannot be read.
pub(super) fn begin(
    spaces: &Spaces,
    name: &str,
    (last, time_ns): (u64, u64),
    next: u64,
) -> Result<Option<u64>> {
    if last == 0 {
        return Ok(None);
    }
    if last < next {
        let one = Bound::Seqno(last);
        let range = Some(SeqRange { from: one, to: one });
        match first(spaces, name, &Selection { range, ..Selection::default() })? {
            // It is not kept any more.
            None => return Ok(None),
            Some((_, there)) if there == time_ns => return Ok(None),
            Some(_) => {}
        }
    }
    let later =
        Selection { since_ns: Some(time_ns.saturating_add(1)), limit: Some(1), ..Selection::default() };
    let found = first(spaces, name, &later)?.map(|(seqno, _)| seqno);
    // Where its times do not tell, as they were kept from elsewhere, at least this one is another.
    Ok(Some(found.unwrap_or(last).min(last)))
}
