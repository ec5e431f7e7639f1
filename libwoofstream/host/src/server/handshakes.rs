//! Handshakes under way: those who are not known yet. They have places of their own, so that they take none from who is known.
//!
//! Where all places are taken, the oldest of the address with the most gives way to a new one: who opens many loses their own.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// So many may be on their way out.
const LEAVING: usize = 8;

/// Where somebody comes from, as far as it tells one from another: an address, of IPv6 the network of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin(IpAddr);

impl Origin {
    pub(super) fn of(address: IpAddr) -> Origin {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                Origin(IpAddr::V6(network.into()))
            }
            address => Origin(address),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, if self.0.is_ipv6() { "/64" } else { "" })
    }
}

/// The handshakes of a server.
#[derive(Clone, Default)]
pub(super) struct Handshakes(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last: u64,
    count: usize,
    /// Those that had to give way and have not yet gone, too.
    live: usize,
    /// The oldest first.
    of: HashMap<Origin, VecDeque<(u64, Arc<Notify>)>>,
}

/// The place of a handshake.
pub(super) struct Place {
    all: Handshakes,
    own: u64,
    origin: Origin,
    gives_way: Arc<Notify>,
}

impl Handshakes {
    /// Takes a place, of `max`. Another one may have to give way for it.
    pub(super) fn begin(&self, from: IpAddr, max: usize) -> Place {
        let origin = Origin::of(from);
        let mut state = self.lock();
        if state.count >= max {
            state.give_way();
        }
        state.last += 1;
        state.count += 1;
        state.live += 1;
        let (own, gives_way) = (state.last, Arc::new(Notify::new()));
        state.of.entry(origin).or_default().push_back((own, Arc::clone(&gives_way)));
        Place { all: self.clone(), own, origin, gives_way }
    }

    /// How many there are.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.lock().count
    }

    /// Whether many had to give way and have not yet gone, so that no more are to be taken for a moment.
    pub(super) fn is_crowded(&self, max: usize) -> bool {
        self.lock().live >= max.saturating_add(LEAVING)
    }

    /// Has one give way, for what needs its descriptor more; false when there is none.
    pub(super) fn give_way(&self) -> bool {
        self.lock().give_way()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give_way(&mut self) -> bool {
        let oldest = |all: &VecDeque<(u64, Arc<Notify>)>| all.front().map_or(0, |(own, _)| *own);
        let most = self.of.iter().max_by_key(|(_, all)| (all.len(), std::cmp::Reverse(oldest(all))));
        let Some(origin) = most.map(|(origin, _)| *origin) else { return false };
        let Some(all) = self.of.get_mut(&origin) else { return false };
        let Some((_, gives_way)) = all.pop_front() else { return false };
        if all.is_empty() {
            self.of.remove(&origin);
        }
        self.count -= 1;
        gives_way.notify_one();
        true
    }
}

impl Place {
    /// Returns when it has to give way.
    pub(super) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }

    /// Where it comes from.
    #[cfg(test)]
    fn origin(&self) -> Origin {
        self.origin
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.all.lock();
        state.live -= 1;
        let Some(all) = state.of.get_mut(&self.origin) else { return };
        let before = all.len();
        all.retain(|(own, _)| *own != self.own);
        let taken = before - all.len();
        if all.is_empty() {
            state.of.remove(&self.origin);
        }
        // One that had to give way is not counted any more.
        state.count -= taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_told(place: &Place) -> bool {
        use std::future::Future as _;
        let mut told = std::pin::pin!(place.gives_way());
        told.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_of_who_has_the_most_gives_way() {
        let handshakes = Handshakes::default();
        let from = |text: &str| text.parse::<IpAddr>().unwrap();
        let honest = handshakes.begin(from("10.0.0.1"), 4);
        let many: Vec<_> = (1..4).map(|n| handshakes.begin(from(&format!("fd00::{n}")), 4)).collect();
        assert_eq!((handshakes.count(), many[0].origin().to_string().as_str()), (4, "fd00::/64"));
        let next = handshakes.begin(from("::ffff:10.0.0.1"), 4);
        assert_eq!((handshakes.count(), next.origin().to_string().as_str()), (4, "10.0.0.1"));
        assert!(is_told(&many[0]) && !is_told(&many[1]) && !is_told(&honest) && !is_told(&next));
        // Now there are as many of one as of the other: the oldest of all gives way.
        let last = handshakes.begin(from("10.0.0.9"), 4);
        assert!(is_told(&honest) && !is_told(&many[1]) && !is_told(&last));
        drop((honest, many, next));
        assert_eq!(handshakes.count(), 1);
        assert!(handshakes.give_way() && is_told(&last));
        assert!(!handshakes.give_way());
        drop(last);
        assert_eq!(handshakes.count(), 0);
    }
}
