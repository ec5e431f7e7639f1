//! Room on the disk: taken in steps, before anything is stored.

use super::super::format::shared;
use super::*;
use std::os::unix::fs::MetadataExt as _;
use woof_core::error::Code;

fn texts(from: u64, to: u64) -> Vec<(u64, String)> {
    (from..=to).map(|seqno| (seqno, String::from_utf8(content(seqno)).unwrap())).collect()
}

fn put(appender: &mut Appender, seqnos: std::ops::RangeInclusive<u64>) {
    for seqno in seqnos {
        assert_eq!(appender.append(&content(seqno)).unwrap(), seqno);
    }
}

#[test]
fn a_put_that_finds_the_disk_full_stores_nothing_and_the_next_goes_on() {
    for sync in [false, true] {
        let (_dir, path, woof) = woof(&Options { sync, ..Options::default() });
        let mut appender = woof.appender().unwrap();
        woof.fill_disk(true);
        let err = appender.append(b"one").unwrap_err();
        assert_eq!((err.code(), err.text()), (Code::Full, "append after element 0: no space left on device"));
        woof.fill_disk(false);
        put(&mut appender, 1..=500);
        woof.fill_disk(true);
        // As long as the step goes that was taken already.
        let mut last = 500;
        let err = loop {
            match appender.append(&content(last + 1)) {
                Ok(seqno) => last = seqno,
                Err(err) => break err,
            }
        };
        assert_eq!(err.text(), format!("append after element {last}: no space left on device"));
        assert_eq!(read_from(&woof, 1), texts(1, last));
        let again = open(&path).unwrap();
        assert_eq!(read_from(&again, 1), texts(1, last));
        woof.fill_disk(false);
        put(&mut appender, last + 1..=last + 3000);
        put(&mut again.appender().unwrap(), last + 3001..=last + 3100);
        assert_eq!(read_from(&open(&path).unwrap(), 1), texts(1, last + 3100));
    }
}

#[test]
fn only_what_is_written_takes_room_and_all_does_after_a_lap() {
    for (options, most) in [
        (Options { history: 100_000, capacity: 4 << 20, ..Options::default() }, 4 << 20),
        (Options { history: 100_000, capacity: 4 << 20, sync: true, ..Options::default() }, 4 << 20),
        (fixed(1 << 30, 100), 1 << 30),
    ] {
        let (_dir, path, woof) = woof(&options);
        let taken = || path.metadata().unwrap().blocks() * 512;
        assert!(taken() <= 64 << 10, "{}", taken());
        let mut appender = woof.appender().unwrap();
        let data = [7; 100];
        let mut before = taken();
        for _ in 0..20 {
            appender.extend(std::iter::repeat_n(&data[..], 50), |_| {}).unwrap();
            assert!(taken() <= before + (128 << 10), "{} after {before}", taken());
            before = taken();
        }
        let status = woof.status();
        assert_eq!(status.taken, taken());
        assert!(status.taken < status.taken_max && status.taken_max > most);
    }
    let (_dir, path, woof) = woof(&Options { history: 1000, capacity: 256 << 10, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    for _ in 0..3000 {
        appender.append(&[7; 250]).unwrap();
    }
    let status = woof.status();
    assert!(status.taken + (64 << 10) >= status.taken_max, "{status:?}");
    assert!(path.metadata().unwrap().blocks() * 512 <= status.taken_max + (64 << 10));
}

#[test]
fn copies_with_holes_are_read_and_written_whatever_is_a_hole() {
    for sync in [false, true] {
        let options = Options { history: 3000, capacity: 1 << 20, sync, ..Options::default() };
        let (dir, path, woof) = woof(&options);
        let mut appender = woof.appender().unwrap();
        // Payloads of zeros become holes, and so does the entry of the first element.
        appender.append(&[0; 40_000]).unwrap();
        for copied_at in [1, 2, 40, 2000, 9000] {
            for seqno in woof.next_seqno()..=copied_at {
                let long = seqno % 50 == 0;
                appender.append(if long { &[0; 9000] } else { b"short" }).unwrap();
            }
            let image = std::fs::read(&path).unwrap();
            for boot in [false, true] {
                let mut image = image.clone();
                if boot {
                    image[shared::BOOT_ID] ^= 1;
                }
                let copy = open_image(dir.path(), &image).unwrap();
                assert_eq!(read_from(&copy, woof.first_seqno()), read_from(&woof, woof.first_seqno()));
                let mut appender = copy.appender().unwrap();
                for seqno in copied_at + 1..copied_at + 4000 {
                    assert_eq!(appender.append(b"more").unwrap(), seqno);
                }
                let kept = read_from(&copy, copy.first_seqno());
                assert!(kept.iter().rev().take(900).all(|(_, data)| data == "more"));
                assert!(kept.iter().all(|(_, data)| data != "damaged"));
            }
        }
    }
}

#[test]
fn a_woof_of_an_earlier_boot_on_a_full_disk_is_read_as_it_is_and_recovered_later() {
    let (dir, path, woof) = woof(&Options::default());
    put(&mut woof.appender().unwrap(), 1..=100);
    let mut image = std::fs::read(&path).unwrap();
    image[shared::BOOT_ID] ^= 1;
    let copy = dir.path().join("copy");
    write_sparse(&copy, &image);
    super::super::region::DISK_IS_FULL.set(true);
    let found = open(&copy);
    super::super::region::DISK_IS_FULL.set(false);
    let found = found.unwrap();
    assert_eq!(read_from(&found, 1), texts(1, 100));
    // But for the generation of who tried.
    let left = std::fs::read(&copy).unwrap();
    assert!(left[..4096] == image[..4096] && left[8192 + 4096..] == image[8192 + 4096..]);
    assert_eq!(left[shared::NEXT_SEQNO..shared::EVENT], image[shared::NEXT_SEQNO..shared::EVENT]);
    found.fill_disk(true);
    let err = found.appender().err().unwrap();
    assert_eq!((err.code(), err.text()), (Code::Full, "recover: no space left on device"));
    found.fill_disk(false);
    put(&mut found.appender().unwrap(), 101..=200);
    assert_eq!(read_from(&found, 1), texts(1, 200));
    assert_eq!(found.status().recoveries, 1);
}

#[test]
fn shared_words_that_are_a_hole_are_recovered_or_refused() {
    let (dir, path, woof) = woof(&Options::default());
    put(&mut woof.appender().unwrap(), 1..=100);
    let mut image = std::fs::read(&path).unwrap();
    image[4096..8192].fill(0);
    let copy = open_image(dir.path(), &image).unwrap();
    assert_eq!(read_from(&copy, 1), texts(1, 100));
    put(&mut copy.appender().unwrap(), 101..=110);
}
