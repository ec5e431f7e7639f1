//! A server on a Unix socket, and clients that say nothing, say it slowly, never stop talking, or are there when it stops.

use crate::direct::{CANCEL, Client, DATA, END, GOAWAY, frame, open, site};
use crate::world::{directory, patient};
use libwoofstream::client::{Dialer, Remote};
use libwoofstream::content::ContentType;
use libwoofstream::error::Code;
use libwoofstream::log;
use libwoofstream::name::Address;
use libwoofstream::net::{GREETING, Put, Read, Request};
use libwoofstream::server::{Limits, Listener, Server, Site};
use libwoofstream::space::{Create, Space as _, Told};
use libwoofstream::wire::encode;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// So long is waited for what is to come at once, before the test fails.
const LONG: Duration = Duration::from_secs(60);

/// And so long for what is asked for over and over.
const VERY_LONG: Duration = Duration::from_secs(600);

struct Running {
    server: Arc<Server>,
    done: mpsc::Receiver<()>,
    dir: woof_kit::TempDir,
}

impl Running {
    fn new(limits: Limits) -> Running {
        let dir = directory();
        let server = Server::new(site(dir.path(), limits));
        let listener = UnixListener::bind(dir.path().join(".woof/server.sock")).unwrap();
        let (ready, is_ready) = mpsc::channel();
        let (ended, done) = mpsc::channel();
        let own = Arc::clone(&server);
        std::thread::spawn(move || {
            own.run(vec![Listener::Unix(listener)], || ready.send(()).unwrap()).unwrap();
            ended.send(()).unwrap();
        });
        is_ready.recv_timeout(LONG).unwrap();
        Running { server, done, dir }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.dir.path().join(".woof/server.sock")).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// A proper client is served.
    fn serves_others(&self) {
        let path = self.dir.path().join("farm/temp");
        let path = path.to_str().unwrap();
        let dial = Arc::new(Dialer::new(None, false));
        let remote = Remote::new(dial, Address::parse(path).unwrap(), patient());
        assert_eq!(remote.stat(path).unwrap().text("path"), Some(path));
    }
}

/// All that a server says before it closes the connection.
fn to_the_end(mut stream: UnixStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(err) => panic!("after {:?}: {err}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn who_says_nothing_or_not_enough_is_told_and_let_go() {
    let running = Running::new(Limits { handshake: Duration::from_secs(3), ..Limits::default() });
    let silent = running.connect();
    let mut slow = running.connect();
    let mut garbled = running.connect();
    garbled.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    running.serves_others();
    for byte in &GREETING[..4] {
        // On a slow machine its time may be over by now.
        let _ = slow.write_all(&[*byte]);
        std::thread::sleep(Duration::from_millis(20));
    }
    for stream in [silent, slow] {
        let said = to_the_end(stream);
        assert!(said.contains("no greeting in 3 s, the limit"), "{said}");
    }
    let said = to_the_end(garbled);
    assert!(said.contains("does not speak the protocol of woofs"), "{said}");
    running.serves_others();
}

#[test]
fn who_goes_on_talking_after_a_mistake_is_told_what_it_was() {
    let running = Running::new(Limits::default());
    let mut stream = running.connect();
    let mut writer = stream.try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        let rubbish = vec![0xee; 64 << 10];
        // Until the server has had enough.
        let _ = writer.write_all(&GREETING);
        let end = Instant::now() + VERY_LONG;
        while writer.write_all(&rubbish).is_ok() {
            assert!(Instant::now() < end, "the server never has enough");
        }
    });
    let mut said = vec![0; GREETING.len() + 8];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said[GREETING.len() + 3], GOAWAY);
    let mut reason = vec![0; usize::from(said[GREETING.len()])];
    stream.read_exact(&mut reason).unwrap();
    assert!(String::from_utf8_lossy(&reason).contains("frame of 15658734 bytes, the limit is 131072"));
    talking.join().unwrap();
    running.serves_others();
}

#[test]
fn who_takes_no_answers_and_made_a_mistake_keeps_no_place() {
    let limits = Limits { connections_of_user: 1, stop: Duration::from_millis(100), ..Limits::default() };
    let running = Running::new(limits);
    let path = running.dir.path().join("farm/many");
    log::create(&path, &log::Options::default()).unwrap();
    log::open(&path).unwrap().appender().unwrap().extend(vec![&[b'.'; 1000][..]; 5000], |_| {}).unwrap();
    let mut stream = running.connect();
    let read = Request::Read(Read { name: "farm/many".into(), range: true, ..Read::default() });
    stream.write_all(&[&GREETING[..], &open(1, 1 << 30, &read)].concat()).unwrap();
    // Something of the answer is there, and more than the socket takes is to follow.
    let mut some = [0; 100];
    stream.read_exact(&mut some).unwrap();
    stream.write_all(&frame(99, 1, b"")).unwrap();
    // Its place is free when it is let go of: until then others of the same user are turned away.
    let end = Instant::now() + VERY_LONG;
    loop {
        assert!(Instant::now() < end, "its place is never free");
        let mut other = running.connect();
        other.write_all(&[&GREETING[..], &frame(crate::direct::PING, 0, &[0; 8])].concat()).unwrap();
        let mut answer = [0; 16];
        if other.read_exact(&mut answer).is_ok() && answer[GREETING.len() + 3] != GOAWAY {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(stream);
}

#[test]
fn connections_over_the_limit_of_a_user_are_told_so() {
    let running = Running::new(Limits { connections_of_user: 2, ..Limits::default() });
    let mut first = running.connect();
    let mut greeting = [0; 8];
    first.read_exact(&mut greeting).unwrap();
    let mut second = running.connect();
    second.read_exact(&mut greeting).unwrap();
    let said = to_the_end(running.connect());
    assert!(said.contains("has 2 connections, the limit of this server"), "{said}");
    drop((first, second));
}

#[test]
fn a_stop_waits_for_nobody_who_has_nothing_under_way() {
    let hours = Duration::from_secs(36_000);
    let running = Running::new(Limits { handshake: hours, stop: hours, ..Limits::default() });
    let silent = running.connect();
    let mut idle = running.connect();
    idle.write_all(&GREETING).unwrap();
    let mut follower = running.connect();
    let follow = Read { name: "farm/temp".into(), range: true, follow: true, ..Read::default() };
    follower.write_all(&[&GREETING[..], &open(1, 1 << 20, &Request::Read(follow))].concat()).unwrap();
    let mut some = [0; 16];
    follower.read_exact(&mut some).unwrap();
    running.serves_others();
    running.server.stop();
    running.done.recv_timeout(LONG).expect("the server does not stop");
    for stream in [silent, idle, follower] {
        let said = to_the_end(stream);
        assert!(said.contains("the server stops"), "{said}");
    }
}

#[test]
fn a_stop_answers_for_puts_that_came_and_finishes_what_is_read() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let path = dir.path().join("farm/many");
    log::create(&path, &log::Options::default()).unwrap();
    log::open(&path).unwrap().appender().unwrap().extend(vec![&[b'.'; 1000][..]; 2000], |_| {}).unwrap();
    let mut client = Client::greeted(&site);
    let read =
        |follow| Request::Read(Read { name: "farm/many".into(), range: true, follow, ..Read::default() });
    let put =
        Request::Put(Put { name: "farm/temp".into(), writer: 3, content: "text".into(), ..Put::default() });
    client.send(&[open(1, 1 << 20, &read(false)), open(2, 1 << 22, &read(true))].concat()).unwrap();
    client.take();
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    encode::elem(&mut stream, 1, 0, b"1");
    encode::elem(&mut stream, 2, 0, b"2");
    // It came and was not looked at yet.
    client.server.receive(&[open(3, 1 << 20, &put), frame(DATA, 3, &stream)].concat()).unwrap();
    client.server.stop();
    assert!(!client.server.is_over());
    client.send(&open(4, 1 << 20, &read(false))).unwrap();
    let frames = client.take();
    let cancelled: Vec<_> =
        frames.iter().filter(|frame| frame.kind == CANCEL).map(|frame| frame.exchange).collect();
    assert_eq!(
        {
            let mut all = cancelled.clone();
            all.sort_unstable();
            all
        },
        [2, 3, 4]
    );
    assert!(frames.iter().any(|frame| frame.exchange == 3 && crate::direct::text(frame).contains("woof.in")));
    assert_eq!(log::open(&dir.path().join("farm/temp")).unwrap().next_seqno(), 4);
    // The range goes on as its client takes it, to the end.
    client.send(&frame(crate::direct::CREDIT, 1, &(4u32 << 20).to_le_bytes())).unwrap();
    assert!(client.take().iter().any(|frame| frame.kind == END && frame.exchange == 1));
    assert!(client.server.is_over());
}

#[test]
fn a_second_server_over_a_directory_refuses() {
    let dir = directory();
    let first = Site::open(dir.path(), Limits::default()).unwrap();
    let err = Site::open(dir.path(), Limits::default()).unwrap_err();
    assert_eq!(err.code(), Code::Exists);
    assert_eq!(err.text(), "another server serves this directory");
    drop(first);
    Site::open(dir.path(), Limits::default()).unwrap();
}

/// A file system of 2 MiB, as long as this lives.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(path: &Path) -> Option<SmallDisk<'_>> {
        let place = path.to_str().unwrap();
        woof_kit::works("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", place]).then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        woof_kit::works("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

#[test]
fn on_a_full_disk_a_woof_takes_what_it_has_room_for_and_no_new_one_is_made() {
    let dir = woof_kit::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path()) else {
        return woof_kit::skip("needs root, to mount a small file system");
    };
    let world = crate::world::World::new(dir.path(), 1, 0);
    let options = log::Options { history: 64, capacity: 64 << 10, ..Default::default() };
    log::create(&dir.path().join("w"), &options).unwrap();
    // It takes room as it fills, and has some for more by now.
    log::open(&dir.path().join("w")).unwrap().appender().unwrap().append(b"0").unwrap();
    // All that is left is taken by somebody else.
    let mut filler = std::fs::File::create(dir.path().join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    let remote = world.remote(patient());
    let mut put = remote.put("w", None).unwrap();
    let mut told = Vec::new();
    let items = [&b"1"[..], b"2", b"3"];
    put.put(&mut items.into_iter(), &mut |what| told.push(what)).unwrap();
    put.settle(&mut |what| told.push(what)).unwrap();
    assert!(matches!(told[..], [Told::In(log::Run { first: 2, count: 3 })]), "{told:?}");
    let create =
        Create { options: log::Options { content: ContentType::Text, ..options }, ..Create::default() };
    let refused = remote.put("new", Some(&create)).and_then(|mut put| {
        put.put(&mut items.into_iter(), &mut |_| {})?;
        put.settle(&mut |_| {})
    });
    let err = refused.unwrap_err();
    assert_eq!(err.code(), Code::Full, "{err}");
    assert!(err.to_string().starts_with("new: "), "{err}");
    assert!(!dir.path().join("new").exists());
    let kept: Vec<Vec<u8>> =
        crate::world::elements(&dir.path().join("w")).into_iter().map(|(_, data)| data).collect();
    assert_eq!(kept, [b"0", b"1", b"2", b"3"]);
}
