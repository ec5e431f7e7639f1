//! Rights that hold as long as something is open, and not only when it begins.
//!
//! What is open in a directory shares one look at the access list in force there, every moment, by a thread of all of them; none of it costs an element or a
//! follower anything. Where the list is another than before, what is open is woken and looks whether it still has its rights.
//!
//! Failure contract: a list that changed counts within two looks, and is not taken for what it is in the middle of being written: it has to be the same for
//! two looks. What cannot be read or understood gives rights to the owner alone. A list that cannot be looked at now, as descriptors have run out, is as it
//! was.

use super::exchange::Wake;
use super::place::Place;
use super::pool::{Kind, Lane, Pool};
use super::site::{Dir, Seen, seen};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use woof_core::access::{AccessList, Peer, Rights};
use woof_core::error::{Code, Error, Result};
use woof_core::name::Namespace;

/// How often the lists of what is open are looked at.
const LOOK: Duration = Duration::from_millis(700);

/// The stack of the thread that sees to it, in bytes.
const STACK: usize = 128 << 10;

/// The directories in which something is open.
#[derive(Debug, Default)]
pub(super) struct AllHeld(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    watched: HashMap<String, Weak<Watched>>,
    has_thread: bool,
    /// The server is gone.
    over: bool,
}

/// An exchange, and what wakes it.
type Woken = (Arc<dyn Wake>, u32);

/// A directory in which something is open, and the access list in force there.
pub(super) struct Watched {
    /// The served directory, and its path.
    root: Arc<OwnedFd>,
    path: PathBuf,
    /// The directory, as clients call it.
    dir: String,
    /// Grows with each change.
    version: AtomicU64,
    known: Mutex<Known>,
    /// Who is woken by a change.
    open: Mutex<HashMap<u64, Woken>>,
    last: AtomicU64,
    /// It is looked at just now.
    looking: AtomicBool,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// A namespace, and its list as a file.
type Found = (Dir, Seen);

struct Known {
    /// `None` where there was no directory.
    seen: Option<Found>,
    list: Option<Arc<AccessList>>,
    /// What the last look found, if that was another.
    found: Option<Option<Found>>,
}

/// The rights that something needs as long as it is open.
pub(super) struct Held {
    watched: Arc<Watched>,
    needed: Rights,
    name: String,
    version: u64,
    /// Its number among those that are woken.
    own: Option<u64>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AllHeld {
    /// Has the rights looked after of what is opened in what clients call `dir`, in the served directory `root` with this path.
    ///
    /// # Errors
    /// When it cannot be looked at, or the thread for that cannot be started.
    pub(super) fn at(
        &self,
        root: &Arc<OwnedFd>,
        path: &Path,
        dir: &str,
        pool: &Pool,
    ) -> Result<Arc<Watched>> {
        if let Some(watched) = locked(&self.0.state).watched.get(dir).and_then(Weak::upgrade) {
            return Ok(watched);
        }
        let watched = Arc::new(Watched::new(root, path, dir)?);
        let mut state = locked(&self.0.state);
        if let Some(other) = state.watched.get(dir).and_then(Weak::upgrade) {
            return Ok(other);
        }
        state.watched.insert(dir.to_owned(), Arc::downgrade(&watched));
        if state.has_thread {
            self.0.more.notify_one();
            return Ok(watched);
        }
        let (shared, pool) = (Arc::clone(&self.0), pool.clone());
        std::thread::Builder::new()
            .name("woof-rights".to_owned())
            .stack_size(STACK)
            .spawn(move || shared.run(&pool))
            .map_err(|err| Error::io("", "start a thread to look after rights", err))?;
        state.has_thread = true;
        Ok(watched)
    }
}

impl Drop for AllHeld {
    fn drop(&mut self) {
        locked(&self.0.state).over = true;
        self.0.more.notify_one();
    }
}

impl Shared {
    /// Looks at all of them again and again, and sleeps as long as there are none.
    fn run(&self, pool: &Pool) {
        let mut state = locked(&self.state);
        while !state.over {
            state.watched.retain(|_, watched| watched.strong_count() > 0);
            let watched: Vec<Arc<Watched>> = state.watched.values().filter_map(Weak::upgrade).collect();
            if watched.is_empty() {
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            for watched in watched {
                // The disk of one may hang, which must not hide the changes of others.
                if !watched.looking.swap(true, Ordering::AcqRel) {
                    let lane = Lane { woof: format!("{}/", watched.dir), kind: Kind::Rights };
                    pool.run(lane, move || {
                        watched.look();
                        watched.looking.store(false, Ordering::Release);
                    });
                }
            }
            state = locked(&self.state);
            if !state.over {
                let waited = self.more.wait_timeout(state, LOOK);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl Watched {
    fn new(root: &Arc<OwnedFd>, path: &Path, dir: &str) -> Result<Watched> {
        let watched = Watched {
            root: Arc::clone(root),
            path: path.to_owned(),
            dir: dir.to_owned(),
            version: AtomicU64::new(1),
            known: Mutex::new(Known { seen: None, list: None, found: None }),
            open: Mutex::default(),
            last: AtomicU64::new(0),
            looking: AtomicBool::new(false),
        };
        let (seen, list) = watched.load()?;
        *locked(&watched.known) = Known { seen, list, found: None };
        Ok(watched)
    }

    /// What is there now; nothing where there is no such directory.
    fn find(&self) -> Result<Option<(Namespace, Found)>> {
        let place = Place::walk(&self.root, &self.path, &self.dir, true);
        match place.as_namespace() {
            // The namespace that it is in, or is.
            Ok(_) => {
                let found = seen(place.namespace())?;
                Ok(Some((place.namespace().clone(), found)))
            }
            Err(err) if matches!(err.code(), Code::NotFound | Code::Denied | Code::Unsupported) => Ok(None),
            Err(err) if err.is_errno(Errno::NOTDIR) => Ok(None),
            Err(err) => Err(err),
        }
    }

    fn load(&self) -> Result<(Option<Found>, Option<Arc<AccessList>>)> {
        let Some((namespace, found)) = self.find()? else { return Ok((None, None)) };
        let list = AccessList::load_from(&namespace)?;
        if list.fault().is_some() {
            // It may be that nothing can be opened just now.
            File::open("/").map_err(|err| Error::io("", "open", err))?;
        }
        Ok((Some(found), Some(Arc::new(list))))
    }

    /// Looks whether the list is another, and wakes what is open if it is.
    fn look(&self) {
        let Ok(found) = self.find() else { return };
        let found = found.map(|(_, found)| found);
        {
            let mut known = locked(&self.known);
            if known.seen == found {
                known.found = None;
                return;
            }
            if known.found.as_ref() != Some(&found) {
                // It may be written just now.
                known.found = Some(found);
                return;
            }
        }
        let Ok((seen, list)) = self.load() else { return };
        let is_same = {
            let mut known = locked(&self.known);
            let is_same = known.list == list && known.seen.is_some() == seen.is_some();
            *known = Known { seen, list, found: None };
            is_same
        };
        if is_same {
            return;
        }
        self.version.fetch_add(1, Ordering::AcqRel);
        let open: Vec<_> =
            locked(&self.open).values().map(|(wake, exchange)| (Arc::clone(wake), *exchange)).collect();
        for (wake, exchange) in open {
            wake.wake(exchange);
        }
    }
}

impl Held {
    /// The rights that something called `name` needs, which are looked at now: when the list is another than now, they are looked at again.
    pub(super) fn new(watched: Arc<Watched>, needed: Rights, name: &str) -> Held {
        let version = watched.version.load(Ordering::Acquire);
        Held { watched, needed, name: name.to_owned(), version, own: None }
    }

    /// The same for a further read.
    pub(super) fn again(&self) -> Held {
        let (watched, name) = (Arc::clone(&self.watched), self.name.clone());
        Held { watched, needed: self.needed, name, version: self.version, own: None }
    }

    /// Whether the list is another since the last [`Held::check`].
    #[inline]
    pub(super) fn is_stale(&self) -> bool {
        self.version != self.watched.version.load(Ordering::Acquire)
    }

    /// Looks whether the peer still has the rights, if the list is another.
    ///
    /// # Errors
    /// [`Code::Denied`], with the right that is missing; [`Code::Removed`] where the namespace is gone.
    pub(super) fn check(&mut self, peer: &Peer) -> Result<()> {
        if !self.is_stale() {
            return Ok(());
        }
        self.version = self.watched.version.load(Ordering::Acquire);
        let list = locked(&self.watched.known).list.clone();
        let Some(list) = list else {
            return Err(Error::new(Code::Removed, &*self.name, "the namespace was removed meanwhile"));
        };
        self.needed.iter().try_for_each(|right| list.check(peer, right)).map_err(|err| err.of(&*self.name))
    }

    /// Has `wake` called for an exchange when the list is another.
    pub(super) fn wake(&mut self, wake: &Arc<dyn Wake>, exchange: u32) {
        if self.own.is_some() {
            return;
        }
        let own = self.watched.last.fetch_add(1, Ordering::Relaxed);
        locked(&self.watched.open).insert(own, (Arc::clone(wake), exchange));
        self.own = Some(own);
        if self.is_stale() {
            // It changed just before.
            wake.wake(exchange);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(own) = self.own {
            locked(&self.watched.open).remove(&own);
        }
    }
}
