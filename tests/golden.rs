//! Golden files of the stream format: every released version stays readable, and what is written stays the same.
//!
//! `tests/golden/stream-v1.woofs` was written once and never changes. The writer below makes the same bytes today; where it does
//! not, the test leaves what it made in the temporary directory of the target, and says where. A new version of the format gets a new
//! golden file, a writer and a reader of its own, next to these.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap here fails the test")]

use libwoofstream::chan::{Input, Reader};
use libwoofstream::wire::{Addr, Dir, Elem, Fault, Header, Kind, MORE, Message, Raw, Value, encode, mark};
use std::fs::File;
use std::path::Path;

const STREAM_V1: &str = "tests/golden/stream-v1.woofs";

/// 2026-11-22T01:02:03.000000004Z.
const TIME_NS: u64 = 1_795_309_323_000_000_004;

fn fault() -> Fault {
    Fault {
        code: "gone".into(),
        origin: "wget".into(),
        object: "farm/temp".into(),
        text: "no element 77: the oldest kept is 120, the newest 4031".into(),
    }
}

fn dir() -> Dir {
    Dir::new()
        .set("name", "farm/temp")
        .set("type", "f64")
        .set("history", 65536u64)
        .set("offset", -5)
        .set("largest", u64::MAX)
        .set("mean", 21.5)
        .set("sync", false)
        .set("owner", Value::Nil)
        .set("key", &b"\x00\xff"[..])
        .set("tags", vec![Value::from("edge"), Value::from(7)])
}

/// A message of a kind from the future, with flags and reserved bytes, in three frames.
fn from_the_future(out: &mut Vec<u8>) {
    for (payload, more) in [(&b"to be "[..], MORE), (b"", MORE), (b"continued", 0)] {
        let len = u32::try_from(payload.len()).unwrap();
        out.extend(Header { len, kind: Kind(200), flags: 0x40 | more, reserved: 0x1234 }.encode());
        out.extend(payload);
    }
}

/// Two streams one after another with every kind of message.
fn write_v1() -> Vec<u8> {
    let mut out = Vec::new();
    encode::preamble(&mut out);
    encode::elem(&mut out, 5, TIME_NS, b"21.5");
    encode::bytes(&mut out, b"a line\n");
    encode::seqno(&mut out, 6, "farm/alerts");
    encode::dir(&mut out, &dir()).unwrap();
    encode::bytes(&mut out, b"");
    encode::file_end(&mut out, 9, 0xe306_9283);
    encode::mark(&mut out, mark::CAUGHT_UP);
    let addr = Addr { name: "notes".into(), lines: Some((3, 7)), bytes: None, seqnos: Some((1, 1 << 40)) };
    encode::addr(&mut out, &addr).unwrap();
    encode::err(&mut out, &fault());
    encode::ign(&mut out, &Raw::bytes(b"set aside"));
    encode::app(&mut out, "point", &[1, 2]).unwrap();
    from_the_future(&mut out);
    encode::end(&mut out, Ok(()));
    encode::preamble(&mut out);
    encode::end(&mut out, Err(&fault()));
    out
}

#[test]
fn what_is_written_today_is_what_version_1_is() {
    let made = write_v1();
    let golden = std::fs::read(STREAM_V1).unwrap_or_default();
    if made != golden {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stream-v1.woofs");
        std::fs::write(&path, &made).unwrap();
        let at = made.iter().zip(&golden).take_while(|(a, b)| a == b).count();
        panic!("{STREAM_V1} differs from byte {at} on; what is written today is in {}", path.display());
    }
}

#[test]
fn version_1_is_read_as_it_was_meant() {
    let mut reader = Reader::new(File::open(STREAM_V1).unwrap().into(), STREAM_V1);
    let addr = Addr { name: "notes".into(), lines: Some((3, 7)), bytes: None, seqnos: Some((1, 1 << 40)) };
    let future = Raw { kind: Kind(200), flags: 0x40, reserved: 0x1234, payload: b"to be continued" };
    let expected = [
        Message::Elem(Elem { seqno: 5, time_ns: TIME_NS, data: b"21.5" }),
        Message::Bytes(b"a line\n"),
        Message::SeqNo { seqno: 6, woof: "farm/alerts" },
        Message::Dir(dir()),
        Message::Bytes(b""),
        Message::FileEnd { len: 9, crc32c: 0xe306_9283 },
        Message::Mark("caught-up"),
        Message::Addr(addr),
        Message::Err(fault()),
        Message::Ign { kind: Kind::BYTES, flags: 0, payload: b"set aside" },
        Message::App { name: "point", data: &[1, 2] },
        Message::Unknown(future),
    ];
    for expected in expected {
        match reader.next(&mut ()).unwrap() {
            Input::Message(raw) => assert_eq!(raw.decode().unwrap(), expected),
            other => panic!("{other:?} instead of {expected:?}"),
        }
    }
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::End(Ok(()))));
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::End(Err(status)) if status == fault()));
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Eof));
    assert_eq!(reader.messages(), 12);
}
