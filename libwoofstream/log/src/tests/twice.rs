//! A crash while the one before is put right: kills at every store of a repair and of a recovery, and long random
//! lives of kills and power losses.

use super::super::files;
use super::super::format::{Geometry, PAGE, shared};
use super::super::record::{Recorder, Step, image_after_kill, image_after_power_loss};
use super::super::region::Region;
use super::crash::{Random, WRITER, appended, kinds};
use super::*;
use std::collections::BTreeMap;

/// Opens an image in `dir` with a recorder that is told of its recovery too.
fn open_recorded(dir: &Path, image: &[u8]) -> (Woof, Recorder) {
    let path = dir.join("recorded");
    write_sparse(&path, image);
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let geometry = Geometry::decode(&image[..PAGE]).unwrap();
    let region = Region::new(file, geometry, true).unwrap();
    let recorder = Recorder::default();
    region.map.record_to(recorder.clone());
    let boot_id = woof_core::sys::boot_id().unwrap();
    if super::super::recover::boot_id(&region) != boot_id {
        files::recover_once(&region, boot_id).unwrap();
    }
    (Woof::live(region), recorder)
}

fn word(image: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(image[offset..offset + 8].try_into().unwrap())
}

#[test]
fn killed_at_any_store_of_a_repair_or_a_recovery_the_next_one_puts_it_right() {
    let dir = dir();
    for (name, options, count) in kinds() {
        let (start, steps) = appended(&options, count);
        for boot in [false, true] {
            // An odd distance, so that all kinds of stores are hit.
            for killed in (0..steps.len()).step_by(if boot { 173 } else { 67 }) {
                let mut image = image_after_kill(&start, &steps, killed);
                if boot {
                    image[shared::BOOT_ID] ^= 0xff;
                }
                let (woof, recorder) = open_recorded(dir.path(), &image);
                let next = woof.next_seqno();
                super::crash::append_some(&mut woof.appender().unwrap(), next, 1);
                let again = recorder.steps();
                for at in 0..=again.len() {
                    let what = format!(
                        "{name}, boot {boot}, killed after {killed}, then after {at} of {}",
                        again.len()
                    );
                    let woof = open_image(dir.path(), &image_after_kill(&image, &again, at)).unwrap();
                    let there = woof.next_seqno();
                    assert!(there == next || there == next + 1, "{what}: {there} is next, {next} was");
                    assert!(boot || there > word(&image, shared::NEXT_SEQNO) - 1, "{what}");
                    super::crash::check_and_append(&woof, &what);
                }
            }
        }
    }
}

/// One woof, its file on the disk and in memory, and what must be in it.
struct Life {
    /// What the disk had after the last power loss.
    disk: Vec<u8>,
    /// Every store since.
    steps: Vec<Step>,
    /// The tags of the elements that were published.
    published: BTreeMap<u64, u64>,
    /// Elements that a killed writer may have left whole.
    pending: Vec<(u64, u64)>,
    /// All up to this one were acknowledged as durable.
    durable: u64,
    tags: u64,
}

/// Tags over this are of elements with stamps.
const STAMPED: u64 = 1_000_000;

/// An element that tells which attempt wrote it.
fn tagged(seqno: u64, tag: u64) -> Vec<u8> {
    let mut data = format!("{seqno}:{tag}:").into_bytes();
    data.resize(data.len() + (tag * 11 % 17) as usize, b'x');
    data
}

impl Life {
    fn memory(&self) -> Vec<u8> {
        image_after_kill(&self.disk, &self.steps, self.steps.len())
    }

    /// Opens the woof as it is in memory, appends some, and is killed at some store of all that. Gives what was there when
    /// it was opened.
    fn work(&mut self, dir: &Path, random: &mut Random, what: &str) {
        let image = self.memory();
        let (woof, recorder) = open_recorded(dir, &image);
        self.check(&woof, &image, what);
        let opened = woof.next_seqno();
        let mut attempts = Vec::new();
        for _ in 0..random.below(12) {
            let mut appender = woof.appender().unwrap();
            let sync = random.below(3) == 0;
            appender.set_sync(sync);
            let sync = sync || woof.options().sync;
            let first = woof.next_seqno();
            let stamped = random.below(2) == 0;
            let items: Vec<(u64, Vec<u8>)> = (first..first + 1 + random.below(6) as u64)
                .map(|seqno| {
                    self.tags += 1;
                    let tag = if stamped { self.tags + STAMPED } else { self.tags };
                    attempts.push((seqno, tag));
                    (tag, tagged(seqno, tag))
                })
                .collect();
            if stamped {
                let items =
                    items.iter().map(|(tag, data)| (Stamp { writer: WRITER, seq: *tag }, data.as_slice()));
                appender.extend_stamped(items, |_| {}).unwrap();
            } else {
                appender.extend(items.iter().map(|(_, data)| data.as_slice()), |_| {}).unwrap();
            }
            recorder.note((woof.next_seqno() - 1) << 1 | u64::from(sync));
        }
        let mut steps = recorder.steps();
        if random.below(5) > 0 {
            steps.truncate(random.below(steps.len() + 1));
        }
        for step in &steps {
            if let Step::Note(note) = step
                && note & 1 == 1
            {
                self.durable = self.durable.max(note >> 1);
            }
        }
        let recovered = steps
            .iter()
            .any(|step| matches!(step, Step::Store { offset, .. } if *offset == shared::BOOT_ID + 8));
        let pending = image[shared::BOOT_ID..][..16] != woof_core::sys::boot_id().unwrap() && !recovered;
        // The first words of the next record: what was left before had been taken away by then. Checks of 0 are of one that is
        // being taken away.
        let ring = usize::try_from(woof.region().geometry.ring_offset()).unwrap();
        let began = |two: &[Step]| {
            matches!(two, [Step::Store { bytes: checks, .. }, Step::Store { offset, bytes: seqno }]
                if *offset >= ring && seqno[..] == opened.to_le_bytes() && checks[..] != [0; 8])
        };
        if steps.windows(2).any(began) {
            self.pending.clear();
        }
        self.steps.extend(steps);
        if pending {
            // Killed in the recovery: nothing was appended.
            return;
        }
        let next = word(&self.memory(), shared::NEXT_SEQNO);
        for (seqno, tag) in attempts {
            if seqno < next {
                self.published.insert(seqno, tag);
            } else {
                self.pending.push((seqno, tag));
            }
        }
    }

    /// Loses power: of each page some of what was not flushed. Then it is opened, and killed in that, now and then.
    fn lose_power(&mut self, random: &mut Random) {
        let style = random.below(4);
        let mut disk =
            image_after_power_loss(&self.disk, &self.steps, self.steps.len(), |_, from, to| match style {
                0 => from,
                1 => to,
                2 => [from, to][random.below(2)],
                _ => from + random.below(to - from + 1),
            });
        let memory = self.memory();
        // For the check: what was kept then. It is not on any disk.
        self.disk = memory;
        std::mem::swap(&mut self.disk, &mut disk);
        let kept_from = word(&disk, shared::FIRST_SEQNO);
        self.published = self.published.split_off(&kept_from.min(self.durable));
        self.disk[shared::BOOT_ID..][..16].fill(0xbb);
        self.steps.clear();
    }

    /// What is there when it is opened: nothing that was not written, and all that was promised.
    fn check(&mut self, woof: &Woof, image: &[u8], what: &str) {
        let (first, next) = (woof.first_seqno(), woof.next_seqno());
        assert!(next > self.durable, "{what}: {} was durable, {next} is next", self.durable);
        let booted = image[shared::BOOT_ID..][..16] != woof_core::sys::boot_id().unwrap();
        if !booted {
            assert_eq!(self.published.last_key_value().map_or(next, |(last, _)| last + 1), next, "{what}");
        }
        let read = read_from(woof, first);
        assert_eq!(read.len() as u64, next - first, "{what}");
        let tag_of = |data: &str| data.split(':').nth(1).and_then(|tag| tag.parse::<u64>().ok());
        let stamps: Vec<_> = read
            .iter()
            .filter_map(|(seqno, data)| Some((*seqno, tag_of(data)?)))
            .filter(|(_, tag)| *tag > STAMPED)
            .map(|(seqno, seq)| (seqno, Stamp { writer: WRITER, seq }))
            .collect();
        assert_eq!(stamps_from(woof, first), stamps, "{what}");
        assert_eq!(stamps_of(woof, WRITER, first), stamps, "{what}");
        let mut survived = Vec::new();
        for (seqno, data) in read {
            if data == "damaged" {
                // What was forgotten before the loss may be half overwritten.
                assert!(!self.published.contains_key(&seqno), "{what}: {seqno} is damaged");
                continue;
            }
            let is = |tag: u64| data.as_bytes() == tagged(seqno, tag);
            match self.published.get(&seqno) {
                Some(tag) => assert!(
                    is(*tag),
                    "{what}: {data} is there, {tag} was published, kept {first}..{next}, booted {booted}"
                ),
                // Forgotten before the power loss, and there again.
                None if self.published.keys().next().is_some_and(|first| seqno < *first) => {}
                None => {
                    let pending = self.pending.iter().find(|(pending, tag)| *pending == seqno && is(*tag));
                    survived.push(*pending.unwrap_or_else(|| panic!("{what}: {data} is there as {seqno}")));
                }
            }
        }
        // What a recovery found is what there is from now on.
        if booted {
            self.published.split_off(&next);
            self.published.extend(survived);
            self.pending.clear();
        }
    }
}

#[test]
fn in_a_life_of_kills_and_power_losses_nothing_promised_is_lost_and_nothing_comes_back() {
    let dir = dir();
    let mut kinds = kinds();
    kinds.push(("larger", Options { history: 1000, capacity: 16 << 10, ..Options::default() }, 0));
    kinds.push((
        "larger, sync",
        Options { history: 1000, capacity: 16 << 10, sync: true, ..Options::default() },
        0,
    ));
    for (name, options, _) in kinds {
        for seed in 1..=60u64 {
            let mut random = Random(seed << 32 | 20_261_122);
            let (_dir, path, _) = woof(&options);
            let disk = std::fs::read(path).unwrap();
            let mut life = Life {
                disk,
                steps: Vec::new(),
                published: BTreeMap::new(),
                pending: Vec::new(),
                durable: 0,
                tags: 0,
            };
            for turn in 0..25 {
                life.work(dir.path(), &mut random, &format!("{name}, seed {seed}, turn {turn}"));
                if random.below(3) == 0 {
                    life.lose_power(&mut random);
                }
            }
        }
    }
}
