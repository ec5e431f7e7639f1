//! Many appenders and readers at once.

use super::*;

#[test]
fn eight_appenders_lose_nothing_and_a_follower_sees_all_in_order() {
    const EACH: u64 = 5_000;
    let (_dir, path, woof) = woof(&fixed(8 * EACH, 16));
    std::thread::scope(|scope| {
        for writer in 0..8u64 {
            let path = &path;
            scope.spawn(move || {
                let mut appender = open(path).unwrap().appender().unwrap();
                let mut last = 0;
                for number in 0..EACH {
                    let mut data = [0; 16];
                    data[..8].copy_from_slice(&writer.to_le_bytes());
                    data[8..].copy_from_slice(&number.to_le_bytes());
                    let seqno = appender.append(&data).unwrap();
                    assert!(seqno > last);
                    last = seqno;
                }
            });
        }
        let mut cursor = woof.cursor(1);
        let waker = cursor.waker();
        let mut seen = [0u64; 8];
        let (mut count, mut last_time) = (0, 0);
        while count < 8 * EACH {
            match cursor.next() {
                None => assert_eq!(cursor.wait(&waker), Woken::More),
                Some(Item::Elem { seqno, time_ns, data, .. }) => {
                    count += 1;
                    assert_eq!(seqno, count);
                    assert!(time_ns >= last_time);
                    last_time = time_ns;
                    let writer = u64::from_le_bytes(data[..8].try_into().unwrap());
                    let number = u64::from_le_bytes(data[8..].try_into().unwrap());
                    assert_eq!(seen[writer as usize], number);
                    seen[writer as usize] += 1;
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_reader_of_a_small_ring_gets_elements_whole_or_is_told_they_are_gone() {
    let (_dir, path, woof) = woof(&Options { history: 20, capacity: 4096, ..Options::default() });
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut appender = open(&path).unwrap().appender().unwrap();
                let mut number = 0u64;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    number += 1;
                    let data = vec![(number % 251) as u8; (number % 700) as usize];
                    appender.append(&data).unwrap();
                }
            });
        }
        let mut cursor = woof.cursor(1);
        let waker = cursor.waker();
        let (mut expected, mut elements, mut gaps) = (1, 0, 0);
        while elements < 10_000 {
            match cursor.next() {
                None => drop(cursor.wait(&waker)),
                Some(Item::Elem { seqno, data, .. }) => {
                    assert_eq!(seqno, expected);
                    assert!(data.iter().all(|byte| *byte == data[0]), "torn");
                    expected += 1;
                    elements += 1;
                }
                Some(Item::Gone { from, to }) => {
                    assert_eq!(from, expected);
                    assert!(to >= from);
                    expected = to + 1;
                    gaps += 1;
                }
                Some(Item::Damaged { seqno }) => panic!("{seqno} is damaged"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(gaps > 0, "the reader was never overtaken, so this test looked at nothing");
    });
}

#[test]
fn synced_appends_of_many_threads_are_all_durable_when_they_return() {
    let (_dir, path, woof) =
        woof(&Options { sync: true, capacity: 64 << 10, history: 100, ..Options::default() });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut appender = open(&path).unwrap().appender().unwrap();
                for number in 0..100u64 {
                    let seqno = appender.append(&number.to_le_bytes()).unwrap();
                    assert!(woof.status().synced_seqno > seqno);
                }
            });
        }
    });
    assert_eq!(woof.status().synced_seqno, 401);
    assert_eq!(woof.next_seqno(), 401);
}

#[test]
fn the_waker_ends_a_wait_from_another_thread() {
    let (_dir, _path, woof) = woof(&Options::default());
    let cursor = woof.cursor(1);
    let waker = cursor.waker();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cursor.wait(&waker));
        waker.stop();
        assert_eq!(waiting.join().unwrap(), Woken::Stopped);
    });
}

#[test]
fn two_who_wait_for_each_other_are_always_woken() {
    // More threads than cores, so that most waits end in sleep. A wake-up that is lost would be the end of both.
    const PAIRS: usize = 6;
    const ROUNDS: u64 = 2_000;
    let woofs: Vec<_> = (0..PAIRS * 2).map(|_| woof(&fixed(10, 8))).collect();
    std::thread::scope(|scope| {
        for pair in woofs.chunks(2) {
            let follow = |from: &Woof, to: &Woof, first: bool| {
                let (mut cursor, mut appender) = (from.cursor(1), to.appender().unwrap());
                let waker = cursor.waker();
                for round in 1..=ROUNDS {
                    if first {
                        assert_eq!(appender.append(b"ball").unwrap(), round);
                    }
                    while cursor.seqno() == round {
                        match cursor.next() {
                            None => assert_eq!(cursor.wait(&waker), Woken::More),
                            Some(item) => assert!(matches!(item, Item::Elem { seqno, .. } if seqno == round)),
                        }
                    }
                    if !first {
                        assert_eq!(appender.append(b"ball").unwrap(), round);
                    }
                }
            };
            let (a, b) = (&pair[0].2, &pair[1].2);
            scope.spawn(move || follow(a, b, true));
            scope.spawn(move || follow(b, a, false));
        }
    });
    assert!(woofs.iter().all(|(_, _, woof)| woof.next_seqno() == ROUNDS + 1));
}
