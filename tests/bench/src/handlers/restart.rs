//! From the start of the server's process to that of the first handler, with 100,000 triggers pending.

use super::Programs;
use super::farm::{Farm, Program, Server, now_ns, told};
use crate::Result;
use crate::measure::{Pair, median};
use crate::place::Place;
use crate::report::{Report, Target, Unit};

const PENDING: u64 = 100_000;

/// In seconds.
const TO_REACH: f64 = 0.1;

pub(super) fn rows(place: &Place, report: &mut Report, programs: Programs<'_>) -> Result<()> {
    let process = Program::File(programs.started);
    row(place, report, "a process", &process, 0)?;
    row(place, report, "a process, server killed after 4,000", &process, place.count(4_000, 100))?;
    row(place, report, "long-lived", &Program::Role("answers"), 0)
}

fn row(place: &Place, report: &mut Report, how: &str, program: &Program<'_>, before: u64) -> Result<()> {
    let mut times = Vec::new();
    for round in 0..=place.rounds(7) {
        let mut farm = Farm::new(place, "farm", program, 4)?;
        farm.put(place.count(PENDING, 1_000) + before)?;
        if before > 0 {
            let server = Server::start(&farm, place, &[])?;
            for _ in 0..before {
                told(&mut farm.started)?;
            }
            server.kill()?;
        }
        let start = now_ns()?;
        let server = Server::start(&farm, place, &[])?;
        let end = loop {
            // Those of the server before do not count.
            let told = told(&mut farm.started)?;
            if told >= start {
                break told;
            }
        };
        server.kill()?;
        if round > 0 {
            #[expect(clippy::cast_precision_loss, reason = "some milliseconds in nanoseconds")]
            times.push((end - start) as f64 * 1e-9);
        }
    }
    let what = format!("restart with 100,000 pending to the first started: {how}");
    let pair = Pair::of(vec![median(&times)], vec![TO_REACH]);
    report.pair(&what, "100 ms", Unit::Time, &pair, Target::TimesItsTime(1.0))
}
