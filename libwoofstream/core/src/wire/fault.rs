//! Errors as they travel in a stream.

use crate::error::{Code, Error};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The most bytes of each text of a fault that are written. An error must always be told, so a longer text is clipped rather
/// than refused.
const TEXT_MAX: usize = 16 << 10;

/// An error as it travels. `Display` gives `object: text`. Keys of the map that this version does not know are ignored,
/// those that are missing are empty.
///
/// ```
/// use woof_core::error::{Code, Error};
/// use woof_core::wire::Fault;
/// let fault = Fault::from(&Error::new(Code::NotFound, "farm/temp", "no such woof"));
/// assert_eq!(fault.code, "not-found");
/// assert_eq!(fault.to_string(), "farm/temp: no such woof");
/// assert_eq!(fault.to_error().code(), Code::NotFound);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// The text form of a [`Code`].
    pub code: String,
    /// Who says so: a command, or a command at a host. Empty where nobody filled it in.
    pub origin: String,
    /// What it is about.
    pub object: String,
    /// What went wrong.
    pub text: String,
}

impl Fault {
    /// The error that this is. The origin is not part of it.
    pub fn to_error(&self) -> Error {
        Error::new(Code::parse(&self.code), &*self.object, &*self.text)
    }

    /// The same, with the origin named.
    #[must_use]
    pub fn from_origin(mut self, origin: impl Into<String>) -> Fault {
        self.origin = origin.into();
        self
    }

    /// The MessagePack form, as in `Err` messages: for the protocol.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // What is clipped is within all limits, so nothing here can fail.
        drop(super::structured::encode(super::Kind::ERR, &*self.clipped(), &mut out));
        out
    }

    /// The fault in these bytes.
    pub fn from_bytes(bytes: &[u8]) -> crate::error::Result<Fault> {
        super::structured::decode(super::Kind::ERR, bytes)
            .map_err(|err| Error::new(err.code(), "", format!("a fault is damaged: {}", err.text())))
    }

    /// The same with no text longer than what is written.
    pub(super) fn clipped(&self) -> Cow<'_, Fault> {
        let texts = [&self.code, &self.origin, &self.object, &self.text];
        if texts.iter().all(|text| text.len() <= TEXT_MAX) {
            return Cow::Borrowed(self);
        }
        let [code, origin, object, text] = texts.map(|text| clip(text).to_owned());
        Cow::Owned(Fault { code, origin, object, text })
    }
}

/// The beginning of a text, whole characters only.
fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or(text)
}

impl From<&Error> for Fault {
    fn from(err: &Error) -> Fault {
        Fault {
            code: err.code().as_str().to_owned(),
            origin: String::new(),
            object: err.object().to_owned(),
            text: err.text().to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.object, self.text)
        }
    }
}

impl std::error::Error for Fault {}
