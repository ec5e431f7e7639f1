//! The file format of a woof, version 1: where everything is, and the two structures that are read from disk.
//!
//! `docs/format-woof.md` describes the same to the byte. Nothing here touches a file.

use woof_core::content::ContentType;
use woof_core::element::{Mark, Stamp};
use woof_core::error::{Code, Error, Result};
use woof_core::limits;
use woof_core::options::Options;

/// The first 8 bytes of a woof. No text file starts with them.
pub(super) const MAGIC: [u8; 8] = *b"\x89wooflog";
/// The version this program writes and reads.
pub(super) const VERSION: u32 = 1;
/// Everything before the index: the fixed part, the shared part and the table of appenders, a page each.
pub(super) const HEADER_LEN: usize = 3 * PAGE;
/// Sections start at multiples of this many bytes.
pub(super) const PAGE: usize = 4096;

/// Offsets of the words that processes share.
pub(super) mod shared {
    use super::PAGE;
    /// Lock of the appenders: 0 or the token of who holds it.
    pub(crate) const APPEND_LOCK: usize = PAGE;
    /// Lock of who makes elements durable.
    pub(crate) const SYNC_LOCK: usize = PAGE + 4;
    /// What became of the woof: one of the `STATE_` values.
    pub(crate) const STATE: usize = PAGE + 8;
    /// The seqno the next element gets. Storing it publishes all elements before it.
    pub(crate) const NEXT_SEQNO: usize = PAGE + 64;
    /// The oldest seqno that is kept. It is stored before anything of older elements is overwritten.
    pub(crate) const FIRST_SEQNO: usize = PAGE + 72;
    /// Where the next record goes. Follows from the last record.
    pub(crate) const NEXT_POS: usize = PAGE + 80;
    /// Where the record of `FIRST_SEQNO` is. Follows from the index.
    pub(crate) const FIRST_POS: usize = PAGE + 88;
    /// The time of the last element. Follows from the last record.
    pub(crate) const LAST_TIME: usize = PAGE + 96;
    /// Changes whenever followers are woken; they wait on it.
    pub(crate) const EVENT: usize = PAGE + 104;
    /// The oldest seqno that must not be forgotten, as its handlers are not done; 0: none is held.
    pub(crate) const HOLD_SEQNO: usize = PAGE + 112;
    /// The sum of `NEXT_SEQNO`, `FIRST_SEQNO`, `NEXT_POS`, `FIRST_POS` and `LAST_TIME`.
    pub(crate) const WORDS_SUM: usize = PAGE + 120;
    /// 1 when a follower may be asleep.
    pub(crate) const WAITING: usize = PAGE + 128;
    /// The number of the file, on its device, in which it was held; another one tells that the hold was copied with the file.
    pub(crate) const HOLD_FILE: usize = PAGE + 136;
    /// `HOLD_SEQNO` again.
    pub(crate) const HOLD_SEQNO_2: usize = PAGE + 144;
    /// All records before this position are durable.
    pub(crate) const SYNCED_POS: usize = PAGE + 192;
    /// The seqno that follows the last durable element.
    pub(crate) const SYNCED_SEQNO: usize = PAGE + 200;
    /// Records from here on are being made durable and must not be overwritten; `NOT_SYNCING` otherwise.
    pub(crate) const SYNC_FROM: usize = PAGE + 208;
    /// `SYNCED_POS` again.
    pub(crate) const SYNCED_POS_2: usize = PAGE + 216;
    /// `SYNCED_SEQNO` again.
    pub(crate) const SYNCED_SEQNO_2: usize = PAGE + 224;
    /// The boot this woof was last opened in, 16 bytes.
    pub(crate) const BOOT_ID: usize = PAGE + 256;
    /// How often a power loss was recovered from.
    pub(crate) const RECOVERIES: usize = PAGE + 272;
    /// How many elements the last recovery had to cut off.
    pub(crate) const LAST_CUT: usize = PAGE + 280;
    /// How many syncs failed, ever. Who opened the woof before one of them cannot make anything durable any more.
    pub(crate) const FAILED_SYNCS: usize = PAGE + 288;
    /// 1 from a failed sync until all is written again.
    pub(crate) const WRITE_AGAIN: usize = PAGE + 296;
    /// Where times begin anew, as the clock was reset: a seqno and a time of 8 bytes each, for `CLOCK_BREAKS_MAX` of them.
    pub(crate) const BREAKS: usize = PAGE + 512;
    /// Generation numbers of the appenders' slots, 32 bits each.
    pub(crate) const GENERATIONS: usize = 2 * PAGE;

    pub(crate) const STATE_LIVE: u32 = 1;
    pub(crate) const STATE_REMOVED: u32 = 2;
    pub(crate) const STATE_RESET: u32 = 4;
    pub(crate) const NOT_SYNCING: u64 = u64::MAX;
}

/// No position is beyond this: it would take centuries to get there.
pub(super) const POS_MAX: u64 = 1 << 62;
/// No seqno is beyond this, for the same reason.
pub(super) const SEQNO_MAX: u64 = 1 << 62;

/// In the index: an element whose record was found damaged by a recovery.
pub(super) const NO_RECORD: u64 = u64::MAX;

/// The most elements that are written under one hold of the lock. The index, and with an element size the ring too, has
/// room for as many more than the history, so that writing them touches nothing that is kept.
pub(super) const CHUNK_ELEMENTS: usize = 64;
/// The most bytes of records written under one hold of the lock, unless one element alone is larger or the ring is small.
pub(super) const CHUNK_BYTES: u64 = 64 << 10;

/// The largest piece in which the kernel keeps a file in memory.
const FOLIO_MAX: u64 = 2 << 20;

/// Looks whether a woof can be made with these.
///
/// # Errors
/// [`Code::Invalid`] says which of them is out of range, and what the range is.
pub fn check(options: &Options) -> Result<()> {
    Geometry::new(options, 0, 0).map(|_| ())
}

/// The fixed part of a woof: what it was made with and where its sections are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) options: Options,
    /// A random number that its checksums start from.
    pub(super) id: u64,
    /// When it was made, in nanoseconds since 1970.
    pub(super) created_ns: u64,
    /// The largest element, in bytes.
    pub(super) element_max: u64,
    /// Entries of the index.
    pub(super) slots: u64,
    /// Bytes of the ring.
    pub(super) ring_len: u64,
}

impl Geometry {
    /// Works out the sections for `options`.
    pub(super) fn new(options: &Options, id: u64, created_ns: u64) -> Result<Geometry> {
        let invalid = |text: String| Err(Error::new(Code::Invalid, "", text));
        let mut options = options.clone();
        if options.history == 0 || options.history > limits::HISTORY_MAX {
            return invalid(format!(
                "a history of {} elements: it must be from 1 to {}",
                options.history,
                limits::HISTORY_MAX
            ));
        }
        if options.content.is_number() {
            match options.element_size {
                None | Some(8) => {}
                Some(size) => {
                    return invalid(format!(
                        "an element size of {size} bytes: elements of type {} are 8",
                        options.content
                    ));
                }
            }
        }
        let slots = options.history + CHUNK_ELEMENTS as u64;
        let (element_max, ring_len) = match options.element_size {
            Some(size) => {
                if size == 0 || size > limits::ELEMENT_MAX {
                    return invalid(format!(
                        "an element size of {size} bytes: it must be from 1 to {}",
                        limits::ELEMENT_MAX
                    ));
                }
                // Room for all of them with stamps.
                let Some(bytes) = slots.checked_mul(record_len(size + Stamp::LEN as u64)) else {
                    return invalid("history times element size is over the limit of a woof".to_owned());
                };
                options.capacity = size.saturating_mul(options.history);
                (size, bytes)
            }
            None => {
                if options.capacity < limits::CAPACITY_MIN || options.capacity > limits::CAPACITY_MAX {
                    return invalid(format!(
                        "a capacity of {} bytes: it must be from {} to {}",
                        options.capacity,
                        limits::CAPACITY_MIN,
                        limits::CAPACITY_MAX
                    ));
                }
                let element_max = (options.capacity / 4).min(limits::ELEMENT_MAX);
                // Every element needs its record header and up to 7 bytes to the next multiple of 8.
                (element_max, options.capacity + slots * (RECORD_HEADER_LEN + 8))
            }
        };
        if ring_len > 2 * limits::CAPACITY_MAX {
            return invalid(format!(
                "it would need {ring_len} bytes, over the limit of {} for a woof",
                2 * limits::CAPACITY_MAX
            ));
        }
        let ring_len = ring_len.next_multiple_of(PAGE as u64);
        Ok(Geometry { options, id, created_ns, element_max, slots, ring_len })
    }

    /// Where the index starts in the file.
    pub(super) fn index_offset(&self) -> u64 {
        HEADER_LEN as u64
    }

    /// Where the index ends in the file.
    pub(super) fn index_end(&self) -> u64 {
        self.index_offset() + (self.slots * 8).next_multiple_of(PAGE as u64)
    }

    /// Where the ring starts in the file. With `sync` it keeps away from the header and the index: these are stored to through the
    /// mapping, and the kernel keeps pages in folios of up to 2 MiB that are dirty, and flushed, as a whole.
    pub(super) fn ring_offset(&self) -> u64 {
        if self.options.sync { self.index_end().next_multiple_of(FOLIO_MAX) } else { self.index_end() }
    }

    /// How long the file is.
    pub(super) fn file_len(&self) -> u64 {
        self.ring_offset() + self.ring_len
    }

    /// What checksums of this woof start from.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half of a random number is one too")]
    pub(super) fn seed(&self) -> u32 {
        self.id as u32
    }

    /// The fixed part as it stands at the start of the file.
    pub(super) fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        page[0..8].copy_from_slice(&MAGIC);
        page[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let words = [
            (16, self.id),
            (24, self.created_ns),
            (32, self.options.history),
            (40, self.options.capacity),
            (48, self.options.element_size.unwrap_or(0)),
            (56, self.element_max),
            (64, self.slots),
            (72, self.ring_len),
            (80, self.index_offset()),
            (88, self.ring_offset()),
            (96, self.file_len()),
        ];
        for (at, word) in words {
            page[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        page[104] = self.options.content as u8;
        page[105] = u8::from(self.options.sync);
        let crc = crc32c::crc32c(&page[..FIXED_CRC_AT]);
        page[FIXED_CRC_AT..FIXED_CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// Reads the fixed part. `page` is as much of the first page as the file has.
    ///
    /// # Errors
    /// By name: not a woof, another version, a damaged header.
    pub(super) fn decode(page: &[u8]) -> Result<Geometry> {
        let damaged = || Error::new(Code::Damaged, "", "damaged header: its checksum does not match");
        if page.len() < 12 || page[0..8] != MAGIC {
            return Err(Error::new(Code::Unsupported, "", "not a woof"));
        }
        let version = u32::from_le_bytes([page[8], page[9], page[10], page[11]]);
        if version != VERSION {
            return Err(Error::new(
                Code::Unsupported,
                "",
                format!("woof format version {version}, this program reads version {VERSION}"),
            ));
        }
        if page.len() < FIXED_CRC_AT + 4 {
            return Err(Error::new(
                Code::Damaged,
                "",
                format!("truncated file: {} bytes are left", page.len()),
            ));
        }
        let stored =
            [page[FIXED_CRC_AT], page[FIXED_CRC_AT + 1], page[FIXED_CRC_AT + 2], page[FIXED_CRC_AT + 3]];
        if crc32c::crc32c(&page[..FIXED_CRC_AT]) != u32::from_le_bytes(stored) {
            return Err(damaged());
        }
        let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap_or([0; 8]));
        let options = Options {
            history: word(32),
            capacity: word(40),
            element_size: Some(word(48)).filter(|size| *size != 0),
            content: ContentType::from_number(page[104]).ok_or_else(damaged)?,
            sync: page[105] & 1 != 0,
        };
        // The sections follow from the options, so whoever forged the checksum too still gets no strange layout.
        let geometry = Geometry::new(&options, word(16), word(24)).map_err(|_| damaged())?;
        if geometry.encode()[..FIXED_CRC_AT] != page[..FIXED_CRC_AT] {
            return Err(damaged());
        }
        Ok(geometry)
    }
}

/// Where the checksum of the fixed part is.
pub(super) const FIXED_CRC_AT: usize = 124;

/// Bytes in front of the payload of each record.
pub(super) const RECORD_HEADER_LEN: u64 = 40;

/// Where the seqno is in the header of a record.
///
/// In front of it is the word with the checks, because a place of the ring may hold what is left of a record that was cut off or
/// never published, with the same seqno and position as the next one that is written there. Of the next one, any part may
/// be on the disk after a power loss. As long as its first word makes all the rest wrong, the two can never be one whole
/// record again. For the same reason a record is wiped by zeroing its checks and nothing else.
pub(super) const SEQNO_AT: u64 = 8;

/// Bytes a record takes in the ring, for a payload of `len` bytes.
#[inline]
pub(super) const fn record_len(len: u64) -> u64 {
    // Lengths are of 32 bits, so the sum is one.
    RECORD_HEADER_LEN + ((len + 7) & !7)
}

/// The header of a record: what stands in the ring in front of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) seqno: u64,
    pub(super) time_ns: u64,
    /// Position since the woof was made; in the ring it is taken modulo the ring's length.
    pub(super) pos: u64,
    pub(super) len: u32,
    /// [`FLAG_STAMPED`] or 0, and the [`Mark`] in the other bits.
    pub(super) flags: u8,
    /// How far before this record everything was durable when it was written, in units of 8 bytes.
    pub(super) unsynced: u32,
    /// The check of the header in the lower half, the check of the payload in the upper. One word, as it is written as one: put together
    /// from two halves in memory it would have to wait for both.
    pub(super) checks: u64,
}

/// Of the flags of a record: its payload begins with a stamp. The other bits are a [`Mark`].
pub(super) const FLAG_STAMPED: u8 = 1;

/// `unsynced` of a record that knows nothing of what is durable.
pub(super) const UNSYNCED_UNKNOWN: u32 = (1 << 24) - 1;

impl Record {
    /// [`RECORD_HEADER_LEN`] as a number of bytes in memory.
    pub(super) const LEN: usize = RECORD_HEADER_LEN as usize;

    /// Where the word with length and flags is in the header.
    pub(super) const LAST_AT: u64 = 32;

    /// A record for a payload, with its checksums.
    #[inline]
    pub(super) fn new(
        seed: u32,
        seqno: u64,
        time_ns: u64,
        pos: u64,
        unsynced: u32,
        payload: Payload,
    ) -> Record {
        let Payload { len, flags, crc } = payload;
        let mut record = Record { seqno, time_ns, pos, len, flags, unsynced, checks: 0 };
        record.checks = both(record.checksum(seed), crc);
        record
    }

    /// The same record with the checksums that belong to it and its payload.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn sealed(mut self, seed: u32, payload: &[u8]) -> Record {
        self.checks = both(self.checksum(seed), crc32c::crc32c(payload));
        self
    }

    /// The mark it was appended with.
    #[inline]
    pub(super) fn mark(&self) -> Mark {
        Mark::from_flags(self.flags)
    }

    /// True when the payload begins with a stamp.
    #[inline]
    pub(super) fn is_stamped(&self) -> bool {
        self.flags & FLAG_STAMPED != 0
    }

    /// True when the last word of a header says that the payload begins with a stamp.
    #[inline]
    pub(super) fn says_stamped(last: u64) -> bool {
        last >> 32 & u64::from(FLAG_STAMPED) != 0
    }

    /// True when the payload is as long as it can be, for elements of up to `element_max` bytes: a stamp is not counted, and not
    /// cut short.
    #[inline]
    pub(super) fn len_ok(&self, element_max: u64) -> bool {
        let len = u64::from(self.len);
        if self.is_stamped() {
            len.checked_sub(Stamp::LEN as u64).is_some_and(|len| len <= element_max)
        } else {
            len <= element_max
        }
    }

    #[inline]
    fn last(&self) -> u64 {
        u64::from(self.len) | u64::from(self.flags) << 32 | u64::from(self.unsynced) << 40
    }

    /// The check of the four words behind the checks: each pair multiplied to 128 bits and folded, as in Wang Yi's wyhash. Any change
    /// of a header is noticed but for one in 2^32, in a third of the time a CRC of 32 bytes takes.
    #[inline]
    fn checksum(&self, seed: u32) -> u32 {
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            #[expect(clippy::cast_possible_truncation, reason = "the two halves of the product")]
            let folded = product as u64 ^ (product >> 64) as u64;
            folded
        };
        let seed = u64::from(seed);
        let first = fold(self.seqno ^ 0xa076_1d64_78bd_642f ^ seed, self.time_ns ^ 0xe703_7ed1_a0b4_28db);
        let second = fold(self.pos ^ 0x8ebc_6af0_9c88_c6e3, self.last() ^ 0x5899_65cc_7537_4cc3 ^ seed << 32);
        let all = fold(first ^ 0x1d8e_4e27_c47d_124f, second ^ 0xeb44_acca_b455_d165);
        #[expect(clippy::cast_possible_truncation, reason = "the upper and the lower half are folded")]
        let check = (all ^ all >> 32) as u32;
        check
    }

    /// The five words of the header.
    #[inline]
    pub(super) fn words(&self) -> [u64; 5] {
        [self.checks, self.seqno, self.time_ns, self.pos, self.last()]
    }

    /// The header as bytes.
    #[inline]
    pub(super) fn encode(&self) -> [u8; Record::LEN] {
        let mut bytes = [0; Record::LEN];
        for (place, word) in bytes.chunks_exact_mut(8).zip(self.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a header, right or wrong; [`Record::head_ok`] tells which.
    #[inline]
    pub(super) fn decode(bytes: &[u8; Record::LEN]) -> Record {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let last = word(32);
        #[expect(clippy::cast_possible_truncation, reason = "each field is cut out of its word")]
        Record {
            seqno: word(8),
            time_ns: word(16),
            pos: word(24),
            len: last as u32,
            flags: (last >> 32) as u8,
            unsynced: (last >> 40) as u32,
            checks: word(0),
        }
    }

    /// True when the header is what was once written.
    pub(super) fn head_ok(&self, seed: u32) -> bool {
        u64::from(self.checksum(seed)) == self.checks & u64::from(u32::MAX)
    }

    /// True when header and payload are what was once written.
    #[inline]
    pub(super) fn data_ok(&self, seed: u32, payload: &[u8]) -> bool {
        both(self.checksum(seed), crc32c::crc32c(payload)) == self.checks
    }

    /// Bytes the record takes in the ring.
    #[inline]
    pub(super) fn size(&self) -> u64 {
        record_len(u64::from(self.len))
    }
}

/// What the header of a record says of its payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Payload {
    len: u32,
    flags: u8,
    crc: u32,
}

impl Payload {
    /// Of data, with a stamp or without.
    #[inline]
    pub(super) fn of(stamp: Option<Stamp>, data: &[u8]) -> Payload {
        let (before, flags, crc) = match stamp.map(Stamp::encode) {
            None => (0, 0, crc32c::crc32c(data)),
            Some(stamp) => (Stamp::LEN, FLAG_STAMPED, crc32c::crc32c_append(crc32c::crc32c(&stamp), data)),
        };
        // Elements are at most `limits::ELEMENT_MAX` long, which appenders check.
        Payload { len: u32::try_from(before + data.len()).unwrap_or(u32::MAX), flags, crc }
    }
}

impl Payload {
    /// The same with a mark.
    #[inline]
    pub(super) fn marked(mut self, mark: Mark) -> Payload {
        self.flags |= mark.flags();
        self
    }
}

/// The word with both checks. The check of the payload is its CRC, changed by all of the header: with the exclusive or, the two are
/// worked out side by side.
#[inline]
fn both(head_check: u32, data_crc: u32) -> u64 {
    u64::from(head_check) | u64::from(data_crc ^ head_check) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_part_reads_back_and_any_changed_byte_is_noticed() {
        let options = Options { history: 10, element_size: Some(100), ..Options::default() };
        let geometry = Geometry::new(&options, 77, 88).unwrap();
        let page = geometry.encode();
        assert_eq!(Geometry::decode(&page).unwrap(), geometry);
        for at in 0..FIXED_CRC_AT + 4 {
            let mut wrong = page;
            wrong[at] ^= 0x10;
            assert!(Geometry::decode(&wrong).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_page_from_elsewhere_is_refused_by_name() {
        let mut page = Geometry::new(&Options::default(), 1, 2).unwrap().encode();
        assert_eq!(Geometry::decode(b"date,temp\n2010").unwrap_err().text(), "not a woof");
        assert_eq!(Geometry::decode(b"").unwrap_err().text(), "not a woof");
        assert_eq!(Geometry::decode(&page[..100]).unwrap_err().text(), "truncated file: 100 bytes are left");
        page[8] = 9;
        assert_eq!(
            Geometry::decode(&page).unwrap_err().text(),
            "woof format version 9, this program reads version 1"
        );
    }

    #[test]
    fn sizes_beyond_reason_are_refused_with_the_limits() {
        let refuse = |options: Options| Geometry::new(&options, 0, 0).unwrap_err().to_string();
        let base = Options::default();
        assert_eq!(
            refuse(Options { history: 0, ..base.clone() }),
            "a history of 0 elements: it must be from 1 to 68719476736"
        );
        assert!(refuse(Options { history: u64::MAX, ..base.clone() }).contains("it must be from 1 to"));
        assert!(refuse(Options { capacity: 1, ..base.clone() }).contains("it must be from 4096 to"));
        assert!(refuse(Options { element_size: Some(0), ..base.clone() }).contains("it must be from 1 to"));
        assert!(
            refuse(Options { element_size: Some(1 << 30), history: 1 << 36, ..base.clone() })
                .contains("over the limit")
        );
        assert!(
            refuse(Options { content: ContentType::F64, element_size: Some(9), ..base })
                .contains("elements of type f64 are 8")
        );
    }

    #[test]
    fn a_record_reads_back_and_knows_a_changed_header_from_a_changed_payload() {
        let record = Record::new(5, 42, 1_000, 80, 3, Payload::of(None, b"21.5"));
        let back = Record::decode(&record.encode());
        assert_eq!(back, record);
        assert!(back.head_ok(5) && back.data_ok(5, b"21.5"));
        assert!(!back.data_ok(5, b"21.6") && !back.data_ok(6, b"21.5"));
        let mut bytes = record.encode();
        bytes[9] ^= 1;
        assert!(!Record::decode(&bytes).head_ok(5));
        assert_eq!(record.size(), 48);
    }
}
