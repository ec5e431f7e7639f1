//! `wrun`, with real programs.

use crate::support::{Ran, Sandbox};
use libwoofstream::content::ContentType;
use libwoofstream::log::{self, Options, Woof};
use libwoofstream::wire::{Dir, encode};
use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};

/// Makes the woof `farm/temp` in the sandbox.
fn farm(sandbox: &Sandbox, options: &Options) -> Woof {
    fs::create_dir_all(sandbox.dir().join("farm")).unwrap();
    let path = sandbox.dir().join("farm/temp");
    log::create(&path, options).unwrap();
    log::open(&path).unwrap()
}

fn put(woof: &Woof, elements: &[&str]) {
    let mut appender = woof.appender().unwrap();
    for element in elements {
        appender.append(element.as_bytes()).unwrap();
    }
}

fn text() -> Options {
    Options::default()
}

/// A `wrun` that goes on until it is told to stop, in a process group of its own.
fn follow(sandbox: &Sandbox, args: &[&str]) -> Child {
    use std::os::unix::process::CommandExt as _;
    let mut command = sandbox.command("wrun");
    command.args(args).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until `done` holds of what the programs wrote into `log`.
fn until(sandbox: &Sandbox, log: &str, done: impl Fn(&str) -> bool) -> String {
    let mut seen = String::new();
    woof_kit::until(&format!("what is expected in {log}"), || {
        seen = fs::read_to_string(sandbox.dir().join(log)).unwrap_or_default();
        done(&seen)
    });
    seen
}

fn signal(child: &Child, name: &str) {
    assert!(woof_kit::works("kill", &["-s", name, &child.id().to_string()]));
}

fn end(child: Child) -> Ran {
    Ran::from(woof_kit::ended(child))
}

/// The last element that the position says is done with.
fn done(sandbox: &Sandbox, position: &str) -> String {
    let path = sandbox.dir().join("farm/.woof/positions").join(position);
    let text = fs::read_to_string(path).unwrap();
    text.lines().find_map(|line| line.strip_prefix("done ")).unwrap().trim_end().to_owned()
}

#[test]
fn a_unix_tool_is_a_filter_of_the_stream() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("seq 10 | wrun -- sed 's/$/ degrees/' | wcat");
    let expected: String = (1..=10).map(|number| format!("{number} degrees\n")).collect();
    assert_eq!(ran.done(), expected);
    assert_eq!(sandbox.sh("seq 3 | wrun sed -n '2p' | wcat -l").done(), "bytes         2 B  2\n");
}

#[test]
fn elements_go_in_as_text_and_other_messages_go_past() {
    let sandbox = Sandbox::new();
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    encode::dir(&mut stream, &Dir::new().set("path", "farm/temp").set("content", "f64")).unwrap();
    encode::elem(&mut stream, 5, 7, &21.5f64.to_le_bytes());
    encode::elem(&mut stream, 6, 8, &98f64.to_le_bytes());
    encode::mark(&mut stream, "caught-up");
    encode::end(&mut stream, Ok(()));
    let ran = sandbox.run("wrun", &["--json", "--marks", "sort", "-rn"], &stream);
    assert_eq!(
        ran.done(),
        "{\"type\":\"dir\",\"content\":\"f64\",\"path\":\"farm/temp\"}\n{\"type\":\"mark\",\"name\":\"caught-up\"}\n\
         {\"type\":\"bytes\",\"data\":\"98\\n\"}\n{\"type\":\"bytes\",\"data\":\"21.5\\n\"}\n"
    );
    let ran = sandbox.run("wrun", &["-u", "--delimiter", "none", "cat"], &stream);
    assert_eq!(ran.done(), "21.598");
}

#[test]
fn what_the_program_wrote_before_a_message_is_before_it() {
    let sandbox = Sandbox::new();
    // The second message comes only when the answer to the first was seen at the end of the pipeline.
    let script = "{ wecho one; until grep -q one seen 2>/dev/null; do sleep 0.01; done; wecho --mark here; wecho two; } \
                  | wrun --json --marks cat > seen; cat seen";
    assert_eq!(
        sandbox.sh(script).done(),
        "{\"type\":\"bytes\",\"data\":\"one\\n\"}\n{\"type\":\"mark\",\"name\":\"here\"}\n{\"type\":\"bytes\",\"data\":\"two\\n\"}\n"
    );
}

#[test]
fn whatever_the_program_reads_and_writes_nothing_hangs() {
    let sandbox = Sandbox::new();
    for (program, lines) in [
        ("true", "0"),
        ("exec <&-; seq 100000", "100000"),
        ("seq 300000; cat", "600000"),
        ("head -1", "1"),
        ("exec >/dev/null; cat", "0"),
        ("cat & wait; seq 3", "3"),
    ] {
        let script = format!(
            "seq 300000 | wrun sh -c '{program}' | wcat | wc -l; wecho a | wrun sh -c '{program}' > s; wcat s >t"
        );
        let ran = sandbox.sh(&script);
        assert_eq!((ran.text().trim(), ran.stderr.as_str(), ran.status), (lines, "", 0), "{program}");
    }
    let endless = sandbox
        .bash("yes | wrun head -2 | wcat; wrun yes < /dev/null | head -c 100 | wc -c; echo ${PIPESTATUS[0]}");
    assert_eq!(endless.text().split_whitespace().collect::<Vec<_>>(), ["y", "y", "100", "0"]);
}

#[test]
fn output_is_cut_as_split_says_and_a_stream_is_passed_on() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.sh("wrun --split nul printf 'a\\0b' </dev/null | wcat --json").done(),
        "{\"type\":\"bytes\",\"data\":\"a\\u0000\"}\n{\"type\":\"bytes\",\"data\":\"b\"}\n"
    );
    assert_eq!(
        sandbox.sh("wrun wecho --mark here x </dev/null | wcat -l").done(),
        "bytes         2 B  x\nmark     here\n"
    );
    let cut = sandbox.sh("wrun sh -c 'wecho abcdef | head -c 20' </dev/null | wcat");
    assert_eq!((cut.status, cut.stderr.as_str()), (2, "wrun: sh: stream cut after 0 messages\n"));
}

#[test]
fn a_program_that_fails_is_an_error_in_the_stream_and_its_status_is_ours() {
    let sandbox = Sandbox::new();
    for (script, status, why) in
        [("exit 3", "3", "exit status 3"), ("kill -9 $$", "137", "killed by signal 9")]
    {
        let ran =
            sandbox.bash(&format!("wecho a | wrun sh -c 'cat; {script}' | wcat; echo ${{PIPESTATUS[@]}}"));
        assert_eq!(
            (ran.text(), ran.stderr.as_str()),
            (&*format!("a\n0 {status} 1\n"), &*format!("wrun: sh: {why}\n"))
        );
    }
    let ran = sandbox.run("wrun", &["nosuchprogram"], b"");
    assert_eq!(ran.status, 2);
    let ran = sandbox.bash("wrun nosuchprogram </dev/null | wcat; echo ${PIPESTATUS[@]}");
    assert_eq!((ran.text(), ran.stderr.as_str()), ("2 2\n", "wrun: nosuchprogram: not found in PATH\n"));
    let ran = sandbox.sh("wrun ./nosuch </dev/null | wcat");
    assert_eq!(ran.stderr, "wrun: ./nosuch: run: no such file or directory\n");
    let ran = sandbox.sh("wrun sh -c 'echo oh >&2' </dev/null | wcat");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, "oh\n"));
}

#[test]
fn a_cut_stream_is_told_after_what_the_program_made_of_it() {
    let sandbox = Sandbox::new();
    let ran = sandbox.bash("wecho a b | head -c 25 | wrun cat | wcat; echo ${PIPESTATUS[@]}");
    assert_eq!((ran.text(), ran.stderr.as_str()), ("a\n0 0 2 2\n", "wrun: in: stream cut after 1 message\n"));
}

#[test]
fn once_for_each_message_its_output_takes_its_place() {
    let sandbox = Sandbox::new();
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    encode::bytes(&mut stream, b"raw");
    encode::dir(&mut stream, &Dir::new().set("path", "farm/temp").set("content", "f64")).unwrap();
    encode::elem(&mut stream, 5, 1_795_309_323_000_000_004, &21.5f64.to_le_bytes());
    encode::mark(&mut stream, "here");
    encode::elem(&mut stream, 6, 1_795_309_324_000_000_000, &98f64.to_le_bytes());
    encode::end(&mut stream, Ok(()));
    let script = "read data; echo \"$data|$WOOF_NAME|$WOOF_SEQNO|$WOOF_TIME\"; test \"$data\" != 21.5";
    let ran = sandbox.run("wrun", &["--json", "--marks", "-e", "sh", "-c", script], &stream);
    assert_eq!(
        ran.text(),
        "{\"type\":\"bytes\",\"data\":\"raw|||\\n\"}\n\
         {\"type\":\"dir\",\"content\":\"f64\",\"path\":\"farm/temp\"}\n\
         {\"type\":\"bytes\",\"data\":\"21.5|farm/temp|5|2026-11-22T01:02:03.000000004Z\\n\"}\n\
         {\"type\":\"error\",\"code\":\"failed\",\"origin\":\"wrun\",\"object\":\"farm/temp\",\"text\":\"element 5: sh: exit status 1\"}\n\
         {\"type\":\"mark\",\"name\":\"here\"}\n\
         {\"type\":\"bytes\",\"data\":\"98|farm/temp|6|2026-11-22T01:02:04.000000000Z\\n\"}\n"
    );
    assert_eq!((ran.status, ran.stderr.as_str()), (1, "wrun: farm/temp: element 5: sh: exit status 1\n"));
}

#[test]
fn a_large_message_goes_through_a_program_that_reads_nothing_or_all() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.dir().join("large"), vec![b'x'; 3 << 20]).unwrap();
    for (program, bytes) in [("cat", "3145728"), ("true", "0"), ("seq 100000 | wc -c", "7")] {
        let script = format!("wrun --split all -e sh -c '{program}' < large | wcat -u | wc -c");
        assert_eq!(sandbox.sh(&script).done().trim(), bytes, "{program}");
    }
}

#[test]
fn each_element_of_a_woof_is_run_once_from_a_kept_position() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &Options { content: ContentType::F64, ..text() });
    let mut appender = woof.appender().unwrap();
    for value in [20.5, 21.0, 22.25] {
        appender.append(&f64::to_le_bytes(value)).unwrap();
    }
    let script = "read t; echo $WOOF_NAME $WOOF_SEQNO $t";
    let run = |args: &[&str]| {
        sandbox.run("wrun", &[&["-u", "--on", "farm/temp"], args, &["sh", "-c", script]].concat(), b"")
    };
    assert_eq!(run(&["--from", "1", "-n", "2"]).done(), "farm/temp 1 20.5\nfarm/temp 2 21\n");
    assert_eq!(done(&sandbox, "temp-sh"), "2");
    // --from is for the first start only.
    assert_eq!(run(&["--from", "1", "--count", "1"]).done(), "farm/temp 3 22.25\n");
    assert_eq!(run(&["--keep", "other", "--from", "3", "--count", "1"]).done(), "farm/temp 3 22.25\n");
    // A new position is here and now, and is kept before the first element.
    assert_eq!(run(&["--keep", "fresh", "--count", "0"]).done(), "");
    appender.append(&f64::to_le_bytes(23.0)).unwrap();
    assert_eq!(run(&["--keep", "fresh", "--count", "1"]).done(), "farm/temp 4 23\n");
}

#[test]
fn killed_at_any_time_every_element_is_run_at_least_once_in_order() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &text());
    let elements: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    put(&woof, &elements.iter().map(String::as_str).collect::<Vec<_>>());
    let args = ["--on", "farm/temp", "--from", "1", "--count", "60", "sh", "-c", "cat >> log"];
    for goal in [5, 11, 12, 30, 55] {
        let child = follow(&sandbox, &args);
        until(&sandbox, "log", |seen| seen.lines().count() >= goal);
        // With the program it runs: left alone that would write at some later time.
        let group = format!("-{}", child.id());
        assert!(woof_kit::works("kill", &["-s", "KILL", "--", &group]));
        assert_eq!(end(child).status, 137);
    }
    put(&woof, &["61"]);
    let last = follow(&sandbox, &["--on", "farm/temp", "--", "sh", "-c", "cat >> log"]);
    let seen = until(&sandbox, "log", |seen| seen.ends_with("61\n"));
    signal(&last, "TERM");
    assert_eq!(end(last).done(), "");
    assert_eq!(done(&sandbox, "temp-sh"), "61");
    let mut expected = 1;
    let mut repeated = 0;
    for line in seen.lines() {
        let number: u32 = line.parse().unwrap();
        // After a kill the element under work is run again, and no other.
        assert!(number == expected || number + 1 == expected, "{number} after {}", expected - 1);
        repeated += u32::from(number + 1 == expected);
        expected = number + 1;
    }
    assert_eq!(expected, 62);
    assert!(repeated <= 5, "{repeated} of 5 kills repeated an element");
}

#[test]
fn a_program_whose_wrun_is_killed_has_its_element_whole() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &text());
    put(&woof, &["x".repeat(1_000_000).as_str()]);
    let script = "echo > started; until test -e go; do sleep 0.01; done; wc -c > counted; mv counted log";
    let mut child = follow(&sandbox, &["--on", "farm/temp", "--from", "1", "sh", "-c", script]);
    until(&sandbox, "started", |seen| seen == "\n");
    child.kill().unwrap();
    woof_kit::wait(&mut child);
    fs::write(sandbox.dir().join("go"), "").unwrap();
    assert_eq!(until(&sandbox, "log", |seen| !seen.is_empty()).trim(), "1000001");
}

#[test]
fn a_failing_program_is_tried_again_and_the_position_stays() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &text());
    put(&woof, &["good", "bad", "late"]);
    let run = |retries: &str| {
        let script = "read x; echo $x >> log; test $x != bad || test -e mended";
        sandbox.run(
            "wrun",
            &["--on", "farm/temp", "--from", "1", "--count", "3", "--retries", retries, "sh", "-c", script],
            b"",
        )
    };
    let ran = run("2");
    assert_eq!(ran.status, 1);
    assert_eq!(
        ran.stderr,
        "wrun: farm/temp: element 2: sh: exit status 1; trying again in 100ms\n\
         wrun: farm/temp: element 2: sh: exit status 1; trying again in 200ms\n"
    );
    assert_eq!(
        sandbox.run("wcat", &[], &ran.stdout).stderr,
        "wrun: farm/temp: element 2: sh: exit status 1, tried 3 times; the next run begins with it\n"
    );
    assert_eq!(fs::read_to_string(sandbox.dir().join("log")).unwrap(), "good\nbad\nbad\nbad\n");
    assert_eq!(done(&sandbox, "temp-sh"), "1");
    fs::write(sandbox.dir().join("mended"), "").unwrap();
    let args = ["--on", "farm/temp", "--count", "2", "cat"];
    assert_eq!(
        sandbox.run("wrun", &[&["-u", "--keep", "temp-sh"], &args[..]].concat(), b"").done(),
        "bad\nlate\n"
    );
}

#[test]
fn a_position_is_used_by_one_at_a_time_and_a_bad_one_is_named() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &text());
    let first = follow(&sandbox, &["--on", "farm/temp", "sh", "-c", "cat >> log"]);
    put(&woof, &["one"]);
    // The position begins at the start of the process: the element may have come before it.
    put(&woof, &["two"]);
    woof_kit::until("the program runs", || {
        put(&woof, &["more"]);
        sandbox.dir().join("log").exists()
    });
    let second = sandbox.run("wrun", &["-u", "--on", "farm/temp", "sh", "-c", "true"], b"");
    assert_eq!(
        (second.status, second.stderr.as_str()),
        (2, "wrun: farm/temp: position temp-sh is in use by another program (--keep names another one)\n")
    );
    signal(&first, "INT");
    assert_eq!(end(first).status, 130);
    let path = sandbox.dir().join("farm/.woof/positions/temp-sh");
    for (content, what) in
        [("", "empty"), ("woofstream position 1\nwoof \"te", "damaged"), ("17\n", "damaged")]
    {
        fs::write(&path, content).unwrap();
        let ran = sandbox.run("wrun", &["-u", "--on", "farm/temp", "sh", "-c", "true"], b"");
        let told =
            format!("wrun: farm/.woof/positions/temp-sh: position file is {what}: remove it to begin anew\n");
        assert_eq!((ran.status, ran.stderr), (2, told));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn elements_that_were_overwritten_are_told_and_passed_over() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &Options { history: 4, element_size: Some(16), ..text() });
    put(&woof, &["1", "2", "3", "4", "5", "6", "7"]);
    let ran = sandbox.run("wrun", &["-u", "--on", "farm/temp", "--from", "1", "-n", "4", "cat"], b"");
    assert_eq!(ran.text(), "4\n5\n6\n7\n");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (1, "wrun: farm/temp: elements 1 to 3 are gone: overwritten before cat was run\n")
    );
}

#[test]
fn a_woof_that_goes_away_or_is_made_anew_is_told() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &text());
    put(&woof, &["one"]);
    let path = sandbox.dir().join("farm/temp");
    let child = follow(&sandbox, &["-u", "--on", "farm/temp", "--from", "1", "sh", "-c", "cat >> log"]);
    until(&sandbox, "log", |seen| seen == "one\n");
    log::remove(&path).unwrap();
    let ran = end(child);
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wrun: farm/temp: woof was removed after element 1\n"));
    log::create(&path, &text()).unwrap();
    put(&log::open(&path).unwrap(), &["anew"]);
    let ran = sandbox.run("wrun", &["-u", "--on", "farm/temp", "--keep", "temp-sh", "-n", "1", "cat"], b"");
    assert_eq!(
        (ran.text(), ran.stderr.as_str()),
        ("anew\n", "wrun: farm/temp: woof was made anew since: beginning with its first element\n")
    );
    let ran = sandbox.run("wrun", &["--on", "nosuch", "cat"], b"");
    assert_eq!(ran.status, 2);
}

#[test]
fn a_signal_ends_it_between_two_elements() {
    let sandbox = Sandbox::new();
    let woof = farm(&sandbox, &text());
    put(&woof, &["one", "two"]);
    let script = "cat >> started; until test -e go; do sleep 0.01; done; echo $WOOF_SEQNO >> ended";
    let child = follow(&sandbox, &["-u", "--on", "farm/temp", "--from", "1", "sh", "-c", script]);
    until(&sandbox, "started", |seen| seen == "one\n");
    signal(&child, "TERM");
    fs::File::create(sandbox.dir().join("go")).unwrap().write_all(b"go").unwrap();
    assert_eq!(end(child).done(), "");
    assert_eq!(fs::read_to_string(sandbox.dir().join("ended")).unwrap(), "1\n");
    assert_eq!(done(&sandbox, "temp-sh"), "1");
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    let sandbox = Sandbox::new();
    for args in [
        &[][..],
        &["-n", "3", "cat"],
        &["--keep", "x", "cat"],
        &["-e", "--on", "w", "cat"],
        &["--on", "w", "--from", "0", "cat"],
    ] {
        assert_eq!(sandbox.run("wrun", args, b"").status, 2, "{args:?}");
    }
}
