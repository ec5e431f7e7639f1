//! Writers that use the library, one element or a batch at a time, with and without sync: 8 at once, all of them killed.

use crate::books::{ELEMENT_MAX, Told};
use crate::child::Style;
use crate::follower::{follow, read};
use crate::keeper::{Kept, keep};
use crate::random::{Random, seed};
use libwoofstream::log::{self, Options};
use std::time::Duration;
use woof_kit::say;

const WRITERS: u64 = 8;
const ONE: Style = Style { batch: 1, sync: false };
const ONE_SYNCED: Style = Style { batch: 1, sync: true };
/// More than are published at once.
const BATCH: Style = Style { batch: 150, sync: false };
const BATCH_SYNCED: Style = Style { batch: 150, sync: true };

/// Kills `rounds` writers in each of 8 places at once and checks all that was said and seen.
fn killed(name: &'static str, options: &Options, rounds: u64, longest_us: u64, styles: &[Style]) -> usize {
    let seed = seed();
    let _watchdog = woof_kit::watch(&format!("{name} WOOF_TEST_SEED={seed}"));
    let dir = woof_kit::tempdir().unwrap();
    let path = dir.path().join("w");
    log::create(&path, options).unwrap();
    let woof = log::open(&path).unwrap();
    let (told, mut times, seen) = std::thread::scope(|scope| {
        let (waker_out, waker) = std::sync::mpsc::channel();
        let follower = scope.spawn(|| follow(&woof, &{ waker_out }));
        let keepers: Vec<_> = (1..=WRITERS)
            .map(|place| {
                let survivor = log::open(&path).unwrap().appender().unwrap();
                let dir = dir.path();
                let mut random = Random::new(seed ^ place);
                scope.spawn(move || {
                    keep(dir, (place << 32) + 1, rounds, longest_us, survivor, styles, &mut random)
                })
            })
            .collect();
        let (mut told, mut times): (Vec<Told>, Vec<Duration>) = Default::default();
        // Not joined one by one with unwrap: the follower is to be ended also when one of them failed.
        let kept: Vec<_> = keepers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        waker.recv().unwrap().stop();
        for kept in kept {
            let Kept { told: more, next_append } = kept.unwrap();
            told.extend(more);
            times.extend(next_append);
        }
        (told, times, follower.join().unwrap())
    });
    assert_eq!(seen.expected(), woof.next_seqno(), "the follower saw all to the end");
    let unacknowledged_max = styles.iter().map(|style| style.batch).max().unwrap();
    seen.agrees_with(&told, unacknowledged_max);
    // The morning after: a new process sees what the others saw, and the next append goes on.
    let again = log::open(&path).unwrap();
    let kept = read(&again);
    assert_eq!(kept.expected(), seen.expected());
    kept.agrees_with(&told, unacknowledged_max);
    assert_eq!(again.appender().unwrap().append(b"next").unwrap(), seen.expected());
    times.sort_unstable();
    let acknowledged: usize = told.iter().map(|told| told.acks.len()).sum();
    assert!(acknowledged as u64 >= rounds * WRITERS, "hardly anything was appended: {acknowledged}");
    say(&format!(
        "crash: {name}: {} kills, {acknowledged} elements acknowledged, {} seen, next append after a kill: median {:?}, worst {:?}",
        times.len(),
        seen.count(),
        times[times.len() / 2],
        times[times.len() - 1]
    ));
    seen.gaps()
}

#[test]
fn writers_of_single_elements_lose_nothing_that_was_acknowledged() {
    // All that the writers can append is kept.
    let options = Options { history: 1 << 23, element_size: Some(ELEMENT_MAX), ..Options::default() };
    assert_eq!(killed("single elements", &options, 180, 2_000, &[ONE]), 0);
}

#[test]
fn writers_with_and_without_sync_do_not_harm_each_other() {
    // All that the writers can append is kept.
    let options = Options { history: 1 << 22, capacity: 512 << 20, ..Options::default() };
    let styles = [ONE, ONE_SYNCED, BATCH, BATCH_SYNCED];
    assert_eq!(killed("batches and sync", &options, 100, 2_000, &styles), 0);
}

#[test]
fn writers_that_go_round_a_small_ring_overwrite_only_what_is_told_as_gone() {
    let options = Options { history: 200, capacity: 16 << 10, ..Options::default() };
    let gaps = killed("small ring", &options, 150, 2_000, &[ONE, BATCH]);
    assert!(gaps > 0, "nothing was ever overwritten, so this test looked at nothing");
    let gaps = killed("small ring, sync", &options, 50, 2_000, &[ONE, BATCH, ONE_SYNCED, BATCH_SYNCED]);
    assert!(gaps > 0, "nothing was ever overwritten, so this test looked at nothing");
}
