//! Room on the disk: blocks are allocated before anything is stored through the mapping.
//!
//! A woof has its whole length from the beginning, and no blocks where nothing was written yet. A store to such a place would ask the
//! file system for a block in the middle of an instruction, and a full disk would be SIGBUS. So an appender first takes room for the
//! records and the entries of the index that it is about to write, a step at a time.
//!
//! Nothing in the file says what is allocated: a copy can have holes anywhere. Each process remembers for itself what it has made
//! sure of, and allocates again what may be allocated already, which costs a system call for each step.
//!
//! Failure contract: an error (no space left) comes before anything is stored. What is allocated keeps its bytes.

use super::format::{Geometry, PAGE};
use super::region::{Region, write_durably};
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much room is taken at once: a quarter of what was written until then, within these bounds. For the ring, in bytes.
const RING_STEP: (u64, u64) = (64 << 10, 8 << 20);
/// The same for the index.
const INDEX_STEP: (u64, u64) = (16 << 10, 2 << 20);
/// With sync, what is taken is written with zeros while everybody waits: the largest step is so many times smaller.
const FILLED_PART: u64 = 8;
/// Longer records are written into holes as they are: to fill the place with zeros first would write everything twice.
const FILL_MAX: u64 = 4 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What this process has made sure of in the ring and in the index. Only who has the append lock changes it.
pub(super) struct Room {
    ring: Circle,
    index: Circle,
}

/// A section of the file that is written round and round, in numbers that grow.
struct Circle {
    /// Where it is in the file.
    offset: u64,
    /// How many numbers go round it once.
    len: u64,
    /// Bytes for each number.
    unit: u64,
    step: (u64, u64),
    /// There are blocks for the numbers from here on.
    from: AtomicU64,
    /// Up to here, itself not included.
    until: AtomicU64,
}

impl Room {
    pub(super) fn new(geometry: &Geometry) -> Room {
        let circle = |offset, len, unit, step| Circle {
            offset,
            len,
            unit,
            step,
            from: AtomicU64::new(0),
            until: AtomicU64::new(0),
        };
        Room {
            ring: circle(geometry.ring_offset(), geometry.ring_len, 1, RING_STEP),
            index: circle(geometry.index_offset(), geometry.slots, 8, INDEX_STEP),
        }
    }
}

impl Circle {
    #[inline]
    fn has(&self, from: u64, to: u64) -> bool {
        self.from.load(Ordering::Relaxed) <= from && to <= self.until.load(Ordering::Relaxed)
    }

    /// Takes a step, or what is needed alone where the disk has no more.
    fn take(
        &self,
        from: u64,
        to: u64,
        durable: bool,
        reserve: impl Fn(u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.has(from, to) {
            return Ok(());
        }
        let place = from % self.len;
        let end = place + (to - from);
        let (least, most) = self.step;
        let most = if durable { (most / FILLED_PART).max(least) } else { most };
        let step = (from.saturating_mul(self.unit) / 4).clamp(least, most).next_power_of_two() / self.unit;
        let stepped = if end <= self.len {
            end.next_multiple_of(step).min(self.len)
        } else {
            self.len + (end - self.len).next_multiple_of(step)
        };
        let stepped = stepped.min(place + self.len);
        let taken = match self.reserve(place, stepped, &reserve) {
            Err(err) if err.kind() == io::ErrorKind::StorageFull && stepped > end => {
                self.reserve(place, end, &reserve).map(|()| end)
            }
            done => done.map(|()| stepped),
        }?;
        self.note(from, from + (taken - place));
        Ok(())
    }

    /// Reserves the blocks of places, which may go round the end.
    fn reserve(&self, from: u64, to: u64, reserve: &impl Fn(u64, u64) -> io::Result<()>) -> io::Result<()> {
        let page = PAGE as u64;
        for (from, to) in [(from, to.min(self.len)), (0, to.saturating_sub(self.len))] {
            if from < to {
                // Both sections end where a page ends.
                let start = from * self.unit / page * page;
                let end = (to * self.unit).next_multiple_of(page);
                reserve(self.offset + start, end - start)?;
            }
        }
        Ok(())
    }

    fn note(&self, from: u64, to: u64) {
        let known = self.from.load(Ordering::Relaxed);
        let start = if self.has(from, from) { known } else { from };
        let (start, until) = if to - start >= self.len { (0, u64::MAX) } else { (start, to) };
        self.from.store(start, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
    }
}

impl Region {
    /// Makes sure that the entries of the seqnos `first..next` and the records from `pos` to `end` have blocks. The append lock is
    /// ours. With `durable`, what was never written to is filled with zeros: a write to a block that is reserved and was never written
    /// changes the tables of the file system, which takes several times as long to make durable.
    ///
    /// # Errors
    /// When the disk is full, or fails.
    #[inline]
    pub(super) fn take_room(
        &self,
        (first, next): (u64, u64),
        (pos, end): (u64, u64),
        durable: bool,
    ) -> io::Result<()> {
        if self.has_room_taken((first, next), (pos, end)) {
            return Ok(());
        }
        self.take_more((first, next), (pos, end), durable)
    }

    /// Whether there is nothing to be done for that.
    #[inline]
    pub(super) fn has_room_taken(&self, (first, next): (u64, u64), (pos, end): (u64, u64)) -> bool {
        self.room.ring.has(pos, end) && self.room.index.has(first, next)
    }

    #[cold]
    #[inline(never)]
    fn take_more(&self, (first, next): (u64, u64), (pos, end): (u64, u64), durable: bool) -> io::Result<()> {
        self.refuse_if_full()?;
        self.take_index(first, next, durable)?;
        if durable && end - pos > FILL_MAX {
            return Ok(());
        }
        self.room.ring.take(pos, end, durable, |at, len| {
            if durable { fill(&self.file, at, len, true) } else { reserve(&self.file, at, len) }
        })
    }

    /// Makes sure that the entries of the seqnos `first..next` have blocks; of a whole lap at most.
    pub(super) fn take_index(&self, first: u64, next: u64, durable: bool) -> io::Result<()> {
        self.refuse_if_full()?;
        // With sync not reserved alone either: that too would be a change of the tables that the next sync waits for.
        self.room.index.take(first, next.min(first + self.geometry.slots), durable, |at, len| {
            if durable { fill(&self.file, at, len, false) } else { reserve(&self.file, at, len) }
        })
    }
}

/// Allocates the blocks of a range of the file. What is there already stays as it is.
pub(super) fn reserve(file: &File, at: u64, len: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), at, len) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            // A file system without it.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return fill(file, at, len, false),
            Err(err) => return Err(err.into()),
        }
    }
}

/// Writes zeros to the holes of a range of the file: where it has no blocks, or blocks that were never written to. They read as zeros
/// before and after.
fn fill(file: &File, at: u64, len: u64, durable: bool) -> io::Result<()> {
    let (mut at, end) = (at, at + len);
    while at < end {
        let hole = seek(file, SeekFrom::Hole(at))?;
        if hole >= end {
            break;
        }
        at = match seek(file, SeekFrom::Data(hole)) {
            Ok(data) => data.min(end),
            Err(Errno::NXIO) => end,
            Err(err) => return Err(err.into()),
        };
        write_zeros(file, hole, at, durable)?;
    }
    Ok(())
}

fn write_zeros(file: &File, mut at: u64, end: u64, durable: bool) -> io::Result<()> {
    if durable {
        let all = vec![0; usize::try_from(end - at).unwrap_or(usize::MAX)];
        return write_durably(file, &all, at);
    }
    while at < end {
        let part = usize::try_from(end - at).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_all_at(&ZEROS[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// Makes sure that the shared words and the table of appenders have blocks. In a copy with holes a table that was never written to has
/// none.
pub(super) fn reserve_shared(file: &File) -> io::Result<()> {
    let (from, to) = (PAGE as u64, 3 * PAGE as u64);
    match seek(file, SeekFrom::Hole(from)) {
        Ok(hole) if hole >= to => Ok(()),
        _ => reserve(file, from, to - from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn circle(len: u64, unit: u64) -> Circle {
        let (from, until) = (AtomicU64::new(0), AtomicU64::new(0));
        Circle { offset: 4096, len, unit, step: (8192, 32_768), from, until }
    }

    fn taken(circle: &Circle, from: u64, to: u64) -> Vec<(u64, u64)> {
        let all = RefCell::new(Vec::new());
        let note = |at, len| {
            all.borrow_mut().push((at - 4096, len));
            Ok(())
        };
        circle.take(from, to, false, note).unwrap();
        all.into_inner()
    }

    #[test]
    fn steps_are_taken_once_and_grow_with_what_was_written() {
        let ring = circle(1 << 20, 1);
        assert_eq!(taken(&ring, 0, 100), [(0, 8192)]);
        assert_eq!(taken(&ring, 100, 8192), []);
        assert_eq!(taken(&ring, 8192, 8200), [(8192, 8192)]);
        assert_eq!(taken(&ring, 65_536, 65_600), [(65_536, 16_384)]);
        // Another range was taken in between, so the first is not known any more, which is no harm.
        assert!(!ring.has(0, 100));
        assert_eq!(taken(&ring, 81_920, 200_000), [(81_920, 147_456)]);
    }

    #[test]
    fn what_is_written_with_zeros_is_taken_in_smaller_steps() {
        let ring = Circle { step: (4096, 65_536), ..circle(1 << 20, 1) };
        let taken = RefCell::new(Vec::new());
        let note = |at, len| {
            taken.borrow_mut().push((at - 4096, len));
            Ok(())
        };
        ring.take(524_288, 524_289, true, note).unwrap();
        ring.take(720_896, 720_897, false, note).unwrap();
        assert_eq!(taken.into_inner(), [(524_288, 8192), (720_896, 65_536)]);
    }

    #[test]
    fn after_a_whole_lap_all_is_known() {
        let index = circle(3000, 8);
        assert_eq!(taken(&index, 1, 2), [(0, 8192)]);
        assert_eq!(taken(&index, 1024, 1088), [(8192, 8192)]);
        assert_eq!(taken(&index, 2040, 2056), [(12_288, 12_288)]);
        // 3000 entries end in the middle of a page, and the next is at the front again.
        assert_eq!(taken(&index, 2990, 3010), [(20_480, 4096), (0, 8192)]);
        for from in [3010, 1 << 40, (1 << 62) - 64] {
            assert_eq!(taken(&index, from, from + 64), [], "{from}");
        }
    }

    #[test]
    fn what_is_before_that_which_was_taken_is_not_known() {
        let ring = circle(1 << 20, 1);
        taken(&ring, 500_000, 500_100);
        assert!(!ring.has(400_000, 400_100) && !ring.has(0, 8));
        assert!(ring.has(500_050, 500_100));
    }

    #[test]
    fn on_a_full_disk_what_is_needed_alone_is_tried() {
        let ring = circle(1 << 20, 1);
        let full = |_, len| if len > 4096 { Err(Errno::NOSPC.into()) } else { Ok(()) };
        ring.take(0, 100, false, full).unwrap();
        assert!(ring.has(0, 100) && !ring.has(0, 101));
        assert_eq!(ring.take(100, 5000, false, full).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!ring.has(100, 101));
    }

    #[test]
    fn zeros_are_written_to_holes_alone() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(b"data", 300_000).unwrap();
        fill(&file, 0, 1 << 20, true).unwrap();
        let mut back = vec![0; 1 << 20];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(
            (&back[300_000..300_004], back.iter().filter(|byte| **byte != 0).count()),
            (&b"data"[..], 4)
        );
        assert_eq!(seek(&file, SeekFrom::Hole(0)).unwrap(), 1 << 20);
    }
}
