//! Making elements durable: many writers, one flush.
//!
//! Appenders with sync write their records with write calls, publish them, give the append lock back and come here. One of
//! them takes the sync lock and writes once more, with `RWF_DSYNC`, everything between what is durable and what is
//! published; the others sleep and find their elements durable too, or become the next. The flush covers the pages of
//! the ring and no others: the header and the index are never needed durable, since a recovery finds all in the ring.
//!
//! Failure contract: an error means that nothing after `synced_seqno` may be counted on. The appender that saw it is done
//! for; the file is to be opened again.

use super::append::Appender;
use super::format::shared;
use super::lock::Slot;
use super::region::Region;
use super::repair;
use crate::error::{Error, Result};
use std::sync::atomic::Ordering;

/// More than this between durable and published is flushed with all that is dirty in the file instead of copied.
const COPY_MAX: u64 = 4 << 20;

impl Appender {
    /// Returns when all elements before `next_seqno` are durable.
    pub(super) fn make_durable(&mut self, next_seqno: u64) -> Result<()> {
        let Appender { region, slot, scratch, .. } = self;
        let map = &region.map;
        while map.load(shared::SYNCED_SEQNO, Ordering::Acquire) < next_seqno {
            if slot.try_lock(map, shared::SYNC_LOCK).is_none() {
                Slot::wait_release(map, shared::SYNC_LOCK);
                continue;
            }
            // One that was killed in here may have left its mark.
            map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::SeqCst);
            let done = if map.load(shared::SYNCED_SEQNO, Ordering::Acquire) < next_seqno {
                sync_all(region, slot, scratch)
            } else {
                Ok(())
            };
            map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::SeqCst);
            Slot::unlock_for_all(map, shared::SYNC_LOCK);
            done?;
        }
        Ok(())
    }
}

/// Makes durable what is published. The sync lock is ours.
fn sync_all(region: &Region, slot: &Slot, scratch: &mut Vec<u8>) -> Result<()> {
    let map = &region.map;
    let taken = slot.lock(map, shared::APPEND_LOCK);
    let bounds = repair::before_writing(region, taken).map(|()| {
        let from = map.load(shared::SYNCED_POS, Ordering::Acquire);
        let to = map.load(shared::NEXT_POS, Ordering::Relaxed);
        // From now on nobody overwrites these records before they are durable.
        map.store(shared::SYNC_FROM, from, Ordering::SeqCst);
        (from, to, region.next_seqno())
    });
    Slot::unlock(map, shared::APPEND_LOCK);
    let (from, to, next_seqno) = bounds?;
    let len = to.saturating_sub(from);
    let flushed = if len <= COPY_MAX.min(region.geometry.ring_len / 2) {
        // It is at most 4 MiB.
        scratch.resize(usize::try_from(len).unwrap_or(0), 0);
        region.ring_out(from, scratch);
        region.ring_write(from, scratch, true)
    } else {
        let flushed = region.file.sync_data();
        #[cfg(any(test, feature = "testing"))]
        region.map.record_all_durable();
        flushed
    };
    flushed.map_err(|err| Error::io("", "", err))?;
    map.store(shared::SYNCED_POS, to, Ordering::Release);
    map.store(shared::SYNCED_SEQNO, next_seqno, Ordering::Release);
    Ok(())
}

/// Waits, under the append lock, until writing up to `end` overwrites nothing that is being made durable. Whoever
/// holds the sync lock does not need the append lock as long as the mark is set, so the two cannot block each other.
#[cold]
pub(super) fn wait_for_sync(region: &Region, slot: &Slot, end: u64) {
    let map = &region.map;
    loop {
        let from = map.load(shared::SYNC_FROM, Ordering::SeqCst);
        if from == shared::NOT_SYNCING || end.saturating_sub(region.geometry.ring_len) <= from {
            return;
        }
        if slot.try_lock(map, shared::SYNC_LOCK).is_some() {
            map.store(shared::SYNC_FROM, shared::NOT_SYNCING, Ordering::SeqCst);
            Slot::unlock_for_all(map, shared::SYNC_LOCK);
            return;
        }
        Slot::wait_release(map, shared::SYNC_LOCK);
    }
}
