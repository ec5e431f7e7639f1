//! The runs test of CSPOT as three handlers: numbers are drawn one after another, each sample gets a statistic of its runs, and the
//! statistics are held against the normal distribution. One program, called by the name of its stage.
//!
//! - `generate`: draws a number, and puts the request for the next one, so that it is a chain of count * size handlers
//! - `runs`: when a sample is complete: the Wald-Wolfowitz statistic of its runs
//! - `ks`: when there are `count` statistics: the Kolmogorov-Smirnov distance to as many values of the normal distribution
//!
//! Which number is drawn follows from the seed and from how many were drawn before, both in the element, so a seed gives the same numbers again. The last
//! stage is triggered by the seqno that a statistic got, and not by its sample's number: samples are done in any order.

use libwoofstream::client::{Dialer, Patience, Remote};
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::space::{
    Bound, Each, Local, MessageRef, Selection, SeqRange, Space, Spaces, Table, Told, Trigger,
};
use rand_mt::Mt;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

/// What is handed from stage to stage.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Request {
    /// The number of the sample, and of the value in it.
    i: u32,
    j: u32,
    count: u32,
    size: u32,
    alpha: f64,
    seed: u32,
    /// A seqno of the woof that the next stage reads.
    seqno: u64,
    /// Names of woofs.
    rargs: String,
    rvals: String,
    sargs: String,
    svals: String,
    kargs: String,
}

fn main() -> std::process::ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let stage = name.rsplit('/').next().unwrap_or_default();
    match run(stage) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(err) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{stage}: {err}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(stage: &str) -> Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|err| Error::io("", "read the request", err))?;
    let request: Request = serde_json::from_str(&text)
        .map_err(|err| Error::new(Code::Mismatch, "", format!("request: {err}")))?;
    let woofs = Woofs::open();
    match stage {
        "generate" => generate(&woofs, request),
        "runs" => runs(&woofs, request),
        "ks" => ks(&woofs, &request),
        _ => Err(Error::new(Code::Invalid, stage, "is no stage: generate, runs, ks")),
    }
}

/// Draws one number.
fn generate(woofs: &Woofs, mut request: Request) -> Result<()> {
    if request.i >= request.count || request.j >= request.size {
        return Ok(());
    }
    let mut random = Mt::new(request.seed);
    for _ in 0..request.i * request.size + request.j {
        random.next_u32();
    }
    let value = f64::from(random.next_u32()) / f64::from(u32::MAX);
    let seqno = woofs.put(&request.rvals, &value.to_string(), None)?;
    if request.j == request.size - 1 {
        let sample = Request { seqno, ..request.clone() };
        woofs.put(&request.sargs, &json(&sample), Some("runs"))?;
        (request.i, request.j) = (request.i + 1, 0);
    } else {
        request.j += 1;
    }
    woofs.put(&request.rargs, &json(&request), Some("generate"))?;
    Ok(())
}

/// The statistic of one sample.
fn runs(woofs: &Woofs, mut request: Request) -> Result<()> {
    let first = request.seqno + 1 - u64::from(request.size);
    let values = woofs.read(&request.rvals, first, request.seqno)?;
    let statistic = runs_statistic(&values);
    request.seqno = woofs.put(&request.svals, &statistic.to_string(), None)?;
    if request.seqno.is_multiple_of(u64::from(request.count)) {
        woofs.put(&request.kargs, &json(&request), Some("ks"))?;
    }
    Ok(())
}

/// How many runs of values on one side of 0.5 there are, in standard deviations from what is expected.
fn runs_statistic(values: &[f64]) -> f64 {
    let above: Vec<bool> = values.iter().map(|value| *value >= 0.5).collect();
    #[expect(clippy::cast_precision_loss, reason = "samples are small")]
    let number = |count: usize| count as f64;
    let (all, plus) = (number(above.len()), number(above.iter().filter(|above| **above).count()));
    let mean = 2.0 * plus * (all - plus) / all + 1.0;
    let variance = (mean - 1.0) * (mean - 2.0) / (all - 1.0);
    let runs = 1 + above.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // All on one side: nothing varies, and what was found is what was expected.
    if variance > 0.0 { (number(runs) - mean) / variance.sqrt() } else { 0.0 }
}

/// The verdict, on standard output.
fn ks(woofs: &Woofs, request: &Request) -> Result<()> {
    let count = u64::from(request.count);
    let statistics = woofs.read(&request.svals, request.seqno + 1 - count, request.seqno)?;
    let distance = distance(&statistics, &reference(request.count));
    let critical = critical(request.alpha, f64::from(request.count));
    let verdict = if distance > critical { "rejected" } else { "not rejected" };
    let text =
        format!("D {distance:.6} critical {critical:.6} alpha {} the numbers are {verdict}\n", request.alpha);
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).map_err(|err| Error::io("", "write", err))
}

/// As many values of the standard normal distribution, evenly spread.
fn reference(count: u32) -> Vec<f64> {
    let normal = Normal::standard();
    let mut at = 1e-10;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(normal.inverse_cdf(at));
        at = (at + 1.0 / f64::from(count)).min(0.999_999_999_9);
    }
    values
}

/// The largest difference between the distributions of two samples of the same size.
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (one, other) = (sorted(one), sorted(other));
    #[expect(clippy::cast_precision_loss, reason = "samples are small")]
    let share =
        |values: &[f64], at: f64| values.partition_point(|value| *value <= at) as f64 / values.len() as f64;
    one.iter().chain(&other).map(|at| (share(&one, *at) - share(&other, *at)).abs()).fold(0.0, f64::max)
}

/// What the distance of two samples of this size may be.
fn critical(alpha: f64, count: f64) -> f64 {
    (-0.5 * (alpha / 2.0).ln()).sqrt() * (2.0 / count).sqrt()
}

fn json(request: &Request) -> String {
    // A request has nothing that JSON cannot say.
    serde_json::to_string(request).unwrap_or_default()
}

/// The woofs, on this machine or behind servers of it.
struct Woofs {
    spaces: Spaces,
    depth: u8,
}

impl Woofs {
    fn open() -> Woofs {
        let patience = Patience { timeout: Duration::from_secs(30), wait: None, notify: Arc::new(|_| {}) };
        let spaces = Spaces::new(
            Local::default(),
            Box::new(|| Ok(Table::default())),
            Box::new(move |address| {
                let remote =
                    Remote::new(Arc::new(Dialer::new(None, false)), address.clone(), patience.clone());
                Ok(Box::new(remote) as Box<dyn Space + Send + Sync>)
            }),
        );
        let depth = std::env::var("WOOF_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(0);
        Woofs { spaces, depth }
    }

    /// Appends one element, for a handler or for none, and gives its seqno.
    fn put(&self, name: &str, data: &str, handler: Option<&str>) -> Result<u64> {
        let mut put = self.spaces.put(name, None)?;
        put.set_trigger(&Trigger {
            handler: handler.map(str::to_owned),
            depth: self.depth,
            seal: std::env::var("WOOF_DEPTH_SEAL").ok(),
            wait: Duration::ZERO,
        })?;
        let (mut seqno, mut refused) = (0, None);
        let mut report = |told: Told| match told {
            Told::In(run) => seqno = run.first,
            Told::Again(again) => seqno = again,
            Told::Refused(_, err) => refused = Some(err),
        };
        put.put(&mut std::iter::once(data.as_bytes()), &mut report)?;
        put.settle(&mut report)?;
        refused.map_or(Ok(seqno), Err)
    }

    /// The numbers from one seqno to another.
    fn read(&self, name: &str, from: u64, to: u64) -> Result<Vec<f64>> {
        let range = SeqRange { from: Bound::Seqno(from), to: Bound::Seqno(to) };
        let mut numbers = Vec::new();
        let mut sink = Each(|message: MessageRef<'_>| match message {
            MessageRef::Elem { data, .. } => {
                let bytes = data.try_into().map_err(|_| Error::new(Code::Mismatch, "", "not an f64"))?;
                numbers.push(f64::from_le_bytes(bytes));
                Ok(())
            }
            MessageRef::Fault(fault) => Err(fault.to_error()),
            _ => Ok(()),
        });
        self.spaces.read(name, &Selection { range: Some(range), ..Selection::default() }, &mut sink)?;
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (count, expected) in
            [(10.0, 0.607_361), (30.0, 0.350_660), (100.0, 0.192_065), (1000.0, 0.060_736)]
        {
            assert!((critical(0.05, count) - expected).abs() < 1e-6, "{count}");
        }
    }

    #[test]
    fn runs_are_counted_in_standard_deviations() {
        // 4 above, 4 below: 5 runs are expected, with a variance of 12/7.
        let alternating = [0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1];
        assert!((runs_statistic(&alternating) - 3.0 / (12.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert!(runs_statistic(&[0.9; 8]).abs() < 1e-12);
    }

    #[test]
    fn the_distance_is_the_largest_gap_between_two_distributions() {
        assert!((distance(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]) - 0.5).abs() < 1e-12);
        assert!(distance(&[1.0, 2.0], &[1.0, 2.0]).abs() < 1e-12);
    }
}
