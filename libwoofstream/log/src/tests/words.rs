//! Bits that change in the shared words while a woof is in use.

use super::super::format::shared;
use super::*;
use std::sync::atomic::Ordering::SeqCst;
use woof_core::error::Code;

/// The words that an append goes by, and their sum.
const TIED: [usize; 6] = [
    shared::NEXT_SEQNO,
    shared::FIRST_SEQNO,
    shared::NEXT_POS,
    shared::FIRST_POS,
    shared::LAST_TIME,
    shared::WORDS_SUM,
];

/// Woofs that never went round, that forget by their history, and that forget for want of room.
fn kinds() -> [(Options, u64); 4] {
    let small = Options { capacity: 4096, history: 1000, ..Options::default() };
    [(Options::default(), 100), (fixed(8, 31), 7), (fixed(8, 31), 250), (small, 700)]
}

fn flip(woof: &Woof, offset: usize, bit: u32) {
    let map = &woof.region().map;
    map.store(offset, map.load(offset, SeqCst) ^ (1 << bit), SeqCst);
}

fn filled(options: &Options, count: u64) -> (woof_kit::TempDir, PathBuf, Woof, Vec<(u64, String)>) {
    let (dir, path, woof) = woof(options);
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=count {
        appender.append(&content(seqno)).unwrap();
    }
    let kept = read_from(&woof, woof.first_seqno());
    (dir, path, woof, kept)
}

/// What of `kept` is to be there after `next` was appended.
fn still_kept(woof: &Woof, kept: &[(u64, String)]) -> Vec<(u64, String)> {
    kept.iter().filter(|(seqno, _)| *seqno >= woof.first_seqno()).cloned().collect()
}

#[test]
fn a_bit_that_changes_in_a_word_costs_no_element_and_no_seqno() {
    for (options, count) in kinds() {
        for (word, bit) in TIED.iter().flat_map(|word| (0..64).map(move |bit| (*word, bit))) {
            let (_dir, path, woof, kept) = filled(&options, count);
            // The appender was there before, and one comes after.
            let mut before = woof.appender().unwrap();
            flip(&woof, word, bit);
            let what = format!("bit {bit} of the word at {word}, {count} elements");
            assert_eq!(before.append(&content(count + 1)).unwrap(), count + 1, "{what}");
            let first = woof.first_seqno();
            assert!(first <= kept[0].0 + 2, "{what}: {first} is the first, of {}", kept[0].0);
            let mut right = still_kept(&woof, &kept);
            right.push((count + 1, String::from_utf8(content(count + 1)).unwrap()));
            assert_eq!(read_from(&woof, first), right, "{what}");

            flip(&woof, word, bit);
            let again = open(&path).unwrap();
            assert_eq!(read_from(&again, again.first_seqno()), right, "{what}, opened again");
            assert_eq!(again.appender().unwrap().append(b"more").unwrap(), count + 2, "{what}");
        }
    }
}

#[test]
fn an_empty_woof_is_still_empty_after_a_bit_changed() {
    for (word, bit) in TIED.iter().flat_map(|word| (0..64).map(move |bit| (*word, bit))) {
        let (_dir, path, woof) = woof(&fixed(8, 31));
        flip(&woof, word, bit);
        let again = open(&path).unwrap();
        assert_eq!(read_from(&again, 1), [], "bit {bit} of the word at {word}");
        assert_eq!(again.appender().unwrap().append(b"one").unwrap(), 1, "bit {bit} of the word at {word}");
        assert_eq!(read_from(&woof, 1), [(1, "one".to_owned())]);
    }
}

#[test]
fn a_bit_that_changes_while_a_dead_writer_has_the_lock_costs_nothing_either() {
    for (word, bit) in TIED.iter().flat_map(|word| (0..64).map(move |bit| (*word, bit))) {
        let (_dir, path, woof, kept) = filled(&fixed(8, 31), 250);
        let region = woof.region();
        let dead = super::super::lock::Slot::take(&region.map, &region.file).unwrap();
        let _ = dead.lock(&region.map, shared::APPEND_LOCK);
        drop(dead);
        flip(&woof, word, bit);
        // Whoever only looks may find it wrong until somebody appends, but is told of a header that cannot be.
        let Ok(again) = open(&path).map_err(|err| assert_eq!(err.code(), Code::Damaged)) else { continue };
        assert_eq!(
            again.appender().unwrap().append(b"more").unwrap(),
            251,
            "bit {bit} of the word at {word}"
        );
        let mut right = still_kept(&woof, &kept);
        right.push((251, "more".to_owned()));
        assert_eq!(read_from(&again, woof.first_seqno()), right, "bit {bit} of the word at {word}");
    }
}

#[test]
fn what_is_not_durable_is_not_taken_for_durable_after_a_bit_changed() {
    let words = [shared::SYNCED_SEQNO, shared::SYNCED_SEQNO_2, shared::SYNCED_POS, shared::SYNCED_POS_2];
    for (word, bit) in words.iter().flat_map(|word| (0..64).map(move |bit| (*word, bit))) {
        let (_dir, _path, woof) = woof(&fixed(8, 31));
        let mut appender = woof.appender().unwrap();
        appender.append(b"one").unwrap();
        appender.set_sync(true);
        flip(&woof, word, bit);
        let recorder = super::super::record::Recorder::default();
        woof.record_to(recorder.clone());
        appender.append(b"two").unwrap();
        let durable =
            |step: &super::super::record::Step| matches!(step, super::super::record::Step::Durable { .. });
        assert!(recorder.steps().iter().any(durable), "bit {bit} of the word at {word}");
        assert_eq!(woof.status().synced_seqno, 3);
    }
}

#[test]
fn what_is_held_is_held_after_a_bit_changed() {
    for (word, bit) in [shared::HOLD_SEQNO, shared::HOLD_SEQNO_2]
        .iter()
        .flat_map(|word| (0..64).map(move |bit| (*word, bit)))
    {
        let (_dir, _path, woof) = woof(&fixed(8, 31));
        let mut appender = woof.appender().unwrap();
        for _ in 0..5 {
            appender.append(b"x").unwrap();
        }
        woof.hold(Some(3)).unwrap();
        flip(&woof, word, bit);
        while appender.append(b"x").is_ok() {}
        assert!(woof.first_seqno() <= 3, "bit {bit} of the word at {word}");
        assert!(woof.held().is_some_and(|held| held <= 3), "bit {bit} of the word at {word}");
    }
}

#[test]
fn a_woof_whose_state_changed_by_a_bit_takes_nothing_that_is_lost() {
    for bit in 0..32 {
        let (_dir, path, woof) = woof(&fixed(8, 31));
        let mut appender = woof.appender().unwrap();
        appender.append(b"one").unwrap();
        let map = &woof.region().map;
        map.store32(shared::STATE, map.load32(shared::STATE, SeqCst) ^ (1 << bit), SeqCst);
        let refused = appender.append(b"two").unwrap_err();
        assert_eq!(refused.code(), Code::Removed);
        assert_eq!(read_from(&open(&path).unwrap(), 1), [(1, "one".to_owned())]);
    }
}
