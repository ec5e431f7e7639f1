//! What signals have the server do: SIGTERM and SIGINT stop it cleanly, a second one ends the process, SIGHUP reads the keys again.
//!
//! Failure contract: signals are caught before anything is open, so that none is lost while the server starts. After the second one to
//! stop, whatever the server is doing, its handlers are killed, for which there is a second at most, and then that signal does what it does
//! to any process: death by it, which a shell shows as 143 or 130. None is blocked, as the programs that are started would inherit that.

use libwoofstream::error::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, signal_name};

/// The signals that are waited for.
#[derive(Debug)]
pub(crate) struct Signals(signal_hook::iterator::Signals);

impl Signals {
    /// Keeps the signals that come from here on for [`Signals::handle`].
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn catch() -> Result<Signals> {
        signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]).map(Signals).map_err(failed)
    }

    /// Starts the thread that acts on them: `stop` is called at the first to stop, `kill` at the second, `reload` each time.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn handle(
        mut self,
        stop: impl FnOnce() + Send + 'static,
        kill: impl Fn() + Send + 'static,
        reload: impl Fn() + Send + 'static,
    ) -> Result<()> {
        let run = move || {
            let mut stop = Some(stop);
            for signal in self.0.forever() {
                if signal == SIGHUP {
                    reload();
                } else if let Some(stop) = stop.take() {
                    tracing::info!(
                        signal = signal_name(signal),
                        "asked to stop; a second signal ends the server at once"
                    );
                    stop();
                } else {
                    kill();
                    // Nothing else is left to do if even that is refused.
                    let _ = emulate_default_handler(signal);
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(run).map_err(failed)?;
        Ok(())
    }
}

fn failed(err: std::io::Error) -> Error {
    Error::io("", "wait for signals", err)
}
