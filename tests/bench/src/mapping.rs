//! A shared mapping of a file, for what a woof is held against: the plain copy into one, and the futex in one.
//!
//! Failure contract: an offset outside of the mapping panics before memory is touched.

#![allow(unsafe_code, reason = "what is measured against is raw memory")]

use memmap2::{MmapOptions, MmapRaw};
use rustix::thread::futex;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file mapped for reading and writing.
pub(crate) struct Mapping {
    raw: MmapRaw,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of the file at `path`, which is made if it is not there and filled with zeros up to that.
    pub(crate) fn new(path: &Path, len: usize) -> std::io::Result<Mapping> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(len as u64)?;
        Ok(Mapping { raw: MmapOptions::new().len(len).map_raw(&file)?, len })
    }

    /// Copies `data` to `offset`.
    #[inline]
    pub(crate) fn copy_in(&self, offset: usize, data: &[u8]) {
        assert!(offset <= self.len && data.len() <= self.len - offset, "outside of the mapping");
        let to = self.raw.as_mut_ptr().wrapping_add(offset);
        // SAFETY: the assertion keeps all of it inside of the mapping, which lives as long as `self`; `data` is memory of
        // this process and not of the mapping, of which no slice is ever given out. Nobody else uses these bytes.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), to, data.len()) }
    }

    /// The word of 32 bits at `offset`.
    #[inline]
    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len, "outside of the mapping or not aligned");
        let at = self.raw.as_mut_ptr().wrapping_add(offset).cast::<u32>();
        // SAFETY: aligned and inside of the mapping, by the assertion; a mapping that is used for words is used for nothing
        // else, so all access to them is atomic, here and in the other process.
        unsafe { AtomicU32::from_ptr(at) }
    }

    /// Stores `value` at `offset` and wakes who sleeps on it.
    pub(crate) fn tell(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::SeqCst);
        // Without a sleeper there is nobody to wake.
        let _ = futex::wake(self.word(offset), futex::Flags::empty(), 1);
    }

    /// Sleeps until the word at `offset` is another one than `value`, and gives it.
    pub(crate) fn wait_change(&self, offset: usize, value: u32) -> u32 {
        loop {
            let now = self.word(offset).load(Ordering::SeqCst);
            if now != value {
                return now;
            }
            // Changed already, or interrupted: looked at again.
            let _ = futex::wait(self.word(offset), futex::Flags::empty(), value, None);
        }
    }
}
