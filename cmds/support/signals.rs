//! Signals that say of a write that it failed, as the write does.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Has a write over the limit of file sizes (`ulimit -f`, `LimitFSIZE`) fail, as one on a full disk does, where SIGXFSZ would end the
/// process with its work half done. It is caught and not ignored, so that programs we start have it as it was.
pub(crate) fn have_long_files_fail() {
    // Where it cannot be caught, all is as it was.
    let _ = signal_hook::flag::register(number(), Arc::new(AtomicBool::new(false)));
}

/// SIGXFSZ: 25 on x86-64 and arm64.
fn number() -> i32 {
    rustix::process::Signal::XFSZ.as_raw()
}
