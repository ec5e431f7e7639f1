//! Waking exchanges when elements arrive: for each woof that is followed there is one thread, asleep in the kernel, however many
//! follow it.
//!
//! A follow that has seen all there is arms a wake-up, which is used up when it comes. While none is armed the thread does not
//! even ask to be woken, so that a burst of appends costs their writers nothing.

use super::exchange::Wake;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use woof_core::error::{Code, Error, Result};
use woof_log::{Waker, Woken, Woof};

/// The stack of a thread that sleeps, in bytes.
const STACK: usize = 128 << 10;

/// The number of the first follower of a watch.
const FIRST: u64 = 1;

/// Watches by the file of their woof.
type ByFile = HashMap<(u64, u64), Arc<Watch>>;

/// The woofs that are followed.
#[derive(Debug)]
pub(super) struct Watches {
    watches: Arc<Mutex<ByFile>>,
    max: usize,
}

struct Watch {
    state: Mutex<State>,
    armed: Condvar,
    waker: Waker,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

struct State {
    /// Who wants to be woken once there are elements from a seqno on.
    armed: HashMap<u64, Armed>,
    followers: usize,
    /// The number of the last follower.
    last: u64,
    /// The woof came to its end.
    ended: bool,
}

struct Armed {
    seqno: u64,
    /// When it is woken although nothing came, in nanoseconds since 1970.
    deadline_ns: u64,
    wake: Arc<dyn Wake>,
    exchange: u32,
}

/// A follower's part in the watch of a woof.
#[derive(Debug)]
pub(super) struct Follower {
    watch: Arc<Watch>,
    /// Its number in the watch.
    own: u64,
    key: (u64, u64),
    watches: Arc<Mutex<ByFile>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watches {
    pub(super) fn new(max: usize) -> Watches {
        Watches { watches: Arc::default(), max }
    }

    /// How many woofs are followed.
    pub(super) fn count(&self) -> usize {
        locked(&self.watches).len()
    }

    /// Has `woof` watched as long as the answer lives.
    pub(super) fn follow(&self, woof: &Woof) -> Result<Follower> {
        let key = woof.identity()?;
        let mut watches = locked(&self.watches);
        let (watch, own) = match watches.get(&key) {
            Some(watch) => {
                let mut state = locked(&watch.state);
                state.followers += 1;
                state.last += 1;
                (Arc::clone(watch), state.last)
            }
            None if watches.len() >= self.max => {
                let text = format!(
                    "{} woofs are followed already, the limit of this server (--max-followed)",
                    self.max
                );
                return Err(Error::new(Code::TooLarge, "", text));
            }
            None => {
                let watch = start(woof)?;
                watches.insert(key, Arc::clone(&watch));
                (watch, FIRST)
            }
        };
        Ok(Follower { watch, own, key, watches: Arc::clone(&self.watches) })
    }
}

impl Follower {
    /// Has `wake` called for `exchange` once there is an element `seqno`, the woof came to its end, or it is `deadline_ns`.
    pub(super) fn arm(
        &self,
        woof: &Woof,
        (seqno, deadline_ns): (u64, u64),
        wake: &Arc<dyn Wake>,
        exchange: u32,
    ) {
        let mut state = locked(&self.watch.state);
        if state.ended || woof.next_seqno() > seqno || woof.ended().is_some() {
            drop(state);
            return wake.wake(exchange);
        }
        state.armed.insert(self.own, Armed { seqno, deadline_ns, wake: Arc::clone(wake), exchange });
        if state.armed.len() == 1 {
            self.watch.armed.notify_one();
        }
        // The thread may be asleep for the others.
        self.watch.waker.bring_forward(deadline_ns);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut watches = locked(&self.watches);
        let mut state = locked(&self.watch.state);
        state.followers -= 1;
        // Else those who come and go would be kept until the next element.
        state.armed.remove(&self.own);
        if state.followers == 0 {
            watches.remove(&self.key);
            self.watch.waker.stop();
            self.watch.armed.notify_one();
        }
    }
}

/// Starts the thread that watches a woof.
fn start(woof: &Woof) -> Result<Arc<Watch>> {
    let woof = woof.clone();
    let waker = woof.cursor(woof.next_seqno()).waker();
    let watch = Arc::new(Watch {
        state: Mutex::new(State { armed: HashMap::new(), followers: 1, last: FIRST, ended: false }),
        armed: Condvar::new(),
        waker,
    });
    let own = Arc::clone(&watch);
    std::thread::Builder::new()
        .name("woof-watch".to_owned())
        .stack_size(STACK)
        .spawn(move || run(&own, &woof))
        .map_err(|err| Error::io("", "start a thread to follow it", err))?;
    Ok(watch)
}

fn run(watch: &Watch, woof: &Woof) {
    loop {
        let mut state = locked(&watch.state);
        while state.armed.is_empty() && state.followers > 0 {
            state = watch.armed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.armed.is_empty() {
            return;
        }
        // What is appended after this load ends the wait below.
        let (next, now) = (woof.next_seqno(), woof_core::sys::now_ns());
        let is_due = |armed: &Armed| armed.seqno < next || armed.deadline_ns <= now;
        let (due, rest) = std::mem::take(&mut state.armed).into_iter().partition(|(_, armed)| is_due(armed));
        state.armed = rest;
        let deadline = state.armed.values().map(|armed| armed.deadline_ns).min();
        watch.waker.set_deadline(deadline.unwrap_or(u64::MAX));
        let asleep = !state.armed.is_empty();
        drop(state);
        wake_all(due);
        if !asleep {
            continue;
        }
        match woof.cursor(next).wait(&watch.waker) {
            Woken::More | Woken::Late => {}
            Woken::Stopped => return,
            Woken::Removed | Woken::Reset => {
                let mut state = locked(&watch.state);
                state.ended = true;
                let due = std::mem::take(&mut state.armed);
                drop(state);
                return wake_all(due);
            }
        }
    }
}

fn wake_all(due: HashMap<u64, Armed>) {
    for armed in due.into_values() {
        armed.wake.wake(armed.exchange);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use woof_log::{self as log, Options};

    struct Told(Mutex<Sender<u32>>);

    impl Wake for Told {
        fn wake(&self, exchange: u32) {
            let _ = locked(&self.0).send(exchange);
        }
    }

    #[test]
    fn followers_that_are_gone_are_forgotten_and_the_others_are_woken() {
        let dir = woof_kit::tempdir().unwrap();
        let path = dir.path().join("temp");
        log::create(&path, &Options::default()).unwrap();
        let woof = log::open(&path).unwrap();
        let (send, told) = channel();
        let wake: Arc<dyn Wake> = Arc::new(Told(Mutex::new(send)));
        let watches = Watches::new(1);
        let stays = watches.follow(&woof).unwrap();
        stays.arm(&woof, (1, u64::MAX), &wake, 1);
        for exchange in 2..100 {
            watches.follow(&woof).unwrap().arm(&woof, (1, u64::MAX), &wake, exchange);
        }
        assert_eq!(locked(&stays.watch.state).armed.len(), 1);
        woof.appender().unwrap().append(b"one").unwrap();
        assert_eq!(told.recv(), Ok(1));
        // One that has a time is woken at that time, also when the thread sleeps for another.
        stays.arm(&woof, (2, u64::MAX), &wake, 1);
        let until = watches.follow(&woof).unwrap();
        until.arm(&woof, (2, woof_core::sys::now_ns() + 1_000_000), &wake, 2);
        assert_eq!(told.recv(), Ok(2));
        assert_eq!(locked(&stays.watch.state).armed.len(), 1);
        drop(until);
        drop(stays);
        assert_eq!(watches.count(), 0);
        assert!(told.try_recv().is_err());
    }
}
