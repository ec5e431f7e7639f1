//! Servers and handlers that are killed at any moment: every trigger is done, and only what was under way is done again.

use crate::farm::Farm;
use std::collections::HashMap;
use std::time::Duration;

/// How often each number stands in a file.
fn counts(farm: &Farm, name: &str) -> HashMap<u64, u64> {
    let mut counts = HashMap::new();
    for line in farm.lines(name) {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn a_server_that_is_killed_again_and_again_loses_nothing_and_repeats_what_was_under_way() {
    const TRIGGERS: u64 = 2_000;
    let farm = Farm::with("--type i64");
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh(&format!("wbind farm/temp note; seq {TRIGGERS} | wput farm/temp")).done();
    let (mut kills, mut pause) = (0, 7);
    while (counts(&farm, "notes").len() as u64) < TRIGGERS {
        let server = farm.serve();
        // Long enough to do something, and another moment each time.
        pause = 30 + (pause * 37) % 170;
        std::thread::sleep(Duration::from_millis(pause));
        server.kill();
        kills += 1;
        assert!(kills < 2_000, "nothing gets done");
    }
    farm.once().done();
    let counts = counts(&farm, "notes");
    assert_eq!(counts.len() as u64, TRIGGERS);
    let again: u64 = counts.values().map(|count| count - 1).sum();
    assert!(again <= 4 * kills, "{again} were done again after {kills} kills, with 4 at once");
    assert_eq!(farm.count(0, "pending"), 0);
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
