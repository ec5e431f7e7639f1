//! Holding: elements whose handlers are not done are not forgotten.
//!
//! One shared word says from which seqno on. Appenders look at it under their lock and refuse, or wait, rather than forget what is held.
//!
//! Failure contract: a hold that was set is durable before [`Woof::hold`] returns. Raised, it need not be: an older one keeps more. A
//! flush of it that fails is a failed sync of the woof.

use super::append::busy;
use super::format::shared;
use super::lock::{Slot, Taken};
use super::region::Region;
use super::repair;
use super::woof::Woof;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use woof_core::error::{Code, Error, Result};

/// What is known of the handlers that elements are held for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// There are such handlers, as far as is known.
    Bound,
    /// There are none, and the elements are held no longer.
    LetGo,
    /// None are known, but there may be some elsewhere: what can be done about it.
    Unknown(String),
}

/// Looks at most so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who is asked whether there are handlers that elements are held for.
#[derive(Default)]
pub(super) struct Asked {
    ask: Option<Box<dyn Fn() -> Holder + Send>>,
    last: Option<Instant>,
}

impl Asked {
    pub(super) fn of(ask: impl Fn() -> Holder + Send + 'static) -> Asked {
        Asked { ask: Some(Box::new(ask)), last: None }
    }

    /// What is found; nothing when it was asked a moment before, or nobody can be asked.
    pub(super) fn look(&mut self) -> Option<Holder> {
        let ask = self.ask.as_ref()?;
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < LOOK_AGAIN) {
            return None;
        }
        self.last = Some(now);
        Some(ask())
    }
}

impl Region {
    /// The oldest seqno that is held; 0 when none is.
    #[inline]
    pub(super) fn hold(&self) -> u64 {
        let word = |place| self.map.load(place, Ordering::Acquire);
        let (one, other) = (word(shared::HOLD_SEQNO), word(shared::HOLD_SEQNO_2));
        if one == other { one } else { self.longer_hold(one, other) }
    }

    /// Of two that do not agree, the one that keeps more.
    #[cold]
    fn longer_hold(&self, one: u64, other: u64) -> u64 {
        if one == 0 || other == 0 { one | other } else { one.min(other) }
    }

    /// Sleeps until the hold is another than `hold`, at most for so long.
    #[cold]
    pub(super) fn wait_for_hold(&self, hold: u64, time: Duration) {
        // Its lower half changes with every raise by less than 2^32; others are noticed by the end of the time.
        #[expect(clippy::cast_possible_truncation, reason = "the half that is waited on")]
        let low = self.map.load(shared::HOLD_SEQNO, Ordering::Acquire) as u32;
        if self.hold() != hold {
            return;
        }
        super::futex::wait(self.map.word(shared::HOLD_SEQNO), low, Some(time.min(Duration::from_secs(1))));
    }

    /// Notes in which file elements are held, before they are.
    fn note_file(&self) {
        let file = self.file.metadata().map_or(0, |meta| meta.ino());
        self.map.store(shared::HOLD_FILE, file, Ordering::Release);
    }

    pub(super) fn set_hold(&self, seqno: u64) {
        self.map.store(shared::HOLD_SEQNO_2, seqno, Ordering::Release);
        self.map.store(shared::HOLD_SEQNO, seqno, Ordering::Release);
        super::futex::wake_all(self.map.word(shared::HOLD_SEQNO));
    }
}

impl Woof {
    /// The oldest seqno that is held: nothing from it on is forgotten. `None` when nothing is held.
    pub fn held(&self) -> Option<u64> {
        Some(self.view().region.hold()).filter(|seqno| *seqno != 0)
    }

    /// True when its elements were held in another file, of which this one is a copy.
    pub fn is_hold_copied(&self) -> bool {
        let region = &self.view().region;
        let file = region.map.load(shared::HOLD_FILE, Ordering::Acquire);
        region.hold() != 0 && file != 0 && region.file.metadata().is_ok_and(|own| own.ino() != file)
    }

    /// Holds the elements from `seqno` on, or ends the hold with `None`. Of what is not kept any more nothing can be held: gives the seqno
    /// from which on it is, 0 for none. It is durable when this returns.
    ///
    /// ```
    /// use woof_log::{self as log, Options};
    /// let dir = woof_kit::tempdir().unwrap();
    /// let path = dir.path().join("temp");
    /// log::create(&path, &Options { history: 2, ..Options::default() }).unwrap();
    /// let woof = log::open(&path).unwrap();
    /// let mut appender = woof.appender().unwrap();
    /// assert_eq!(woof.hold(Some(1)).unwrap(), 1);
    /// appender.append(b"one").unwrap();
    /// appender.append(b"two").unwrap();
    /// let err = appender.append(b"three").unwrap_err();
    /// assert_eq!(err.text(), "woof is full of elements whose handlers are not done: the oldest is 1");
    /// woof.raise_hold(2);
    /// assert_eq!(appender.append(b"three").unwrap(), 3);
    /// ```
    ///
    /// # Errors
    /// When the woof cannot be written to, or was removed.
    pub fn hold(&self, seqno: Option<u64>) -> Result<u64> {
        self.hold_within(seqno, None)
    }

    /// As [`Woof::hold`], waiting for other writers no longer than `patience`.
    ///
    /// # Errors
    /// As [`Woof::hold`], and [`Code::Busy`].
    pub fn hold_within(&self, seqno: Option<u64>, patience: Option<Duration>) -> Result<u64> {
        let region = &self.view().region;
        if !region.map.writable() {
            return Err(Error::new(Code::Denied, "", "no right to write, which holding elements needs"));
        }
        let slot = Slot::take(&region.map, &region.file)?;
        let Some(taken) = slot.lock_within(&region.map, shared::APPEND_LOCK, patience) else {
            return Err(busy());
        };
        if taken == Taken::FromDead {
            repair::mark(region);
            // Who was killed may have published without waking anybody.
            region.wake_sleepers();
        }
        let seqno = seqno.map_or(0, |seqno| seqno.max(region.first_seqno()).min(region.next_seqno()));
        let state = region.state();
        if state == shared::STATE_LIVE {
            region.note_file();
            region.set_hold(seqno);
        }
        Slot::unlock(&region.map, shared::APPEND_LOCK);
        if state != shared::STATE_LIVE {
            return Err(repair::gone(state));
        }
        let flushed = super::sync::flush(region, &slot, patience);
        if flushed.map_err(|err| Error::io("", "hold its elements", err))? { Ok(seqno) } else { Err(busy()) }
    }

    /// Holds only the elements from `seqno` on. A hold that is not there, or further on already, stays as it is.
    pub fn raise_hold(&self, seqno: u64) {
        let region = &self.view().region;
        let held = region.hold();
        if held != 0 && held < seqno && region.map.writable() {
            region.set_hold(seqno.min(region.next_seqno()));
        }
    }
}
