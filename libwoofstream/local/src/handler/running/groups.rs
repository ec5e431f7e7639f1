//! The process groups of the handlers that run as processes of this machine, for whoever has to end them all at once.
//!
//! Failure contract: a group that is kept here is one whose status nobody took yet, so its number is nobody else's. After [`Groups::kill_all`] none is
//! started any more, and that those were killed counts as no failure of theirs.

use super::process::Mark;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often, and how long apart, it is looked whether what is being started is there.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What runs, by the number of its group.
#[derive(Debug, Default)]
pub struct Groups {
    running: Mutex<HashMap<Pid, Mark>>,
    /// How many are being started, and are not among those that run yet.
    starting: AtomicUsize,
    over: AtomicBool,
}

/// One that is being started.
pub struct Starting<'a>(&'a Groups);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.starting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Groups {
    fn running(&self) -> MutexGuard<'_, HashMap<Pid, Mark>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces one that is to be started; kept until it is noted. `None` once all is over.
    pub fn starting(&self) -> Option<Starting<'_>> {
        self.starting.fetch_add(1, Ordering::SeqCst);
        let starting = Starting(self);
        (!self.is_over()).then_some(starting)
    }

    /// Notes one that was started.
    pub fn note(&self, group: Pid, mark: Mark) {
        self.running().insert(group, mark);
    }

    /// Forgets one that was killed, before its status is taken.
    pub fn forget(&self, group: Pid) {
        self.running().remove(&group);
    }

    /// Whether all were killed and none is started any more.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Kills those for which this is true of what they run for.
    pub fn kill(&self, is_meant: impl Fn(&Mark) -> bool) {
        for (group, _) in self.running().iter().filter(|(_, mark)| is_meant(mark)) {
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }

    /// Kills all, and has none started any more. What is being started is waited for, for a second.
    pub fn kill_all(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.kill(|_| true);
        for _ in 0..LOOKS {
            if self.starting.load(Ordering::SeqCst) == 0 {
                break;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.kill(|_| true);
    }
}
