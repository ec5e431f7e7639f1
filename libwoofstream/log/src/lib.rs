//! The log: one memory-mapped file, appended to and read by many processes at once, without a daemon.
//!
//! Nouns: a *woof* keeps the newest of its *elements*; an element has a *seqno* (from 1, never used twice) and a time. The
//! *ring* holds a *record* for each (a header and the payload); the *index* says where the record of a seqno is.
//! `docs/format-woof.md` has the format to the byte, what is assumed of the disk, and the table of recovery cases.
//!
//! Failure contract: what [`Appender::append`] returned is there, once, in order, whoever is killed whenever; with sync
//! also after a power loss, and without sync a prefix of it. Damage is told by seqno and never returned as data. Errors have
//! an empty object: callers put the name the user typed ([`woof_core::error::Error::of`]).

mod append;
mod clock;
mod cursor;
mod files;
mod format;
mod futex;
mod hold;
mod holes;
mod lock;
mod map;
mod once;
#[cfg(any(test, feature = "testing"))]
pub mod record;
mod recover;
mod region;
mod repair;
mod room;
mod stamp;
mod sync;
mod unnamed;
mod woof;
mod words;
mod wrap;

pub use append::Appender;
pub use cursor::{Cursor, Item, Waker, Woken};
pub use files::{create, is_woof, open, remove, reset};
pub use files::{create_at, open_at, remove_at, reset_at};
pub use format::check;
pub use hold::Holder;
pub use once::{Known, Once};
pub use stamp::StampRun;
pub use woof::{Status, WeakWoof, Woof};
pub use woof_core::element::{ChangedTimes, Given, Mark, Run, Stamp};
pub use woof_core::options::Options;

#[cfg(any(test, feature = "testing"))]
impl Woof {
    /// Has every later store into the woof told to `recorder`.
    pub fn record_to(&self, recorder: record::Recorder) {
        self.region().map.record_to(recorder);
    }

    /// Takes the append lock and keeps it as long as the answer lives, as a writer does that was stopped in the middle.
    ///
    /// # Errors
    /// As [`Woof::appender`].
    pub fn stand_still(&self) -> woof_core::error::Result<StandingStill> {
        let appender = self.appender()?;
        let _ = appender.slot.lock(&appender.region.map, format::shared::APPEND_LOCK);
        Ok(StandingStill(appender))
    }

    /// Has every later sync by way of this handle fail as a broken disk would have it, or no longer.
    pub fn fail_syncs(&self, fail: bool) {
        self.region().fail_syncs.store(fail, std::sync::atomic::Ordering::Relaxed);
    }

    /// Has the disk be full for whoever takes room by way of this handle, or no longer.
    pub fn fill_disk(&self, full: bool) {
        self.region().disk_full.store(full, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A writer that does not go on as long as this lives: see [`Woof::stand_still`].
#[cfg(any(test, feature = "testing"))]
pub struct StandingStill(Appender);

#[cfg(any(test, feature = "testing"))]
impl Drop for StandingStill {
    fn drop(&mut self) {
        lock::Slot::unlock(&self.0.region.map, format::shared::APPEND_LOCK);
    }
}

#[cfg(test)]
mod tests;
