//! Being asked to stop: the first signal is noted and the work goes on to a good place, the second one ends the process.
//!
//! Failure contract: where signals cannot be waited for, they end the process at once, as they do without this. None is blocked, as the programs that
//! are started would inherit that.

use libwoofstream::error::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The signal that came while something was started, or after that and before anybody waited for signals; 0 for none.
static EARLY: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Starts something that takes back what it began once `flag` is set: by a signal, which then does what signals do.
///
/// # Errors
/// When the system refuses.
pub(super) fn taking_back<T>(flag: &Arc<AtomicBool>, start: impl FnOnce() -> T) -> Result<T> {
    let came = EARLY.get_or_init(Arc::default);
    let failed = |err| Error::io("", "wait for signals", err);
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let number = usize::try_from(signal).unwrap_or_default();
        signal_hook::flag::register_usize(signal, Arc::clone(came), number).map_err(failed)?;
        signal_hook::flag::register(signal, Arc::clone(flag)).map_err(failed)?;
    }
    let started = start();
    match i32::try_from(came.load(Ordering::SeqCst)) {
        Ok(signal @ 1..) => {
            drop(started);
            emulate_default_handler(signal).map_err(failed)?;
            // By the system's rules it has ended by now.
            Err(Error::new(libwoofstream::error::Code::Failed, "", "told to end"))
        }
        _ => Ok(started),
    }
}

/// Tells whether a signal came.
#[derive(Debug)]
pub(super) struct Stop {
    signals: Receiver<i32>,
    seen: Cell<Option<i32>>,
}

impl Stop {
    /// Notes signals from now on; when one comes, `wake` ends what is waited for.
    pub(super) fn on_signals(wake: impl FnOnce() + Send + 'static) -> Stop {
        let (send, signals) = channel();
        if let Ok(mut caught) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) {
            let handle = caught.handle();
            let waiter = std::thread::Builder::new().spawn(move || {
                let early = EARLY.get().map_or(0, |came| came.load(Ordering::SeqCst));
                // One that came just now may have been noted both here and there, and is one.
                let early =
                    i32::try_from(early).ok().filter(|signal| *signal > 0).or(caught.pending().last());
                let Some(first) = early.or_else(|| caught.forever().next()) else { return };
                let _ = send.send(first);
                wake();
                for signal in caught.forever() {
                    // A second one does what signals do.
                    let _ = emulate_default_handler(signal);
                }
            });
            if waiter.is_err() {
                handle.close();
            }
        }
        Stop { signals, seen: Cell::new(None) }
    }

    /// The signal that came, if one did.
    pub(super) fn signal(&self) -> Option<i32> {
        self.wait(Duration::ZERO)
    }

    /// Waits for a signal, at most so long.
    pub(super) fn wait(&self, time: Duration) -> Option<i32> {
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
