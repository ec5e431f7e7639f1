//! Who is at the other end of a connection.

use crate::sys::users;
use std::fmt;

/// How it is known who a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A certificate of our authority.
    Tls,
    /// The kernel, on a Unix socket.
    Unix,
    /// It is not known: a connection without encryption. Such a peer has the rights of `anonymous` alone.
    Unknown,
}

impl How {
    /// The word for it, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Tls => "tls",
            How::Unix => "unix",
            How::Unknown => "unknown",
        }
    }
}

/// Who is at the other end. `Display` gives `user alice`, `uid 1003`, or `this connection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The name of the user.
    pub user: Option<String>,
    /// The names of the user's groups.
    pub groups: Vec<String>,
    /// The user's number, on a Unix socket.
    pub uid: Option<u32>,
    /// The numbers of the user's groups, on a Unix socket.
    pub gids: Vec<u32>,
    /// How all this is known.
    pub how: How,
}

impl Peer {
    /// A peer whose certificate names a user and groups.
    pub fn tls(user: impl Into<String>, groups: Vec<String>) -> Peer {
        Peer { user: Some(user.into()), groups, uid: None, gids: Vec::new(), how: How::Tls }
    }

    /// A peer on a Unix socket, with the numbers that the kernel tells; the names are those of this machine.
    pub fn unix(uid: u32, gids: Vec<u32>) -> Peer {
        Peer {
            user: users::user_name(uid),
            groups: users::group_names(&gids),
            uid: Some(uid),
            gids,
            how: How::Unix,
        }
    }

    /// A peer of whom nothing is known.
    pub fn unknown() -> Peer {
        Peer { user: None, groups: Vec::new(), uid: None, gids: Vec::new(), how: How::Unknown }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, self.uid) {
            (Some(user), _) => write!(f, "user {user}"),
            (None, Some(uid)) => write!(f, "uid {uid}"),
            (None, None) => f.write_str("this connection"),
        }
    }
}
