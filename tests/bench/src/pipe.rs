//! Typed messages through a pipe to another process, against plain writes.

use crate::Result;
use crate::child;
use crate::measure::{Pair, per};
use crate::place::Place;
use crate::report::{Report, Target, Unit};
use libwoofstream::chan::Writer;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Bytes of a raw batch, as many as a pipe holds.
const BATCH: usize = 64 << 10;

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    let rounds = place.rounds(9);
    let (typed, single) = (place.count(4_000_000, 50_000), place.count(600_000, 20_000));
    let pair = Pair::run(rounds, || messages(place, 100, typed), || writes(place, 100, 1, single))?;
    let what = "typed messages of 100 B through a pipe";
    report.pair(what, "one write each", Unit::Rate, &pair, Target::TimesAsFast(5.0))?;
    for (what, len, count) in [
        ("typed messages of 4 KiB through a pipe", 4 << 10, place.count(400_000, 10_000)),
        ("typed messages of 64 KiB through a pipe", 64 << 10, place.count(25_000, 1_000)),
    ] {
        let pair =
            Pair::run(rounds, || messages(place, len, count), || writes(place, len, BATCH / len, count))?;
        report.pair(
            what,
            "the same bytes raw, writes of 64 KiB",
            Unit::Rate,
            &pair,
            Target::TimesItsTime(1.15),
        )?;
    }
    Ok(())
}

/// Seconds for one element of `len` bytes, of `count` that the other process reads.
fn messages(place: &Place, len: usize, count: u64) -> Result<f64> {
    let data = vec![7; len];
    to_child(place, "framed", count, len, |fd| {
        let mut writer = Writer::new(fd, "out");
        for seqno in 1..=count {
            writer.elem(seqno, 1, &data)?;
        }
        Ok(writer.end(Ok(()))?)
    })
}

/// The same of raw bytes, `in_one` of them in one write.
fn writes(place: &Place, len: usize, in_one: usize, count: u64) -> Result<f64> {
    let data = vec![7; len * in_one];
    to_child(place, "raw", count, len, |fd| {
        let mut left = count * len as u64;
        while left > 0 {
            let now = data.len().min(usize::try_from(left)?);
            left -= rustix::io::write(&fd, &data[..now])? as u64;
        }
        Ok(())
    })
}

/// The time from the first byte written to the last one read.
fn to_child(
    place: &Place,
    role: &str,
    count: u64,
    len: usize,
    write: impl FnOnce(OwnedFd) -> Result<()>,
) -> Result<f64> {
    let mut child = child::start(place, &[role])?;
    let (Some(to), Some(mut from)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("no pipe".into());
    };
    from.read_exact(&mut [0])?;
    let start = Instant::now();
    write(to.into())?;
    let mut told = [0; 8];
    from.read_exact(&mut told)?;
    let time = start.elapsed();
    child.wait()?;
    if u64::from_le_bytes(told) != count * len as u64 {
        return Err("bytes were lost in the pipe".into());
    }
    Ok(per(time, count))
}
