//! For tests: a record of every store into a woof, so that a crash can be set at each of them.
//!
//! A process that is killed leaves a prefix of its stores. A power loss leaves, of each page, a prefix of the stores to
//! it, and everything that was made durable.

use super::format::{FIXED_CRC_AT, Geometry, PAGE, Record};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One store, or the making durable of some bytes.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes were stored at this offset of the file.
    Store {
        /// Offset in the file.
        offset: usize,
        /// What was stored.
        bytes: Vec<u8>,
    },
    /// The pages of this range were made durable.
    Durable {
        /// Offset in the file.
        offset: usize,
        /// How many bytes.
        len: usize,
    },
    /// A mark set by a test (what had been acknowledged by then, say).
    Note(u64),
}

/// The record, shared between the mapping and the test.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Recorder {
    pub(super) fn store(&self, offset: usize, bytes: &[u8]) {
        self.push(Step::Store { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn durable(&self, offset: usize, len: usize) {
        self.push(Step::Durable { offset, len });
    }

    /// Sets a mark.
    pub fn note(&self, value: u64) {
        self.push(Step::Note(value));
    }

    fn push(&self, step: Step) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// All steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The file as a process killed after `count` steps leaves it.
pub fn image_after_kill(start: &[u8], steps: &[Step], count: usize) -> Vec<u8> {
    let mut image = start.to_vec();
    for step in &steps[..count] {
        if let Step::Store { offset, bytes } = step {
            image[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }
    image
}

/// The file as a power loss after `count` steps leaves it: of each page a prefix of its stores, how many `choose(page,
/// from, to)` says, but no fewer than were durable.
pub fn image_after_power_loss(
    start: &[u8],
    steps: &[Step],
    count: usize,
    mut choose: impl FnMut(usize, usize, usize) -> usize,
) -> Vec<u8> {
    let mut stores: HashMap<usize, Vec<(usize, &[u8])>> = HashMap::new();
    let mut durable: HashMap<usize, usize> = HashMap::new();
    for step in &steps[..count] {
        match step {
            Step::Store { offset, bytes } => {
                // A store is at most a word, so it is within one page.
                stores.entry(offset / PAGE).or_default().push((*offset, bytes));
            }
            Step::Durable { offset, len } => {
                for page in offset / PAGE..(offset + len).div_ceil(PAGE) {
                    durable.insert(page, stores.get(&page).map_or(0, Vec::len));
                }
            }
            Step::Note(_) => {}
        }
    }
    let mut image = start.to_vec();
    let mut pages: Vec<_> = stores.into_iter().collect();
    pages.sort_by_key(|(page, _)| *page);
    for (page, stores) in pages {
        let from = durable.get(&page).copied().unwrap_or(0);
        let kept = choose(page, from, stores.len()).clamp(from, stores.len());
        for (offset, bytes) in &stores[..kept] {
            image[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }
    image
}

/// Makes the checksums of an image of a woof right again after it was changed: of the fixed part, and of every record that is
/// where it says. So do those who make files that are to be believed.
pub fn seal(image: &mut [u8]) {
    let Some(page) = image.get(..PAGE) else { return };
    let crc = crc32c::crc32c(&page[..FIXED_CRC_AT]);
    image[FIXED_CRC_AT..FIXED_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    let Ok(geometry) = Geometry::decode(&image[..PAGE]) else { return };
    let Ok(start) = usize::try_from(geometry.ring_offset()) else { return };
    let Some(ring) = image.get_mut(start..) else { return };
    let header_len = Record::LEN;
    for place in (0..ring.len().saturating_sub(header_len)).step_by(8) {
        let mut header = [0; Record::LEN];
        header.copy_from_slice(&ring[place..place + header_len]);
        let record = Record::decode(&header);
        if record.pos % geometry.ring_len != place as u64 || record.seqno == 0 {
            continue;
        }
        // One that goes round the end keeps the checksum it has.
        let Some(data) = ring.get(place + header_len..place + header_len + record.len as usize) else {
            continue;
        };
        let sealed = record.sealed(geometry.seed(), data);
        ring[place..place + header_len].copy_from_slice(&sealed.encode());
    }
}

static SYNC_MS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Has every later sync of this process take so much longer, as with a slow disk.
pub fn slow_syncs(time: std::time::Duration) {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    SYNC_MS.store(ms, std::sync::atomic::Ordering::Relaxed);
}

pub(super) fn wait_for_disk() {
    match SYNC_MS.load(std::sync::atomic::Ordering::Relaxed) {
        0 => {}
        ms => std::thread::sleep(std::time::Duration::from_millis(ms)),
    }
}
