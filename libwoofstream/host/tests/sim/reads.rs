//! Ranges and follows through links that are cut: each element comes once, in order; what is gone is told.

use crate::world::{Cut, DOWN, FAULTS, Random, UP, World, directory, for_seeds, patient};
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::log::{self, Options};
use libwoofstream::predicate::Predicate;
use libwoofstream::space::{Bound, Follow, MessageRef, Selection, SeqRange, Sink, Space as _, Stop};
use libwoofstream::wire::Fault;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What a reader was given.
#[derive(Default)]
struct Seen {
    elements: Vec<u64>,
    /// Seqnos that were told to be gone.
    gone: Vec<(u64, u64)>,
    marks: usize,
    dirs: usize,
    /// So many are appended once the first element came.
    more: Option<(PathBuf, u64)>,
    /// Numbers may come again.
    again: bool,
    /// The reader is busy for so long with each element.
    busy: Option<(World, Duration)>,
    /// Ends the read after this seqno.
    stop: Option<(u64, Stop)>,
}

impl Seen {
    fn elem(&mut self, seqno: u64, data: &[u8]) {
        assert!(data.starts_with(format!("{seqno}:").as_bytes()), "element {seqno} has the data of another");
        let grows = self.elements.last().is_none_or(|last| *last < seqno);
        assert!(grows || self.again, "{seqno} again, or out of order");
        if let Some((world, time)) = &self.busy {
            world.pass(*time);
        }
        self.elements.push(seqno);
        if let Some((path, count)) = self.more.take() {
            append(&path, count, 100);
        }
        if let Some((last, stop)) = &self.stop
            && seqno >= *last
        {
            stop.stop();
        }
    }

    fn gone(&mut self, fault: &Fault) {
        assert_eq!(fault.to_error().code(), Code::Gone, "{fault}");
        let numbers: Vec<u64> = fault.text.split(' ').filter_map(|word| word.parse().ok()).collect();
        self.gone.push((numbers[0], *numbers.last().unwrap()));
    }
}

impl Sink for Seen {
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        match message {
            MessageRef::Elem { seqno, data, .. } => self.elem(seqno, data),
            MessageRef::Dir(_) => self.dirs += 1,
            MessageRef::Mark(name) => {
                assert_eq!(name, "caught-up");
                self.marks += 1;
            }
            MessageRef::Fault(fault) => self.gone(fault),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Appends so many elements that name their seqno.
fn append(path: &Path, count: u64, size: usize) {
    let woof = log::open(path).unwrap();
    let mut appender = woof.appender().unwrap();
    for _ in 0..count {
        let mut data = format!("{}:", woof.next_seqno()).into_bytes();
        data.resize(data.len() + size, b'.');
        appender.append(&data).unwrap();
    }
}

/// Has a writer append so many in all, at some times.
fn write_later(world: &World, path: &Path, mut count: u64, size: u64) {
    let mut inner = world.lock();
    let mut at = inner.now;
    while count > 0 {
        let now = (1 + inner.random.scaled(count)).min(count);
        count -= now;
        at += Duration::from_millis(inner.random.scaled(30_000));
        let (path, size) = (path.to_owned(), inner.random.below(size) as usize);
        inner.at(at, move |_| append(&path, now, size));
    }
}

fn fresh(path: &Path, history: u64, capacity: u64) {
    let _ = std::fs::remove_file(path);
    log::create(path, &Options { history, capacity, ..Options::default() }).unwrap();
}

#[test]
fn a_follow_through_cut_links_gives_each_element_once_and_in_order() {
    let dir = directory();
    let path = dir.path().join("w");
    for_seeds(1000, |seed| {
        let mut random = Random::new(seed ^ 0xf0110);
        fresh(&path, 1 << 13, 2 << 20);
        let (before, later) = (random.scaled(2000), 1 + random.scaled(500));
        append(&path, before, random.below(300) as usize);
        let world = World::new(dir.path(), seed, random.below(8));
        write_later(&world, &path, later, 300);
        let total = before + later;
        // All of them, one in so many, or the newest of those that are there and all after them.
        let each = if random.once_in(2) { 1 } else { 1 + random.scaled(400) };
        let last = random.once_in(3).then(|| 1 + random.scaled(300));
        let predicate = (each > 1).then(|| Predicate::compile(&format!("seqno % {each} == 0")).unwrap());
        let matching: Vec<u64> = (1..=total).filter(|seqno| seqno % each == 0).collect();
        let skip = last.map_or(0, |last| {
            matching.iter().filter(|seqno| **seqno <= before).count().saturating_sub(last as usize)
        });
        let expected = &matching[skip..];
        if expected.is_empty() {
            return;
        }
        // What the newest are depends on when it began.
        let (stop, by_limit) = (Stop::default(), last.is_none() && random.once_in(2));
        let mut seen = Seen::default();
        if !by_limit {
            seen.stop = Some((*expected.last().unwrap(), stop.clone()));
        }
        let selection = Selection {
            range: last.is_none().then_some(SeqRange { from: Bound::Seqno(1), to: Bound::Open }),
            predicate,
            last,
            limit: by_limit.then_some(expected.len() as u64),
            follow: Some(Follow { stop }),
            ..Selection::default()
        };
        begun(&world, &selection, &mut seen).unwrap();
        match last {
            None => assert_eq!(seen.elements, expected),
            Some(last) => {
                assert!(matching.ends_with(&seen.elements), "{:?} of {matching:?}", seen.elements);
                assert!(seen.elements.len() as u64 >= last.min(matching.len() as u64));
            }
        }
        assert_eq!(seen.gone, []);
        assert_eq!(seen.dirs, 1);
        assert!(seen.marks <= 1);
    });
}

/// Reads; a read that nothing came of is begun again, as its user would.
fn begun(world: &World, selection: &Selection, seen: &mut Seen) -> Result<()> {
    loop {
        match world.remote(patient()).read("w", selection, seen) {
            Err(err) if err.code() == Code::Unreachable && seen.dirs == 0 => {
                world.pass(Duration::from_secs(1));
            }
            done => return done,
        }
    }
}

#[test]
fn a_range_through_cut_links_gives_each_element_once_and_in_order() {
    let dir = directory();
    let path = dir.path().join("w");
    let gave_up = AtomicU32::new(0);
    for_seeds(1000, |seed| {
        let mut random = Random::new(seed ^ 0x4a49e);
        fresh(&path, 1 << 13, 4 << 20);
        let total = 1 + random.scaled(3000);
        append(&path, total, random.scaled(1000) as usize);
        let world = World::new(dir.path(), seed, random.below(8));
        let from = 1 + random.below(total);
        let (range, mut expected) = match random.below(4) {
            0 => (None, 1..=total),
            1 => (Some(SeqRange { from: Bound::Seqno(from), to: Bound::Open }), from..=total),
            2 => (Some(SeqRange { from: Bound::FromEnd(from), to: Bound::Open }), total + 1 - from..=total),
            _ => (Some(SeqRange { from: Bound::Open, to: Bound::Seqno(from) }), 1..=from),
        };
        let limit = random.once_in(3).then(|| 1 + random.below(total));
        if let Some(limit) = limit {
            expected = *expected.start()..=*expected.end().min(&(expected.start() + limit - 1));
        }
        // What comes meanwhile is not in it.
        let mut seen = Seen { more: Some((path.clone(), random.scaled(50))), ..Seen::default() };
        let done = begun(&world, &Selection { range, limit, ..Selection::default() }, &mut seen);
        let expected: Vec<u64> = expected.collect();
        if done.as_ref().is_err_and(|err| err.code() == Code::Unreachable) {
            // A link that falls silent in a handshake takes all the time that a range tries for.
            assert!(expected.starts_with(&seen.elements));
            gave_up.fetch_add(1, Ordering::Relaxed);
            return;
        }
        done.unwrap();
        assert_eq!(seen.elements, expected);
    });
    assert!(gave_up.into_inner() <= 5);
}

#[test]
fn what_was_overwritten_while_the_reader_was_away_is_told() {
    let dir = directory();
    let path = dir.path().join("w");
    let mut overrun = 0;
    for seed in 0..1000 {
        let mut random = Random::new(seed ^ 0x90e);
        fresh(&path, 20 + random.below(50), 64 << 10);
        append(&path, 5, 0);
        let world = World::new(dir.path(), seed, 2 + random.below(6));
        let total = 1000;
        write_later(&world, &path, total - 5, 100);
        let stop = Stop::default();
        let mut seen = Seen { stop: Some((total, stop.clone())), ..Seen::default() };
        let selection = Selection {
            range: Some(SeqRange { from: Bound::Seqno(1), to: Bound::Open }),
            follow: Some(Follow { stop }),
            ..Selection::default()
        };
        begun(&world, &selection, &mut seen).unwrap_or_else(|err| panic!("seed {seed}: {err}"));
        // Together, what came and what was told to be gone are all.
        let mut known = vec![0; total as usize + 1];
        seen.elements.iter().for_each(|seqno| known[*seqno as usize] += 1);
        for (from, to) in &seen.gone {
            (*from..=*to).for_each(|seqno| known[seqno as usize] |= 2);
        }
        assert!(known[1..].iter().all(|times| *times == 1 || *times == 2), "seed {seed}: {:?}", seen.gone);
        overrun += usize::from(!seen.gone.is_empty());
    }
    assert!(overrun > 300, "{overrun}");
}

#[test]
fn a_woof_made_anew_under_a_follow_is_an_error() {
    let dir = directory();
    let path = dir.path().join("w");
    for_seeds(200, |seed| {
        fresh(&path, 100, 64 << 10);
        append(&path, 10, 0);
        let world = World::new(dir.path(), seed, 4);
        let reset = path.clone();
        let at = Duration::from_secs(5 + seed % 60);
        world.lock().at(at, move |_| {
            log::reset(&reset, &Options { history: 100, capacity: 64 << 10, ..Options::default() }).unwrap();
            append(&reset, 20, 0);
        });
        let selection = Selection {
            range: Some(SeqRange { from: Bound::Seqno(1), to: Bound::Open }),
            follow: Some(Follow::default()),
            limit: Some(20),
            ..Selection::default()
        };
        let mut seen = Seen::default();
        match begun(&world, &selection, &mut seen) {
            // It was not begun before.
            Ok(()) => assert_eq!(seen.elements, (1..=20).collect::<Vec<_>>()),
            Err(err) => {
                assert_eq!(err.code(), Code::Removed, "{err}");
                assert!(seen.elements.len() <= 10);
            }
        }
    });
}

/// A follow of a few elements with its first connection cut at this place.
fn small_follow(dir: &Path, cut: Option<Cut>) -> [u64; 2] {
    let path = dir.join("w");
    fresh(&path, 64, 16 << 10);
    append(&path, 3, 0);
    let world = World::new(dir, 1, 0);
    world.lock().script.push_back(cut);
    let later = world.lock().now + Duration::from_secs(2);
    let writer = path.clone();
    world.lock().at(later, move |_| append(&writer, 2, 0));
    let selection = Selection {
        range: Some(SeqRange { from: Bound::Seqno(1), to: Bound::Open }),
        follow: Some(Follow::default()),
        limit: Some(5),
        ..Selection::default()
    };
    let mut seen = Seen::default();
    begun(&world, &selection, &mut seen).unwrap();
    assert_eq!(seen.elements, [1, 2, 3, 4, 5]);
    assert!(seen.marks <= 1 && seen.dirs == 1);
    world.carried()
}

#[test]
fn a_follow_that_is_cut_at_any_byte_of_either_direction_gives_each_element_once() {
    let dir = directory();
    let carried = small_follow(dir.path(), None);
    assert!(carried[UP] > 100 && carried[DOWN] > 100);
    for way in [UP, DOWN] {
        for after in 0..=carried[way] {
            for fault in FAULTS {
                let cut = Cut { way, after, fault };
                let done = std::panic::catch_unwind(|| small_follow(dir.path(), Some(cut)));
                assert!(done.is_ok(), "{cut:?}");
            }
        }
    }
}

#[test]
fn a_range_that_cannot_be_is_refused_by_name_and_is_no_lost_connection() {
    let dir = directory();
    fresh(&dir.path().join("w"), 64, 16 << 10);
    let world = World::new(dir.path(), 1, 0);
    let read = |from| {
        let range = Some(SeqRange { from: Bound::Seqno(from), to: Bound::Open });
        let mut seen = Seen::default();
        world.remote(patient()).read("w", &Selection { range, ..Selection::default() }, &mut seen)
    };
    let err: Error = read(7).unwrap_err();
    assert_eq!(err.to_string(), "w: no element 7: nothing was put yet");
    assert_eq!(err.code(), Code::NotFound);
    assert_eq!(world.lock().dials, 1);
}

/// From the first element on, for ever, up to so many.
fn follow(limit: u64) -> Selection {
    Selection {
        range: Some(SeqRange { from: Bound::Seqno(1), to: Bound::Open }),
        follow: Some(Follow::default()),
        limit: Some(limit),
        ..Selection::default()
    }
}

#[test]
fn a_reader_that_is_busy_for_long_keeps_its_connection() {
    let dir = directory();
    let path = dir.path().join("w");
    fresh(&path, 64, 16 << 10);
    append(&path, 2, 0);
    let world = World::new(dir.path(), 1, 0);
    let writer = path.clone();
    world.lock().at(Duration::from_secs(4000), move |_| append(&writer, 1, 0));
    let mut seen = Seen { busy: Some((world.clone(), Duration::from_secs(600))), ..Seen::default() };
    world.remote(patient()).read("w", &follow(3), &mut seen).unwrap();
    assert_eq!(seen.elements, [1, 2, 3]);
    assert_eq!(world.lock().dials, 1);
}

#[test]
fn numbers_that_a_power_failure_gave_back_are_told_and_read_again() {
    let dir = directory();
    let path = dir.path().join("w");
    fresh(&path, 64, 16 << 10);
    append(&path, 3, 0);
    let image = std::fs::read(&path).unwrap();
    append(&path, 3, 0);
    let world = World::new(dir.path(), 1, 0);
    let fail = path.clone();
    world.lock().at(Duration::from_secs(10), move |world| {
        // As it was, and under the same name.
        std::fs::remove_file(&fail).unwrap();
        std::fs::write(&fail, &image).unwrap();
        world.kill_server(true);
    });
    let writer = path.clone();
    world.lock().at(Duration::from_secs(100), move |_| append(&writer, 2, 0));
    let writer = path.clone();
    world.lock().at(Duration::from_secs(200), move |world| {
        world.kill_server(true);
        append(&writer, 1, 0);
    });
    let mut seen = Seen { again: true, ..Seen::default() };
    world.remote(patient()).read("w", &follow(9), &mut seen).unwrap();
    assert_eq!(seen.elements, [1, 2, 3, 4, 5, 6, 4, 5, 6]);
    assert_eq!(seen.gone, [(4, 6)]);
}

#[test]
fn a_range_whose_rest_was_overwritten_ends_and_says_so() {
    let dir = directory();
    let path = dir.path().join("w");
    fresh(&path, 20, 1 << 20);
    append(&path, 10, 20_000);
    let world = World::new(dir.path(), 3, 0);
    world.lock().script.push_back(Some(Cut {
        way: DOWN,
        after: 150_000,
        fault: crate::world::Fault::Silent,
    }));
    // More than the history, once the first of them came.
    let mut seen = Seen { more: Some((path.clone(), 200)), ..Seen::default() };
    world.remote(patient()).read("w", &Selection::default(), &mut seen).unwrap();
    let last = *seen.elements.last().unwrap();
    assert!((1..10).contains(&last), "{:?}", seen.elements);
    assert_eq!(seen.gone, [(last + 1, 10)]);
}
