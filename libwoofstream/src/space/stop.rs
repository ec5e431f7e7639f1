//! Ending a source from another thread.

use crate::log::Waker;
use std::sync::{Arc, Mutex, PoisonError};

/// Ends every source it was given to, also those that wait for elements.
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    stopped: bool,
    wakers: Vec<Waker>,
}

impl Stop {
    /// Ends the sources, now and whenever they start.
    pub fn stop(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.stopped = true;
        inner.wakers.drain(..).for_each(|waker| waker.stop());
    }

    /// Has `waker` used when it is time.
    pub(super) fn register(&self, waker: Waker) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.stopped {
            waker.stop();
        } else {
            inner.wakers.push(waker);
        }
    }
}
