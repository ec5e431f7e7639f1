//! Many triggers that are pending: how many handlers start in a second.

use super::Programs;
use super::farm::{Farm, Program};
use crate::Result;
use crate::measure::{Pair, median, timed};
use crate::place::Place;
use crate::report::{Report, Target, Unit, figure};
use std::process::{Child, Command};

/// What CSPOT starts in a second, measured once on a VM with 2 cores.
const CSPOT: f64 = 1_531.0;

pub(super) fn rows(place: &Place, report: &mut Report, programs: Programs<'_>) -> Result<()> {
    processes(place, report, programs)?;
    stream(place, report)
}

/// A process for each trigger.
fn processes(place: &Place, report: &mut Report, programs: Programs<'_>) -> Result<()> {
    let triggers = place.count(10_000, 200);
    let ours = || {
        let mut farm = Farm::new(place, "farm", &Program::File(programs.empty), 2)?;
        farm.put(triggers)?;
        timed(triggers, || farm.run_pending(place))
    };
    let beside = || timed(triggers, || two_at_once(&mut place.other(programs.empty), triggers));
    let pair = Pair::run(place.rounds(5), ours, beside)?;
    let what = "burst of 10,000 triggers, an empty handler, two at once";
    report.pair(what, "starting it so often, two at once", Unit::Rate, &pair, Target::TimesAsFast(0.8))?;
    let pair = Pair::of(vec![pair.ours()], vec![1.0 / CSPOT]);
    report.pair(what, "CSPOT: 1,531/s, measured once", Unit::Rate, &pair, Target::TimesAsFast(1.0))
}

/// Starts a program so often, the next one when the oldest of two has ended.
fn two_at_once(command: &mut Command, times: u64) -> Result<()> {
    let mut running: Option<Child> = None;
    for _ in 0..times {
        let next = command.spawn()?;
        if let Some(mut before) = running.replace(next) {
            before.wait()?;
        }
    }
    if let Some(mut last) = running {
        last.wait()?;
    }
    Ok(())
}

/// All of them to one program.
fn stream(place: &Place, report: &mut Report) -> Result<()> {
    let triggers = place.count(100_000, 1_000);
    let mut times = Vec::new();
    for _ in 0..place.rounds(7) {
        let mut farm = Farm::new(place, "farm", &Program::Role("answers"), 1)?;
        farm.put(triggers)?;
        times.push(timed(triggers, || farm.run_pending(place))?);
    }
    let (ours, reached) = (median(&times), 1.0 / median(&times) >= 200e3);
    let what = "burst of 100,000 triggers to a long-lived handler: rate";
    report.row(what, &figure(Unit::Rate, ours), "-", "-", "-", "over 200 k/s", reached)
}
