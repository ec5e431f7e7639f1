//! What a server serves: a directory, with the access lists of its namespaces, and what is going on in it.
//!
//! Failure contract: a name that a client gives never leads out of the directory, through `..`, as an absolute path, or through a symbolic link.
//! Whoever may write in the directory on this machine is trusted not to exchange directories for links in the middle of a request.

use super::metrics::Levels;
use super::ready::Ready;
use super::runs::Runs;
use super::woofs::Woofs;
use super::writers::Writers;
use super::{Limits, Metrics, watch::Watches};
use crate::access::{AccessList, Peer, Right};
use crate::error::{Code, Error, Result};
use crate::handler::{self, Runners, files};
use crate::name::{self, STATE_DIR};
use crate::net::SOCKET;
use crate::sys;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The file that only one server holds locked.
const LOCK: &str = "server.lock";

/// No more access lists than this are remembered.
const LISTS_MAX: usize = 4096;

/// What is said of a name that leads elsewhere.
const LEADS_OUT: &str = "a symbolic link leads out of what is served";

/// What an access list was read from: the owner of the directory, and the file as it was.
type Seen = (u32, Option<(u64, i64, i64, u64)>);

/// A directory that is served.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
    /// The same, open.
    dir: OwnedFd,
    limits: Limits,
    metrics: Metrics,
    /// When it was opened, in nanoseconds since 1970.
    started_ns: u64,
    pub(super) writers: Writers,
    pub(super) watches: Watches,
    pub(super) woofs: Woofs,
    pub(super) ready: Ready,
    pub(super) runs: Arc<Runs>,
    /// What runs handlers on demand; without it none does.
    runners: OnceLock<Arc<Runners>>,
    lists: Mutex<HashMap<PathBuf, (Seen, Arc<AccessList>)>>,
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
            root,
            dir,
            watches: Watches::new(limits.followed),
            limits,
            metrics: Metrics::default(),
            started_ns: sys::now_ns(),
            writers: Writers::default(),
            woofs: Woofs::default(),
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

    /// The path of what a client calls `name`; the directory itself for an empty name.
    ///
    /// # Errors
    /// [`Code::Invalid`] for what is no name within the server, [`Code::Denied`] for a link that leads out.
    pub(super) fn path(&self, name: &str) -> Result<PathBuf> {
        self.checked(name).map(|(path, _)| path)
    }

    /// As [`Site::path`], and whether it is known that no symbolic link is on the way.
    fn checked(&self, name: &str) -> Result<(PathBuf, bool)> {
        let refuse = |text: &str| Err(Error::new(Code::Invalid, printable(name), text));
        if name.is_empty() {
            return Ok((self.root.clone(), true));
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
        let path = self.root.join(name);
        if self.is_without_links(name.as_ref()) {
            return Ok((path, true));
        }
        // Of what is not there yet, it is a directory above it that may lead out.
        let real = path.ancestors().find_map(|path| path.canonicalize().ok());
        if real.is_some_and(|real| real.starts_with(&self.root)) {
            return Ok((path, false));
        }
        Err(Error::new(Code::Denied, name, LEADS_OUT))
    }

    /// As [`Site::path`], for the name of a woof, as text.
    pub(super) fn woof_path(&self, name: &str) -> Result<String> {
        if name.is_empty() {
            return Err(Error::new(Code::Invalid, "", "the name of a woof is missing: namespace/name"));
        }
        let (path, is_without_links) = self.checked(name)?;
        let text = path.to_str().unwrap_or_default();
        // What else it asks for, the path has by now.
        if !is_without_links {
            name::local_woof(text).map_err(|err| err.of(name))?;
        }
        Ok(text.to_owned())
    }

    /// Whether something of that name is there and no symbolic link is on the way to it, as one question to the kernel. False where
    /// the kernel does not know how to answer, too.
    fn is_without_links(&self, name: &Path) -> bool {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.dir, name, flags, Mode::empty(), resolve).is_ok()
    }

    /// As [`Site::woof_path`], of a woof that is only read: also the log of triggers and the dead letters of a namespace.
    pub(super) fn woof_path_to_read(&self, name: &str) -> Result<String> {
        for file in [files::TRIGGERS, files::DEAD] {
            let own = format!("{STATE_DIR}/{file}");
            if name == own || name.strip_suffix(&own).is_some_and(|namespace| namespace.ends_with('/')) {
                let namespace =
                    self.path(name.strip_suffix(&own).unwrap_or_default().trim_end_matches('/'))?;
                let path = namespace.join(own);
                // Neither the directory nor the file may lead elsewhere.
                let real = path.canonicalize().map_err(|err| Error::io(name, "", err))?;
                if real.parent() == namespace.canonicalize().ok().map(|dir| dir.join(STATE_DIR)).as_deref() {
                    return Ok(path.to_str().unwrap_or_default().to_owned());
                }
                return Err(Error::new(Code::Denied, name, "a symbolic link leads out of the namespace"));
            }
        }
        self.woof_path(name)
    }

    /// The namespace that a path lies in, or is.
    pub(super) fn namespace_of<'a>(&'a self, path: &'a Path) -> &'a Path {
        if path.join(STATE_DIR).is_dir() {
            return path;
        }
        name::namespace_of(path).filter(|dir| dir.starts_with(&self.root)).unwrap_or(&self.root)
    }

    /// Whether the peer has a right in the namespace that `path` lies in. Where there is a symbolic link in it, that is the one that
    /// the link leads to.
    ///
    /// # Errors
    /// [`Code::Denied`], saying which right is missing.
    pub(super) fn allow(&self, peer: &Peer, path: &Path, right: Right, name: &str) -> Result<()> {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        let real = if path == self.root || self.is_without_links(inside) {
            None
        } else {
            path.ancestors().find_map(|path| path.canonicalize().ok())
        };
        let list =
            self.list(self.namespace_of(real.as_deref().unwrap_or(path))).map_err(|err| err.of(name))?;
        list.check(peer, right).map_err(|err| {
            self.metrics.denied.add(1);
            err.of(name)
        })
    }

    /// As [`Site::allow`], for what is passed over in silence.
    pub(super) fn may(&self, peer: &Peer, namespace: &Path, right: Right) -> bool {
        self.list(namespace).is_ok_and(|list| list.check(peer, right).is_ok())
    }

    /// The directory that a client calls `name`, as a path without links, if the peer has a right in it.
    ///
    /// # Errors
    /// As [`Site::path`] and [`Site::allow`].
    pub(super) fn directory(&self, peer: &Peer, name: &str, right: Right) -> Result<PathBuf> {
        let real = self.without_links(&self.path(name)?, name)?;
        self.allow(peer, &real, right, name)?;
        Ok(real)
    }

    /// A path that was within what is served, without the links in it.
    ///
    /// # Errors
    /// When by now it leads out: handlers can make links.
    pub(super) fn without_links(&self, path: &Path, name: &str) -> Result<PathBuf> {
        let real = path.canonicalize().map_err(|err| Error::io(name, "", err))?;
        if real.starts_with(&self.root) { Ok(real) } else { Err(Error::new(Code::Denied, name, LEADS_OUT)) }
    }

    /// The access list of a namespace, read again when it changed.
    fn list(&self, namespace: &Path) -> Result<Arc<AccessList>> {
        let owner = std::fs::metadata(namespace).map_err(|err| Error::io("", "", err))?.uid();
        let file = namespace.join(STATE_DIR).join(crate::access::FILE);
        let meta = std::fs::symlink_metadata(file).ok();
        let seen = (owner, meta.map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len())));
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, list)) = lists.get(namespace)
            && *known == seen
        {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(AccessList::load(namespace)?);
        if lists.len() >= LISTS_MAX {
            lists.clear();
        }
        lists.insert(namespace.to_owned(), (seen, Arc::clone(&list)));
        Ok(list)
    }
}

/// A name that can stand in a message.
fn printable(name: &str) -> String {
    if name.chars().any(char::is_control) { format!("\"{}\"", name.escape_debug()) } else { name.to_owned() }
}
