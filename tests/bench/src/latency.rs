//! From an append here to the line that a `wtail` prints, back here: against a futex ping-pong of two processes, placed
//! the same way. Both wake a process and are woken by it.

use crate::Result;
use crate::child::{self, PING, PONG, STOP, WORDS_LEN};
use crate::mapping::Mapping;
use crate::measure::{Pair, median};
use crate::place::Place;
use crate::report::{Report, Target, Unit};
use libwoofstream::log::{Appender, Options};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// Between two samples, so that all have gone to sleep.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);
/// How long an idle follower is watched.
const IDLE: Duration = Duration::from_secs(2);

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    placed(place, report, "unpinned")?;
    on_one_core(|| placed(place, report, "one core"))?;
    idle(place, report)
}

/// Does `work` with this process, and what it starts meanwhile, on one core.
pub(crate) fn on_one_core(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let all = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(sched_getcpu());
    sched_setaffinity(None, &one)?;
    let done = work();
    sched_setaffinity(None, &all)?;
    done
}

fn placed(place: &Place, report: &mut Report, how: &str) -> Result<()> {
    let mut tail = Tail::start(place, &format!("latency {how}"))?;
    let mut futex = Futex::start(place, &format!("words {how}"))?;
    let (rounds, samples) = (place.rounds(9), place.count(300, 20));
    for (when, pause) in [("asleep", Some(PAUSE)), ("at once again", None)] {
        let ours = || p50(samples, pause, || tail.round_trip());
        let beside = || p50(samples, pause, || futex.round_trip());
        let pair = Pair::run(rounds, ours, beside)?;
        let what = format!("append to line of wtail and back, {how}, {when}");
        report.pair(
            &what,
            "futex ping-pong of two processes",
            Unit::Time,
            &pair,
            Target::TimesItsTime(3.0),
        )?;
    }
    Ok(())
}

/// The median time of `work` in seconds.
pub(crate) fn p50(
    samples: u64,
    pause: Option<Duration>,
    mut work: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..samples {
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(&times))
}

/// A woof and a `wtail` that follows it.
struct Tail {
    appender: Appender,
    process: Child,
    lines: BufReader<ChildStdout>,
    line: String,
}

impl Tail {
    fn start(place: &Place, name: &str) -> Result<Tail> {
        let mut appender = place.woof(name, &Options::default())?.appender()?;
        // Its line tells that the follower is there.
        appender.append(b"21.5")?;
        let mut command = place.command("wtail");
        command.arg("-u").args(["-n", "1"]).arg(place.path(name)).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let lines = BufReader::new(process.stdout.take().ok_or("no pipe")?);
        let mut tail = Tail { appender, process, lines, line: String::new() };
        tail.read()?;
        Ok(tail)
    }

    fn round_trip(&mut self) -> Result<()> {
        self.appender.append(b"21.5")?;
        self.read()
    }

    fn read(&mut self) -> Result<()> {
        self.line.clear();
        self.lines.read_line(&mut self.line)?;
        if self.line == "21.5\n" { Ok(()) } else { Err(format!("wtail: line {:?}", self.line).into()) }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two words in a mapping and a process that answers.
pub(crate) struct Futex {
    words: Mapping,
    process: Child,
    number: u32,
}

impl Futex {
    pub(crate) fn start(place: &Place, name: &str) -> Result<Futex> {
        let path = place.path(name);
        let words = Mapping::new(&path, WORDS_LEN)?;
        let process = child::start(place, &["pong", path.to_str().ok_or("path is not UTF-8")?])?;
        Ok(Futex { words, process, number: 0 })
    }

    pub(crate) fn round_trip(&mut self) -> Result<()> {
        let before = self.number;
        self.number += 1;
        self.words.tell(PING, self.number);
        self.words.wait_change(PONG, before);
        Ok(())
    }
}

impl Drop for Futex {
    fn drop(&mut self) {
        self.words.tell(PING, STOP);
        // It ends by itself.
        let _ = self.process.wait();
    }
}

/// The CPU time of a follower that has nothing to do.
fn idle(place: &Place, report: &mut Report) -> Result<()> {
    let mut tail = Tail::start(place, "idle")?;
    tail.round_trip()?;
    std::thread::sleep(Duration::from_millis(100));
    let before = Cpu::of(&tail.process)?;
    std::thread::sleep(if place.quick { IDLE / 10 } else { IDLE });
    let after = Cpu::of(&tail.process)?;
    let (ticks, nanoseconds) = (after.ticks - before.ticks, after.nanoseconds - before.nanoseconds);
    let ours = format!("{ticks} ticks");
    let detail = format!("{nanoseconds} ns of the scheduler");
    report.row(
        "CPU of an idle wtail over 2 s",
        &ours,
        "-",
        "-",
        &detail,
        "none",
        ticks == 0 && nanoseconds == 0,
    )
}

/// CPU time that all threads of a process used so far.
struct Cpu {
    /// User and system, in the 10 ms that the kernel counts in.
    ticks: u64,
    /// As the scheduler counts, where it tells; 0 elsewhere.
    nanoseconds: u64,
}

impl Cpu {
    fn of(process: &Child) -> Result<Cpu> {
        let dir = format!("/proc/{}", process.id());
        let stat = std::fs::read_to_string(format!("{dir}/stat"))?;
        // The name of the program, in parentheses, may hold anything; the 12th and 13th field after it are these.
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        let ticks =
            fields.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("{dir}/task"))? {
            let schedstat = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanoseconds +=
                schedstat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Cpu { ticks: ticks.sum(), nanoseconds })
    }
}
