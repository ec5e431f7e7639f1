//! Kills at every store, and power losses that lose any pages.

use super::super::format::{PAGE, Payload, Record, shared};
use super::super::record::{Recorder, Step, image_after_kill, image_after_power_loss};
use super::*;

/// A small generator of numbers; the seed is printed when a test fails.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The writer id of stamped elements: no seqno, position or word of a payload is the same.
pub(super) const WRITER: u64 = 0x5712_3400_0000_0001;

/// How element `seqno` is appended: eight with stamps, eight without, and so on. Every third of those with stamps is of
/// another writer.
fn stamp_for(seqno: u64) -> Option<Stamp> {
    let writer = if seqno.is_multiple_of(3) { WRITER + 1 } else { WRITER };
    (seqno / 8 % 2 == 1).then_some(Stamp { writer, seq: seqno * 2 })
}

/// The mark of element `seqno`: those that go in one batch have the same one.
fn mark_for(seqno: u64) -> Mark {
    Mark::new((seqno / 8 % 8) as u8, (seqno / 8 % 16) as u8)
}

/// Appends up to `count` elements that go in one batch, and says how many.
pub(super) fn append_some(appender: &mut Appender, first: u64, count: u64) -> u64 {
    let end = (first + count).min((first + 1).next_multiple_of(8));
    let items: Vec<Vec<u8>> = (first..end).map(content).collect();
    let items = items.iter().map(Vec::as_slice);
    let mut appended = Vec::new();
    appender.set_mark(mark_for(first));
    if stamp_for(first).is_some() {
        let stamped = (first..end).zip(items).filter_map(|(seqno, item)| Some((stamp_for(seqno)?, item)));
        appender.extend_stamped(stamped, |run| appended.push(run)).unwrap();
    } else {
        appender.extend(items, |run| appended.push(run)).unwrap();
    }
    assert_eq!(appended, [Run { first, count: end - first }]);
    end - first
}

/// Appends elements 1, 2, ... in ones and batches until `count` are in, and notes what was acknowledged.
pub(super) fn appended(options: &Options, count: u64) -> (Vec<u8>, Vec<Step>) {
    let (_dir, path, woof) = woof(options);
    let start = std::fs::read(&path).unwrap();
    let recorder = Recorder::default();
    woof.record_to(recorder.clone());
    let mut appender = woof.appender().unwrap();
    let mut next = 1;
    let mut random = Random(count ^ 0x9e37_79b9);
    while next <= count {
        let batch = if random.below(3) == 0 { 1 + random.below(7) as u64 } else { 1 };
        next += append_some(&mut appender, next, batch);
        recorder.note(next - 1);
    }
    (start, recorder.steps())
}

fn acknowledged(steps: &[Step]) -> u64 {
    steps
        .iter()
        .rev()
        .find_map(|step| if let Step::Note(seqno) = step { Some(*seqno) } else { None })
        .unwrap_or(0)
}

/// Everything that is kept is right, and goes on being right after another append.
pub(super) fn check_and_append(woof: &Woof, what: &str) {
    let (first, next) = (woof.first_seqno(), woof.next_seqno());
    let read = read_from(woof, first);
    assert_eq!(read.len() as u64, next - first, "{what}");
    for ((seqno, data), expected) in read.into_iter().zip(first..) {
        assert_eq!(seqno, expected, "{what}");
        assert_eq!(data.as_bytes(), content(seqno), "{what}: element {seqno}");
    }
    let stamps: Vec<_> = (first..next).filter_map(|seqno| Some((seqno, stamp_for(seqno)?))).collect();
    assert_eq!(stamps_from(woof, first), stamps, "{what}");
    let marks: Vec<_> = (first..next).map(|seqno| (seqno, mark_for(seqno))).collect();
    assert_eq!(marks_from(woof, first), marks, "{what}");
    for writer in [WRITER, WRITER + 1] {
        let own: Vec<_> = stamps.iter().copied().filter(|(_, stamp)| stamp.writer == writer).collect();
        assert_eq!(stamps_of(woof, writer, 1), own, "{what}");
    }
    let mut appender = woof.appender().unwrap();
    let mut at = next;
    while at < next + 3 {
        at += append_some(&mut appender, at, next + 3 - at);
    }
    assert_eq!(read_from(woof, next).len(), 3, "{what}");
    let status = woof.status();
    assert!(status.used <= status.ring_len, "{what}");
}

pub(super) fn kinds() -> Vec<(&'static str, Options, u64)> {
    let variable = Options { history: 12, capacity: 4096, ..Options::default() };
    vec![
        ("fixed", fixed(9, 31), 120),
        ("variable", variable.clone(), 230),
        ("fixed, sync", Options { sync: true, ..fixed(9, 31) }, 120),
        ("variable, sync", Options { sync: true, ..variable }, 230),
    ]
}

#[test]
fn killed_at_any_store_what_was_acknowledged_is_there_once_and_in_order() {
    let dir = dir();
    for (name, options, count) in kinds() {
        let (start, steps) = appended(&options, count);
        for killed in 0..=steps.len() {
            let what = format!("{name}, killed after {killed} of {} stores", steps.len());
            let woof = open_image(dir.path(), &image_after_kill(&start, &steps, killed)).unwrap();
            let acknowledged = acknowledged(&steps[..killed]);
            assert!(woof.next_seqno() > acknowledged, "{what}: {acknowledged} was acknowledged");
            // A batch of up to 7 may be in that nobody was told of.
            assert!(woof.next_seqno() <= acknowledged + 8, "{what}");
            if options.element_size.is_some() {
                let kept = woof.next_seqno() - woof.first_seqno();
                assert!(kept >= acknowledged.min(options.history), "{what}: {kept} kept");
            }
            check_and_append(&woof, &what);
        }
    }
}

#[test]
fn after_a_power_loss_a_prefix_is_there_and_with_sync_all_that_was_acknowledged() {
    let dir = dir();
    let mut random = Random(20_261_122);
    for (name, options, count) in kinds() {
        let (start, steps) = appended(&options, count);
        for round in 0..400 {
            let lost_after = random.below(steps.len() + 1);
            // Some losses take all that they may, some nothing, most anything between.
            let style = random.below(4);
            let mut image = image_after_power_loss(&start, &steps, lost_after, |_, from, to| match style {
                0 => from,
                1 => to,
                2 if random.below(2) == 0 => from,
                2 => to,
                _ => from + random.below(to - from + 1),
            });
            image[shared::BOOT_ID] ^= 0xff;
            let acknowledged = acknowledged(&steps[..lost_after]);
            let what = format!("{name}, round {round}, power lost after {lost_after}, style {style}");
            let woof = open_image(dir.path(), &image).unwrap();
            let (first, next) = (woof.first_seqno(), woof.next_seqno());
            assert!(next <= acknowledged + 8, "{what}");
            if options.sync {
                assert!(next > acknowledged, "{what}: {acknowledged} was acknowledged, {next} is next");
                let kept = next - first;
                if options.element_size.is_some() {
                    assert!(kept >= acknowledged.min(options.history), "{what}: {kept} kept");
                }
            }
            check_and_append(&woof, &what);
            drop(woof);
            // Lost again without a flush: what was wiped does not come back.
            let mut image = std::fs::read(dir.path().join("image")).unwrap();
            image[shared::BOOT_ID] ^= 0xff;
            let woof = open_image(dir.path(), &image).unwrap();
            assert_eq!(woof.next_seqno(), next + 3, "{what}, again");
            check_and_append(&woof, &format!("{what}, again"));
        }
    }
}

#[test]
fn a_durable_element_that_rots_is_damage_and_ends_nothing() {
    let (dir, path, woof) = woof(&Options { sync: true, ..fixed(20, 31) });
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=10 {
        appender.append(&content(seqno)).unwrap();
    }
    let mut image = std::fs::read(&path).unwrap();
    let at = image.windows(7).rposition(|bytes| bytes == b"4:xxxxx").unwrap();
    image[at] = b'5';
    image[shared::BOOT_ID] ^= 0xff;
    let woof = open_image(dir.path(), &image).unwrap();
    let read = read_from(&woof, 1);
    assert_eq!(read.len(), 10);
    assert_eq!(read[3], (4, "damaged".to_owned()));
    assert_eq!(read[4].1.as_bytes(), content(5));
    assert_eq!(woof.appender().unwrap().append(b"on").unwrap(), 11);
}

#[test]
fn what_a_payload_looks_like_is_never_taken_for_a_record() {
    let (dir, path, woof) = woof(&Options::default());
    let mut appender = woof.appender().unwrap();
    appender.append(b"one").unwrap();
    // A payload that is a true copy of what the record of element 9 at its own place would be.
    let geometry = woof.region().geometry.clone();
    let inside = 2 * 48 + 40;
    let forged = Record::new(geometry.seed(), 9, 1, inside - 8, 0, Payload::of(None, b"forged"));
    let mut payload = forged.encode().to_vec();
    payload.extend_from_slice(b"forged\0\0");
    appender.append(&payload).unwrap();
    appender.append(b"three").unwrap();
    let mut image = std::fs::read(&path).unwrap();
    image[shared::BOOT_ID] ^= 0xff;
    let woof = open_image(dir.path(), &image).unwrap();
    assert_eq!((woof.first_seqno(), woof.next_seqno()), (1, 4));
}

#[test]
fn a_woof_of_an_earlier_boot_can_be_read_without_the_right_to_write() {
    let (dir, path, woof) = woof(&fixed(9, 31));
    let mut appender = woof.appender().unwrap();
    for seqno in 1..=12 {
        appender.append(&content(seqno)).unwrap();
    }
    let mut image = std::fs::read(&path).unwrap();
    image[shared::BOOT_ID] ^= 0xff;
    // The index did not make it to the disk.
    image[3 * PAGE..4 * PAGE].fill(0);
    let copy = dir.path().join("copy");
    std::fs::write(&copy, &image).unwrap();
    let file = std::fs::File::open(&copy).unwrap();
    let region = super::super::region::Region::new(file, woof.region().geometry.clone(), false).unwrap();
    let reader = super::super::woof::Woof::frozen(region, woof_core::sys::boot_id().unwrap());
    assert_eq!((reader.first_seqno(), reader.next_seqno()), (4, 13));
    assert_eq!(read_from(&reader, 4).len(), 9);
    assert_eq!(std::fs::read(&copy).unwrap(), image);
}
