//! A woof that is carried elsewhere from a kept position, `wtail --keep up | wput`, while somebody appends to it. One end of the
//! pipeline is killed, or both, or the next pipeline begins while the rest of the last one is still at work. The target has several names. In the end each element
//! is there once, in order.

use crate::random::{Random, seed, wait};
use crate::support::Sandbox;
use libwoofstream::log;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use woof_kit::say;

const ROUNDS: u64 = 300;
/// So many elements, and a batch more, are appended at the most: fewer than the woofs keep, however long the rounds take.
const ELEMENTS_MAX: i64 = 1_500_000;

/// A pipeline: the parts that are there, first to last.
struct Pipeline(Vec<Child>);

impl Pipeline {
    fn start(commands: Vec<Command>) -> Pipeline {
        let mut children: Vec<Child> = Vec::new();
        let last = commands.len() - 1;
        for (index, mut command) in commands.into_iter().enumerate() {
            if let Some(before) = children.last_mut() {
                command.stdin(Stdio::from(before.stdout.take().unwrap()));
            } else {
                command.stdin(Stdio::null());
            }
            command.stdout(if index == last { Stdio::null() } else { Stdio::piped() });
            children.push(command.stderr(Stdio::piped()).spawn().unwrap());
        }
        Pipeline(children)
    }

    fn kill(&mut self, index: usize) {
        let index = index.min(self.0.len() - 1);
        let _ = self.0[index].kill();
    }

    /// Waits for the ends of all; gives their statuses, and what they said.
    fn end(self) -> (Vec<Option<i32>>, String) {
        let (mut statuses, mut said) = (Vec::new(), String::new());
        for mut child in self.0 {
            statuses.push(woof_kit::wait(&mut child).code());
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        }
        (statuses, said)
    }
}

/// What the target is called.
const NAMES: [&str; 4] = ["hub", "link", "hard", "farm/../hub"];

/// The parts of a pipeline into `target`; `filter` puts one between the two that matter.
fn parts(sandbox: &Sandbox, filter: bool, target: &str, more: &[&str]) -> Vec<Command> {
    let mut wtail = sandbox.command("wtail");
    wtail.args(["--keep", "up", "--from", "1", "farm/temp"]).args(more);
    let mut wfilter = sandbox.command("wfilter");
    wfilter.arg("value >= 0");
    let mut wput = sandbox.command("wput");
    wput.arg(target);
    if filter { vec![wtail, wfilter, wput] } else { vec![wtail, wput] }
}

/// What a pipeline says when another part of it was killed or the last one is not done, and nothing else.
fn is_expected(line: &str) -> bool {
    line.contains("stream cut after")
        || line.contains("position up is in use by another program")
        || line.contains("position up was not moved beyond ")
        || line.ends_with("in: empty input where a stream was expected")
}

#[test]
fn a_woof_is_carried_whole_and_once_whoever_is_killed() {
    let seed = seed();
    let _watchdog = woof_kit::watch(&format!("WOOF_TEST_SEED={seed}"));
    let sandbox = Sandbox::new();
    let sizes = ["--history", "2000000", "--capacity", "128MiB"];
    sandbox.run("wcreate", &[&["-p", "farm/temp", "--type", "i64"], &sizes[..]].concat(), b"").done();
    sandbox.run("wcreate", &[&["hub", "--type", "i64"], &sizes[..]].concat(), b"").done();
    sandbox.sh("ln -s hub link; ln hub hard").done();
    let source = log::open(&sandbox.dir().join("farm/temp")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut random = Random::new(seed ^ 1);
        let (source, stop) = (&source, &stop);
        scope.spawn(move || {
            let mut appender = source.appender().unwrap();
            let mut number = 0i64;
            while !stop.load(Ordering::Relaxed) && number < ELEMENTS_MAX {
                let batch = i64::try_from(1 + random.below(100)).unwrap();
                let data: Vec<[u8; 8]> = (number..number + batch).map(i64::to_le_bytes).collect();
                appender.extend(data.iter().map(<[u8; 8]>::as_slice), |_| {}).unwrap();
                number += batch;
                wait(Duration::from_micros(random.below(2_000)));
            }
        });
        let mut random = Random::new(seed);
        let mut old: Vec<Pipeline> = Vec::new();
        for _ in 0..ROUNDS {
            let target = NAMES[usize::try_from(random.below(4)).unwrap()];
            let mut pipeline = Pipeline::start(parts(&sandbox, random.below(3) == 0, target, &[]));
            let longest = if random.below(2) == 0 { 3_000 } else { 30_000 };
            wait(Duration::from_micros(random.below(longest)));
            match random.below(4) {
                0 => pipeline.kill(0),
                1 => pipeline.kill(2),
                2 => (0..3).for_each(|index| pipeline.kill(index)),
                _ => (0..3).rev().for_each(|index| pipeline.kill(index)),
            }
            old.push(pipeline);
            if random.below(3) > 0 {
                for pipeline in old.drain(..) {
                    let (_, said) = pipeline.end();
                    assert!(said.lines().all(is_expected), "{said}");
                }
            }
        }
        for pipeline in old {
            let (_, said) = pipeline.end();
            assert!(said.lines().all(is_expected), "{said}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let last = Pipeline::start(parts(&sandbox, false, "hub", &["--no-follow"])).end();
    assert_eq!(last, (vec![Some(0), Some(0)], String::new()));
    let count = source.next_seqno() - 1;
    let kept = sandbox.run("wget", &["hub", "..", "-u"], b"");
    let numbers = kept.done().lines().map(|line| line.parse::<u64>().unwrap());
    let mut next = 0;
    for number in numbers {
        assert_eq!(number, next, "an element is missing or twice");
        next += 1;
    }
    assert_eq!(next, count, "the last elements are missing");
    assert!(count > 1_000, "hardly anything was appended: {count}");
    say(&format!("crash: kept: {ROUNDS} kills, {count} elements carried"));
}
