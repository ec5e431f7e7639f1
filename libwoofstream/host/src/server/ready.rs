//! Waking exchanges when descriptors can be read or written: one thread for all of them, asleep in `epoll_wait`, started with the first.
//!
//! A wake-up is armed for one time, as those of [`super::watch`] are, so that who does not ask is not woken.

use super::exchange::Wake;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// The stack of the thread, in bytes.
const STACK: usize = 128 << 10;

/// So many descriptors are looked at after one wait.
const EVENTS: usize = 64;

/// The number of what ends the thread.
const STOP: u64 = 0;

/// Descriptors that are waited for.
#[derive(Debug, Default)]
pub(super) struct Ready {
    shared: Mutex<Option<Arc<Shared>>>,
}

struct Shared {
    epoll: OwnedFd,
    /// Written to end the thread.
    stop: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Who is woken, by the number of the descriptor here.
    woken: HashMap<u64, (Arc<dyn Wake>, u32)>,
    last: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// A descriptor that can be waited for.
pub(super) struct Watched {
    file: File,
    /// Its number here.
    own: u64,
    shared: Arc<Shared>,
}

impl Ready {
    /// Takes a descriptor in; an exchange is woken when it is ready and that was asked for.
    pub(super) fn watch(&self, fd: OwnedFd, wake: &Arc<dyn Wake>, exchange: u32) -> io::Result<Watched> {
        let shared = self.shared()?;
        let own = {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.last += 1;
            let own = state.last;
            state.woken.insert(own, (Arc::clone(wake), exchange));
            own
        };
        // Forgotten again as it is dropped, if the kernel does not take it.
        let watched = Watched { file: File::from(fd), own, shared };
        epoll::add(&watched.shared.epoll, &watched.file, EventData::new_u64(own), EventFlags::ONESHOT)?;
        Ok(watched)
    }

    fn shared(&self) -> io::Result<Arc<Shared>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = &*shared {
            return Ok(Arc::clone(shared));
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &stop, EventData::new_u64(STOP), EventFlags::IN)?;
        let new = Arc::new(Shared { epoll, stop, state: Mutex::default() });
        let own = Arc::clone(&new);
        std::thread::Builder::new()
            .name("woof-ready".to_owned())
            .stack_size(STACK)
            .spawn(move || own.run())?;
        Ok(Arc::clone(shared.insert(new)))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner) {
            // Only a counter that is full would refuse, and that wakes as well.
            let _ = rustix::io::write(&shared.stop, &1u64.to_ne_bytes());
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(err) => {
                    tracing::error!(error = %err, "what handlers on demand write is not noticed any more");
                    return;
                }
            }
            for event in &events {
                let number = event.data.u64();
                if number == STOP {
                    return;
                }
                let woken = {
                    let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.woken.get(&number).cloned()
                };
                if let Some((wake, exchange)) = woken {
                    wake.wake(exchange);
                }
            }
        }
    }
}

impl Watched {
    /// What is watched.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Wakes the exchange once when it can be read, or has come to its end.
    pub(super) fn arm_read(&self) -> io::Result<()> {
        self.arm(EventFlags::IN)
    }

    /// Wakes the exchange once when it can be written to, or nobody reads it.
    pub(super) fn arm_write(&self) -> io::Result<()> {
        self.arm(EventFlags::OUT)
    }

    fn arm(&self, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(self.own);
        Ok(epoll::modify(&self.shared.epoll, self.file.as_fd(), data, flags | EventFlags::ONESHOT)?)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Before it is closed: a copy of it that is open elsewhere would keep it in the set.
        let _ = epoll::delete(&self.shared.epoll, &self.file);
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).woken.remove(&self.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::sync::mpsc::{Sender, channel};

    struct Told(Mutex<Sender<u32>>);

    impl Wake for Told {
        fn wake(&self, exchange: u32) {
            self.0.lock().unwrap().send(exchange).unwrap();
        }
    }

    #[test]
    fn a_pipe_wakes_its_exchange_once_each_time_it_is_asked_for() {
        let (sender, told) = channel();
        let wake: Arc<dyn Wake> = Arc::new(Told(Mutex::new(sender)));
        let ready = Ready::default();
        let (out, to) = rustix::pipe::pipe().unwrap();
        let mut to = File::from(to);
        let watched = ready.watch(out, &wake, 7).unwrap();
        to.write_all(b"one").unwrap();
        watched.arm_read().unwrap();
        assert_eq!(told.recv().unwrap(), 7);
        let mut buffer = [0; 3];
        watched.file().read_exact(&mut buffer).unwrap();
        to.write_all(b"two").unwrap();
        // It was not asked for again, so what comes next is of the other.
        let (_out, to) = rustix::pipe::pipe().unwrap();
        let other = ready.watch(to, &wake, 8).unwrap();
        other.arm_write().unwrap();
        assert_eq!(told.recv().unwrap(), 8);
        watched.arm_read().unwrap();
        assert_eq!(told.recv().unwrap(), 7);
        drop((watched, other));
        assert!(ready.shared().unwrap().state.lock().unwrap().woken.is_empty());
        // The thread has let go of it.
        let shared = Arc::downgrade(&ready.shared().unwrap());
        drop((ready, wake));
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
