//! Appending without sync, the handle open, against a copy with a checksum of the same bytes into a mapping.

use crate::Result;
use crate::mapping::Mapping;
use crate::measure::{Pair, timed};
use crate::place::Place;
use crate::report::{Report, Target, Unit, figure};
use libwoofstream::log::Options;
use std::hint::black_box;

/// Bytes of an element.
pub(crate) const LEN: usize = 100;
/// Bytes of the mapping, as many as the ring of a woof has by default.
const MAPPED: usize = 16 << 20;
const BATCH: usize = 64;
/// The rate of CSPOT was 7.4 M/s without a checksum; with one this many are to be reached on a quiet machine.
const RATE: f64 = 5e6;

/// What is appended, over and over.
pub(crate) fn elements() -> Vec<[u8; LEN]> {
    (0..BATCH).map(|number| std::array::from_fn(|at| (number * 7 + at) as u8)).collect()
}

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    let woof = place.woof("append", &Options::default())?;
    let elements = elements();
    let slices: Vec<&[u8]> = elements.iter().map(<[u8; LEN]>::as_slice).collect();
    let mut copier = Copier::new(place)?;
    let turns = place.count(30_000, 1_000);
    let operations = turns * BATCH as u64;
    let rounds = place.rounds(11);
    let beside = "copy and crc32c into a warm mapping";
    let mut copies = || {
        timed(operations, || {
            (0..turns).for_each(|_| copier.copy_all(&slices));
            Ok(())
        })
    };

    let mut appender = woof.appender()?;
    let single = || {
        timed(operations, || {
            for _ in 0..turns {
                for element in &elements {
                    appender.append(black_box(element))?;
                }
            }
            Ok(())
        })
    };
    let pair = Pair::run(rounds, single, &mut copies)?;
    report.pair("append 100 B, one at a time", beside, Unit::Rate, &pair, Target::TimesItsTime(4.0))?;
    let single = pair.ours();

    let mut appender = woof.appender()?;
    let batches = || {
        timed(operations, || {
            for _ in 0..turns {
                appender.extend(black_box(&slices).iter().copied(), |_| ())?;
            }
            Ok(())
        })
    };
    let pair = Pair::run(rounds, batches, &mut copies)?;
    report.pair("append 100 B in batches of 64", beside, Unit::Rate, &pair, Target::TimesItsTime(1.5))?;

    let ratio = format!("{:.2}x", 1.0 / single / RATE);
    let what = "append 100 B, one at a time: rate";
    report.row(what, &figure(Unit::Rate, single), "-", "-", &ratio, "over 5 M/s", 1.0 / single > RATE)
}

/// What a log does at the least: a header with a checksum, and the bytes.
struct Copier {
    mapping: Mapping,
    at: usize,
}

impl Copier {
    /// The mapping is gone over once, so that each page is there.
    fn new(place: &Place) -> Result<Copier> {
        let mapping = Mapping::new(&place.path("copies"), MAPPED)?;
        (0..MAPPED).step_by(4096).for_each(|at| mapping.copy_in(at, &[1; 4096]));
        Ok(Copier { mapping, at: 0 })
    }

    fn copy_all(&mut self, elements: &[&[u8]]) {
        for element in elements {
            let element = black_box(*element);
            let mut header = [0; 16];
            header[..8].copy_from_slice(&(element.len() as u64).to_le_bytes());
            header[8..12].copy_from_slice(&crc32c::crc32c(element).to_le_bytes());
            let size = (header.len() + element.len()).next_multiple_of(8);
            if self.at + size > MAPPED {
                self.at = 0;
            }
            self.mapping.copy_in(self.at, &header);
            self.mapping.copy_in(self.at + header.len(), element);
            self.at += size;
        }
    }
}
