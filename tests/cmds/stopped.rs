//! What a reader sees of a command that was told to end, or was killed: a stream that is cut, whenever it came.

use crate::server::until;
use crate::support::{Ran, Sandbox, finish};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use woofcmds::support::command::Verb;

/// Signals that end a program which does nothing about them, and the one that does it in any case.
const SIGNALS: [Signal; 15] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TRAP,
    Signal::ABORT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::XCPU,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::SYS,
    Signal::KILL,
];

/// Signals that a command may pass over, since what they are about is an error of a write to it.
const PASSED_OVER: [Signal; 2] = [Signal::PIPE, Signal::XFSZ];

/// A command that is in the middle of its work, or waits before it began.
struct Case {
    command: &'static str,
    args: Vec<String>,
    /// What it gets at its standard input, which stays open; it answers that.
    input: &'static str,
    /// It answers its input.
    answers: bool,
}

/// A sandbox where all of them can work, and a server that never answers.
fn ready() -> (Sandbox, TcpListener) {
    let sandbox = Sandbox::new();
    sandbox
        .sh("{ wcreate -p ns/w; wput ns/w 1 2; wcreate -p ns/big; seq 60000 | wput ns/big; } > /dev/null")
        .done();
    let waits = sandbox.dir().join("ns/handlers/waits");
    std::fs::create_dir_all(waits.parent().unwrap()).unwrap();
    std::fs::write(&waits, "#!/bin/sh\nexec cat\n").unwrap();
    std::fs::set_permissions(&waits, std::fs::Permissions::from_mode(0o755)).unwrap();
    (sandbox, TcpListener::bind("127.0.0.1:0").unwrap())
}

fn cases(silent: &TcpListener) -> Vec<Case> {
    let silent = format!("woof://{}/ns", silent.local_addr().unwrap());
    let case = |command, line: &str, input, answers| Case {
        command,
        args: line.split_whitespace().map(|arg| arg.replace("SILENT", &silent)).collect(),
        input,
        answers,
    };
    let mut cases = vec![
        case("wcat", "--framed", "one\n", true),
        case("wcat", "--framed SILENT/w", "", false),
        case("wcat", "--from json", "{\"type\":\"bytes\",\"data\":\"one\"}\n", true),
        case("wfilter", "true", "one\n", true),
        case("wfilter", "true", "", false),
        case("wfind", "--get ns", "", false),
        case("wfind", "SILENT", "", false),
        case("wget", "ns/big ..", "", false),
        case("wget", "SILENT/w ..", "", false),
        case("whead", "-n 100", "one\n", true),
        case("whead", "-n -1", "one\ntwo\n", true),
        case("wmerge", "-", "one\n", true),
        case("wmerge", "SILENT/w SILENT/v", "", false),
        case("wput", "ns/w", "3\n", true),
        case("wput", "SILENT/w 3", "", false),
        case("wrun", "cat", "one\n", true),
        case("wrun", "cat", "", false),
        case("wrun", "-e cat", "one\n", true),
        case("wrun", "--on ns/w cat", "", false),
        case("wrun", "--on ns/w --keep NEW --from 1 cat", "", true),
        case("wrun", "--on SILENT/w cat", "", false),
        case("wrun", "--at ns waits", "one\n", true),
        case("wrun", "--at ns waits", "", false),
        case("wrun", "--at ns -e waits", "one\n", true),
        case("wrun", "--at SILENT waits", "", false),
        case("wsplit", "", "one\n", true),
        case("wtail", "ns/w", "", false),
        case("wtail", "ns/w -n 1", "", true),
        case("wtail", "ns/w ns/big", "", false),
        case("wtail", "--keep NEW --from 1 ns/w", "", true),
        case("wtail", "SILENT/w", "", false),
        case("wtee", "copy", "one\n", true),
    ];
    // More than a pipe holds, so that nobody is done before it was read.
    cases.push(Case { command: "wecho", args: vec!["x".repeat(100_000); 2], input: "", answers: false });
    cases
}

/// Starts it, and waits until it is in the middle of its work: gives what it wrote by then.
fn start(sandbox: &Sandbox, case: &Case) -> (Child, Vec<u8>) {
    // A position is a new one each time.
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let mut command = sandbox.command(case.command);
    command.env("WOOF_INSECURE", "1");
    command.args(case.args.iter().map(|arg| if arg == "NEW" { format!("p{number}") } else { arg.clone() }));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(case.input.as_bytes()).unwrap();
    // The preamble, and the header of what it answers.
    let mut came = vec![0; if case.answers { 16 } else { 8 }];
    let told = child.stdout.as_mut().unwrap().read_exact(&mut came);
    assert!(told.is_ok(), "{} {:?}: {told:?}", case.command, case.args);
    (child, came)
}

/// Waits for its end: gives all that it wrote, and its status.
fn ended(mut child: Child, mut came: Vec<u8>) -> (Vec<u8>, i32) {
    child.stdout.take().unwrap().read_to_end(&mut came).unwrap();
    let status = woof_kit::wait(&mut child);
    (came, status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// What a command that reads the stream says of its end.
#[track_caller]
fn assert_is_cut(sandbox: &Sandbox, stream: &[u8], what: &str) {
    let ran = finish(sandbox.command("wcount").arg("-a"), stream);
    assert_eq!((ran.status, ran.text()), (2, ""), "{what}: {}", ran.stderr);
    assert!(ran.stderr.contains("stream cut after"), "{what}: {}", ran.stderr);
}

#[test]
fn every_command_that_writes_a_stream_is_tried() {
    let (_sandbox, silent) = ready();
    let cases = cases(&silent);
    for command in woofcmds::COMMANDS {
        let is_tried = cases.iter().any(|case| case.command == command.name);
        match command.verb {
            Verb::Stream(_) | Verb::Report(_) => assert!(is_tried, "{}", command.name),
            // Text is what they show; of these wcat alone may be asked for a stream.
            Verb::Plain(_) | Verb::Show(_) => {
                assert_eq!(is_tried, command.name == "wcat", "{}", command.name)
            }
        }
    }
}

#[test]
fn one_that_is_told_to_end_leaves_a_stream_that_is_cut() {
    let (sandbox, silent) = ready();
    for case in cases(&silent) {
        for signal in SIGNALS {
            let what = format!(
                "{} {:?} {signal:?}",
                case.command,
                case.args.iter().map(|arg| arg.get(..30).unwrap_or(arg)).collect::<Vec<_>>()
            );
            let (child, came) = start(&sandbox, &case);
            rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
            let (stream, status) = ended(child, came);
            // A program that is run for elements ends between two of them, as its user asked.
            let asked =
                case.args.iter().any(|arg| arg == "--on") && matches!(signal, Signal::TERM | Signal::HUP);
            // As long as there is no element to be at work on, it ends as all others do.
            assert!(status == 128 + signal.as_raw() || (asked && status == 0), "{what}: {status}");
            assert_is_cut(&sandbox, &stream, &what);
        }
    }
}

#[test]
fn one_that_passes_over_a_signal_is_still_told_to_end_by_the_next() {
    let (sandbox, silent) = ready();
    for case in cases(&silent) {
        for signal in PASSED_OVER {
            let what = format!("{} {signal:?}", case.command);
            let (child, came) = start(&sandbox, &case);
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, signal).unwrap();
            rustix::process::kill_process(pid, Signal::QUIT).unwrap();
            let (stream, status) = ended(child, came);
            assert!(
                [signal, Signal::QUIT].map(|signal| 128 + signal.as_raw()).contains(&status),
                "{what}: {status}"
            );
            assert_is_cut(&sandbox, &stream, &what);
        }
    }
}

#[test]
fn copies_and_named_channels_are_cut_too() {
    let (sandbox, _silent) = ready();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
        let script = "exec 5> left; WOOF_CHANNELS='in=<0,out=>1,left=>5' exec wtee @left copy";
        let mut command = sandbox.command("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut came = vec![0; 8];
        child.stdout.as_mut().unwrap().read_exact(&mut came).unwrap();
        let read = |name: &str| std::fs::read(sandbox.dir().join(name)).unwrap_or_default();
        // Before anything came to be copied.
        until("the copies began", || read("left").len() == 8 && read("copy").len() == 8);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let (stream, _) = ended(child, came);
        for stream in [stream, read("left"), read("copy")] {
            assert_is_cut(&sandbox, &stream, &format!("{signal:?}"));
        }
        let mut command = sandbox.command("sh");
        command.args(["-c", "WOOF_CHANNELS='in=<0,left=>1' exec wrun --at ns -o left waits"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut came = vec![0; 8];
        child.stdout.as_mut().unwrap().read_exact(&mut came).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let (stream, _) = ended(child, came);
        assert_is_cut(&sandbox, &stream, &format!("-o left {signal:?}"));
    }
}

#[test]
fn nothing_is_made_of_what_a_killed_command_sent() {
    let (sandbox, silent) = ready();
    let silent = format!("woof://{}/ns", silent.local_addr().unwrap());
    for (producer, status) in [
        ("timeout 1 wrun --at ns waits < open".to_owned(), "124 2"),
        ("timeout -s INT 1 wrun --at ns waits < open".to_owned(), "124 2"),
        ("timeout -s HUP 1 wrun --at ns -e waits < open".to_owned(), "124 2"),
        ("timeout 1 wrun --on ns/w cat".to_owned(), "124 2"),
        ("timeout 1 wrun sh -c 'exec sleep 3' < /dev/null".to_owned(), "124 2"),
        (format!("WOOF_INSECURE=1 timeout 1 wget {silent}/w .."), "124 2"),
        (format!("WOOF_INSECURE=1 timeout 1 wtail {silent}/w"), "124 2"),
        ("timeout 1 wtail ns/w".to_owned(), "124 2"),
    ] {
        let script = format!(
            "mkfifo open 2>/dev/null; exec 5<> open; {producer} 2>/dev/null | wput --create ns/res > /dev/null; echo ${{PIPESTATUS[*]}}; test ! -e ns/res"
        );
        let ran = sandbox.bash(&script);
        assert_eq!((ran.status, ran.text()), (0, &*format!("{status}\n")), "{producer}: {}", ran.stderr);
    }
}

#[test]
fn what_ends_by_itself_ends_well() {
    let (sandbox, _silent) = ready();
    for (producer, count) in [
        ("wtail ns/w --from 1 --count 2", "2"),
        ("wtail ns/w --from 1 --no-follow", "2"),
        ("wget ns/w ..", "2"),
        ("wget ns/w .. | whead -n 1", "1"),
        ("wrun --on ns/w --keep two --from 1 --count 2 cat", "2"),
        ("wecho", "0"),
        ("wfilter true < /dev/null", "0"),
        ("printf ''", "0"),
    ] {
        assert_eq!(sandbox.sh(&format!("{producer} | wcount")).done(), format!("{count}\n"), "{producer}");
    }
    let ran = sandbox.bash("wtail ns/w --from 1 | whead -n 1 | wcount; echo ${PIPESTATUS[*]}");
    assert_eq!(ran.done(), "1\n0 0 0\n");
}

#[test]
fn one_that_fails_at_once_says_so_at_the_end_of_its_stream() {
    let (sandbox, _silent) = ready();
    let ran = sandbox
        .bash("wget ns/none | wput --create ns/res > /dev/null; echo ${PIPESTATUS[*]}; test ! -e ns/res");
    assert_eq!((ran.status, ran.text()), (0, "2 2\n"));
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("wget: ns/none: "), "{}", ran.stderr);
}

fn lines(sandbox: &Sandbox, script: &str) -> Ran {
    sandbox.bash(&format!("{script}; echo ${{PIPESTATUS[*]}}"))
}

#[test]
fn json_lines_have_an_end_for_those_who_ask_for_one() {
    let (sandbox, silent) = ready();
    let plain = sandbox.sh("wget ns/w .. --json").done().to_owned();
    assert_eq!(plain.lines().count(), 2);
    let ended = sandbox.sh("wget ns/w .. --json --end").done().to_owned();
    assert_eq!(ended, format!("{plain}{{\"type\":\"end\",\"status\":\"ok\"}}\n"));
    // Whole with its end, with or without being asked for.
    for flag in ["", "--strict"] {
        assert_eq!(
            lines(&sandbox, &format!("wget ns/w .. --json --end | wcat --from json {flag} | wcount")).done(),
            "2\n0 0 0\n"
        );
    }
    assert_eq!(lines(&sandbox, "wget ns/w .. --json | wcat --from json | wcount").done(), "2\n0 0 0\n");
    // Cut, wherever it is cut.
    let cut = "in: JSON lines cut after line";
    for (producer, line) in [
        ("wget ns/w .. --json", 2),
        ("wget ns/w .. --json --end | head -n 1", 1),
        ("wget ns/w .. --json --end | head -n 0", 0),
        ("{ wget ns/w .. --json --end; wget ns/w --json; }", 4),
    ] {
        let ran = sandbox.bash(&format!("{producer} | wcat --from json --strict | wcount"));
        assert_eq!((ran.status, ran.text()), (2, ""), "{producer}");
        assert_eq!(ran.stderr, format!("wcat: {cut} {line}: the line that says how they ended is missing\n"));
    }
    let silent = format!("woof://{}/ns", silent.local_addr().unwrap());
    for producer in [
        "timeout 1 wtail ns/w",
        &*format!("WOOF_INSECURE=1 timeout 1 wget {silent}/w"),
        "timeout 1 wrun --on ns/w cat",
    ] {
        let ran = sandbox.bash(&format!("{producer} --json --end | wcat --from json --strict | wcount"));
        assert_eq!((ran.status, ran.text()), (2, ""), "{producer}");
    }
    // How it ended is said by the line.
    let ran = sandbox.sh("wget ns/none --json --end 2> told");
    let fault = "\"code\":\"not-found\",\"origin\":\"wget\",\"object\":\"ns/none\",\"text\":\"no such woof\"";
    assert_eq!(
        (ran.status, ran.text()),
        (2, &*format!("{{\"type\":\"end\",\"status\":\"error\",{fault}}}\n"))
    );
    let ran =
        sandbox.sh("wget ns/none --json --end 2> told | wcat --from json | wput --create ns/res > /dev/null");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: ns/none: no such woof\n"));
    assert!(!sandbox.dir().join("ns/res").exists());
    // Several, one after another; and who asks for an end where there is none of this kind.
    let ran = sandbox
        .sh("{ wget ns/w --json --end; wget ns/w --json --end; } | wcat --from json --strict | wcount");
    assert_eq!(ran.done(), "2\n");
    assert_eq!(
        sandbox.sh("wget ns/w | wtee --as json --end copy | wcount; tail -n 1 copy").done(),
        "1\n{\"type\":\"end\",\"status\":\"ok\"}\n"
    );
    let ran = sandbox.sh("wget ns/w --end");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "wget: --end: only JSON lines have an end of this kind (--json)\n")
    );
    assert_eq!(sandbox.sh("wcat --strict < /dev/null").status, 2);
}
