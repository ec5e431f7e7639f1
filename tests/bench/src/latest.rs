//! Reading the newest element of a woof with very many, against one with few.

use crate::Result;
use crate::measure::{Pair, timed};
use crate::place::Place;
use crate::report::{Report, Target, Unit};
use libwoofstream::log::{self, Item, Options, Woof};
use std::hint::black_box;
use std::path::Path;

const FEW: u64 = 10;
/// What counts as the same, in the noise there is.
const SAME: Target = Target::TimesItsTime(1.1);

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    let many = place.count(10_000_000, 100_000);
    let keeps_many = Options { history: many, capacity: many * 40, ..Options::default() };
    let large = filled(place, "many", &keeps_many, many)?;
    let small = filled(place, "few", &Options::default(), FEW)?;
    let beside = "the same of 10 elements";
    let rounds = place.rounds(11);

    let reads = place.count(20_000, 1_000);
    let read = |woof: &Woof, count| timed(reads, || (0..reads).try_for_each(|_| newest(woof, count)));
    let pair = Pair::run(rounds, || read(&large, many), || read(&small, FEW))?;
    report.pair("newest element of 10 M, woof open", beside, Unit::Time, &pair, SAME)?;
    drop((large, small));

    let opens = place.count(500, 50);
    let open =
        |path: &Path, count| timed(opens, || (0..opens).try_for_each(|_| newest(&log::open(path)?, count)));
    let (large, small) = (place.path("many"), place.path("few"));
    let pair = Pair::run(rounds, || open(&large, many), || open(&small, FEW))?;
    report.pair("newest element of 10 M, opened each time", beside, Unit::Time, &pair, SAME)?;

    let runs = place.count(30, 5);
    let whole = |path: &Path| {
        let mut command = place.command("wget");
        command.arg(path);
        timed(runs, || {
            for _ in 0..runs {
                let status = command.status()?;
                if !status.success() {
                    return Err(format!("wget: {status}").into());
                }
            }
            Ok(())
        })
    };
    let pair = Pair::run(rounds, || whole(&large), || whole(&small))?;
    report.pair("newest element of 10 M, wget w", beside, Unit::Time, &pair, SAME)
}

/// A woof with `count` elements.
fn filled(place: &Place, name: &str, options: &Options, count: u64) -> Result<Woof> {
    let woof = place.woof(name, options)?;
    let texts: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    woof.appender()?.extend(texts.iter().map(String::as_bytes), |_| ())?;
    Ok(woof)
}

/// Reads the newest element, which is its own number.
fn newest(woof: &Woof, count: u64) -> Result<()> {
    let mut cursor = woof.cursor(woof.next_seqno() - 1);
    match black_box(cursor.next()) {
        Some(Item::Elem { seqno, .. }) if seqno == count => Ok(()),
        other => Err(format!("not element {count} but {other:?}").into()),
    }
}
