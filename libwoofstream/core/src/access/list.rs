//! The access list: its text form, who has which rights by it, and how it is changed.
//!
//! ```text
//! # comments stand on lines of their own or after a rule
//! owner alice
//! user bob read put
//! group ops read
//! any read
//! ```

use super::{Change, How, Peer, Right, Rights, check_name};
use crate::error::{Code, Error, Result};
use crate::text;
use std::fmt;

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The user of this name.
    User(String),
    /// Everybody in the group of this name.
    Group(String),
    /// Everybody of whom it is known who they are.
    Any,
    /// Those of whom nothing is known: who come without TLS, where the server takes them (`wserve --insecure`).
    Anonymous,
}

impl Who {
    /// Reads `user alice`, `group ops`, `any` or `anonymous` from the next words.
    pub(super) fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Who> {
        let kind = words.next().unwrap_or_default();
        match kind {
            "any" => return Ok(Who::Any),
            "anonymous" => return Ok(Who::Anonymous),
            _ => {}
        }
        if kind != "user" && kind != "group" {
            let text = "not whom a rule can be about: user NAME, group NAME, any or anonymous";
            return Err(Error::new(Code::Invalid, format!("{kind:?}"), text));
        }
        let Some(name) = words.next() else {
            return Err(Error::new(Code::Invalid, kind, "missing name"));
        };
        check_name(kind, name)?;
        Ok(if kind == "user" { Who::User(name.to_owned()) } else { Who::Group(name.to_owned()) })
    }

    /// `user`, `group`, `any` or `anonymous`.
    pub fn kind(&self) -> &'static str {
        match self {
            Who::User(_) => "user",
            Who::Group(_) => "group",
            Who::Any => "any",
            Who::Anonymous => "anonymous",
        }
    }

    /// The name of the user or group.
    pub fn name(&self) -> Option<&str> {
        match self {
            Who::User(name) | Who::Group(name) => Some(name),
            Who::Any | Who::Anonymous => None,
        }
    }

    fn is(&self, peer: &Peer) -> bool {
        match self {
            Who::User(name) => peer.user.as_ref() == Some(name),
            Who::Group(name) => peer.groups.contains(name),
            Who::Any => peer.how != How::Unknown,
            Who::Anonymous => peer.how == How::Unknown,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

/// A rule: who has which rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// The rights it gives.
    pub rights: Rights,
}

/// A line of the text, kept as it is when the list is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Other(String),
    /// With the comment behind it, as a rule has it.
    Owner(String, String),
    Rule(Rule, String),
}

/// Who may do what in a namespace. `Display` gives the text form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    lines: Vec<Line>,
    /// Who owns the directory.
    uid: Option<u32>,
    /// The login name of who owns the directory.
    login: Option<String>,
    /// Why the list could not be used; then only the owner has rights.
    fault: Option<String>,
}

impl AccessList {
    /// Reads the text form.
    ///
    /// ```
    /// use woof_core::access::{AccessList, Peer, Right};
    /// let list = AccessList::parse("user alice read\n").unwrap();
    /// let alice = Peer::tls("alice", vec![]);
    /// assert!(list.check(&alice, Right::Read).is_ok());
    /// assert_eq!(
    ///     list.check(&alice, Right::Put).unwrap_err().to_string(),
    ///     "user alice has no right to put (rights: read); the owner grants it with wattr"
    /// );
    /// ```
    ///
    /// # Errors
    /// [`Code::Invalid`]; the object is `line N`.
    pub fn parse(text: &str) -> Result<AccessList> {
        let mut list = AccessList::default();
        for (index, line) in text::without_mark(text).lines().enumerate() {
            let parsed = list
                .parse_line(line)
                .map_err(|err| Error::new(Code::Invalid, format!("line {}", index + 1), err.to_string()))?;
            list.lines.push(parsed);
        }
        Ok(list)
    }

    /// A list that cannot be used, and why. Where its text names one owner, that still holds: the owner is to keep all rights.
    pub(super) fn broken(text: &str, fault: String) -> AccessList {
        let list = AccessList::default();
        let parsed = text.lines().filter_map(|line| list.parse_line(line).ok());
        let mut lines: Vec<Line> = parsed.filter(|line| matches!(line, Line::Owner(..))).collect();
        if lines.len() > 1 {
            lines.clear();
        }
        AccessList { lines, fault: Some(fault), ..list }
    }

    fn parse_line(&self, line: &str) -> Result<Line> {
        let comment = line.split_whitespace().position(|word| word.starts_with('#'));
        let count = comment.unwrap_or(usize::MAX);
        let mut words = line.split_whitespace().take(count).peekable();
        let rest = match comment {
            Some(at) => line.split_whitespace().skip(at).collect::<Vec<_>>().join(" "),
            None => String::new(),
        };
        match words.peek() {
            None => Ok(Line::Other(line.to_owned())),
            Some(&"owner") => match Change::parse(words)? {
                Change::Owner(Some(_)) if self.owner().is_some() => {
                    Err(Error::new(Code::Invalid, "", "a second owner: there can be one"))
                }
                Change::Owner(Some(name)) => Ok(Line::Owner(name, rest)),
                _ => Err(Error::new(Code::Invalid, "owner", "missing name")),
            },
            Some(_) => {
                let who = Who::parse(&mut words)?;
                let rights = Rights::parse(words)?;
                if rights.is_empty() {
                    return Err(Error::new(Code::Invalid, who.to_string(), "missing rights"));
                }
                Ok(Line::Rule(Rule { who, rights }, rest))
            }
        }
    }

    /// The same list, of a directory that belongs to this user.
    pub fn owned_by(mut self, uid: Option<u32>, login: Option<String>) -> AccessList {
        (self.uid, self.login) = (uid, login);
        self
    }

    /// The user who is the owner by the list.
    pub fn owner(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| match line {
            Line::Owner(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The number and the login name of the directory's owner, where they are known.
    pub fn directory_owner(&self) -> (Option<u32>, Option<&str>) {
        (self.uid, self.login.as_deref())
    }

    /// The rules, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.lines.iter().filter_map(|line| match line {
            Line::Rule(rule, _) => Some(rule),
            _ => None,
        })
    }

    /// Why the list gives no rights to anybody but the owner, where it could not be read or understood.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether the peer owns the namespace: on the Unix socket the user who owns the directory, and root; over TLS the user whom the
    /// list calls owner, else the one with the login name of the directory's owner.
    pub fn is_owner(&self, peer: &Peer) -> bool {
        match peer.how {
            How::Unix => peer.uid.is_some_and(|uid| uid == 0 || self.uid == Some(uid)),
            How::Tls => {
                let owner = self.owner().or(self.login.as_deref());
                owner.is_some() && owner == peer.user.as_deref()
            }
            How::Unknown => false,
        }
    }

    /// All rights of a peer.
    pub fn rights(&self, peer: &Peer) -> Rights {
        if self.is_owner(peer) {
            return Rights::all();
        }
        if self.fault.is_some() {
            return Rights::NONE;
        }
        let mine = self.rules().filter(|rule| rule.who.is(peer));
        mine.fold(Rights::NONE, |rights, rule| rights.with(rule.rights))
    }

    /// Looks whether the peer has a right.
    ///
    /// # Errors
    /// [`Code::Denied`], naming the peer, the right that is missing and those that are there.
    pub fn check(&self, peer: &Peer, right: Right) -> Result<()> {
        let rights = self.rights(peer);
        if rights.has(right) {
            return Ok(());
        }
        let text = match &self.fault {
            Some(fault) => format!("{peer} has no right to {right}: only the owner has, since {fault}"),
            None => {
                format!("{peer} has no right to {right} (rights: {rights}); the owner grants it with wattr")
            }
        };
        Err(Error::new(Code::Denied, "", text))
    }

    /// Makes a change. Lines that it is not about stay as they are, comments too.
    pub fn change(&mut self, change: &Change) {
        match change {
            Change::Owner(name) => {
                self.lines.retain(|line| !matches!(line, Line::Owner(..)));
                if let Some(name) = name {
                    let first = self.lines.iter().position(|line| matches!(line, Line::Rule(..)));
                    self.lines
                        .insert(first.unwrap_or(self.lines.len()), Line::Owner(name.clone(), String::new()));
                }
            }
            Change::Grant(who, rights) => {
                let rule = self.lines.iter_mut().find_map(|line| match line {
                    Line::Rule(rule, _) if rule.who == *who => Some(rule),
                    _ => None,
                });
                match rule {
                    Some(rule) => rule.rights = rule.rights.with(*rights),
                    None => {
                        let rule = Rule { who: who.clone(), rights: *rights };
                        self.lines.push(Line::Rule(rule, String::new()));
                    }
                }
            }
            Change::Revoke(who, rights) => self.lines.retain_mut(|line| match line {
                Line::Rule(rule, _) if rule.who == *who => {
                    rule.rights = rule.rights.without(*rights);
                    !rule.rights.is_empty()
                }
                _ => true,
            }),
        }
    }
}

impl fmt::Display for AccessList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let (line, comment) = match line {
                Line::Other(text) => (text.clone(), ""),
                Line::Owner(name, comment) => (format!("owner {name}"), comment.as_str()),
                Line::Rule(Rule { who, rights }, comment) => (format!("{who} {rights}"), comment.as_str()),
            };
            let blank = if comment.is_empty() { "" } else { " " };
            writeln!(f, "{line}{blank}{comment}")?;
        }
        Ok(())
    }
}
