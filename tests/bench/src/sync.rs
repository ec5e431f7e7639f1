//! Appending with sync: one at a time against a write and an fdatasync, many at once against Redis.

use crate::Result;
use crate::append::{LEN, elements};
use crate::measure::{Pair, per, timed};
use crate::place::{Place, find_program};
use crate::redis::{Durability, Redis};
use crate::report::{Report, Target, Unit, figure};
use libwoofstream::log::{self, Options, Woof};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::Instant;

const FILE_LEN: u64 = 16 << 20;
const WRITERS: usize = 4;
/// Each of the writers has this many outstanding.
const BATCH: usize = 250;
/// What Redis does where it was measured, with its log made durable before each answer.
const REDIS_RATE: f64 = 120_000.0;
const REDIS_BATCH: usize = 500;

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    one_at_a_time(place, report)?;
    many_outstanding(place, report)
}

fn one_at_a_time(place: &Place, report: &mut Report) -> Result<()> {
    let woof = place.woof("sync", &Options { sync: true, ..Options::default() })?;
    let mut appender = woof.appender()?;
    let file = written_file(&place.path("synced"))?;
    let elements = elements();
    let operations = place.count(300, 20);
    let mut at = 0;
    let ours = || {
        timed(operations, || {
            for element in elements.iter().cycle().take(usize::try_from(operations)?) {
                appender.append(element)?;
            }
            Ok(())
        })
    };
    let beside = || {
        timed(operations, || {
            for element in elements.iter().cycle().take(usize::try_from(operations)?) {
                file.write_all_at(element, at)?;
                file.sync_data()?;
                at = (at + LEN as u64) % (FILE_LEN - LEN as u64);
            }
            Ok(())
        })
    };
    let pair = Pair::run(place.rounds(11), ours, beside)?;
    let what = "append --sync 100 B, one at a time";
    report.pair(
        what,
        "pwrite and fdatasync, blocks written before",
        Unit::Time,
        &pair,
        Target::TimesItsTime(1.3),
    )
}

/// A file whose blocks were all written and are durable.
fn written_file(path: &Path) -> Result<File> {
    let file = File::create_new(path)?;
    for at in (0..FILE_LEN).step_by(1 << 20) {
        file.write_all_at(&[0; 1 << 20], at)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn many_outstanding(place: &Place, report: &mut Report) -> Result<()> {
    let what = "append --sync 100 B, 4 writers, 1,000 outstanding";
    let batches = place.count(100, 5);
    place.woof("grouped", &Options { sync: true, ..Options::default() })?;
    let path = place.path("grouped");
    let ours = || grouped(&path, batches);
    let rounds = place.rounds(7);
    let Some(program) =
        std::env::var_os("REDIS_SERVER").map(Into::into).or_else(|| find_program("redis-server"))
    else {
        report.note(
            "*** no redis-server here (package redis-server): the next row is held against the figure in \
             docs/performance.md and NOT against a measurement ***",
        )?;
        let pair = Pair::run(rounds, ours, || Ok(1.0 / REDIS_RATE))?;
        let beside = "Redis, AOF always: NOT MEASURED here";
        return report.pair(what, beside, Unit::Rate, &pair, Target::TimesAsFast(3.0));
    };
    let mut redis = Redis::start(place, &program, Durability::Always)?;
    let elements = elements();
    let turns = place.count(40, 4);
    let beside = || {
        timed(turns * REDIS_BATCH as u64, || {
            (0..turns).try_for_each(|_| redis.append(elements.iter().cycle().take(REDIS_BATCH)))
        })
    };
    let pair = Pair::run(rounds, ours, beside)?;
    report.pair(
        what,
        "Redis XADD, AOF always, batches of 500",
        Unit::Rate,
        &pair,
        Target::TimesAsFast(3.0),
    )?;
    let figure = figure(Unit::Rate, pair.beside());
    report.note(&format!("    (Redis was measured at {REDIS_RATE}/s before; here and now {figure})"))
}

/// Seconds for one element when the writers append `batches` batches each, all at once, each with a handle of its own.
fn grouped(path: &Path, batches: u64) -> Result<f64> {
    let barrier = Barrier::new(WRITERS + 1);
    let elements = elements();
    let write = || -> Result<()> {
        let woof: std::result::Result<Woof, _> = log::open(path);
        let appender = woof.and_then(|woof| woof.appender());
        barrier.wait();
        let mut appender = appender?;
        for _ in 0..batches {
            let batch = elements.iter().cycle().take(BATCH).map(<[u8; LEN]>::as_slice);
            appender.extend(batch, |_| ())?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        // An error crosses the thread as its text.
        let writers: Vec<_> =
            (0..WRITERS).map(|_| scope.spawn(|| write().map_err(|err| err.to_string()))).collect();
        barrier.wait();
        let start = Instant::now();
        for writer in writers {
            writer.join().map_err(|_| "a writer panicked")??;
        }
        Ok(per(start.elapsed(), batches * (WRITERS * BATCH) as u64))
    })
}
