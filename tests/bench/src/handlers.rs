//! Handlers: bursts of triggers, against starting a program that does nothing as often, two at once.

use crate::Result;
use crate::measure::Pair;
use crate::place::Place;
use crate::report::{Report, Target, Unit};
use libwoofstream::handler::bindings::{self, Binding};
use libwoofstream::log::{self, Options};
use std::process::{Child, Command};
use std::time::Instant;

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    let Some(empty) = &place.empty_program else {
        return report.note("*** no empty program was given (--empty): handlers are NOT measured ***");
    };
    let triggers = place.count(3_000, 100);
    let (mut ours, mut beside) = (Vec::new(), Vec::new());
    for round in 0..=place.rounds(5) {
        let farm = place.path(&format!("farm{round}"));
        std::fs::create_dir_all(farm.join(".woof"))?;
        std::fs::create_dir_all(farm.join("handlers"))?;
        std::fs::copy(empty, farm.join("handlers/empty"))?;
        log::create(&farm.join("temp"), &Options::default())?;
        bindings::add(&farm, &Binding { at_once: 2, ..Binding::new("temp", "empty") }, None)?;
        let mut appender = log::open(&farm.join("temp"))?.appender()?;
        for _ in 0..triggers {
            appender.append(b"x")?;
        }
        let start = Instant::now();
        let status = place.command("wserve").arg("--once").arg(&farm).status()?;
        let burst = start.elapsed().as_secs_f64();
        if !status.success() {
            return Err(format!("wserve --once: {status}").into());
        }
        let start = Instant::now();
        two_at_once(&mut place.other(empty), triggers)?;
        let spawns = start.elapsed().as_secs_f64();
        std::fs::remove_dir_all(&farm)?;
        // The first round does not count.
        if round > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let each = |seconds: f64| seconds / triggers as f64;
            ours.push(each(burst));
            beside.push(each(spawns));
        }
    }
    let pair = Pair::of(ours, beside);
    let what = "a burst of triggers, an empty handler, two at once";
    report.pair(what, "starting it so often, two at once", Unit::Rate, &pair, Target::TimesAsFast(0.8))
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
