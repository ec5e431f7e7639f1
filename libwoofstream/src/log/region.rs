//! A woof's mapping with its sections: the shared words, the index, the ring.
//!
//! Invariant: positions only grow; a position's place in the ring is the position modulo the ring's length, and records
//! start at multiples of 8. Nothing here decides anything: the order of stores is the appender's business.

use super::format::{Geometry, NO_RECORD, RECORD_HEADER_LEN, Record, shared};
use super::map::Map;
use super::wrap::Wrap;
use crate::error::{Code, Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

/// An open woof: its file and its mapping.
pub(super) struct Region {
    pub(super) map: Map,
    pub(super) file: File,
    pub(super) geometry: Geometry,
    seed: u32,
    index_offset: usize,
    ring_offset: usize,
    slots: Wrap,
    ring: Wrap,
}

impl Region {
    /// Maps `file`, whose fixed part is `geometry` and whose length was found right.
    pub(super) fn new(file: File, geometry: Geometry, writable: bool) -> Result<Region> {
        let too_large =
            || Error::new(Code::TooLarge, "", "the woof is larger than this machine can map into memory");
        let len = usize::try_from(geometry.file_len()).map_err(|_| too_large())?;
        let map = Map::new(&file, len, writable).map_err(|err| Error::io("", "map", err))?;
        Ok(Region {
            seed: geometry.seed(),
            index_offset: usize::try_from(geometry.index_offset()).map_err(|_| too_large())?,
            ring_offset: usize::try_from(geometry.ring_offset()).map_err(|_| too_large())?,
            slots: Wrap::new(geometry.slots),
            ring: Wrap::new(geometry.ring_len),
            map,
            file,
            geometry,
        })
    }

    #[inline]
    pub(super) fn seed(&self) -> u32 {
        self.seed
    }

    /// The seqno the next element gets; everything before it that is kept can be read.
    #[inline]
    pub(super) fn next_seqno(&self) -> u64 {
        self.map.load(shared::NEXT_SEQNO, Ordering::Acquire)
    }

    /// The oldest seqno that is kept.
    #[inline]
    pub(super) fn first_seqno(&self) -> u64 {
        self.map.load(shared::FIRST_SEQNO, Ordering::Acquire)
    }

    /// True while the woof is neither removed nor reset.
    #[inline]
    pub(super) fn state(&self) -> u32 {
        self.map.load32(shared::STATE, Ordering::Acquire)
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the whole file is mapped, so its offsets fit a usize"
    )]
    fn slot(&self, seqno: u64) -> usize {
        self.index_offset + self.slots.rem(seqno) as usize * 8
    }

    /// The position of the record of `seqno`, or [`NO_RECORD`]. Meaningful only while the seqno is kept.
    #[inline]
    pub(super) fn index(&self, seqno: u64) -> u64 {
        self.map.load(self.slot(seqno), Ordering::Relaxed)
    }

    /// Notes the position of the record of `seqno`.
    #[inline]
    pub(super) fn set_index(&self, seqno: u64, pos: u64) {
        self.map.store(self.slot(seqno), pos, Ordering::Relaxed);
    }

    /// The place of `pos` in the mapping, and how many bytes there are to the end of the ring.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the whole file is mapped, so its offsets fit a usize"
    )]
    fn place(&self, pos: u64) -> (usize, usize) {
        let at = self.ring.rem(pos);
        (self.ring_offset + at as usize, (self.geometry.ring_len - at) as usize)
    }

    /// Copies bytes of the ring from `pos` on.
    #[inline]
    pub(super) fn ring_out(&self, pos: u64, out: &mut [u8]) {
        let (place, left) = self.place(pos);
        if out.len() <= left {
            self.map.copy_out(place, out);
        } else {
            let (head, tail) = out.split_at_mut(left);
            self.map.copy_out(place, head);
            self.map.copy_out(self.ring_offset, tail);
        }
    }

    /// Copies `data` into the ring from `pos` on, through the mapping.
    #[inline]
    pub(super) fn ring_in(&self, pos: u64, data: &[u8]) {
        let (place, left) = self.place(pos);
        if data.len() <= left {
            self.map.copy_in(place, data);
        } else {
            let (head, tail) = data.split_at(left);
            self.map.copy_in(place, head);
            self.map.copy_in(self.ring_offset, tail);
        }
    }

    /// Writes a record and its payload to the record's place, through the mapping.
    #[inline]
    pub(super) fn put(&self, record: &Record, data: &[u8]) {
        let (place, left) = self.place(record.pos);
        let words = record.words();
        if record.size() <= left as u64 {
            self.map.copy_in_two(place, &words, data);
        } else {
            self.ring_in(record.pos, &record.encode());
            self.ring_in(record.pos + RECORD_HEADER_LEN, data);
        }
    }

    /// Writes `data` (a multiple of 8 bytes) into the ring from `pos` on, with write calls: pages that were not stored
    /// to through the mapping are made durable several times faster. With `durable`, returns when they are.
    pub(super) fn ring_write(&self, pos: u64, data: &[u8], durable: bool) -> std::io::Result<()> {
        let (place, left) = self.place(pos);
        let (head, tail) = data.split_at(data.len().min(left));
        for (offset, part) in [(place, head), (self.ring_offset, tail)] {
            if part.is_empty() {
                continue;
            }
            if durable {
                write_durably(&self.file, part, offset as u64)?;
            } else {
                self.file.write_all_at(part, offset as u64)?;
            }
            #[cfg(any(test, feature = "testing"))]
            self.map.record_write(offset, part, durable);
        }
        Ok(())
    }

    /// The header at `pos`, right or wrong.
    #[inline]
    pub(super) fn record(&self, pos: u64) -> Record {
        let mut bytes = [0; RECORD_HEADER_LEN as usize];
        self.ring_out(pos, &mut bytes);
        Record::decode(&bytes)
    }

    /// The header of an element that is kept.
    ///
    /// # Errors
    /// [`Code::Damaged`] when what stands there is not the header of `seqno`.
    pub(super) fn kept_record(&self, seqno: u64) -> Result<Record> {
        let pos = self.index(seqno);
        if pos != NO_RECORD && pos.is_multiple_of(8) {
            let record = self.record(pos);
            if record.seqno == seqno && record.pos == pos && record.head_ok(self.seed) {
                return Ok(record);
            }
        }
        Err(Error::new(Code::Damaged, "", format!("element {seqno} is damaged")))
    }

    /// Wakes all followers, if any may be asleep, after [`shared::EVENT`] was changed.
    #[inline]
    pub(super) fn wake_followers(&self) {
        if self.map.load32(shared::WAITING, Ordering::SeqCst) != 0 {
            self.wake_sleepers();
        }
    }

    #[cold]
    fn wake_sleepers(&self) {
        self.map.store32(shared::WAITING, 0, Ordering::SeqCst);
        super::futex::wake_all(self.map.word(shared::EVENT));
    }

    /// Sets what became of the woof and tells all followers.
    pub(super) fn set_state(&self, state: u32) {
        self.map.store32(shared::STATE, state, Ordering::SeqCst);
        self.map.increment32(shared::EVENT);
        super::futex::wake_all(self.map.word(shared::EVENT));
    }
}

/// Writes `data` at `offset` and returns when it is durable (`pwritev2` with `RWF_DSYNC`): only these pages are
/// flushed, not what else is dirty in the file.
fn write_durably(file: &File, mut data: &[u8], mut offset: u64) -> std::io::Result<()> {
    while !data.is_empty() {
        let parts = [std::io::IoSlice::new(data)];
        match rustix::io::pwritev2(file, &parts, offset, rustix::io::ReadWriteFlags::DSYNC) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                data = &data[count..];
                offset += count as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                // A file system without it: the long way, with the same promise.
                file.write_all_at(data, offset)?;
                return file.sync_data();
            }
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}
