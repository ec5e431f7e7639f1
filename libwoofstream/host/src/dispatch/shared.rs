//! A dispatcher that serves: it has a thread that waits for events, and each thread that waits for elements does what they ask for itself, if nobody
//! else is at it, so that a trigger is not handed from thread to thread before it runs.
//!
//! Failure contract: what cannot be done there is left to the dispatcher's thread, which is told.

use super::dispatcher::{Dispatcher, Ended, Event};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// A dispatcher that serves.
pub(super) struct Shared {
    /// None once it has ended.
    dispatcher: Mutex<Option<Dispatcher>>,
    /// Its own thread waits for it: others leave it alone, or it would have to wait for all of a long burst.
    is_wanted: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Dispatcher>> {
        self.is_wanted.store(true, Ordering::Release);
        let dispatcher = self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_wanted.store(false, Ordering::Release);
        dispatcher
    }

    /// The dispatcher, if nobody has it or waits for it.
    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Dispatcher>>> {
        if self.is_wanted.load(Ordering::Acquire) { None } else { self.dispatcher.try_lock().ok() }
    }
}

/// Where a dispatcher that serves is found; empty before it does.
pub(super) type Place = Arc<OnceLock<Weak<Shared>>>;

/// Has a dispatcher do what there is to do, until it is stopped.
pub(super) fn serve(mut dispatcher: Dispatcher) -> Ended {
    // This thread waits for events while others have the dispatcher.
    let events = std::mem::replace(&mut dispatcher.events.1, channel().1);
    let place = Arc::clone(&dispatcher.place);
    let shared =
        Arc::new(Shared { dispatcher: Mutex::new(Some(dispatcher)), is_wanted: AtomicBool::new(false) });
    // Nobody else sets it: a dispatcher serves once.
    let _ = place.set(Arc::downgrade(&shared));
    loop {
        let turn = shared.lock().as_mut().map(Dispatcher::turn);
        let Some(ControlFlow::Continue(time)) = turn else { break };
        let Some(first) = next(&events, time) else { continue };
        if let Some(dispatcher) = shared.lock().as_mut() {
            dispatcher.take(first);
            events.try_iter().for_each(|event| dispatcher.take(event));
        }
    }
    // Taken out, so that what it has locked is free when this returns.
    let dispatcher = shared.lock().take();
    dispatcher.map_or_else(Ended::default, Dispatcher::end)
}

/// The next event, or none within the time.
pub(super) fn next(events: &Receiver<Event>, time: Option<Duration>) -> Option<Event> {
    let next = match time {
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(time) => events.recv_timeout(time),
    };
    next.ok()
}

/// Called by the thread that waits for elements for the binding `id`.
pub(super) fn woken(id: u32, place: &Place, events: &Sender<Event>) {
    let shared = place.get().and_then(Weak::upgrade);
    let mut free = shared.as_ref().and_then(|shared| shared.try_lock());
    // Without a receiver the dispatcher has ended.
    let _ = match free.as_mut().and_then(|dispatcher| dispatcher.as_mut()) {
        None => events.send(Event::Woken(id)),
        Some(dispatcher) => {
            let due = dispatcher.due();
            dispatcher.take(Event::Woken(id));
            match dispatcher.step() {
                Ok(false) if dispatcher.due() == due => Ok(()),
                // There is more to do than is done at once, or at another time than that thread waits for; or it failed, which that thread
                // tells and tries again.
                Ok(_) | Err(_) => events.send(Event::More),
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::super::dispatcher::tests::dispatcher_that_tells;
    use super::*;
    use woof_log as log;

    const LONG: Duration = Duration::from_secs(60);

    /// A dispatcher that serves, without a thread of its own: what that would be told is in `events`.
    struct Served {
        dir: woof_kit::TempDir,
        shared: Arc<Shared>,
        events: Receiver<Event>,
        started: Receiver<u64>,
        /// Attempts run as long as this is not dropped.
        _end: Sender<()>,
    }

    impl Served {
        fn new() -> Served {
            let (dir, mut dispatcher, started, end) = dispatcher_that_tells();
            dispatcher.step().unwrap();
            assert_eq!(started.recv_timeout(LONG), Ok(1));
            let events = std::mem::replace(&mut dispatcher.events.1, channel().1);
            let place = Arc::clone(&dispatcher.place);
            let dispatcher = Mutex::new(Some(dispatcher));
            let shared = Arc::new(Shared { dispatcher, is_wanted: AtomicBool::new(false) });
            place.set(Arc::downgrade(&shared)).unwrap();
            Served { dir, shared, events, started, _end: end }
        }

        fn append(&self) {
            let woof = log::open(&self.dir.path().join("temp")).unwrap();
            woof.appender().unwrap().append(b"two").unwrap();
        }
    }

    #[test]
    fn the_thread_that_waits_for_an_element_has_it_run() {
        let served = Served::new();
        served.append();
        assert_eq!(served.started.recv_timeout(LONG), Ok(2));
        assert!(served.shared.lock().is_some());
        assert!(served.events.try_recv().is_err(), "nothing was left to another thread");
    }

    #[test]
    fn while_somebody_has_the_dispatcher_or_waits_for_it_elements_are_left_to_it() {
        let served = Served::new();
        let mut had = served.shared.lock();
        served.append();
        assert!(matches!(served.events.recv_timeout(LONG), Ok(Event::Woken(1))));
        had.as_mut().unwrap().take(Event::Woken(1));
        had.as_mut().unwrap().step().unwrap();
        assert_eq!(served.started.recv_timeout(LONG), Ok(2));
        served.shared.is_wanted.store(true, Ordering::Release);
        drop(had);
        served.append();
        assert!(matches!(served.events.recv_timeout(LONG), Ok(Event::Woken(1))));
        assert!(served.started.try_recv().is_err());
    }
}
