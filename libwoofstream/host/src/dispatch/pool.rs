//! Threads that attempts run in: as many as ran at once, asleep between.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    ended: bool,
}

/// The threads.
pub(super) struct Pool {
    shared: Arc<(Mutex<State>, Condvar)>,
}

fn locked(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(super) fn new() -> Pool {
        Pool { shared: Arc::default() }
    }

    /// Has a job done, in a thread that is idle or a new one.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let (state, wake) = &*self.shared;
        let mut state = locked(state);
        if state.jobs.len() >= state.idle {
            let shared = Arc::clone(&self.shared);
            std::thread::Builder::new().name("woof-handler".to_owned()).spawn(move || work(&shared))?;
        }
        state.jobs.push_back(Box::new(job));
        wake.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let (state, wake) = &*self.shared;
        locked(state).ended = true;
        wake.notify_all();
    }
}

fn work(shared: &(Mutex<State>, Condvar)) {
    let (mutex, wake) = shared;
    loop {
        let mut state = locked(mutex);
        let job = loop {
            if let Some(job) = state.jobs.pop_front() {
                break job;
            }
            if state.ended {
                return;
            }
            state.idle += 1;
            state = wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        };
        drop(state);
        job();
    }
}
