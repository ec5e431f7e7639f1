//! Servers that answer what they should not: the client says what was wrong, believes nothing it did not ask for, and comes to an
//! end.

use crate::direct::{CANCEL, DATA, END, GOAWAY, OPEN, frame};
use libwoofstream::client::{Dial, Limit, Patience, Remote, Transport, Waited};
use libwoofstream::error::{Error, Result};
use libwoofstream::log::Stamp;
use libwoofstream::name::Address;
use libwoofstream::net::GREETING;
use libwoofstream::space::{Collected, Follow, Selection, Space as _, Stop};
use libwoofstream::wire::{Dir, encode};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server that says the same to everybody, and then closes the connection or says nothing any more.
pub(crate) struct Fake {
    says: Vec<u8>,
    closes: bool,
    pub(crate) dials: AtomicU64,
    now: Arc<AtomicU64>,
    told: Mutex<Vec<String>>,
}

struct Wire {
    says: Vec<u8>,
    closes: bool,
    now: Arc<AtomicU64>,
}

impl Transport for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.says.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.says[..len]);
        self.says.drain(..len);
        if len > 0 || self.closes { Ok(len) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn wait(&mut self, _: bool, timeout: Option<Duration>, _: Option<&Stop>) -> io::Result<Waited> {
        self.now.fetch_add(timeout.unwrap().as_millis() as u64, Ordering::Relaxed);
        Ok(Waited::TimedOut)
    }
}

impl Dial for Fake {
    fn dial(&self, _: &Address, _: Duration) -> Result<Box<dyn Transport>> {
        assert!(self.dials.fetch_add(1, Ordering::Relaxed) < 2000, "it never gives up");
        Ok(Box::new(Wire { says: self.says.clone(), closes: self.closes, now: Arc::clone(&self.now) }))
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.now.load(Ordering::Relaxed))
    }

    fn pause(&self, time: Duration, _: &Stop) -> bool {
        self.now.fetch_add(time.as_millis() as u64 + 1, Ordering::Relaxed);
        true
    }

    fn random(&self) -> u64 {
        5
    }
}

pub(crate) fn fake(says: &[u8], closes: bool) -> Arc<Fake> {
    Arc::new(Fake {
        says: says.to_vec(),
        closes,
        dials: AtomicU64::new(0),
        now: Arc::new(AtomicU64::new(1)),
        told: Mutex::default(),
    })
}

pub(crate) fn remote(fake: &Arc<Fake>, wait: Option<Limit>) -> Remote {
    let told = Arc::clone(fake);
    let notify = Arc::new(move |text: &str| told.told.lock().unwrap().push(text.to_owned()));
    let patience = Patience { timeout: Duration::from_secs(5), wait, notify };
    Remote::new(Arc::clone(fake) as Arc<dyn Dial>, Address::parse("server/").unwrap(), patience)
}

/// A greeting and these frames.
pub(crate) fn says(frames: &[Vec<u8>]) -> Vec<u8> {
    [&GREETING[..], &frames.concat()].concat()
}

/// The stream of an answer in frames of exchange 1.
pub(crate) fn stream(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::preamble(&mut bytes);
    write(&mut bytes);
    bytes.chunks(64 << 10).flat_map(|piece| frame(DATA, 1, piece)).collect()
}

fn dir(from: u64) -> Dir {
    Dir::new()
        .set("path", "w")
        .set("type", "woof")
        .set("content", "text")
        .set("created", 7u64)
        .set("from", from)
}

/// What a range ends with, and what it gave before.
fn read(says: &[u8], closes: bool) -> (Result<()>, Vec<u64>, u64) {
    let fake = fake(says, closes);
    let mut seen = Collected::default();
    let done = remote(&fake, None).read("w", &Selection::default(), &mut seen);
    (done, seen.seqnos(), fake.dials.load(Ordering::Relaxed))
}

#[track_caller]
fn read_fails(frames: &[Vec<u8>], why: &str, elements: &[u64]) {
    let (done, seen, dials) = read(&says(frames), false);
    assert_eq!(done.unwrap_err().to_string(), why);
    assert_eq!(seen, elements);
    assert_eq!(dials, 1);
}

#[test]
fn a_greeting_that_is_none_or_of_another_version_is_named() {
    for (greeting, why) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            "woof://server:7144: the other side does not speak the protocol of woofs",
        ),
        (
            b"\x89WOOC\r\n\x09",
            "woof://server:7144: the server speaks protocol version 9, this program version 1",
        ),
    ] {
        for closes in [false, true] {
            let (done, _, dials) = read(greeting, closes);
            assert_eq!(done.unwrap_err().to_string(), why);
            assert_eq!(dials, 1);
        }
    }
    let (done, ..) = read(b"", false);
    assert_eq!(
        done.unwrap_err().to_string(),
        "woof://server:7144: no answer to the handshake in time (--timeout)"
    );
    let (done, ..) = read(b"\x89WOO", true);
    assert_eq!(
        done.unwrap_err().to_string(),
        "woof://server:7144: the connection was closed before the server answered"
    );
}

#[test]
fn an_answer_that_cannot_be_is_an_error_that_says_why() {
    read_fails(&[frame(END, 1, b"")], "w: the server's answer has no end", &[]);
    read_fails(&[stream(|_| {}), frame(END, 1, b"")], "w: stream cut after 0 messages", &[]);
    read_fails(
        &[stream(|out| encode::dir(out, &Dir::new().set("from", 1u64)).unwrap())],
        "w: the answer does not say what it is of",
        &[],
    );
    let elements = |seqnos: &'static [u64]| {
        stream(move |out| {
            encode::dir(out, &dir(5)).unwrap();
            seqnos.iter().for_each(|seqno| encode::elem(out, *seqno, 0, b"x"));
        })
    };
    read_fails(&[elements(&[5, 7, 6])], "w: the server sends element 6 after 7", &[5, 7]);
    read_fails(&[elements(&[4])], "w: the server sends element 4 after 4", &[]);
    read_fails(&[elements(&[5, 5])], "w: the server sends element 5 after 5", &[5]);
    read_fails(&[elements(&[5, 6]), frame(END, 1, b"")], "w: stream cut after 3 messages", &[5, 6]);
    read_fails(&[stream(|out| encode::elem(out, 9, 0, b"x"))], "w: the server sends element 9 after 0", &[]);
    let twice = stream(|out| (0..2).for_each(|_| encode::dir(out, &dir(1)).unwrap()));
    read_fails(&[twice], "w: the answer says twice what it is of", &[]);
    read_fails(
        &[frame(OPEN, 1, &[0; 20])],
        "woof://server:7144: protocol error: a request from a server",
        &[],
    );
    read_fails(
        &[b"\xff\xff\xff\x02\x01\0\0\0".to_vec()],
        "woof://server:7144: frame of 16777215 bytes, the limit is 131072",
        &[],
    );
    let huge = stream(|out| out.extend_from_slice(&[0, 0, 0, 0x80, 2, 0, 0, 0]));
    read_fails(&[huge], "frame of 2147483648 bytes, the limit is 1048576", &[]);
}

#[test]
fn what_was_not_asked_for_is_passed_over() {
    let other = |kind, payload: &[u8]| frame(kind, 9, payload);
    let answer = stream(|out| {
        encode::dir(out, &dir(1)).unwrap();
        encode::app(out, "woof.in", &[0; 24]).unwrap();
        encode::elem(out, 1, 0, b"x");
        encode::end(out, Ok(()));
    });
    let frames =
        [other(DATA, b"rubbish"), other(END, b""), other(CANCEL, &[0x80]), frame(200, 3, b"x"), answer];
    let (done, seen, dials) = read(&says(&frames), false);
    done.unwrap();
    assert_eq!((seen, dials), (vec![1], 1));
}

#[test]
fn a_server_that_never_ends_is_given_up_and_nothing_is_given_out_twice() {
    let begun = stream(|out| {
        encode::dir(out, &dir(1)).unwrap();
        (1..4).for_each(|seqno| encode::elem(out, seqno, 0, b"x"));
    });
    // It closes each time after the same elements, whatever is asked for: the second time they come from the beginning, as
    // those of a woof that lost them, so the client cannot know better.
    let fake = fake(&says(&[stream(|out| encode::dir(out, &dir(1)).unwrap())]), true);
    let mut seen = Collected::default();
    let err = remote(&fake, None).read("w", &Selection::default(), &mut seen).unwrap_err();
    assert!(err.to_string().contains("the connection was closed by the server; tried"), "{err}");
    assert!(fake.dials.load(Ordering::Relaxed) < 30);
    // It says nothing more.
    let (done, seen, _) = read(&says(&[begun]), false);
    assert!(done.is_err());
    assert_eq!(seen[..3], [1, 2, 3]);
}

#[test]
fn positions_beyond_all_numbers_do_no_harm() {
    let mark = stream(|out| {
        encode::dir(out, &dir(1)).unwrap();
        encode::seqno(out, u64::MAX, "w");
    });
    let fake = fake(&says(&[mark]), true);
    let stop = Stop::default();
    let selection =
        Selection { follow: Some(Follow { stop: stop.clone() }), limit: Some(1), ..Selection::default() };
    let told = Arc::clone(&fake);
    let patience = Patience {
        timeout: Duration::from_secs(5),
        wait: None,
        notify: Arc::new(move |text: &str| {
            told.told.lock().unwrap().push(text.to_owned());
        }),
    };
    let remote =
        Remote::new(Arc::clone(&fake) as Arc<dyn Dial>, Address::parse("server/").unwrap(), patience);
    let bounded = Selection { follow: None, ..selection };
    assert!(remote.read("w", &bounded, &mut Collected::default()).is_err());
    drop(stop);
}

/// Puts three elements; what it ends with, and how much was told.
fn put(frames: &[Vec<u8>], closes: bool, wait: Option<Limit>) -> (Error, usize, u64) {
    let fake = fake(&says(frames), closes);
    let mut told = 0;
    let mut put = remote(&fake, wait).put("w", None).unwrap();
    let items = [&b"1"[..], b"2", b"3"];
    let done =
        put.put(&mut items.into_iter(), &mut |_| told += 1).and_then(|()| put.settle(&mut |_| told += 1));
    drop(put);
    (done.unwrap_err(), told, fake.dials.load(Ordering::Relaxed))
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn opened(out: &mut Vec<u8>) {
    encode::app(out, "woof.opened", &[words(&[7, 1, 100]), vec![0]].concat()).unwrap();
}

#[test]
fn answers_to_a_put_that_cannot_be_are_an_error_and_not_believed() {
    let answers = |answers: &[(&str, Vec<u8>)]| {
        stream(|out| {
            opened(out);
            answers.iter().for_each(|(name, data)| encode::app(out, name, data).unwrap());
        })
    };
    let fault = [0x80];
    let turn = "w: the server answers for what was not put, or out of turn";
    for (frames, why, told) in [
        (answers(&[("woof.in", words(&[7, 1, 1]))]), turn, 0),
        (answers(&[("woof.in", words(&[2, 1, 1]))]), turn, 0),
        (answers(&[("woof.in", words(&[1, 1, 4]))]), turn, 0),
        (answers(&[("woof.in", words(&[1, 1, 1 << 60]))]), turn, 0),
        (answers(&[("woof.in", words(&[1, u64::MAX, 1]))]), turn, 0),
        (answers(&[("woof.in", words(&[1, 0, u64::MAX]))]), turn, 0),
        (answers(&[("woof.in", words(&[1, 1, 0]))]), turn, 0),
        (answers(&[("woof.in", words(&[0, 1, 1]))]), turn, 0),
        (answers(&[("woof.in", words(&[1, 1, 2])), ("woof.in", words(&[1, 1, 2]))]), turn, 1),
        (answers(&[("woof.refused", [&words(&[9])[..], &fault].concat())]), turn, 0),
        (answers(&[("woof.refused", [&words(&[2])[..], &fault].concat())]), turn, 0),
        (answers(&[("woof.in", words(&[1, 1]))]), "w: an answer of the server is too short", 0),
        (
            stream(|out| encode::app(out, "woof.opened", &[0; 7]).unwrap()),
            "w: an answer of the server is too short",
            0,
        ),
    ] {
        let (err, was_told, dials) = put(&[frames], false, None);
        assert_eq!((err.to_string().as_str(), was_told, dials), (why, told, 1));
    }
    let (err, ..) = put(&[frame(END, 1, b"")], false, None);
    assert_eq!(err.to_string(), "w: the server's answer has no end");
}

#[test]
fn a_put_gives_up_on_a_server_that_takes_connections_and_answers_nothing() {
    for frames in [
        vec![],
        vec![stream(opened)],
        vec![stream(|out| {
            opened(out);
            encode::end(out, Ok(()));
        })],
    ] {
        let (err, told, dials) = put(&frames, true, Some(Limit::Times(3)));
        assert!(err.to_string().contains("; tried 4 times in "), "{err}");
        assert_eq!((told, dials), (0, 4));
        let (_, _, dials) = put(&frames, true, Some(Limit::Time(Duration::from_secs(3600))));
        // Later each time: for an hour, at most every 10 to 15 s.
        assert!((200..500).contains(&dials), "{dials}");
    }
    let (err, _, dials) = put(&[], true, None);
    assert_eq!(err.to_string(), "woof://server:7144: the connection was closed by the server");
    assert_eq!(dials, 1);
}

#[test]
fn what_a_server_says_at_the_end_is_told_even_if_it_closes_at_once() {
    let fault = b"\x82\xa4code\xa6denied\xa4text\xa2no";
    for kind in [CANCEL, GOAWAY] {
        let (err, _, dials) =
            put(&[frame(kind, u32::from(kind == CANCEL), fault)], true, Some(Limit::Times(9)));
        assert!(err.to_string().ends_with(": no"), "{err}");
        assert_eq!(dials, 1);
    }
}

#[test]
fn stamps_that_cannot_be_are_refused_here() {
    let fake = fake(&says(&[stream(opened)]), false);
    let mut put = remote(&fake, None).put("w", None).unwrap();
    for seq in [0, u64::MAX] {
        let items = [(Stamp { writer: 4, seq }, &b"x"[..])];
        let err = put.put_stamped(&mut items.into_iter(), &mut |_| {}).unwrap_err();
        assert_eq!(err.to_string(), format!("w: writer sequence {seq} after 0"));
    }
}

#[test]
fn a_stat_without_attributes_and_a_list_that_is_none_are_errors() {
    let empty = || says(&[stream(|out| encode::end(out, Ok(()))), frame(END, 1, b"")]);
    let err = remote(&fake(&empty(), false), None).stat("w").unwrap_err();
    assert_eq!(err.to_string(), "w: the server's answer has no attributes");
    let list = says(&[stream(|out| {
        encode::bytes(out, b"grant everybody everything\n");
        encode::end(out, Ok(()));
    })]);
    assert!(remote(&fake(&list, false), None).access("w").is_err());
}
