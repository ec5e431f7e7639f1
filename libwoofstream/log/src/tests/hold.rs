//! Holds: what is held is not forgotten, by nobody, whatever is killed.

use super::super::format::shared;
use super::super::lock::{Slot, Taken};
use super::super::record::{Recorder, Step, image_after_kill, image_after_power_loss};
use super::crash::Random;
use super::*;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

fn full(oldest: u64) -> String {
    format!("woof is full of elements whose handlers are not done: the oldest is {oldest}")
}

#[test]
fn a_woof_with_an_element_size_takes_its_history_of_held_elements_and_no_more() {
    for history in [1, 5, 100, 200] {
        let (_dir, _path, woof) = woof(&fixed(history, 31));
        let mut appender = woof.appender().unwrap();
        for _ in 0..7 {
            appender.append(b"before").unwrap();
        }
        assert_eq!(woof.held(), None);
        assert_eq!(woof.hold(Some(8)).unwrap(), 8);
        let (mut runs, data) = (0, [7u8; 31]);
        let items = std::iter::repeat_n(data.as_slice(), 500);
        let err = appender.extend(items, |run| runs += run.count).unwrap_err();
        assert_eq!((err.code(), err.text()), (woof_core::error::Code::Full, full(8).as_str()));
        assert_eq!(runs, history, "what has room goes in");
        assert_eq!((woof.first_seqno(), woof.next_seqno()), (8, 8 + history));
        // One is done: one more has room.
        woof.raise_hold(9);
        assert_eq!(appender.append(b"x").unwrap(), 8 + history);
        assert_eq!(appender.append(b"x").unwrap_err().text(), full(9));
        // What is not held any more is forgotten as ever.
        assert_eq!(woof.hold(None).unwrap(), 0);
        assert_eq!(appender.append(b"x").unwrap(), 9 + history);
        assert_eq!(woof.first_seqno(), 10);
    }
}

#[test]
fn without_an_element_size_the_bytes_of_held_elements_count() {
    let (_dir, _path, woof) = woof(&Options { history: 1000, capacity: 4096, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    let ring_len = woof.region().geometry.ring_len;
    woof.hold(Some(1)).unwrap();
    let mut count = 0;
    let err = loop {
        match appender.append(&[1; 900]) {
            Ok(_) => count += 1,
            Err(err) => break err,
        }
    };
    assert_eq!(err.text(), full(1));
    assert_eq!(count, ring_len / 944);
    // A smaller one may still have room.
    assert_eq!(appender.append(b"x").unwrap(), count + 1);
    woof.raise_hold(2);
    assert_eq!(appender.append(&[1; 900]).unwrap(), count + 2);
    assert_eq!(read_from(&woof, 2).len() as u64, count + 1);
}

#[test]
fn a_hold_is_of_what_is_kept_and_only_rises() {
    let (_dir, path, woof) = woof(&fixed(5, 31));
    let mut appender = woof.appender().unwrap();
    woof.raise_hold(3);
    assert_eq!(woof.held(), None);
    for _ in 0..9 {
        appender.append(b"x").unwrap();
    }
    assert_eq!(woof.hold(Some(2)).unwrap(), 5, "elements 1 to 4 are forgotten");
    assert_eq!(woof.hold(Some(99)).unwrap(), 10);
    woof.hold(Some(7)).unwrap();
    woof.raise_hold(6);
    assert_eq!(woof.held(), Some(7));
    woof.raise_hold(9);
    assert_eq!(open(&path).unwrap().held(), Some(9));
    // What is put in the place of a woof is held from its first element on.
    reset(&path, &fixed(5, 31)).unwrap();
    assert_eq!(open(&path).unwrap().held(), Some(1));
    assert_eq!(woof.hold(Some(9)).unwrap_err().text(), "the woof was reset meanwhile");
}

#[test]
fn an_append_waits_for_handlers_as_long_as_it_is_told() {
    let (_dir, path, woof) = woof(&fixed(2, 31));
    woof.hold(Some(1)).unwrap();
    let mut appender = woof.appender().unwrap();
    appender.extend([b"a".as_slice(), b"b"], |_| {}).unwrap();
    appender.set_wait(Duration::from_millis(30));
    assert_eq!(appender.append(b"c").unwrap_err().text(), full(1));
    appender.set_wait(Duration::from_secs(600));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || appender.append(b"c").unwrap());
        // Whether it sleeps by then or not, it goes on.
        std::thread::sleep(Duration::from_millis(20));
        open(&path).unwrap().raise_hold(2);
        assert_eq!(waiting.join().unwrap(), 3);
    });
}

/// Holds, and raises the hold now and then, while elements are appended; notes the hold as it was acknowledged.
fn held(options: &Options, count: u64) -> (Vec<u8>, Vec<Step>) {
    let (_dir, path, woof) = woof(options);
    let start = std::fs::read(&path).unwrap();
    let recorder = Recorder::default();
    woof.record_to(recorder.clone());
    let mut appender = woof.appender().unwrap();
    let (mut next, mut hold, mut random) = (1, 0, Random(count));
    while next <= count {
        match appender.append(&content(next)) {
            Ok(_) => next += 1,
            Err(_) => {
                hold += 1 + random.below(3) as u64;
                woof.raise_hold(hold.min(next));
                hold = hold.min(next);
            }
        }
        if next == 5 && hold == 0 {
            hold = woof.hold(Some(4)).unwrap();
            recorder.note(hold);
        }
    }
    (start, recorder.steps())
}

#[test]
fn killed_or_without_power_at_any_store_nothing_is_forgotten_that_is_held() {
    let dir = dir();
    let mut random = Random(20_261_124);
    let variable = Options { history: 12, capacity: 4096, ..Options::default() };
    for options in [fixed(6, 31), variable, Options { sync: true, ..fixed(6, 31) }] {
        let (start, steps) = held(&options, 60);
        for after in 0..=steps.len() {
            let noted = steps[..after].iter().any(|step| matches!(step, Step::Note(_)));
            let check = |image: &[u8], killed: bool, what: &str| {
                let woof = open_image(dir.path(), image).unwrap();
                let Some(hold) = woof.held() else {
                    assert!(!noted, "{what}: the hold is lost");
                    return;
                };
                // After a power loss the hold may be one of before, of which some was forgotten since.
                assert!(hold <= woof.next_seqno(), "{what}");
                assert!(!killed || woof.first_seqno() <= hold, "{what}");
                let first = hold.max(woof.first_seqno());
                for (seqno, data) in read_from(&woof, first) {
                    assert_eq!(data.as_bytes(), content(seqno), "{what}");
                }
                let mut appender = woof.appender().unwrap();
                let (mut next, oldest) = (woof.next_seqno(), woof.held().unwrap());
                while let Ok(seqno) = appender.append(&content(next)) {
                    assert_eq!(seqno, next, "{what}");
                    next += 1;
                    assert!(next <= oldest + options.history, "{what}");
                }
                assert!(woof.first_seqno() <= first, "{what}");
                assert_eq!(read_from(&woof, first).len() as u64, next - first, "{what}");
            };
            check(
                &image_after_kill(&start, &steps, after),
                true,
                &format!("{options:?}, killed after {after}"),
            );
            if after % 3 == 0 {
                let mut image = image_after_power_loss(&start, &steps, after, |_, from, to| {
                    from + random.below(to - from + 1)
                });
                image[shared::BOOT_ID] ^= 0xff;
                check(&image, false, &format!("{options:?}, power lost after {after}"));
            }
        }
    }
}

#[test]
fn numbers_that_a_power_loss_gives_out_again_are_held() {
    let (dir, path, woof) = woof(&fixed(20, 31));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=3 {
        appender.append(&content(seqno)).unwrap();
    }
    let mut image = std::fs::read(&path).unwrap();
    for seqno in 4..=9 {
        appender.append(&content(seqno)).unwrap();
    }
    woof.hold(Some(8)).unwrap();
    let after = std::fs::read(&path).unwrap();
    // The page of the shared words was flushed, that of the records was not.
    image[4096..8192].copy_from_slice(&after[4096..8192]);
    image[shared::BOOT_ID] ^= 0xff;
    let recovered = open_image(dir.path(), &image).unwrap();
    assert_eq!((recovered.next_seqno(), recovered.held()), (4, Some(4)));
}

#[test]
fn a_flush_of_a_hold_that_fails_is_a_failed_sync() {
    let (_dir, path, failing) = woof(&Options { sync: true, ..fixed(20, 31) });
    let mut appender = failing.appender().unwrap();
    appender.append(&content(1)).unwrap();
    failing.fail_syncs(true);
    let err = failing.hold(Some(1)).unwrap_err();
    assert_eq!(err.text(), "hold its elements: input/output error");
    failing.fail_syncs(false);
    // The pages of elements that were written meanwhile went with it, for all the kernel says.
    let refusal = appender.append(&content(2)).unwrap_err();
    assert_eq!(refusal.text(), "an earlier sync failed, so nothing more is appended: open it again");
    let again = open(&path).unwrap();
    assert_eq!(again.region().map.load(shared::WRITE_AGAIN, Relaxed), 1);
    assert_eq!(again.hold(Some(1)).unwrap(), 1);
    assert_eq!(
        again.region().map.load(shared::WRITE_AGAIN, Relaxed),
        1,
        "only the ring was not written again"
    );
    assert_eq!(again.appender().unwrap().append(&content(2)).unwrap(), 2);
    assert_eq!(again.region().map.load(shared::WRITE_AGAIN, Relaxed), 0);
}

#[test]
fn a_hold_that_takes_the_lock_of_a_dead_writer_wakes_its_followers() {
    let (_dir, _path, woof) = woof(&fixed(20, 31));
    let map = &woof.region().map;
    let seen = map.load32(shared::EVENT, Relaxed);
    let dead = Slot::take(map, &woof.region().file).unwrap();
    assert_eq!(dead.lock(map, shared::APPEND_LOCK), Taken::Clean);
    drop(dead);
    woof.hold(Some(1)).unwrap();
    assert_ne!(map.load32(shared::EVENT, Relaxed), seen, "a follower of what it published would sleep on");
    assert_eq!(woof.appender().unwrap().append(b"one").unwrap(), 1);
}
