//! Stamps: which put an element came with, so that one that is sent again is appended once.
//!
//! A stamp stands in the record, in front of the data and under the same checks. So append and stamp are one: whatever survives a kill or
//! a power loss has its stamp, and what has a stamp is there. Nothing else of the file knows of stamps.
//!
//! Failure contract: [`Woof::stamps_of`] tells only of elements that are whole: torn, damaged and overwritten ones are left out.

use super::clock::Clock;
use super::format::Record;
use super::region::Region;
use super::woof::Woof;
use woof_core::element::{Given, Stamp};

/// Elements of one writer with seqnos and writer sequences that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StampRun {
    /// The writer sequence of the first.
    pub seq: u64,
    /// The seqno of the first.
    pub seqno: u64,
    /// How many, 1 or more.
    pub count: u64,
}

/// What can be appended: data alone, with a stamp, or with a time too. Several types, so that plain appends pay nothing for the rest.
pub(super) trait Entry: Copy {
    /// Its time.
    #[inline]
    fn time(&self, clock: &mut Clock) -> u64 {
        clock.of_new()
    }
    fn stamp(&self) -> Option<Stamp>;
    fn data(&self) -> &[u8];
    /// Bytes of the payload.
    fn len(&self) -> u64;
    /// One to fill arrays with.
    const EMPTY: Self;
}

impl Entry for &[u8] {
    const EMPTY: Self = &[];

    #[inline]
    fn stamp(&self) -> Option<Stamp> {
        None
    }

    #[inline]
    fn data(&self) -> &[u8] {
        self
    }

    #[inline]
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }
}

impl Entry for (Stamp, &[u8]) {
    const EMPTY: Self = (Stamp { writer: 0, seq: 0 }, &[]);

    #[inline]
    fn stamp(&self) -> Option<Stamp> {
        Some(self.0)
    }

    #[inline]
    fn data(&self) -> &[u8] {
        self.1
    }

    #[inline]
    fn len(&self) -> u64 {
        (self.1.len() + Stamp::LEN) as u64
    }
}

impl Entry for Given<'_> {
    const EMPTY: Self = Given { stamp: None, time_ns: 0, data: &[] };

    #[inline]
    fn time(&self, clock: &mut Clock) -> u64 {
        clock.of_kept(self.time_ns)
    }

    #[inline]
    fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    #[inline]
    fn data(&self) -> &[u8] {
        self.data
    }

    #[inline]
    fn len(&self) -> u64 {
        (self.data.len() + if self.stamp.is_some() { Stamp::LEN } else { 0 }) as u64
    }
}

impl Woof {
    /// All elements with stamps of `writer` that are kept, from a seqno on, in order. Damaged ones are left out.
    ///
    /// It looks through all elements from `from_seqno` on, at a few words of each, so it takes some 20 to 50 ns for every one.
    ///
    /// ```
    /// use woof_log::{self as log, Options, Stamp, StampRun};
    /// let dir = woof_kit::tempdir().unwrap();
    /// let path = dir.path().join("temp");
    /// log::create(&path, &Options::default()).unwrap();
    /// let woof = log::open(&path).unwrap();
    /// let mut appender = woof.appender().unwrap();
    /// let put = |seq| (Stamp { writer: 77, seq }, &b"21.5"[..]);
    /// appender.extend_stamped([put(1), put(2)], |_| {}).unwrap();
    /// assert_eq!(woof.stamps_of(77, 1), [StampRun { seq: 1, seqno: 1, count: 2 }]);
    /// assert_eq!(woof.stamps_of(78, 1), []);
    /// ```
    pub fn stamps_of(&self, writer: u64, from_seqno: u64) -> Vec<StampRun> {
        let view = self.view();
        let mut runs: Vec<StampRun> = Vec::new();
        let mut payload = Vec::new();
        let next = view.next();
        for seqno in from_seqno.max(view.first())..next {
            let pos = view.index(seqno);
            let Some(stamp) = stamp_at(&view.region, seqno, pos, writer, &mut payload) else { continue };
            match runs.last_mut() {
                Some(run)
                    if run.seqno + run.count == seqno && run.seq.wrapping_add(run.count) == stamp.seq =>
                {
                    run.count += 1;
                }
                _ => runs.push(StampRun { seq: stamp.seq, seqno, count: 1 }),
            }
        }
        // What is kept even now was not touched while it was looked at. As for a cursor, all else may have been.
        view.region.map.loads_before_loads();
        let first = view.first();
        runs.retain_mut(|run| {
            let gone = first.saturating_sub(run.seqno).min(run.count);
            (run.seq, run.seqno, run.count) =
                (run.seq.wrapping_add(gone), run.seqno + gone, run.count - gone);
            run.count > 0
        });
        runs
    }
}

/// The stamp of an element whose record is at `pos`, if it is one of `writer` and all of the record is right; then `payload` is what it holds.
#[inline]
pub(super) fn stamp_at(
    region: &Region,
    seqno: u64,
    pos: u64,
    writer: u64,
    payload: &mut Vec<u8>,
) -> Option<Stamp> {
    // Nothing is believed of these two words but that most records are of somebody else.
    if !Region::is_pos(pos)
        || !Record::says_stamped(region.ring_word(pos + Record::LAST_AT))
        || region.ring_word(pos + Record::LEN as u64) != writer
    {
        return None;
    }
    whole_stamp_at(region, seqno, pos, payload).filter(|stamp| stamp.writer == writer)
}

/// The stamp of an element whose record is right.
fn whole_stamp_at(region: &Region, seqno: u64, pos: u64, payload: &mut Vec<u8>) -> Option<Stamp> {
    let record = region.head_at(pos).filter(|record| record.seqno == seqno && record.is_stamped())?;
    payload.resize(record.len as usize, 0);
    region.ring_out(pos + Record::LEN as u64, payload);
    record.data_ok(region.seed(), payload).then(|| Stamp::split(payload).0)
}
