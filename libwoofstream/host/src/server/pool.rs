//! Threads for work that may block: on a lock that another program has, on a disk, on a directory.
//!
//! Work is for a woof. So much of one woof, and of one namespace, runs at once and no more; the rest waits in its turn. So a woof whose
//! writer is stopped, or whose disk hangs, keeps its own work waiting and none of others. Threads are started as they are needed, and end after
//! a while without work.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So much runs at once of one woof and kind.
const OF_WOOF: usize = 2;
/// And of one namespace and kind.
const OF_NAMESPACE: usize = 16;
/// And of one kind in all, but for what computes.
const OF_KIND: usize = 256;
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

/// What kind of work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// It looks, and changes nothing.
    Look,
    /// It appends, makes or changes something.
    Change,
    /// It looks and computes: no more of it at once than there are cores, so that the others find one.
    Compute,
    /// It runs programs.
    Run,
    /// It looks whether rights still hold.
    Rights,
}

const KINDS: usize = 5;

/// What work is for: its woof by the name that the client gave, and what kind it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub(super) woof: String,
    pub(super) kind: Kind,
}

impl Lane {
    fn namespace(&self) -> (String, Kind) {
        let namespace = self.woof.rsplit_once('/').map_or("", |(namespace, _)| namespace);
        (namespace.to_owned(), self.kind)
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads for work that may block.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    /// Work that waits.
    waiting: HashMap<Lane, VecDeque<Job>>,
    /// Work that may run, and is for the next thread.
    ready: VecDeque<(Lane, Job)>,
    /// The lanes with work that waits, each once, the one whose turn it is first.
    turns: VecDeque<Lane>,
    of_woof: HashMap<Lane, usize>,
    of_namespace: HashMap<(String, Kind), usize>,
    of_kind: [usize; KINDS],
    threads: usize,
    /// Threads that wait, and were promised no work.
    spare: usize,
    /// Threads that wait and are woken for work.
    promised: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// Has work done by a thread, in its turn.
    pub(super) fn run(&self, lane: Lane, job: impl FnOnce() + Send + 'static) {
        let mut state = self.0.lock();
        match state.waiting.get_mut(&lane) {
            Some(waiting) => waiting.push_back(Box::new(job)),
            None => {
                state.turns.push_back(lane.clone());
                state.waiting.insert(lane.clone(), VecDeque::from([Box::new(job) as Job]));
            }
        }
        // What may run is counted from here on, so that there are no more threads than that.
        let Some(next) = state.next() else { return };
        state.ready.push_back(next);
        if state.spare > 0 {
            state.spare -= 1;
            state.promised += 1;
            drop(state);
            return self.0.more.notify_one();
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.0);
        let started = std::thread::Builder::new().name("woof-work".to_owned()).spawn(move || shared.work());
        if let Err(err) = started {
            let mut state = self.0.lock();
            state.threads -= 1;
            if state.threads > 0 {
                // Those that are there come to it.
                return;
            }
            drop(state);
            tracing::error!(error = %err, "no thread can be started: work that may block is done at once");
            self.0.work_once();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what there is to do, one after the other, and waits for more.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some((lane, job)) = state.ready.pop_front() {
                drop(state);
                state = self.do_one(&lane, job);
                continue;
            }
            state.spare += 1;
            loop {
                let (woken, waited) =
                    self.more.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                if state.promised > 0 {
                    state.promised -= 1;
                    break;
                }
                if waited.timed_out() {
                    state.spare -= 1;
                    state.threads -= 1;
                    return;
                }
            }
        }
    }

    /// Does what is ready, without a thread for it.
    fn work_once(&self) {
        let mut state = self.lock();
        while let Some((lane, job)) = state.ready.pop_front() {
            drop(state);
            state = self.do_one(&lane, job);
        }
    }

    fn do_one(&self, lane: &Lane, job: Job) -> MutexGuard<'_, State> {
        // A thread that a mistake of ours ends would be missing, with the place that it took.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!(woof = lane.woof, "work for this woof ended by a mistake of the server");
        }
        let mut state = self.lock();
        state.finished(lane);
        if let Some(next) = state.next() {
            // Who is here does it, or who comes to it before.
            state.ready.push_back(next);
        }
        state
    }
}

impl State {
    fn may_run(&self, lane: &Lane) -> bool {
        let of_kind = if lane.kind == Kind::Compute { cores() } else { OF_KIND };
        self.of_kind[lane.kind as usize] < of_kind
            && self.of_woof.get(lane).is_none_or(|count| *count < OF_WOOF)
            && self.of_namespace.get(&lane.namespace()).is_none_or(|count| *count < OF_NAMESPACE)
    }

    /// Takes the next work that may run.
    fn next(&mut self) -> Option<(Lane, Job)> {
        let at = self.turns.iter().position(|lane| self.may_run(lane))?;
        let lane = self.turns.remove(at)?;
        let waiting = self.waiting.get_mut(&lane)?;
        let job = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&lane);
        } else {
            self.turns.push_back(lane.clone());
        }
        *self.of_woof.entry(lane.clone()).or_default() += 1;
        *self.of_namespace.entry(lane.namespace()).or_default() += 1;
        self.of_kind[lane.kind as usize] += 1;
        Some((lane, job))
    }

    fn finished(&mut self, lane: &Lane) {
        self.of_kind[lane.kind as usize] -= 1;
        take_one(&mut self.of_woof, lane);
        take_one(&mut self.of_namespace, &lane.namespace());
    }
}

fn take_one<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// How many threads compute at once.
fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn lane(woof: &str, kind: Kind) -> Lane {
        Lane { woof: woof.to_owned(), kind }
    }

    /// Work that goes on until the answer is dropped, and says that it began.
    fn stuck(pool: &Pool, lane: Lane) -> (std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<()>) {
        let (begun, has_begun) = channel();
        let (end, ended) = channel::<()>();
        pool.run(lane, move || {
            let _ = begun.send(());
            let _ = ended.recv();
        });
        (has_begun, end)
    }

    #[test]
    fn what_is_stuck_of_one_woof_and_one_namespace_holds_up_no_other() {
        let pool = Pool::default();
        let all: Vec<_> = (0..50)
            .flat_map(|n| {
                let own = format!("farm/{n}");
                [lane("hub/stuck", Kind::Change), lane(&own, Kind::Change)]
            })
            .map(|lane| stuck(&pool, lane))
            .collect();
        for name in ["hub/other", "edge/temp", "temp"] {
            let (begun, _end) = stuck(&pool, lane(name, Kind::Change));
            begun.recv().unwrap();
        }
        // What only looks does not wait for what changes.
        stuck(&pool, lane("hub/stuck", Kind::Look)).0.recv().unwrap();
        let threads = pool.0.lock().threads;
        assert!(threads <= OF_WOOF + OF_NAMESPACE + 4, "{threads}");
        // Those that waited have their turns.
        for (begun, end) in all {
            drop(end);
            begun.recv().unwrap();
        }
    }

    #[test]
    fn work_of_one_woof_begins_in_the_order_in_which_it_came_and_nothing_is_left_in_the_counts() {
        let pool = Pool::default();
        let (first, second) = (stuck(&pool, lane("a/b", Kind::Look)), stuck(&pool, lane("a/b", Kind::Look)));
        let (said, order) = channel();
        for n in 0..20 {
            let said = said.clone();
            pool.run(lane("a/b", Kind::Look), move || said.send(n).unwrap());
        }
        first.0.recv().unwrap();
        second.0.recv().unwrap();
        assert!(order.try_recv().is_err());
        drop(first);
        let came: Vec<i32> = (0..20).map(|_| order.recv().unwrap()).collect();
        assert_eq!(came, (0..20).collect::<Vec<_>>());
        drop(second);
        let state = loop {
            let state = pool.0.lock();
            if state.spare == state.threads {
                break state;
            }
            drop(state);
            std::thread::yield_now();
        };
        assert!(state.of_woof.is_empty() && state.of_namespace.is_empty() && state.waiting.is_empty());
        assert_eq!(state.of_kind, [0; KINDS]);
    }

    #[test]
    fn a_panic_costs_neither_a_thread_nor_a_place() {
        let pool = Pool::default();
        for _ in 0..3 {
            pool.run(lane("a/b", Kind::Run), || panic!("on purpose"));
        }
        stuck(&pool, lane("a/b", Kind::Run)).0.recv().unwrap();
    }
}
