//! Messages taken apart, and payloads that do not fit their kind.

use super::*;
use crate::wire::encode;

/// The only message that `write` writes, as it stands in the stream.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> (Kind, Vec<u8>) {
    let mut out = Vec::new();
    write(&mut out);
    (Kind(out[4]), out.split_off(8))
}

fn decoded((kind, payload): &(Kind, Vec<u8>)) -> Message<'_> {
    Raw { kind: *kind, flags: 0, reserved: 0, payload }.decode().unwrap()
}

fn refusal(kind: Kind, payload: &[u8]) -> String {
    let err = Raw { kind, flags: 0, reserved: 0, payload }.decode().unwrap_err();
    assert_eq!(err.code(), Code::Damaged);
    err.to_string()
}

#[test]
fn payloads_are_laid_out_as_documented() {
    let elem = written(|out| encode::elem(out, 5, 0x0102, b"21.5"));
    assert_eq!(elem.1, b"\x05\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\x0021.5");
    assert_eq!(decoded(&elem), Message::Elem(Elem { seqno: 5, time_ns: 0x0102, data: b"21.5" }));

    let seqno = written(|out| encode::seqno(out, 7, "farm/temp"));
    assert_eq!(seqno.1, b"\x07\0\0\0\0\0\0\0farm/temp");
    assert_eq!(decoded(&seqno), Message::SeqNo { seqno: 7, woof: "farm/temp" });

    let file_end = written(|out| encode::file_end(out, 9, 0xe306_9283));
    assert_eq!(file_end.1, b"\x09\0\0\0\0\0\0\0\x83\x92\x06\xe3");
    assert_eq!(decoded(&file_end), Message::FileEnd { len: 9, crc32c: 0xe306_9283 });

    let mark = written(|out| encode::mark(out, crate::wire::mark::CAUGHT_UP));
    assert_eq!(mark, (Kind::MARK, b"caught-up".to_vec()));
    assert_eq!(decoded(&mark), Message::Mark("caught-up"));

    let app = written(|out| encode::app(out, "point", b"\x01\x02").unwrap());
    assert_eq!(app.1, b"\x05point\x01\x02");
    assert_eq!(decoded(&app), Message::App { name: "point", data: b"\x01\x02" });

    let far = Raw { kind: Kind(77), flags: 0x83, reserved: 5, payload: b"xy" };
    let ign = written(|out| encode::ign(out, &far));
    assert_eq!(ign.1, b"\x4d\x82xy");
    assert_eq!(decoded(&ign), Message::Ign { kind: Kind(77), flags: 0x82, payload: b"xy" });
}

#[test]
fn an_empty_element_is_an_element() {
    let elem = written(|out| encode::elem(out, 1, 2, b""));
    assert_eq!(decoded(&elem), Message::Elem(Elem { seqno: 1, time_ns: 2, data: b"" }));
    let raw = Raw { kind: elem.0, flags: 0, reserved: 0, payload: &elem.1 };
    assert_eq!(raw.data(), Some(&b""[..]));
}

#[test]
fn what_was_set_aside_comes_back() {
    let inner = Raw { kind: Kind::APP, ..Raw::bytes(b"\x01pq") };
    let ign = written(|out| encode::ign(out, &inner));
    let outer = Raw { kind: ign.0, ..Raw::bytes(&ign.1) };
    assert_eq!(outer.set_aside().unwrap(), inner);
    assert!(inner.set_aside().is_err());
}

#[test]
fn data_is_what_filters_work_on() {
    let data = |kind, payload| Raw { kind, ..Raw::bytes(payload) }.data();
    assert_eq!(data(Kind::BYTES, b"ab"), Some(&b"ab"[..]));
    assert_eq!(data(Kind::ELEM, b"0123456789abcdefgh"), Some(&b"gh"[..]));
    assert_eq!(data(Kind::ELEM, b"0123456789abcde"), None);
    assert_eq!(data(Kind::APP, b"\x01pq"), Some(&b"q"[..]));
    assert_eq!(data(Kind::APP, b"\x02p"), None);
    for kind in 0..=255 {
        assert_eq!(data(Kind(kind), b"0123456789abcdef").is_some(), [1, 2].contains(&kind));
        assert_eq!(Kind(kind).is_data(), [1, 2, 10].contains(&kind));
    }
}

#[test]
fn payloads_that_do_not_fit_their_kind_are_refused_by_name() {
    assert_eq!(refusal(Kind::ELEM, b"short"), "elem message is 5 bytes, the least is 16");
    assert_eq!(refusal(Kind::SEQNO, b"short"), "seqno message is 5 bytes, the least is 8");
    assert_eq!(refusal(Kind::SEQNO, b"12345678\xff"), "seqno message has a name that is not UTF-8");
    assert_eq!(refusal(Kind::FILE_END, b"12345678abc"), "file-end message is 11 bytes, the least is 12");
    assert_eq!(refusal(Kind::MARK, b"\xff"), "mark message has a name that is not UTF-8");
    assert_eq!(refusal(Kind::IGN, b"\x01"), "ign message holds no message that was set aside");
    assert_eq!(refusal(Kind::IGN, b"\x00\x00"), "ign message holds no message that was set aside");
    assert_eq!(refusal(Kind::IGN, b"\xff\x00"), "ign message holds no message that was set aside");
    assert_eq!(refusal(Kind::APP, b"\x00ab"), "app message has no whole type name");
    assert_eq!(refusal(Kind::APP, b"\x05ab"), "app message has no whole type name");
    assert_eq!(refusal(Kind::APP, b""), "app message has no whole type name");
}

#[test]
fn a_type_name_must_fit_its_length_byte() {
    let mut out = Vec::new();
    assert!(encode::app(&mut out, "", b"").is_err());
    let err = encode::app(&mut out, &"n".repeat(256), b"").unwrap_err();
    assert_eq!(err.to_string(), "name of an application type is 256 bytes, it must be 1 to 255");
    assert!(out.is_empty());
    assert!(encode::app(&mut out, &"n".repeat(255), b"").is_ok());
}

#[test]
fn a_kind_from_the_future_is_no_error() {
    let raw = Raw { kind: Kind(200), flags: 4, reserved: 2, payload: b"?" };
    assert_eq!(raw.decode().unwrap(), Message::Unknown(raw));
}
