//! Many at once: connections, short ones, and followers that wait.

use crate::server::{Process, Serving, http, local, ready, say, tell, until};
use libwoofstream::net::{Named, Read, Received, Request, Role, Session};
use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A client that speaks the protocol and nothing more.
struct Client {
    stream: UnixStream,
    session: Session,
    input: Vec<u8>,
}

impl Client {
    fn connect(socket: &Path) -> Client {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client { stream, session: Session::new(Role::Client, usize::MAX), input: Vec::new() }
    }

    fn open(&mut self, request: &Request) -> u32 {
        self.session.open(&request.encode().unwrap(), 64 << 10).unwrap()
    }

    fn send(&mut self) {
        let out = std::mem::take(self.session.output());
        self.stream.write_all(&out).unwrap();
    }

    /// Reads once; the exchanges that data came for, and those that ended.
    fn receive(&mut self) -> (Vec<u32>, Vec<u32>) {
        let mut buffer = [0; 64 << 10];
        let len = self.stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the server closed the connection");
        self.input.extend_from_slice(&buffer[..len]);
        let (mut data, mut ends, mut used) = (Vec::new(), Vec::new(), 0);
        loop {
            let (more, received) = self.session.receive(&self.input[used..]).unwrap();
            match received {
                Received::Need(_) => break,
                Received::Data { exchange, .. } => data.push(exchange),
                Received::End(exchange) => ends.push(exchange),
                Received::Cancel(_, fault) | Received::Goaway(fault) => panic!("{fault:?}"),
                _ => {}
            }
            used += more;
        }
        self.input.drain(..used);
        (data, ends)
    }

    /// Asks about a woof, and waits for the answer.
    fn stat(&mut self, name: &str) {
        let exchange = self.open(&Request::Stat(Named { name: name.to_owned() }));
        self.session.end(exchange);
        self.send();
        while !self.receive().1.contains(&exchange) {}
    }

    /// Reads until data came for each of these.
    fn wait_for(&mut self, exchanges: &[u32]) {
        let mut left: HashSet<u32> = exchanges.iter().copied().collect();
        while !left.is_empty() {
            for exchange in self.receive().0 {
                left.remove(&exchange);
            }
        }
    }
}

/// The resident memory of a process in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// The processor time that a process has used, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn ten_thousand_idle_followers_cost_no_time_and_little_memory() {
    const CONNECTIONS: usize = 40;
    const FOLLOWS: usize = 250;
    let sandbox = ready();
    let serving = Serving::start(&sandbox, &["--metrics", "0"]);
    tell(&sandbox, &["wput", "--create", &local(&sandbox, "farm/temp"), "1"], b"").done();
    let socket = sandbox.dir().join("srv/.woof/server.sock");
    let before = resident(serving.pid());
    let follow = Request::Read(Read { name: "farm/temp".to_owned(), follow: true, ..Read::default() });
    let mut clients: Vec<(Client, Vec<u32>)> = (0..CONNECTIONS)
        .map(|_| {
            let mut client = Client::connect(&socket);
            let exchanges: Vec<u32> = (0..FOLLOWS).map(|_| client.open(&follow)).collect();
            client.send();
            client.wait_for(&exchanges);
            (client, exchanges)
        })
        .collect();
    // What is on its way is done when nothing is used any more; then it stays so.
    let mut last = ticks(serving.pid());
    until("the server is idle", || {
        std::thread::sleep(Duration::from_millis(200));
        let (now, then) = (ticks(serving.pid()), last);
        last = now;
        now == then
    });
    let begun = ticks(serving.pid());
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks(serving.pid()) - begun;
    let each = (resident(serving.pid()) - before) * 1024 / (CONNECTIONS * FOLLOWS) as u64;
    say(&format!("wserve: 10000 idle followers: {each} bytes each, {used} ticks in 2 s"));
    assert_eq!(used, 0);
    assert!(each < 32 << 10, "{each} bytes for each follower");
    let metrics = http(&serving.field("metrics").unwrap(), "/metrics");
    assert!(metrics.contains("\nwoofstream_follows 10000\n"), "{metrics}");
    assert!(metrics.contains("\nwoofstream_woofs_followed 1\n"));

    // All of them are still there.
    for (client, _) in &mut clients {
        client.stream.set_nonblocking(true).unwrap();
        let mut left = Vec::new();
        let _ = client.stream.read_to_end(&mut left);
        client.input.extend_from_slice(&left);
        client.stream.set_nonblocking(false).unwrap();
        loop {
            let (used, received) = client.session.receive(&client.input).unwrap();
            if matches!(received, Received::Need(_)) {
                break;
            }
            client.input.drain(..used);
        }
    }
    tell(&sandbox, &["wput", &local(&sandbox, "farm/temp"), "2"], b"").done();
    for (client, exchanges) in &mut clients {
        client.wait_for(exchanges);
    }
    serving.stop();
}

#[test]
fn two_hundred_connections_at_once_and_two_thousand_short_ones() {
    let sandbox = ready();
    // Each of them greets when it is its turn.
    let serving = Serving::start(&sandbox, &["--handshake-timeout", "10m"]);
    tell(&sandbox, &["wput", "--create", &local(&sandbox, "farm/temp"), "1"], b"").done();
    let socket = sandbox.dir().join("srv/.woof/server.sock");
    let mut all: Vec<Client> = (0..200).map(|_| Client::connect(&socket)).collect();
    for client in all.iter_mut().chain([&mut Client::connect(&socket)]) {
        client.stat("farm/temp");
    }
    // Backwards, so that each is used while the others are open.
    for client in all.iter_mut().rev() {
        client.stat("farm/temp");
    }
    drop(all);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    Client::connect(&socket).stat("farm/temp");
                }
            });
        }
    });
    until("all of them are gone", || {
        let open = fs::read_dir(format!("/proc/{}/fd", serving.pid())).unwrap().count();
        open < 40
    });
    let log = serving.stop();
    assert!(log.contains(" requests=2402 ") || log.contains(" accepted=2202 "), "{log}");
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn many_programs_at_once_over_tls() {
    let sandbox = ready();
    let serving = Serving::tls(&sandbox);
    let name = serving.name("farm/temp");
    tell(&sandbox, &["wput", "--create", &name, "1"], b"").done();
    let mut all: Vec<Process> = (0..30)
        .map(|_| {
            let mut command = sandbox.command("wget");
            command.args([&name, "..", "-u"]).stdin(Stdio::null()).stdout(Stdio::piped());
            Process::start(&mut command)
        })
        .collect();
    for get in &mut all {
        let mut text = String::new();
        get.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), woof_kit::wait(&mut get.0).code()), ("1\n", Some(0)));
    }
    let log = serving.stop();
    assert!(!log.contains("WARN"), "{log}");
}
