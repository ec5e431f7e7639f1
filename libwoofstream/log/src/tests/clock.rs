//! Times of their own, and clocks that were wrong.

use super::super::format::shared;
use super::super::record::{Recorder, image_after_kill};
use super::*;
use std::sync::atomic::Ordering;

const YEAR: u64 = 365 * 24 * 3600 * 1_000_000_000;

fn given(time_ns: u64) -> Given<'static> {
    Given { stamp: None, time_ns, data: b"x" }
}

fn put(woof: &Woof) {
    woof.appender().unwrap().append(b"right").unwrap();
}

/// Has the newest element be of a clock that is years ahead.
fn put_under_a_wrong_clock(woof: &Woof, years: u64) {
    let ahead = woof_core::sys::now_ns() + years * YEAR;
    set_last_time(woof, ahead);
    woof.appender().unwrap().append(b"wrong").unwrap();
}

fn times(woof: &Woof) -> Vec<u64> {
    (woof.first_seqno()..woof.next_seqno()).map(|seqno| woof.time_of(seqno).unwrap()).collect()
}

/// The image of a woof after a power loss that took nothing.
fn after_a_power_loss(path: &Path) -> Vec<u8> {
    let mut image = std::fs::read(path).unwrap();
    image[shared::BOOT_ID..shared::BOOT_ID + 16].fill(7);
    // What is not believed after one.
    image[shared::BREAKS + 16..shared::BREAKS + 128].fill(0);
    image
}

#[test]
fn elements_keep_their_times_as_far_as_these_do_not_go_back() {
    let (_dir, _path, woof) = woof(&fixed(100, 8));
    let mut appender = woof.appender().unwrap();
    let stamp = Stamp { writer: 5, seq: 1 };
    let far = woof_core::sys::now_ns() + YEAR;
    let near = woof_core::sys::now_ns() + 30_000_000_000;
    // Also before the woof was made; equal ones are not told.
    let items =
        [given(7), given(7), given(5), Given { stamp: Some(stamp), ..given(9) }, given(0), given(far)];
    let before = woof_core::sys::now_ns();
    appender.extend_given(items, |_| {}).unwrap();
    let after = woof_core::sys::now_ns();
    let found = times(&woof);
    assert_eq!(found[..4], [7, 7, 7, 9]);
    assert!(found[4..].iter().all(|time| (before..=after).contains(time)), "{found:?} {before}");
    assert_eq!(appender.changed_times(), ChangedTimes { behind: 1, ahead: 1 });
    assert_eq!(stamps_from(&woof, 1), [(4, stamp)]);
    appender.extend_given([given(near)], |_| {}).unwrap();
    assert_eq!(times(&woof).pop(), Some(near), "clocks of machines differ");
    assert_eq!(woof.clock_ahead(), None);
}

#[test]
fn times_of_their_own_are_there_after_a_power_loss_and_go_on_from_there() {
    let (dir, path, woof) = woof(&fixed(100, 8));
    woof.appender().unwrap().extend_given([given(3), given(4)], |_| {}).unwrap();
    drop(woof);
    let woof = open_image(dir.path(), &after_a_power_loss(&path)).unwrap();
    assert_eq!(woof.status().recoveries, 1);
    woof.appender().unwrap().extend_given([given(5), given(2)], |_| {}).unwrap();
    assert_eq!(times(&woof), [3, 4, 5, 5], "and not when the woof was made");
}

#[test]
fn a_clock_that_was_ahead_is_told_and_reset_once() {
    let (_dir, _path, woof) = woof(&fixed(100, 8));
    assert!(!woof.reset_clock().unwrap(), "nothing is in it");
    woof.appender().unwrap().append(b"right").unwrap();
    assert!(!woof.reset_clock().unwrap());
    put_under_a_wrong_clock(&woof, 20);
    let wrong = times(&woof)[1];
    assert_eq!((woof.clock_ahead(), woof.status().ahead_ns), (Some(wrong), Some(wrong)));
    let before = woof_core::sys::now_ns();
    assert!(woof.reset_clock().unwrap());
    assert_eq!(woof.clock_ahead(), None);
    assert!(!woof.reset_clock().unwrap());
    woof.appender().unwrap().append(b"right").unwrap();
    let new = times(&woof)[2];
    assert!((before..=woof_core::sys::now_ns()).contains(&new));
    assert_eq!(woof.seqno_at(before).unwrap(), 3, "what was wrong is older");
    assert_eq!(woof.seqno_at(new + 1).unwrap(), 4);
}

/// When elements count as put: those that are ahead of the reset behind them, as the last one before them that is right.
fn counted(stretches: &[(Vec<u64>, u64)]) -> Vec<u64> {
    let (mut all, mut last) = (Vec::new(), 0);
    for (times, latest) in stretches {
        for time in times {
            last = if time <= latest { *time } else { last };
            all.push(last);
        }
    }
    all
}

#[test]
fn elements_are_found_by_time_over_several_resets_and_after_a_power_loss() {
    // How many elements are right and wrong between two resets.
    for (round, plan) in [
        &[(3, 2), (4, 1)][..],
        &[(0, 2), (1, 0)],
        &[(0, 2), (0, 1), (2, 0)],
        &[(2, 1), (0, 3), (0, 1), (1, 4), (3, 0)],
        &[(1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1)],
        &[(5, 3)],
        &[(2, 2), (0, 0)],
    ]
    .into_iter()
    .enumerate()
    {
        let (dir, path, woof) = woof(&fixed(100, 8));
        let mut stretches: Vec<(Vec<u64>, u64)> = Vec::new();
        for (number, (right, wrong)) in plan.iter().enumerate() {
            let from = woof.next_seqno();
            (0..*right).for_each(|_| put(&woof));
            (0..*wrong).for_each(|_| put_under_a_wrong_clock(&woof, number as u64 + 1));
            let times = (from..woof.next_seqno()).map(|seqno| woof.time_of(seqno).unwrap()).collect();
            let is_last = number + 1 == plan.len();
            if !is_last {
                assert!(woof.reset_clock().unwrap());
            }
            let reset = woof.region().map.load(shared::LAST_TIME, Ordering::Relaxed);
            stretches.push((times, if is_last { u64::MAX } else { reset }));
        }
        let counted = counted(&stretches);
        let check = |woof: &Woof, what: &str| {
            assert_eq!(woof.seqno_at(0).unwrap(), 1);
            for time in counted.iter().flat_map(|time| [time.saturating_sub(1), *time, time + 1]) {
                let expected = 1 + counted.iter().take_while(|at| **at < time.max(1)).count() as u64;
                let expected = if time == 0 { 1 } else { expected };
                assert_eq!(woof.seqno_at(time).unwrap(), expected, "{what}, round {round}, {time}");
            }
        };
        check(&woof, "live");
        let ahead = woof.clock_ahead();
        drop(woof);
        let woof = open_image(dir.path(), &after_a_power_loss(&path)).unwrap();
        assert_eq!(woof.status().recoveries, 1);
        // Where nothing was put behind the last reset, its first word alone is left to tell.
        assert_eq!(woof.clock_ahead().is_some(), ahead.is_some());
        if plan.last() != Some(&(0, 0)) {
            check(&woof, "recovered");
        }
    }
}

#[test]
fn a_clock_is_reset_so_often_and_no_more_until_those_elements_are_gone() {
    let (_dir, _path, woof) = woof(&fixed(20, 8));
    woof.appender().unwrap().append(b"right").unwrap();
    for years in 1..9 {
        put_under_a_wrong_clock(&woof, years);
        assert!(woof.reset_clock().unwrap());
    }
    put_under_a_wrong_clock(&woof, 9);
    let err = woof.reset_clock().unwrap_err();
    assert_eq!(err.text(), "its clock was reset 8 times within the elements that it keeps, the limit");
    (0..18).for_each(|_| put(&woof));
    assert!(woof.reset_clock().unwrap());
    assert_eq!(woof.clock_ahead(), None);
}

#[test]
fn killed_at_any_store_a_reset_is_done_or_is_not() {
    let (dir, path, woof) = woof(&fixed(20, 8));
    woof.appender().unwrap().append(b"right").unwrap();
    put_under_a_wrong_clock(&woof, 3);
    let start = std::fs::read(&path).unwrap();
    let recorder = Recorder::default();
    woof.record_to(recorder.clone());
    assert!(woof.reset_clock().unwrap());
    let steps = recorder.steps();
    let mut seen = [0, 0];
    for count in 0..=steps.len() {
        let woof = open_image(dir.path(), &image_after_kill(&start, &steps, count)).unwrap();
        woof.appender().unwrap().append(b"next").unwrap();
        assert_eq!(read_from(&woof, 1).len(), 3);
        let all = times(&woof);
        let is_reset = all[2] < all[1];
        seen[usize::from(is_reset)] += 1;
        let from = woof.seqno_at(all[2]).unwrap();
        assert_eq!(from, if is_reset { 3 } else { 2 }, "after {count} steps");
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}
