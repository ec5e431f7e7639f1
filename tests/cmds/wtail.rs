//! `wtail`.

use crate::support::Sandbox;
use crate::woofs::{asleep, end, put, refuses_what_is_no_woof, signal, start, with_mounts, woof};
use libwoofstream::log::Options;
use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::process::Child;

/// A sandbox with the woof `w` of three elements.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    woof(&sandbox, "w", &Options::default(), &["one", "two", "three"]);
    sandbox
}

/// A `wtail` that has sent what was there, and sleeps.
fn following(sandbox: &Sandbox, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut wtail = start(sandbox, "wtail", args);
    let out = BufReader::new(wtail.stdout.take().unwrap());
    asleep(&wtail);
    (wtail, out)
}

fn line(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended");
    line
}

#[test]
fn elements_come_as_soon_as_they_are_there() {
    let sandbox = sandbox();
    let (wtail, mut out) = following(&sandbox, &["w", "-u"]);
    for element in ["four", "five", "six"] {
        put(&sandbox, &["w", element], b"");
        // It is read here before anything else happens that could send it.
        assert_eq!(line(&mut out), format!("{element}\n"));
    }
    drop(out);
    assert_eq!(end(wtail).status, 0);
}

#[test]
fn what_comes_first_is_as_the_flags_say() {
    let sandbox = sandbox();
    for (args, expected) in [
        ("w -n 2 --count 2", "two three"),
        ("w -n 9 --no-follow", "one two three"),
        ("w --last 1 --no-follow", "three"),
        ("w --no-follow", "one two three"),
        ("w --from 2 --no-follow", "two three"),
        ("w --from 2 --count 1", "two"),
        ("w --from 1 --to 2", "one two"),
        ("w --since 1h --count 3", "one two three"),
        ("w --since 2100-01-01T00:00:00Z --no-follow", ""),
        ("w --from 1 --where seqno!=2 --count 2", "one three"),
        ("w --where seqno!=2 -n 2 --no-follow", "one three"),
    ] {
        let args: Vec<&str> = ["-u"].into_iter().chain(args.split(' ')).collect();
        let wtail = start(&sandbox, "wtail", &args);
        let ran = end(wtail);
        assert_eq!(ran.done().split_whitespace().collect::<Vec<_>>().join(" "), expected, "{args:?}");
    }
    let ran = sandbox.run("wtail", &["w", "--from", "9", "--no-follow", "-u"], b"");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "wtail: w: no element 9: the oldest kept is 1, the newest 3\n")
    );
}

#[test]
fn a_mark_says_that_all_that_was_there_was_sent() {
    let sandbox = sandbox();
    let (wtail, mut out) = following(&sandbox, &["w", "-n", "1", "--json", "--marks"]);
    assert!(line(&mut out).contains("\"data\":\"three\""));
    assert_eq!(line(&mut out), "{\"type\":\"mark\",\"name\":\"caught-up\"}\n");
    put(&sandbox, &["w", "four"], b"");
    assert!(line(&mut out).contains("\"data\":\"four\""));
    drop(out);
    assert_eq!(end(wtail).status, 0);
}

#[test]
fn asleep_it_ends_when_nobody_reads_it_any_more() {
    let sandbox = sandbox();
    for args in [&["w"][..], &["w", "-u"], &["w", "w", "--json"]] {
        let (wtail, out) = following(&sandbox, args);
        // Nothing is appended from here on.
        drop(out);
        let ran = end(wtail);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{args:?}");
    }
    let ran = sandbox.bash("wtail w -n 1 -u | head -1; echo ${PIPESTATUS[@]}");
    assert_eq!(ran.done(), "three\n0 0\n");
}

#[test]
fn asleep_it_does_nothing_at_all() {
    let sandbox = sandbox();
    let (wtail, out) = following(&sandbox, &["w"]);
    // Of all its threads: how often they slept or were interrupted, and the CPU time they used.
    let used = || {
        let mut used = Vec::new();
        for thread in fs::read_dir(format!("/proc/{}/task", wtail.id())).unwrap() {
            let dir = thread.unwrap().path();
            let status = fs::read_to_string(dir.join("status")).unwrap();
            used.extend(status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned));
            let stat = fs::read_to_string(dir.join("stat")).unwrap();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            used.push(format!("{} {}", fields[11], fields[12]));
        }
        used
    };
    let before = used();
    assert!(before.len() >= 6, "{before:?}");
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(used(), before);
    drop(out);
    assert_eq!(end(wtail).status, 0);
}

#[test]
fn a_woof_that_is_removed_or_reset_is_told_after_all_that_was_in_it() {
    for (command, how) in [(&["wrm", "w"][..], "removed"), (&["wcreate", "--reset", "w"], "reset")] {
        let sandbox = sandbox();
        let (wtail, mut out) = following(&sandbox, &["w", "-n", "1", "-u"]);
        put(&sandbox, &["w", "last"], b"");
        sandbox.run(command[0], &command[1..], b"").done();
        let mut all = String::new();
        out.read_to_string(&mut all).unwrap();
        assert_eq!(all, "three\nlast\n");
        let ran = end(wtail);
        assert_eq!((ran.status, ran.stderr), (2, format!("wtail: w: the woof was {how} meanwhile\n")));
    }
}

#[test]
fn overtaken_by_the_ring_it_says_what_is_gone_and_goes_on() {
    let sandbox = Sandbox::new();
    let options = Options { history: 100, capacity: 8 << 10, ..Options::default() };
    woof(&sandbox, "w", &options, &[]);
    let (wtail, mut out) = following(&sandbox, &["w", "--json"]);
    // Its output is a pipe that nobody reads meanwhile, so it cannot keep up.
    let lines: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    sandbox.run("wput", &["w", "-q", "-u"], lines.as_bytes()).done();
    put(&sandbox, &["w", "end"], b"");
    let (mut next, mut gone) = (1, 0);
    loop {
        let line = line(&mut out);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        match json["type"].as_str().unwrap() {
            "elem" if json["data"] == "end" => break,
            "elem" => {
                assert_eq!((json["seqno"].as_u64(), &json["data"]), (Some(next), &next.to_string().into()));
                next += 1;
            }
            "error" => {
                assert_eq!((&json["code"], &json["object"]), (&"gone".into(), &"w".into()), "{line}");
                let text = json["text"].as_str().unwrap();
                let words: Vec<&str> = text.split(' ').collect();
                let (from, to) = match words[..] {
                    ["elements", from, "to", to, "are", "gone:", ..] => (from, to),
                    ["element", one, "is", "gone:", ..] => (one, one),
                    _ => panic!("{line}"),
                };
                assert_eq!(from.parse(), Ok(next), "{line}");
                next = to.parse::<u64>().unwrap() + 1;
                gone += 1;
            }
            "mark" | "dir" => {}
            _ => panic!("{line}"),
        }
    }
    assert!(gone > 0 && next == 200_001, "{gone} gaps, then {next}");
    drop(out);
    let ran = end(wtail);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.starts_with("wtail: w: element"), "{}", ran.stderr);
}

#[test]
fn several_woofs_are_followed_at_once() {
    let sandbox = sandbox();
    woof(&sandbox, "v", &Options::default(), &["uno"]);
    let (wtail, mut out) = following(&sandbox, &["w", "v", "-n", "1", "--json"]);
    let mut seen = Vec::new();
    put(&sandbox, &["v", "due"], b"");
    while seen.len() < 3 {
        let json: serde_json::Value = serde_json::from_str(&line(&mut out)).unwrap();
        if json["type"] == "elem" {
            seen.push(format!("{} {}", json["woof"].as_str().unwrap(), json["data"].as_str().unwrap()));
        }
    }
    seen.sort();
    assert_eq!(seen, ["v due", "v uno", "w three"]);
    sandbox.run("wrm", &["v"], b"").done();
    // One that ends does not end the others.
    asleep(&wtail);
    put(&sandbox, &["w", "four"], b"");
    while !line(&mut out).contains("\"data\":\"four\"") {}
    drop(out);
    let ran = end(wtail);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, "wtail: v: the woof was removed meanwhile\n"));
    let ran = sandbox.run("wtail", &["w", "none", "v2", "-u", "-n", "1", "--no-follow"], b"");
    assert_eq!((ran.status, ran.text()), (1, "four\n"));
    let mut said: Vec<&str> = ran.stderr.lines().collect();
    said.sort_unstable();
    assert_eq!(said, ["wtail: none: no such woof", "wtail: v2: no such woof"]);
    let ran = end(start(&sandbox, "wtail", &["w", "w", "-n", "3", "--count", "4", "-u"]));
    assert_eq!(ran.done().lines().count(), 4);
}

#[test]
fn what_is_no_woof_is_refused() {
    refuses_what_is_no_woof(&Sandbox::new(), "wtail", &[]);
}

#[test]
fn a_signal_ends_it_as_a_signal() {
    use rustix::process::Signal;
    let sandbox = sandbox();
    for (number, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let (wtail, mut out) = following(&sandbox, &["w", "-n", "1", "-u"]);
        signal(&wtail, number);
        let ran = end(wtail);
        assert_eq!((ran.status, ran.stderr.as_str()), (status, ""));
        assert_eq!(line(&mut out), "three\n");
    }
}

#[test]
fn through_a_read_only_mount_it_follows_what_others_append() {
    let sandbox = Sandbox::new();
    let script = "mkdir disk view && mount -t tmpfs none disk && wcreate disk/w &&
        mount --bind disk view && mount -o remount,bind,ro view || exit 9
        wtail view/w --count 2 > out & until grep -qs caught-up out; do sleep 0.02; done
        wput disk/w one two > acks; wait; wcat -u out; wput view/w three -u; echo $?";
    let Some(ran) = with_mounts(&sandbox, "wtail through a read-only mount", script) else { return };
    assert_eq!(ran.text(), "one\ntwo\n2\n");
    assert_eq!(ran.stderr, "wput: view/w: append: it can only be read, by its mode or its file system\n");
}

/// A time this far from now, for `--until`.
fn from_now(ms: u64) -> String {
    woofcmds::support::time::rfc3339(libwoofstream::sys::now_ns() + ms * 1_000_000)
}

#[test]
fn until_a_time_it_ends_at_that_time_although_nothing_comes() {
    let sandbox = sandbox();
    sandbox.sh("mkdir -p srv/farm/.woof && wcreate v && wcreate srv/farm/w && wput v a > acks && wput srv/farm/w a > acks").done();
    let serving = crate::server::Serving::start(&sandbox, &[]);
    let served = crate::server::local(&sandbox, "farm/w");
    for names in [&["w"][..], &["w", "v"], &["w", "w", "v"], &[&served], &[&served, "v"]] {
        let begun = std::time::Instant::now();
        let until = from_now(700);
        let args: Vec<&str> = names.iter().copied().chain(["-n", "1", "--until", &until]).collect();
        let ran = sandbox.run("wtail", &args, b"");
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{names:?}");
        assert!(begun.elapsed() >= std::time::Duration::from_millis(600), "{names:?}");
        // It is a whole stream.
        let text = sandbox.run("wcat", &["-u"], &ran.stdout);
        assert_eq!(text.done().lines().count(), names.len(), "{names:?}");
    }
    // One that is over before it begins.
    assert_eq!(sandbox.sh("wtail w -n 1 --until 1s -u").status, 0);
    drop(serving);
}

#[test]
fn what_comes_before_that_time_is_sent() {
    let sandbox = sandbox();
    let until = from_now(1500);
    let (wtail, mut out) = following(&sandbox, &["w", "-u", "--until", &until]);
    put(&sandbox, &["w", "four"], b"");
    assert_eq!(line(&mut out), "four\n");
    assert_eq!(end(wtail).status, 0);
}
