//! Recovery after a boot: case `power-loss` and its parts.
//!
//! A woof that was last opened in another boot may have lost what was not flushed: any page may be old. So nothing but the
//! fixed part and the records in the ring is believed. Every record says where it belongs (position, seqno) and proves
//! itself (checksums), so a walk over the ring finds all that are whole, in *runs* of records that adjoin. Then:
//!
//! - a hole before a place that was durable is no loss of power but damage, case `damaged-element`: it stays, by name;
//! - a hole in front of which everything is forgotten ends nothing: new records may have overwritten the old ones there and
//!   were lost themselves;
//! - any other hole ends what is kept, case `lost-tail`: what stands behind it is wiped, so that what is there is what was
//!   appended up to some element and no later one without an earlier one.
//!
//! Failure contract: interrupted at any point, by a kill or another power loss, it is done again from the start by the next who
//! opens the woof, with the same result. What it wipes is durable before anything new is appended.

use super::clock::Break;
use super::format::{
    NO_RECORD, POS_MAX, RECORD_HEADER_LEN, Record, SEQNO_AT, SEQNO_MAX, UNSYNCED_UNKNOWN, shared,
};
use super::region::Region;
use std::sync::atomic::Ordering;
use woof_core::error::{Error, Result};
use woof_core::limits::CLOCK_BREAKS_MAX;

/// What is there.
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
    /// Where times begin anew.
    pub(super) breaks: Vec<Break>,
    /// How many elements behind `next` there are signs of.
    pub(super) cut: u64,
}

/// Whole records that adjoin, or have only damage between them.
#[derive(Debug)]
struct Run {
    start: u64,
    end: u64,
    first: u64,
    next: u64,
    last_time: u64,
}

/// Looks through the ring and decides what is there.
pub(super) fn scan(region: &Region) -> Found {
    let Survey { durable, end } = survey(region);
    let runs = runs(region, durable, end);
    let newest = runs.iter().map(|run| run.next).max().unwrap_or(1).max(region.next_seqno().min(SEQNO_MAX));
    let Some(run) = runs.get(choose(region, &runs, durable, end)) else {
        return Found {
            first: 1,
            next: 1,
            last_time: region.geometry.created_ns,
            cut: newest - 1,
            ..Found::default()
        };
    };
    let options = &region.geometry.options;
    let mut first = run.first.max(run.next.saturating_sub(options.history));
    let (mut positions, mut breaks) = positions(region, run, first);
    breaks.extend(region.break_at_end(run.next));
    let stored = region.first_seqno();
    if stored < run.next && stored <= region.next_seqno() {
        let forgotten = usize::try_from(stored.saturating_sub(first)).unwrap_or(0).min(positions.len());
        // What was forgotten for want of room stays forgotten. With an element size there is always room for the history, but what
        // was forgotten is not told as damaged.
        let left_out = match options.element_size {
            None => forgotten,
            Some(_) => {
                positions[..forgotten].iter().rposition(|pos| *pos == NO_RECORD).map_or(0, |at| at + 1)
            }
        };
        positions.drain(..left_out);
        first += left_out as u64;
    }
    Found {
        first,
        next: run.next,
        positions,
        next_pos: run.end,
        last_time: region.least_time(run.next, run.last_time),
        breaks,
        cut: newest.saturating_sub(run.next),
    }
}

/// The run that is kept.
fn choose(region: &Region, runs: &[Run], durable: u64, end: u64) -> usize {
    let Region { geometry, .. } = region;
    let stored = region.first_seqno();
    let stored = Some(stored).filter(|stored| *stored <= region.next_seqno());
    // The newest one that certainly has all that was to be kept when its last element was appended.
    let complete = |run: &Run| {
        run.next - run.first >= geometry.options.history
            || stored.is_some_and(|stored| run.first <= stored && stored < run.next)
    };
    if let Some(found) = runs.iter().rposition(complete) {
        return found;
    }
    let Some(oldest) = runs.first() else { return 0 };
    if end <= geometry.ring_len || durable > oldest.start {
        // The ring never went round, or what was promised to be durable is in the oldest run: it cannot be left out.
        return 0;
    }
    // Any hole can be of either kind: a record whose page was lost, or old records under new ones that were lost. Each explanation
    // needs that so much was written and not flushed as lies between the hole and the newest record, on one side or on the
    // other. The shorter way is taken.
    runs.iter().rposition(|run| run.start + geometry.ring_len / 2 <= end).unwrap_or(0)
}

/// What is known of a ring before its records are put in order.
struct Survey {
    /// Everything before this position is known to have been durable.
    durable: u64,
    /// The end of the newest record whose header is whole. What lies a lap before that was forgotten before it was written.
    end: u64,
}

fn survey(region: &Region) -> Survey {
    match survey_from(region, 0) {
        (survey, 0) => survey,
        // A record goes round the end of the ring, and what was looked at first is inside of it.
        (_, wrapped) => survey_from(region, wrapped).0,
    }
}

/// Looks from a place of the ring on. Gives also how far the last record goes round the end.
fn survey_from(region: &Region, from: u64) -> (Survey, u64) {
    let ring_len = region.geometry.ring_len;
    let mut survey = Survey { durable: 0, end: 0 };
    let (mut payloads, mut wrapped) = (Payloads::of(region), 0);
    each_head(region, from, ring_len, |place, record| {
        survey.end = survey.end.max(record.pos + record.size());
        if !payloads.ok(record) {
            return 8;
        }
        if record.unsynced != UNSYNCED_UNKNOWN {
            survey.durable = survey.durable.max(record.pos.saturating_sub(u64::from(record.unsynced) * 8));
        }
        wrapped = (place + record.size()).saturating_sub(ring_len);
        // What stands inside of a payload is data, whatever it looks like.
        record.size()
    });
    (survey, wrapped)
}

/// Calls `found` for each whole header between two places of the ring. It says how far to go on behind the place.
fn each_head(region: &Region, from: u64, to: u64, mut found: impl FnMut(u64, &Record) -> u64) {
    const BLOCK: u64 = 1 << 16;
    let mut block = vec![0; BLOCK as usize];
    let mut place = from;
    while let Some((data, hole)) = region.ring_data(place, to) {
        place = place.max(data);
        while place < hole {
            let start = place;
            // A block fits a usize.
            let words = &mut block[..usize::try_from(BLOCK.min(hole - start)).unwrap_or(0)];
            region.ring_out(start, words);
            for (word, at) in words.chunks_exact(8).zip((start..).step_by(8)) {
                if at < place || word == [0; 8] {
                    continue;
                }
                place = at + head_in_place(region, at).map_or(8, |record| found(at, &record));
            }
            place = place.max(start + words.len() as u64);
        }
    }
}

/// The header at a place of the ring, if it is whole and belongs there.
fn head_in_place(region: &Region, place: u64) -> Option<Record> {
    // The ring's length is a multiple of 8, so the header may wrap but no word of it.
    let record = region.record(place);
    let possible = record.pos <= POS_MAX && record.seqno <= SEQNO_MAX && record.pos.is_multiple_of(8);
    (possible && record.pos % region.geometry.ring_len == place).then(|| region.head_at(record.pos)).flatten()
}

/// Looks at payloads. How many bytes it looks at in vain is limited, as a file that was made for it could have long and
/// wrong ones everywhere.
struct Payloads<'a> {
    region: &'a Region,
    buffer: Vec<u8>,
    budget: u64,
}

impl Payloads<'_> {
    fn of(region: &Region) -> Payloads<'_> {
        Payloads { region, buffer: Vec::new(), budget: 4 * region.geometry.ring_len }
    }

    /// True when the payload is what was once written.
    fn ok(&mut self, record: &Record) -> bool {
        let len = u64::from(record.len);
        if len > self.budget {
            return false;
        }
        self.buffer.resize(record.len as usize, 0);
        self.region.ring_out(record.pos + RECORD_HEADER_LEN, &mut self.buffer);
        let ok = record.data_ok(self.region.seed(), &self.buffer);
        if !ok {
            self.budget -= len;
        }
        ok
    }
}

/// Calls `found` for each whole record between two positions, which are not more than a lap apart.
fn each_record(region: &Region, from: u64, to: u64, mut found: impl FnMut(&Record)) {
    let mut payloads = Payloads::of(region);
    let mut pos = from;
    while pos < to {
        let seqno = region.ring_word(pos + SEQNO_AT);
        let possible = seqno != 0 && seqno <= SEQNO_MAX;
        match possible.then(|| region.head_at(pos)).flatten().filter(|record| payloads.ok(record)) {
            Some(record) => {
                found(&record);
                pos += record.size();
            }
            None => pos += 8,
        }
    }
}

/// The runs of whole records in the newest lap, oldest first.
fn runs(region: &Region, durable: u64, end: u64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    if end <= region.geometry.ring_len {
        // The ring never went round: the first element is number 1, or there is a hole in front of it.
        runs.push(Run { start: 0, end: 0, first: 1, next: 1, last_time: region.geometry.created_ns });
    }
    each_record(region, end.saturating_sub(region.geometry.ring_len), end, |record| {
        let belongs = |run: &&mut Run| {
            adjoins(record, run.end, run.next)
                || (record.pos < durable && damage_between(record, run.end, run.next))
        };
        let (end, next, last_time) = (record.pos + record.size(), record.seqno + 1, record.time_ns);
        match runs.last_mut().filter(belongs) {
            Some(run) => (run.end, run.next, run.last_time) = (end, next, last_time),
            None => runs.push(Run { start: record.pos, end, first: record.seqno, next, last_time }),
        }
    });
    runs
}

fn adjoins(record: &Record, end: u64, next: u64) -> bool {
    record.pos == end && record.seqno == next
}

/// True when the bytes between a record and `end` have room for the elements that are missing.
fn damage_between(record: &Record, end: u64, next: u64) -> bool {
    record.pos > end && record.seqno > next && (record.seqno - next) <= (record.pos - end) / RECORD_HEADER_LEN
}

/// The positions of the elements of a run from `first` on, and where among them times go back, as they do where the clock was reset and nowhere else.
fn positions(region: &Region, run: &Run, first: u64) -> (Vec<u64>, Vec<Break>) {
    let (mut positions, mut next) = (Vec::new(), run.first);
    let (mut breaks, mut time) = (Vec::new(), 0);
    each_record(region, run.start, run.end, |record| {
        if record.seqno > first && record.time_ns < time {
            breaks.push(Break { seqno: record.seqno, time_ns: record.time_ns });
        }
        time = record.time_ns;
        let missing = record.seqno - record.seqno.min(first.max(next));
        positions.extend((0..missing).map(|_| NO_RECORD));
        if record.seqno >= first {
            positions.push(record.pos);
        }
        next = record.seqno + 1;
    });
    // Only as many as are noted: a file that was made for it could have many more.
    breaks.drain(..breaks.len().saturating_sub(CLOCK_BREAKS_MAX));
    (positions, breaks)
}

/// Repairs a woof of an earlier boot. The append lock is ours.
///
/// # Errors
/// When the disk refuses.
pub(super) fn repair(region: &Region, boot_id: [u8; 16]) -> Result<()> {
    let map = &region.map;
    let flush = || region.sync_data().map_err(|err| Error::io("", "recover", err));
    let found = scan(region);
    // Before anything is changed: on a full disk the woof can still be read as it was found.
    region
        .take_index(found.first, found.next, region.geometry.options.sync)
        .map_err(|err| Error::io("", "recover", err))?;
    super::repair::mark(region);
    wipe_behind(region, &found);
    flush()?;
    for (seqno, pos) in (found.first..).zip(&found.positions) {
        region.set_index(seqno, *pos);
    }
    let first_pos = found.positions.iter().copied().find(|pos| *pos != NO_RECORD).unwrap_or(found.next_pos);
    map.store32(shared::SYNC_LOCK, 0, Ordering::Relaxed);
    map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::Relaxed);
    region.set_synced(found.next_pos, found.next);
    map.store(shared::FIRST_POS, first_pos, Ordering::Relaxed);
    map.store(shared::LAST_TIME, found.last_time, Ordering::Relaxed);
    region.set_breaks(&found.breaks);
    map.store(shared::FIRST_SEQNO, found.first, Ordering::Relaxed);
    map.store(shared::NEXT_SEQNO, found.next, Ordering::Release);
    map.store(
        shared::RECOVERIES,
        map.load(shared::RECOVERIES, Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
    map.store(shared::LAST_CUT, found.cut, Ordering::Relaxed);
    // What was not written then is not there now, and what is there is durable.
    map.store(shared::WRITE_AGAIN, 0, Ordering::Relaxed);
    // Numbers that are given out again belong to elements whose handlers are not done.
    if region.hold() > found.next {
        region.set_hold(found.next);
    }
    // It has its name, so what removed it or put another in its place was lost.
    map.store32(shared::STATE, shared::STATE_LIVE, Ordering::Relaxed);
    map.store(shared::NEXT_POS, found.next_pos, Ordering::Release);
    region.seal_words();
    // Durable too, so that a recovery after the next power loss knows what was forgotten before this one.
    flush()?;
    set_boot_id(region, boot_id);
    region.wake_sleepers();
    Ok(())
}

/// Wipes whatever a later recovery could take for an element behind those that are kept: their positions will be used again.
fn wipe_behind(region: &Region, found: &Found) {
    let ring_len = region.geometry.ring_len;
    let kept = found.positions.iter().copied().find(|pos| *pos != NO_RECORD).unwrap_or(found.next_pos);
    let from = found.next_pos % ring_len;
    // Only what is not kept is looked through, as what stands inside of a payload is data. It may go round the end.
    let free = ring_len - (found.next_pos - kept).min(ring_len);
    for (from, to) in [(from, ring_len.min(from + free)), (0, (from + free).saturating_sub(ring_len))] {
        each_head(region, from, to, |_, record| {
            if record.pos >= found.next_pos {
                region.ring_in(record.pos, &[0; 8]);
            }
            8
        });
    }
}

/// The boot a woof was last opened in.
pub(super) fn boot_id(region: &Region) -> [u8; 16] {
    let mut id = [0; 16];
    region.map.copy_out(shared::BOOT_ID, &mut id);
    region.map.loads_before_loads();
    id
}

/// Notes the boot. Of its two words the second decides.
fn set_boot_id(region: &Region, id: [u8; 16]) {
    region.map.copy_in(shared::BOOT_ID, &id[..8]);
    region.map.stores_before_stores();
    region.map.copy_in(shared::BOOT_ID + 8, &id[8..]);
}
