//! Who puts under which writer id, so that a connection that was given up by its client appends nothing after the next one has
//! looked what is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The writers with a put in progress.
#[derive(Debug, Default)]
pub(super) struct Writers {
    active: Mutex<HashMap<u64, Arc<Mutex<u64>>>>,
}

/// The right to append under a writer id, until another connection takes it.
#[derive(Debug)]
pub(super) struct Turn {
    writer: u64,
    /// Which turn it is now.
    current: Arc<Mutex<u64>>,
    /// Which turn this is.
    own: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writers {
    /// Takes the turn for `writer`. Returns after an append in progress of who had it.
    pub(super) fn take(&self, writer: u64) -> Turn {
        let current = Arc::clone(locked(&self.active).entry(writer).or_default());
        let own = {
            let mut turn = locked(&current);
            *turn += 1;
            *turn
        };
        Turn { writer, current, own }
    }

    /// Gives a turn up.
    pub(super) fn give_up(&self, turn: &Turn) {
        let mut active = locked(&self.active);
        // Ours, the map's, and nobody else's.
        if Arc::strong_count(&turn.current) <= 2 {
            active.remove(&turn.writer);
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
        let first = writers.take(7);
        assert_eq!(first.with(|| 1), Some(1));
        let second = writers.take(7);
        assert_eq!(first.with(|| 1), None);
        assert_eq!(second.with(|| 2), Some(2));
        writers.give_up(&first);
        drop(first);
        assert_eq!(writers.take(7).with(|| 3), Some(3));
        assert_eq!(second.with(|| 2), None);
        writers.give_up(&second);
        drop(second);
        let last = writers.take(7);
        writers.give_up(&last);
        assert!(locked(&writers.active).is_empty());
    }
}
