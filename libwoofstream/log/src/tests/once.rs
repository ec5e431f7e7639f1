//! Elements that several have to put: each is in once, in order, whoever of them is first.

use super::super::format::shared;
use super::*;
use std::sync::atomic::Ordering::SeqCst;

const WRITER: u64 = 77;

fn given(seq: u64, data: &[u8]) -> Given<'_> {
    Given { stamp: Some(Stamp { writer: WRITER, seq }), time_ns: 0, data }
}

/// Puts elements as one who looks only now what is in.
fn once(woof: &Woof, items: &[(u64, &[u8])], strict: bool) -> Vec<Once> {
    let mut told = Vec::new();
    let mut known = woof.known(WRITER, 0, 1, strict);
    let items = items.iter().map(|(seq, data)| given(*seq, data));
    woof.appender().unwrap().extend_once(items, &mut known, |what| told.push(what)).unwrap();
    told
}

#[test]
fn elements_that_several_put_at_once_are_in_once_and_in_order() {
    const COUNT: u64 = 4000;
    let options = Options { history: 100_000, capacity: 8 << 20, ..Options::default() };
    let (_dir, path, woof) = woof(&options);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let path = &path;
            scope.spawn(move || {
                // Each has opened it by itself, and looked before any of them has put anything.
                let woof = super::super::open(path).unwrap();
                let mut known = woof.known(WRITER, 0, 1, false);
                let mut appender = woof.appender().unwrap();
                let (mut seq, mut told) = (1, Vec::new());
                while seq <= COUNT {
                    let batch = 1 + (seq * 7 + thread * 13) % 150;
                    let data: Vec<(u64, Vec<u8>)> =
                        (seq..=COUNT).take(batch as usize).map(|seq| (seq, content(seq))).collect();
                    seq += data.len() as u64;
                    let items = data.iter().map(|(seq, data)| given(*seq, data));
                    appender.extend_once(items, &mut known, |what| told.push(what)).unwrap();
                    if seq % 3 == thread % 3 {
                        appender.append(b"another one").unwrap();
                    }
                }
                let count = |what: &Once| if let Once::In(run) = what { run.count } else { 1 };
                assert_eq!(told.iter().map(count).sum::<u64>(), COUNT);
            });
        }
    });
    let stamps: Vec<u64> = stamps_of(&woof, WRITER, 1).iter().map(|(_, stamp)| stamp.seq).collect();
    let (count, right) = (stamps.len(), (1..=COUNT).collect::<Vec<_>>());
    assert!(stamps == right, "{count} elements");
}

#[test]
fn the_last_look_at_what_is_in_is_made_under_the_lock() {
    let (_dir, path, woof) = woof(&Options::default());
    let mut first = woof.appender().unwrap();
    let _ = first.slot.lock(&first.region.map, shared::APPEND_LOCK);
    let told = std::thread::scope(|scope| {
        let second =
            scope.spawn(|| once(&super::super::open(&path).unwrap(), &[(1, b"a"), (2, b"b")], false));
        // It has looked, found nothing, and waits for the lock.
        woof_kit::until("it waits", || first.region.map.load32(shared::APPEND_LOCK, SeqCst) >> 31 == 1);
        // A lock of our own is taken over, so nobody comes between.
        first.extend_stamped([(Stamp { writer: WRITER, seq: 1 }, &b"a"[..])], |_| {}).unwrap();
        second.join().unwrap()
    });
    assert_eq!(told, [Once::Again(1), Once::In(Run { first: 2, count: 1 })]);
}

#[test]
fn the_same_stamp_with_other_data_is_another_element_or_an_error() {
    let (_dir, _path, woof) = woof(&Options::default());
    let run = |first, count| Once::In(Run { first, count });
    assert_eq!(once(&woof, &[(1, b"a"), (2, b"b")], false), [run(1, 2)]);
    assert_eq!(once(&woof, &[(1, b"a"), (2, b"c"), (3, b"d")], false), [Once::Again(1), run(3, 2)]);
    assert_eq!(once(&woof, &[(2, b"c"), (2, b"b")], false), [Once::Again(3), Once::Again(2)]);
    assert_eq!(
        once(&woof, &[(1, b"a"), (2, b"x"), (4, b"e")], true),
        [Once::Again(1), Once::Differs(2), run(5, 1)]
    );
    assert_eq!(woof.next_seqno(), 6);
}

#[test]
fn what_is_told_to_be_in_is_durable_with_sync_though_another_has_put_it() {
    let (_dir, _path, woof) = woof(&Options::default());
    once(&woof, &[(1, b"a")], false);
    let mut appender = woof.appender().unwrap();
    appender.set_sync(true);
    let mut known = woof.known(WRITER, 0, 1, false);
    let mut told = Vec::new();
    woof.fail_syncs(true);
    let refused = appender.extend_once([given(1, b"a")], &mut known, |what| told.push(what));
    assert!(refused.is_err_and(|err| err.text().starts_with("sync of element 1:")));
    assert_eq!(told, []);
}

#[test]
fn a_chunk_of_a_ring_that_is_smaller_than_it_goes_in_parts() {
    let options = Options { history: 40, capacity: 4096, ..Options::default() };
    let (_dir, _path, woof) = woof(&options);
    let data = vec![7; 500];
    let items: Vec<(u64, &[u8])> = (1..=64).map(|seq| (seq, &data[..])).collect();
    let told = once(&woof, &items, false);
    assert!(told.len() > 8, "{told:?}");
    assert_eq!(woof.next_seqno(), 65);
    let too_large = vec![7; 5000];
    let mut known = woof.known(WRITER, 0, 1, false);
    let items = [given(65, b"x"), given(66, &too_large)];
    assert!(woof.appender().unwrap().extend_once(items, &mut known, |_| {}).is_err());
    assert_eq!(woof.next_seqno(), 66, "what stands before it is in");
}
