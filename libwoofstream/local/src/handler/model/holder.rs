//! Who holds the elements of a woof. A woof is a file, and is copied and moved as files are: then what holds its elements comes along, and the
//! bindings that it was for do not.
//!
//! Failure contract: a hold is let go of only under the locks of all namespaces that the file lies in, none of which has a binding to it. Where
//! somebody may have one that is not seen from here, it stays.

use super::bindings::{Bindings, lock_for};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;
use woof_core::error::{Error, Result};
use woof_core::name::{STATE_DIR, StateDir};
use woof_log::{self as log, Appender, Holder, Woof};

/// So long the bindings of a namespace may be locked by somebody else, until they are taken for some.
const LOCK_WAIT: Duration = Duration::from_millis(100);

/// And so long a writer of the woof may have it.
const HOLD_PATIENCE: Duration = Duration::from_secs(1);

/// Has an appender of the woof at `path`, called `name`, look whether handlers are bound to it where it is full of elements held for them.
pub fn asked_by(appender: &mut Appender, woof: &Woof, path: &Path, name: &str) {
    let (woof, path, name) = (woof.clone(), path.to_owned(), name.to_owned());
    appender.set_holder(move || look(&woof, &path, &name));
}

/// Looks who holds the elements of a woof, and lets go of them if it is nobody.
fn look(woof: &Woof, path: &Path, name: &str) -> Holder {
    let found = with_bound(woof, path, |bound| match bound {
        Bound::Yes => Ok(Holder::Bound),
        Bound::No => woof.hold_within(None, Some(HOLD_PATIENCE)).map(|_| Holder::LetGo),
        Bound::NotSeen => {
            let text = format!("no handler is bound to it here (wbind remove {name} lets go of them)");
            Ok(Holder::Unknown(text))
        }
    });
    // Who cannot look at the bindings takes them for some.
    found.unwrap_or(Holder::Bound)
}

/// Whether handlers are bound to a woof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Yes,
    No,
    /// Not as far as can be seen: its namespace may be one of another place or name.
    NotSeen,
}

/// Calls `then` with whether handlers are bound to the woof at a path, while nobody can bind any.
fn with_bound<T>(woof: &Woof, path: &Path, then: impl FnOnce(Bound) -> Result<T>) -> Result<T> {
    let failed = |err: std::io::Error| Error::io(path.display().to_string(), "", err);
    // A binding may have been made by another name, through links.
    let real = path.canonicalize().map_err(failed)?;
    let meta = real.metadata().map_err(failed)?;
    let file = woof.identity()?;
    // Of what a namespace keeps for itself its dispatcher holds elements.
    if (meta.dev(), meta.ino()) != file || real.components().any(|part| part.as_os_str() == STATE_DIR) {
        return then(Bound::Yes);
    }
    let mut locks = Vec::new();
    for dir in real.ancestors().skip(1).filter(|dir| dir.join(STATE_DIR).is_dir()) {
        let state = StateDir::of(dir)?;
        locks.push(lock_for(&state, LOCK_WAIT)?);
        if is_bound_in(&Bindings::load_from(&state)?, dir, &real, file) {
            return then(Bound::Yes);
        }
    }
    // Outside of every namespace it can be one of a namespace that is mounted elsewhere; a copy is not. A further name can be anywhere.
    let is_seen = !locks.is_empty() || woof.is_hold_copied();
    then(if is_seen && meta.nlink() == 1 { Bound::No } else { Bound::NotSeen })
}

/// Whether any binding of the namespace `dir` is to the file at `path`.
fn is_bound_in(bindings: &Bindings, dir: &Path, path: &Path, file: (u64, u64)) -> bool {
    bindings.list.iter().any(|binding| {
        let bound = dir.join(&binding.woof);
        bound == path || bound.metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == file)
    })
}

/// Whether any of these bindings of the namespace `dir` is to this woof, by whatever name.
pub fn is_bound(bindings: &Bindings, dir: &Path, woof: &Woof) -> bool {
    // Without an answer it counts as bound.
    woof.identity().map_or(true, |file| is_bound_in(bindings, dir, Path::new(""), file))
}

/// True for the woof at a path whose elements are held, though no handler is bound to it as far as can be seen.
pub fn is_held_by_nobody(path: &Path) -> bool {
    let Ok(woof) = log::open(path) else { return false };
    woof.held().is_some() && with_bound(&woof, path, |bound| Ok(bound != Bound::Yes)).unwrap_or(false)
}

/// Lets go of the elements that a woof outside of every namespace holds. False when it holds none.
///
/// # Errors
/// When there is no such woof, or it cannot be written to.
pub fn let_go(path: &Path) -> Result<bool> {
    let woof = log::open(path)?;
    let held = woof.held().is_some();
    if held { woof.hold(None).map(|_| true) } else { Ok(false) }
}
