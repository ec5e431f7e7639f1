//! Servers that stop, are killed and come back, under puts and follows that go on: nothing is lost, nothing comes twice.

use crate::server::{Process, Serving, local, ready, tell, until};
use crate::support::Sandbox;
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdout, Stdio};

/// So many elements are put while the server is killed.
const COUNT: u64 = 300_000;

/// Starts the server again on the port that it had.
fn again(sandbox: &Sandbox, address: &str) -> Serving {
    Serving::start(sandbox, &["--listen", address])
}

/// The lines from 1 to `count`.
fn numbers(count: u64) -> String {
    use std::fmt::Write as _;
    (1..=count).fold(String::new(), |mut text, number| {
        writeln!(text, "{number}").unwrap();
        text
    })
}

/// A program whose output and errors are read.
fn start(sandbox: &Sandbox, args: &[&str]) -> Process {
    let mut command = sandbox.command(args[0]);
    // Nobody reads what a put reports, and then it reports nothing.
    let out = if args[0] == "wput" { Stdio::null() } else { Stdio::piped() };
    command.args(&args[1..]).stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped());
    Process::start(&mut command)
}

fn line(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_put_goes_on_after_its_server_was_killed_and_each_element_is_in_once() {
    let sandbox = ready();
    let expected = numbers(COUNT);
    // Killed when so many elements are in, each time on a new woof.
    for (round, killed_at) in [1, 20_000, 150_000, 290_000].into_iter().enumerate() {
        let serving = Serving::tls(&sandbox);
        let address = serving.address.clone();
        let name = serving.name(&format!("farm/big{round}"));
        tell(&sandbox, &["wcreate", &name, "--history", "1000000", "--capacity", "64MiB"], b"").done();
        let mut put = start(&sandbox, &["wput", &name]);
        let mut feed = put.0.stdin.take().unwrap();
        let text = expected.clone();
        let feeder = std::thread::spawn(move || feed.write_all(text.as_bytes()).unwrap());
        let path = sandbox.dir().join(format!("srv/farm/big{round}"));
        let woof = libwoofstream::log::open(&path).unwrap();
        until("elements are in", || woof.next_seqno() > killed_at);
        serving.kill();
        let serving = again(&sandbox, &address);
        feeder.join().unwrap();
        let mut said = String::new();
        put.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(woof_kit::wait(&mut put.0).code(), Some(0), "{said}");
        let got = sandbox.run("wget", &[&name, "..", "-u"], b"");
        assert!(got.done() == expected, "round {round}: {} bytes of {}", got.text().len(), expected.len());
        serving.stop();
    }
}

#[test]
fn a_follow_goes_on_after_restarts_and_sees_each_element_once() {
    let sandbox = ready();
    let mut serving = Serving::tls(&sandbox);
    let address = serving.address.clone();
    let name = serving.name("farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    let mut tail = start(&sandbox, &["wtail", &name, "--from", "1", "--count", "60", "-u"]);
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap());
    assert_eq!(line(&mut lines), "1");
    // By the file, server or no server.
    let path = sandbox.dir().join("srv/farm/temp");
    let woof = libwoofstream::log::open(&path).unwrap();
    let mut appender = woof.appender().unwrap();
    let mut next = 2;
    for round in 0..4 {
        for _ in 0..5 {
            appender.append(next.to_string().as_bytes()).unwrap();
            next += 1;
        }
        if round % 2 == 0 {
            serving.kill()
        } else {
            drop(serving.stop())
        }
        for _ in 0..5 {
            appender.append(next.to_string().as_bytes()).unwrap();
            next += 1;
        }
        serving = again(&sandbox, &address);
        for _ in 0..2 {
            appender.append(next.to_string().as_bytes()).unwrap();
            next += 1;
        }
    }
    while next <= 60 {
        appender.append(next.to_string().as_bytes()).unwrap();
        next += 1;
    }
    for number in 2..=60 {
        assert_eq!(line(&mut lines), number.to_string());
    }
    assert_eq!(line(&mut lines), "");
    assert_eq!(woof_kit::wait(&mut tail.0).code(), Some(0));
    serving.stop();
}

#[test]
fn a_clean_stop_finishes_what_was_accepted_and_clients_go_on_when_it_is_back() {
    let sandbox = ready();
    let serving = Serving::tls(&sandbox);
    let address = serving.address.clone();
    let name = serving.name("farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "0"], b"").done();
    let mut tail = start(&sandbox, &["wtail", &name, "--from", "1", "--count", "3", "-u"]);
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap());
    assert_eq!(line(&mut lines), "0");
    // A put that waits for more input while the server stops.
    let mut put = start(&sandbox, &["wput", &name]);
    let mut feed = put.0.stdin.take().unwrap();
    feed.write_all(b"1\n").unwrap();
    assert_eq!(line(&mut lines), "1");
    let log = serving.stop();
    assert!(log.contains(" elements=2\n"), "{log}");
    assert!(!log.contains("connections were cut"), "{log}");
    let serving = again(&sandbox, &address);
    feed.write_all(b"2\n").unwrap();
    drop(feed);
    assert_eq!(line(&mut lines), "2");
    assert_eq!(woof_kit::wait(&mut put.0).code(), Some(0));
    assert_eq!(woof_kit::wait(&mut tail.0).code(), Some(0));
    let mut said = String::new();
    tail.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("trying again"), "{said}");
    assert_eq!(sandbox.run("wget", &[&name, "..", "-u"], b"").done(), "0\n1\n2\n");
    serving.stop();
}

#[test]
fn a_restart_is_not_noticed_on_the_unix_socket_either() {
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &[]);
    let name = local(&sandbox, "farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    let mut tail = start(&sandbox, &["wtail", &name, "--from", "1", "--count", "2", "-u"]);
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap());
    assert_eq!(line(&mut lines), "1");
    serving.process.signal(Signal::KILL);
    serving.wait();
    let serving = Serving::start(&sandbox, &[]);
    tell(&sandbox, &["wput", &name, "2"], b"").done();
    assert_eq!(line(&mut lines), "2");
    assert_eq!(woof_kit::wait(&mut tail.0).code(), Some(0));
    serving.stop();
}
