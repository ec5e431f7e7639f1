//! Names of woofs as users type them: what is a name, what is remote, and which namespace it belongs to.
//!
//! A local name is a path. Blanks and bytes of any script are welcome in it; what breaks lines of output or leads out of
//! a namespace through a symbolic link is refused, with the reason.

mod address;
mod namespace;
mod shown;

pub use address::{Address, DEFAULT_PORT, Host};
pub use namespace::{Namespace, StateDir, has_state};
pub use shown::{is_steering, show, shown};

use crate::error::{Code, Error, Result};
use crate::limits::{NAME_MAX, PATH_MAX};
use std::path::{Path, PathBuf};

/// The directory in a namespace where its own state is kept. It makes a directory a namespace.
pub const STATE_DIR: &str = ".woof";

/// The beginning of a remote name.
pub const REMOTE: &str = "woof://";

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// A path on this machine.
    Local(&'a Path),
    /// What follows `woof://`.
    Remote(&'a str),
}

/// Looks what `name` stands for and whether it can be a name.
///
/// ```
/// use woof_core::name::{Place, place};
/// assert_eq!(place("farm/temp").unwrap(), Place::Local("farm/temp".as_ref()));
/// assert_eq!(place("woof://edge7/farm/temp").unwrap(), Place::Remote("edge7/farm/temp"));
/// assert!(place("farm\ntemp").is_err());
/// ```
///
/// # Errors
/// [`Code::Invalid`], saying what is wrong with the name.
pub fn place(name: &str) -> Result<Place<'_>> {
    let refuse = |text: String| Err(Error::new(Code::Invalid, printable(name), text));
    if name.is_empty() {
        return refuse("an empty name".to_owned());
    }
    if name.len() > PATH_MAX {
        return refuse(format!("the name is {} bytes long, the limit is {PATH_MAX}", name.len()));
    }
    if name.chars().any(char::is_control) {
        return refuse("a name has no newlines or other control characters".to_owned());
    }
    if let Some(remote) = name.strip_prefix(REMOTE) {
        return Ok(Place::Remote(remote));
    }
    if let Some(part) = name.split('/').find(|part| part.len() > NAME_MAX) {
        return refuse(format!(
            "\"{}...\" is {} bytes long, the limit is {NAME_MAX}",
            clip(part),
            part.len()
        ));
    }
    Ok(Place::Local(Path::new(name)))
}

/// Looks whether `name` can be the name of a woof on this machine, and gives its path.
///
/// # Errors
/// [`Code::Invalid`] for what is no name of a woof; [`Code::Unsupported`] for remote names; [`Code::Denied`] where a symbolic
/// link leads out of the namespace.
pub fn local_woof(name: &str) -> Result<PathBuf> {
    let path = local(name)?;
    let refuse = |text: &str| Err(Error::new(Code::Invalid, name, text));
    if name.ends_with('/') {
        return refuse("a woof's name does not end in \"/\"");
    }
    match path.file_name().and_then(|last| last.to_str()) {
        None => return refuse("a directory, and not the name of a woof"),
        Some(last) if last == "." || last.starts_with(STATE_DIR) => {
            return refuse("names that begin with .woof are the namespace's own");
        }
        Some(_) => {}
    }
    stay_inside(name, path)?;
    Ok(path.to_owned())
}

/// As [`local_woof`], of a woof that is to be made, changed or removed: not one of those that a namespace keeps for itself.
///
/// # Errors
/// As [`local_woof`].
pub fn local_woof_of_user(name: &str) -> Result<PathBuf> {
    let path = local_woof(name)?;
    if path.components().any(|part| part.as_os_str() == STATE_DIR) {
        return Err(Error::new(
            Code::Invalid,
            name,
            "what is in .woof is the namespace's own: it can be read and not changed",
        ));
    }
    Ok(path)
}

/// The path of a name on this machine.
///
/// # Errors
/// As [`place`]; [`Code::Unsupported`] for remote names.
pub fn local(name: &str) -> Result<&Path> {
    match place(name)? {
        Place::Local(path) => Ok(path),
        Place::Remote(_) => Err(Error::new(
            Code::Unsupported,
            name,
            "a name on a server cannot stand for a path of this machine",
        )),
    }
}

/// The namespace that a path lies in: the nearest directory above it that has a state directory.
pub fn namespace_of(path: &Path) -> Option<&Path> {
    for dir in path.ancestors().skip(1).map(or_here) {
        if dir.join(STATE_DIR).is_dir() {
            return Some(dir);
        }
        // What stands before a ".." is not above the path.
        if dir.ends_with("..") {
            return None;
        }
    }
    None
}

/// The directory that a path names, `.` for an empty one.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Refuses a path that lies in a namespace and leads out of it through a symbolic link.
fn stay_inside(name: &str, path: &Path) -> Result<()> {
    let Some(namespace) = namespace_of(path) else { return Ok(()) };
    let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if !is_link && path.parent().map(or_here) == Some(namespace) {
        // The usual case, without following anything: there is no link between the two.
        return Ok(());
    }
    // Of what is not there yet, it is a directory above it that may lead out.
    let real = path.ancestors().map(or_here).find_map(|path| path.canonicalize().ok());
    let (Some(real), Ok(root)) = (real, namespace.canonicalize()) else { return Ok(()) };
    if real.starts_with(&root) {
        return Ok(());
    }
    let (namespace, real) = (namespace.display(), real.display());
    let text = format!("a symbolic link leads out of the namespace {namespace}, to {real}");
    Err(Error::new(Code::Denied, name, text))
}

/// A name that can stand in a line of output.
fn printable(name: &str) -> String {
    if name.len() > NAME_MAX || name.chars().any(char::is_control) {
        format!("\"{}\"", clip(name).escape_debug())
    } else {
        name.to_owned()
    }
}

/// The beginning of a long name.
fn clip(name: &str) -> &str {
    let end = (0..=name.len().min(40)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str) -> String {
        local_woof(name).unwrap_err().to_string()
    }

    #[test]
    fn names_that_cannot_be_are_refused_with_the_reason() {
        assert_eq!(
            refusal("farm/te\nmp"),
            "\"farm/te\\nmp\": a name has no newlines or other control characters"
        );
        assert_eq!(refusal(""), "an empty name");
        for name in ["farm/..", "..", ".", "/"] {
            assert!(local_woof(name).is_err(), "{name}");
        }
        assert_eq!(refusal("farm/.."), "farm/..: a directory, and not the name of a woof");
        assert_eq!(refusal("farm/"), "farm/: a woof's name does not end in \"/\"");
        assert_eq!(refusal("farm/.woof"), "farm/.woof: names that begin with .woof are the namespace's own");
        let long = format!("farm/{}", "ä".repeat(150));
        assert!(refusal(&long).contains("is 300 bytes long, the limit is 255"), "{}", refusal(&long));
        assert_eq!(
            refusal("woof://edge7/x"),
            "woof://edge7/x: a name on a server cannot stand for a path of this machine"
        );
    }

    #[test]
    fn blanks_and_other_scripts_are_welcome() {
        assert_eq!(local_woof("my farm/Größe ☺").unwrap(), Path::new("my farm/Größe ☺"));
        assert_eq!(local_woof("../other/temp").unwrap(), Path::new("../other/temp"));
    }

    #[test]
    fn a_link_may_lead_around_in_its_namespace_and_not_out_of_it() {
        let dir = woof_kit::tempdir().unwrap();
        let farm = dir.path().join("farm");
        std::fs::create_dir_all(farm.join(STATE_DIR)).unwrap();
        std::fs::write(farm.join("temp"), "").unwrap();
        std::fs::write(dir.path().join("outside"), "").unwrap();
        std::os::unix::fs::symlink("temp", farm.join("inside")).unwrap();
        std::os::unix::fs::symlink("../outside", farm.join("out")).unwrap();
        assert!(local_woof(farm.join("inside").to_str().unwrap()).is_ok());
        let err = local_woof(farm.join("out").to_str().unwrap()).unwrap_err();
        assert_eq!(err.code(), Code::Denied);
        assert!(err.text().starts_with("a symbolic link leads out of the namespace"), "{err}");
        assert_eq!(namespace_of(&farm.join("temp")), Some(farm.as_path()));
        // A woof that is still to be made is not made outside either.
        std::os::unix::fs::symlink("..", farm.join("up")).unwrap();
        for new in ["up/new", "up/dir/new"] {
            assert_eq!(local_woof(farm.join(new).to_str().unwrap()).unwrap_err().code(), Code::Denied);
        }
        // Whoever says ".." goes out on purpose.
        assert_eq!(namespace_of(&farm.join("../outside")), None);
        assert!(local_woof(farm.join("../outside").to_str().unwrap()).is_ok());
        assert!(local_woof(farm.join("../new").to_str().unwrap()).is_ok());
    }
}
