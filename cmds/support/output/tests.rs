//! Tests of the forms of output over pipes, and of JSON lines there and back.

use super::super::messages::{Color, Messages};
use super::*;
use libwoofstream::limits;
use libwoofstream::wire::{Decoder, Step, Value, encode};
use proptest::prelude::*;
use std::io::Read as _;

/// What `write` makes of an output in this form.
fn written(form: Option<Form>, default: Default, write: impl FnOnce(&mut Output)) -> Vec<u8> {
    let (read, fd) = rustix::pipe::pipe().unwrap();
    let mut out = Output::new(fd, "out", form, default, Messages::new("wtest", Color::Never));
    write(&mut out);
    out.flush().unwrap();
    if let Sink::Text(text) = &mut out.sink {
        text.end(Ok(())).unwrap();
    }
    drop(out);
    let mut bytes = Vec::new();
    std::fs::File::from(read).read_to_end(&mut bytes).unwrap();
    bytes
}

fn text(form: Form, write: impl FnOnce(&mut Output)) -> String {
    String::from_utf8(written(Some(form), Default::Stream, write)).unwrap()
}

/// As [`text`], as JSON with marks.
fn json(write: impl FnOnce(&mut Output)) -> String {
    text(Form::Json, |out| {
        let Sink::Text(text) = &mut out.sink else { unreachable!() };
        text.marks = true;
        write(out);
    })
}

/// The payloads and headers of encoded frames.
fn messages(frames: &[u8]) -> Vec<(u8, u8, u16, Vec<u8>)> {
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    stream.extend_from_slice(frames);
    let mut decoder = Decoder::new(limits::MESSAGE_MAX);
    let (mut rest, mut found) = (&stream[..], Vec::new());
    while !rest.is_empty() {
        let (used, step) = decoder.step(rest).unwrap();
        if let Step::Message(raw) = step {
            found.push((raw.kind.0, raw.flags, raw.reserved, raw.payload.to_vec()));
        }
        rest = &rest[used..];
    }
    found
}

/// The messages as JSON lines, and those lines as frames again.
fn there_and_back(frames: &[u8]) -> (String, Vec<u8>) {
    let lines = json(|out| {
        for (kind, flags, reserved, payload) in messages(frames) {
            let raw = Raw { kind: Kind(kind), flags, reserved, payload: &payload };
            // Errors would also be said on standard error, which is not what is looked at here.
            match raw.decode().unwrap() {
                Message::Err(fault) => {
                    let Sink::Text(text) = &mut out.sink else { unreachable!() };
                    text.other(&Message::Err(fault)).unwrap();
                }
                _ => out.message(&raw).unwrap(),
            }
        }
    });
    let (mut json, mut back) = (FromJson::new(), Vec::new());
    for line in lines.lines() {
        json.line(line.as_bytes(), &mut back).unwrap();
    }
    (lines, back)
}

#[test]
fn the_default_form_follows_from_where_it_goes() {
    let framed = written(None, Default::Stream, |out| assert_eq!(out.form(), Form::Framed));
    assert_eq!(
        framed,
        libwoofstream::wire::PREAMBLE,
        "it begins at once, so that a reader can tell that it was cut"
    );
    written(None, Default::Show, |out| assert_eq!(out.form(), Form::Text));
    written(None, Default::Report, |out| assert_eq!(out.form(), Form::Framed));
    let null = std::fs::File::create("/dev/null").unwrap();
    let out = Output::new(null.into(), "out", None, Default::Report, Messages::new("wtest", Color::Never));
    assert_eq!(out.form(), Form::Nothing);
}

#[test]
fn a_dir_before_data_is_a_heading_and_alone_it_is_listed() {
    let seen = text(Form::Text, |out| {
        out.dir(&Dir::new().set("path", "farm/temp").set("content", "i64")).unwrap();
        out.elem(1, 0, &7i64.to_le_bytes()).unwrap();
        out.dir(&Dir::new().set("path", "farm/a")).unwrap();
        out.flush().unwrap();
        out.mark("caught-up").unwrap();
        out.dir(&Dir::new().set("path", "farm/b")).unwrap();
    });
    assert_eq!(seen, "7\nfarm/a\nfarm/b\n");
}

#[test]
fn text_after_data_without_a_newline_begins_a_line() {
    let seen = text(Form::Text, |out| {
        out.bytes(b"no newline").unwrap();
        out.seqno(7, "farm/temp").unwrap();
        out.bytes(b"end").unwrap();
    });
    assert_eq!(seen, "no newline\nfarm/temp 7\nend");
}

#[test]
fn numbers_that_json_lacks_have_no_value() {
    let seen = text(Form::Json, |out| {
        out.dir(&Dir::new().set("path", "w").set("content", "f64")).unwrap();
        out.elem(1, 0, &f64::NAN.to_le_bytes()).unwrap();
        out.elem(2, 0, &f64::NEG_INFINITY.to_le_bytes()).unwrap();
        out.elem(3, 0, b"odd").unwrap();
    });
    let time = "1970-01-01T00:00:00.000000000Z";
    let expected = format!(
        "{{\"type\":\"elem\",\"woof\":\"w\",\"seqno\":1,\"time\":\"{time}\",\"data\":\"NaN\",\"content\":\"f64\"}}\n\
         {{\"type\":\"elem\",\"woof\":\"w\",\"seqno\":2,\"time\":\"{time}\",\"data\":\"-inf\",\"content\":\"f64\"}}\n\
         {{\"type\":\"elem\",\"woof\":\"w\",\"seqno\":3,\"time\":\"{time}\",\"data_base64\":\"b2Rk\",\"content\":\"f64\"}}\n"
    );
    assert_eq!(seen.split_once('\n').unwrap().1, expected);
}

#[test]
fn what_a_json_line_says_of_an_element_is_what_comes_back() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let elements: Vec<(&str, Vec<u8>)> = vec![
        ("i64", i64::MIN.to_le_bytes().into()),
        ("i64", i64::MAX.to_le_bytes().into()),
        ("i64", b"odd".to_vec()),
        ("f64", f64::NAN.to_le_bytes().into()),
        ("f64", (f64::NAN.to_bits() | 1).to_le_bytes().into()),
        ("f64", f64::INFINITY.to_le_bytes().into()),
        ("f64", (-0.0f64).to_le_bytes().into()),
        ("f64", 5e-324f64.to_le_bytes().into()),
        ("f64", f64::MAX.to_le_bytes().into()),
        ("f64", 0.1f64.to_le_bytes().into()),
        ("text", b"21.50\n".to_vec()),
        ("text", b"9007199254740993".to_vec()),
        ("text", b"18446744073709551617".to_vec()),
        ("text", b"1e400".to_vec()),
        ("text", b"\xff not UTF-8".to_vec()),
        ("text", b"null".to_vec()),
        ("text", b"".to_vec()),
        ("text", "\u{feff}text".as_bytes().to_vec()),
        ("bytes", b"21.5".to_vec()),
        ("bytes", b"\0\xfe".to_vec()),
        ("json", b"{\"b\":1,\"a\":18446744073709551617.000,\"b\":2}".to_vec()),
        ("json", b"[1.50,1e400,-0,\"\\ud800\",\"\\u0041\\/\"]".to_vec()),
        ("json", b"\"a string\"".to_vec()),
        ("json", b"null".to_vec()),
        ("json", b"{\"data\":\"x\",\"value\":{\"type\":\"end\"}}".to_vec()),
        ("json", deep.into_bytes()),
        ("json", b"{not json".to_vec()),
        ("json", b"\"\xff\"".to_vec()),
        ("msgpack", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("msgpack", b"\x05".to_vec()),
        ("msgpack", b"\xa1x".to_vec()),
    ];
    for (content, data) in elements {
        let mut frames = Vec::new();
        encode::dir(
            &mut frames,
            &libwoofstream::space::context("w", libwoofstream::content::ContentType::parse(content).unwrap()),
        )
        .unwrap();
        encode::elem(&mut frames, 1, 2, &data);
        let (lines, back) = there_and_back(&frames);
        assert_eq!(back, frames, "{lines}");
        let both = lines.contains("02Z\",\"data\":") && lines.contains("\"value\":");
        assert!(!(both && content == "json"), "{lines}");
        // The value alone says the same.
        if both && content != "text" {
            let (head, rest) = lines.split_once("\"data\":").unwrap();
            let (_, tail) = rest.split_once(",\"value\"").unwrap();
            let mut alone = Vec::new();
            FromJson::new().line(format!("{head}\"value\"{tail}").as_bytes(), &mut alone).unwrap();
            assert_eq!(alone, frames, "{lines}");
        }
    }
}

#[test]
fn json_is_shown_as_json_on_one_line() {
    let seen = text(Form::Json, |out| {
        out.dir(&Dir::new().set("path", "w").set("content", "json")).unwrap();
        out.elem(1, 0, b" {\"status\": 500,\r\n \"at\":1.50}\n").unwrap();
    });
    assert!(seen.ends_with(",\"value\":{\"status\": 500,   \"at\":1.50},\"content\":\"json\"}\n"), "{seen}");
}

#[test]
fn marks_are_in_json_where_they_are_asked_for() {
    assert_eq!(text(Form::Json, |out| out.mark("caught-up").unwrap()), "");
    assert_eq!(json(|out| out.mark("caught-up").unwrap()), "{\"type\":\"mark\",\"name\":\"caught-up\"}\n");
}

#[test]
fn an_integer_is_exact_in_json() {
    let seen = text(Form::Json, |out| {
        out.dir(&Dir::new().set("content", "i64")).unwrap();
        out.elem(1, 0, &i64::MAX.to_le_bytes()).unwrap();
    });
    assert!(
        seen.ends_with(
            "\"data\":\"9223372036854775807\",\"value\":9223372036854775807,\"content\":\"i64\"}\n"
        ),
        "{seen}"
    );
}

#[test]
fn an_attribute_called_type_reads_back() {
    let mut frames = Vec::new();
    encode::dir(&mut frames, &Dir::new().set("type", "file").set("_type", 1u64).set("data_base64", "x"))
        .unwrap();
    let (lines, back) = there_and_back(&frames);
    assert_eq!(lines, "{\"type\":\"dir\",\"__type\":1,\"_data_base64\":\"x\",\"_type\":\"file\"}\n");
    assert_eq!(back, frames);
}

#[test]
fn an_element_of_another_woof_brings_its_name_along() {
    let mut frames = Vec::new();
    let line = br#"{"type":"elem","woof":"farm/temp","seqno":5,"time":"2026-11-22T02:02:03+01:00","data":"21.5","extra":1}"#;
    let mut json = FromJson::new();
    json.line(line, &mut frames).unwrap();
    json.line(line, &mut frames).unwrap();
    let mut expected = Vec::new();
    encode::dir(
        &mut expected,
        &libwoofstream::space::context("farm/temp", libwoofstream::content::ContentType::Text),
    )
    .unwrap();
    encode::elem(&mut expected, 5, 1_795_309_323_000_000_000, b"21.5");
    encode::elem(&mut expected, 5, 1_795_309_323_000_000_000, b"21.5");
    assert_eq!(frames, expected);
}

#[test]
fn lines_that_are_no_messages_are_refused_and_write_nothing() {
    for (line, why) in [
        ("[]", "line 1: no JSON object: invalid type: sequence, expected a map at line 1 column 0"),
        ("{}", "line 1: no member \"type\""),
        (r#"{"type":"elem","seqno":1}"#, "line 1: no member \"time\""),
        (
            r#"{"type":"elem","seqno":1,"time":"2026-11-22T01:02:03Z"}"#,
            "line 1: no member \"value\" or \"data\"",
        ),
        (
            r#"{"type":"elem","seqno":1,"time":"2026-11-22T01:02:03Z","data":"21","value":42}"#,
            "line 1: \"data\" is \"21\" and \"value\" is \"42\": leave out the one that is not meant",
        ),
        (
            r#"{"type":"elem","seqno":1,"time":"2026-11-22T01:02:03Z","value":9223372036854775808,"content":"i64"}"#,
            "line 1: \"9223372036854775808\" is not an integer between -9223372036854775808 and 9223372036854775807",
        ),
        (r#"{"type":"elem","seqno":-1,"time":"","data":""}"#, "line 1: \"seqno\" is no whole number"),
        (r#"{"type":"elem","seqno":1,"time":"10m","data":""}"#, "line 1: \"10m\" is no time"),
        (r#"{"type":"bytes","data":1}"#, "line 1: \"data\" is no text"),
        (r#"{"type":"bytes","data_base64":"!"}"#, "line 1: \"data_base64\" is no base64"),
        (
            r#"{"type":"unknown","kind":2,"flags":0,"reserved":0,"data":""}"#,
            "line 1: kind 2 is no unknown one",
        ),
        (
            r#"{"type":"unknown","kind":0,"flags":0,"reserved":0,"data":""}"#,
            "line 1: kind 0 is no unknown one",
        ),
        (
            r#"{"type":"file-end","len":1,"crc32c":4294967296}"#,
            "line 1: \"crc32c\" is 4294967296, which is too large",
        ),
        (r#"{"type":"addr","name":"x","lines":[1]}"#, "line 1: \"lines\" is no pair of whole numbers"),
    ] {
        let mut frames = vec![1];
        let err = FromJson::new().line(line.as_bytes(), &mut frames).unwrap_err();
        assert_eq!(err.to_string(), why);
        assert_eq!(frames, [1]);
    }
    // The dir that goes before an element is taken back with it.
    let mut frames = Vec::new();
    let bad = br#"{"type":"elem","woof":"w","seqno":1,"time":"2026-11-22T01:02:03Z"}"#;
    assert!(FromJson::new().line(bad, &mut frames).is_err());
    assert!(frames.is_empty());
}

/// Values that JSON can hold: finite numbers.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |float| float.is_finite()).prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop_oneof![any::<String>(), "_{0,2}(type|data_base64)"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(name, inner, 0..4).prop_map(Value::Map),
        ]
    })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
        any::<[u8; 8]>().prop_map(Vec::from),
        any::<u64>().prop_map(|nan| (0x7ff0_0000_0000_0001 | nan).to_le_bytes().to_vec()),
        any::<f64>().prop_map(|float| float.to_le_bytes().to_vec()),
    ]
}

/// The frame of any one message.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let one = |encode: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        encode(&mut out);
        out
    };
    let name = "[a-z/]{1,12}";
    let ends = || any::<Option<(u64, u64)>>();
    prop_oneof![
        data().prop_map(move |data| one(&|out| encode::bytes(out, &data))),
        (any::<u64>(), any::<u64>(), data()).prop_map(move |(seqno, time_ns, data)| one(&|out| {
            encode::elem(out, seqno, time_ns, &data);
        })),
        (any::<u64>(), any::<String>())
            .prop_map(move |(seqno, woof)| one(&|out| encode::seqno(out, seqno, &woof))),
        (name, prop::option::of("text|i64|f64|json|new"), any::<String>(), value()).prop_map(
            move |(path, content, name, value)| {
                let mut dir = Dir::new().set("path", path).set(name, value);
                if let Some(content) = content {
                    dir = dir.set("content", content);
                }
                one(&|out| encode::dir(out, &dir).unwrap())
            }
        ),
        (any::<u64>(), any::<u32>()).prop_map(move |(len, crc)| one(&|out| encode::file_end(out, len, crc))),
        any::<String>().prop_map(move |name| one(&|out| encode::mark(out, &name))),
        (any::<String>(), ends(), ends(), ends()).prop_map(move |(name, lines, bytes, seqnos)| {
            one(&|out| encode::addr(out, &Addr { name: name.clone(), lines, bytes, seqnos }).unwrap())
        }),
        any::<[String; 4]>().prop_map(move |[code, origin, object, text]| {
            let fault = Fault { code, origin, object, text };
            one(&|out| encode::err(out, &fault))
        }),
        (1..=254u8, data()).prop_map(move |(kind, data)| one(&|out| {
            encode::ign(out, &Raw { kind: Kind(kind), flags: 0, reserved: 0, payload: &data });
        })),
        (name, data()).prop_map(move |(name, data)| one(&|out| encode::app(out, &name, &data).unwrap())),
        (12..=254u8, any::<u8>(), any::<u16>(), data()).prop_map(move |(kind, flags, reserved, data)| one(
            &|out| {
                encode::raw(out, &Raw { kind: Kind(kind), flags: flags & !1, reserved, payload: &data });
            }
        )),
    ]
}

proptest! {
    #[test]
    fn any_stream_reads_back_from_its_json_lines(stream in prop::collection::vec(message(), 0..12)) {
        let frames = stream.concat();
        let (lines, back) = there_and_back(&frames);
        // Of JSON, blanks around values and line ends between them are no part of a line.
        if !lines.contains("\"content\":\"json\"") {
            prop_assert_eq!(messages(&back), messages(&frames), "{}", lines);
        }
        prop_assert_eq!(there_and_back(&back).0, lines);
    }

    #[test]
    fn no_line_makes_the_reader_fail_other_than_by_an_error(line in any::<Vec<u8>>(), json in "\\{(\"[a-z]{1,6}\":(1|\"x\"|null|\\[1,2\\]),?){0,4}\\}") {
        let mut out = Vec::new();
        let _ = FromJson::new().line(&line, &mut out);
        let _ = FromJson::new().line(json.as_bytes(), &mut out);
    }
}
