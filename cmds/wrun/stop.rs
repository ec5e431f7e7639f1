//! Being asked to stop: the first signal is noted and the work goes on to a good place, the second one ends the process.
//!
//! Failure contract: where signals cannot be waited for, they end the process at once, as they do without this.

use nix::sys::signal::{SigSet, Signal};
use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Tells whether a signal came.
#[derive(Debug)]
pub(super) struct Stop {
    signals: Receiver<Signal>,
    seen: Cell<Option<Signal>>,
}

impl Stop {
    /// Notes signals from now on; when one comes, `wake` ends what is waited for.
    pub(super) fn on_signals(wake: impl FnOnce() + Send + 'static) -> Stop {
        let (send, signals) = channel();
        let mut set = SigSet::empty();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
            set.add(signal);
        }
        // Blocked in this thread and those it starts from here on; programs are started with no signal blocked.
        if set.thread_block().is_ok() {
            let waiter = std::thread::Builder::new().spawn(move || {
                if let Ok(signal) = set.wait() {
                    let _ = send.send(signal);
                    wake();
                }
                // A second one finds this thread without a block, and does what signals do.
                let _ = set.thread_unblock();
                loop {
                    std::thread::park();
                }
            });
            if waiter.is_err() {
                let _ = set.thread_unblock();
            }
        }
        Stop { signals, seen: Cell::new(None) }
    }

    /// The signal that came, if one did.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.wait(Duration::ZERO)
    }

    /// Waits for a signal, at most so long.
    pub(super) fn wait(&self, time: Duration) -> Option<Signal> {
        if self.seen.get().is_none() {
            let came = self.signals.recv_timeout(time);
            if came == Err(RecvTimeoutError::Disconnected) {
                // Nobody waits for signals here, but the time is to pass.
                std::thread::sleep(time);
            }
            self.seen.set(came.ok());
        }
        self.seen.get()
    }
}
