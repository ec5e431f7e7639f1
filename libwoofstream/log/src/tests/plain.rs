//! Plain use: what goes in comes out, in order, within the bounds of the woof.

use super::*;
use woof_core::content::ContentType;
use woof_core::error::Code;

#[test]
fn elements_come_back_in_order_with_times_that_never_go_back() {
    let (_dir, _path, woof) = woof(&Options::default());
    let mut appender = woof.appender().unwrap();
    assert_eq!(appender.append(b"").unwrap(), 1);
    assert_eq!(appender.append(b"a\0b").unwrap(), 2);
    // A clock that was a year ahead and is set right again.
    let ahead = woof_core::sys::now_ns() + 31_536_000_000_000_000;
    set_last_time(&woof, ahead);
    assert_eq!(appender.append(&[0xff; 300]).unwrap(), 3);
    let mut cursor = woof.cursor(1);
    let mut last = 0;
    for expected in [&b""[..], b"a\0b", &[0xff; 300]] {
        let Some(Item::Elem { time_ns, data, .. }) = cursor.next() else { panic!("an element is missing") };
        assert_eq!(data, expected);
        assert!(time_ns >= last);
        last = time_ns;
    }
    assert_eq!(last, ahead);
    assert_eq!(cursor.next(), None);
    assert_eq!(woof.seqno_at(ahead).unwrap(), 3);
    assert_eq!(woof.seqno_at(0).unwrap(), 1);
    assert_eq!(woof.seqno_at(u64::MAX).unwrap(), 4);
}

#[test]
fn with_an_element_size_exactly_the_newest_history_is_kept() {
    for history in [1, 5, 100] {
        let (_dir, _path, woof) = woof(&fixed(history, 31));
        let mut appender = woof.appender().unwrap();
        for seqno in 1..=400 {
            assert_eq!(appender.append(&content(seqno)).unwrap(), seqno);
            assert_eq!(woof.first_seqno(), seqno.saturating_sub(history) + 1, "history {history}");
        }
        let kept = read_from(&woof, 400 - history + 1);
        assert_eq!(kept.len() as u64, history);
        for (seqno, data) in kept {
            assert_eq!(data.as_bytes(), content(seqno));
        }
    }
}

#[test]
fn without_an_element_size_all_that_fits_the_capacity_is_kept() {
    let options = Options { history: 50, capacity: 4096, ..Options::default() };
    let (_dir, _path, woof) = woof(&options);
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=300u64 {
        let len = (seqno * 37 % 1024) as usize;
        appender.append(&vec![b'y'; len]).unwrap();
        let (mut bytes, mut expected) = (0, 0);
        for older in (1..=seqno).rev() {
            bytes += older * 37 % 1024;
            if bytes > 4096 || expected == 50 {
                break;
            }
            expected += 1;
        }
        let kept = woof.next_seqno() - woof.first_seqno();
        assert!(kept >= expected && kept <= 50, "after {seqno}: {kept} kept, {expected} expected");
    }
    assert_eq!(appender.element_max(), 1024);
    let err = appender.append(&[0; 1025]).unwrap_err();
    assert_eq!(err.code(), Code::TooLarge);
    assert_eq!(
        err.text(),
        "element is 1025 bytes, the limit of this woof is 1024 (a quarter of its capacity, set with wcreate --capacity)"
    );
}

#[test]
fn a_batch_is_appended_in_order_and_stops_before_an_element_that_does_not_fit() {
    let (_dir, _path, woof) = woof(&fixed(1000, 16));
    let mut appender = woof.appender().unwrap();
    let items: Vec<Vec<u8>> = (1..=200).map(|n: u64| n.to_string().into_bytes()).collect();
    let mut runs = Vec::new();
    appender.extend(items.iter().map(Vec::as_slice), |run| runs.push(run)).unwrap();
    assert_eq!(runs.iter().map(|run| run.count).sum::<u64>(), 200);
    assert_eq!(runs[0], Run { first: 1, count: 64 });
    let mut items: Vec<&[u8]> = vec![b"a"; 70];
    items.push(&[0; 17]);
    items.push(b"never");
    runs.clear();
    let err = appender.extend(items, |run| runs.push(run)).unwrap_err();
    assert_eq!(
        err.text(),
        "element is 17 bytes, the limit of this woof is 16 (set with wcreate --element-size)"
    );
    assert_eq!(runs, [Run { first: 201, count: 64 }, Run { first: 265, count: 6 }]);
    assert_eq!(woof.next_seqno(), 271);
}

#[test]
fn a_reader_that_is_overtaken_is_told_what_is_gone_and_goes_on() {
    let (_dir, _path, woof) = woof(&fixed(10, 32));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=5 {
        appender.append(&content(seqno)).unwrap();
    }
    let mut cursor = woof.cursor(1);
    assert!(matches!(cursor.next(), Some(Item::Elem { seqno: 1, .. })));
    for seqno in 6..=100 {
        appender.append(&content(seqno)).unwrap();
    }
    // Elements 2 to 5 were copied already, and are given out before the gap.
    let mut seen = Vec::new();
    while let Some(item) = cursor.next() {
        match item {
            Item::Elem { seqno, data, .. } => {
                assert_eq!(data, content(seqno));
                seen.push((seqno, seqno));
            }
            Item::Gone { from, to } => seen.push((from, to)),
            Item::Damaged { seqno } => panic!("{seqno} is damaged"),
        }
    }
    assert_eq!(&seen[..5], [(2, 2), (3, 3), (4, 4), (5, 5), (6, 90)]);
    assert_eq!(seen.len(), 15);
}

#[test]
fn a_damaged_element_is_told_by_its_seqno_and_never_returned() {
    let (dir, path, woof) = woof(&Options::default());
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=5 {
        appender.append(format!("element {seqno}").as_bytes()).unwrap();
    }
    let mut image = std::fs::read(&path).unwrap();
    let at = image.windows(9).position(|bytes| bytes == b"element 3").unwrap();
    image[at + 8] = b'8';
    // Number 5 loses its header.
    let at = image.windows(9).position(|bytes| bytes == b"element 5").unwrap();
    image[at - 40] ^= 1;
    let woof = open_image(dir.path(), &image).unwrap();
    let read: Vec<_> = read_from(&woof, 1);
    let expected = [(1, "element 1"), (2, "element 2"), (3, "damaged"), (4, "element 4"), (5, "damaged")];
    assert_eq!(read, expected.map(|(seqno, text)| (seqno, text.to_owned())));
    assert_eq!(woof.cursor(5).next(), Some(Item::Damaged { seqno: 5 }));
}

#[test]
fn numbers_must_be_eight_bytes() {
    let (_dir, _path, woof) = woof(&Options { content: ContentType::F64, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    assert_eq!(appender.append(&21.5f64.to_le_bytes()).unwrap(), 1);
    assert_eq!(appender.append(b"21.5").unwrap_err().text(), "element is 4 bytes, an f64 is 8");
}

#[test]
fn a_removed_and_a_reset_woof_tell_their_appenders_and_keep_their_readers() {
    let (_dir, path, woof) = woof(&Options::default());
    let mut appender = woof.appender().unwrap();
    appender.append(b"one").unwrap();
    reset(&path, &Options::default()).unwrap();
    let err = appender.append(b"two").unwrap_err();
    assert_eq!((err.code(), err.text()), (Code::Removed, "the woof was reset meanwhile"));
    assert_eq!(read_from(&woof, 1), [(1, "one".to_owned())]);
    assert_eq!(woof.cursor(2).wait(&woof.cursor(2).waker()), Woken::Reset);
    let fresh = open(&path).unwrap();
    let mut appender = fresh.appender().unwrap();
    assert_eq!(appender.append(b"new").unwrap(), 1);
    remove(&path).unwrap();
    assert_eq!(appender.append(b"two").unwrap_err().text(), "the woof was removed meanwhile");
    assert_eq!(fresh.cursor(2).wait(&fresh.cursor(2).waker()), Woken::Removed);
    assert_eq!(open(&path).err().unwrap().code(), Code::NotFound);
    assert_eq!(remove(&path).unwrap_err().text(), "no such woof");
}

#[test]
fn a_reader_without_the_right_to_write_reads_and_follows() {
    let (dir, path, woof) = woof(&Options::default());
    woof.appender().unwrap().append(b"one").unwrap();
    // Root may write whatever the mode says, so the mapping for reading is asked for directly.
    let file = std::fs::File::open(&path).unwrap();
    let geometry = woof.region().geometry.clone();
    let region = super::super::region::Region::new(file, geometry, false).unwrap();
    let reader = super::super::woof::Woof::live(region);
    assert_eq!(read_from(&reader, 1), [(1, "one".to_owned())]);
    assert_eq!(reader.appender().err().unwrap().code(), Code::Denied);
    let cursor = reader.cursor(2);
    let waker = cursor.waker();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cursor.wait(&waker));
        woof.appender().unwrap().append(b"two").unwrap();
        assert_eq!(waiting.join().unwrap(), Woken::More);
    });
    drop(dir);
}
