//! What a woof or a namespace of this machine says of itself in a `Dir`.

use rustix::fs::Stat;
use std::ffi::OsStr;
use woof_core::attrs::{context, named};
use woof_core::wire::Dir;
use woof_log::{Status, Woof};

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
pub fn stat_of(woof: &Woof, name: impl AsRef<OsStr>) -> Dir {
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

#[cfg(test)]
mod tests {
    use super::*;
    use woof_core::attrs::{ELEMENT_NAMES, FOUND_NAMES};
    use woof_log::{self as log, Options};

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
