//! One change of an access list. Its text form is what a user types and what travels to a server, so that the list is read
//! and written in one place, under a lock.

use super::list::Who;
use super::{Rights, check_name};
use crate::error::{Code, Error, Result};
use std::fmt;

/// What to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Give rights besides those that are there.
    Grant(Who, Rights),
    /// Take rights away.
    Revoke(Who, Rights),
    /// Say which user is the owner for peers over TLS; `None`: the one whose name is that of the directory's owner.
    Owner(Option<String>),
}

impl Change {
    /// Reads `grant user alice read put`, `revoke group ops put`, `revoke any` (all rights), `owner alice`, `owner` (as without
    /// this line).
    ///
    /// ```
    /// use woof_core::access::Change;
    /// let change = Change::parse(["grant", "user", "alice", "read", "put"]).unwrap();
    /// assert_eq!(change.to_string(), "grant user alice read put");
    /// ```
    ///
    /// # Errors
    /// [`Code::Invalid`], naming the word that is wrong or saying which is missing.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Change> {
        let mut words = words.into_iter();
        match words.next() {
            Some("grant") => {
                let who = Who::parse(&mut words)?;
                let rights = Rights::parse(words)?;
                if rights.is_empty() {
                    let text = "missing rights: read, put, create, remove, trigger, admin or all";
                    return Err(Error::new(Code::Invalid, format!("grant {who}"), text));
                }
                Ok(Change::Grant(who, rights))
            }
            Some("revoke") => {
                let who = Who::parse(&mut words)?;
                let rights = Rights::parse(words)?;
                Ok(Change::Revoke(who, if rights.is_empty() { Rights::all() } else { rights }))
            }
            Some("owner") => {
                let owner = words.next().map(str::to_owned);
                if let Some(name) = &owner {
                    check_name("user", name)?;
                }
                match words.next() {
                    Some(more) => Err(Error::new(Code::Invalid, format!("{more:?}"), "one word too many")),
                    None => Ok(Change::Owner(owner)),
                }
            }
            Some(word) => {
                let text = "not a change of an access list: grant, revoke or owner";
                Err(Error::new(Code::Invalid, format!("{word:?}"), text))
            }
            None => Err(Error::new(Code::Invalid, "", "missing grant, revoke or owner")),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Grant(who, rights) => write!(f, "grant {who} {rights}"),
            Change::Revoke(who, rights) => write!(f, "revoke {who} {rights}"),
            Change::Owner(Some(name)) => write!(f, "owner {name}"),
            Change::Owner(None) => f.write_str("owner"),
        }
    }
}
