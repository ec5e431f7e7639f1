//! Whether a file still has the name that it was opened by. Files are renamed, removed and replaced under programs that have them open,
//! and nothing in the file tells.
//!
//! A [`Named`] looks itself: at the file of the name, which is one system call. [`Names`] watches names with inotify, so who sleeps is told and
//! nothing is looked at on a timer: what is watched is each directory and link that the name leads through, and the file.
//!
//! Failure contract: a name of which nobody knows, as a directory must not be looked at, counts as it was. Without inotify (a file system
//! elsewhere, a user with too many watches) nobody is told, and looks still find out.

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// While a file is busy, its name is looked at so often at most.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The stack of a thread that sleeps, in bytes.
const STACK: usize = 128 << 10;

/// A name leads through so many links at most, as for the kernel.
const LINKS_MAX: usize = 40;

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It leads nowhere: the file was removed or moved, or a directory above it was.
    Gone,
    /// It leads to another file.
    Another,
}

/// What became of the name of a file, which is told by its device and its number.
fn look(path: &Path, file: (u64, u64)) -> Option<Became> {
    match rustix::fs::stat(path) {
        Ok(stat) if (stat.st_dev, stat.st_ino) == file => None,
        Ok(_) => Some(Became::Another),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Some(Became::Gone),
        Err(_) => None,
    }
}

/// The name of an open file.
#[derive(Clone, Debug)]
pub struct Named {
    path: PathBuf,
    file: (u64, u64),
    looked: Instant,
}

impl Named {
    /// The name of a file that was opened by it just now.
    pub fn new(path: &Path, file: (u64, u64)) -> Named {
        Named { path: path.to_owned(), file, looked: Instant::now() }
    }

    /// Looks what became of it.
    pub fn look(&mut self) -> Option<Became> {
        let became = look(&self.path, self.file);
        self.looked = Instant::now();
        became
    }

    /// Whether the last look is some time ago.
    pub fn is_due(&self) -> bool {
        self.looked.elapsed() >= LOOK_AGAIN
    }

    /// Looks what became of it if the last look is some time ago.
    pub fn look_again(&mut self) -> Option<Became> {
        if self.is_due() { self.look() } else { None }
    }
}

/// Names that are watched, by one thread for all of them.
#[derive(Debug)]
pub struct Names {
    shared: Arc<Shared>,
    /// Closed, it ends the thread.
    _stop: OwnedFd,
}

#[derive(Debug)]
struct Shared {
    inotify: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    names: HashMap<u64, Name>,
    last: u64,
    /// How many names have a watch.
    uses: HashMap<i32, usize>,
}

struct Name {
    path: PathBuf,
    file: (u64, u64),
    watches: Vec<i32>,
    became: Arc<AtomicU8>,
    tell: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Name").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A name that is watched as long as this lives.
#[derive(Debug)]
pub struct Watched {
    shared: Arc<Shared>,
    id: u64,
    became: Arc<AtomicU8>,
}

impl Watched {
    /// What became of it, once that is known.
    pub fn became(&self) -> Option<Became> {
        match self.became.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Became::Gone),
            _ => Some(Became::Another),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let name = {
            let mut state = self.shared.lock();
            let name = state.names.remove(&self.id);
            if let Some(name) = &name {
                self.shared.give_back(&mut state, &name.watches);
            }
            name
        };
        // Not under the lock: what it tells may end with it.
        drop(name);
    }
}

impl Names {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no inotify, as a user has 128 of them at most where nothing else is set.
    pub fn new() -> Result<Names> {
        let failed = |err: Errno| Error::io("", "watch names", err);
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).map_err(failed)?;
        let (stopped, stop) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed)?;
        let shared = Arc::new(Shared { inotify, state: Mutex::default() });
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("woof-names".to_owned())
            .stack_size(STACK)
            .spawn(move || own.run(&stopped))
            .map_err(|err| Error::io("", "start a thread to watch names", err))?;
        Ok(Names { shared, _stop: stop })
    }

    /// Has `tell` called, once, when the name of a file leads elsewhere; at once when it does already.
    pub fn watch(&self, path: &Path, file: (u64, u64), tell: impl Fn() + Send + 'static) -> Watched {
        let mut state = self.shared.lock();
        state.last += 1;
        let id = state.last;
        let became = Arc::<AtomicU8>::default();
        let mut name = Name {
            path: path.to_owned(),
            file,
            watches: Vec::new(),
            became: Arc::clone(&became),
            tell: Box::new(tell),
        };
        name.watches = self.shared.take(&mut state, &name.path);
        // Looked at behind the watches: what happened before them is seen, and what happens later is told.
        name.look();
        state.names.insert(id, name);
        Watched { shared: Arc::clone(&self.shared), id, became }
    }
}

impl Name {
    fn look(&self) {
        if self.became.load(Ordering::Acquire) != 0 {
            return;
        }
        let Some(became) = look(&self.path, self.file) else { return };
        self.became.store(if became == Became::Gone { 1 } else { 2 }, Ordering::Release);
        (self.tell)();
    }
}

/// What is noticed of each part of a name.
const NOTICED: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::DONT_FOLLOW);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches all that a path leads through. What must not be looked at is left out.
    fn take(&self, state: &mut State, path: &Path) -> Vec<i32> {
        let mut watches = Vec::new();
        for part in parts(path) {
            if let Ok(watch) = inotify::add_watch(&self.inotify, &part, NOTICED) {
                *state.uses.entry(watch).or_default() += 1;
                watches.push(watch);
            }
        }
        watches
    }

    /// Ends watches that no other name has.
    fn give_back(&self, state: &mut State, watches: &[i32]) {
        for watch in watches {
            let Some(uses) = state.uses.get_mut(watch) else { continue };
            *uses -= 1;
            if *uses == 0 {
                state.uses.remove(watch);
                // One that ended by itself, with its file, is not there any more.
                let _ = inotify::remove_watch(&self.inotify, *watch);
            }
        }
    }

    fn run(&self, stopped: &OwnedFd) {
        loop {
            let mut polled = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !polled[1].revents().is_empty() {
                return;
            }
            let Some(events) = self.events() else { return };
            let mut state = self.lock();
            let ids: Vec<u64> = state
                .names
                .iter()
                .filter(|(_, name)| {
                    events.is_empty() || name.watches.iter().any(|watch| events.contains(watch))
                })
                .map(|(id, _)| *id)
                .collect();
            for id in ids {
                self.look_again(&mut state, id);
            }
        }
    }

    /// The watches that something happened to; none for any. `None` where there is nothing to be read any more.
    fn events(&self) -> Option<Vec<i32>> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let (mut events, mut is_any) = (Vec::new(), false);
        loop {
            match reader.next() {
                Ok(event) => {
                    is_any |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    events.push(event.wd());
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(if is_any { Vec::new() } else { events })
    }

    /// Looks at a name of which a part was touched. What it leads through may be something else now.
    fn look_again(&self, state: &mut State, id: u64) {
        let Some(path) = state.names.get(&id).map(|name| name.path.clone()) else { return };
        let watches = self.take(state, &path);
        let Some(name) = state.names.get_mut(&id) else { return };
        let old = std::mem::replace(&mut name.watches, watches);
        name.look();
        self.give_back(state, &old);
    }
}

/// The directories and links that a path leads through, and what it leads to, as far as it leads anywhere. The kernel resolves each up to its
/// last part, so what is told is told by the path that was typed.
fn parts(path: &Path) -> Vec<PathBuf> {
    let mut left: VecDeque<PathBuf> = components(path);
    let (mut here, mut parts, mut links) = (PathBuf::new(), Vec::new(), 0);
    while let Some(next) = left.pop_front() {
        if next.has_root() {
            here = next;
            continue;
        }
        let there = here.join(&next);
        if next == Path::new("..") {
            here = there;
            continue;
        }
        parts.push(there.clone());
        match std::fs::read_link(&there) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                for part in components(&target).into_iter().rev() {
                    left.push_front(part);
                }
            }
            _ => here = there,
        }
    }
    parts
}

fn components(path: &Path) -> VecDeque<PathBuf> {
    let is_part = |part: &Component<'_>| !matches!(part, Component::CurDir);
    path.components().filter(is_part).map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::sync::mpsc::{Receiver, channel};

    fn file(path: &Path) -> (u64, u64) {
        let meta = fs::metadata(path).unwrap();
        (meta.dev(), meta.ino())
    }

    fn watched(names: &Names, path: &Path) -> (Watched, Receiver<()>) {
        let (send, told) = channel();
        let watched = names.watch(path, file(path), move || {
            let _ = send.send(());
        });
        (watched, told)
    }

    fn told(told: &Receiver<()>) {
        told.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    /// A directory with `a/b/w`, and the link `l` to `a`, `a/l2` to `b/w`.
    fn tree() -> woof_kit::TempDir {
        let dir = woof_kit::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/w"), "w").unwrap();
        fs::write(dir.path().join("other"), "other").unwrap();
        symlink("a", dir.path().join("l")).unwrap();
        symlink("b/w", dir.path().join("a/l2")).unwrap();
        dir
    }

    #[test]
    fn whatever_takes_a_name_away_is_told_once() {
        type Does = fn(&Path);
        let cases: [(&str, Does, Became); 9] = [
            ("a/b/w", |d| fs::remove_file(d.join("a/b/w")).unwrap(), Became::Gone),
            ("a/b/w", |d| fs::rename(d.join("a/b/w"), d.join("a/b/v")).unwrap(), Became::Gone),
            ("a/b/w", |d| fs::rename(d.join("other"), d.join("a/b/w")).unwrap(), Became::Another),
            ("a/b/w", |d| fs::rename(d.join("a/b"), d.join("a/c")).unwrap(), Became::Gone),
            ("a/../a/b/w", |d| fs::rename(d.join("a"), d.join("c")).unwrap(), Became::Gone),
            ("l/b/w", |d| fs::remove_file(d.join("l")).unwrap(), Became::Gone),
            ("l/l2", |d| fs::rename(d.join("a/b/w"), d.join("a/b/v")).unwrap(), Became::Gone),
            (
                "l/l2",
                |d| {
                    symlink("../other", d.join("new")).unwrap();
                    fs::rename(d.join("new"), d.join("a/l2")).unwrap();
                },
                Became::Another,
            ),
            (
                "a/b/w",
                |d| {
                    use rustix::fs::{CWD, RenameFlags, renameat_with};
                    renameat_with(CWD, d.join("other"), CWD, d.join("a/b/w"), RenameFlags::EXCHANGE).unwrap();
                },
                Became::Another,
            ),
        ];
        for (number, (name, does, became)) in cases.into_iter().enumerate() {
            let dir = tree();
            let names = Names::new().unwrap();
            let path = dir.path().join(name);
            let (watched, telling) = watched(&names, &path);
            let mut named = Named::new(&path, file(&path));
            assert_eq!((watched.became(), named.look()), (None, None));
            does(dir.path());
            told(&telling);
            assert_eq!((watched.became(), named.look()), (Some(became), Some(became)), "case {number}");
            drop(watched);
            assert!(telling.try_recv().is_err());
        }
    }

    #[test]
    fn what_leads_to_the_same_file_again_is_nothing_to_tell() {
        let dir = tree();
        let names = Names::new().unwrap();
        let d = dir.path();
        let (watched, telling) = watched(&names, &d.join("l/b/w"));
        // Another way to the same file, which is watched from then on.
        symlink(d.join("a"), d.join("new")).unwrap();
        fs::rename(d.join("new"), d.join("l")).unwrap();
        fs::hard_link(d.join("a/b/w"), d.join("second")).unwrap();
        fs::rename(d.join("second"), d.join("third")).unwrap();
        symlink("nowhere", d.join("new")).unwrap();
        fs::rename(d.join("new"), d.join("l")).unwrap();
        told(&telling);
        assert_eq!(watched.became(), Some(Became::Gone));
    }

    #[test]
    fn watches_are_shared_and_given_back_and_a_name_that_is_gone_already_is_told() {
        let dir = tree();
        let names = Names::new().unwrap();
        let path = dir.path().join("a/b/w");
        let (first, _told) = watched(&names, &path);
        let one = names.shared.lock().uses.len();
        let (second, telling) = watched(&names, &path);
        assert_eq!(names.shared.lock().uses.len(), one);
        drop(first);
        fs::remove_file(&path).unwrap();
        told(&telling);
        drop(second);
        assert!(names.shared.lock().uses.is_empty() && names.shared.lock().names.is_empty());
        let (send, telling) = channel();
        let late = names.watch(&path, (1, 2), move || {
            let _ = send.send(());
        });
        told(&telling);
        assert_eq!(late.became(), Some(Became::Gone));
    }
}
