//! Servers and handlers that are killed at any moment: every trigger is done, and only what was under way is done again.

use crate::farm::Farm;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How often each number stands in a file.
fn counts(farm: &Farm, name: &str) -> HashMap<u64, u64> {
    let mut counts = HashMap::new();
    for line in farm.lines(name) {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

/// Kills a process that runs a handler of the namespace, if there is one.
fn kill_a_handler(farm: &Farm) -> bool {
    let ours = format!("WOOF_NAMESPACE={}", farm.path("").canonicalize().unwrap().display());
    let killed = std::fs::read_dir("/proc").unwrap().find_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        // Held before it is looked at, so that nobody else has its number by then.
        let process = pidfd_open(Pid::from_raw(name.parse().ok()?)?, PidfdFlags::empty()).ok()?;
        let environment = std::fs::read(format!("/proc/{name}/environ")).ok()?;
        let is_ours = environment.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes());
        is_ours.then(|| pidfd_send_signal(&process, Signal::KILL))
    });
    killed.is_some()
}

#[test]
fn servers_and_handlers_that_are_killed_again_and_again_lose_nothing_and_repeat_only_what_was_under_way() {
    const TRIGGERS: u64 = 10_000;
    let farm = Farm::with("--type i64");
    farm.handler("note", "read v; echo $v >> notes");
    // One that is killed has failed; here that is no fault of its own.
    farm.sh(&format!("wbind farm/temp note --retries 1000; seq {TRIGGERS} | wput farm/temp")).done();
    let (mut kills, mut pause, mut looked_at) = (0, 7, 1);
    let (mut done, mut done_before) = (HashSet::new(), Vec::new());
    while done.len() as u64 != TRIGGERS {
        let server = farm.serve();
        // Long enough to do something, and another moment each time.
        pause = 100 + (pause * 37) % 700;
        let end = Instant::now() + Duration::from_millis(pause);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
            kills += u64::from(kill_a_handler(&farm));
        }
        server.kill();
        kills += 4;
        // What is done by now, and which lines were not written yet.
        let records = farm.records(looked_at);
        looked_at += records.len() as u64;
        let finished = records.iter().filter(|record| record["what"] == "done");
        let finished: Vec<u64> = finished.map(|record| record["seqno"].as_u64().unwrap()).collect();
        done.extend(finished.iter().copied());
        done_before.push((farm.lines("notes").len(), finished));
        assert!(done_before.len() < 3_000, "nothing gets done");
    }
    farm.once().done();
    let notes: Vec<u64> = farm.lines("notes").iter().map(|line| line.parse().unwrap()).collect();
    // Whatever was done when a server was killed does not run later.
    let mut last = HashMap::new();
    for (line, number) in notes.iter().enumerate() {
        last.insert(*number, line);
    }
    for (lines, finished) in done_before {
        for number in finished {
            assert!(last[&number] < lines, "{number} was done and ran again");
        }
    }
    assert_eq!(last.len() as u64, TRIGGERS);
    let again = notes.len() as u64 - TRIGGERS;
    assert!(again <= kills, "{again} were done again, where at most {kills} were under way");
    assert_eq!((farm.count(0, "pending"), farm.count(0, "dead")), (0, 0));
}

#[test]
fn a_restart_goes_on_where_the_log_ends_and_says_so() {
    let farm = Farm::with("--type i64");
    farm.handler("note", "read v; echo \"$v $WOOF_ATTEMPT $WOOF_CAUSE\" >> notes; [ -e go ] || sleep 1000");
    farm.sh("wbind farm/temp note --at-once 1; wput farm/temp 1 2").done();
    let server = farm.serve();
    farm.until("the first runs", || farm.lines("notes").len() == 1);
    server.kill();
    std::fs::write(farm.path("go"), "").unwrap();
    farm.once().done();
    assert_eq!(farm.lines("notes"), ["1 1 put", "1 2 restart", "2 1 put"]);
}

#[test]
fn a_hundred_thousand_that_are_pending_are_all_done_after_a_restart() {
    const TRIGGERS: u64 = 100_000;
    let farm = Farm::with("--type i64 --history 200000");
    // Every answer is a line; which elements came is kept beside.
    farm.handler("stream", "wcat -u | tee -a notes | sed -u 's/.*/ok/'");
    farm.sh(&format!("wbind farm/temp stream --stream; seq {TRIGGERS} | wput farm/temp")).done();
    assert_eq!(farm.count(0, "pending"), TRIGGERS);
    for _ in 0..3 {
        let server = farm.serve();
        std::thread::sleep(Duration::from_millis(150));
        server.kill();
    }
    farm.once().done();
    assert_eq!((farm.count(0, "pending"), farm.count(0, "dead")), (0, 0));
    let counts = counts(&farm, "notes");
    assert_eq!(counts.len() as u64, TRIGGERS);
}

#[test]
fn the_log_of_triggers_goes_round_and_nothing_that_is_needed_is_overwritten() {
    // Each trigger is three records, so the log of 65,536 goes round.
    const TRIGGERS: u64 = 60_000;
    let farm = Farm::with("--type i64 --history 100000");
    farm.handler("stream", "wcat -u | sed -u 's/.*/ok/'");
    // Every second element: no two in a row are one record.
    farm.sh(&format!(
        "wbind farm/temp stream --stream --where 'int(value) % 2 == 0'; seq {TRIGGERS} | wput farm/temp"
    ))
    .done();
    farm.once().done();
    assert_eq!(farm.count(0, "done"), TRIGGERS / 2);
    let ran = farm.sh("wstat farm/.woof/triggers --json");
    let stat: serde_json::Value = serde_json::from_str(ran.done()).unwrap();
    assert!(stat["first_seqno"].as_u64().unwrap() > 1, "{stat}");
}
