//! Ending a source from another thread.

use std::sync::{Arc, Mutex, PoisonError};

/// Ends every source it was given to, also those that wait for elements.
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    stopped: bool,
    actions: Vec<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// Ends the sources, now and whenever they start.
    pub fn stop(&self) {
        let actions = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.stopped = true;
            std::mem::take(&mut inner.actions)
        };
        actions.into_iter().for_each(|action| action());
    }

    /// Whether it is over.
    pub fn is_stopped(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// Has `action` done when it is time; at once when it is over already.
    pub fn on_stop(&self, action: impl FnOnce() + Send + 'static) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.stopped {
            drop(inner);
            action();
        } else {
            inner.actions.push(Box::new(action));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn actions_are_done_once_whether_they_come_before_or_after() {
        let (stop, done) = (Stop::default(), Arc::new(AtomicU32::new(0)));
        let action = || {
            let done = Arc::clone(&done);
            move || {
                done.fetch_add(1, Ordering::SeqCst);
            }
        };
        stop.on_stop(action());
        assert!(!stop.is_stopped() && done.load(Ordering::SeqCst) == 0);
        stop.clone().stop();
        stop.stop();
        assert_eq!(done.load(Ordering::SeqCst), 1);
        stop.on_stop(action());
        assert!(stop.is_stopped() && done.load(Ordering::SeqCst) == 2);
    }
}
