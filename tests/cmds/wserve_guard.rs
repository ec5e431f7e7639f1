//! What a server does not let happen: a right that outlives itself, strangers that shut others out, and work for who has gone.

use crate::server::{Process, Serving, local, ready, tell, until};
use crate::support::Sandbox;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

/// The identity of bob, in the store `bob`.
fn bob(sandbox: &Sandbox) {
    sandbox.sh("wkey add bob && wkey export bob | wkey --keys bob import -").done();
}

fn as_bob(sandbox: &Sandbox, command: &str, args: &[&str], stdout: Stdio) -> Process {
    let mut command = sandbox.command(command);
    command.args(args).env("WOOF_KEYS", sandbox.dir().join("bob"));
    command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
    Process::start(&mut command)
}

fn said(process: &mut Process) -> String {
    let mut said = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_right_that_is_revoked_ends_an_open_tail_and_an_open_put_over_tls() {
    let sandbox = ready();
    bob(&sandbox);
    let serving = Serving::tls(&sandbox);
    let name = serving.name("farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    sandbox.run("wattr", &[&serving.name("farm"), "grant", "user", "bob", "read", "put"], b"").done();
    let mut tail = as_bob(&sandbox, "wtail", &[&name, "--from", "1", "-u"], Stdio::piped());
    let mut put = as_bob(&sandbox, "wput", &["-q", &name], Stdio::null());
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let mut feed = put.0.stdin.take().unwrap();
    feed.write_all(b"2\n").unwrap();
    feed.flush().unwrap();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "1\n2\n");
    sandbox.run("wattr", &[&serving.name("farm"), "revoke", "user", "bob"], b"").done();
    assert_eq!(woof_kit::wait(&mut tail.0).code(), Some(2));
    let told = said(&mut tail);
    assert!(told.contains("farm/temp: user bob has no right to read (rights: none)"), "{told}");
    // It may notice with the next element only.
    until("the put ends", || {
        let _ = feed.write_all(b"3\n").and_then(|()| feed.flush());
        put.0.try_wait().unwrap().is_some()
    });
    drop(feed);
    let told = said(&mut put);
    assert!(told.contains("farm/temp: user bob has no right to put (rights: none)"), "{told}");
    serving.logs("ended: a right was taken away");
    // What was acknowledged before is there.
    assert_eq!(sandbox.run("wget", &[&name, "1..2", "-u"], b"").done(), "1\n2\n");
    serving.stop();
}

#[test]
fn strangers_who_say_nothing_shut_nobody_out_and_fill_no_log() {
    let sandbox = ready();
    let serving = Serving::start(
        &sandbox,
        &[
            "--listen",
            "127.0.0.1:0",
            "--max-handshakes",
            "8",
            "--max-connections",
            "16",
            "--handshake-timeout",
            "5m",
        ],
    );
    let name = serving.name("farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(&serving.address).unwrap()).collect();
    for name in [&name, &local(&sandbox, "farm/temp")] {
        assert_eq!(sandbox.run("wget", &[name, "..", "-u"], b"").done(), "1\n");
    }
    serving.logs("gave way to a newer one: too many are under way (--max-handshakes)");
    // Those that are left are the newest.
    let mut last = silent.last().unwrap();
    last.set_nonblocking(true).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    let log = serving.stop();
    assert_eq!(log.matches("handshake failed from=").count(), 1, "{log}");
    let more = log
        .lines()
        .find(|line| line.contains("handshake failed, and more of it in the last minute"))
        .unwrap();
    let count = more.split("more=").nth(1).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!((100..=200).contains(&count), "{more}");
}

#[test]
fn with_few_descriptors_strangers_leave_some_to_users_of_this_machine() {
    let sandbox = ready();
    let script = "ulimit -n 100 && exec wserve srv --listen 127.0.0.1:0 --handshake-timeout 5m";
    let serving = Serving::of(sandbox.command("sh").args(["-c", script]));
    let name = local(&sandbox, "farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&serving.address).unwrap()).collect();
    for name in [&name, &serving.name("farm/temp")] {
        assert_eq!(sandbox.run("wget", &[name, "..", "-u"], b"").done(), "1\n");
    }
    drop(silent);
    serving.stop();
}

/// The processor time that a process has used, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_costly_predicate_is_told_by_name_and_ends_with_its_client() {
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &["--max-steps", "100000"]);
    let name = local(&sandbox, "farm/lists");
    let (small, large) = (format!("[{}1]", "0,".repeat(40)), format!("[{}1]", "0,".repeat(400)));
    tell(&sandbox, &["wcreate", &name, "--type", "json"], b"").done();
    tell(&sandbox, &["wput", &name, "[1]", &large, "[2]"], b"").done();
    let costly = "json.all(x, json.all(y, json.all(z, x + y + z < 9)))";
    let run = sandbox.run("wget", &[&name, "..", "-u", "--where", costly], b"");
    assert_eq!((run.status, &*run.stdout), (1, &b"[1]\n[2]\n"[..]), "{run:?}");
    let expected = "predicate: evaluation of element 2 took more than 100000 steps, the limit of this server (--max-steps)";
    assert!(run.stderr.contains(expected), "{run:?}");

    let many = format!("{small}\n").repeat(20_000);
    tell(&sandbox, &["wput", "-q", &name], many.as_bytes()).done();
    let mut command = sandbox.command("wget");
    command.args([&name, "4..", "-u", "--where", "json.all(x, json.all(y, x + y < 0)) || seqno < 0"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let client = Process::start(&mut command);
    let before = ticks(serving.pid());
    until("it is worked on", || ticks(serving.pid()) > before + 2);
    drop(client);
    // With nobody there it would be over after many seconds only, or never.
    let (mut last, mut same) = (ticks(serving.pid()), 0);
    until("the work ends", || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let now = ticks(serving.pid());
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same > 10
    });
    serving.stop();
}
