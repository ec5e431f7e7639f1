//! Clients that do everything wrong: each is told what, and another one is served meanwhile.

use crate::direct::{CANCEL, CREDIT, Client, DATA, END, GOAWAY, OPEN, PING, frame, open, owner, site, text};
use crate::world::directory;
use libwoofstream::error::Code;
use libwoofstream::log;
use libwoofstream::net::{Access, Create, Find, GREETING, Named, Put, Read, Request};
use libwoofstream::server::{Limits, Pumped, Site};
use libwoofstream::wire::encode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn named(name: &str) -> Named {
    Named { name: name.to_owned() }
}

fn put(writer: u64) -> Request {
    Request::Put(Put { name: "farm/temp".into(), writer, content: "text".into(), ..Put::default() })
}

fn read(follow: bool) -> Request {
    Request::Read(Read { name: "farm/temp".into(), range: true, follow, ..Read::default() })
}

/// Somebody else is served.
fn others_are_served(site: &Arc<Site>) {
    let answer = Client::ask(site, owner(site.root()), &Request::Stat(named("farm/temp")));
    assert!(answer.contains("farm/temp"), "{answer}");
}

/// What is sent after the greeting is an error of the protocol, which is told and ends the connection.
#[track_caller]
fn ends(site: &Arc<Site>, bytes: &[u8], why: &str) {
    let mut client = Client::greeted(site);
    let err = client.send(bytes).unwrap_err();
    assert_eq!(err.to_string(), why);
    assert!(client.server.is_over());
    let frames = client.take();
    let last = frames.last().unwrap();
    assert_eq!(last.kind, GOAWAY);
    assert!(text(last).contains(why), "{}", text(last));
    // Nothing else is listened to.
    client.send(&open(7, 100, &Request::Stat(named("farm/temp")))).unwrap();
    assert!(client.take().is_empty());
    others_are_served(site);
}

#[test]
fn what_is_no_greeting_or_of_another_version_is_answered_by_name() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    for (greeting, why) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "the other side does not speak the protocol of woofs"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "the other side does not speak the protocol of woofs"),
        (b"\x89WOOC\r\n\x00", "protocol version 0, this server speaks version 1"),
        (b"\x89WOOC\r\n\x09", "protocol version 9, this server speaks version 1"),
    ] {
        for step in [1, greeting.len()] {
            let mut client = Client::new(&site, owner(dir.path()));
            let err = greeting.chunks(step).find_map(|piece| client.send(piece).err()).unwrap();
            assert_eq!(err.to_string(), why);
            assert_eq!(err.code(), Code::Unsupported);
            let frames = client.take();
            assert_eq!(frames.len(), 1);
            assert_eq!(frames[0].kind, GOAWAY);
            assert!(text(&frames[0]).contains(why));
            assert!(client.server.is_over());
        }
    }
    others_are_served(&site);
}

#[test]
fn frames_that_cannot_be_end_the_connection_with_the_reason() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let stat = Request::Stat(named("farm/temp"));
    ends(&site, b"\xff\xff\xff\x02\x01\0\0\0", "frame of 16777215 bytes, the limit is 131072");
    ends(&site, &frame(99, 1, b"x"), "a frame of the unknown kind 99");
    ends(&site, &frame(OPEN, 0, b"x"), "protocol error: frame of kind 1 for exchange 0");
    ends(&site, &frame(PING, 3, &[0; 8]), "protocol error: frame of kind 6 for exchange 3");
    ends(&site, &frame(PING, 0, &[0; 7]), "protocol error: ping frame with 7 bytes instead of 8");
    ends(&site, &frame(OPEN, 1, b"x"), "protocol error: a request of 1 bytes");
    let twice = [open(2, 9, &stat), open(2, 9, &stat)].concat();
    ends(&site, &twice, "protocol error: exchange 2 after exchange 2");
    let opened = open(1, 9, &read(true));
    ends(
        &site,
        &[&opened[..], &frame(DATA, 1, b"")].concat(),
        "protocol error: a frame of data without data",
    );
    ends(
        &site,
        &[&opened[..], &frame(END, 1, b""), &frame(DATA, 1, b"x")].concat(),
        "protocol error: data of exchange 1 after its end",
    );
    ends(
        &site,
        &[&opened[..], &frame(CREDIT, 1, &[255; 4])].concat(),
        "protocol error: credit of exchange 1 over 2147483648 bytes",
    );
    ends(&site, &open(1, u32::MAX, &stat), "protocol error: credit of exchange 1 over 2147483648 bytes");
    let megabyte = frame(DATA, 1, &[0; 128 << 10]).repeat(9);
    ends(
        &site,
        &[&open(1, 9, &put(5))[..], &megabyte].concat(),
        "protocol error: data of exchange 1 without credit",
    );
}

#[test]
fn what_is_of_later_versions_or_of_nothing_that_is_open_is_passed_over() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let mut client = Client::greeted(&site);
    let fault = [&[0x80][..]].concat();
    for kind in [DATA, END, CREDIT] {
        let payload: &[u8] = match kind {
            DATA => b"data",
            CREDIT => &[1; 4],
            _ => b"",
        };
        client.send(&frame(kind, 77, payload).repeat(1000)).unwrap();
    }
    client.send(&frame(CANCEL, 77, &fault).repeat(1000)).unwrap();
    client.send(&frame(200, 0, b"of the future")).unwrap();
    assert_eq!(client.take(), []);
    client.send(&open(78, 1 << 20, &Request::Stat(named("farm/temp")))).unwrap();
    assert!(client.answer(78).0.contains("farm/temp"));
}

#[test]
fn a_request_that_is_not_known_is_refused_by_name_and_the_connection_goes_on() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let mut client = Client::greeted(&site);
    let request = b"\x82\xa4verb\xa5paint\xa4name\xa1x";
    client.send(&frame(OPEN, 1, &[&[0, 0, 1, 0][..], request].concat())).unwrap();
    let (answer, complete) = client.answer(1);
    assert!(complete && answer.contains("the server knows no request \"paint\""), "{answer}");
    client.send(&frame(OPEN, 2, &[&[0, 0, 1, 0][..], b"\xc1\xc1"].concat())).unwrap();
    let (answer, complete) = client.answer(2);
    assert!(complete && answer.contains("damaged request"), "{answer}");
    client.send(&open(3, 1 << 20, &Request::Stat(named("farm/temp")))).unwrap();
    assert!(client.answer(3).1);
}

#[test]
fn exchanges_over_the_limit_are_cancelled_by_name_however_many() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let mut client = Client::greeted(&site);
    let all: Vec<u8> = (1..=300).flat_map(|number| open(number, 1 << 10, &read(true))).collect();
    client.send(&all).unwrap();
    let frames = client.take();
    let cancelled: Vec<_> = frames.iter().filter(|frame| frame.kind == CANCEL).collect();
    assert_eq!(cancelled.len(), 44);
    assert!(cancelled.iter().all(|frame| frame.exchange > 256));
    assert!(
        text(cancelled[0]).contains("256 exchanges are open on this connection, the limit of this server")
    );
    assert_eq!(
        site.metrics().render().lines().find(|line| line.starts_with("woofstream_exchanges ")),
        Some("woofstream_exchanges 256")
    );
    // A million more, by a client that never reads: the server stops reading when 1 MiB waits to be sent, and no more
    // than this comes of what it reads at once.
    let mut sent = 300;
    while sent < 1_000_000 {
        let some: Vec<u8> = (0..8_000).flat_map(|more| frame(OPEN, sent + 1 + more, &[0; 5])).collect();
        sent += 8_000;
        client.send(&some).unwrap();
        assert!(client.server.output().len() < 2 << 20);
        client.server.output().clear();
    }
    others_are_served(&site);
    // One that is over makes room for another.
    client.send(&[frame(CANCEL, 1, &[0x80]), open(sent + 1, 1 << 10, &read(true))].concat()).unwrap();
    assert!(client.take().iter().any(|frame| frame.kind == DATA && frame.exchange == sent + 1));
    drop(client);
    assert!(site.metrics().render().contains("\nwoofstream_exchanges 0\n"));
    assert!(site.metrics().render().contains("\nwoofstream_follows 0\n"));
}

#[test]
fn answers_to_pings_that_nobody_reads_are_no_more_than_the_pings() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let mut client = Client::greeted(&site);
    let pings = frame(PING, 0, b"12345678").repeat(8192);
    client.send(&pings).unwrap();
    assert_eq!(client.server.output().len(), GREETING.len() + pings.len());
}

/// What a put answers to these bytes of its stream.
fn put_stream(site: &Arc<Site>, stream: &[u8], end: bool) -> String {
    static WRITER: AtomicU64 = AtomicU64::new(100);
    let mut client = Client::greeted(site);
    client.send(&open(1, 1 << 24, &put(WRITER.fetch_add(1, Ordering::Relaxed)))).unwrap();
    for piece in stream.chunks(64 << 10) {
        client.send(&frame(DATA, 1, piece)).unwrap();
    }
    if end {
        client.send(&frame(END, 1, &[])).unwrap();
    }
    let (answer, complete) = client.answer(1);
    assert!(complete, "{answer}");
    others_are_served(site);
    answer
}

#[test]
fn streams_of_puts_that_go_wrong_are_refused_by_name_and_what_came_before_is_in() {
    let dir = directory();
    let site = site(dir.path(), Limits { element: 3 << 20, ..Limits::default() });
    let woof = log::open(&dir.path().join("farm/temp")).unwrap();
    let mut good = Vec::new();
    encode::preamble(&mut good);
    encode::bytes(&mut good, b"not an element, and passed over");
    encode::elem(&mut good, 1, 0, b"1");
    encode::elem(&mut good, 2, 0, b"2");
    let expect = |stream: &[u8], end: bool, why: &str, put: u64| {
        let before = woof.next_seqno();
        let answer = put_stream(&site, stream, end);
        assert!(answer.contains(why), "{answer}");
        assert_eq!(woof.next_seqno() - before, put, "{why}");
    };
    expect(&good, true, "stream cut after 3 messages", 2);
    expect(&good[..good.len() - 1], true, "stream cut after 2 messages", 1);
    let mut back = good.clone();
    encode::elem(&mut back, 1, 0, b"3");
    expect(&back, false, "writer sequence 1 after 2", 2);
    let mut zero = good[..8].to_vec();
    encode::elem(&mut zero, 0, 0, b"3");
    expect(&zero, false, "writer sequence 0 after 0", 0);
    // The header of a message of 2 GiB, and a message that grows beyond the limit frame by frame.
    let elem = good[good.len() - 1 - 16 - 8 + 4];
    let huge = [&good[..], &(2u32 << 30).to_le_bytes(), &[elem, 0, 0, 0]].concat();
    expect(&huge, false, "an element is over 3145728 bytes, the limit of this server (--max-element)", 2);
    let mut long = good.clone();
    encode::elem(&mut long, 3, 0, &vec![b'.'; 4 << 20]);
    expect(&long, false, "an element is over 3145728 bytes, the limit of this server (--max-element)", 2);
    let short = [&good[..], &3u32.to_le_bytes(), &[elem, 0, 0, 0], b"abc"].concat();
    expect(&short, false, "an element that is too short", 2);
    expect(b"raw lines\n", false, "not a stream of messages", 0);
}

#[test]
fn names_that_lead_elsewhere_are_refused_by_name_for_every_request() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    std::fs::create_dir_all(dir.path().join("other/.woof")).unwrap();
    std::os::unix::fs::symlink("/etc", dir.path().join("farm/etc")).unwrap();
    std::os::unix::fs::symlink("../../..", dir.path().join("farm/up")).unwrap();
    std::os::unix::fs::symlink("../farm/temp", dir.path().join("other/temp")).unwrap();
    let long = format!("farm/{}", "x".repeat(300));
    for (name, why) in [
        ("farm/../farm/temp", "a name within a server has no \"..\""),
        ("../x", "a name within a server has no \"..\""),
        ("/etc/passwd", "a name within a server does not begin with \"/\""),
        ("farm//temp", "a name within a server has no empty parts and no \".\""),
        ("./farm", "a name within a server has no empty parts and no \".\""),
        ("farm/\0temp", "a name has no newlines or other control characters"),
        ("farm/a\nb", "a name has no newlines or other control characters"),
        ("farm/.woof/server.lock", "names that begin with .woof are the namespace's own"),
        (".woof", "names that begin with .woof are the namespace's own"),
        ("woof://elsewhere/farm", "not a name within this server"),
        ("farm/etc/passwd", "a symbolic link, which is not followed here"),
        ("farm/etc/new/passwd", "a symbolic link, which is not followed here"),
        ("farm/up/x", "a symbolic link, which is not followed here"),
        ("farm/etc/x", "a symbolic link, which is not followed here"),
        (&long, "is 300 bytes long, the limit is 255"),
    ] {
        let content = || "text".to_owned();
        for request in [
            Request::Stat(named(name)),
            Request::Remove(named(name)),
            Request::Namespace(named(name)),
            Request::Read(Read { name: name.into(), ..Read::default() }),
            Request::Put(Put {
                name: name.into(),
                content: content(),
                create: Some(content()),
                ..Put::default()
            }),
            Request::Find(Find { name: name.into(), get: true, ..Find::default() }),
            Request::Create(Create {
                name: name.into(),
                history: 10,
                capacity: 4096,
                content: content(),
                parents: true,
                reset: true,
                ..Create::default()
            }),
            Request::Access(libwoofstream::net::Access {
                name: name.into(),
                change: Some("grant any read".into()),
            }),
        ] {
            let answer = Client::ask(&site, owner(dir.path()), &request);
            assert!(answer.contains(why), "{request:?}: {answer}");
        }
    }
    let answer = Client::ask(&site, owner(dir.path()), &Request::Stat(named("other/temp")));
    assert!(answer.contains("a symbolic link, which is not followed here"), "{answer}");
    others_are_served(&site);
}

#[test]
fn a_slow_reader_holds_up_nobody_and_little_is_held_for_it() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let path = dir.path().join("farm/large");
    log::create(&path, &log::Options { history: 100, capacity: 32 << 20, ..Default::default() }).unwrap();
    let mut appender = log::open(&path).unwrap().appender().unwrap();
    for _ in 0..15 {
        appender.append(&vec![b'.'; 2 << 20]).unwrap();
    }
    let large =
        |follow| Request::Read(Read { name: "farm/large".into(), range: true, follow, ..Read::default() });
    // One that gives credit for everything and reads nothing: one element more than is enough is held.
    let mut slow = Client::greeted(&site);
    slow.send(&open(1, 1 << 31, &large(false))).unwrap();
    assert!(slow.server.output().len() < (2 << 20) + (512 << 10), "{}", slow.server.output().len());
    // One whose exchange has no credit, beside another on the same connection and one on another.
    let mut both = Client::greeted(&site);
    both.send(&[open(1, 1000, &large(true)), open(2, 1 << 31, &large(false))].concat()).unwrap();
    let frames = both.take();
    let bytes = |exchange| -> usize {
        frames
            .iter()
            .filter(|frame| frame.kind == DATA && frame.exchange == exchange)
            .map(|frame| frame.payload.len())
            .sum()
    };
    assert_eq!(bytes(1), 1000);
    assert!(bytes(2) > 15 * (2 << 20));
    assert!(frames.iter().any(|frame| frame.kind == END && frame.exchange == 2));
    others_are_served(&site);
    // The slow one gets the rest when it wants it.
    let all =
        slow.take().iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum::<usize>();
    assert!(all > 15 * (2 << 20));
}

#[test]
fn answers_of_a_put_that_nobody_takes_stop_the_put() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let path = dir.path().join("farm/numbers");
    let content = libwoofstream::content::ContentType::I64;
    log::create(&path, &log::Options { history: 100, capacity: 1 << 20, content, ..Default::default() })
        .unwrap();
    let mut client = Client::greeted(&site);
    let request = Put { name: "farm/numbers".into(), writer: 1, content: "text".into(), ..Put::default() };
    client.send(&open(1, 100, &Request::Put(request))).unwrap();
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    for seq in 1..=30_000 {
        encode::elem(&mut stream, seq, 0, b"x");
    }
    // Each is refused, with an answer that is longer than it.
    for piece in stream.chunks(128 << 10) {
        client.send(&frame(DATA, 1, piece)).unwrap();
    }
    let refused = |frames: &[crate::direct::Frame]| -> usize {
        let bytes: Vec<u8> = frames
            .iter()
            .filter(|frame| frame.kind == DATA)
            .flat_map(|frame| frame.payload.clone())
            .collect();
        String::from_utf8_lossy(&bytes).matches("woof.refused").count()
    };
    let first = client.take();
    assert!(refused(&first) <= 1);
    client.send(&frame(CREDIT, 1, &(100u32 << 20).to_le_bytes())).unwrap();
    assert_eq!(refused(&first) + refused(&client.take()), 30_000);
}

#[test]
fn what_comes_late_of_a_put_is_not_appended_again() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let woof = log::open(&dir.path().join("farm/temp")).unwrap();
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    encode::elem(&mut stream, 1, 0, b"once");
    let request = |resume| {
        Request::Put(Put {
            name: "farm/temp".into(),
            writer: 9,
            content: "text".into(),
            resume,
            ..Put::default()
        })
    };
    let sent = |resume| [open(1, 1 << 20, &request(resume)), frame(DATA, 1, &stream)].concat();
    // The first connection is lost, and all it carried arrives after the put went on over another one.
    let mut second = Client::greeted(&site);
    second.send(&sent(Some(1))).unwrap();
    assert!(second.answer(1).0.contains("woof.in"));
    for (resume, why) in [(None, "this put was begun before"), (Some(1), "woof.in")] {
        let mut late = Client::greeted(&site);
        late.send(&sent(resume)).unwrap();
        let answer = late.answer(1).0;
        assert!(answer.contains(why), "{answer}");
        assert_eq!(woof.next_seqno(), 3);
    }
    // The one that went on need not notice: each of them looks what is in.
    let mut next = Vec::new();
    encode::elem(&mut next, 2, 0, b"next");
    second.send(&frame(DATA, 1, &next)).unwrap();
    let (answer, complete) = second.answer(1);
    assert!(!complete && answer.contains("woof.in"), "{answer}");
    assert_eq!(woof.next_seqno(), 4);
    // The same number with other data is no element that was sent again.
    let mut other = Vec::new();
    encode::preamble(&mut other);
    encode::elem(&mut other, 1, 0, b"other");
    encode::elem(&mut other, 2, 0, b"next");
    let mut third = Client::greeted(&site);
    third.send(&[open(1, 1 << 20, &request(Some(1))), frame(DATA, 1, &other)].concat()).unwrap();
    let (answer, _) = third.answer(1);
    assert!(answer.contains("woof.refused") && answer.contains("woof.in"), "{answer}");
    let text = "was sent again with other data than that of element 2, which it was before";
    assert!(answer.contains(text), "{answer}");
    assert_eq!(woof.next_seqno(), 4);
}

#[test]
fn who_began_a_put_appends_nothing_when_another_connection_goes_on_with_it() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let woof = log::open(&dir.path().join("farm/temp")).unwrap();
    let request = |resume| {
        let (name, content) = ("farm/temp".into(), "text".into());
        Request::Put(Put { name, writer: 9, content, resume, ..Put::default() })
    };
    let elem = |seq| {
        let mut bytes = Vec::new();
        encode::elem(&mut bytes, seq, 0, b"once");
        frame(DATA, 1, &bytes)
    };
    let mut preamble = Vec::new();
    encode::preamble(&mut preamble);
    let begun = |resume| [open(1, 1 << 20, &request(resume)), frame(DATA, 1, &preamble), elem(1)].concat();
    let mut first = Client::greeted(&site);
    first.send(&begun(None)).unwrap();
    assert!(first.answer(1).0.contains("woof.in"));
    let mut second = Client::greeted(&site);
    second.send(&begun(Some(1))).unwrap();
    assert!(second.answer(1).0.contains("woof.in"));
    assert_eq!(woof.next_seqno(), 3);
    first.send(&elem(2)).unwrap();
    let (answer, complete) = first.answer(1);
    assert!(complete && answer.contains("stopped"), "{answer}");
    second.send(&elem(2)).unwrap();
    assert!(second.answer(1).0.contains("woof.in"));
    assert_eq!(woof.next_seqno(), 4);
}

#[test]
fn who_goes_on_with_a_woof_that_is_gone_is_told_and_makes_no_new_one() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let text = || "text".to_owned();
    let name = || "farm/gone".to_owned();
    let made = Some(5);
    for request in [
        Request::Put(Put { name: name(), content: text(), create: Some(text()), made, ..Put::default() }),
        Request::Read(Read { name: name(), from: Some(3), follow: true, made, ..Read::default() }),
    ] {
        let answer = Client::ask(&site, owner(dir.path()), &request);
        assert!(answer.contains("the woof was removed meanwhile"), "{answer}");
    }
    assert!(!dir.path().join("farm/gone").exists());
}

#[test]
fn an_expensive_predicate_is_worked_on_where_it_harms_nobody_and_in_turns() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let path = dir.path().join("farm/temp");
    log::open(&path).unwrap().appender().unwrap().extend(vec![&b"1"[..]; 3000], |_| {}).unwrap();
    let mut client = Client::greeted(&site);
    client.take();
    let filter = Some("value > 1e9 || text.matches('(a|b)*c')".to_owned());
    let request = Read { name: "farm/temp".into(), range: true, filter, ..Read::default() };
    client.server.receive(&open(1, 1 << 20, &Request::Read(request))).unwrap();
    // It is begun apart, and each of its turns is handed out anew: three for 3,001 elements.
    let mut turns = 0;
    while let Pumped::Apart(apart) = client.server.pump() {
        client.server.done(apart.run());
        turns += 1;
    }
    assert_eq!(turns, 3);
    assert!(client.answer(1).1);
    let wrong = Read { name: "farm/temp".into(), filter: Some("value >".into()), ..Read::default() };
    let answer = Client::ask(&site, owner(dir.path()), &Request::Read(wrong));
    assert!(answer.contains("expression"), "{answer}");
}

#[test]
fn what_waits_for_the_lock_of_a_namespace_is_done_where_it_harms_nobody() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let name = || "farm/temp".to_owned();
    let put = Put { name: name(), content: "text".into(), handler: Some("h".into()), ..Put::default() };
    let access = Access { name: "farm".into(), change: Some("grant any read".into()) };
    for request in [Request::Put(put), Request::Access(access)] {
        let mut client = Client::greeted(&site);
        client.server.receive(&open(1, 1 << 20, &request)).unwrap();
        assert!(matches!(client.server.pump(), Pumped::Apart(_)), "{request:?}");
    }
}
