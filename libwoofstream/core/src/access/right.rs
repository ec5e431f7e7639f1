//! The rights that an access list gives.

use crate::error::{Code, Error, Result};
use std::fmt;

/// One right. The text form ([`Right::as_str`]) stands in access lists and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// Get, follow, find and stat.
    Read,
    /// Append elements.
    Put,
    /// Make woofs, files and namespaces.
    Create,
    /// Remove, reset and move them.
    Remove,
    /// Have a handler run by a put, or bind one.
    Trigger,
    /// Change the access list.
    Admin,
}

impl Right {
    /// All rights, in the order in which they are shown.
    pub const ALL: [Right; 6] =
        [Right::Read, Right::Put, Right::Create, Right::Remove, Right::Trigger, Right::Admin];

    /// The word for it in an access list.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Put => "put",
            Right::Create => "create",
            Right::Remove => "remove",
            Right::Trigger => "trigger",
            Right::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Right::Read => 1,
            Right::Put => 1 << 1,
            Right::Create => 1 << 2,
            Right::Remove => 1 << 3,
            Right::Trigger => 1 << 4,
            Right::Admin => 1 << 5,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of rights. `Display` gives their words, or `none`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// No right.
    pub const NONE: Rights = Rights(0);

    /// Every right.
    pub fn all() -> Rights {
        Right::ALL.into_iter().collect()
    }

    /// Reads words such as `read put`; `all` stands for every right.
    ///
    /// ```
    /// use woof_core::access::{Right, Rights};
    /// let rights = Rights::parse(["read", "put"]).unwrap();
    /// assert!(rights.has(Right::Put) && !rights.has(Right::Admin));
    /// assert_eq!(rights.to_string(), "read put");
    /// ```
    ///
    /// # Errors
    /// [`Code::Invalid`], naming the word that is no right.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Rights> {
        let mut rights = Rights::NONE;
        for word in words {
            rights = rights.with(match Right::ALL.into_iter().find(|right| right.as_str() == word) {
                Some(right) => Rights(right.bit()),
                None if word == "all" => Rights::all(),
                None => {
                    let known = "not a right: read, put, create, remove, trigger, admin or all";
                    return Err(Error::new(Code::Invalid, format!("{word:?}"), known));
                }
            });
        }
        Ok(rights)
    }

    /// Whether the right is among them.
    pub fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// These and those.
    pub fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// These without those.
    pub fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    /// True for no right.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The rights, in their order.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<T: IntoIterator<Item = Right>>(rights: T) -> Rights {
        Rights(rights.into_iter().fold(0, |bits, right| bits | right.bit()))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let words: Vec<&str> = self.iter().map(Right::as_str).collect();
        f.write_str(&words.join(" "))
    }
}
