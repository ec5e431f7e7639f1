//! What signals have the server do: SIGTERM and SIGINT stop it cleanly, a second one ends the process, SIGHUP reads the keys again.
//!
//! Failure contract: signals are blocked before anything is open, so that none is lost while the server starts. After the second one to
//! stop, whatever the server is doing, its handlers are killed, for which there is a second at most, and then that signal does what it does
//! to any process: death by it, which a shell shows as 143 or 130.

use libwoofstream::error::{Error, Result};
use nix::sys::signal::{SigSet, Signal, raise};

/// The signals that are waited for.
#[derive(Debug)]
pub(super) struct Signals(SigSet);

impl Signals {
    /// Keeps the signals of this thread, and of those it starts from here on, for [`Signals::handle`].
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn block() -> Result<Signals> {
        let set = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]);
        set.thread_block().map_err(|err| failed(err.into()))?;
        Ok(Signals(set))
    }

    /// Starts the thread that acts on them: `stop` is called at the first to stop, `kill` at the second, `reload` each time.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn handle(
        self,
        stop: impl FnOnce() + Send + 'static,
        kill: impl Fn() + Send + 'static,
        reload: impl Fn() + Send + 'static,
    ) -> Result<()> {
        let run = move || {
            let mut stop = Some(stop);
            while let Ok(signal) = self.0.wait() {
                if signal == Signal::SIGHUP {
                    reload();
                    continue;
                }
                let Some(stop) = stop.take() else {
                    kill();
                    // It finds this thread without a block, and does what signals do.
                    let dies = SigSet::from_iter([signal]).thread_unblock().and_then(|()| raise(signal));
                    tracing::error!(
                        signal = signal.as_str(),
                        ?dies,
                        "told to end at once, by a signal that is ignored"
                    );
                    continue;
                };
                tracing::info!(
                    signal = signal.as_str(),
                    "asked to stop; a second signal ends the server at once"
                );
                stop();
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(run).map_err(failed)?;
        Ok(())
    }
}

fn failed(err: std::io::Error) -> Error {
    Error::io("", "wait for signals", err)
}
