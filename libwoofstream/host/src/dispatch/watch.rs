//! Threads that sleep until a woof has an element, one for each binding. While a dispatcher is busy with a woof it is not waited for, and
//! its writers wake nobody.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use woof_core::error::{Error, Result};
use woof_log::{Waker, Woof};

#[derive(Default)]
struct State {
    /// The seqno that is waited for.
    armed: Option<u64>,
    ended: bool,
}

/// Waits for elements of one woof.
pub(super) struct Watch {
    shared: Arc<(Mutex<State>, Condvar)>,
    waker: Waker,
    armed: u64,
}

fn locked(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Starts the thread. `wake` is called when an element came that was waited for, or the woof came to its end.
    pub(super) fn start(woof: &Woof, wake: impl Fn() + Send + 'static) -> Result<Watch> {
        let shared = Arc::<(Mutex<State>, Condvar)>::default();
        let waker = woof.cursor(1).waker();
        let (own, woof, sleeper) = (Arc::clone(&shared), woof.clone(), waker.clone());
        let work = move || {
            let (mutex, changed) = &*own;
            loop {
                let seqno = {
                    let mut state = locked(mutex);
                    loop {
                        if state.ended {
                            return;
                        }
                        if let Some(seqno) = state.armed.take() {
                            break seqno;
                        }
                        state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                };
                woof.cursor(seqno).sleep(&sleeper);
                wake();
            }
        };
        std::thread::Builder::new()
            .name("woof-trigger".to_owned())
            .spawn(work)
            .map_err(|err| Error::io("", "start a thread to wait for elements", err))?;
        Ok(Watch { shared, waker, armed: 0 })
    }

    /// Waits for an element from now on, unless it is waited for already.
    pub(super) fn arm(&mut self, seqno: u64) {
        if self.armed != seqno {
            self.armed = seqno;
            let (mutex, changed) = &*self.shared;
            locked(mutex).armed = Some(seqno);
            changed.notify_one();
        }
    }

    /// Whether an element is waited for.
    #[cfg(test)]
    pub(super) fn is_armed(&self) -> bool {
        self.armed != 0
    }

    /// Notes that it woke: the next [`Watch::arm`] waits again.
    pub(super) fn woke(&mut self) {
        self.armed = 0;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (mutex, changed) = &*self.shared;
        locked(mutex).ended = true;
        changed.notify_one();
        self.waker.stop();
    }
}
