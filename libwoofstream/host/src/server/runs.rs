//! How many handlers run on demand, in all and for each user.

use super::Limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use woof_core::error::{Code, Error, Result};

/// The runs of a server, by who asked for them.
#[derive(Debug, Default)]
pub(super) struct Runs {
    of_users: Mutex<HashMap<String, usize>>,
}

/// The place of a run.
#[derive(Debug)]
pub(super) struct Place {
    runs: Arc<Runs>,
    user: String,
}

impl Runs {
    /// Takes a place for a run that `user` asks for.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn take(self: &Arc<Runs>, user: String, limits: &Limits) -> Result<Place> {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (of_users.values().sum::<usize>(), of_users.get(&user).copied().unwrap_or(0));
        let refused = if all >= limits.runs {
            format!("{all} handlers run on demand, the limit of this server (--max-runs)")
        } else if own >= limits.runs_of_user {
            format!("{own} handlers run on demand for {user}, the limit of this server (--max-runs-of-user)")
        } else {
            of_users.insert(user.clone(), own + 1);
            return Ok(Place { runs: Arc::clone(self), user });
        };
        Err(Error::new(Code::TooLarge, "", refused))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of_users = self.runs.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of_users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                of_users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_each_user_and_for_all() {
        let runs = Arc::new(Runs::default());
        let limits = Limits { runs: 3, runs_of_user: 2, ..Limits::default() };
        let take = |user: &str| runs.take(user.to_owned(), &limits).map_err(|err| err.to_string());
        let first = take("user alice").unwrap();
        let second = take("user alice").unwrap();
        let text = "2 handlers run on demand for user alice, the limit of this server (--max-runs-of-user)";
        assert_eq!(take("user alice").unwrap_err(), text);
        let third = take("user bob").unwrap();
        assert_eq!(
            take("user carol").unwrap_err(),
            "3 handlers run on demand, the limit of this server (--max-runs)"
        );
        drop(first);
        let again = take("user alice").unwrap();
        drop((second, third, again));
        assert!(runs.of_users.lock().unwrap().is_empty());
    }
}
