//! Recovery after a boot: case `power-loss` and its parts.
//!
//! A woof that was last opened in another boot may have lost what was not flushed: any page may be old. So nothing but the
//! fixed part and the records in the ring is believed. Every record says where it belongs (position, seqno) and proves
//! itself (checksums), so one pass over the ring finds all that are whole; the rest follows:
//!
//! - records that a later one overlaps by a lap are forgotten elements;
//! - the first hole ends what is kept, case `lost-tail`: what stands behind it is wiped, so that what is there is what was
//!   appended up to some element and no later one without an earlier one;
//! - a hole before a place that was durable is no loss of power but damage, case `damaged-element`: it stays, by name.

use super::format::{NO_RECORD, RECORD_HEADER_LEN, UNSYNCED_UNKNOWN, shared};
use super::region::Region;
use crate::error::{Error, Result};
use std::sync::atomic::Ordering;

/// What a pass over the ring found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The oldest and the next seqno.
    pub(super) first: u64,
    pub(super) next: u64,
    /// Positions of the records `first..next`, [`NO_RECORD`] for damaged ones.
    pub(super) positions: Vec<u64>,
    /// Where the next record goes.
    pub(super) next_pos: u64,
    pub(super) last_time: u64,
    /// Positions of whole records that are not kept and must not be found again.
    pub(super) cut: Vec<u64>,
}

/// No position is beyond this: it would take centuries to get there.
const POS_MAX: u64 = 1 << 62;

/// A whole record.
#[derive(Clone, Copy)]
struct Whole {
    seqno: u64,
    pos: u64,
    size: u64,
    time_ns: u64,
}

/// Looks through the ring and decides what is there.
pub(super) fn scan(region: &Region) -> Found {
    let Pass { mut whole, durable, end } = pass(region);
    whole.sort_unstable_by_key(|record| record.pos);
    let window = end.saturating_sub(region.geometry.ring_len);
    // Nothing older than this was kept at any time the header is from: it only grows. With an element size, elements are
    // forgotten before they have to make room, so there the ring alone tells.
    let first = if region.geometry.options.element_size.is_none() { region.first_seqno() } else { 1 };
    let forgotten =
        |record: &Whole| record.pos < window || (record.seqno < first && first <= region.next_seqno());
    let kept_from = whole.iter().position(|record| !forgotten(record)).unwrap_or(whole.len());
    let mut found = Found { last_time: region.geometry.created_ns, first: 1, next: 1, ..Found::default() };
    let mut records = whole[kept_from..].iter();
    found.cut.extend(whole[..kept_from].iter().map(|record| record.pos));
    if let Some(record) = records.next() {
        if window > 0 || first > 1 {
            found.first = record.seqno;
            found.next = record.seqno;
            found.next_pos = record.pos;
        }
        // Where the ring never went round, the first element must be number 1, or it and what follows is damaged or cut
        // like any other.
        if !found.take(record, durable) {
            found.cut.push(record.pos);
            found.cut.extend(records.map(|record| record.pos));
            return found;
        }
    }
    while let Some(record) = records.next() {
        if !found.take(record, durable) {
            found.cut.push(record.pos);
            found.cut.extend(records.map(|record| record.pos));
            break;
        }
    }
    let history = region.geometry.options.history;
    if found.next - found.first > history {
        let surplus = found.next - found.first - history;
        found.first += surplus;
        found.positions.drain(..usize::try_from(surplus).unwrap_or(0));
    }
    found
}

impl Found {
    /// Takes the next record in, if it adjoins what is there or only damage is between. False where a hole is.
    fn take(&mut self, record: &Whole, durable: u64) -> bool {
        let adjoins = record.pos == self.next_pos && record.seqno == self.next;
        let damage_between = record.pos < durable
            && record.pos > self.next_pos
            && record.seqno > self.next
            && (record.seqno - self.next) <= (record.pos - self.next_pos) / RECORD_HEADER_LEN;
        if !adjoins && !damage_between {
            return false;
        }
        while self.next < record.seqno {
            self.positions.push(NO_RECORD);
            self.next += 1;
        }
        self.positions.push(record.pos);
        self.next += 1;
        self.next_pos = record.pos + record.size;
        self.last_time = self.last_time.max(record.time_ns);
        true
    }
}

/// What one pass over the ring finds.
struct Pass {
    whole: Vec<Whole>,
    /// Everything before this position is known to have been durable.
    durable: u64,
    /// The end of the newest record whose header is whole. What a lap before that was forgotten before it was written.
    end: u64,
}

fn pass(region: &Region) -> Pass {
    const BLOCK: u64 = 1 << 16;
    let ring_len = region.geometry.ring_len;
    let mut pass = Pass { whole: Vec::new(), durable: 0, end: 0 };
    let mut block = vec![0; BLOCK as usize];
    let mut payload = Vec::new();
    let (mut at, mut skip_to) = (0, 0);
    while at < ring_len {
        let len = BLOCK.min(ring_len - at);
        // A block fits a usize.
        let words = &mut block[..usize::try_from(len).unwrap_or(0)];
        region.ring_out(at, words);
        for (number, word) in words.chunks_exact(8).enumerate() {
            let place = at + number as u64 * 8;
            if place < skip_to || word == [0; 8] {
                continue;
            }
            // The ring's length is a multiple of 8, so the header may wrap but no word of it.
            let record = region.record(place);
            let len = u64::from(record.len);
            if record.pos % ring_len != place
                || record.pos > POS_MAX
                || len > region.geometry.element_max
                || !record.head_ok(region.seed())
            {
                continue;
            }
            pass.end = pass.end.max(record.pos + record.size());
            payload.resize(record.len as usize, 0);
            region.ring_out(record.pos + RECORD_HEADER_LEN, &mut payload);
            if !record.data_ok(region.seed(), &payload) {
                continue;
            }
            if record.unsynced != UNSYNCED_UNKNOWN {
                pass.durable = pass.durable.max(record.pos.saturating_sub(u64::from(record.unsynced) * 8));
            }
            pass.whole.push(Whole {
                seqno: record.seqno,
                pos: record.pos,
                size: record.size(),
                time_ns: record.time_ns,
            });
            // What stands inside of a payload is data, whatever it looks like.
            skip_to = place + record.size();
        }
        at += len;
    }
    pass
}

/// Repairs a woof of an earlier boot. The append lock is ours. Gives how many elements had to be cut off.
///
/// # Errors
/// When the disk refuses.
pub(super) fn repair(region: &Region, boot_id: [u8; 16]) -> Result<u64> {
    let map = &region.map;
    super::repair::mark(region);
    let found = scan(region);
    for pos in &found.cut {
        region.ring_in(*pos, &[0; 8]);
    }
    // A woof that was never appended to since it was made has no cut and nothing to flush.
    region.file.sync_data().map_err(|err| Error::io("", "recover", err))?;
    for (seqno, pos) in (found.first..).zip(&found.positions) {
        region.set_index(seqno, *pos);
    }
    let first_pos = found.positions.iter().copied().find(|pos| *pos != NO_RECORD).unwrap_or(found.next_pos);
    let was_next = region.next_seqno();
    let cut = (found.cut.len() as u64).max(was_next.saturating_sub(found.next));
    map.store32(shared::SYNC_LOCK, 0, Ordering::Relaxed);
    map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::Relaxed);
    map.store(shared::SYNCED_POS, found.next_pos, Ordering::Relaxed);
    map.store(shared::SYNCED_SEQNO, found.next, Ordering::Relaxed);
    map.store(shared::FIRST_POS, first_pos, Ordering::Relaxed);
    map.store(shared::LAST_TIME, found.last_time, Ordering::Relaxed);
    map.store(shared::FIRST_SEQNO, found.first, Ordering::Relaxed);
    map.store(shared::NEXT_SEQNO, found.next, Ordering::Release);
    map.store(shared::RECOVERIES, map.load(shared::RECOVERIES, Ordering::Relaxed) + 1, Ordering::Relaxed);
    map.store(shared::LAST_CUT, cut, Ordering::Relaxed);
    map.store(shared::NEXT_POS, found.next_pos, Ordering::Release);
    set_boot_id(region, boot_id);
    Ok(cut)
}

/// The boot a woof was last opened in.
pub(super) fn boot_id(region: &Region) -> [u8; 16] {
    let mut id = [0; 16];
    region.map.copy_out(shared::BOOT_ID, &mut id);
    id
}

/// Notes the boot. Of its two words the second decides.
fn set_boot_id(region: &Region, id: [u8; 16]) {
    region.map.copy_in(shared::BOOT_ID, &id[..8]);
    region.map.stores_before_stores();
    region.map.copy_in(shared::BOOT_ID + 8, &id[8..]);
}
