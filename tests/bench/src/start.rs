//! Whole processes, started and waited for, against a program that does nothing.

use crate::Result;
use crate::measure::{Pair, median};
use crate::place::Place;
use crate::report::{Report, Target, Unit};
use libwoofstream::log::Options;
use std::process::Command;
use std::time::Instant;

/// Runs of each in a round.
const RUNS: usize = 30;

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    let Some(empty) = &place.empty_program else {
        return report.note("*** no empty program was given (--empty): start times are NOT measured ***");
    };
    place.woof("start", &Options::default())?;
    let woof = place.path("start");
    let mut put = place.command("wput");
    put.arg(&woof).arg("x");
    let mut get = place.command("wget");
    get.arg(&woof);
    let mut commands = [put, get, place.other(empty)];
    let mut medians: [Vec<f64>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    // The first round does not count.
    for round in 0..=place.rounds(10) {
        let mut times: [Vec<f64>; 3] = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..RUNS {
            for (command, times) in commands.iter_mut().zip(&mut times) {
                times.push(whole(command)?);
            }
        }
        if round > 0 {
            medians.iter_mut().zip(&times).for_each(|(medians, times)| medians.push(median(times)));
        }
    }
    let [put, get, empty] = medians;
    for (what, ours) in [("wput w x, whole process", put), ("wget w, whole process", get)] {
        let pair = Pair::of(ours, empty.clone());
        report.pair(what, "an empty static Rust program", Unit::Time, &pair, Target::TimesItsTime(1.5))?;
    }
    Ok(())
}

/// Seconds from the start of a process to its end.
fn whole(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.spawn()?.wait()?;
    let seconds = start.elapsed().as_secs_f64();
    if status.success() { Ok(seconds) } else { Err(format!("{:?}: {status}", command.get_program()).into()) }
}
