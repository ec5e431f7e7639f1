//! `woof-link` as a command: both sides, the status, and what is left when it is killed.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use woof_link::{Link, LinkOptions};

fn woof_link() -> Command {
    woof_kit::command(env!("CARGO_BIN_EXE_woof-link"))
}

/// Whether a link can be had here. What is said about a test that is skipped is said by this.
fn can_link() -> bool {
    Link::for_test(LinkOptions::default()).is_some()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs it with these options and a script on side A.
fn run(options: &[&str], script: &str) -> Output {
    woof_kit::output(woof_link().args(options).args(["--", "sh", "-c", script]))
}

#[test]
fn the_status_is_that_of_the_command() {
    if !can_link() {
        return;
    }
    assert_eq!(run(&[], "exit 3").status.code(), Some(3));
    assert_eq!(run(&[], "kill -9 $$").status.code(), Some(137));
    assert_eq!(woof_kit::output(woof_link().args(["--", "no-such-program"])).status.code(), Some(127));
}

#[test]
fn both_commands_know_their_own_address_and_the_other_one() {
    if !can_link() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("woof-link-test-{}", std::process::id()));
    let there =
        format!("echo $LINK_HERE $LINK_THERE >{0}.part; mv {0}.part {0}; exec sleep 60", dir.display());
    let wait = format!(
        "until test -e {0}; do sleep 0.01; done; cat {0}; echo $LINK_HERE $LINK_THERE",
        dir.display()
    );
    let output = run(&["--there", &there], &wait);
    std::fs::remove_file(&dir).unwrap();
    assert_eq!(text(&output.stdout), "10.89.0.2 10.89.0.1\n10.89.0.1 10.89.0.2\n");
}

#[test]
fn the_command_on_the_other_side_and_its_children_end_with_the_first() {
    if !can_link() {
        return;
    }
    // Standard error is read to its end, which comes when nobody holds it any more.
    let start = Instant::now();
    let output = run(&["--there", "sleep 60 & sleep 60"], "exit 0");
    assert_eq!(output.status.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(50), "a process on the other side was left");
}

#[test]
fn a_command_there_that_ends_before_it_listens_is_an_error() {
    if !can_link() {
        return;
    }
    let output = run(&["--there", "exit 1", "--there-port", "7144"], "echo started");
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(text(&output.stderr), "woof-link: --there: ended before it listened on port 7144\n");
}

#[test]
fn a_killed_woof_link_takes_both_commands_with_it() {
    if !can_link() {
        return;
    }
    let mut child = woof_link()
        // The shells wait for a child of their own, which must not be left either.
        .args(["--there", "echo there; sleep 60; echo left"])
        .args(["--", "sh", "-c", "echo here >&2; sleep 60; echo left >&2"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let mut lines = String::new();
    output.read_line(&mut lines).unwrap();
    output.read_line(&mut lines).unwrap();
    assert!(lines.contains("there\n") && lines.contains("here\n"), "{lines}");
    let start = Instant::now();
    child.kill().unwrap();
    woof_kit::wait(&mut child);
    // The end comes when none of them holds standard error any more.
    lines.clear();
    output.read_to_string(&mut lines).unwrap();
    assert!(start.elapsed() < Duration::from_secs(50), "a command outlived the link");
    assert!(!lines.contains("left"), "{lines}");
}

#[test]
fn what_went_over_the_link_is_told_when_asked_for() {
    if !can_link() {
        return;
    }
    // A connection that a cut link swallows: bash opens it, and gives up with the timeout.
    let script = "timeout 1 bash -c ': </dev/tcp/$LINK_THERE/9'";
    let output = run(&["--stats", "--cut", "0ms.."], script);
    assert_eq!(output.status.code(), Some(124));
    let lines = text(&output.stderr);
    assert!(lines.contains("woof-link: a to b: ") && lines.contains(", 0 (0) delivered, "), "{lines}");
    assert!(lines.contains("woof-link: b to a: 0 packets (0 bytes) sent, "), "{lines}");
}

#[test]
fn options_that_do_not_parse_are_refused_by_name() {
    let refused = |options: &[&str]| {
        let output = run(options, "echo started");
        assert_eq!(output.status.code(), Some(125), "{options:?}");
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr).lines().next().unwrap().to_owned()
    };
    assert_eq!(
        refused(&["--rtt", "100"]),
        "error: invalid value '100' for '--rtt <DURATION>': expected a number and us, ms or s"
    );
    assert_eq!(
        refused(&["--rate", "12"]),
        "error: invalid value '12' for '--rate <RATE>': expected a number and a unit as MB/s, MiB/s or Mbit/s"
    );
    assert_eq!(
        refused(&["--cut", "2s..1s"]),
        "error: invalid value '2s..1s' for '--cut <FROM..TO>': ends before it begins"
    );
    assert_eq!(refused(&["--loss", "2"]), "woof-link: link: a loss of 2 is not between 0 and 1");
}
