//! Attributes: what a woof or a namespace says of itself in a `Dir`.

use crate::content::ContentType;
use crate::wire::{Dir, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// The names that an element of a woof has in predicates; it has no others.
pub const ELEMENT_NAMES: [&str; 11] =
    ["value", "text", "json", "data", "seqno", "time", "size", "name", "path", "type", "content"];

/// The names that woofs and namespaces have in predicates where they are looked for.
pub const FOUND_NAMES: [&str; 29] = [
    "name",
    "path",
    "type",
    "mode",
    "mtime",
    "depth",
    "size",
    "content",
    "elements",
    "first_seqno",
    "next_seqno",
    "history",
    "capacity",
    "element_max",
    "element_size",
    "file_size",
    "disk_size",
    "disk_size_max",
    "sync",
    "synced_seqno",
    "created",
    "first_time",
    "last_time",
    "held",
    "ahead_time",
    "recoveries",
    "last_cut",
    "uid",
    "gid",
];

/// True for the attributes that are times, in nanoseconds since 1970.
pub fn is_time(name: &str) -> bool {
    matches!(
        name,
        "created" | "first_time" | "last_time" | "mtime" | "ahead_time" | "not_after" | "not_before" | "time"
    )
}

/// True for the attributes that are names, which are bytes where they are not UTF-8.
pub fn is_name(name: &str) -> bool {
    matches!(name, "path" | "name")
}

/// The short `Dir` that goes before elements: what they are and where they are from.
///
/// ```
/// use woof_core::{attrs, content::ContentType};
/// let dir = attrs::context("farm/temp", ContentType::F64);
/// assert_eq!(dir.text("name"), Some("temp"));
/// assert!(attrs::is_context(&dir));
/// assert!(!attrs::is_context(&dir.set("elements", 5u64)));
/// ```
pub fn context(name: impl AsRef<OsStr>, content: ContentType) -> Dir {
    named(name.as_ref()).set("type", "woof").set("content", content.as_str())
}

/// The attributes that are names.
pub fn named(name: &OsStr) -> Dir {
    let name = name.as_bytes();
    Dir::new()
        .set("path", Value::of_name(name.to_vec()))
        .set("name", Value::of_name(last_part(name).to_vec()))
}

/// True for a `Dir` that says no more than the elements after it need.
pub fn is_context(dir: &Dir) -> bool {
    dir.attrs.len() == 4
        && dir.text("type") == Some("woof")
        && ["path", "name", "content"].iter().all(|name| dir.name(name).is_some())
}

/// The last component of a name.
fn last_part(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    name.get(..end).and_then(|name| name.rsplit(|byte| *byte == b'/').next()).unwrap_or(name)
}
