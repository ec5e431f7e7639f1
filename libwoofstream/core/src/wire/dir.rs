//! Attributes of a file, a tree or a woof.

use super::{Kind, Value, structured, value};
use crate::error::Result;
use crate::limits;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Attributes by name, kept in order of the names so that the same `Dir` is the same bytes.
///
/// ```
/// use woof_core::wire::Dir;
/// let dir = Dir::new().set("name", "farm/temp").set("size", 4096u64);
/// assert_eq!(dir.text("name"), Some("farm/temp"));
/// assert_eq!(dir.uint("size"), Some(4096));
/// assert_eq!(dir.text("size"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Dir {
    /// The attributes.
    pub attrs: BTreeMap<String, Value>,
}

impl Dir {
    /// No attributes.
    pub fn new() -> Dir {
        Dir::default()
    }

    /// The same with one attribute more, or another value for one.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Dir {
        self.attrs.insert(name.into(), value.into());
        self
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attrs.get(name)
    }

    /// An attribute that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attrs.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of an attribute that is a name: text, or bytes where the name is not UTF-8.
    pub fn name(&self, name: &str) -> Option<&[u8]> {
        match self.attrs.get(name)? {
            Value::Text(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An attribute that is an integer and fits.
    pub fn int(&self, name: &str) -> Option<i64> {
        match *self.attrs.get(name)? {
            Value::Int(value) => Some(value),
            Value::UInt(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// An attribute that is an integer and not negative.
    pub fn uint(&self, name: &str) -> Option<u64> {
        match *self.attrs.get(name)? {
            Value::Int(value) => u64::try_from(value).ok(),
            Value::UInt(value) => Some(value),
            _ => None,
        }
    }

    /// Whether readers take it: not nested too deep. How large it is, only its encoding tells.
    pub(super) fn check_depth(&self) -> Result<()> {
        // The map of the attributes is the first level.
        if self.attrs.values().all(|value| value.fits(limits::STRUCTURED_DEPTH_MAX - 1)) {
            Ok(())
        } else {
            Err(structured::too_deep(Kind::DIR))
        }
    }

    /// Reads the payload of a `Dir` message.
    ///
    /// # Errors
    /// [`crate::error::Code::Damaged`] where it is no map with text as keys, [`crate::error::Code::TooLarge`] where it is over
    /// [`crate::limits::STRUCTURED_MAX`] or nested deeper than [`crate::limits::STRUCTURED_DEPTH_MAX`].
    pub fn decode(payload: &[u8]) -> Result<Dir> {
        structured::decode(Kind::DIR, payload)
    }
}

impl Serialize for Dir {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(&self.attrs)
    }
}

impl<'de> Deserialize<'de> for Dir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Dir, D::Error> {
        struct DirVisitor;
        impl<'de> Visitor<'de> for DirVisitor {
            type Value = Dir;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Dir, A::Error> {
                value::read_map(map).map(|attrs| Dir { attrs })
            }
        }
        deserializer.deserialize_map(DirVisitor)
    }
}
