//! `wserve`: the commands over TLS and over the Unix socket, limits, the log, metrics, signals.

use crate::server::{Process, Serving, local, ready, tell, until};
use crate::support::Sandbox;
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

/// Puts, reads, follows, finds, and removes, by names that begin with `base`.
fn every_command(sandbox: &Sandbox, base: &str) {
    let temp = format!("{base}/farm/temp");
    let run = |args: &[&str], stdin: &[u8]| {
        // Those that report what they did.
        if matches!(args[0], "wcreate" | "wput" | "wrm") {
            return tell(sandbox, args, stdin);
        }
        sandbox.run(args[0], &args[1..], stdin)
    };
    run(&["wcreate", &temp, "--type", "f64", "-p"], b"").done();
    let numbers: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    run(&["wput", &temp], numbers.as_bytes()).done();
    assert_eq!(run(&["wget", &temp, "-3..", "-u"], b"").done(), "998\n999\n1000\n");
    let over = run(&["wtail", &temp, "--from", "1", "--where", "value > 500", "--count", "2", "-u"], b"");
    assert_eq!(over.done(), "501\n502\n");
    let stat = run(&["wstat", &temp, "--json"], b"");
    let stat: serde_json::Value = serde_json::from_str(stat.done()).unwrap();
    assert_eq!((&stat["content"], &stat["next_seqno"]), (&"f64".into(), &1001.into()));
    let found = run(&["wfind", base, "--name", "te*", "--json"], b"");
    let found: serde_json::Value = serde_json::from_str(found.done()).unwrap();
    assert_eq!(found["name"], "temp");
    let farm = format!("{base}/farm");
    run(&["wattr", &farm, "grant", "user", "alice", "read"], b"").done();
    let list = run(&["wattr", &farm], b"");
    assert!(
        list.done().lines().any(|line| line.split_whitespace().eq(["user", "alice", "read"])),
        "{}",
        list.text()
    );
    run(&["wattr", &farm, "revoke", "user", "alice"], b"").done();
    run(&["wrm", &temp], b"").done();
    let gone = run(&["wget", &temp, "..", "-u"], b"");
    assert_eq!(gone.status, 2);
    assert!(gone.stderr.ends_with("no such woof\n"), "{}", gone.stderr);
}

#[test]
fn three_commands_are_enough_for_the_first_use() {
    let sandbox = ready();
    let serving = Serving::tls(&sandbox);
    let (_, port) = serving.address.rsplit_once(':').unwrap();
    // By the address and by a name: the certificate is for both.
    every_command(&sandbox, &format!("woof://{}", serving.address));
    every_command(&sandbox, &format!("woof://localhost:{port}"));
    let log = serving.stop();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert!(log.contains("INFO  stopped accepted="), "{log}");
}

#[test]
fn programs_on_this_machine_find_the_socket_by_the_directory() {
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &[]);
    let socket = sandbox.dir().join("srv/.woof/server.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o666);
    every_command(&sandbox, local(&sandbox, "").trim_end_matches('/'));
    serving.stop();
    assert!(!socket.exists());
    // A socket of a server that was killed is replaced.
    Serving::start(&sandbox, &[]).kill();
    assert!(socket.exists());
    Serving::start(&sandbox, &[]).stop();
}

#[test]
fn a_second_server_on_a_directory_refuses() {
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &[]);
    let second = sandbox.run("wserve", &["srv"], b"");
    let expected = "wserve: srv: another server serves this directory\n";
    assert_eq!((second.status, second.stderr.as_str()), (2, expected));
    // The first one's socket is still its own.
    let name = local(&sandbox, "farm/x");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    serving.stop();
}

#[test]
fn what_cannot_be_served_is_refused_by_name() {
    let sandbox = ready();
    std::fs::create_dir_all(sandbox.dir().join("taken/.woof/server.sock")).unwrap();
    let deep = format!("{}/d", "x".repeat(120));
    std::fs::create_dir_all(sandbox.dir().join(&deep)).unwrap();
    let dir = sandbox.dir().canonicalize().unwrap();
    let dir = dir.display();
    let deep_socket = format!("{dir}/{deep}/.woof/server.sock");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let no_keys = format!("{dir}/none");
    for (args, expected) in [
        (&["none"][..], "none: no such file or directory".to_owned()),
        (&["taken"], format!("{dir}/taken/.woof/server.sock: is where the server's socket belongs, and is none")),
        (
            &[&deep],
            format!(
                "{deep_socket}: the path of the server's socket is {} bytes, the limit of the system is 107",
                deep_socket.len()
            ),
        ),
        (&["srv", "--listen", "7144"], "--listen: 7144: not HOST:PORT; 0.0.0.0 or [::] is every address".to_owned()),
        (
            &["srv", "--listen", "127.0.0.1:99999"],
            "--listen: 127.0.0.1:99999: not HOST:PORT; 0.0.0.0 or [::] is every address".to_owned(),
        ),
        (&["srv", "--listen", &busy], format!("{busy}: listen: address already in use")),
        (&["srv", "--metrics", &busy], format!("{busy}: listen: address already in use")),
        (
            &["srv", "--insecure", "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0"],
            "0.0.0.0:0: with --insecure everybody there could listen in: only loopback addresses are allowed"
                .to_owned(),
        ),
        (
            &["srv", "--listen", "127.0.0.1:0", "--keys", &no_keys],
            format!(
                "{no_keys}: no keys here: wkey init makes an authority, wkey import takes what another machine's \
                 wkey exports"
            ),
        ),
        (
            &["srv", "--max-element", "1MiB", "--max-unfinished", "1k"],
            "--max-unfinished 1024: less than the largest element, 1048576 bytes (--max-element): it could never \
             come whole"
                .to_owned(),
        ),
        (&["srv", "--max-connections", "0"], "--max-connections: 0: not a whole number from 1 to 1048576".to_owned()),
        (&["srv", "--log-level", "debug", "-q"], "--log-level: cannot be given together with --quiet".to_owned()),
    ] {
        let run = sandbox.run("wserve", args, b"");
        assert_eq!((run.status, run.stderr), (2, format!("wserve: {expected}\n")), "{args:?}");
        assert!(!sandbox.dir().join("srv/.woof/server.sock").exists(), "{args:?}");
    }
    // Away from the authority a host needs a certificate that was made there.
    sandbox.sh("wkey export | wkey --keys away import -").done();
    let away = sandbox.run("wserve", &["srv", "--listen", "127.0.0.1:0", "--keys", "away"], b"");
    let expected = "wserve: away: no certificate for this host: make it with wkey host where the authority is, then \
                    wkey export and import\n";
    assert_eq!((away.status, away.stderr.as_str()), (2, expected));
    sandbox.sh("for host in edge7 localhost; do wkey host $host; wkey export $host | wkey --keys away import -; done").done();
    let several = sandbox.run("wserve", &["srv", "--listen", "127.0.0.1:0", "--keys", "away"], b"");
    let expected =
        "wserve: away: certificates for several hosts, and none was chosen (--host): edge7, localhost\n";
    assert_eq!((several.status, several.stderr.as_str()), (2, expected));
    let serving =
        Serving::start(&sandbox, &["--listen", "127.0.0.1:0", "--keys", "away", "--host", "localhost"]);
    let port = serving.address.rsplit_once(':').unwrap().1.to_owned();
    tell(&sandbox, &["wput", "--create", &format!("woof://localhost:{port}/farm/x"), "1"], b"").done();
    serving.stop();
}

#[test]
fn each_limit_is_refused_by_the_name_of_its_flag() {
    let sandbox = ready();
    let serving = Serving::start(
        &sandbox,
        &[
            "--max-element",
            "100",
            "--max-followed",
            "1",
            "--max-connections",
            "3",
            "--max-connections-of-user",
            "2",
        ],
    );
    let base = local(&sandbox, "farm");
    let name = |woof: &str| format!("{base}/{woof}");
    tell(&sandbox, &["wput", "--create", &name("a"), "1"], b"").done();
    tell(&sandbox, &["wput", "--create", &name("b"), "1"], b"").done();
    let large = tell(&sandbox, &["wput", &name("a"), &"x".repeat(101)], b"");
    assert_ne!(large.status, 0);
    let expected = "an element is over 100 bytes, the limit of this server (--max-element)\n";
    assert!(large.stderr.ends_with(expected), "{}", large.stderr);

    let follow = |woof: &str| {
        let mut command = sandbox.command("wtail");
        command.args([&name(woof), "-u"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::start(&mut command)
    };
    let mut first = follow("a");
    until("the first is followed", || {
        if first.0.try_wait().unwrap().is_some() {
            first = follow("a");
        }
        tell(&sandbox, &["wput", &name("a"), "2"], b"").status == 0
            && serving.log().matches("WARN").count() < 99
            && std::fs::read_dir(format!("/proc/{}/task", serving.pid())).unwrap().any(|task| {
                std::fs::read_to_string(task.unwrap().path().join("comm"))
                    .is_ok_and(|name| name == "woof-watch\n")
            })
    });
    until("a second one is refused", || {
        let second = sandbox.run("wtail", &[&name("b"), "-u", "--from", "1"], b"");
        assert_eq!(second.status, 2);
        // The connection of the put before may count for a moment still.
        let is_gone = !second.stderr.contains("(--max-connections");
        let expected = "1 woofs are followed already, the limit of this server (--max-followed)\n";
        assert!(!is_gone || second.stderr.ends_with(expected), "{}", second.stderr);
        is_gone
    });
    serving.logs("request refused peer=");

    let mut another = follow("a");
    until("two of the user are connected", || {
        // The one before it may not have been gone when it came.
        if another.0.try_wait().unwrap().is_some() {
            another = follow("a");
        }
        let run = sandbox.run("wstat", &[&name("a"), "--timeout", "1s"], b"");
        run.stderr.contains("has 2 connections, the limit of this server (--max-connections-of-user)")
    });
    serving.logs("connection turned away peer=");
    let log = serving.stop();
    assert!(log.contains("(--max-connections-of-user)"), "{log}");
}

#[test]
fn a_connection_over_the_limit_is_told_so() {
    let sandbox = ready();
    let serving =
        Serving::start(&sandbox, &["--max-connections", "1", "--insecure", "--listen", "127.0.0.1:0"]);
    let base = local(&sandbox, "farm");
    let mut held = TcpStream::connect(&serving.address).unwrap();
    until("the limit is reached", || {
        let run = sandbox.run("wstat", &[&format!("{base}/a"), "--timeout", "1s"], b"");
        let is_told =
            run.stderr.contains("1 connections are open, the limit of this server (--max-connections)");
        if !is_told {
            // The one that is held may have come second, and been turned away.
            held = TcpStream::connect(&serving.address).unwrap();
        }
        is_told
    });
    drop(held);
    serving.logs("connection turned away");
    serving.stop();
}

#[test]
fn a_client_that_says_nothing_is_ended_after_the_handshake_time() {
    let sandbox = ready();
    let serving =
        Serving::start(&sandbox, &["--handshake-timeout", "100ms", "--insecure", "--listen", "127.0.0.1:0"]);
    let mut silent = TcpStream::connect(&serving.address).unwrap();
    let mut seen = Vec::new();
    let _ = silent.read_to_end(&mut seen);
    serving.logs("no greeting in 0.1 s, the limit (--handshake-timeout)");
    serving.stop();
}

#[test]
fn without_tls_nobody_is_known() {
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &["--insecure", "--listen", "127.0.0.1:0"]);
    let mut client = TcpStream::connect(&serving.address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"\x89WOOC\r\n"), "{answer:?}");
    serving.logs("the other side does not speak the protocol of woofs");
    serving.stop();
}

#[test]
fn the_log_says_who_was_refused_what_in_one_line_each() {
    let sandbox = ready();
    sandbox.run("wkey", &["add", "alice"], b"").done();
    sandbox.sh("wkey export alice | wkey --keys alice import -").done();
    for (form, expected) in [
        (
            "text",
            "WARN  request refused peer=\"user alice\" how=tls verb=put name=farm/x error=\"user alice has no right to put",
        ),
        ("json", "\"error\":\"user alice has no right to put"),
    ] {
        let serving = Serving::start(&sandbox, &["--log", form, "--listen", "127.0.0.1:0"]);
        let line = serving.log().lines().next().unwrap().to_owned();
        let address = if form == "json" {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&line["level"], &line["message"]), (&"info".into(), &"serving".into()));
            line["listen"].as_str().unwrap().to_owned()
        } else {
            serving.address.clone()
        };
        tell(&sandbox, &["wput", "--create", &format!("woof://{address}/farm/x"), "1"], b"").done();
        let denied = sandbox.sh(&format!("WOOF_KEYS=alice wput woof://{address}/farm/x 1 > /dev/null"));
        assert_eq!(denied.status, 2);
        assert!(denied.stderr.contains("user alice has no right to put"), "{}", denied.stderr);
        serving.logs(expected);
        let log = serving.stop();
        assert_eq!(log.lines().count(), 5, "{log}");
    }
    // Less of it, and more.
    let serving = Serving::start(&sandbox, &["-v"]);
    sandbox.run("wstat", &[&local(&sandbox, "farm/x")], b"").done();
    assert!(serving.stop().contains("DEBUG request peer="));
}

#[test]
fn metrics_are_given_over_http_and_nothing_else_is() {
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &["--metrics", "0"]);
    let address = serving.field("metrics").unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        // One that is turned away gets no answer.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    tell(&sandbox, &["wput", "--create", &local(&sandbox, "farm/x"), "1"], b"").done();
    let answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n"), "{answer}");
    assert!(answer.contains("\nwoofstream_elements_put_total 1\n"), "{answer}");
    assert!(answer.contains("\n# TYPE process_resident_memory_bytes gauge\n"), "{answer}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
        ("GET /metrics/.. HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed"),
        ("rubbish\r\n\r\n", "400 Bad Request"),
        (
            &format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000)),
            "431 Request Header Fields Too Large",
        ),
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        // What is too much is not read to its end.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        // A reset can take the answer away with it.
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n"))
                || (request.len() > 99_999 && answer.is_empty()),
            "{answer}"
        );
    }
    // Those who say nothing use up their places, and no more.
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(&address).unwrap()).collect();
    drop(silent);
    until("it answers again", || ask("GET /metrics HTTP/1.0\r\n\r\n").contains("200 OK"));
    serving.stop();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &["--stop-timeout", "1h"]);
    let name = local(&sandbox, "farm/x");
    // A reader that does not read holds the stop up.
    sandbox.sh(&format!("wcreate {name} -p --capacity 64MiB && head -c 40M /dev/zero | tr '\\0' x | fold -w 1000 | wput {name} > /dev/null")).done();
    let mut command = sandbox.command("wget");
    command.args([&name, "..", "-u"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut reader = Process::start(&mut command);
    let mut first = [0; 4];
    reader.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    serving.process.signal(Signal::TERM);
    serving.logs("stopping connections=1");
    serving.process.signal(Signal::INT);
    let (status, _) = serving.wait();
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
}

#[test]
fn hangup_reads_the_keys_again() {
    let sandbox = ready();
    let serving = Serving::tls(&sandbox);
    serving.process.signal(Signal::HUP);
    serving.logs("keys have not changed");
    sandbox.run("wkey", &["add", "bob"], b"").done();
    sandbox.run("wkey", &["revoke", "bob"], b"").done();
    serving.process.signal(Signal::HUP);
    serving.logs("keys were read again");
    serving.stop();
}
