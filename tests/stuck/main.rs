//! What is stuck of one woof holds up no other: a server whose clients put into, make, remove, read and follow a woof whose writer is stopped in
//! the middle of an append, or whose disk is slow, serves all other woofs meanwhile.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

mod client;

use client::{Client, Running, elements};
use libwoofstream::log::{self, Options, record};
use libwoofstream::net::{Create, Find, Named, Put, Read, Request, Run};
use libwoofstream::space::Stop;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use woof_kit::say;

/// Longer than an answer may take on the slowest machine, and far shorter than a writer stays stopped: that is until all answers are there.
const LONG: Duration = Duration::from_secs(60);

/// These tests change what all of this process sees, and look how long answers take.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make(dir: &Path, name: &str, sync: bool) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap().join(".woof")).unwrap();
    let options = Options { history: 1 << 12, capacity: 1 << 20, sync, ..Options::default() };
    log::create(&path, &options).unwrap();
    log::open(&path).unwrap().appender().unwrap().append(b"21.5").unwrap();
}

/// The number of a writer that there was not yet.
fn fresh() -> u64 {
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1000);
    LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn text() -> String {
    "text".to_owned()
}

fn put(name: &str, writer: u64) -> Request {
    Request::Put(Put { name: name.to_owned(), writer, content: text(), ..Put::default() })
}

fn read(name: &str, follow: bool) -> Request {
    Request::Read(Read { name: name.to_owned(), range: true, follow, ..Read::default() })
}

/// All that can be asked for about a woof.
fn all_about(name: &str) -> Vec<Request> {
    let writer = fresh();
    let namespace = name.rsplit_once('/').unwrap().0.to_owned();
    let named = || Named { name: name.to_owned() };
    let create = |reset| {
        Request::Create(Create {
            name: name.to_owned(),
            history: 9,
            capacity: 4096,
            content: text(),
            reset,
            ..Create::default()
        })
    };
    let with = |handler: Option<&str>, create: Option<String>, resume| {
        let handler = handler.map(str::to_owned);
        Request::Put(Put {
            name: name.to_owned(),
            writer: fresh(),
            content: text(),
            handler,
            create,
            resume,
            ..Put::default()
        })
    };
    vec![
        put(name, writer),
        Request::Put(Put {
            name: name.to_owned(),
            writer: fresh(),
            content: text(),
            sync: true,
            ..Put::default()
        }),
        with(Some("none"), None, None),
        with(None, Some(text()), Some(1)),
        read(name, false),
        read(name, true),
        Request::Read(Read {
            name: name.to_owned(),
            filter: Some("json.x.all(a, a == 1) || true".to_owned()),
            range: true,
            ..Read::default()
        }),
        Request::Stat(named()),
        Request::Find(Find { name: namespace.clone(), get: true, ..Find::default() }),
        Request::Run(Run { name: namespace, handler: "none".to_owned(), ..Run::default() }),
        create(false),
        create(true),
        Request::Remove(named()),
    ]
}

/// Asks for other woofs in every way, over this connection, and gives how long the longest answer took.
fn ask_for_others(client: &mut Client, changes: bool) -> Duration {
    let writer = fresh();
    let mut requests = vec![
        read("farm/other", false),
        read("hub/other", false),
        Request::Stat(Named { name: "farm/other".to_owned() }),
        put("farm/other", writer),
        put("hub/other", writer),
        Request::Find(Find { name: "hub".to_owned(), ..Find::default() }),
    ];
    if changes {
        let name = || format!("hub/new-{writer}");
        requests.push(Request::Create(Create {
            name: name(),
            history: 9,
            capacity: 4096,
            content: text(),
            ..Create::default()
        }));
        requests.push(Request::Remove(Named { name: name() }));
    }
    let mut longest = Duration::ZERO;
    for request in requests {
        let begun = Instant::now();
        let exchange = client.open(&request, &elements(&["x"]));
        let answer = client.answer(exchange, LONG);
        assert!(answer.is_ok(), "{request:?}: {answer:?}");
        longest = longest.max(begun.elapsed());
    }
    longest
}

/// Has many clients ask for what is stuck, and others and the same for what is not; gives the longest answer, and the clients.
fn longest_answer(running: &Running, stuck: &str, changes: bool) -> (Duration, Vec<(Client, Vec<u32>)>) {
    let mut clients: Vec<(Client, Vec<u32>)> = Vec::new();
    let mut longest = Duration::ZERO;
    for _ in 0..12 {
        let mut client = running.connect();
        let mut exchanges = Vec::new();
        for request in all_about(stuck) {
            exchanges.push(client.open(&request, &elements(&["1", "2"])));
        }
        // More than any number of threads.
        for _ in 0..40 {
            exchanges.push(client.open(&put(stuck, fresh()), &elements(&["3"])));
        }
        // Over the same connection, and over a new one.
        longest = longest.max(ask_for_others(&mut client, changes));
        let mut other = running.connect();
        longest = longest.max(ask_for_others(&mut other, changes));
        clients.push((client, exchanges));
    }
    for (client, _) in clients.iter_mut().rev() {
        longest = longest.max(ask_for_others(client, changes));
    }
    (longest, clients)
}

#[test]
fn a_writer_that_stands_still_holds_up_no_other_woof() {
    let _alone = alone();
    let running = Running::new();
    let dir = running.dir();
    for name in ["farm/other", "hub/other"] {
        make(dir, name, false);
    }
    for round in 0..2 {
        let name = format!("farm/stuck-{round}");
        make(dir, &name, round == 1);
        let woof = log::open(&dir.join(&name)).unwrap();
        let still = woof.stand_still().unwrap();
        let (longest, clients) = longest_answer(&running, &name, true);
        say(&format!("the longest answer of another woof took {longest:?}"));
        assert_eq!(woof.next_seqno(), 2, "nothing was appended");
        drop(still);
        // Now all of them have their answers.
        for (mut client, exchanges) in clients {
            for exchange in exchanges.iter().take(4).chain(exchanges.iter().skip(13)) {
                // The woof may be removed or made anew before its turn.
                let _ = client.ended(*exchange, LONG);
            }
        }
    }
    running.stops_within(LONG);
}

#[test]
fn a_put_that_waited_for_a_writer_is_in_once() {
    let _alone = alone();
    let running = Running::new();
    let dir = running.dir();
    for (name, sync) in [("farm/plain", false), ("farm/sync", true)] {
        make(dir, name, sync);
        let woof = log::open(&dir.join(name)).unwrap();
        let mut client = running.connect();
        let mut exchanges = Vec::new();
        for round in 0..3 {
            let still = woof.stand_still().unwrap();
            for writer in 0..8 {
                exchanges.push(client.open(&put(name, round * 8 + writer + 1), &elements(&["a", "b", "c"])));
            }
            // Longer than one turn of waiting.
            std::thread::sleep(Duration::from_millis(1200));
            drop(still);
            for exchange in exchanges.drain(..) {
                client.answer(exchange, LONG).unwrap();
            }
        }
        assert_eq!(woof.next_seqno() - 1, 1 + 3 * 8 * 3);
    }
}

#[test]
fn a_server_stops_in_its_time_with_a_woof_that_is_stuck() {
    let _alone = alone();
    let running = Running::new();
    make(running.dir(), "farm/stuck", false);
    let woof = log::open(&running.dir().join("farm/stuck")).unwrap();
    let _still = woof.stand_still().unwrap();
    let mut client = running.connect();
    let exchange = client.open(&put("farm/stuck", 1), &elements(&["1"]));
    std::thread::sleep(Duration::from_millis(300));
    running.stops_within(LONG);
    let told = client.ended(exchange, LONG);
    assert!(format!("{told:?}").contains("the server stops"), "{told:?}");
}

#[test]
fn a_disk_whose_sync_takes_two_seconds_holds_up_no_other_woof() {
    let _alone = alone();
    let running = Running::new();
    let dir = running.dir();
    for name in ["farm/other", "hub/other"] {
        make(dir, name, false);
    }
    make(dir, "farm/slow", true);
    record::slow_syncs(Duration::from_secs(2));
    let (longest, clients) = longest_answer(&running, "farm/slow", false);
    record::slow_syncs(Duration::ZERO);
    say(&format!("the longest answer of another woof took {longest:?}"));
    drop(clients);
    running.stops_within(LONG);
}

/// A `wput` that never ends.
struct Writer {
    wput: Child,
    feed: Stop,
    feeder: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(path: &Path) -> Writer {
        let mut wput = woof_kit::command(env!("CARGO_BIN_EXE_woof"))
            .args(["put", "-q"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (mut stdin, feed) = (wput.stdin.take().unwrap(), Stop::default());
        let stop = feed.clone();
        let feeder = std::thread::spawn(move || {
            let lines = "an element\n".repeat(6000);
            while !stop.is_stopped() && stdin.write_all(lines.as_bytes()).is_ok() {}
        });
        Writer { wput, feed, feeder: Some(feeder) }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.wput), signal).unwrap();
    }

    /// Stops it at random, until that is in the middle of an append.
    fn stop_in_the_middle(&self, path: &Path) {
        let end = Instant::now() + LONG * 5;
        let mut pause = 0;
        loop {
            pause = (pause * 7 + 13) % 997;
            std::thread::sleep(Duration::from_micros(pause));
            self.signal(Signal::STOP);
            rustix::process::waitpid(
                Some(Pid::from_child(&self.wput)),
                rustix::process::WaitOptions::UNTRACED,
            )
            .unwrap();
            // The word of the append lock, as docs/format-woof.md has it.
            let mut word = [0; 4];
            std::fs::File::open(path).unwrap().read_exact_at(&mut word, 4096).unwrap();
            if word != [0; 4] {
                return;
            }
            self.signal(Signal::CONT);
            assert!(Instant::now() < end, "it is never in the middle of an append");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.feed.stop();
        let _ = self.wput.kill();
        let _ = self.wput.wait();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

#[test]
fn a_writer_that_is_stopped_at_random_holds_up_no_other_woof() {
    let _alone = alone();
    let running = Running::new();
    let dir = running.dir();
    for name in ["farm/other", "hub/other"] {
        make(dir, name, false);
    }
    let mut longest = Duration::ZERO;
    for round in 10..14 {
        let name = format!("farm/stuck-{round}");
        make(dir, &name, false);
        let writer = Writer::start(&dir.join(&name));
        writer.stop_in_the_middle(&dir.join(&name));
        let (took, clients) = longest_answer(&running, &name, true);
        longest = longest.max(took);
        drop(clients);
        drop(writer);
    }
    say(&format!("the longest answer of another woof took {longest:?}"));
    running.stops_within(LONG);
}
