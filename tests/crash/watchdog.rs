//! Ends the tests when one of them hangs, which a lock that a dead writer kept would make it do.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// While this lives, the test has to come to its end in time.
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

/// Watches the test `name` of this seed.
pub(crate) fn watch(name: &'static str, seed: u64) -> Watchdog {
    let (alive, gone) = channel::<()>();
    std::thread::spawn(move || {
        // Far more than a slow machine needs: this is about hanging, not about speed. CI ends all after 40 minutes, which is to
        // be later than this.
        if gone.recv_timeout(Duration::from_secs(1500)) == Err(RecvTimeoutError::Timeout) {
            crate::say(&format!("*** {name} hangs, WOOF_TEST_SEED={seed}"));
            std::process::abort();
        }
    });
    Watchdog { _alive: alive }
}
