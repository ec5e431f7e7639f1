//! Puts through links that are cut: each element is in once, in order, under the seqno that was told.

use crate::world::{Cut, DOWN, FAULTS, Random, UP, World, directory, elements, for_seeds, patient};
use libwoofstream::content::ContentType;
use libwoofstream::error::Code;
use libwoofstream::log::{self, Given, Item, Options, Stamp};
use libwoofstream::space::{Put, Space as _, Told};
use std::path::Path;
use std::time::Duration;

/// What is put, and whether it fits.
struct Load {
    items: Vec<(Vec<u8>, bool)>,
    options: Options,
}

fn load(random: &mut Random) -> Load {
    let large = random.once_in(40);
    let numbers = !large && random.once_in(3);
    let options = Options {
        history: 1 << 12,
        capacity: if large { 16 << 20 } else { 1 << 20 },
        content: if numbers { ContentType::I64 } else { ContentType::Bytes },
        ..Options::default()
    };
    let count = 1 + random.scaled(if large { 8 } else { 600 });
    let items = (0..count).map(|number| item(random, number, large, numbers)).collect();
    Load { items, options }
}

fn item(random: &mut Random, number: u64, large: bool, numbers: bool) -> (Vec<u8>, bool) {
    if numbers {
        return match random.once_in(20) {
            true => (format!("no {number}").into_bytes(), false),
            false => (number.to_string().into_bytes(), true),
        };
    }
    let mut data = format!("{number}:").into_bytes();
    let fits = !random.once_in(50);
    let size = match (fits, large) {
        (false, true) => (4 << 20) + random.below(1 << 20),
        (false, false) => (256 << 10) + random.below(70_000),
        (true, true) => random.below(2 << 20),
        (true, false) if random.once_in(200) => random.below(200_000),
        (true, false) => random.below(60),
    };
    data.resize(data.len() + size as usize, b'.');
    (data, fits)
}

/// What became of elements, in order.
#[derive(Default)]
struct Book(Vec<Option<u64>>);

impl Book {
    /// Notes what was told; the next to be told of has the number `first + self.0.len()`.
    fn note(&mut self, first: u64, told: Told) {
        match told {
            Told::In(run) => self.0.extend((run.first..run.first + run.count).map(Some)),
            Told::Again(seqno) => self.0.push(Some(seqno)),
            Told::Refused(number, err) => {
                assert_eq!(number, first + self.0.len() as u64, "{err}");
                let text = err.to_string();
                assert!(
                    text.contains(" is not an integer") || text.contains("the limit of this woof is"),
                    "{text}"
                );
                self.0.push(None);
            }
        }
    }

    /// Each element is where it was told to be, and nothing else is there.
    fn check(&self, path: &Path, load: &Load) {
        assert_eq!(self.0.len(), load.items.len());
        let found = elements(path);
        let mut expected = Vec::new();
        for ((data, fits), seqno) in load.items.iter().zip(&self.0) {
            assert_eq!(*fits, seqno.is_some(), "{} bytes of {:?}", data.len(), load.options);
            if let Some(seqno) = seqno {
                let stored = match load.options.content {
                    ContentType::I64 => {
                        String::from_utf8_lossy(data).parse::<i64>().unwrap().to_le_bytes().to_vec()
                    }
                    _ => data.clone(),
                };
                expected.push((*seqno, stored));
            }
        }
        assert!(expected.is_sorted_by(|a, b| a.0 < b.0), "out of order");
        let own: Vec<_> = found.into_iter().filter(|(_, data)| data != b"-1" && data != &[255; 8]).collect();
        assert!(own == expected, "{} elements instead of {}", own.len(), expected.len());
    }
}

/// Puts all of a load, in several calls.
fn put_all(world: &World, load: &Load) -> Book {
    let mut put = world.remote(patient()).put("w", None).unwrap();
    let mut book = Book::default();
    let mut rest = &load.items[..];
    while !rest.is_empty() {
        let (len, settle) = {
            let random = &mut world.lock().random;
            (1 + random.scaled(rest.len() as u64).min(rest.len() as u64 - 1) as usize, random.once_in(4))
        };
        let mut items = rest[..len].iter().map(|(data, _)| data.as_slice());
        put.put(&mut items, &mut |told| book.note(1, told)).unwrap();
        rest = &rest[len..];
        if settle {
            put.settle(&mut |told| book.note(1, told)).unwrap();
            assert_eq!(book.0.len(), load.items.len() - rest.len());
        }
    }
    put.settle(&mut |told| book.note(1, told)).unwrap();
    book
}

/// Another writer of the same woof.
fn intrude(world: &World, path: &Path, number: bool) {
    let mut inner = world.lock();
    for _ in 0..inner.random.below(6) {
        let at = inner.now + Duration::from_millis(inner.random.scaled(60_000));
        let path = path.to_owned();
        inner.at(at, move |_| {
            let mut appender = log::open(&path).unwrap().appender().unwrap();
            appender.append(if number { &[255; 8] } else { b"-1" }).unwrap();
        });
    }
}

fn put_with_cuts(root: &Path, seed: u64) -> (u64, Vec<Option<u64>>) {
    let path = root.join("w");
    let _ = std::fs::remove_file(&path);
    let mut random = Random::new(seed ^ 0xabcd);
    let load = load(&mut random);
    log::create(&path, &load.options).unwrap();
    let world = World::new(root, seed, random.below(8));
    intrude(&world, &path, load.options.content == ContentType::I64);
    let book = put_all(&world, &load);
    book.check(&path, &load);
    (world.trace(), book.0)
}

#[test]
fn what_is_put_through_cut_links_is_in_once_and_in_order() {
    let dir = directory();
    for_seeds(1000, |seed| {
        put_with_cuts(dir.path(), seed);
    });
}

#[test]
fn elements_have_the_times_that_they_were_put_with_however_often_they_are_sent() {
    let dir = directory();
    let path = dir.path().join("w");
    for_seeds(200, |seed| {
        let _ = std::fs::remove_file(&path);
        let mut random = Random::new(seed ^ 0x71e5);
        let load = load(&mut random);
        log::create(&path, &load.options).unwrap();
        let world = World::new(dir.path(), seed, random.below(8));
        let mut put = world.remote(patient()).put("w", None).unwrap();
        let mut book = Book::default();
        let time_of = |number: usize| 1000 + 7 * number as u64;
        let mut items = load.items.iter().enumerate().map(|(number, (data, _))| Given {
            stamp: None,
            time_ns: time_of(number),
            data,
        });
        put.put_given(&mut items, &mut |told| book.note(1, told)).unwrap();
        put.settle(&mut |told| book.note(1, told)).unwrap();
        book.check(&path, &load);
        assert_eq!(put.changed_times(), log::ChangedTimes::default());
        let mut cursor = log::open(&path).unwrap().cursor(1);
        for number in book.0.iter().enumerate().filter_map(|(number, seqno)| seqno.map(|_| number)) {
            let Some(Item::Elem { time_ns, .. }) = cursor.next() else { panic!("an element is not there") };
            assert_eq!(time_ns, time_of(number));
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let dir = directory();
    for_seeds(40, |seed| {
        assert_eq!(put_with_cuts(dir.path(), seed), put_with_cuts(dir.path(), seed));
    });
}

/// Puts stamped elements; a process dies without settling, and the next one begins again with the same stamps.
#[test]
fn a_put_that_another_process_goes_on_with_is_in_once() {
    let dir = directory();
    let path = dir.path().join("w");
    for_seeds(1000, |seed| {
        let _ = std::fs::remove_file(&path);
        let mut random = Random::new(seed ^ 0x5717);
        let load = load(&mut random);
        log::create(&path, &load.options).unwrap();
        let world = World::new(dir.path(), seed, random.below(6));
        intrude(&world, &path, load.options.content == ContentType::I64);
        let (writer, gap) = (random.next(), 1 + random.below(2));
        let start = random.below(1000) + 1;
        let stamped = |from: usize| {
            load.items[from..].iter().enumerate().map(move |(number, (data, _))| {
                (Stamp { writer, seq: start + (from + number) as u64 * gap }, data.as_slice())
            })
        };
        let mut told: Vec<Option<u64>> = vec![None; load.items.len()];
        let mut known = 0;
        for last in [false, random.once_in(2), true] {
            // What was told of before may be put again, too.
            let from = known - random.scaled(known as u64 + 1).min(known as u64) as usize;
            let mut put = world.remote(patient()).put("w", None).unwrap();
            let mut at = from;
            let mut note = |told_now: Told| match told_now {
                Told::In(run) => {
                    for seqno in run.first..run.first + run.count {
                        assert!(at >= known || told[at] == Some(seqno), "it has another seqno now");
                        told[at] = Some(seqno);
                        at += 1;
                    }
                }
                Told::Again(_) => panic!("that a server does not tell apart"),
                Told::Refused(seq, _) => {
                    assert_eq!(seq, start + at as u64 * gap);
                    assert_eq!(told[at], None);
                    at += 1;
                }
            };
            let len = if last {
                load.items.len() - from
            } else {
                random.below((load.items.len() - from) as u64) as usize
            };
            put.put_stamped(&mut stamped(from).take(len), &mut note).unwrap();
            if last {
                put.settle(&mut note).unwrap();
            }
            known = known.max(at);
            if last {
                break;
            }
        }
        assert_eq!(known, load.items.len());
        Book(told).check(&path, &load);
    });
}

/// A put of a few elements with its first connection cut at this place.
fn small_put(dir: &Path, cut: Option<Cut>) -> [u64; 2] {
    let path = dir.join("w");
    let _ = std::fs::remove_file(&path);
    let options =
        Options { history: 64, capacity: 16 << 10, content: ContentType::Bytes, ..Options::default() };
    let load = Load { items: (0..5).map(|n| (format!("{n}").into_bytes(), true)).collect(), options };
    log::create(&path, &load.options).unwrap();
    let world = World::new(dir, 1, 0);
    world.lock().script.push_back(cut);
    let mut put = world.remote(patient()).put("w", None).unwrap();
    let mut book = Book::default();
    for items in load.items.chunks(2) {
        put.put(&mut items.iter().map(|(data, _)| data.as_slice()), &mut |told| book.note(1, told)).unwrap();
    }
    put.settle(&mut |told| book.note(1, told)).unwrap();
    drop(put);
    book.check(&path, &load);
    world.carried()
}

#[test]
fn a_put_that_is_cut_at_any_byte_of_either_direction_is_in_once() {
    let dir = directory();
    let carried = small_put(dir.path(), None);
    assert!(carried[UP] > 100 && carried[DOWN] > 100);
    for way in [UP, DOWN] {
        for after in 0..=carried[way] {
            for fault in FAULTS {
                let cut = Cut { way, after, fault };
                let done = std::panic::catch_unwind(|| small_put(dir.path(), Some(cut)));
                assert!(done.is_ok(), "{cut:?}");
            }
        }
    }
}

#[test]
fn a_woof_made_anew_under_a_put_is_an_error() {
    let dir = directory();
    let path = dir.path().join("w");
    let mut errors = 0;
    for seed in 0..200 {
        let _ = std::fs::remove_file(&path);
        let options = Options { history: 1 << 12, capacity: 1 << 20, ..Options::default() };
        log::create(&path, &options).unwrap();
        let world = World::new(dir.path(), seed, 3);
        let reset = path.clone();
        world.lock().at(Duration::from_millis(1500), move |_| {
            log::reset(&reset, &Options { history: 1 << 12, capacity: 1 << 20, ..Options::default() })
                .unwrap();
        });
        let mut put: Box<dyn Put> = world.remote(patient()).put("w", None).unwrap();
        let mut failed = None;
        for _ in 0..30 {
            let mut done = put.put(&mut std::iter::once(&b"1"[..]), &mut |_| {});
            if done.is_ok() {
                done = put.settle(&mut |_| {});
            }
            if let Err(err) = done {
                failed = Some(err);
                break;
            }
        }
        if let Some(err) = failed {
            assert_eq!(err.code(), Code::Removed, "seed {seed}: {err}");
            errors += 1;
        }
    }
    assert!(errors > 100, "{errors}");
}

#[test]
fn a_put_that_waited_long_for_its_first_element_connects_anew() {
    let dir = directory();
    let path = dir.path().join("w");
    log::create(&path, &Options { history: 64, capacity: 16 << 10, ..Options::default() }).unwrap();
    let world = World::new(dir.path(), 1, 0);
    let mut put = world.remote(patient()).put("w", None).unwrap();
    // The server has given up by now on a client that did not greet.
    world.pass(Duration::from_secs(15));
    put.put(&mut std::iter::once(&b"1"[..]), &mut |_| {}).unwrap();
    put.settle(&mut |_| {}).unwrap();
    assert_eq!(world.lock().dials, 2);
    // Once greeted, it may think for as long as it likes.
    world.pass(Duration::from_secs(3600));
    put.put(&mut std::iter::once(&b"2"[..]), &mut |_| {}).unwrap();
    put.settle(&mut |_| {}).unwrap();
    assert_eq!(world.lock().dials, 2);
    assert_eq!(elements(&path), [(1, b"1".to_vec()), (2, b"2".to_vec())]);
}
