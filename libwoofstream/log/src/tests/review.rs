//! What a review of the log found, each shown by the state that made it fail.

use super::super::files;
use super::super::format::{NO_RECORD, PAGE, Payload, Record, UNSYNCED_UNKNOWN, shared};
use super::super::lock::{Slot, Taken};
use super::super::record::Step;
use super::super::region::Region;
use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::Ordering::SeqCst;
use woof_core::error::Code;

/// The image of a woof as another boot finds it.
fn of_another_boot(path: &Path) -> Vec<u8> {
    let mut image = std::fs::read(path).unwrap();
    image[shared::BOOT_ID] ^= 0xff;
    image
}

/// Leaves the append lock to a holder that is dead.
fn die_with_the_lock(woof: &Woof) {
    let region = woof.region();
    let dead = Slot::take(&region.map, &region.file).unwrap();
    assert_eq!(dead.lock(&region.map, shared::APPEND_LOCK), Taken::Clean);
}

#[test]
fn a_follower_that_marks_itself_while_the_mark_is_taken_away_does_not_sleep() {
    let (_dir, _path, woof) = woof(&Options::default());
    let map = &woof.region().map;
    // A writer has published; a follower looked, found nothing more, and sets its mark before the writer takes it away.
    let seen = map.load32(shared::EVENT, SeqCst);
    map.store32(shared::WAITING, 1, SeqCst);
    woof.region().wake_followers();
    assert_eq!(map.load32(shared::WAITING, SeqCst), 0);
    assert_ne!(map.load32(shared::EVENT, SeqCst), seen, "the follower would sleep and nobody would wake it");
}

#[test]
fn a_follower_of_a_writer_that_was_killed_before_it_woke_anybody_goes_on_with_the_next() {
    let (_dir, path, woof) = woof(&Options::default());
    std::thread::scope(|scope| {
        let mut cursor = woof.cursor(1);
        let waker = cursor.waker();
        let follower = scope.spawn(move || {
            let mut seen = 0;
            while seen < 2 {
                match cursor.next() {
                    Some(_) => seen += 1,
                    None => drop(cursor.wait(&waker)),
                }
            }
        });
        woof.appender().unwrap().append(b"one").unwrap();
        // Killed between taking the mark away and the wake-up.
        std::thread::sleep(std::time::Duration::from_millis(5));
        die_with_the_lock(&woof);
        woof.region().map.store32(shared::WAITING, 0, SeqCst);
        open(&path).unwrap().appender().unwrap().append(b"two").unwrap();
        follower.join().unwrap();
    });
}

#[test]
fn a_batch_larger_than_the_ring_goes_in_in_parts() {
    let (_dir, _path, woof) = woof(&Options { history: 100, capacity: 4096, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    let items: Vec<Vec<u8>> = (1..=40u8).map(|n| vec![n; 1000]).collect();
    let mut count = 0;
    appender.extend(items.iter().map(Vec::as_slice), |run| count += run.count).unwrap();
    assert_eq!((count, woof.next_seqno()), (40, 41));
    let kept: Vec<u64> = (woof.first_seqno()..41).collect();
    assert!(kept.len() >= 4);
    let read = read_from(&woof, kept[0]);
    assert_eq!(read.iter().map(|(seqno, _)| *seqno).collect::<Vec<_>>(), kept);
    assert!(read.iter().all(|(seqno, data)| data.as_bytes() == [*seqno as u8; 1000]));
}

#[test]
fn the_repair_that_a_dead_writer_leaves_is_not_lost_to_one_who_only_looked_at_the_boot() {
    let (_dir, path, woof) = woof(&fixed(20, 31));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=3 {
        appender.append(&content(seqno)).unwrap();
    }
    // Killed after the position of the next record was stored and before it was published.
    let map = &woof.region().map;
    let pos = map.load(shared::NEXT_POS, SeqCst);
    die_with_the_lock(&woof);
    map.store(shared::NEXT_POS, pos + 48, SeqCst);
    let boot_id = woof_core::sys::boot_id().unwrap();
    files::recover_once(woof.region(), boot_id).unwrap();
    appender.append(&content(4)).unwrap();
    assert_eq!(woof.region().index(4), pos);
    let woof = open_image(path.parent().unwrap(), &of_another_boot(&path)).unwrap();
    assert_eq!(read_from(&woof, 1).len(), 4);
}

#[test]
fn a_failed_write_leaves_nothing_that_a_recovery_takes_for_an_element() {
    let (dir, path, made) = woof(&Options { sync: true, ..fixed(20, 31) });
    made.appender().unwrap().append(&content(1)).unwrap();
    let geometry = made.region().geometry.clone();
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let mut region = Region::new(file, geometry.clone(), true).unwrap();
    // Writes to this one fail, stores through the mapping do not.
    region.file = std::fs::File::open(&path).unwrap();
    let mut appender = Woof::live(region).appender().unwrap();
    let err = appender.append(&content(2)).unwrap_err();
    assert_eq!(err.code(), Code::Io);
    assert!(err.text().starts_with("append after element 1: "), "{}", err.text());
    // What such a write could leave: the third of a chunk, whole, where the third will stand.
    let pos = made.region().index(1) + 40 + 16;
    let phantom = content(3);
    let second = Record::new(geometry.seed(), 2, 9, pos, 0, Payload::of(None, &content(2)));
    made.region().put(&second, None, &content(2));
    let third = Record::new(geometry.seed(), 3, 9, pos + second.size(), 0, Payload::of(None, &phantom));
    made.region().put(&third, None, &phantom);
    let mut appender = open(&path).unwrap().appender().unwrap();
    assert_eq!(appender.append(&content(2)).unwrap(), 2);
    let recovered = open_image(dir.path(), &of_another_boot(&path)).unwrap();
    assert_eq!(recovered.next_seqno(), 3);
}

#[test]
fn a_reset_keeps_the_mode_and_a_symbolic_link_leads_to_the_new_woof() {
    let (dir, path, woof) = woof(&Options::default());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    reset(&link, &Options::default()).unwrap();
    assert!(link.is_symlink());
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
    assert_eq!(woof.appender().err().unwrap().text(), "the woof was reset meanwhile");
    assert_eq!(open(&link).unwrap().appender().unwrap().append(b"new").unwrap(), 1);
    // Of a link, only the link goes.
    remove(&link).unwrap();
    assert!(!link.is_symlink());
    assert_eq!(open(&path).unwrap().appender().unwrap().append(b"on").unwrap(), 2);
}

#[test]
fn a_woof_whose_remover_was_killed_is_removed_for_its_writers_too() {
    let (_dir, path, woof) = woof(&Options::default());
    let mut appender = woof.appender().unwrap();
    appender.append(b"one").unwrap();
    die_with_the_lock(&woof);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(appender.append(b"two").unwrap_err().text(), "the woof was removed meanwhile");
}

#[test]
fn removals_and_resets_at_once_leave_nobody_appending_to_a_file_without_a_name() {
    let (_dir, path, _woof) = woof(&Options::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..30 {
                    reset(&path, &Options::default())
                        .or_else(|err| if err.code() == Code::Exists { Ok(()) } else { Err(err) })
                        .unwrap();
                }
            });
            scope.spawn(|| {
                for _ in 0..30 {
                    let done = remove(&path);
                    assert!(done.is_ok() || done.is_err_and(|err| err.code() == Code::NotFound));
                }
            });
        }
        for _ in 0..300 {
            let Ok(woof) = open(&path) else { continue };
            let Ok(mut appender) = woof.appender() else { continue };
            std::thread::yield_now();
            let appended = appender.append(b"x");
            // The file lost its name before: then the append says so. (It may lose it just afterwards.)
            let state = woof.region().state();
            assert!(appended.is_ok() || state != shared::STATE_LIVE);
            if woof.region().has_no_name() {
                assert!(appender.append(b"y").is_err(), "appended to a file that nobody can open any more");
            }
        }
    });
}

#[test]
fn a_file_that_has_its_name_after_a_power_loss_is_alive() {
    let (dir, path, woof) = woof(&Options::default());
    woof.appender().unwrap().append(b"one").unwrap();
    let mut image = of_another_boot(&path);
    image[shared::STATE] = 2;
    assert_eq!(open_image(dir.path(), &image).unwrap().appender().unwrap().append(b"two").unwrap(), 2);
}

#[test]
fn old_records_under_a_lost_tail_do_not_end_what_is_kept() {
    let (dir, path, woof) = woof(&Options { history: 1000, capacity: 16 << 10, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    while woof.region().map.load(shared::NEXT_POS, SeqCst) < 5 * woof.region().geometry.ring_len / 2 {
        appender.append(&content(woof.next_seqno())).unwrap();
    }
    let (first, next) = (woof.first_seqno(), woof.next_seqno());
    let (oldest, third) = (woof.region().index(first), woof.region().index(first + 2));
    let mut image = of_another_boot(&path);
    // A tail was being written over the second and third oldest: part of it came to the disk, its headers and the shared words
    // did not.
    let geometry = &woof.region().geometry;
    let place = |pos: u64| (geometry.ring_offset() + pos % geometry.ring_len) as usize;
    let from = place(woof.region().index(first + 1));
    image[from..place(third) + 48].fill(0xee);
    assert!(place(oldest) < from);
    image[shared::FIRST_SEQNO..shared::FIRST_SEQNO + 8].copy_from_slice(&5u64.to_le_bytes());
    let woof = open_image(dir.path(), &image).unwrap();
    assert_eq!((woof.first_seqno(), woof.next_seqno()), (first + 3, next));
    assert_eq!(read_from(&woof, first + 3).len() as u64, next - first - 3);
    assert_eq!(woof.status().last_cut, 0);
}

#[test]
fn a_hole_among_forgotten_elements_ends_nothing() {
    // Elements are far smaller than they may be, so the ring holds many more than the history.
    let (dir, path, woof) = woof(&fixed(50, 500));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=400 {
        appender.append(&content(seqno)).unwrap();
    }
    let mut image = of_another_boot(&path);
    let geometry = &woof.region().geometry;
    let at = image.windows(5).position(|bytes| bytes == b"300:x").unwrap();
    assert!(at > geometry.ring_offset() as usize);
    image[at] = 0;
    let woof = open_image(dir.path(), &image).unwrap();
    assert_eq!((woof.first_seqno(), woof.next_seqno()), (351, 401));
    assert_eq!(woof.status().last_cut, 0);
}

#[test]
fn a_hole_among_forgotten_elements_that_come_back_is_not_told() {
    // The header is newer than the tail, which was lost: there is room for some that were forgotten.
    let (dir, path, woof) = woof(&fixed(50, 31));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=60 {
        appender.append(&content(seqno)).unwrap();
    }
    appender.set_sync(true);
    for seqno in 61..=62 {
        appender.append(&content(seqno)).unwrap();
    }
    let mut image = of_another_boot(&path);
    let at = image.windows(3).position(|bytes| bytes == b"30:").unwrap();
    image[at] = b'9';
    let opened_with_first = |first: u64| {
        let mut image = image.clone();
        image[shared::FIRST_SEQNO..shared::FIRST_SEQNO + 8].copy_from_slice(&first.to_le_bytes());
        let woof = open_image(dir.path(), &image).unwrap();
        assert_eq!(woof.next_seqno(), 63);
        woof.first_seqno()
    };
    assert_eq!(opened_with_first(40), 31);
    // One that was not forgotten is told.
    assert_eq!(opened_with_first(30), 13);
}

#[test]
fn a_header_that_is_newer_than_all_records_does_not_start_seqnos_anew() {
    let (dir, path, woof) = woof(&Options { history: 1000, capacity: 4096, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=300 {
        appender.append(&content(seqno)).unwrap();
    }
    let mut image = of_another_boot(&path);
    // The shared words were flushed, the ring was not: they are a lap ahead.
    for (offset, value) in [(shared::FIRST_SEQNO, 400u64), (shared::NEXT_SEQNO, 600)] {
        image[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }
    let woof = open_image(dir.path(), &image).unwrap();
    assert_eq!(woof.next_seqno(), 301);
    assert!(woof.first_seqno() < 300);
    assert_eq!(woof.status().last_cut, 299);
}

#[test]
fn a_record_inside_a_payload_that_goes_round_the_end_is_data() {
    let (dir, path, woof) = woof(&Options { history: 1000, capacity: 16 << 10, ..Options::default() });
    let geometry = woof.region().geometry.clone();
    let mut appender = woof.appender().unwrap();
    let pos = |offset| woof.region().map.load(offset, SeqCst);
    while pos(shared::NEXT_POS) + 96 < geometry.ring_len {
        appender.append(b"12345678").unwrap();
    }
    // The next payload goes round the end, and holds a true record of the far future at its place.
    let payload_at = pos(shared::NEXT_POS) + 40;
    let head = geometry.ring_len - payload_at + 64;
    let forged = Record::new(
        geometry.seed(),
        1 << 40,
        1,
        64 + (geometry.ring_len << 20),
        UNSYNCED_UNKNOWN,
        Payload::of(None, b""),
    );
    let mut payload = vec![b'-'; head as usize];
    payload.extend_from_slice(&forged.encode());
    appender.append(&payload).unwrap();
    appender.append(b"after").unwrap();
    let (first, next) = (woof.first_seqno(), woof.next_seqno());
    let woof = open_image(dir.path(), &of_another_boot(&path)).unwrap();
    assert_eq!((woof.first_seqno(), woof.next_seqno()), (first, next));
    assert_eq!(read_from(&woof, next - 2)[0].1, String::from_utf8_lossy(&payload));
}

#[test]
fn a_woof_that_was_shut_down_well_counts_nothing_as_cut() {
    let (dir, path, woof) = woof(&Options { history: 12, capacity: 4096, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=500 {
        appender.append(&content(seqno)).unwrap();
    }
    let (first, next) = (woof.first_seqno(), woof.next_seqno());
    let woof = open_image(dir.path(), &of_another_boot(&path)).unwrap();
    let status = woof.status();
    assert_eq!((status.first_seqno, status.next_seqno, status.last_cut), (first, next, 0));
}

#[test]
fn a_reader_of_an_earlier_boot_goes_over_to_the_woof_once_it_is_recovered() {
    let (dir, path, woof) = woof(&fixed(9, 31));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=12 {
        appender.append(&content(seqno)).unwrap();
    }
    let copy = dir.path().join("image");
    std::fs::write(&copy, of_another_boot(&path)).unwrap();
    let file = std::fs::File::open(&copy).unwrap();
    let region = Region::new(file, woof.region().geometry.clone(), false).unwrap();
    let reader = Woof::frozen(region, woof_core::sys::boot_id().unwrap());
    let mut cursor = reader.cursor(4);
    assert!(matches!(cursor.next(), Some(Item::Elem { seqno: 4, .. })));
    let mut appender = open(&copy).unwrap().appender().unwrap();
    for seqno in 13..=200 {
        appender.append(&content(seqno)).unwrap();
    }
    assert_eq!((reader.first_seqno(), reader.next_seqno()), (192, 201));
    let mut elements = 0;
    while let Some(item) = cursor.next() {
        match item {
            Item::Elem { seqno, data, .. } => assert_eq!(data, content(seqno)),
            Item::Gone { from, to } => assert_eq!((from, to), (13, 191)),
            Item::Damaged { seqno } => panic!("{seqno} is not damaged, it is gone"),
        }
        elements += 1;
    }
    assert_eq!(elements, 8 + 1 + 9);
}

#[test]
fn a_search_by_time_goes_past_damaged_elements() {
    let (_dir, _path, woof) = woof(&fixed(20, 31));
    let mut appender = woof.appender().unwrap();
    let mut times = Vec::new();
    for seqno in 1..=9 {
        std::thread::sleep(std::time::Duration::from_micros(10));
        appender.append(&content(seqno)).unwrap();
        let mut cursor = woof.cursor(seqno);
        let Some(Item::Elem { time_ns, .. }) = cursor.next() else { panic!("{seqno} is not there") };
        times.push(time_ns);
    }
    for damaged in 4..=6 {
        woof.region().set_index(damaged, NO_RECORD);
    }
    for (time, expected) in
        [(times[0], 1), (times[2], 3), (times[3], 4), (times[6], 4), (times[7], 8), (times[8] + 1, 10)]
    {
        assert_eq!(woof.seqno_at(time).unwrap(), expected);
    }
}

#[test]
fn a_cursor_gives_the_memory_of_a_large_element_back() {
    let (_dir, _path, woof) = woof(&Options { capacity: 64 << 20, ..Options::default() });
    let mut appender = woof.appender().unwrap();
    appender.append(&vec![7; 8 << 20]).unwrap();
    appender.append(b"small").unwrap();
    let mut cursor = woof.cursor(1);
    assert!(matches!(cursor.next(), Some(Item::Elem { data, .. }) if data.len() == 8 << 20));
    assert!(matches!(cursor.next(), Some(Item::Elem { data: b"small", .. })));
    assert!(cursor.memory() < 128 << 10, "{}", cursor.memory());
}

#[test]
fn many_damaged_index_entries_cost_one_look_each() {
    let (_dir, _path, woof) = woof(&fixed(200_000, 8));
    let mut appender = woof.appender().unwrap();
    let items = vec![&b"12345678"[..]; 200_000];
    appender.extend(items.iter().copied(), |_| {}).unwrap();
    for seqno in 1..=199_990 {
        woof.region().set_index(seqno, NO_RECORD);
    }
    for _ in 0..100 {
        appender.append(b"more").unwrap();
    }
    assert_eq!(woof.next_seqno(), 200_101);
}

#[test]
fn a_header_that_claims_more_elements_than_there_are_entries_ends() {
    let (dir, path, woof) = woof(&fixed(10, 10));
    woof.appender().unwrap().append(b"one").unwrap();
    let mut image = std::fs::read(&path).unwrap();
    let sum = u64::from_le_bytes(image[shared::WORDS_SUM..shared::WORDS_SUM + 8].try_into().unwrap());
    image[shared::NEXT_SEQNO..shared::NEXT_SEQNO + 8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    // Whoever forges it makes the sum right too.
    image[shared::WORDS_SUM..shared::WORDS_SUM + 8].copy_from_slice(&(sum - 2 + (1 << 60)).to_le_bytes());
    // The words of the sync are as strange.
    for offset in [shared::SYNCED_POS, shared::SYNC_FROM] {
        image[offset..offset + 8].copy_from_slice(&3u64.to_le_bytes());
    }
    let forged = open_image(dir.path(), &image).unwrap();
    assert_eq!(read_from(&forged, 1).len(), 1 + 74);
    assert!(forged.seqno_at(5).unwrap() > 1);
    let mut appender = forged.appender().unwrap();
    appender.set_sync(true);
    assert_eq!(appender.append(b"two").unwrap_err().text(), "damaged header: its seqnos cannot be");
    image[shared::NEXT_SEQNO..shared::NEXT_SEQNO + 8].copy_from_slice(&2u64.to_le_bytes());
    let mut appender = open_image(dir.path(), &image).unwrap().appender().unwrap();
    appender.set_sync(true);
    assert_eq!(appender.append(b"two").unwrap(), 2);
    assert_eq!(image.len() % PAGE, 0);
}

#[test]
fn while_records_are_copied_to_be_synced_they_are_marked_as_not_to_be_overwritten() {
    let (_dir, _path, woof) = woof(&fixed(20, 31));
    let recorder = super::super::record::Recorder::default();
    let mut appender = woof.appender().unwrap();
    appender.append(&content(1)).unwrap();
    woof.record_to(recorder.clone());
    appender.set_sync(true);
    appender.append(&content(2)).unwrap();
    let steps = recorder.steps();
    let marks: Vec<usize> = (0..steps.len())
        .filter(|at| matches!(&steps[*at], Step::Store { offset, .. } if *offset == shared::SYNC_FROM))
        .collect();
    let durable = steps.iter().position(|step| matches!(step, Step::Durable { .. })).unwrap();
    let value = |at: usize| match &steps[at] {
        Step::Store { bytes, .. } => u64::from_le_bytes(bytes[..].try_into().unwrap()),
        _ => 0,
    };
    // Cleared, in case one was killed; set; and cleared when it is done.
    assert_eq!(
        marks.iter().map(|at| value(*at)).collect::<Vec<_>>(),
        [shared::NOT_SYNCING, 0, shared::NOT_SYNCING]
    );
    assert!(marks[1] < durable && durable < marks[2]);
}

#[test]
fn an_append_waits_for_the_sync_of_what_it_would_overwrite_and_not_for_one_that_is_dead() {
    let (_dir, path, woof) = woof(&Options { history: 50, capacity: 4096, ..Options::default() });
    let region = woof.region();
    let leader = Slot::take(&region.map, &region.file).unwrap();
    assert_eq!(leader.lock(&region.map, shared::SYNC_LOCK), Taken::Clean);
    region.map.store(shared::SYNC_FROM, 0, SeqCst);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut appender = open(&path).unwrap().appender().unwrap();
            for _ in 0..100 {
                appender.append(&[1; 500]).unwrap();
            }
        });
        // It goes as far as the ring is long, and no further.
        while region.map.load32(shared::SYNC_LOCK, SeqCst) >> 31 == 0 {
            std::thread::yield_now();
        }
        assert!(region.map.load(shared::NEXT_POS, SeqCst) <= region.geometry.ring_len);
        drop(leader);
        writer.join().unwrap();
    });
    assert_eq!(woof.next_seqno(), 101);
    assert_eq!(region.map.load(shared::SYNC_FROM, SeqCst), shared::NOT_SYNCING);
}

#[test]
fn after_a_removal_a_synced_append_says_removed_each_time() {
    let (_dir, path, woof) = woof(&Options { sync: true, ..fixed(20, 31) });
    let mut appender = woof.appender().unwrap();
    remove(&path).unwrap();
    for _ in 0..2 {
        assert_eq!(appender.append(b"x").unwrap_err().code(), Code::Removed);
    }
}
