//! The link carries what a real one would: later, slower, with losses, or not at all.
//!
//! Lower bounds of times are exact, since no packet may be early. Upper bounds are far away: a busy machine is late.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};
use std::{fs, thread};
use woof_link::{Link, LinkOptions, Side};

const PORT: u16 = 7144;
const RTT: Duration = Duration::from_millis(60);

fn with_rtt() -> LinkOptions {
    LinkOptions { rtt: RTT, ..LinkOptions::default() }
}

fn listen(side: &Side) -> TcpListener {
    side.enter(|| TcpListener::bind((side.address(), PORT))).unwrap().unwrap()
}

fn dial(link: &Link) -> io::Result<TcpStream> {
    let to = (link.b().address(), PORT);
    let stream = link.a().enter(|| TcpStream::connect(to)).unwrap()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Accepts one connection and sends everything back.
fn echo(listener: TcpListener) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut block = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut block) {
            stream.write_all(&block[..len]).unwrap();
        }
    })
}

/// Data that shows when a part of it is missing or in another place.
fn data(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut data = vec![0; len];
    random.fill(&mut data);
    data
}

#[test]
fn an_echo_takes_the_round_trip_and_little_more() {
    let Some(link) = Link::for_test(with_rtt()) else { return };
    let server = echo(listen(link.b()));
    let mut stream = dial(&link).unwrap();
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        stream.write_all(b"woof").unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"woof");
        assert!(start.elapsed() >= RTT, "{:?} is less than a round trip", start.elapsed());
        best = best.min(start.elapsed());
    }
    assert!(best < RTT + Duration::from_millis(100), "{best:?} is much more than a round trip");
    drop(stream);
    server.join().unwrap();
}

#[test]
fn connecting_and_one_request_take_two_round_trips() {
    let Some(link) = Link::for_test(with_rtt()) else { return };
    let server = echo(listen(link.b()));
    let start = Instant::now();
    let mut stream = dial(&link).unwrap();
    assert!(start.elapsed() >= RTT);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    assert!(start.elapsed() >= 2 * RTT);
    drop(stream);
    server.join().unwrap();
}

#[test]
fn a_port_where_nobody_listens_is_refused_by_the_other_side_after_a_round_trip() {
    let Some(link) = Link::for_test(with_rtt()) else { return };
    let start = Instant::now();
    assert_eq!(dial(&link).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(start.elapsed() >= RTT);
}

#[test]
fn the_round_trip_can_be_changed_while_connected() {
    let Some(link) = Link::for_test(LinkOptions::default()) else { return };
    let server = echo(listen(link.b()));
    let mut stream = dial(&link).unwrap();
    link.set_rtt(3 * RTT).unwrap();
    let start = Instant::now();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    assert!(start.elapsed() >= 3 * RTT);
    drop(stream);
    server.join().unwrap();
}

#[test]
fn data_arrive_whole_through_losses() {
    let options =
        LinkOptions { rtt: Duration::from_millis(2), loss: 0.03, seed: 11, ..LinkOptions::default() };
    let Some(link) = Link::for_test(options) else { return };
    let server = echo(listen(link.b()));
    let stream = dial(&link).unwrap();
    let sent = data(500_000);
    let writer = thread::spawn({
        let (mut stream, sent) = (stream.try_clone().unwrap(), sent.clone());
        move || {
            stream.write_all(&sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
    });
    let mut received = Vec::new();
    (&stream).read_to_end(&mut received).unwrap();
    assert!(received == sent, "{} bytes came back of {}, or others", received.len(), sent.len());
    assert!(link.a_to_b().lost.packets > 0 && link.b_to_a().lost.packets > 0);
    writer.join().unwrap();
    server.join().unwrap();
}

#[test]
fn a_rate_is_not_exceeded() {
    let options = LinkOptions { rate_bytes_per_s: Some(1_000_000), ..LinkOptions::default() };
    let Some(link) = Link::for_test(options) else { return };
    let listener = listen(link.b());
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received.len()
    });
    let start = Instant::now();
    dial(&link).unwrap().write_all(&data(300_000)).unwrap();
    assert_eq!(reader.join().unwrap(), 300_000);
    assert!(start.elapsed() >= Duration::from_millis(300), "300 kB took {:?} at 1 MB/s", start.elapsed());
}

#[test]
fn writes_stall_while_the_link_is_cut_and_go_on_when_it_is_mended() {
    let Some(link) = Link::for_test(LinkOptions { rtt: Duration::from_millis(2), ..LinkOptions::default() })
    else {
        return;
    };
    let listener = listen(link.b());
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received
    });
    let mut stream = dial(&link).unwrap();
    link.cut();
    let delivered = link.a_to_b().delivered;
    // Buffers take some; then nothing moves any more.
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let sent = data(20_000_000);
    let mut taken = 0;
    let stalled = loop {
        match stream.write(&sent[taken..]) {
            Ok(len) => taken += len,
            Err(err) => break err.kind(),
        }
        assert!(taken < sent.len(), "20 MB went into a link that is cut");
    };
    assert_eq!(stalled, ErrorKind::WouldBlock);
    assert_eq!(link.a_to_b().delivered, delivered);
    assert!(link.a_to_b().cut.packets > 0);

    link.mend();
    stream.set_write_timeout(None).unwrap();
    stream.write_all(&sent[taken..taken + 1000]).unwrap();
    drop(stream);
    assert!(reader.join().unwrap() == sent[..taken + 1000], "other data arrived than were sent");
}

#[test]
fn a_link_that_stays_cut_is_an_error_after_the_user_timeout() {
    let Some(link) = Link::for_test(LinkOptions::default()) else { return };
    let listener = listen(link.b());
    let mut stream = dial(&link).unwrap();
    let (mut other_end, _) = listener.accept().unwrap();
    rustix::net::sockopt::set_tcp_user_timeout(&stream, 500).unwrap();
    link.cut();
    stream.write_all(b"into the dark").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);

    // The other end was told nothing: it is half open, and finds out when it sends after the link is mended.
    other_end.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(other_end.read(&mut [0; 100]).unwrap_err().kind(), ErrorKind::WouldBlock);
    link.mend();
    other_end.write_all(b"hello?").unwrap();
    other_end.set_read_timeout(None).unwrap();
    assert_eq!(other_end.read(&mut [0; 100]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn counters_tell_what_went_in_each_direction() {
    let Some(link) = Link::for_test(LinkOptions::default()) else { return };
    let listener = listen(link.b());
    let mut stream = dial(&link).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let before = (link.a_to_b(), link.b_to_a());
    stream.write_all(&data(100_000)).unwrap();
    accepted.read_exact(&mut vec![0; 100_000]).unwrap();
    let (there, back) = (link.a_to_b(), link.b_to_a());
    let bytes = there.delivered.bytes - before.0.delivered.bytes;
    // At least 70 packets, with at most 1448 bytes of data each and headers of 52. A busy machine may send some twice.
    assert!((103_640..200_000).contains(&bytes), "100000 bytes were {bytes} on the link");
    assert!(back.delivered.packets > before.1.delivered.packets, "nothing was acknowledged");
    assert!(back.delivered.bytes - before.1.delivered.bytes < 50_000);
    assert_eq!((there.lost.packets, there.overflowed.packets, there.cut.packets), (0, 0, 0));
    link.check().unwrap();
}

#[test]
fn commands_run_inside_and_their_status_comes_back() {
    let Some(link) = Link::for_test(LinkOptions::default()) else { return };
    let own = |side: &Side| side.enter(|| fs::read_link("/proc/thread-self/ns/net").unwrap()).unwrap();
    let output = woof_kit::output(link.b().command("readlink").arg("/proc/self/ns/net"));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), own(link.b()).to_str().unwrap());
    assert_ne!(own(link.a()), own(link.b()));
    assert_eq!(woof_kit::output(link.a().command("sh").args(["-c", "exit 7"])).status.code(), Some(7));
    assert_eq!(woof_kit::output(&mut link.a().command("no-such-program")).status.code(), Some(127));
}

#[test]
fn a_listener_is_noticed_without_connecting_to_it() {
    let Some(link) = Link::for_test(LinkOptions::default()) else { return };
    let err = link.b().wait_listening(PORT, Duration::ZERO).unwrap_err();
    assert_eq!(err.to_string(), "link: nobody listens on 10.89.0.2:7144 after 0ns");
    let listener = listen(link.b());
    link.b().wait_listening(PORT, Duration::from_secs(10)).unwrap();
    assert!(!link.a().is_listening(PORT).unwrap());
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_side_reaches_itself_and_many_links_live_side_by_side() {
    let Some(first) = Link::for_test(LinkOptions::default()) else { return };
    let Some(second) = Link::for_test(LinkOptions::default()) else { return };
    for link in [&first, &second] {
        let listener = listen(link.b());
        let own = (link.b().address(), PORT);
        link.b().enter(|| TcpStream::connect(own)).unwrap().unwrap();
        listener.accept().unwrap();
        assert_eq!(link.b_to_a().sent.packets, 0);
    }
}

/// Whether any process still has this namespace, as its own or as an open file.
fn is_held(namespace: u64) -> bool {
    let is_it = |path: std::path::PathBuf| fs::metadata(path).is_ok_and(|found| found.ino() == namespace);
    let entries = |path: std::path::PathBuf| {
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    entries("/proc".into()).into_iter().any(|process| {
        entries(process.join("task")).into_iter().any(|task| is_it(task.join("ns/net")))
            || entries(process.join("fd")).into_iter().any(|fd| {
                fs::read_link(&fd)
                    .is_ok_and(|target| target.to_string_lossy() == format!("net:[{namespace}]"))
            })
    })
}

#[test]
fn a_dropped_link_leaves_no_namespace() {
    let Some(link) = Link::for_test(LinkOptions::default()) else { return };
    let number =
        |side: &Side| side.enter(|| fs::metadata("/proc/thread-self/ns/net").unwrap().ino()).unwrap();
    let namespaces = [number(link.a()), number(link.b())];
    assert!(namespaces.into_iter().all(is_held));
    drop(link);
    // A process that another test starts meanwhile has copies of all descriptors until it becomes its program.
    let give_up = Instant::now() + Duration::from_secs(10);
    while namespaces.into_iter().any(is_held) {
        assert!(Instant::now() < give_up, "a namespace is still held");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_link_refuses_what_no_link_can_be() {
    let err = Link::new(LinkOptions { loss: -0.1, ..LinkOptions::default() }).unwrap_err();
    assert_eq!(err.to_string(), "link: a loss of -0.1 is not between 0 and 1");
    let Some(link) = Link::for_test(LinkOptions::default()) else { return };
    assert_eq!(link.set_rate(Some(0)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(link.set_loss(2.0).unwrap_err().to_string(), "link: a loss of 2 is not between 0 and 1");
}
