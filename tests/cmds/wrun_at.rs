//! `wrun --at`: handlers on demand, on this machine, over a Unix socket and over TLS.

use crate::server::{Process, Serving, local, ready, until};
use crate::support::Sandbox;
use rustix::process::Signal;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Stdio;

/// Makes a handler of a shell script in `srv/farm`.
fn handler(sandbox: &Sandbox, name: &str, script: &str) {
    let dir = sandbox.dir().join("srv/farm/handlers");
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A server on a Unix socket and with TLS, whose namespace `farm` has a handler that doubles numbers.
fn serving(sandbox: &Sandbox, args: &[&str]) -> Serving {
    handler(sandbox, "double.sh", "while read n; do echo $((n * 2)); done");
    Serving::start(sandbox, &[&["--listen", "127.0.0.1:0"], args].concat())
}

/// The namespace `farm` over TLS, over the Unix socket, and as a directory.
fn ways(sandbox: &Sandbox, serving: &Serving) -> [String; 3] {
    [serving.name("farm"), local(sandbox, "farm"), "srv/farm".to_owned()]
}

/// Whether a process is there and no zombie.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits for what a handler wrote into a file of the namespace.
fn wrote(sandbox: &Sandbox, file: &str) -> String {
    let path: PathBuf = sandbox.dir().join("srv/farm").join(file);
    until("the handler wrote", || fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
    fs::read_to_string(path).unwrap()
}

#[test]
fn lines_go_there_and_come_back_in_order_wherever_the_namespace_is() {
    let sandbox = ready();
    let serving = serving(&sandbox, &[]);
    let expected: String = (1..=20_000).map(|number| format!("{}\n", number * 2)).collect();
    for at in ways(&sandbox, &serving) {
        let ran = sandbox.sh(&format!("seq 20000 | wrun --at {at} double.sh | wcat"));
        assert_eq!(ran.done(), expected, "{at}");
    }
    let ran = sandbox.sh(&format!(
        "wns add there {} && seq 2 | wrun --at there -- double.sh | wcat",
        serving.name("farm")
    ));
    assert_eq!(ran.done(), "2\n4\n");
    let log = serving.stop();
    assert_eq!(log.matches(" done trigger=run-").count(), 3, "{log}");
}

#[test]
fn messages_go_past_it_and_a_stream_that_it_writes_is_passed_on() {
    let sandbox = ready();
    handler(&sandbox, "stream.sh", "cat > /dev/null; wecho --json one | wcat --from json; echo gone >&2");
    let serving = serving(&sandbox, &[]);
    for at in ways(&sandbox, &serving) {
        let ran = sandbox.sh(&format!(
            "{{ wecho 7; wecho --mark here; wecho 8; }} | wrun --json --marks --at {at} double.sh"
        ));
        let mark = "{\"type\":\"mark\",\"name\":\"here\"}\n";
        let (four, six) =
            ("{\"type\":\"bytes\",\"data\":\"14\\n\"}\n", "{\"type\":\"bytes\",\"data\":\"16\\n\"}\n");
        let text = ran.done();
        assert!(text.contains(mark) && text.replace(mark, "") == [four, six].concat(), "{text}");
        let ran = sandbox.sh(&format!("wrun --json --at {at} stream.sh < /dev/null"));
        assert_eq!(
            (ran.status, ran.text(), ran.stderr.as_str()),
            (0, "{\"type\":\"bytes\",\"data\":\"one\\n\"}\n", "gone\n"),
            "{at}"
        );
    }
}

#[test]
fn a_handler_finds_its_arguments_who_asked_and_nothing_of_ours() {
    let sandbox = ready();
    handler(
        &sandbox,
        "say.sh",
        "printf '<%s>' \"$@\"; echo; pwd; env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^WOOF_DEPTH_SEAL=' | sort",
    );
    let serving = serving(&sandbox, &[]);
    let user = sandbox.sh("id -un").done().trim().to_owned();
    let farm = sandbox.dir().canonicalize().unwrap().join("srv/farm");
    for at in ways(&sandbox, &serving) {
        let ran =
            sandbox.sh(&format!("OURS=1 WOOF_DEPTH=2 wrun -u --at {at} say.sh -n 'a b' '' < /dev/null"));
        let text = ran.done().replace(&sandbox.sh("printf %s \"$PATH\"").text().to_owned(), "P");
        let (before, trigger) = text.split_once("WOOF_TRIGGER=run-").unwrap();
        assert_eq!(
            before,
            format!(
                "<-n><a b><>\n{farm}\nPATH=P\nWOOF_CAUSE=asked by {user}\nWOOF_DEPTH=3\nWOOF_NAMESPACE={farm}\n",
                farm = farm.display()
            ),
            "{at}"
        );
        assert!(trigger.ends_with(&format!("\nWOOF_USER={user}\n")), "{trigger}");
        let ran = sandbox.sh(&format!("WOOF_DEPTH=15 wrun -u --at {at} say.sh < /dev/null"));
        assert_eq!(ran.status, 2);
        assert!(ran.stderr.contains("asked for by handlers of handlers 15 deep"), "{}", ran.stderr);
    }
}

/// The most memory that a process has had, in kB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_hundred_megabytes_go_both_ways_at_once_and_little_is_held() {
    let sandbox = ready();
    handler(&sandbox, "cat.sh", "exec cat");
    let serving = serving(&sandbox, &[]);
    for at in [serving.name("farm"), local(&sandbox, "farm")] {
        let mut command = sandbox.command("wrun");
        command
            .args(["-u", "--split", "65536", "--at", &at, "cat.sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut run = Process::start(&mut command);
        let mut feed = run.0.stdin.take().unwrap();
        let mut out = run.0.stdout.take().unwrap();
        let block = |number: u32| number.to_le_bytes().repeat(1 << 18);
        let feeder = std::thread::spawn(move || {
            (0..100).for_each(|number| feed.write_all(&block(number)).unwrap());
            feed
        });
        let mut came = vec![0; 1 << 20];
        for number in 0..100 {
            out.read_exact(&mut came).unwrap();
            assert!(came == block(number), "block {number}");
        }
        let (ours, theirs) = (peak(run.0.id()), peak(serving.pid()));
        assert!(ours < 80_000 && theirs < 80_000, "{ours} kB and {theirs} kB");
        drop(feeder.join().unwrap());
        assert_eq!(out.read(&mut came).unwrap(), 0);
        assert!(woof_kit::wait(&mut run.0).success());
    }
    serving.stop();
}

#[test]
fn how_a_handler_fails_is_said_by_name() {
    let sandbox = ready();
    for (name, script) in [("three.sh", "cat; exit 3"), ("killed.sh", "kill -9 $$"), ("plain.sh", "true")] {
        handler(&sandbox, name, script);
    }
    let serving = serving(&sandbox, &[]);
    let handlers = sandbox.dir().join("srv/farm/handlers");
    fs::set_permissions(handlers.join("plain.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(handlers.join("dir")).unwrap();
    symlink("/bin/true", handlers.join("out")).unwrap();
    for at in ways(&sandbox, &serving) {
        for (program, status, said) in [
            ("three.sh", 3, "three.sh: exit status 3".to_owned()),
            ("killed.sh", 137, "killed.sh: killed by signal 9".to_owned()),
            ("none.sh", 2, format!("{at}: none.sh: no such handler: there is no handlers/none.sh")),
            ("dir", 2, format!("{at}: dir: handlers/dir is a directory")),
            ("plain.sh", 2, format!("{at}: plain.sh: handlers/plain.sh is not executable")),
            ("out", 2, format!("{at}: out: handlers/out leads out of the directory handlers")),
            ("../three.sh", 2, format!("{at}: ../three.sh: a handler is a file in the directory handlers")),
        ] {
            let ran = sandbox.sh(&format!("echo before | wrun -u --at {at} {program}"));
            let said = format!("wrun: {said}");
            assert!(ran.stderr.starts_with(&said), "{} and not {said}", ran.stderr);
            assert_eq!(
                (ran.status, ran.text()),
                (status, if status == 3 { "before\n" } else { "" }),
                "{said}"
            );
        }
        let below = format!("{at}/handlers");
        let ran = sandbox.sh(&format!("wrun -u --at {below} double.sh < /dev/null"));
        assert_eq!((ran.status, ran.stderr), (2, format!("wrun: {below}: is no namespace\n")));
    }
    let many = "x ".repeat(1025);
    let ran = sandbox.sh(&format!("wrun -u --at {} double.sh {many} < /dev/null", serving.name("farm")));
    assert!(ran.stderr.ends_with(": 1025 arguments, the limit is 1024\n"), "{}", ran.stderr);
}

#[test]
fn without_the_right_trigger_nothing_runs() {
    let sandbox = ready();
    handler(&sandbox, "touch.sh", "touch ran; cat");
    let serving = serving(&sandbox, &[]);
    sandbox.sh("wkey add mallory && wattr srv/farm grant user mallory read put create remove admin").done();
    let at = serving.name("farm");
    let run = format!("echo 1 | WOOF_IDENTITY=mallory wrun -u --at {at} touch.sh");
    let ran = sandbox.sh(&run);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.starts_with(&format!("wrun: {at}: ")) && ran.stderr.contains("trigger"),
        "{}",
        ran.stderr
    );
    assert!(!sandbox.dir().join("srv/farm/ran").exists());
    sandbox.sh("wattr srv/farm grant user mallory trigger").done();
    assert_eq!(sandbox.sh(&run).done(), "1\n");
    serving.logs("name=farm user=mallory");
}

#[test]
fn one_that_reads_nothing_or_stops_reading_ends_well() {
    let sandbox = ready();
    handler(&sandbox, "nothing.sh", "echo done");
    handler(&sandbox, "some.sh", "head -c 3; exec <&-; echo; seq 100000");
    let serving = serving(&sandbox, &[]);
    for at in ways(&sandbox, &serving) {
        assert_eq!(sandbox.sh(&format!("yes | wrun -u --at {at} nothing.sh")).done(), "done\n", "{at}");
        let ran = sandbox.sh(&format!("yes | wrun -u --at {at} some.sh | tail -n 1"));
        assert_eq!(ran.done(), "100000\n", "{at}");
    }
}

#[test]
fn one_that_leaves_somebody_with_its_pipes_is_not_waited_for() {
    let sandbox = ready();
    handler(&sandbox, "leaves.sh", "setsid sleep 1000 & echo $! > left; echo done");
    let serving = serving(&sandbox, &[]);
    for at in ways(&sandbox, &serving) {
        assert_eq!(sandbox.sh(&format!("wrun -u --at {at} leaves.sh < /dev/null")).done(), "done\n", "{at}");
        let left = wrote(&sandbox, "left");
        woof_kit::works("kill", &["-9", left.trim()]);
    }
}

#[test]
fn whoever_goes_takes_the_handler_along() {
    let sandbox = ready();
    handler(&sandbox, "never.sh", "sleep 1000 & echo $! > left; echo $$ >> pids; wait");
    let serving = serving(&sandbox, &[]);
    for (at, signal) in ways(&sandbox, &serving)
        .iter()
        .flat_map(|at| [Signal::KILL, Signal::INT, Signal::TERM].map(|signal| (at.clone(), signal)))
    {
        if signal == Signal::KILL && !at.starts_with("woof://") {
            // There is nobody left to do it.
            continue;
        }
        let farm = sandbox.dir().join("srv/farm");
        let _ = fs::remove_file(farm.join("pids"));
        let mut command = sandbox.command("wrun");
        command.args(["--at", &at, "never.sh"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut run = Process::start(&mut command);
        let pids = [wrote(&sandbox, "pids"), wrote(&sandbox, "left")];
        assert!(pids.iter().all(|pid| is_alive(pid)));
        run.signal(signal);
        let status = woof_kit::wait(&mut run.0);
        if signal != Signal::KILL {
            assert_eq!(status.code(), Some(128 + signal.as_raw()), "{at}");
        }
        until("the handler and its child are gone", || !pids.iter().any(|pid| is_alive(pid)));
    }
    serving.logs("nobody waits for it any more: killed");
    // And who only closes its output.
    let ran = sandbox.bash(&format!(
        "rm -f srv/farm/pids; yes 0 | wrun -u --at {} double.sh | head -n 1",
        serving.name("farm")
    ));
    assert_eq!(ran.done(), "0\n");
}

#[test]
fn a_server_that_stops_waits_for_it_and_then_kills_it_and_says_so() {
    let sandbox = ready();
    handler(&sandbox, "waits.sh", "echo $$ > pid; cat");
    let serving = serving(&sandbox, &["--stop-timeout", "20s"]);
    // One that is done in time is done whole.
    let at = serving.name("farm");
    let mut first = sandbox.command("wrun");
    first
        .args(["-u", "--at", &at, "waits.sh"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut first = first.spawn().unwrap();
    let pid = wrote(&sandbox, "pid");
    fs::remove_file(sandbox.dir().join("srv/farm/pid")).unwrap();
    let mut second = sandbox.command("wrun");
    second
        .args(["-u", "--at", &at, "waits.sh"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut second = second.spawn().unwrap();
    let late = wrote(&sandbox, "pid");
    serving.process.signal(Signal::TERM);
    serving.logs("stopping");
    first.stdin.take().unwrap().write_all(b"in time\n").unwrap();
    let first = woof_kit::ended(first);
    assert_eq!((first.status.code(), &first.stdout[..]), (Some(0), &b"in time\n"[..]), "{first:?}");
    assert!(is_alive(&late) && !is_alive(&pid));
    let held = second.stdin.take();
    let second = woof_kit::ended(second);
    drop(held);
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8(second.stderr).unwrap();
    let expected = "the server stops, and the handler was not done 20 s later: killed (--stop-timeout)\n";
    assert_eq!(said, format!("wrun: {at}: {expected}"));
    let (status, log) = serving.wait();
    assert!(status.success() && log.contains("handler=waits.sh"), "{log}");
    assert!(!is_alive(&late));
}

#[test]
fn what_a_killed_server_left_is_killed_when_the_next_one_starts() {
    let sandbox = ready();
    handler(&sandbox, "never.sh", "echo $$ > pid; trap '' HUP PIPE; sleep 1000");
    let serving = serving(&sandbox, &[]);
    let mut command = sandbox.command("wrun");
    command
        .args(["--at", &serving.name("farm"), "never.sh"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    let pid = wrote(&sandbox, "pid");
    // One that somebody else runs here is left alone.
    fs::remove_file(sandbox.dir().join("srv/farm/pid")).unwrap();
    let mut command = sandbox.command("wrun");
    command.args(["--at", "srv/farm", "never.sh"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let here = Process::start(&mut command);
    let own = wrote(&sandbox, "pid");
    let shown = serving.name("");
    serving.kill();
    // Nor does a dispatcher take it for what a trigger left.
    sandbox.sh("wcreate srv/farm/temp && wbind srv/farm/temp never.sh").done();
    let ran = woof_kit::ended(run);
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(said.starts_with(&format!("wrun: {}: ", shown.trim_end_matches('/'))), "{said}");
    assert!(said.ends_with("; never.sh is not run again, how far it came is not known\n"), "{said}");
    assert!(is_alive(&pid));
    let next = Serving::start(&sandbox, &[]);
    next.logs("killed handlers on demand that an earlier server left running");
    until("it is gone", || !is_alive(&pid));
    assert!(is_alive(&own));
    here.signal(Signal::TERM);
    until("the other is gone too", || !is_alive(&own));
}

#[test]
fn so_many_run_at_once_and_no_more() {
    let sandbox = ready();
    handler(&sandbox, "waits.sh", "echo $$ > pid; cat");
    let serving = serving(&sandbox, &["--max-runs-of-user", "1"]);
    let at = serving.name("farm");
    let mut command = sandbox.command("wrun");
    command.args(["--at", &at, "waits.sh"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut run = Process::start(&mut command);
    let pid = wrote(&sandbox, "pid");
    let ran = sandbox.sh(&format!("echo 1 | wrun -u --at {at} double.sh"));
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.ends_with("the limit of this server (--max-runs-of-user)\n"), "{}", ran.stderr);
    drop(run.0.stdin.take());
    assert!(woof_kit::wait(&mut run.0).success());
    until("it is gone", || !is_alive(&pid));
    assert_eq!(sandbox.sh(&format!("echo 4 | wrun -u --at {at} double.sh")).done(), "8\n");
}

#[test]
fn it_is_run_for_each_message_and_for_each_element() {
    let sandbox = ready();
    handler(&sandbox, "each.sh", "read n; echo \"$WOOF_SEQNO: $n\"; [ \"$n\" != 2 ]");
    handler(
        &sandbox,
        "once.sh",
        "read n; echo \"$n\" >> seen; [ -e again ] || { touch again; exit 1; }; echo \"$WOOF_NAME $WOOF_SEQNO $n\"",
    );
    let serving = serving(&sandbox, &[]);
    sandbox.sh("wcreate srv/farm/temp --type i64; seq 3 | wput srv/farm/temp > acks").done();
    for (number, at) in ways(&sandbox, &serving).iter().enumerate() {
        let ran = sandbox
            .bash(&format!("wget srv/farm/temp .. | wrun -e --at {at} each.sh > out; echo $?; wcat out"));
        assert_eq!(ran.text(), "1\n1: 1\n2: 2\n3: 3\n", "{at}: {}", ran.stderr);
        assert!(ran.stderr.contains("srv/farm/temp: element 2: each.sh: exit status 1"), "{}", ran.stderr);
        let keep = format!("--keep k{number} --from 1 -n 2");
        for name in ["srv/farm/temp".to_owned(), serving.name("farm/temp")] {
            sandbox
                .sh("rm -f srv/farm/again srv/farm/seen srv/farm/.woof/positions/*; rm -rf .local state")
                .done();
            let ran = sandbox
                .sh(&format!("XDG_STATE_HOME=$PWD/state wrun -u --on {name} {keep} --at {at} once.sh"));
            assert_eq!((ran.status, ran.text()), (0, &*format!("{name} 1 1\n{name} 2 2\n")), "{at} {ran:?}");
            assert!(ran.stderr.contains("element 1: once.sh: exit status 1; trying again"), "{}", ran.stderr);
            assert_eq!(fs::read_to_string(sandbox.dir().join("srv/farm/seen")).unwrap(), "1\n1\n2\n");
        }
    }
}

#[test]
fn standard_error_comes_back_and_is_in_the_log_with_the_run() {
    let sandbox = ready();
    handler(&sandbox, "talks.sh", "echo first >&2; cat; echo 'second line' >&2");
    let serving = serving(&sandbox, &[]);
    let ran = sandbox.sh(&format!("echo data | wrun -u --at {} talks.sh", serving.name("farm")));
    assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (0, "data\n", "first\nsecond line\n"));
    let run = format!("trigger=run-{}-1 handler=talks.sh", serving.pid());
    serving.logs(&format!("second line {run}"));
    let log = serving.stop();
    assert!(log.contains(&format!("first {run}")), "{log}");
}

#[test]
fn a_client_that_does_not_read_stalls_itself_alone() {
    let sandbox = ready();
    handler(&sandbox, "yes.sh", "yes | head -c 104857600; touch finished");
    let serving = serving(&sandbox, &[]);
    let at = serving.name("farm");
    // Its output is a pipe that nobody reads.
    let mut command = sandbox.command("wrun");
    command.args(["-u", "--at", &at, "yes.sh"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let stalled = Process::start(&mut command);
    serving.logs("handler=yes.sh");
    assert_eq!(sandbox.sh(&format!("seq 3 | wrun -u --at {at} double.sh")).done(), "2\n4\n6\n");
    assert_eq!(
        sandbox.sh(&format!("seq 3 | wrun -u --at {} double.sh", local(&sandbox, "farm"))).done(),
        "2\n4\n6\n"
    );
    // Far longer than it takes where somebody takes it.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(!sandbox.dir().join("srv/farm/finished").exists());
    let (ours, theirs) = (peak(stalled.0.id()), peak(serving.pid()));
    assert!(ours < 80_000 && theirs < 80_000, "{ours} kB and {theirs} kB");
    drop(stalled);
    serving.logs("nobody waits for it any more: killed");
}
