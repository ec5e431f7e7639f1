//! Making elements durable: many writers, one flush.
//!
//! Appenders with sync write their records with write calls, publish them, give the append lock back and come here. One of
//! them takes the sync lock and writes once more, with `RWF_DSYNC`, everything between what is durable and what is
//! published; the others sleep and find their elements durable too, or become the next. The flush covers the pages of
//! the ring and no others: the header and the index are never needed durable, since a recovery finds all in the ring.
//!
//! Failure contract: an error means that nothing after `synced_seqno` may be counted on. All appenders of the woof that were open then,
//! in any process, tell nobody any more that something is durable: after a failed write the kernel takes the pages for clean,
//! and says of the next flush that it went well. Who opens the woof again writes everything anew that is not known to be durable.

use super::append::{Appender, busy};
use super::format::shared;
use super::lock::Slot;
use super::map::Map;
use super::region::Region;
use super::repair;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use woof_core::error::{Code, Error, Result};

/// More than this between durable and published is flushed with all that is dirty in the file instead of copied.
const COPY_MAX: u64 = 4 << 20;

impl Appender {
    /// Returns when all elements before `next_seqno` are durable, or there is no more patience.
    pub(super) fn make_durable(&mut self, next_seqno: u64) -> Result<()> {
        let Appender { region, slot, scratch, patience, .. } = self;
        let map = &region.map;
        let end = end_of(*patience);
        while region.synced_seqno() < next_seqno {
            if slot.try_lock(map, shared::SYNC_LOCK).is_none() {
                if is_over(end) {
                    return Err(busy());
                }
                Slot::wait_release(map, shared::SYNC_LOCK);
                continue;
            }
            // One that was killed in here may have left its mark.
            map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::SeqCst);
            let done = if region.synced_seqno() >= next_seqno {
                Ok(())
            } else if region.a_sync_failed() {
                Err(Error::new(Code::Io, "", "an earlier sync failed"))
            } else {
                sync_all(region, slot, scratch, *patience)
            };
            map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::SeqCst);
            Slot::unlock_for_all(map, shared::SYNC_LOCK);
            done?;
        }
        // One large element is no reason to hold its memory for ever.
        if scratch.capacity() as u64 > COPY_MAX {
            *scratch = Vec::new();
        }
        Ok(())
    }
}

/// Makes durable what is published. The sync lock is ours.
fn sync_all(region: &Region, slot: &Slot, scratch: &mut Vec<u8>, patience: Option<Duration>) -> Result<()> {
    let map = &region.map;
    let Some(taken) = slot.lock_within(map, shared::APPEND_LOCK, patience) else { return Err(busy()) };
    let bounds = repair::before_writing(region, taken).map(|_| {
        let mut from = region.synced_pos();
        let to = map.load(shared::NEXT_POS, Ordering::Relaxed);
        let mut most = COPY_MAX.min(region.geometry.ring_len / 2);
        if map.load(shared::WRITE_AGAIN, Ordering::Acquire) != 0 {
            // A flush would not write what it takes for clean: all of the ring that is not known to be durable is written.
            (from, most) = (from.max(to.saturating_sub(region.geometry.ring_len)), region.geometry.ring_len);
        }
        // A place that cannot be, of a damaged header, is more than can be copied too.
        let len = if from.is_multiple_of(8) { to.wrapping_sub(from) } else { u64::MAX };
        let copied = Some(len).filter(|len| *len <= most);
        if copied.is_some() {
            // From now on nobody overwrites these records before they are durable: else what is copied out below would be
            // written over newer ones.
            map.store(shared::SYNC_FROM, from, Ordering::SeqCst);
        }
        (from, to, copied, region.next_seqno())
    });
    Slot::unlock(map, shared::APPEND_LOCK);
    let (from, to, copied, next_seqno) = bounds?;
    let flushed = match copied {
        Some(len) => write_again(region, scratch, from, len),
        None => region.sync_data(),
    };
    flushed.map_err(|err| {
        note_failure(map);
        Error::io("", "", err)
    })?;
    if map.load(shared::WRITE_AGAIN, Ordering::Relaxed) != 0 {
        map.store(shared::WRITE_AGAIN, 0, Ordering::Release);
    }
    region.set_synced(to, next_seqno);
    Ok(())
}

/// Notes that a flush failed. The sync lock is ours: it guards the words, and the next who has it knows.
fn note_failure(map: &Map) {
    map.store(shared::WRITE_AGAIN, 1, Ordering::Relaxed);
    let failed = map.load(shared::FAILED_SYNCS, Ordering::Relaxed).wrapping_add(1);
    map.store(shared::FAILED_SYNCS, failed, Ordering::Release);
}

/// Flushes all of the file for something that is no element. What of the ring is lost when it fails, the kernel takes for clean as after
/// any other failed flush. False when there was no more patience for others who flush.
pub(super) fn flush(region: &Region, slot: &Slot, patience: Option<Duration>) -> std::io::Result<bool> {
    let map = &region.map;
    let end = end_of(patience);
    while slot.try_lock(map, shared::SYNC_LOCK).is_none() {
        if is_over(end) {
            return Ok(false);
        }
        Slot::wait_release(map, shared::SYNC_LOCK);
    }
    // One that was killed with the lock may have left its mark.
    map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::SeqCst);
    let flushed = region.sync_data();
    if flushed.is_err() {
        note_failure(map);
    }
    Slot::unlock_for_all(map, shared::SYNC_LOCK);
    flushed.map(|()| true)
}

/// When the patience of now ends.
fn end_of(patience: Option<Duration>) -> Option<Instant> {
    patience.and_then(|patience| Instant::now().checked_add(patience))
}

fn is_over(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// Writes the same bytes again, durably, in parts that fit into memory.
fn write_again(region: &Region, scratch: &mut Vec<u8>, mut from: u64, len: u64) -> std::io::Result<()> {
    let to = from + len;
    while from < to {
        let part = (to - from).min(COPY_MAX);
        scratch.resize(usize::try_from(part).unwrap_or(usize::MAX), 0);
        region.ring_out(from, scratch);
        region.ring_write(from, scratch, true)?;
        from += part;
    }
    Ok(())
}

/// Waits, under the append lock, until writing up to `end` overwrites nothing that is being made durable; false when there was no more patience.
/// Whoever holds the sync lock does not need the append lock as long as the mark is set, so the two cannot block each other. The mark is set
/// under the append lock alone, so what holds here holds until that is given back.
#[cold]
pub(super) fn wait_for_sync(region: &Region, slot: &Slot, end: u64, patience: Option<Duration>) -> bool {
    let map = &region.map;
    let last = end_of(patience);
    loop {
        let from = map.load(shared::SYNC_FROM, Ordering::SeqCst);
        if from == shared::NOT_SYNCING || end.saturating_sub(region.geometry.ring_len) <= from {
            return true;
        }
        if slot.try_lock(map, shared::SYNC_LOCK).is_some() {
            map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::SeqCst);
            Slot::unlock_for_all(map, shared::SYNC_LOCK);
            return true;
        }
        if is_over(last) {
            return false;
        }
        Slot::wait_release(map, shared::SYNC_LOCK);
    }
}
