//! A woof's mapping with its sections: the shared words, the index, the ring.
//!
//! Invariant: positions only grow; a position's place in the ring is the position modulo the ring's length, and records
//! start at multiples of 8. Nothing here decides anything: the order of stores is the appender's business.

use super::format::{CHUNK_BYTES, Geometry, POS_MAX, RECORD_HEADER_LEN, Record, shared};
use super::holes::Holes;
use super::map::Map;
use super::room::Room;
use super::wrap::Wrap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use woof_core::element::Stamp;
use woof_core::error::{Code, Error, Result};

#[cfg(any(test, feature = "testing"))]
thread_local! {
    /// Whether the disk is full for the woofs that this thread opens.
    pub(super) static DISK_IS_FULL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

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
    /// How many syncs had failed when it was opened.
    failed_syncs: u64,
    /// Where there are blocks to write to.
    pub(super) room: Room,
    /// Where there is something to read, if that matters.
    holes: Option<Holes>,
    #[cfg(any(test, feature = "testing"))]
    pub(super) fail_syncs: std::sync::atomic::AtomicBool,
    #[cfg(any(test, feature = "testing"))]
    pub(super) disk_full: std::sync::atomic::AtomicBool,
    /// The most bytes of records written under one hold of the lock, unless one element alone is larger.
    pub(super) chunk_bytes: u64,
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
            // So small that, whatever is written, the newest element before it stays.
            chunk_bytes: CHUNK_BYTES.min(geometry.ring_len / 4),
            failed_syncs: map.load(shared::FAILED_SYNCS, Ordering::Acquire),
            room: Room::new(&geometry),
            holes: Holes::of(&file, geometry.file_len()),
            #[cfg(any(test, feature = "testing"))]
            fail_syncs: std::sync::atomic::AtomicBool::new(false),
            #[cfg(any(test, feature = "testing"))]
            disk_full: std::sync::atomic::AtomicBool::new(DISK_IS_FULL.get()),
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
        self.read_word(self.slot(seqno))
    }

    /// Loads a word of the index or the ring.
    #[inline]
    fn read_word(&self, offset: usize) -> u64 {
        match &self.holes {
            Some(holes) => self.word_or_hole(holes, offset),
            None => self.map.load(offset, Ordering::Relaxed),
        }
    }

    #[cold]
    #[inline(never)]
    fn word_or_hole(&self, holes: &Holes, offset: usize) -> u64 {
        if holes.has_pages(&self.file, offset, 8) {
            return self.map.load(offset, Ordering::Relaxed);
        }
        let mut word = [0; 8];
        Holes::read(&self.file, offset, &mut word);
        u64::from_le_bytes(word)
    }

    /// Copies bytes of the ring that do not go round its end.
    #[inline]
    fn read(&self, offset: usize, out: &mut [u8]) {
        match &self.holes {
            Some(holes) if !holes.has_pages(&self.file, offset, out.len()) => {
                Holes::read(&self.file, offset, out);
            }
            _ => self.map.copy_out(offset, out),
        }
    }

    /// Has the place of the next record fetched. Giving the lock back waits until all stores are done, and the next append would wait for
    /// the lines of its record there: 6 % of its time.
    #[inline]
    pub(super) fn prefetch(&self, pos: u64) {
        self.map.prefetch(self.place(pos).0);
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

    /// Whether the entry of `seqno` in the index is in memory.
    pub(super) fn is_index_near(&self, seqno: u64) -> bool {
        self.map.is_near(self.slot(seqno), 8)
    }

    /// Whether `len` bytes of the ring from `pos` on are in memory, as far as there are any.
    pub(super) fn is_ring_near(&self, pos: u64, len: usize) -> bool {
        let next = self.map.load(shared::NEXT_POS, Ordering::Relaxed);
        let len = len.min(usize::try_from(next.saturating_sub(pos)).unwrap_or(len));
        let (place, left) = self.place(pos);
        self.map.is_near(place, len.min(left))
            && (len <= left || self.map.is_near(self.ring_offset, len - left))
    }

    /// Copies bytes of the ring from `pos` on.
    #[inline]
    pub(super) fn ring_out(&self, pos: u64, out: &mut [u8]) {
        let (place, left) = self.place(pos);
        if out.len() <= left {
            self.read(place, out);
        } else {
            let (head, tail) = out.split_at_mut(left);
            self.read(place, head);
            self.read(self.ring_offset, tail);
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
    pub(super) fn put(&self, record: &Record, stamp: Option<Stamp>, data: &[u8]) {
        let (place, left) = self.place(record.pos);
        let header = record.words();
        match stamp {
            _ if record.size() > left as u64 => self.put_around(record.pos, header, stamp, data),
            None => self.map.copy_in_two(place, &header, data),
            Some(stamp) => {
                let mut words = [0; Record::LEN / 8 + Stamp::LEN / 8];
                words[..header.len()].copy_from_slice(&header);
                words[header.len()..].copy_from_slice(&stamp.words());
                self.map.copy_in_two(place, &words, data);
            }
        }
    }

    /// The same for a record that goes round the end of the ring.
    #[cold]
    #[inline(never)]
    fn put_around(&self, mut pos: u64, header: [u64; Record::LEN / 8], stamp: Option<Stamp>, data: &[u8]) {
        for word in header.into_iter().chain(stamp.into_iter().flat_map(Stamp::words)) {
            self.ring_in(pos, &word.to_le_bytes());
            pos += 8;
        }
        self.ring_in(pos, data);
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
                self.fail_if_told()?;
                write_durably(&self.file, part, offset as u64)?;
            } else {
                self.file.write_all_at(part, offset as u64)?;
            }
            #[cfg(any(test, feature = "testing"))]
            self.map.record_write(offset, part, durable);
        }
        Ok(())
    }

    /// The word of the ring at `pos`, a multiple of 8.
    #[inline]
    pub(super) fn ring_word(&self, pos: u64) -> u64 {
        self.read_word(self.place(pos).0)
    }

    /// The first bytes of the ring between two places that are more than a hole in the file: from where to where. Most of a
    /// large woof may never have been written to. `None` when there are none.
    pub(super) fn ring_data(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        use rustix::fs::{SeekFrom, seek};
        if from >= to {
            return None;
        }
        let start = self.geometry.ring_offset();
        let data = match seek(&self.file, SeekFrom::Data(start + from)) {
            Ok(data) => data.saturating_sub(start).max(from) / 8 * 8,
            Err(rustix::io::Errno::NXIO) => return None,
            // A file system that does not tell.
            Err(_) => return Some((from, to)),
        };
        let hole = seek(&self.file, SeekFrom::Hole(start + data)).unwrap_or(start + to);
        let hole = hole.saturating_sub(start).next_multiple_of(8).min(to);
        (data < to).then_some((data, if hole > data { hole } else { to }))
    }

    /// Makes everything durable that was stored or written so far.
    pub(super) fn sync_data(&self) -> std::io::Result<()> {
        self.fail_if_told()?;
        self.file.sync_data()?;
        #[cfg(any(test, feature = "testing"))]
        self.map.record_all_durable();
        Ok(())
    }

    /// True when a sync of this woof failed since it was opened here, whoever made it.
    #[inline]
    pub(super) fn a_sync_failed(&self) -> bool {
        self.map.load(shared::FAILED_SYNCS, Ordering::Acquire) != self.failed_syncs
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "in tests it fails")]
    fn fail_if_told(&self) -> std::io::Result<()> {
        Ok(())
    }

    #[cfg(any(test, feature = "testing"))]
    fn fail_if_told(&self) -> std::io::Result<()> {
        super::record::wait_for_disk();
        let told = self.fail_syncs.load(Ordering::Relaxed);
        if told { Err(rustix::io::Errno::IO.into()) } else { Ok(()) }
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "in tests it fails")]
    pub(super) fn refuse_if_full(&self) -> std::io::Result<()> {
        Ok(())
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn refuse_if_full(&self) -> std::io::Result<()> {
        let full = self.disk_full.load(Ordering::Relaxed);
        if full { Err(rustix::io::Errno::NOSPC.into()) } else { Ok(()) }
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
        self.head_at(self.index(seqno))
            .filter(|record| record.seqno == seqno)
            .ok_or_else(|| Error::new(Code::Damaged, "", format!("element {seqno} is damaged")))
    }

    /// The header at `pos`, if it is whole and belongs there.
    pub(super) fn head_at(&self, pos: u64) -> Option<Record> {
        if !Region::is_pos(pos) {
            return None;
        }
        let record = self.record(pos);
        let right = record.pos == pos && record.len_ok(self.geometry.element_max);
        (right && record.head_ok(self.seed)).then_some(record)
    }

    /// True for what can be the position of a record. The mark of a damaged element is none.
    #[inline]
    pub(super) fn is_pos(pos: u64) -> bool {
        pos <= POS_MAX && pos.is_multiple_of(8)
    }

    /// True when a record at `at` can be one of those that are kept while the next one goes to `pos`.
    #[inline]
    pub(super) fn in_ring(&self, at: u64, pos: u64) -> bool {
        // Neither what is not a multiple of 8 nor the mark of a damaged element.
        at.is_multiple_of(8) && pos.wrapping_sub(at) <= self.geometry.ring_len
    }

    /// Wakes all followers, if any may be asleep, after something was published. The append lock is ours: should we
    /// be killed between taking the mark away and the wake-up, who takes the lock over wakes them. A follower that sets the
    /// mark just now may be missed: whoever gives the lock back has to ask [`Region::followers_wait`] once more.
    #[inline]
    pub(super) fn wake_followers(&self) {
        if self.followers_wait() {
            self.wake_sleepers();
        }
    }

    /// True when a follower may be asleep. Asked after the append lock was given back, this misses nobody: by then all can see what was
    /// published. A follower sets its mark, looks what is published, and then sleeps; so either it sees that, or we see its mark.
    #[inline]
    pub(super) fn followers_wait(&self) -> bool {
        self.map.load32(shared::WAITING, Ordering::SeqCst) != 0
    }

    /// Wakes all followers. The append lock is ours.
    #[cold]
    pub(super) fn wake_sleepers(&self) {
        self.map.store32(shared::WAITING, 0, Ordering::SeqCst);
        // A follower that looked at the event before and set its mark just before it was taken away would sleep with no mark
        // and nobody to wake it. The event has changed for it, so it does not fall asleep.
        self.map.increment32(shared::EVENT);
        super::futex::wake_all(self.map.word(shared::EVENT));
    }

    /// True when the file has no name in any directory.
    #[cold]
    pub(super) fn has_no_name(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|file| file.nlink() == 0)
    }

    /// How many bytes the file takes on the disk; 0 when the system does not tell.
    pub(super) fn taken(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().map_or(0, |file| file.blocks() * 512)
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
pub(super) fn write_durably(file: &File, mut data: &[u8], mut offset: u64) -> std::io::Result<()> {
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
