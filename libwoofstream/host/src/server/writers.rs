//! Who puts under which writer id, so that a connection that was given up by its client appends nothing after the next one has
//! looked what is there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// So many puts that are over are remembered.
const REMEMBERED: usize = 16 << 10;

/// A woof, by its file, and a writer id. The same writer may put into several woofs at once.
type Key = ((u64, u64), u64);

/// The writers with a put in progress, and those of the latest that are over: what a connection that was given up had sent
/// may come late, and would be taken for a new put.
#[derive(Debug, Default)]
pub(super) struct Writers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    turns: HashMap<Key, Arc<Mutex<u64>>>,
    /// Whose turns were given up, the latest last.
    over: VecDeque<Key>,
}

/// What became of work that needs a turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turned<T> {
    /// It was done.
    Ours(T),
    /// The turn is another's by now.
    Lost,
    /// Somebody else is at it just now.
    Taken,
}

/// The right to append under a writer id, until another connection takes it.
#[derive(Debug)]
pub(super) struct Turn {
    key: Key,
    /// Which turn it is now.
    current: Arc<Mutex<u64>>,
    /// Which turn this is.
    own: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writers {
    /// Takes the turn of a writer, whose put is `new` if it has not been begun before. Returns after an append in progress of who
    /// had it. `None` when a put that should be new is known.
    pub(super) fn take(&self, key: Key, new: bool) -> Option<Turn> {
        let current = {
            let mut known = locked(&self.known);
            if new && known.turns.contains_key(&key) {
                return None;
            }
            Arc::clone(known.turns.entry(key).or_default())
        };
        let own = {
            let mut turn = locked(&current);
            *turn += 1;
            *turn
        };
        Some(Turn { key, current, own })
    }

    /// Gives a turn up.
    pub(super) fn give_up(&self, turn: &Turn) {
        let mut known = locked(&self.known);
        known.over.push_back(turn.key);
        if known.over.len() > REMEMBERED
            && let Some(key) = known.over.pop_front()
            // One that is in use again comes to the queue again.
            && known.turns.get(&key).is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            known.turns.remove(&key);
        }
    }
}

impl Turn {
    /// Does `work` if it still is our turn; nobody takes it meanwhile. Who may not `wait` is told when somebody else is at it.
    pub(super) fn with<T>(&self, wait: bool, work: impl FnOnce() -> T) -> Turned<T> {
        let turn = match self.current.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) if wait => locked(&self.current),
            Err(TryLockError::WouldBlock) => return Turned::Taken,
        };
        if *turn == self.own { Turned::Ours(work()) } else { Turned::Lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_took_a_turn_has_it() {
        let writers = Writers::default();
        let take = |key| writers.take(key, false).unwrap();
        let key = ((1, 2), 7);
        let elsewhere = take(((1, 3), 7));
        let first = take(key);
        assert_eq!(first.with(false, || 1), Turned::Ours(1));
        let second = take(key);
        assert_eq!(first.with(true, || 1), Turned::Lost);
        assert_eq!(second.with(false, || first.with(false, || 1)), Turned::Ours(Turned::Taken));
        writers.give_up(&first);
        drop(first);
        assert_eq!(take(key).with(false, || 3), Turned::Ours(3));
        assert_eq!(second.with(false, || 2), Turned::Lost);
        assert_eq!(elsewhere.with(true, || 4), Turned::Ours(4));
    }

    #[test]
    fn a_put_that_was_begun_is_not_begun_again_and_what_is_remembered_is_bounded() {
        let writers = Writers::default();
        let begin = |writer| {
            let turn = writers.take(((1, 2), writer), true);
            turn.is_some_and(|turn| {
                writers.give_up(&turn);
                true
            })
        };
        let still_used = writers.take(((1, 2), 1_000_000), true).unwrap();
        writers.give_up(&still_used);
        assert!(begin(0));
        assert!(!begin(0));
        for writer in 1..REMEMBERED as u64 + 2 {
            assert!(begin(writer));
        }
        assert!(begin(0), "it was so long ago");
        assert!(!begin(1_000_000));
        assert!(locked(&writers.known).turns.len() <= REMEMBERED + 1);
        assert!(locked(&writers.known).over.len() <= REMEMBERED);
    }
}
