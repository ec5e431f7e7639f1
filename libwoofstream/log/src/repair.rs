//! What the next writer puts right when one was killed: recovery case `dead-writer`.
//!
//! Only `next_seqno`, `first_seqno` and the records count. The positions and the time in the header follow from them and
//! are worked out again; a record that was written but not published is taken away, so that no later recovery from a
//! power loss can mistake it for one that was.

use super::append::pos_of;
use super::format::{CHUNK_ELEMENTS, POS_MAX, SEQNO_MAX, shared};
use super::lock::Taken;
use super::region::Region;
use super::words::Words;
use std::sync::atomic::Ordering;
use woof_core::error::{Code, Error, Result};
use woof_core::sys::Became;

/// In `NEXT_POS`: to be worked out before anything is written.
pub(super) const UNKNOWN_POS: u64 = u64::MAX;
/// In `NEXT_POS`: the same, and what was wiped is not known to be durable.
const WIPING_POS: u64 = u64::MAX - 1;

/// Looks, under the append lock, whether the woof is still there, and repairs it if its last writer did not end well. Gives the shared
/// words as they are then.
///
/// # Errors
/// [`Code::Removed`]; [`Code::Damaged`] when the newest element is.
#[inline]
pub(super) fn before_writing(region: &Region, taken: Taken) -> Result<Words> {
    let words = region.words();
    if region.state() == shared::STATE_LIVE
        && taken == Taken::Clean
        && region.is_sum_of(&words)
        && can_be(region, &words)
    {
        return Ok(words);
    }
    put_right(region, taken)?;
    Ok(region.words())
}

/// Whether there can be a woof with these words. The unknown position is found out here with all that cannot be.
#[inline]
fn can_be(region: &Region, words: &Words) -> bool {
    let used = words.next_pos.wrapping_sub(words.first_pos);
    are_seqnos(region, words)
        && used <= region.geometry.ring_len
        && words.next_pos <= POS_MAX
        && (used | words.next_pos).is_multiple_of(8)
}

#[inline]
fn are_seqnos(region: &Region, words: &Words) -> bool {
    words.first != 0
        && words.next.wrapping_sub(words.first) <= region.geometry.slots
        && words.next <= SEQNO_MAX
}

#[cold]
#[inline(never)]
fn put_right(region: &Region, taken: Taken) -> Result<()> {
    if region.state() != shared::STATE_LIVE {
        if taken == Taken::FromDead {
            region.wake_sleepers();
        }
        return Err(gone(region.state()));
    }
    if !region.is_sum_of(&region.words()) {
        region.mend_seqnos();
    }
    if !are_seqnos(region, &region.words()) {
        return Err(Error::new(Code::Damaged, "", "damaged header: its seqnos cannot be"));
    }
    after_death(region)
}

/// Notes that the positions have to be worked out again.
pub(super) fn mark(region: &Region) {
    if region.map.load(shared::NEXT_POS, Ordering::SeqCst) != WIPING_POS {
        region.map.store(shared::NEXT_POS, UNKNOWN_POS, Ordering::SeqCst);
    }
}

/// The error for a woof that is not there any more.
pub(super) fn gone(state: u32) -> Error {
    let how = if state == shared::STATE_RESET { "reset" } else { "removed" };
    Error::new(Code::Removed, "", format!("the woof was {how} meanwhile"))
}

/// What became of a woof whose name leads elsewhere or nowhere.
#[cold]
pub(super) fn how_lost(region: &Region, became: Became) -> &'static str {
    match became {
        Became::Another => "reset",
        Became::Gone if region.has_no_name() => "removed",
        Became::Gone => "moved",
    }
}

/// The error for it.
#[cold]
pub(super) fn lost(region: &Region, became: Became) -> Error {
    Error::new(Code::Removed, "", format!("the woof was {} meanwhile", how_lost(region, became)))
}

fn after_death(region: &Region) -> Result<()> {
    let map = &region.map;
    // Should this be ended in the middle too, the next one starts over.
    mark(region);
    // Who was killed may have published without waking anybody.
    region.wake_sleepers();
    if region.has_no_name() {
        // It was killed between taking the file's name away and telling us.
        region.set_state(shared::STATE_REMOVED);
        return Err(gone(shared::STATE_REMOVED));
    }
    let (first, next) = (region.first_seqno(), region.next_seqno());
    let (pos, time) = if next > first {
        let last = region.kept_record(next - 1)?;
        (last.pos + last.size(), last.time_ns)
    } else {
        (0, region.geometry.created_ns)
    };
    let wiped = if map.load(shared::NEXT_POS, Ordering::Relaxed) == WIPING_POS {
        // Killed in the middle of this before: those that are wiped already are not found any more.
        wipe_unpublished(region, next, pos).and_then(|()| region.sync_data())
    } else {
        wipe_unpublished(region, next, pos)
    };
    wiped.map_err(|err| Error::io("", "repair", err))?;
    map.store(shared::FIRST_POS, pos_of(region, first, next, pos), Ordering::Relaxed);
    map.store(shared::LAST_TIME, region.least_time(next, time), Ordering::Relaxed);
    map.store(shared::NEXT_POS, pos, Ordering::Release);
    region.seal_words();
    Ok(())
}

/// Makes records that were written and not published unreadable. A position is never used twice, so what is kept from
/// the lap before is not mistaken for them.
///
/// Durably: their pages may have been flushed already. If they came back with a power loss, behind what is appended in their
/// place, a recovery would take them for elements. All are flushed by one write of what now stands between the first and
/// the last of them, since others wait for the lock meanwhile.
fn wipe_unpublished(region: &Region, next: u64, mut pos: u64) -> std::io::Result<()> {
    let (mut found, start) = (Vec::new(), pos);
    for seqno in next..next + CHUNK_ELEMENTS as u64 {
        let Some(record) = region.head_at(pos).filter(|record| record.seqno == seqno) else { break };
        // No chunk is longer: what looks like more is not of a writer of ours.
        if pos - start > region.chunk_bytes {
            break;
        }
        found.push(pos);
        pos += record.size();
    }
    if !found.is_empty() {
        region.map.store(shared::NEXT_POS, WIPING_POS, Ordering::SeqCst);
    }
    let (Some(first), Some(last)) = (found.first().copied(), found.last().copied()) else { return Ok(()) };
    // The last first: stopped in the middle, what is left is still found from the front.
    for pos in found.into_iter().rev() {
        region.ring_write(pos, &[0; 8], false)?;
    }
    // At most a chunk: an element larger than that is alone in it.
    let mut between = vec![0; usize::try_from(last - first).unwrap_or(0) + 8];
    region.ring_out(first, &mut between);
    region.ring_write(first, &between, true)
}
