//! Numbers of a woof that came again: an older copy was put in its place, or a power failure took elements, and others got their numbers.
//!
//! Failure contract: where elements are gone that would tell, nothing is found.

use libwoofstream::error::{Code, Result};
use libwoofstream::space::{Bound, Selection, SeqRange, Sink, Space as _, Spaces};
use libwoofstream::wire::{Dir, Fault};

/// The first element that came, and its time.
#[derive(Default)]
struct First(Option<(u64, u64)>);

impl Sink for First {
    fn elem(&mut self, seqno: u64, time_ns: u64, _data: &[u8]) -> Result<()> {
        self.0.get_or_insert((seqno, time_ns));
        Ok(())
    }

    fn dir(&mut self, _dir: &Dir) -> Result<()> {
        Ok(())
    }

    fn mark(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    fn fault(&mut self, _fault: &Fault) -> Result<()> {
        Ok(())
    }

    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The first element of a selection, if there is any.
fn first(spaces: &Spaces, name: &str, selection: &Selection) -> Result<Option<(u64, u64)>> {
    let mut found = First::default();
    match spaces.read(name, selection, &mut found) {
        Err(err) if err.code() != Code::NotFound => Err(err),
        _ => Ok(found.0),
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
