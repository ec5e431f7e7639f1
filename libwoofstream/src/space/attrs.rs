//! Attributes: what a woof or a namespace says of itself in a `Dir`.

use crate::log::{Status, Woof};
use crate::predicate::{AttrRef, Attributes};
use crate::wire::{Dir, Value};
use rustix::fs::Stat;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

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
fn is_name(name: &str) -> bool {
    matches!(name, "path" | "name")
}

impl Attributes for Dir {
    fn attr(&self, name: &str) -> Option<AttrRef<'_>> {
        match self.attrs.get(name)? {
            Value::Bool(value) => Some(AttrRef::Bool(*value)),
            // Integers that fit are kept as signed ones, whatever they were made of.
            Value::Int(value) if is_time(name) => Some(AttrRef::Time(u64::try_from(*value).unwrap_or(0))),
            Value::UInt(value) if is_time(name) => Some(AttrRef::Time(*value)),
            Value::Int(value) => Some(AttrRef::Int(*value)),
            Value::UInt(value) => Some(AttrRef::UInt(*value)),
            Value::Float(value) => Some(AttrRef::Float(*value)),
            Value::Text(text) => Some(AttrRef::Text(text)),
            Value::Bytes(bytes) if is_name(name) => Some(AttrRef::Name(bytes)),
            Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// The short `Dir` that goes before elements: what they are and where they are from.
///
/// ```
/// use libwoofstream::{content::ContentType, space};
/// let dir = space::context("farm/temp", ContentType::F64);
/// assert_eq!(dir.text("name"), Some("temp"));
/// assert!(space::is_context(&dir));
/// assert!(!space::is_context(&dir.set("elements", 5u64)));
/// ```
pub fn context(name: impl AsRef<OsStr>, content: crate::content::ContentType) -> Dir {
    named(name.as_ref()).set("type", "woof").set("content", content.as_str())
}

/// The attributes that are names.
fn named(name: &OsStr) -> Dir {
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

/// The whole `Dir` of a woof.
fn of_woof(name: &OsStr, status: &Status, stat: Option<&Stat>) -> Dir {
    let options = &status.options;
    let mut dir = context(name, options.content)
        .set("size", status.used)
        .set("elements", status.next_seqno.saturating_sub(status.first_seqno))
        .set("first_seqno", status.first_seqno)
        .set("next_seqno", status.next_seqno)
        .set("history", options.history)
        .set("capacity", options.capacity)
        .set("element_max", status.element_max)
        .set("file_size", status.file_len)
        .set("disk_size", status.taken)
        .set("disk_size_max", status.taken_max)
        .set("sync", options.sync)
        .set("created", status.created_ns)
        .set("mtime", status.last_time_ns.unwrap_or(status.created_ns));
    if let Some(size) = options.element_size {
        dir = dir.set("element_size", size);
    }
    if let (Some(first), Some(last)) = (status.first_time_ns, status.last_time_ns) {
        dir = dir.set("first_time", first).set("last_time", last);
    }
    if status.synced_seqno > 1 {
        dir = dir.set("synced_seqno", status.synced_seqno);
    }
    if let Some(held) = status.held {
        dir = dir.set("held", held);
    }
    if let Some(ahead) = status.ahead_ns {
        dir = dir.set("ahead_time", ahead);
    }
    if status.recoveries > 0 {
        dir = dir.set("recoveries", status.recoveries).set("last_cut", status.last_cut);
    }
    with_owner(dir, stat)
}

/// The whole `Dir` of a woof that is open.
pub(crate) fn stat_of(woof: &Woof, name: impl AsRef<OsStr>) -> Dir {
    of_woof(name.as_ref(), &woof.status(), woof.stat().ok().as_ref())
}

/// The `Dir` of a namespace.
pub(super) fn of_namespace(name: &OsStr, stat: Option<&Stat>) -> Dir {
    let dir = named(name).set("type", "namespace");
    let mtime = |stat: &Stat| {
        u64::try_from(stat.st_mtime).ok()?.checked_mul(1_000_000_000)?.checked_add(stat.st_mtime_nsec)
    };
    let dir = match stat.and_then(mtime) {
        Some(mtime) => dir.set("mtime", mtime),
        None => dir,
    };
    with_owner(dir, stat)
}

fn with_owner(dir: Dir, stat: Option<&Stat>) -> Dir {
    match stat {
        Some(stat) => dir
            .set("mode", u64::from(stat.st_mode & 0o7777))
            .set("uid", u64::from(stat.st_uid))
            .set("gid", u64::from(stat.st_gid)),
        None => dir,
    }
}

/// The last component of a name.
fn last_part(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    name.get(..end).and_then(|name| name.rsplit(|byte| *byte == b'/').next()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{self, Options};

    #[test]
    fn what_woofs_and_elements_have_are_the_names_that_are_known() {
        let dir = woof_kit::tempdir().unwrap();
        let path = dir.path().join("temp");
        log::create(&path, &Options { element_size: Some(8), ..Options::default() }).unwrap();
        let woof = log::open(&path).unwrap();
        woof.appender().unwrap().append(b"x").unwrap();
        let stat = rustix::fs::stat(&path).unwrap();
        let status =
            Status { recoveries: 1, synced_seqno: 2, held: Some(1), ahead_ns: Some(1), ..woof.status() };
        let found = of_woof("temp".as_ref(), &status, Some(&stat));
        assert_eq!(found.attrs.len() + 1, FOUND_NAMES.len(), "all of them, and the depth");
        let place = of_namespace("farm".as_ref(), Some(&stat));
        for name in found.attrs.keys().chain(place.attrs.keys()) {
            assert!(FOUND_NAMES.contains(&&**name), "{name}");
        }
        for name in context("temp", woof.options().content).attrs.keys() {
            assert!(ELEMENT_NAMES.contains(&&**name), "{name}");
        }
    }
}
