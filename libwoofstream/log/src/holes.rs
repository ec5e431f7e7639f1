//! Reading where a file in memory has holes.
//!
//! On a disk a hole that is looked at takes nothing. In tmpfs it takes a page, even of who only reads, and SIGBUS when there is none. So of
//! such a file a reader looks through the mapping only where it knows that there are pages already, and asks for other places with
//! `pread`, which gives zeros and takes nothing.
//!
//! Failure contract: what cannot be read is zeros, which are no element.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The smallest piece of a file of which one bit is kept.
const PIECE_MIN: u64 = 4096;
/// The most bits.
const PIECES_MAX: u64 = 1 << 20;

/// Which places of a file have pages, as far as is known. A page that is there stays: nobody makes holes in woofs.
pub(super) struct Holes {
    piece: u64,
    bits: Box<[AtomicU64]>,
}

impl Holes {
    /// For a file whose holes take room when they are looked at; `None` for others.
    pub(super) fn of(file: &File, len: u64) -> Option<Holes> {
        /// `TMPFS_MAGIC`.
        const TMPFS: u64 = 0x0102_1994;
        /// `OVERLAYFS_SUPER_MAGIC`: what is below it may be of either kind.
        const OVERLAY: u64 = 0x794c_7630;
        let kind = rustix::fs::fstatfs(file).map(|of| of.f_type);
        #[expect(clippy::cast_sign_loss, reason = "the numbers of both are small")]
        if !matches!(kind, Ok(kind) if [TMPFS, OVERLAY].contains(&(kind as u64))) {
            return None;
        }
        Some(Holes::new(len))
    }

    fn new(len: u64) -> Holes {
        let piece = (len / PIECES_MAX).max(PIECE_MIN).next_power_of_two();
        let words = len.div_ceil(piece).div_ceil(64);
        Holes { piece, bits: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether there are pages for `len` bytes at `offset`.
    #[inline]
    pub(super) fn has_pages(&self, file: &File, offset: usize, len: usize) -> bool {
        let (first, last) = self.pieces(offset, len);
        (first..=last).all(|piece| self.is_known(piece)) || self.look(file, first, last)
    }

    #[inline]
    fn pieces(&self, offset: usize, len: usize) -> (u64, u64) {
        (offset as u64 / self.piece, (offset + len.max(1) - 1) as u64 / self.piece)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 2^20 pieces")]
    fn is_known(&self, piece: u64) -> bool {
        self.bits
            .get(piece as usize / 64)
            .is_some_and(|word| word.load(Ordering::Relaxed) >> (piece % 64) & 1 != 0)
    }

    /// Asks the system, and remembers as much as it says.
    #[cold]
    #[inline(never)]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 2^20 pieces")]
    fn look(&self, file: &File, first: u64, last: u64) -> bool {
        let Ok(hole) = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(first * self.piece)) else {
            return false;
        };
        // One that the end of the file cuts short is never known.
        let end = (hole / self.piece).min(self.bits.len() as u64 * 64);
        for piece in first..end {
            if let Some(word) = self.bits.get(piece as usize / 64) {
                word.fetch_or(1 << (piece % 64), Ordering::Relaxed);
            }
        }
        last < end
    }

    /// Reads `out.len()` bytes at `offset` without the mapping.
    #[cold]
    #[inline(never)]
    pub(super) fn read(file: &File, offset: usize, out: &mut [u8]) {
        if file.read_exact_at(out, offset as u64).is_err() {
            out.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pieces_that_are_whole_are_looked_at_through_the_mapping() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(&[1; 8192], 4096).unwrap();
        let holes = Holes::new(1 << 20);
        assert!(!holes.has_pages(&file, 0, 8));
        assert!(holes.has_pages(&file, 4096, 8) && holes.has_pages(&file, 4096, 8192));
        assert!(!holes.has_pages(&file, 4096, 8193) && !holes.has_pages(&file, 12_288, 1));
        file.write_all_at(&[1], 12_288).unwrap();
        assert!(holes.has_pages(&file, 4096, 8193));
    }
}
