//! A disk that fails in the middle of a sync: who is told what, then, and after the woof was opened again.

use super::super::format::shared;
use super::super::record::{Recorder, Step};
use super::*;
use std::sync::atomic::Ordering::Relaxed;
use woof_core::error::Code;

const FAILED: &str = "an earlier sync failed, so nothing more is appended: open it again";

#[test]
fn after_a_failed_sync_nobody_is_told_that_something_is_durable_until_it_is_opened_again() {
    let (_dir, path, failing) = woof(&Options { sync: true, ..fixed(20, 31) });
    let other = open(&path).unwrap();
    let (mut a, mut b) = (failing.appender().unwrap(), other.appender().unwrap());
    let mut waiting = other.appender().unwrap();
    assert_eq!(a.append(&content(1)).unwrap(), 1);
    assert_eq!(b.append(&content(2)).unwrap(), 2);
    failing.fail_syncs(true);
    let err = a.append(&content(3)).unwrap_err();
    assert_eq!(err.code(), Code::Io);
    assert_eq!(err.text(), "sync of element 3: input/output error; elements up to 2 are safe");
    failing.fail_syncs(false);
    // The disk works again, and yet: what the kernel takes for clean now may never have been written.
    assert_eq!(a.append(&content(4)).unwrap_err().text(), FAILED);
    assert_eq!(b.append(&content(4)).unwrap_err().text(), FAILED);
    assert_eq!(other.appender().unwrap().append(&content(4)).unwrap_err().text(), FAILED);
    // One that waits for the leader who failed.
    let err = waiting.make_durable(4).unwrap_err();
    assert_eq!((err.code(), err.text()), (Code::Io, "an earlier sync failed"));
    // What was durable before is so still.
    waiting.make_durable(3).unwrap();
    assert_eq!(other.status().synced_seqno, 3);
    // All can be read, and the morning after all is well.
    assert_eq!(read_from(&other, 1).len(), 3);
    let again = open(&path).unwrap();
    let mut c = again.appender().unwrap();
    assert_eq!(c.append(&content(4)).unwrap(), 4);
    assert_eq!(again.status().synced_seqno, 5);
    assert_eq!(read_from(&again, 1).len(), 4);
    assert_eq!(b.append(&content(5)).unwrap_err().text(), FAILED);
    drop((a, b, waiting));
    assert_eq!(open(&path).unwrap().appender().unwrap().append(&content(5)).unwrap(), 5);
}

#[test]
fn what_a_failed_flush_left_is_written_again_and_not_only_flushed() {
    let (_dir, path, failing) = woof(&Options { history: 1000, capacity: 64 << 10, ..Options::default() });
    let mut appender = failing.appender().unwrap();
    // So much that it is flushed as a whole.
    for _ in 0..90 {
        appender.append(&[7; 1000]).unwrap();
    }
    appender.set_sync(true);
    failing.fail_syncs(true);
    assert_eq!(appender.append(b"x").unwrap_err().code(), Code::Io);
    let again = open(&path).unwrap();
    let recorder = Recorder::default();
    again.record_to(recorder.clone());
    let mut appender = again.appender().unwrap();
    appender.set_sync(true);
    appender.append(b"y").unwrap();
    let written: usize =
        recorder.steps().iter().map(|step| if let Step::Durable { len, .. } = step { *len } else { 0 }).sum();
    assert_eq!(written as u64, again.region().map.load(shared::NEXT_POS, Relaxed));
    assert_eq!(again.status().synced_seqno, 93);
    assert_eq!(again.region().map.load(shared::WRITE_AGAIN, Relaxed), 0);
    // An appender that promised nothing goes on.
    assert!(failing.appender().unwrap().append(b"z").is_ok());
}

#[test]
fn in_a_new_boot_all_that_is_there_is_on_the_disk() {
    let (dir, path, failing) = woof(&Options { sync: true, ..fixed(20, 31) });
    failing.fail_syncs(true);
    assert!(failing.appender().unwrap().append(&content(1)).is_err());
    let mut image = std::fs::read(&path).unwrap();
    image[shared::BOOT_ID] ^= 0xff;
    let woof = open_image(dir.path(), &image).unwrap();
    assert_eq!(woof.appender().unwrap().append(&content(2)).unwrap(), 2);
    assert_eq!(woof.region().map.load(shared::WRITE_AGAIN, Relaxed), 0);
}
