//! MessagePack for the structured messages (`Dir`, `Addr`, `Err`, the status of the end), within limits.
//!
//! Failure contract: what is over [`limits::STRUCTURED_MAX`] or nested deeper than [`limits::STRUCTURED_DEPTH_MAX`] is
//! [`Code::TooLarge`], both ways; what is no such message is [`Code::Damaged`]. Lengths claimed inside take no memory.

use super::Kind;
use crate::error::{Code, Error, Result};
use crate::limits;
use serde::{Serialize, de::DeserializeOwned};
use std::io::Cursor;

/// Reads the one value that `payload` is.
pub(super) fn decode<T: DeserializeOwned>(kind: Kind, payload: &[u8]) -> Result<T> {
    if payload.len() > limits::STRUCTURED_MAX {
        return Err(too_large(kind, payload.len()));
    }
    let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(payload));
    deserializer.set_max_depth(limits::STRUCTURED_DEPTH_MAX);
    let value = T::deserialize(&mut deserializer).map_err(|err| match err {
        rmp_serde::decode::Error::DepthLimitExceeded => too_deep(kind),
        err => Error::new(Code::Damaged, "", format!("{} message is damaged: {}", kind.name(), reason(&err))),
    })?;
    let used = usize::try_from(deserializer.position()).unwrap_or(usize::MAX);
    if used < payload.len() {
        let rest = payload.len() - used;
        return Err(Error::new(
            Code::Damaged,
            "",
            format!("{} message is damaged: {rest} bytes after its value", kind.name()),
        ));
    }
    Ok(value)
}

/// Appends `value` to `out`, which is left as it was on an error. How deep it is nested, the caller looks at.
pub(super) fn encode<T: Serialize>(kind: Kind, value: &T, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    let mut serializer = rmp_serde::Serializer::new(&mut *out).with_struct_map();
    let result = value
        .serialize(&mut serializer)
        .map_err(|err| Error::new(Code::Invalid, "", format!("{} message: {err}", kind.name())));
    let len = out.len() - start;
    let result =
        result.and_then(|()| if len > limits::STRUCTURED_MAX { Err(too_large(kind, len)) } else { Ok(()) });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The words of a MessagePack error, in one line.
fn reason(err: &rmp_serde::decode::Error) -> String {
    use rmp_serde::decode::Error as E;
    match err {
        E::InvalidMarkerRead(_) | E::InvalidDataRead(_) => "it ends early".to_owned(),
        E::TypeMismatch(_) => "a value is of another type".to_owned(),
        E::Utf8Error(_) => "a text is not UTF-8".to_owned(),
        err => err.to_string(),
    }
}

fn too_large(kind: Kind, len: usize) -> Error {
    let max = limits::STRUCTURED_MAX;
    Error::new(Code::TooLarge, "", format!("{} message is {len} bytes, the limit is {max}", kind.name()))
}

pub(super) fn too_deep(kind: Kind) -> Error {
    let max = limits::STRUCTURED_DEPTH_MAX;
    Error::new(Code::TooLarge, "", format!("{} message is nested deeper than {max}", kind.name()))
}

#[cfg(test)]
#[path = "structured_tests.rs"]
mod tests;
