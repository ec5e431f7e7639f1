//! Requests over a connection that was idle: with a server in the same process, whose connections are bytes in memory.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use libwoofstream::access::Peer;
use libwoofstream::client::{Dial, Patience, Remote, Transport, Waited};
use libwoofstream::error::{Error, Result};
use libwoofstream::log::{self, Options};
use libwoofstream::name::Address;
use libwoofstream::server::{Connection, Limits, Site, Wake};
use libwoofstream::space::{Collected, Selection, SeqRange, Space as _, Stop};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The server and the clock.
struct World {
    site: Arc<Site>,
    /// How many connections were made.
    dialled: AtomicU64,
    /// Those that are open are dead.
    dead: Mutex<Arc<AtomicBool>>,
    now_s: AtomicU64,
}

struct Nobody;

impl Wake for Nobody {
    fn wake(&self, _exchange: u32) {}
}

struct Wire {
    server: Connection,
    dead: Arc<AtomicBool>,
}

impl Dial for World {
    fn dial(&self, _address: &Address, _timeout: Duration) -> Result<Box<dyn Transport>> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        let peer = Peer::unix(rustix::process::geteuid().as_raw(), Vec::new());
        let server = Connection::new(Arc::clone(&self.site), peer, Arc::new(Nobody));
        Ok(Box::new(Wire { server, dead: Arc::clone(&self.dead.lock().unwrap()) }))
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.now_s.load(Ordering::Relaxed))
    }

    fn pause(&self, _time: Duration, _stop: &Stop) -> bool {
        true
    }

    fn random(&self) -> u64 {
        7
    }
}

impl Transport for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.dead.load(Ordering::Relaxed) {
            return Ok(0);
        }
        self.server.pump_all();
        let output = self.server.output();
        let len = output.len().min(buffer.len());
        if len == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..len].copy_from_slice(&output[..len]);
        output.drain(..len);
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is sent to one that is gone is taken, as a socket does it the first time.
        if !self.dead.load(Ordering::Relaxed) {
            self.server.receive(bytes).unwrap();
        }
        Ok(bytes.len())
    }

    fn wait(&mut self, _write: bool, _timeout: Option<Duration>, _stop: Option<&Stop>) -> io::Result<Waited> {
        Ok(Waited::Ready)
    }
}

/// A server with a woof `temp` that holds three elements, and a client of it.
fn world(dir: &std::path::Path) -> (Arc<World>, Remote) {
    let temp = dir.join("temp");
    let site = Site::open(dir, Limits::default()).unwrap();
    log::create(&temp, &Options::default()).unwrap();
    log::open(&temp).unwrap().appender().unwrap().extend([&b"1"[..], b"2", b"3"], |_| ()).unwrap();
    let world = Arc::new(World {
        site,
        dialled: AtomicU64::new(0),
        dead: Mutex::default(),
        now_s: AtomicU64::new(1_000),
    });
    let notify = Arc::new(|line: &str| panic!("waits: {line}"));
    let patience = Patience { timeout: Duration::from_secs(30), wait: None, notify };
    let remote = Remote::new(world.clone(), Address::parse("hub/").unwrap(), patience);
    (world, remote)
}

fn read(remote: &Remote, range: &str) -> Result<String> {
    let mut texts = Collected::default();
    let selection = Selection { range: Some(SeqRange::parse(range)?), ..Selection::default() };
    remote.read("temp", &selection, &mut texts)?;
    Ok(texts.texts().join(" "))
}

#[test]
fn the_next_request_goes_over_the_connection_of_the_last() {
    let dir = woof_kit::tempdir().unwrap();
    let (world, remote) = world(dir.path());
    assert_eq!(read(&remote, "1..2").unwrap(), "1 2");
    assert_eq!(read(&remote, "-1").unwrap(), "3");
    assert_eq!(remote.stat("temp").unwrap().uint("next"), remote.stat("temp").unwrap().uint("next"));
    // An error of the request is none of the connection.
    let refused = remote.stat("nosuch");
    assert_eq!(refused.as_ref().map_err(Error::object).unwrap_err(), "nosuch");
    assert_eq!(read(&remote, "..").unwrap(), "1 2 3");
    assert_eq!(world.dialled.load(Ordering::Relaxed), 1);
}

#[test]
fn one_that_died_meanwhile_is_replaced_and_nobody_is_told() {
    let dir = woof_kit::tempdir().unwrap();
    let (world, remote) = world(dir.path());
    for dialled in 1..=3 {
        assert_eq!(read(&remote, "..").unwrap(), "1 2 3");
        assert_eq!(world.dialled.load(Ordering::Relaxed), dialled);
        world.dead.lock().unwrap().store(true, Ordering::Relaxed);
        *world.dead.lock().unwrap() = Arc::default();
    }
    assert!(remote.stat("temp").is_ok());
    assert_eq!(world.dialled.load(Ordering::Relaxed), 4);
}

#[test]
fn one_that_is_idle_for_long_is_not_used_again() {
    let dir = woof_kit::tempdir().unwrap();
    let (world, remote) = world(dir.path());
    read(&remote, "..").unwrap();
    world.now_s.fetch_add(9, Ordering::Relaxed);
    read(&remote, "..").unwrap();
    assert_eq!(world.dialled.load(Ordering::Relaxed), 1);
    world.now_s.fetch_add(10, Ordering::Relaxed);
    read(&remote, "..").unwrap();
    assert_eq!(world.dialled.load(Ordering::Relaxed), 2);
}

#[test]
fn what_cannot_be_made_twice_gets_a_new_connection() {
    let dir = woof_kit::tempdir().unwrap();
    let (world, remote) = world(dir.path());
    read(&remote, "..").unwrap();
    remote.remove("temp").unwrap();
    assert_eq!(world.dialled.load(Ordering::Relaxed), 2);
    assert_eq!(remote.stat("temp").unwrap_err().object(), "temp");
    assert_eq!(world.dialled.load(Ordering::Relaxed), 2);
}
