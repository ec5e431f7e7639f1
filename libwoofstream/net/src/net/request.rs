//! Requests: MessagePack maps with a `verb` and what it needs. Keys that this version does not know are ignored.
//!
//! Failure contract: what is no request is [`Code::Damaged`]; a verb that is not known is [`Code::Unsupported`] and named.

use serde::{Deserialize, Serialize};
use std::io::Cursor;
use woof_core::error::{Code, Error, Result};
use woof_core::limits;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase")]
pub enum Request {
    /// Makes a woof.
    Create(Create),
    /// Makes a directory a namespace.
    Namespace(Named),
    /// Appends elements.
    Put(Put),
    /// Sends elements, and those to come.
    Read(Read),
    /// Tells the attributes of a woof.
    Stat(Named),
    /// Tells what is at and below a place.
    Find(Find),
    /// Removes a woof.
    Remove(Named),
    /// Has the times of a woof begin anew with the server's clock.
    Clock(Named),
    /// Tells or changes the access list of a namespace.
    Access(Access),
    /// Runs a handler of a namespace on what the client sends.
    Run(Run),
}

/// A name and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Within the server: `namespace/name`.
    pub name: String,
}

/// How a woof is to be made; as [`woof_core::options::Options`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Create {
    /// Its name within the server.
    pub name: String,
    /// Elements to keep.
    pub history: u64,
    /// Bytes to keep.
    pub capacity: u64,
    /// The largest element, when it is bounded.
    pub element_size: Option<u64>,
    /// The content type, by its name.
    pub content: String,
    /// Every append is durable before it is acknowledged.
    pub sync: bool,
    /// Replace one that is there.
    pub reset: bool,
    /// Make directories that are missing.
    pub parents: bool,
}

/// What is to be put.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Put {
    /// The woof's name within the server.
    pub name: String,
    /// The writer id of the stamps.
    pub writer: u64,
    /// What the data is, by the name of its content type.
    pub content: String,
    /// Durable before it is acknowledged.
    pub sync: bool,
    /// Make the woof if it is not there, of this content type.
    pub create: Option<String>,
    /// Elements of this writer can be there already, from this seqno on.
    pub resume: Option<u64>,
    /// The writer is a kept position, and sends elements with writer sequences over this one. Others may have put some of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// When the woof was made that this put began with, in nanoseconds since 1970.
    pub made: Option<u64>,
    /// The handler that the elements are put for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// How many handlers led to this put.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u8,
    /// What the handler was given with its depth, where it is one of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
    /// The elements have times of their own.
    #[serde(skip_serializing_if = "is_false")]
    pub times: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(value: &u8) -> bool {
    *value == 0
}

/// What is to be read; as [`woof_space::Selection`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Read {
    /// The woof's name within the server.
    pub name: String,
    /// The first element; negative: counted from the newest.
    pub from: Option<i64>,
    /// The last element; negative: counted from the newest.
    pub to: Option<i64>,
    /// A range was asked for, though both of its ends may be open.
    pub range: bool,
    /// Not before this time, in nanoseconds since 1970.
    pub since: Option<u64>,
    /// Not after this time.
    pub until: Option<u64>,
    /// A predicate.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// What `now` is in it, in nanoseconds since 1970.
    pub now: u64,
    /// Only the newest so many.
    pub last: Option<u64>,
    /// Stop after so many.
    pub limit: Option<u64>,
    /// Go on with those to come.
    pub follow: bool,
    /// When the woof was made that an earlier answer was of.
    pub made: Option<u64>,
}

/// What is to be found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Find {
    /// Where to look, within the server; empty: everywhere.
    pub name: String,
    /// A predicate.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// What `now` is in it.
    pub now: u64,
    /// Send the elements of the woofs too.
    pub get: bool,
}

/// The access list of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// The namespace.
    pub name: String,
    /// What to change in it, in its text form: `grant user alice read put`.
    pub change: Option<String>,
}

/// What is to be run; as [`woof_space::Call`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The namespace.
    pub name: String,
    /// The handler's file name.
    pub handler: String,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// How many handlers led to this.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u8,
    /// The woof of the element that it is run for, as the client calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub woof: Option<String>,
    /// The element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seqno: Option<u64>,
    /// When it was put, in nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

impl Request {
    /// The bytes of this request.
    ///
    /// # Errors
    /// [`Code::TooLarge`] over [`limits::REQUEST_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        let bytes = rmp_serde::to_vec_named(self)
            .map_err(|err| Error::new(Code::Invalid, "", format!("request: {err}")))?;
        if bytes.len() > limits::REQUEST_MAX {
            let text = format!("request of {} bytes, the limit is {}", bytes.len(), limits::REQUEST_MAX);
            return Err(Error::new(Code::TooLarge, "", text));
        }
        Ok(bytes)
    }

    /// The request in these bytes.
    ///
    /// ```
    /// use woof_net::net::{Named, Request};
    /// let request = Request::Stat(Named { name: "farm/temp".to_owned() });
    /// assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), request);
    /// ```
    ///
    /// # Errors
    /// [`Code::Damaged`] and [`Code::Unsupported`].
    pub fn decode(bytes: &[u8]) -> Result<Request> {
        #[derive(Deserialize)]
        struct Verb {
            verb: String,
        }
        read(bytes).map_err(|err| match read::<Verb>(bytes) {
            Ok(Verb { verb }) if !KNOWN.contains(&&*verb) => {
                let verb = woof_core::content::quoted(verb.as_bytes());
                Error::new(Code::Unsupported, "", format!("the server knows no request {verb}"))
            }
            _ => Error::new(Code::Damaged, "", format!("damaged request: {err}")),
        })
    }

    /// The name it is about.
    pub fn name(&self) -> &str {
        match self {
            Request::Create(create) => &create.name,
            Request::Namespace(named)
            | Request::Stat(named)
            | Request::Remove(named)
            | Request::Clock(named) => &named.name,
            Request::Put(put) => &put.name,
            Request::Read(read) => &read.name,
            Request::Find(find) => &find.name,
            Request::Access(access) => &access.name,
            Request::Run(run) => &run.name,
        }
    }

    /// Its verb.
    pub fn verb(&self) -> &'static str {
        match self {
            Request::Create(_) => "create",
            Request::Namespace(_) => "namespace",
            Request::Put(_) => "put",
            Request::Read(_) => "read",
            Request::Stat(_) => "stat",
            Request::Find(_) => "find",
            Request::Remove(_) => "remove",
            Request::Clock(_) => "clock",
            Request::Access(_) => "access",
            Request::Run(_) => "run",
        }
    }

    /// Whether doing it twice is the same as doing it once, so that it may be sent before the other side is known to be
    /// fresh.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Request::Put(_) | Request::Read(_) | Request::Stat(_) | Request::Find(_) => true,
            Request::Access(access) => access.change.is_none(),
            Request::Create(_)
            | Request::Namespace(_)
            | Request::Remove(_)
            | Request::Clock(_)
            | Request::Run(_) => false,
        }
    }
}

const KNOWN: [&str; 10] =
    ["create", "namespace", "put", "read", "stat", "find", "remove", "clock", "access", "run"];

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> std::result::Result<T, String> {
    let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(bytes));
    deserializer.set_max_depth(limits::STRUCTURED_DEPTH_MAX);
    let value = T::deserialize(&mut deserializer).map_err(|err| err.to_string())?;
    let used = deserializer.position();
    if used < bytes.len() as u64 { Err("bytes after its value".to_owned()) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_reads_back() {
        let name = || "farm/temp".to_owned();
        let named = || Named { name: name() };
        for request in [
            Request::Create(Create {
                name: name(),
                history: 5,
                content: "f64".to_owned(),
                ..Create::default()
            }),
            Request::Namespace(named()),
            Request::Put(Put {
                name: name(),
                writer: u64::MAX,
                resume: Some(7),
                depth: 3,
                seal: Some("5ea1".to_owned()),
                times: true,
                ..Put::default()
            }),
            Request::Read(Read {
                name: name(),
                from: Some(-10),
                filter: Some("value > 3".to_owned()),
                ..Read::default()
            }),
            Request::Stat(named()),
            Request::Find(Find { name: String::new(), get: true, ..Find::default() }),
            Request::Remove(named()),
            Request::Clock(named()),
            Request::Access(Access { name: name(), change: Some("grant any read".to_owned()) }),
            Request::Run(Run { name: name(), handler: "double.sh".to_owned(), ..Run::default() }),
            Request::Run(Run {
                name: name(),
                handler: "double.sh".to_owned(),
                args: vec!["-n".to_owned(), String::new()],
                depth: 15,
                woof: Some(name()),
                seqno: Some(u64::MAX),
                time: Some(1),
            }),
        ] {
            let bytes = request.encode().unwrap();
            assert_eq!(Request::decode(&bytes).unwrap(), request);
            assert!(KNOWN.contains(&request.verb()));
            for len in 0..bytes.len() {
                assert!(Request::decode(&bytes[..len]).is_err());
            }
        }
    }

    #[test]
    fn keys_of_the_future_are_ignored_and_verbs_are_named() {
        #[derive(Serialize)]
        struct Later {
            verb: &'static str,
            name: &'static str,
            colour: u8,
        }
        let encode = |verb| rmp_serde::to_vec_named(&Later { verb, name: "farm", colour: 3 }).unwrap();
        assert_eq!(
            Request::decode(&encode("stat")).unwrap(),
            Request::Stat(Named { name: "farm".to_owned() })
        );
        let err = Request::decode(&encode("paint")).unwrap_err();
        assert_eq!(err.to_string(), "the server knows no request \"paint\"");
        assert_eq!(err.code(), Code::Unsupported);
        assert_eq!(Request::decode(b"\xc1").unwrap_err().code(), Code::Damaged);
        assert_eq!(Request::decode(b"").unwrap_err().code(), Code::Damaged);
    }
}
