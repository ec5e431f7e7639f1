//! Stamps: they come back with their elements, take no room from those that were promised, and are found by writer.

use super::super::format::{FLAG_STAMPED, Record, shared};
use super::*;
use std::sync::atomic::Ordering::SeqCst;

fn stamp(writer: u64, seq: u64) -> Stamp {
    Stamp { writer, seq }
}

/// Appends elements with stamps of a writer, their data by seqno.
fn put(appender: &mut Appender, writer: u64, seqs: std::ops::Range<u64>, first: u64) {
    let items: Vec<Vec<u8>> = (first..).take((seqs.end - seqs.start) as usize).map(content).collect();
    let stamped = seqs.zip(&items).map(|(seq, data)| (stamp(writer, seq), data.as_slice()));
    appender.extend_stamped(stamped, |_| {}).unwrap();
}

#[test]
fn plain_and_stamped_elements_come_back_as_they_were_put() {
    for sync in [false, true] {
        let (_dir, _path, woof) = woof(&Options { history: 40, capacity: 4096, sync, ..Options::default() });
        let mut appender = woof.appender().unwrap();
        let mut last = 0;
        // Through the ring several times, so that stamps and data stand on both sides of its end.
        for seqno in 1..=600u64 {
            let data = vec![seqno as u8; (seqno * 5 % 90) as usize];
            let put = (seqno % 3 != 0).then_some(stamp(u64::MAX - seqno, seqno << 33));
            match put {
                Some(put) => appender.extend_stamped([(put, data.as_slice())], |_| {}).unwrap(),
                None => drop(appender.append(&data).unwrap()),
            }
            let mut cursor = woof.cursor(seqno);
            let Some(Item::Elem { seqno: at, time_ns, stamp, data: back, .. }) = cursor.next() else {
                panic!("{seqno} is not there")
            };
            assert_eq!((at, stamp, back), (seqno, put, data.as_slice()));
            assert!(time_ns >= last);
            last = time_ns;
        }
        assert!(woof.region().map.load(shared::NEXT_POS, SeqCst) > 4 * woof.region().geometry.ring_len);
    }
}

#[test]
fn a_woof_with_an_element_size_keeps_exactly_its_history_of_stamped_elements_of_full_size() {
    for history in [1, 5, 100] {
        let (_dir, _path, woof) = woof(&fixed(history, 31));
        let mut appender = woof.appender().unwrap();
        for round in 0..9u64 {
            let items: Vec<(Stamp, &[u8])> =
                (1..=50).map(|seq| (stamp(9, round * 50 + seq), &[7u8; 31][..])).collect();
            appender.extend_stamped(items, |_| {}).unwrap();
            let next = woof.next_seqno();
            let first = next.saturating_sub(history).max(1);
            assert_eq!(woof.first_seqno(), first, "history {history}");
            assert_eq!(stamps_from(&woof, first).len() as u64, next - first);
            assert_eq!(woof.stamps_of(9, 1), [StampRun { seq: first, seqno: first, count: next - first }]);
        }
        let err = appender.extend_stamped([(stamp(9, 0), &[7u8; 32][..])], |_| {}).unwrap_err();
        assert_eq!(
            err.text(),
            "element is 32 bytes, the limit of this woof is 31 (set with wcreate --element-size)"
        );
    }
}

#[test]
fn the_stamps_of_a_writer_are_found_among_those_of_others() {
    let (_dir, _path, woof) = woof(&fixed(100, 31));
    let mut appender = woof.appender().unwrap();
    assert_eq!(woof.stamps_of(5, 1), []);
    put(&mut appender, 5, 10..14, 1);
    put(&mut appender, 6, 14..16, 5);
    put(&mut appender, 5, 14..16, 7);
    appender.append(b"plain").unwrap();
    put(&mut appender, 5, 16..17, 10);
    put(&mut appender, 5, 20..22, 11);
    let run = |seq, seqno, count| StampRun { seq, seqno, count };
    let of_5 = [run(10, 1, 4), run(14, 7, 2), run(16, 10, 1), run(20, 11, 2)];
    assert_eq!(woof.stamps_of(5, 0), of_5);
    assert_eq!(woof.stamps_of(6, 0), [run(14, 5, 2)]);
    assert_eq!(woof.stamps_of(7, 0), []);
    assert_eq!(woof.stamps_of(5, 3), [run(12, 3, 2), of_5[1], of_5[2], of_5[3]]);
    assert_eq!(woof.stamps_of(5, 12), [run(21, 12, 1)]);
    assert_eq!(woof.stamps_of(5, 13), []);
    assert_eq!(woof.stamps_of(5, u64::MAX), []);
    // Another ninety, and the first two are forgotten.
    put(&mut appender, 8, 0..90, 13);
    assert_eq!(woof.stamps_of(5, 1), [run(12, 3, 2), of_5[1], of_5[2], of_5[3]]);
    put(&mut appender, 8, 90..190, 103);
    assert_eq!(woof.stamps_of(5, 1), []);
    assert_eq!(woof.stamps_of(8, 1), [run(90, 103, 100)]);
}

#[test]
fn a_damaged_element_is_not_told_to_be_in() {
    let (dir, path, woof) = woof(&Options::default());
    put(&mut woof.appender().unwrap(), 5, 1..6, 1);
    let mut image = std::fs::read(&path).unwrap();
    let at = image.windows(3).position(|bytes| bytes == b"3:x").unwrap();
    image[at + 2] = b'y';
    // Its neighbour loses a bit of the stamp.
    let at = image.windows(3).position(|bytes| bytes == b"4:x").unwrap();
    image[at - 8] ^= 1;
    let woof = open_image(dir.path(), &image).unwrap();
    let run = |seq, seqno, count| StampRun { seq, seqno, count };
    assert_eq!(woof.stamps_of(5, 1), [run(1, 1, 2), run(5, 5, 1)]);
}

#[test]
fn a_record_that_is_too_short_for_its_stamp_is_damaged() {
    let (dir, path, woof) = woof(&fixed(20, 31));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=3 {
        appender.append(&content(seqno)).unwrap();
    }
    let seed = woof.region().seed();
    let pos = woof.region().index(2);
    let head = woof.region().record(pos);
    let payload = content(2);
    // Both checks are right, so somebody meant it.
    let forged = |len: u32, data: &[u8]| {
        let record = Record { flags: FLAG_STAMPED, len, ..head }.sealed(seed, data);
        woof.region().put(&record, None, data);
    };
    forged(3, b"abc");
    assert_eq!(read_from(&woof, 2)[0], (2, "damaged".to_owned()));
    assert_eq!(read_from(&woof, 1).len(), 3);
    assert_eq!(woof.stamps_of(u64::from_le_bytes(*b"abc\0\0\0\0\0"), 1), []);
    assert_eq!(woof.seqno_at(0).unwrap(), 1);
    forged(15, &payload[..15]);
    assert_eq!(read_from(&woof, 2)[0], (2, "damaged".to_owned()));
    // With 16 it is one with no data.
    forged(16, &payload[..16]);
    assert_eq!(read_from(&woof, 2)[0], (2, String::new()));
    forged(3, b"abc");
    // After a power loss it is a hole: nothing was durable, so what is behind it is cut.
    let mut image = std::fs::read(&path).unwrap();
    image[shared::BOOT_ID] ^= 0xff;
    let recovered = open_image(dir.path(), &image).unwrap();
    assert_eq!((recovered.first_seqno(), recovered.next_seqno()), (1, 2));
    assert_eq!(recovered.status().last_cut, 2);
    assert_eq!(recovered.appender().unwrap().append(&content(2)).unwrap(), 2);
}

#[test]
fn the_other_flags_are_the_mark_and_change_nothing_else() {
    let (_dir, _path, woof) = woof(&Options::default());
    put(&mut woof.appender().unwrap(), 5, 1..3, 1);
    let (region, pos) = (woof.region(), woof.region().index(1));
    let mut payload = stamp(5, 1).encode().to_vec();
    payload.extend_from_slice(&content(1));
    let record = Record { flags: 0xff, ..region.record(pos) }.sealed(region.seed(), &payload);
    region.put(&record, None, &payload);
    assert_eq!(stamps_from(&woof, 1), [(1, stamp(5, 1)), (2, stamp(5, 2))]);
    assert_eq!(read_from(&woof, 1)[0].1.as_bytes(), content(1));
    assert_eq!(marks_from(&woof, 1), [(1, Mark::new(7, 15)), (2, Mark::NONE)]);
}

#[test]
fn while_others_overwrite_the_ring_no_stamp_is_made_up() {
    let (_dir, path, woof) = woof(&Options { history: 20, capacity: 4096, ..Options::default() });
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut appender = open(&path).unwrap().appender().unwrap();
            let mut seqno = 1;
            while !stop.load(SeqCst) {
                // Elements of any length, so that words of data stand where stamps stood, and look like them.
                let data = 5u64.to_le_bytes().repeat((seqno % 31) as usize);
                appender.extend_stamped([(stamp(5, seqno * 2), data.as_slice())], |_| {}).unwrap();
                seqno += 1;
            }
        });
        let (mut looks, mut last) = (0, 0);
        while looks < 3_000 || last < 10_000 {
            for (seqno, stamp) in stamps_of(&woof, 5, 1) {
                assert_eq!(stamp.seq, seqno * 2);
                last = seqno;
            }
            looks += 1;
        }
        stop.store(true, SeqCst);
    });
}
