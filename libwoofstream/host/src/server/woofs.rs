//! Woofs that are open: whoever reads the same one at the same time shares one mapping of it.
//!
//! Failure contract: nothing is kept open here. A woof that was removed, reset or replaced by another file is opened anew, and then fails as
//! it would without this.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use woof_core::error::Result;
use woof_core::sys::Spot;
use woof_log::{self as log, WeakWoof, Woof};

/// The woofs that are open, by their files.
#[derive(Default)]
pub(super) struct Woofs {
    open: Mutex<HashMap<(u64, u64), WeakWoof>>,
}

impl std::fmt::Debug for Woofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Woofs").finish_non_exhaustive()
    }
}

impl Woofs {
    /// Opens a woof, or gives the one that is open.
    ///
    /// # Errors
    /// As [`log::open`].
    pub(super) fn open(&self, spot: Spot<'_>) -> Result<Woof> {
        // The number of a file is not given out again while somebody has it open.
        if let Ok(stat) = spot.look()
            && let Some(woof) = self.find((stat.st_dev, stat.st_ino))
        {
            return Ok(woof);
        }
        let woof = log::open_at(spot)?;
        if let Some(weak) = woof.downgrade() {
            let key = woof.identity()?;
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            // Looked through each time it would have to grow, so that it holds at most twice of what is open.
            if open.len() == open.capacity() {
                open.retain(|_, weak| weak.upgrade().is_some());
            }
            open.insert(key, weak);
        }
        Ok(woof)
    }

    fn find(&self, key: (u64, u64)) -> Option<Woof> {
        let weak = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()?;
        weak.upgrade().filter(|woof| woof.ended().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use woof_log::Options;

    #[test]
    fn one_mapping_serves_all_until_the_woof_is_another_one() {
        let dir = woof_kit::tempdir().unwrap();
        let path = dir.path().join("temp");
        log::create(&path, &Options::default()).unwrap();
        let woofs = Woofs::default();
        let open = || woofs.open(Spot::at(&path));
        let (first, second) = (open().unwrap(), open().unwrap());
        first.appender().unwrap().append(b"1").unwrap();
        assert_eq!(second.next_seqno(), 2);
        assert_eq!(woofs.open.lock().unwrap().len(), 1);

        log::reset(&path, &Options::default()).unwrap();
        assert_eq!(open().unwrap().next_seqno(), 1);
        log::remove(&path).unwrap();
        assert_eq!(open().map(|_| ()).unwrap_err().code(), woof_core::error::Code::NotFound);
    }

    #[test]
    fn nothing_is_kept_open() {
        let dir = woof_kit::tempdir().unwrap();
        let path = dir.path().join("temp");
        log::create(&path, &Options::default()).unwrap();
        let woofs = Woofs::default();
        let key = woofs.open(Spot::at(&path)).unwrap().identity().unwrap();
        assert!(woofs.find(key).is_none());
    }
}
