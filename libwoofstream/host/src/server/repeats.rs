//! What is logged again and again, as somebody outside has it happen: the first in full, then how many more there were in a minute.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long the same is counted.
const WINDOW: Duration = Duration::from_secs(60);

/// So many different things are told apart in that time; further ones count as one.
const DIFFERENT: usize = 256;

/// What was logged lately.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<HashMap<Key, Counted>>);

/// What happened, whose doing it was, and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    what: &'static str,
    who: String,
    error: String,
}

#[derive(Debug)]
struct Counted {
    since: Instant,
    more: u64,
}

impl Repeats {
    /// Whether this is to be logged; else it is counted.
    pub(super) fn is_first(&self, what: &'static str, who: impl ToString, error: &str) -> bool {
        self.is_first_at(Instant::now(), what, who, error)
    }

    fn is_first_at(&self, now: Instant, what: &'static str, who: impl ToString, error: &str) -> bool {
        let mut known = self.lock();
        let key = Key { what, who: who.to_string(), error: error.to_owned() };
        let key = if known.len() < DIFFERENT || known.contains_key(&key) {
            key
        } else {
            Key { what, who: "others".to_owned(), error: "different ones".to_owned() }
        };
        let counted = known.entry(key).or_insert(Counted { since: now, more: u64::MAX });
        counted.more = counted.more.wrapping_add(1);
        counted.more == 0
    }

    /// Logs what was counted for a minute, or, at the `end`, all of it.
    pub(super) fn log(&self, end: bool) {
        for (key, more) in self.take(Instant::now(), end) {
            tracing::warn!(
                who = key.who,
                error = key.error,
                more,
                "{}, and more of it in the last minute",
                key.what
            );
        }
    }

    fn take(&self, now: Instant, end: bool) -> Vec<(Key, u64)> {
        let mut over = Vec::new();
        self.lock().retain(|key, counted| {
            let stays = !end && now.saturating_duration_since(counted.since) < WINDOW;
            if !stays && counted.more > 0 {
                over.push((key.clone(), counted.more));
            }
            stays
        });
        over
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_logged_once_with_a_count_and_what_is_different_is_bounded() {
        let repeats = Repeats::default();
        let now = Instant::now();
        let first = |who: &str, error: &str| repeats.is_first_at(now, "handshake failed", who, error);
        assert!(first("10.0.0.1", "no certificate"));
        assert!((0..1000).all(|_| !first("10.0.0.1", "no certificate")));
        assert!(first("10.0.0.1", "expired") && first("10.0.0.2", "no certificate"));
        assert!(repeats.take(now + WINDOW / 2, false).is_empty());
        let logged = (0..10_000).filter(|n| first(&n.to_string(), "no certificate")).count();
        assert!(logged <= DIFFERENT + 1, "{logged}");
        let over = repeats.take(now + WINDOW, false);
        let of = |who: &str| over.iter().find(|(key, _)| key.who == who).map(|(_, more)| *more);
        assert_eq!((of("10.0.0.1"), of("10.0.0.2")), (Some(1000), None));
        assert_eq!(of("others"), Some(10_000 - logged as u64));
        assert!(first("10.0.0.1", "no certificate"), "it is another minute");
        assert!(repeats.take(now, true).is_empty() && repeats.lock().is_empty());
    }
}
