//! The mapped file: the one place where raw memory is touched.
//!
//! Other processes read and write the same bytes at any time, so nothing here ever hands out a `&[u8]` or
//! `&mut [u8]` into the mapping: every access is an atomic load or store of one aligned word, which is defined
//! whatever the others do. What the words mean, and in which order they may be written, is the business of
//! [`super::region`] and above.
//!
//! Failure contract: an offset outside of the mapping is a mistake of ours and panics before memory is touched. A
//! file that somebody else truncates while it is mapped makes the kernel send SIGBUS; nothing of ours ever truncates.

#![allow(unsafe_code, reason = "the only file that dereferences the mapping")]

use super::format::HEADER_LEN;
use memmap2::{MmapOptions, MmapRaw};
use nix::libc;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

#[cfg(target_endian = "big")]
compile_error!("the file format is little endian and is mapped as it is");

/// No page is smaller than this.
const LEAST_PAGE: usize = 4 << 10;
/// So many pages are asked about at once.
const NEAR_PAGES: usize = 64;

/// A file mapped into memory, shared with everybody else who maps it.
pub(super) struct Map {
    raw: MmapRaw,
    len: usize,
    writable: bool,
    /// `len` where stores are possible, or else 0: one comparison for both.
    store_len: usize,
    #[cfg(any(test, feature = "testing"))]
    recorder: std::sync::OnceLock<super::record::Recorder>,
}

/// A record of 100 bytes and a header takes three lines, and mostly begins within one.
#[cfg(target_arch = "x86_64")]
const PREFETCHED_LINES: usize = 4;

impl Map {
    /// Maps the first `len` bytes of `file`, for writing too when `writable`. No mapping is shorter than [`HEADER_LEN`].
    pub(super) fn new(file: &File, len: usize, writable: bool) -> io::Result<Map> {
        if len < HEADER_LEN {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut options = MmapOptions::new();
        options.len(len);
        let raw = if writable { options.map_raw(file)? } else { options.map_raw_read_only(file)? };
        Ok(Map {
            raw,
            len,
            writable,
            store_len: if writable { len } else { 0 },
            #[cfg(any(test, feature = "testing"))]
            recorder: std::sync::OnceLock::new(),
        })
    }

    /// True when stores are possible.
    pub(super) fn writable(&self) -> bool {
        self.writable
    }

    /// Whether the pages of these bytes are in memory, so that to load from them is not to wait for a disk. Where the system does not tell, they are.
    pub(super) fn is_near(&self, offset: usize, len: usize) -> bool {
        let end = offset.saturating_add(len).min(self.len);
        let mut at = offset / page_size() * page_size();
        while at < end {
            let mut pages = [1u8; NEAR_PAGES];
            let part = (end - at).min(NEAR_PAGES * LEAST_PAGE);
            let start = self.raw.as_mut_ptr().wrapping_add(at).cast();
            // SAFETY: the range is inside of the mapping, which lives as long as `self`, and begins at one of its pages; there is a byte for each
            // of its pages, none of which is smaller than `LEAST_PAGE`, and nothing else is written.
            if unsafe { libc::mincore(start, part, pages.as_mut_ptr()) } != 0 {
                return true;
            }
            if pages.iter().any(|page| page & 1 == 0) {
                return false;
            }
            at += part;
        }
        true
    }

    #[inline]
    fn check(&self, offset: usize, len: usize, align: usize) {
        // Of the words in the header, which are most, the compiler knows this, and nothing is left of the check.
        if offset.is_multiple_of(align) && offset < HEADER_LEN && len <= HEADER_LEN - offset {
            return;
        }
        // In this order and with one way out, this is two jumps that are never taken.
        if !offset.is_multiple_of(align) || offset.checked_add(len).is_none_or(|end| end > self.len) {
            outside(offset, len);
        }
    }

    #[inline]
    fn check_store(&self, offset: usize, len: usize, align: usize) {
        if !offset.is_multiple_of(align) || offset.checked_add(len).is_none_or(|end| end > self.store_len) {
            assert!(self.writable, "a store into a mapping for reading");
            outside(offset, len);
        }
    }

    /// The word of 32 bits at `offset`, to load from or to wait on.
    #[inline]
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        self.check(offset, 4, 4);
        let at = self.raw.as_mut_ptr().wrapping_add(offset).cast::<u32>();
        // SAFETY: `check` keeps the word inside of the mapping, which lives as long as `self`, and aligned (mappings
        // start at a page). All access to it, here and in other processes, is atomic. Stores go through the methods
        // below, which refuse a mapping for reading.
        unsafe { AtomicU32::from_ptr(at) }
    }

    #[inline]
    fn wide(&self, offset: usize) -> &AtomicU64 {
        self.check(offset, 8, 8);
        let at = self.raw.as_mut_ptr().wrapping_add(offset).cast::<u64>();
        // SAFETY: as for `word`, with 8 bytes.
        unsafe { AtomicU64::from_ptr(at) }
    }

    /// Loads the word of 64 bits at `offset`.
    #[inline]
    pub(super) fn load(&self, offset: usize, order: Ordering) -> u64 {
        self.wide(offset).load(order)
    }

    /// Stores a word of 64 bits at `offset`.
    #[inline]
    pub(super) fn store(&self, offset: usize, value: u64, order: Ordering) {
        self.check_store(offset, 8, 8);
        self.wide(offset).store(value, order);
        self.record(offset, &value.to_le_bytes());
    }

    /// Loads the word of 32 bits at `offset`.
    #[inline]
    pub(super) fn load32(&self, offset: usize, order: Ordering) -> u32 {
        self.word(offset).load(order)
    }

    /// Stores a word of 32 bits at `offset`.
    #[inline]
    pub(super) fn store32(&self, offset: usize, value: u32, order: Ordering) {
        self.check_store(offset, 4, 4);
        self.word(offset).store(value, order);
        self.record(offset, &value.to_le_bytes());
    }

    /// Replaces `from` by `to` in the word of 32 bits at `offset`; false when it was another value.
    #[inline]
    pub(super) fn exchange32(&self, offset: usize, from: u32, to: u32) -> bool {
        self.check_store(offset, 4, 4);
        let done = self.word(offset).compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if done {
            self.record(offset, &to.to_le_bytes());
        }
        done
    }

    /// Puts `value` into the word of 32 bits at `offset` and gives what was there.
    #[inline]
    pub(super) fn swap32(&self, offset: usize, value: u32, order: Ordering) -> u32 {
        self.check_store(offset, 4, 4);
        let old = self.word(offset).swap(value, order);
        self.record(offset, &value.to_le_bytes());
        old
    }

    /// Adds 1 to the word of 32 bits at `offset`, in the one order of all sequentially consistent operations.
    #[inline]
    pub(super) fn increment32(&self, offset: usize) {
        self.check_store(offset, 4, 4);
        let old = self.word(offset).fetch_add(1, Ordering::SeqCst);
        self.record(offset, &old.wrapping_add(1).to_le_bytes());
    }

    /// Copies `out.len()` bytes from `offset` (a multiple of 8), word by word.
    #[inline]
    pub(super) fn copy_out(&self, offset: usize, out: &mut [u8]) {
        self.check(offset, out.len().next_multiple_of(8), 8);
        let mut at = self.raw.as_mut_ptr().wrapping_add(offset).cast::<u64>();
        let mut chunks = out.chunks_exact_mut(8);
        for chunk in &mut chunks {
            // SAFETY: `check` above keeps all words of this copy inside of the mapping and aligned.
            let word = unsafe { AtomicU64::from_ptr(at) };
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            at = at.wrapping_add(1);
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            // SAFETY: as above; the length was rounded up to a whole word for the check.
            let word = unsafe { AtomicU64::from_ptr(at) };
            rest.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes()[..rest.len()]);
        }
    }

    /// Copies `data` to `offset` (a multiple of 8), word by word; the last word is filled up with zeros.
    #[inline]
    pub(super) fn copy_in(&self, offset: usize, data: &[u8]) {
        self.copy_in_two(offset, &[], data);
    }

    /// Copies `words` to `offset` (a multiple of 8) and `data` behind them, as [`Map::copy_in`] does.
    #[inline]
    pub(super) fn copy_in_two(&self, offset: usize, words: &[u64], data: &[u8]) {
        // No slice is so long that this goes over the end of the numbers.
        self.check_store(offset, words.len() * 8 + ((data.len() + 7) & !7), 8);
        let mut at = self.raw.as_mut_ptr().wrapping_add(offset).cast::<u64>();
        for value in words {
            // SAFETY: `check_store` above keeps all words of this copy inside of a writable mapping and aligned.
            let word = unsafe { AtomicU64::from_ptr(at) };
            word.store(*value, Ordering::Relaxed);
            at = at.wrapping_add(1);
        }
        let (chunks, rest) = data.as_chunks::<32>();
        for chunk in chunks {
            for bytes in chunk.as_chunks::<8>().0 {
                // SAFETY: as above.
                let word = unsafe { AtomicU64::from_ptr(at) };
                word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
                at = at.wrapping_add(1);
            }
        }
        let (words_left, rest) = rest.as_chunks::<8>();
        for bytes in words_left {
            // SAFETY: as above.
            let word = unsafe { AtomicU64::from_ptr(at) };
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
            at = at.wrapping_add(1);
        }
        if !rest.is_empty() {
            // SAFETY: as above; the length was rounded up to a whole word for the check.
            let word = unsafe { AtomicU64::from_ptr(at) };
            word.store(last_word(data, rest), Ordering::Relaxed);
        }
        self.record_words(offset, words);
        self.record_copy(offset + words.len() * 8, data);
    }

    /// After a sequentially consistent exchange: what was stored before it is seen by all before what is loaded from here on is
    /// loaded.
    #[inline]
    pub(super) fn stores_before_loads_after_exchange(&self) {
        // On x86-64 such an exchange is a locked instruction, which does that by itself. The compiler moves nothing over it, as
        // it both acquires and releases. Elsewhere its own store and what is loaded later may change places.
        #[cfg(not(target_arch = "x86_64"))]
        fence(Ordering::SeqCst);
        #[cfg(target_arch = "x86_64")]
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    }

    /// Has the processor fetch the first cache lines from `offset` on, as they are about to be stored to. A hint: nothing depends on it.
    #[inline]
    pub(super) fn prefetch(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        for line in 0..PREFETCHED_LINES {
            use core::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            let at = self.raw.as_mut_ptr().wrapping_add(offset + line * 64);
            // SAFETY: it reads and writes nothing, and no address is wrong for it.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// What was loaded before is not moved behind what is loaded after.
    #[inline]
    pub(super) fn loads_before_loads(&self) {
        fence(Ordering::Acquire);
    }

    /// What was stored before is seen before what is stored after.
    #[inline]
    pub(super) fn stores_before_stores(&self) {
        fence(Ordering::Release);
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[inline(always)]
    fn record(&self, _offset: usize, _bytes: &[u8]) {}

    #[cfg(not(any(test, feature = "testing")))]
    #[inline(always)]
    fn record_words(&self, _offset: usize, _words: &[u64]) {}

    #[cfg(not(any(test, feature = "testing")))]
    #[inline(always)]
    fn record_copy(&self, _offset: usize, _data: &[u8]) {}
}

/// The size of a page, which the system says once.
fn page_size() -> usize {
    static SIZE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    // SAFETY: it takes a number and gives one.
    let asked = || unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    *SIZE.get_or_init(|| usize::try_from(asked()).unwrap_or(0).max(LEAST_PAGE))
}

/// The 1 to 7 bytes of `rest`, which end `data`, and zeros. Out of the 8 bytes before the end where there are as many: bytes that are
/// put together in memory are waited for when they are loaded as a word.
#[inline]
fn last_word(data: &[u8], rest: &[u8]) -> u64 {
    match data.last_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes) >> (64 - rest.len() * 8),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cold]
#[inline(never)]
#[expect(clippy::panic, reason = "a mistake of ours, before memory is touched")]
fn outside(offset: usize, len: usize) -> ! {
    panic!("{len} bytes at {offset} are outside of the mapping or not aligned")
}

#[cfg(any(test, feature = "testing"))]
impl Map {
    /// Has every later store told to `recorder`.
    pub(super) fn record_to(&self, recorder: super::record::Recorder) {
        // A second recorder is a mistake in a test and is left out.
        let _ = self.recorder.set(recorder);
    }

    #[inline]
    fn record(&self, offset: usize, bytes: &[u8]) {
        if let Some(recorder) = self.recorder.get() {
            recorder.store(offset, bytes);
        }
    }

    fn record_words(&self, offset: usize, words: &[u64]) {
        for (number, word) in words.iter().enumerate() {
            self.record(offset + number * 8, &word.to_le_bytes());
        }
    }

    /// A copy is as many stores as it has words.
    fn record_copy(&self, offset: usize, data: &[u8]) {
        if self.recorder.get().is_some() {
            for (number, chunk) in data.chunks(8).enumerate() {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                self.record(offset + number * 8, &word);
            }
        }
    }

    /// Tells the recorder that the whole file was made durable.
    pub(super) fn record_all_durable(&self) {
        if let Some(recorder) = self.recorder.get() {
            recorder.durable(0, self.len);
        }
    }

    /// Tells the recorder of bytes that went to the file by a system call.
    pub(super) fn record_write(&self, offset: usize, data: &[u8], durable: bool) {
        self.record_copy(offset, data);
        if durable && let Some(recorder) = self.recorder.get() {
            recorder.durable(offset, data.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(len: usize) -> Map {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len as u64).unwrap();
        Map::new(&file, len, true).unwrap()
    }

    #[test]
    fn copies_of_any_length_come_back_and_fill_their_last_word_with_zeros() {
        let map = map(HEADER_LEN);
        for len in 0..40usize {
            let data: Vec<u8> = (0..len).map(|n| n as u8 + 1).collect();
            map.copy_in(64, &[0xff; 48]);
            map.copy_in(64, &data);
            let mut back = vec![0; len];
            map.copy_out(64, &mut back);
            assert_eq!(back, data);
            let mut whole = vec![0; len.next_multiple_of(8)];
            map.copy_out(64, &mut whole);
            assert!(whole[len..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    #[should_panic(expected = "outside of the mapping")]
    fn an_offset_outside_panics_before_memory_is_touched() {
        map(HEADER_LEN).load(HEADER_LEN, Ordering::Relaxed);
    }

    #[test]
    #[should_panic(expected = "mapping for reading")]
    fn a_store_into_a_mapping_for_reading_panics() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(HEADER_LEN as u64).unwrap();
        Map::new(&file, HEADER_LEN, false).unwrap().store(0, 1, Ordering::Relaxed);
    }
}
