//! Store and forward: a woof of side A is carried to one of side B, and another one back, by `wtail --keep | wput` while somebody appends to it, the link is cut,
//! and each end of the pipeline and the server are killed. In the end each element is there once, in order.

use crate::farm::{Farm, Running};
use crate::random::{Random, seed};
use libwoofstream::log;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use woof_link::LinkOptions;

const ROUNDS: u64 = 30;

/// From where to where.
#[derive(Clone, Copy)]
struct Way {
    /// What the pipeline is told, on side A.
    from: &'static str,
    to: &'static str,
    /// Where both are in the sandbox.
    source: &'static str,
    target: &'static str,
}

const UP: Way = Way { from: "temp", to: "$U/temp", source: "temp", target: "srv/farm/temp" };
const DOWN: Way = Way { from: "$U/temp", to: "temp", source: "srv/farm/temp", target: "temp" };

/// Starts the pipeline.
fn carry(farm: &Farm, way: Way, more: &[&str]) -> [Running; 2] {
    let keep = [&["--keep", "way", "--from", "1", way.from], more].concat();
    let mut wtail = farm.command("wtail", &keep);
    let mut wtail = farm.spawn(wtail.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut wput = farm.command("wput", &["--wait", "1h", way.to]);
    wput.stdin(wtail.child().stdout.take().unwrap());
    let wput = farm.spawn(wput.stdout(Stdio::null()).stderr(Stdio::piped()));
    [wtail, wput]
}

/// What each end may say when the other one or the server was killed, and nothing else.
fn is_expected(line: &str) -> bool {
    line.ends_with("; trying again")
        // A follow that begins while the server is not there, or goes, does not wait for it.
        || line.starts_with("wtail: woof://10.89.0.2:7144: ")
        || line.contains("stream cut after")
        || line.contains("position way is in use by another program")
        || line.contains("position way was not moved beyond ")
        || line.ends_with("in: empty input where a stream was expected")
}

#[test]
fn a_woof_is_carried_there_whole_and_once_whatever_is_cut_or_killed() {
    carried_whole_and_once(UP, "carried there");
}

#[test]
fn a_woof_is_carried_from_there_whole_and_once_whatever_is_cut_or_killed() {
    carried_whole_and_once(DOWN, "carried from there");
}

fn carried_whole_and_once(way: Way, name: &'static str) {
    let seed = seed();
    let rtt = Duration::from_millis(10);
    let Some(mut farm) = Farm::new(LinkOptions { rtt, seed, ..LinkOptions::default() }) else { return };
    let _watchdog = woof_kit::watch(&format!("{name} WOOF_TEST_SEED={seed}"));
    let sizes = "--type i64 --history 2000000 --capacity 64MiB";
    farm.there(&format!("wcreate temp {sizes}; wcreate srv/farm/temp {sizes}"));
    let source = log::open(&farm.path(way.source)).unwrap();
    let stop = AtomicBool::new(false);
    let (mut kills, mut cuts) = (0, 0);
    std::thread::scope(|scope| {
        let (source, stop) = (&source, &stop);
        let mut random = Random::new(seed ^ 1);
        scope.spawn(move || {
            let mut appender = source.appender().unwrap();
            let mut number = 0i64;
            while !stop.load(Ordering::Relaxed) {
                let batch = i64::try_from(1 + random.below(50)).unwrap();
                let data: Vec<[u8; 8]> = (number..number + batch).map(i64::to_le_bytes).collect();
                appender.extend(data.iter().map(<[u8; 8]>::as_slice), |_| {}).unwrap();
                number += batch;
                std::thread::sleep(Duration::from_micros(random.below(20_000)));
            }
        });
        // A panic ends the writer too.
        let _end = End(stop);
        let mut random = Random::new(seed);
        let mut pause = |limit_ms| std::thread::sleep(Duration::from_millis(random.below(limit_ms)));
        let mut choice = Random::new(seed ^ 2);
        for _ in 0..ROUNDS {
            let [wtail, wput] = carry(&farm, way, &[]);
            pause(400);
            if choice.below(3) == 0 {
                farm.link.cut();
                cuts += 1;
                pause(300);
            }
            let mut said = String::new();
            let mut left = match choice.below(4) {
                0 => {
                    said += &wtail.kill().stderr;
                    vec![wput]
                }
                1 => {
                    said += &wput.kill().stderr;
                    vec![wtail]
                }
                2 => {
                    farm.kill();
                    vec![wtail, wput]
                }
                _ => vec![wtail, wput],
            };
            kills += 1;
            pause(200);
            farm.link.mend();
            if choice.below(4) > 0 && farm.is_dead() {
                farm.start("10.89.0.2");
            }
            pause(400);
            // Before the next one begins, or else it would be told that the position is in use.
            for running in left.drain(..) {
                said += &running.kill().stderr;
            }
            assert!(said.lines().all(is_expected), "{said}");
            if choice.below(2) == 0 && farm.is_dead() {
                farm.start("10.89.0.2");
            }
        }
        if farm.is_dead() {
            farm.start("10.89.0.2");
        }
    });
    let [wtail, wput] = carry(&farm, way, &["--no-follow"]);
    let (wput, wtail) = (wput.end(), wtail.end());
    assert_eq!((wtail.status, wput.status), (0, 0), "{} {}", wtail.stderr, wput.stderr);
    let count = source.next_seqno() - 1;
    let kept = farm.there(&format!("wget {} .. -u", way.target));
    let mut next = 0;
    for line in kept.lines() {
        assert_eq!(line.parse(), Ok(next), "an element is missing or twice");
        next += 1u64;
    }
    assert_eq!(next, count, "the last elements are missing");
    assert!(count > 1_000, "hardly anything was appended: {count}");
    woof_kit::say(&format!("wan: {name}: {kills} kills, {cuts} cuts, {count} elements"));
}

/// Has the writer end when this goes away.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
