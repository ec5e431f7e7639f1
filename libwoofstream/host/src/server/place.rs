//! Where the names of clients lead: from the served directory on, part by part, each opened in the one before. So between finding what has a name, asking
//! whose namespace it is in, and opening or changing it nothing can be exchanged: all of that is of the directories that are open.
//!
//! Failure contract: no symbolic link is followed, and nothing is opened, made or removed outside the directory that the way ended in, nor in another namespace than
//! the one that was asked about rights. Errors name what the client named, and nothing of where that is.

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use woof_core::error::{Code, Error, Result};
use woof_core::name::{Namespace, STATE_DIR, has_state};
use woof_core::sys::{self, Spot};
use woof_local::handler::HANDLERS_DIR;
use woof_log::{self as log, Options, Woof};
use woof_space::Create;

/// So often a way is walked again whose directories others make at the same time.
pub(super) const TRIES: usize = 16;

/// Where a name of a client leads.
#[derive(Debug)]
pub(super) struct Place<'a> {
    name: &'a str,
    namespace: Namespace,
    /// How much of the name is the way to the namespace.
    inside: usize,
    /// The last directory on the way that is there.
    dir: Arc<OwnedFd>,
    /// How much of the name is the way to it.
    walked: usize,
    /// Why the way ended before.
    stopped: Option<Errno>,
    /// The file in the state directory of the namespace that is meant.
    own: Option<&'static str>,
}

impl<'a> Place<'a> {
    /// Walks from the served directory, which has this path, the way of a name: to its end, which is a directory, or to what is its last part.
    pub(super) fn walk(root: &Arc<OwnedFd>, path: &Path, name: &'a str, to_its_end: bool) -> Place<'a> {
        let end = if to_its_end { name.len() } else { name.rfind('/').map_or(0, |slash| slash + 1) };
        let namespace = Namespace::opened_at(path.to_owned(), Arc::clone(root));
        let mut place =
            Place { name, namespace, inside: 0, dir: Arc::clone(root), walked: 0, stopped: None, own: None };
        while place.walked < end {
            let part = place.next_part();
            match sys::open_step(&place.dir, part) {
                Ok(dir) => {
                    place.dir = Arc::new(dir);
                    let until = place.walked + part.len();
                    place.walked = (until + 1).min(name.len());
                    if has_state(&place.dir) {
                        let path = path.join(name.get(..until).unwrap_or_default());
                        place.namespace = Namespace::opened_at(path, Arc::clone(&place.dir));
                        place.inside = place.walked;
                    }
                }
                Err(err) => {
                    place.stopped = Some(err);
                    break;
                }
            }
        }
        place
    }

    /// The woof that the namespace keeps for itself in this file, of the directory that this is.
    pub(super) fn own(self, file: &'static str) -> Place<'a> {
        Place { own: Some(file), ..self }
    }

    /// The nearest namespace above what has the name, or the one that has it.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The name in the namespace.
    pub(super) fn inside(&self) -> &'a str {
        self.name.get(self.inside..).unwrap_or_default()
    }

    /// Where it is, for what looks again whether that still is the file.
    pub(super) fn path(&self) -> PathBuf {
        let path = self.namespace.path().join(self.inside());
        self.own.map_or(path.clone(), |file| path.join(STATE_DIR).join(file))
    }

    /// The directory that has the name, if it is one.
    pub(super) fn directory(&self) -> Option<&Arc<OwnedFd>> {
        (self.rest().is_empty() && self.stopped.is_none()).then_some(&self.dir)
    }

    /// The directory that has the name, as the namespace that it is or may be.
    ///
    /// # Errors
    /// When there is no such directory.
    pub(super) fn as_namespace(&self) -> Result<Namespace> {
        match self.directory() {
            Some(_) if self.inside().is_empty() => Ok(self.namespace.clone()),
            Some(dir) => Ok(Namespace::opened_at(self.namespace.path().join(self.inside()), Arc::clone(dir))),
            None if self.stopped == Some(Errno::NOENT) => Err(Error::io("", "", Errno::NOENT)),
            None => Err(self.why()),
        }
    }

    /// Works with the file that has the name, or that may get it.
    ///
    /// # Errors
    /// When there is no such directory; those of `work`.
    pub(super) fn at<T>(&self, work: impl FnOnce(Spot<'_>) -> Result<T>) -> Result<T> {
        if let Some(file) = self.own {
            if self.directory().is_none() {
                return Err(self.why());
            }
            let state = match sys::open_step(&self.dir, STATE_DIR) {
                Err(Errno::LOOP) => return Err(sys::no_link()),
                Err(Errno::NOENT) => return Err(no_such_woof()),
                state => state.map_err(|err| Error::io("", "open", err))?,
            };
            return work(Spot::exactly(state.as_fd(), file));
        }
        let rest = self.rest();
        if rest.is_empty() || rest.contains('/') {
            return Err(self.why());
        }
        work(Spot::exactly((*self.dir).as_fd(), rest))
    }

    /// Opens the woof.
    ///
    /// # Errors
    /// As [`log::open`].
    pub(super) fn open(&self) -> Result<Woof> {
        self.at(log::open_at)
    }

    /// Makes a woof.
    ///
    /// # Errors
    /// As [`log::create`]; where directories are missing that are not to be made; [`Errno::AGAIN`] when another namespace came to be on the way.
    pub(super) fn create(&self, create: &Create) -> Result<()> {
        self.check_new()?;
        woof_log::check(&create.options)?;
        if !self.rest().contains('/') {
            return self.at(|spot| make(spot, &create.options, create.reset));
        }
        if self.stopped != Some(Errno::NOENT) {
            return Err(self.why());
        }
        let Some((dirs, woof)) = self.rest().rsplit_once('/') else { return Err(self.why()) };
        if !create.parents {
            let dir = self.name.rsplit_once('/').map_or("", |(dir, _)| dir);
            let text = format!("create: no directory {dir} (wcreate -p makes it)");
            return Err(Error::new(Code::NotFound, "", text));
        }
        let mut made = Made::default();
        let done = self
            .make_namespace_in(dirs, &mut made)
            .and_then(|dir| make(Spot::exactly((*dir).as_fd(), woof), &create.options, create.reset));
        if done.is_err() {
            made.take_back();
        }
        done
    }

    /// Makes a namespace of what has the name, or will have.
    ///
    /// # Errors
    /// When something else has it, or directories cannot be made; [`Errno::AGAIN`] when another namespace came to be on the way.
    pub(super) fn create_namespace(&self) -> Result<()> {
        self.check_new()?;
        match self.stopped {
            None | Some(Errno::NOENT) => self.make_namespace_in(self.rest(), &mut Made::default()).map(drop),
            Some(_) => Err(self.why()),
        }
    }

    /// Removes the woof.
    ///
    /// # Errors
    /// As [`log::remove`].
    pub(super) fn remove(&self) -> Result<()> {
        self.at(log::remove_at)
    }

    /// What of the name is behind the last directory that is there.
    fn rest(&self) -> &'a str {
        self.name.get(self.walked..).unwrap_or_default()
    }

    fn next_part(&self) -> &'a str {
        self.rest().split('/').next().unwrap_or_default()
    }

    /// Why the way does not go on.
    fn why(&self) -> Error {
        match self.stopped {
            Some(Errno::LOOP) => sys::no_link(),
            Some(Errno::NOENT) => no_such_woof(),
            Some(err) => Error::io("", "", err),
            None => Error::new(Code::Unsupported, "", "not a woof but a directory"),
        }
    }

    /// Programs are put where they are by who has the machine, and never by clients.
    fn check_new(&self) -> Result<()> {
        if self.name.split('/').any(|part| part == HANDLERS_DIR) {
            let text = format!("clients of a server make nothing in {HANDLERS_DIR}, where programs are");
            return Err(Error::new(Code::Denied, "", text));
        }
        Ok(())
    }

    /// Makes directories below the last one that is there, and the last of them a namespace.
    fn make_namespace_in(&self, dirs: &str, made: &mut Made) -> Result<Arc<OwnedFd>> {
        let mut dir = Arc::clone(&self.dir);
        for part in dirs.split('/').filter(|part| !part.is_empty()) {
            dir = self.make_step(&dir, part, made)?;
        }
        for part in [STATE_DIR, HANDLERS_DIR] {
            match made.make(&dir, part) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(err) => return Err(self.not_made(err)),
            }
        }
        Ok(dir)
    }

    fn make_step(&self, dir: &Arc<OwnedFd>, part: &str, made: &mut Made) -> Result<Arc<OwnedFd>> {
        match made.make(dir, part) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(err) => return Err(self.not_made(err)),
        }
        let below = match sys::open_step(dir, part) {
            Err(Errno::LOOP) => return Err(sys::no_link()),
            below => below.map_err(|err| self.not_made(err))?,
        };
        // Whose namespace that is was not asked.
        if has_state(&below) { Err(Error::io("", "create", Errno::AGAIN)) } else { Ok(Arc::new(below)) }
    }

    fn not_made(&self, err: Errno) -> Error {
        let above = self.name.get(..self.walked).unwrap_or_default().trim_end_matches('/');
        let above = if above.is_empty() { "what is served" } else { above };
        Error::io("", &format!("create: no directory can be made in {above}"), err)
    }
}

fn no_such_woof() -> Error {
    Error::new(Code::NotFound, "", "no such woof")
}

fn make(spot: Spot<'_>, options: &Options, reset: bool) -> Result<()> {
    if reset { log::reset_at(spot, options) } else { log::create_at(spot, options) }
}

/// Directories that were made, the last one last.
#[derive(Default)]
struct Made(Vec<(Arc<OwnedFd>, String)>);

impl Made {
    fn make(&mut self, dir: &Arc<OwnedFd>, part: &str) -> std::result::Result<(), Errno> {
        rustix::fs::mkdirat(&**dir, part, Mode::from_raw_mode(0o777))?;
        self.0.push((Arc::clone(dir), part.to_owned()));
        Ok(())
    }

    /// Removes them. One that somebody has put something into meanwhile is not empty, and stays.
    fn take_back(self) {
        let mut made = self.0.into_iter().rev();
        let _ = made.try_for_each(|(dir, part)| rustix::fs::unlinkat(&*dir, part, AtFlags::REMOVEDIR));
    }
}
