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
        // One large element is no reason to hold its memory for ever.
        if scratch.capacity() as u64 > COPY_MAX {
            *scratch = Vec::new();
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
        // A place that cannot be, of a damaged header, is more than can be copied too.
        let len = if from.is_multiple_of(8) { to.wrapping_sub(from) } else { u64::MAX };
        let copied = usize::try_from(len).ok().filter(|_| len <= COPY_MAX.min(region.geometry.ring_len / 2));
        if copied.is_some() {
            // From now on nobody overwrites these records before they are durable: else what is copied out below would be
            // written over newer ones.
            map.store(shared::SYNC_FROM, from, Ordering::SeqCst);
        }
        (from, to, copied, region.next_seqno())
    });
    Slot::unlock(map, shared::APPEND_LOCK);
    let (from, to, copied, next_seqno) = bounds?;
    let flushed = if let Some(len) = copied {
        scratch.resize(len, 0);
        region.ring_out(from, scratch);
        region.ring_write(from, scratch, true)
    } else {
        region.sync_data()
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
