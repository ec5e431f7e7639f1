//! From a put to the start of its handler, and to an element seen by a handler that is there.

use super::Programs;
use super::farm::{Farm, Program, Server, now_ns, told};
use crate::Result;
use crate::latency::{Futex, PAUSE, on_one_core, p50};
use crate::measure::{Pair, median, part};
use crate::place::Place;
use crate::report::{Report, Target, Unit, figure};
use std::process::Command;
use std::time::{Duration, Instant};

/// What CSPOT takes from a put to the start of its handler, measured once on a VM with 2 cores, in seconds.
const CSPOT: f64 = 0.0011;

/// Between two starts, so that what belongs to the one before has ended and everybody sleeps.
pub(super) const BETWEEN: Duration = Duration::from_millis(3);

pub(super) fn rows(place: &Place, report: &mut Report, programs: Programs<'_>) -> Result<()> {
    started(place, report, programs)?;
    seen(place, report, "unpinned")?;
    on_one_core(|| seen(place, report, "one core"))
}

/// The times of one operation in a round: the middle, and what 99 of 100 took at the most.
#[derive(Default)]
struct Rounds {
    middle: Vec<f64>,
    slow: Vec<f64>,
}

impl Rounds {
    fn add(&mut self, times: &[f64]) {
        self.middle.push(median(times));
        self.slow.push(part(times, 0.99));
    }
}

/// A put until the program of its handler runs, and a program started and waited for, in turns.
fn started(place: &Place, report: &mut Report, programs: Programs<'_>) -> Result<()> {
    let mut farm = Farm::new(place, "farm", &Program::File(programs.started), 4)?;
    let _server = Server::start(&farm, place, &[])?;
    let mut empty = place.other(programs.empty);
    let (mut ours, mut beside) = (Rounds::default(), Rounds::default());
    let samples = place.count(500, 30);
    for round in 0..=place.rounds(7) {
        let (mut puts, mut spawns) = (Vec::new(), Vec::new());
        for _ in 0..samples {
            std::thread::sleep(BETWEEN);
            puts.push(put(&mut farm)?);
            std::thread::sleep(BETWEEN);
            spawns.push(spawn(&mut empty)?);
        }
        // The first round does not count.
        if round > 0 {
            ours.add(&puts);
            beside.add(&spawns);
        }
    }
    let slow = median(&beside.slow);
    let pair = Pair::of(ours.middle.clone(), beside.middle.clone());
    let what = "put to handler started, p50";
    report.pair(
        what,
        "an empty program: spawn and wait, p50",
        Unit::Time,
        &pair,
        Target::TimesItsTime(1.5),
    )?;
    let beside = vec![CSPOT; ours.middle.len()];
    let pair = Pair::of(ours.middle.clone(), beside);
    report.pair(what, "CSPOT: 1.1 ms, measured once", Unit::Time, &pair, Target::TimesItsTime(1.0))?;
    let pair = Pair::of(ours.slow, ours.middle);
    report.pair("put to handler started, p99", "its p50", Unit::Time, &pair, Target::TimesItsTime(4.0))?;
    report.note(&format!("an empty program: spawn and wait, p99: {}", figure(Unit::Time, slow)))
}

pub(super) fn put(farm: &mut Farm) -> Result<f64> {
    let start = now_ns()?;
    farm.appender.append(b"x")?;
    let end = told(&mut farm.started)?;
    #[expect(clippy::cast_precision_loss, reason = "some milliseconds in nanoseconds")]
    Ok(end.saturating_sub(start) as f64 * 1e-9)
}

fn spawn(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.spawn()?.wait()?;
    let time = start.elapsed().as_secs_f64();
    if status.success() { Ok(time) } else { Err(format!("the empty program: {status}").into()) }
}

/// A put until a long-lived handler has its element.
fn seen(place: &Place, report: &mut Report, how: &str) -> Result<()> {
    let mut farm = Farm::new(place, "farm", &Program::Role("element-seen"), 1)?;
    let _server = Server::start(&farm, place, &[])?;
    // Its program is there now.
    put(&mut farm)?;
    let mut futex = Futex::start(place, &format!("handler words {how}"))?;
    let samples = place.count(300, 20);
    let ours = || {
        let mut times = Vec::new();
        for _ in 0..samples {
            std::thread::sleep(PAUSE);
            times.push(put(&mut farm)?);
        }
        Ok(median(&times))
    };
    let beside = || p50(samples, Some(PAUSE), || futex.round_trip());
    let pair = Pair::run(place.rounds(9), ours, beside)?;
    let what = format!("put to element seen by a long-lived handler, {how}");
    let other = "two futex wake-ups of two processes";
    report.pair(&what, other, Unit::Time, &pair, Target::TimesItsTime(5.0))?;
    let quiet = Pair::of(vec![pair.ours()], vec![60e-6]);
    report.pair(&what, "60 us", Unit::Time, &quiet, Target::TimesItsTime(1.0))
}
