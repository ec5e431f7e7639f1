//! Who may do what in a namespace: rights, peers, and the access list.
//!
//! A [`Peer`] is who is at the other end, as the kernel (Unix socket) or a certificate (TLS) says it. The access list of a namespace
//! stands in its state directory, `.woof/access`, as text ([`AccessList`]). Without one only the owner may do anything.
//!
//! Failure contract: what cannot be read or understood gives nobody a right but the owner, and says why.

mod change;
mod file;
mod list;
mod peer;
mod right;
#[cfg(test)]
mod tests;

pub use change::Change;
pub use file::FILE;
pub use list::{AccessList, Rule, Who};
pub use peer::{How, Peer};
pub use right::{Right, Rights};

use crate::error::{Code, Error, Result};
use crate::limits::PERSON_MAX;

/// Looks whether `name` can be the name of a user or a group. It stands in certificates, in lines of text and in names of files.
///
/// ```
/// use woof_core::access::check_name;
/// assert!(check_name("user", "alice@example.org").is_ok());
/// let err = check_name("group", "night shift").unwrap_err();
/// assert_eq!(err.to_string(), "group \"night shift\": a name has no blanks, slashes or control characters");
/// ```
///
/// # Errors
/// [`Code::Invalid`], saying what is wrong with it; `kind` is `user` or `group`.
pub fn check_name(kind: &str, name: &str) -> Result<()> {
    let refuse = |text: String| Err(Error::new(Code::Invalid, format!("{kind} {name:?}"), text));
    if name.is_empty() {
        return refuse("a name is not empty".to_owned());
    }
    if name.len() > PERSON_MAX {
        let text = format!("the name is {} bytes long, the limit is {PERSON_MAX}", name.len());
        return Err(Error::new(Code::Invalid, kind, text));
    }
    if name.chars().any(|char| char.is_whitespace() || char.is_control() || char == '/') {
        return refuse("a name has no blanks, slashes or control characters".to_owned());
    }
    if name.starts_with(['.', '-', '#']) {
        return refuse("a name does not begin with \".\", \"-\" or \"#\"".to_owned());
    }
    Ok(())
}
