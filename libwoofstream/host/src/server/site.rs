//! What a server serves: a directory, with the access lists of its namespaces, and what is going on in it.
//!
//! Failure contract: a name that a client gives never leads out of the directory, through `..`, as an absolute path, or through a symbolic link, whatever
//! is exchanged for what in the middle of a request: see [`super::place`].

use super::held::{AllHeld, Held};
use super::metrics::Levels;
use super::place::Place;
use super::pool::Pool;
use super::ready::Ready;
use super::repeats::Repeats;
use super::runs::Runs;
use super::woofs::Woofs;
use super::writers::Writers;
use super::{Limits, Metrics, watch::Watches};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use woof_core::access::{AccessList, Peer, Right};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{self, Namespace, STATE_DIR};
use woof_core::sys::{self, Names};
use woof_local::handler::{self, Runners, files};
use woof_net::net::SOCKET;

/// The access list of a namespace, by its path there.
const ACCESS: &str = ".woof/access";

/// What stands before the name of a woof that a namespace keeps for itself.
const OWN: &str = ".woof/";

/// The file that only one server holds locked.
const LOCK: &str = "server.lock";

/// No more access lists than this are remembered.
const LISTS_MAX: usize = 4096;

/// What an access list was read from: the owner of the directory, and the file as it was.
pub(super) type Seen = (u32, Option<(u64, i64, u64, i64, u64, i64)>);

/// Which directory a namespace is: the numbers of the device and of the file on it.
pub(super) type Dir = (u64, u64);

/// Access lists by the directories of their namespaces.
type Lists = HashMap<Dir, (Seen, Arc<AccessList>)>;

/// A directory that is served.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
    /// The same, open.
    dir: Arc<OwnedFd>,
    /// What answers do not say: its path.
    hidden: Arc<str>,
    limits: Limits,
    metrics: Metrics,
    /// When it was opened, in nanoseconds since 1970.
    started_ns: u64,
    pub(super) writers: Writers,
    pub(super) watches: Watches,
    pub(super) woofs: Woofs,
    /// The names of woofs that are followed; none where they cannot be watched.
    names: OnceLock<Option<Names>>,
    pub(super) pool: Pool,
    pub(super) repeats: Repeats,
    held: AllHeld,
    pub(super) ready: Ready,
    pub(super) runs: Arc<Runs>,
    /// What runs handlers on demand; without it none does.
    runners: OnceLock<Arc<Runners>>,
    lists: Mutex<Lists>,
    /// Locked as long as this lives.
    _lock: File,
}

impl Site {
    /// Opens a directory for serving, and makes it a namespace if it is none.
    ///
    /// # Errors
    /// When it is no directory, its path is not UTF-8, or another server has it.
    pub fn open(root: &Path, limits: Limits) -> Result<Arc<Site>> {
        let shown = root.to_string_lossy();
        let root = root.canonicalize().map_err(|err| Error::io(&*shown, "", err))?;
        if !root.is_dir() {
            return Err(Error::new(Code::Invalid, shown, "is no directory"));
        }
        if root.to_str().is_none() {
            return Err(Error::new(Code::Invalid, shown, "a path that is not UTF-8 cannot be served"));
        }
        let state = root.join(STATE_DIR);
        std::fs::create_dir_all(&state).map_err(|err| Error::io(&*shown, "make its state directory", err))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(state.join(LOCK))
            .map_err(|err| Error::io(&*shown, "lock", err))?;
        if !sys::lock_alone(&lock).map_err(|err| Error::io(&*shown, "lock", err))? {
            return Err(Error::new(Code::Exists, shown, "another server serves this directory"));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&root, flags, Mode::empty()).map_err(|err| Error::io(&*shown, "", err))?;
        Ok(Arc::new(Site {
            hidden: root.to_str().unwrap_or_default().into(),
            root,
            dir: Arc::new(dir),
            watches: Watches::new(limits.followed),
            limits,
            metrics: Metrics::default(),
            started_ns: sys::now_ns(),
            writers: Writers::default(),
            woofs: Woofs::default(),
            names: OnceLock::new(),
            pool: Pool::default(),
            repeats: Repeats::default(),
            held: AllHeld::default(),
            ready: Ready::default(),
            runs: Arc::default(),
            runners: OnceLock::new(),
            lists: Mutex::default(),
            _lock: lock,
        }))
    }

    /// The directory, as an absolute path without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of the Unix socket at which clients of this machine look for the server.
    pub fn socket(&self) -> PathBuf {
        self.root.join(STATE_DIR).join(SOCKET)
    }

    /// All there is to know about the server in numbers, in the exposition format of Prometheus, version 0.0.4.
    pub fn render_metrics(&self) -> String {
        let mut text = self.metrics.render();
        Levels { followed: self.watches.count(), started_ns: self.started_ns }.render(&mut text);
        text
    }

    /// Has handlers run on demand from now on. What an earlier server left running is killed.
    pub fn run_handlers(&self, runners: Arc<Runners>) {
        let orphans = handler::kill_orphans(&self.root);
        if orphans > 0 {
            tracing::warn!(
                processes = orphans,
                "killed handlers on demand that an earlier server left running"
            );
        }
        // The first ones stay.
        let _ = self.runners.set(runners);
    }

    /// What watches names.
    pub(super) fn names(&self) -> Option<&Names> {
        let names = self.names.get_or_init(|| {
            let failed = |err: Error| tracing::warn!(error = err.text(), "names of woofs are not watched");
            Names::new().map_err(failed).ok()
        });
        names.as_ref()
    }

    /// What runs handlers on demand, if any may.
    pub(super) fn runners(&self) -> Option<&Runners> {
        self.runners.get().map(|runners| &**runners)
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What answers do not say: the path of the directory.
    pub(super) fn hidden(&self) -> Arc<str> {
        Arc::clone(&self.hidden)
    }

    /// Looks whether a name can lead to something within the server.
    fn check(name: &str) -> Result<()> {
        let refuse = |text: &str| Err(Error::new(Code::Invalid, printable(name), text));
        if name.is_empty() {
            return Ok(());
        }
        match name::place(name)? {
            name::Place::Local(_) => {}
            name::Place::Remote(_) => return refuse("not a name within this server"),
        }
        if name.starts_with('/') {
            return refuse("a name within a server does not begin with \"/\"");
        }
        for part in name.split('/') {
            match part {
                "" | "." => return refuse("a name within a server has no empty parts and no \".\""),
                ".." => return refuse("a name within a server has no \"..\""),
                part if part.starts_with(STATE_DIR) => {
                    return refuse("names that begin with .woof are the namespace's own");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The place of what a client calls `name`, up to a directory that is it; the served directory itself for an empty name.
    ///
    /// # Errors
    /// [`Code::Invalid`] for what is no name within the server.
    pub(super) fn place<'a>(&self, name: &'a str) -> Result<Place<'a>> {
        Site::check(name)?;
        Ok(Place::walk(&self.dir, &self.root, name, true))
    }

    /// As [`Site::place`], of a woof.
    pub(super) fn woof<'a>(&self, name: &'a str) -> Result<Place<'a>> {
        Site::check(name)?;
        if name.is_empty() {
            return Err(Error::new(Code::Invalid, "", "the name of a woof is missing: namespace/name"));
        }
        Ok(Place::walk(&self.dir, &self.root, name, false))
    }

    /// As [`Site::woof`], of one that is only read: also the log of triggers and the dead letters of a namespace.
    pub(super) fn woof_to_read<'a>(&self, name: &'a str) -> Result<Place<'a>> {
        for file in [files::TRIGGERS, files::DEAD] {
            let own = name.strip_suffix(file).and_then(|rest| rest.strip_suffix(OWN));
            if let Some(namespace) = own.filter(|rest| rest.is_empty() || rest.ends_with('/')) {
                return Ok(self.place(namespace.trim_end_matches('/'))?.own(file));
            }
        }
        self.woof(name)
    }

    /// Whether this is the namespace of the served directory itself.
    pub(super) fn is_top(&self, namespace: &Namespace) -> bool {
        namespace.path() == self.root
    }

    /// As [`Site::allow`], of rights that are needed as long as the answer lives, by what is open in the directory that a client calls `dir`.
    ///
    /// # Errors
    /// As [`Site::allow`]; when they cannot be looked after.
    pub(super) fn hold(
        &self,
        peer: &Peer,
        namespace: &Namespace,
        dir: &str,
        rights: &[Right],
        name: &str,
    ) -> Result<Held> {
        let watched = self.held.at(&self.dir, &self.root, dir, &self.pool).map_err(|err| err.of(name))?;
        // Before the list is looked at, so that no change is missed between the two.
        let held = Held::new(watched, rights.iter().copied().collect(), name);
        rights.iter().try_for_each(|right| self.allow(peer, namespace, *right, name))?;
        Ok(held)
    }

    /// The namespace of an open directory below, somewhere.
    pub(super) fn namespace(&self, dir: &Arc<OwnedFd>) -> Namespace {
        Namespace::opened_at(self.root.clone(), Arc::clone(dir))
    }

    /// Whether the peer has a right in a namespace.
    ///
    /// # Errors
    /// [`Code::Denied`], saying which right is missing.
    pub(super) fn allow(&self, peer: &Peer, namespace: &Namespace, right: Right, name: &str) -> Result<()> {
        let list = self.list(namespace).map_err(|err| err.of(name))?;
        list.check(peer, right).map_err(|err| {
            self.metrics.denied.add(1);
            err.of(name)
        })
    }

    /// As [`Site::allow`], for what is passed over in silence.
    pub(super) fn may(&self, peer: &Peer, namespace: &Namespace, right: Right) -> bool {
        self.list(namespace).is_ok_and(|list| list.check(peer, right).is_ok())
    }

    /// The access list of a namespace, read again when it changed.
    fn list(&self, namespace: &Namespace) -> Result<Arc<AccessList>> {
        let (key, seen) = seen(namespace)?;
        let lists = || self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, list)) = lists().get(&key)
            && *known == seen
        {
            return Ok(Arc::clone(list));
        }
        // Not under the lock: the disk of one namespace must not keep those of others waiting.
        let list = Arc::new(AccessList::load_from(namespace)?);
        let mut lists = lists();
        if lists.len() >= LISTS_MAX {
            lists.clear();
        }
        lists.insert(key, (seen, Arc::clone(&list)));
        Ok(list)
    }
}

/// Which directory a namespace is, and its access list as a file.
pub(super) fn seen(namespace: &Namespace) -> Result<(Dir, Seen)> {
    let dir = rustix::fs::fstat(namespace.dir()).map_err(|err| Error::io("", "", err))?;
    // What is read in the end is read without following links; this only says whether it may be another one.
    let file = rustix::fs::statat(namespace.dir(), ACCESS, AtFlags::SYMLINK_NOFOLLOW).ok();
    let file = file.map(|file| {
        (file.st_ino, file.st_mtime, file.st_mtime_nsec, file.st_ctime, file.st_ctime_nsec, file.st_size)
    });
    Ok(((dir.st_dev, dir.st_ino), (dir.st_uid, file)))
}

/// The directory that what a client calls `name` lies in, as the client would call it.
pub(super) fn directory_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// A name that can stand in a message.
fn printable(name: &str) -> String {
    if name.chars().any(char::is_control) { format!("\"{}\"", name.escape_debug()) } else { name.to_owned() }
}
