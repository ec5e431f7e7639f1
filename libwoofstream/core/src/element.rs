//! Elements: what they are put with, and what is said of those that are in.

pub use crate::mark::Mark;

/// Elements that were appended one after another: from which seqno, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The seqno of the first.
    pub first: u64,
    /// How many, 1 or more.
    pub count: u64,
}

/// Who put an element, and as which of all that it put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The writer id: a random number, made for each put.
    pub writer: u64,
    /// The writer sequence: the number of the element within that put.
    pub seq: u64,
}

impl Stamp {
    /// Bytes of a stamp.
    pub const LEN: usize = 16;

    /// The stamp as two words, writer first.
    #[inline]
    pub fn words(self) -> [u64; 2] {
        [self.writer, self.seq]
    }

    /// The stamp as bytes: two words, little-endian.
    #[inline]
    pub fn encode(self) -> [u8; Stamp::LEN] {
        let mut bytes = [0; Stamp::LEN];
        bytes[..8].copy_from_slice(&self.writer.to_le_bytes());
        bytes[8..].copy_from_slice(&self.seq.to_le_bytes());
        bytes
    }

    /// The stamp at the start of the payload of a stamped record, and what stands behind it. A shorter payload, which checks refuse,
    /// has the rest of both.
    #[inline]
    pub fn split(payload: &[u8]) -> (Stamp, &[u8]) {
        let word = |bytes: Option<&[u8]>| {
            u64::from_le_bytes(bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default())
        };
        let stamp = Stamp { writer: word(payload.get(..8)), seq: word(payload.get(8..Stamp::LEN)) };
        (stamp, payload.get(Stamp::LEN..).unwrap_or_default())
    }
}

/// An element with all that can be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given<'a> {
    /// Its stamp, if it has one.
    pub stamp: Option<Stamp>,
    /// The time that it is to have, in nanoseconds since 1970; 0: that of the append. Times never go back, and are not ahead of the clock by
    /// over a minute: what would be gets the time of the newest element, or that of the append ([`ChangedTimes`]).
    pub time_ns: u64,
    /// Its bytes.
    pub data: &'a [u8],
}

/// How many elements that came with a time could not keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedTimes {
    /// Their times were before that of the newest element: they got that one's.
    pub behind: u64,
    /// Their times were over a minute ahead of the clock: they got the time at which they were put.
    pub ahead: u64,
}

impl std::ops::AddAssign for ChangedTimes {
    fn add_assign(&mut self, more: ChangedTimes) {
        self.behind = self.behind.saturating_add(more.behind);
        self.ahead = self.ahead.saturating_add(more.ahead);
    }
}
