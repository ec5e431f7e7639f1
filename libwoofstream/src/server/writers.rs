//! Who puts under which writer id, so that a connection that was given up by its client appends nothing after the next one has
//! looked what is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A woof, by its file, and a writer id. The same writer may put into several woofs at once.
type Key = ((u64, u64), u64);

/// The writers with a put in progress.
#[derive(Debug, Default)]
pub(super) struct Writers {
    active: Mutex<HashMap<Key, Arc<Mutex<u64>>>>,
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
    /// Takes the turn of a writer. Returns after an append in progress of who had it.
    pub(super) fn take(&self, key: Key) -> Turn {
        let current = Arc::clone(locked(&self.active).entry(key).or_default());
        let own = {
            let mut turn = locked(&current);
            *turn += 1;
            *turn
        };
        Turn { key, current, own }
    }

    /// Gives a turn up.
    pub(super) fn give_up(&self, turn: &Turn) {
        let mut active = locked(&self.active);
        // Ours, the map's, and nobody else's.
        if Arc::strong_count(&turn.current) <= 2 {
            active.remove(&turn.key);
        }
    }
}

impl Turn {
    /// Does `work` if it still is our turn; nobody takes it meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let turn = locked(&self.current);
        (*turn == self.own).then(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_took_a_turn_has_it() {
        let writers = Writers::default();
        let key = ((1, 2), 7);
        let elsewhere = writers.take(((1, 3), 7));
        let first = writers.take(key);
        assert_eq!(first.with(|| 1), Some(1));
        let second = writers.take(key);
        assert_eq!(first.with(|| 1), None);
        assert_eq!(second.with(|| 2), Some(2));
        writers.give_up(&first);
        drop(first);
        assert_eq!(writers.take(key).with(|| 3), Some(3));
        assert_eq!(second.with(|| 2), None);
        assert_eq!(elsewhere.with(|| 4), Some(4));
        writers.give_up(&elsewhere);
        drop(elsewhere);
        writers.give_up(&second);
        drop(second);
        let last = writers.take(key);
        writers.give_up(&last);
        assert!(locked(&writers.active).is_empty());
    }
}
