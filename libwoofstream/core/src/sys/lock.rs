//! A file that is locked by one server.

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::File;
use std::time::Duration;

/// How often, and how long apart, a lock is tried.
const TRIES: u32 = 100;
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Locks a file until it is closed; false when somebody else has it locked and keeps it so for a second.
///
/// A server that was killed while it started a program does not have its locks for longer, but the program has them: between the fork and the exec all
/// that was open is open there too. On a busy machine that lasts some milliseconds, in which the next server may start.
///
/// # Errors
/// Those of the system.
pub fn lock_alone(file: &File) -> std::io::Result<bool> {
    for tries in 1.. {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if tries == TRIES => break,
            Err(Errno::WOULDBLOCK) => std::thread::sleep(TRY_AGAIN),
            Err(err) => return Err(err.into()),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_let_go_of_soon_is_taken_and_one_that_is_kept_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let (held, other, third) = (open(), open(), open());
        assert!(lock_alone(&held).unwrap());
        std::thread::scope(|scope| {
            let taken = scope.spawn(|| lock_alone(&other).unwrap());
            std::thread::sleep(2 * TRY_AGAIN);
            drop(held);
            assert!(taken.join().unwrap());
        });
        assert!(!lock_alone(&third).unwrap());
    }
}
