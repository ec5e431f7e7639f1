//! The dispatchers of all namespaces under a directory: one for each that has bindings, started as bindings come.
//!
//! Directories are watched with inotify, so nothing is looked for on a timer. Where the kernel had to drop events, all is looked at again.
//!
//! A dispatcher is of the directory that it was started in, and not of a name: when that is moved, removed or replaced, it ends with all that it runs, and
//! another one starts wherever there are bindings then. Whether it is so is told by the file that it has locked.
//!
//! Failure contract: a namespace whose dispatcher cannot start is told in the log, and hinders no other; it is tried again each second, as a disk that
//! is full, or another server, is so for a while.

use super::dispatcher::{Dispatcher, Ended, Stopper, TRY_AGAIN};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::WATCHED_DIRS_MAX;
use woof_core::name::{STATE_DIR, StateDir};
use woof_local::handler::files;
use woof_local::handler::runners::Runners;
use woof_space::Stop;

/// The dispatchers of the namespaces under a directory.
pub struct Dispatchers {
    stopping: Stopping,
    watcher: Option<JoinHandle<()>>,
}

/// Has dispatchers stop, from any thread.
#[derive(Clone)]
pub struct Stopping(Arc<Mutex<Option<OwnedFd>>>);

impl Stopping {
    /// Has them begin no more attempts, and end.
    pub fn stop(&self) {
        // Closed, it wakes who watches.
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Dispatchers {
    /// Starts the dispatchers of all namespaces at and under `root`, and of those to come. When they stop, they wait for so long for attempts that run.
    ///
    /// # Errors
    /// When directories cannot be watched.
    pub fn start(root: &Path, runners: Arc<Runners>, stop_within: Duration) -> Result<Dispatchers> {
        let failed =
            |err: rustix::io::Errno| Error::io(root.display().to_string(), "watch for bindings", err);
        let root = &without_links(root)?;
        let (stopped, stop) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed)?;
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).map_err(failed)?;
        let mut watcher = Watcher::new(inotify, root, runners);
        watcher.enter_all();
        let thread = std::thread::Builder::new()
            .name("woof-bindings".to_owned())
            .spawn(move || watcher.run(&stopped, stop_within))
            .map_err(|err| Error::io("", "start a thread to watch for bindings", err))?;
        Ok(Dispatchers { stopping: Stopping(Arc::new(Mutex::new(Some(stop)))), watcher: Some(thread) })
    }

    /// A handle to have them stop with before that is waited for.
    pub fn stopping(&self) -> Stopping {
        self.stopping.clone()
    }

    /// Ends them all, once what runs has ended or the time for that is over.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stopping.stop();
        if let Some(watcher) = self.watcher.take() {
            // It panics over nothing; if it did there is nothing left to end.
            let _ = watcher.join();
        }
    }
}

impl Drop for Dispatchers {
    fn drop(&mut self) {
        self.end();
    }
}

struct Watcher {
    inotify: OwnedFd,
    /// The directory below which all are watched.
    root: PathBuf,
    /// The watched directories by the number of their watch.
    dirs: HashMap<i32, PathBuf>,
    running: HashMap<PathBuf, Serving>,
    /// Namespaces whose dispatcher did not start, and what was said about it.
    failed: HashMap<PathBuf, String>,
    runners: Arc<Runners>,
}

/// A dispatcher that serves a namespace.
struct Serving {
    stopper: Stopper,
    thread: JoinHandle<Ended>,
    /// The file that it has locked.
    locked: (u64, u64),
}

impl Serving {
    /// Whether the namespace at this path is another one, or none. What cannot be looked at is taken for what it was.
    fn is_replaced(&self, namespace: &Path) -> bool {
        match namespace.join(STATE_DIR).join(files::LOCK).symlink_metadata() {
            Ok(meta) => (meta.dev(), meta.ino()) != self.locked,
            Err(err) => matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }
}

/// What is noticed of a watched directory.
const NOTICED: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// What of one that no watched directory has in it.
const NOTICED_OF_ROOT: WatchFlags = NOTICED.union(WatchFlags::DELETE_SELF).union(WatchFlags::MOVE_SELF);

impl Watcher {
    fn new(inotify: OwnedFd, root: &Path, runners: Arc<Runners>) -> Watcher {
        Watcher {
            inotify,
            root: root.to_owned(),
            dirs: HashMap::new(),
            running: HashMap::new(),
            failed: HashMap::new(),
            runners,
        }
    }

    /// Watches all directories, and looks at all namespaces. What is watched already keeps its number.
    fn enter_all(&mut self) {
        self.dirs.clear();
        let root = self.root.clone();
        self.enter(&root);
    }

    /// Watches a directory and all below it, and starts the dispatchers there.
    fn enter(&mut self, dir: &Path) {
        if self.dirs.len() >= WATCHED_DIRS_MAX {
            tracing::error!(
                limit = WATCHED_DIRS_MAX,
                "too many directories: bindings of more namespaces are not noticed"
            );
            return;
        }
        let flags = if dir == self.root { NOTICED_OF_ROOT } else { NOTICED };
        match inotify::add_watch(&self.inotify, dir, flags) {
            Ok(watch) => drop(self.dirs.insert(watch, dir.to_owned())),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return,
            Err(err) => tracing::error!(dir = %dir.display(), error = %err, "bindings there are not noticed"),
        }
        let is_state = dir.file_name() == Some(OsStr::new(STATE_DIR));
        if is_state {
            if let Some(namespace) = dir.parent() {
                self.look_at(namespace);
            }
            return;
        }
        for below in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if below.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.enter(&below.path());
            }
        }
    }

    /// Starts the dispatcher of a namespace that has bindings, or has it look again.
    fn look_at(&mut self, namespace: &Path) {
        if let Some(serving) = self.running.get(namespace)
            && !serving.thread.is_finished()
        {
            serving.stopper.reload();
            return;
        }
        let before = self.failed.remove(namespace);
        if !namespace.join(STATE_DIR).join(files::BINDINGS).exists() {
            return;
        }
        match start(namespace, &self.runners) {
            Ok(started) => drop(self.running.insert(namespace.to_owned(), started)),
            Err(err) => {
                let text = err.to_string();
                // Once for each reason, however often it is tried.
                if before.as_ref() != Some(&text) {
                    tracing::error!(namespace = %namespace.display(), error = text, "its handlers do not run: trying again");
                }
                self.failed.insert(namespace.to_owned(), text);
            }
        }
    }

    fn run(mut self, stopped: &OwnedFd, stop_within: Duration) {
        loop {
            let mut polled = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            let soon = Timespec { tv_sec: TRY_AGAIN.as_secs().try_into().unwrap_or(1), tv_nsec: 0 };
            let time = if self.failed.is_empty() { None } else { Some(&soon) };
            if let Err(err) = poll(&mut polled, time)
                && err != rustix::io::Errno::INTR
            {
                tracing::error!(error = %err, "bindings are not watched any more");
                break;
            }
            if !polled[1].revents().is_empty() {
                break;
            }
            self.events();
            for namespace in self.failed.keys().cloned().collect::<Vec<_>>() {
                self.look_at(&namespace);
            }
        }
        for serving in self.running.values() {
            serving.stopper.stop(stop_within);
        }
        for (_, serving) in self.running.drain() {
            let _ = serving.thread.join();
        }
    }

    /// Ends the dispatchers at and under these paths whose directory is not there any more. What is there instead is looked at.
    fn end_replaced(&mut self, changed: &HashSet<PathBuf>) {
        let is_changed =
            |namespace: &Path| namespace.join(STATE_DIR).ancestors().any(|path| changed.contains(path));
        let replaced: HashMap<_, _> = self
            .running
            .extract_if(|namespace, serving| is_changed(namespace) && serving.is_replaced(namespace))
            .collect();
        for (namespace, serving) in &replaced {
            tracing::warn!(namespace = %namespace.display(), "it was moved, removed or replaced: its handlers end");
            serving.stopper.abandon();
        }
        for (namespace, serving) in replaced {
            let _ = serving.thread.join();
            if StateDir::exactly(&namespace).is_ok() {
                self.look_at(&namespace);
            }
        }
    }

    /// Watches directories no more that were moved: what happens in them happens elsewhere.
    fn forget(&mut self, moved: &HashSet<PathBuf>) {
        if moved.is_empty() {
            return;
        }
        for (watch, _) in self.dirs.extract_if(|_, dir| dir.ancestors().any(|path| moved.contains(path))) {
            // One that is gone by now has no watch any more.
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }

    /// Works on what was noticed.
    fn events(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let (mut entered, mut touched, mut dropped) = (Vec::new(), HashSet::new(), false);
        let (mut changed, mut replaced, mut moved) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                dropped = true;
                continue;
            }
            if event.events().contains(ReadFlags::IGNORED) {
                // It is gone, and its number is not given out again.
                self.dirs.remove(&event.wd());
                continue;
            }
            let Some(dir) = self.dirs.get(&event.wd()) else { continue };
            let is = |flags| event.events().intersects(flags);
            if is(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                tracing::error!(dir = %dir.display(), "what is served was moved or removed: start the server again where it is");
                replaced.insert(dir.clone());
                continue;
            }
            let name = OsStr::from_bytes(event.file_name().map_or(b"".as_slice(), std::ffi::CStr::to_bytes));
            if dir.file_name() == Some(OsStr::new(STATE_DIR)) {
                if name == files::BINDINGS || name == files::RETRIES {
                    changed.extend(dir.parent().map(Path::to_owned));
                }
                if name == files::LOCK {
                    replaced.insert(dir.clone());
                }
                continue;
            }
            // It may be, or have in it, the woof of a binding.
            touched.insert(dir.clone());
            if is(ReadFlags::ISDIR) {
                let path = dir.join(name);
                if is(ReadFlags::MOVED_FROM) {
                    moved.insert(path.clone());
                }
                if is(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    entered.push(path.clone());
                }
                replaced.insert(path);
            }
        }
        // Its name stands for any in it.
        changed.extend(
            touched
                .iter()
                .filter_map(|dir| woof_core::name::namespace_of(&dir.join(STATE_DIR)).map(Path::to_owned)),
        );
        if dropped {
            tracing::warn!(dir = %self.root.display(), "too much changed at once to be told of each: looking at all bindings");
            let all = HashSet::from([self.root.clone()]);
            self.end_replaced(&all);
            return self.enter_all();
        }
        self.forget(&moved);
        self.end_replaced(&replaced);
        for dir in entered {
            self.enter(&dir);
        }
        for namespace in changed {
            self.look_at(&namespace);
        }
    }
}

/// The dispatcher of a namespace that was found below a directory whose path has no links in it.
pub(super) fn open(namespace: &Path, runners: &Runners) -> Result<Dispatcher> {
    // Wherever a link leads that a handler in a container put there meanwhile, nobody asked for the handlers of that.
    Dispatcher::open_exactly(namespace, runners.of_exactly(namespace))
}

fn start(namespace: &Path, runners: &Runners) -> Result<Serving> {
    let dispatcher = open(namespace, runners)?;
    let (stopper, locked) = (dispatcher.stopper(), dispatcher.locked_file()?);
    let thread = std::thread::Builder::new()
        .name("woof-dispatch".to_owned())
        .spawn(move || dispatcher.serve())
        .map_err(|err| Error::io("", "start a thread for its handlers", err))?;
    Ok(Serving { stopper, thread, locked })
}

/// Runs what is pending in all namespaces at and under `root`, also what comes of that, and ends; `stop` ends it when what runs has ended, or
/// after `stop_within`.
///
/// # Errors
/// The first of what went wrong; the other namespaces are worked on all the same.
pub fn run_pending(root: &Path, runners: &Runners, stop: &Stop, stop_within: Duration) -> Result<Ended> {
    let (mut all, mut failed) = (Ended::default(), None);
    loop {
        let mut some = false;
        for namespace in namespaces(root)? {
            if stop.is_stopped() {
                return failed.map_or(Ok(all), Err);
            }
            let ended = open(&namespace, runners).and_then(|dispatcher| {
                let stopper = dispatcher.stopper();
                stop.on_stop(move || stopper.stop(stop_within));
                dispatcher.run_pending()
            });
            match ended {
                Ok(ended) => {
                    some |= ended != Ended::default();
                    all.done += ended.done;
                    all.dead += ended.dead;
                    all.lost += ended.lost;
                }
                Err(err) => drop(failed.get_or_insert(err)),
            }
        }
        match failed {
            Some(err) => return Err(err),
            None if !some => return Ok(all),
            None => {}
        }
    }
}

/// The path of a directory, without the links that lead there.
fn without_links(root: &Path) -> Result<PathBuf> {
    let found = root.canonicalize().ok().filter(|root| root.is_dir());
    found.ok_or_else(|| Error::new(Code::NotFound, root.display().to_string(), "no such directory"))
}

/// The namespaces at and under a directory that have bindings.
fn namespaces(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut dirs) = (Vec::new(), vec![without_links(root)?]);
    while let Some(dir) = dirs.pop() {
        if dir.join(STATE_DIR).join(files::BINDINGS).exists() {
            found.push(dir.clone());
        }
        for below in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if below.file_type().is_ok_and(|kind| kind.is_dir()) && below.file_name() != STATE_DIR {
                dirs.push(below.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use woof_local::handler::container::NoEngine;

    fn runners() -> Arc<Runners> {
        Arc::new(Runners::new(woof_space::RunOptions::new(""), Arc::new(NoEngine)))
    }

    #[test]
    fn directories_that_are_gone_are_not_kept() {
        let dir = woof_kit::tempdir().unwrap();
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).unwrap();
        let mut watcher = Watcher::new(inotify, dir.path(), runners());
        watcher.enter_all();
        for _ in 0..3 {
            std::fs::create_dir(dir.path().join("farm")).unwrap();
            watcher.events();
            assert_eq!(watcher.dirs.len(), 2);
            std::fs::remove_dir(dir.path().join("farm")).unwrap();
            watcher.events();
            assert_eq!(watcher.dirs.len(), 1);
        }
    }

    #[test]
    fn bindings_that_are_made_among_more_events_than_are_queued_are_found() {
        let dir = woof_kit::tempdir().unwrap();
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).unwrap();
        let mut watcher = Watcher::new(inotify, dir.path(), runners());
        watcher.enter_all();
        let most = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        // Two names in turn, as the kernel makes one of two events that are the same.
        for n in 0..=most.trim().parse::<u64>().unwrap() {
            let path = dir.path().join(["a", "b"][usize::try_from(n % 2).unwrap()]);
            std::fs::write(&path, "").unwrap();
            std::fs::remove_file(&path).unwrap();
        }
        let farm = dir.path().join("deep/farm");
        std::fs::create_dir_all(farm.join(STATE_DIR)).unwrap();
        woof_log::create(&farm.join("temp"), &woof_log::Options::default()).unwrap();
        woof_local::handler::bindings::add(&farm, &woof_local::handler::Binding::new("temp", "h"), None)
            .unwrap();
        watcher.events();
        assert!(watcher.running.contains_key(&farm));
        // And what comes later is noticed as ever.
        let other = dir.path().join("deep/other");
        std::fs::create_dir_all(other.join(STATE_DIR)).unwrap();
        std::fs::write(other.join(STATE_DIR).join(files::BINDINGS), "").unwrap();
        watcher.events();
        assert!(watcher.running.contains_key(&other));
        for (_, serving) in watcher.running.drain() {
            serving.stopper.stop(Duration::ZERO);
            serving.thread.join().unwrap();
        }
    }

    #[test]
    fn a_dispatcher_that_cannot_start_is_tried_again_and_said_once() {
        let dir = woof_kit::tempdir().unwrap();
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).unwrap();
        std::fs::create_dir_all(dir.path().join(STATE_DIR)).unwrap();
        std::fs::write(dir.path().join(STATE_DIR).join(files::BINDINGS), "").unwrap();
        let other = Dispatcher::open(dir.path(), runners().of(dir.path()).unwrap()).unwrap();
        let mut watcher = Watcher::new(inotify, dir.path(), runners());
        watcher.enter_all();
        assert!(watcher.running.is_empty());
        let said = watcher.failed.get(dir.path()).cloned().unwrap();
        assert!(said.ends_with("another server runs its handlers"), "{said}");
        let bindings = dir.path().join(STATE_DIR).join(files::BINDINGS);
        std::fs::remove_file(&bindings).unwrap();
        watcher.look_at(dir.path());
        assert!(watcher.failed.is_empty(), "there is nothing to start any more");
        std::fs::write(&bindings, "").unwrap();
        watcher.look_at(dir.path());
        assert_eq!(watcher.failed.get(dir.path()), Some(&said));
        drop(other);
        watcher.look_at(dir.path());
        assert!(watcher.failed.is_empty());
        for (_, serving) in watcher.running.drain() {
            serving.stopper.stop(Duration::ZERO);
            serving.thread.join().unwrap();
        }
    }
}
