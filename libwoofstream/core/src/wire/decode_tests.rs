//! What the decoder makes of streams that are whole, cut, damaged or from the future.

use super::*;
use crate::wire::encode;

/// What a whole input gives, messages as (kind, flags, reserved, payload).
type Got = (Vec<(u8, u8, u16, Vec<u8>)>, Vec<std::result::Result<(), String>>);

/// Decodes all of `input`, as a reader that gets it at once.
fn decode_all(mut decoder: Decoder, input: &[u8]) -> Result<Got> {
    let (mut messages, mut ends) = (Vec::new(), Vec::new());
    let mut unread = input;
    loop {
        let (used, step) = decoder.step(unread)?;
        let mut need = false;
        match step {
            Step::Need(_) => need = true,
            Step::Preamble => {}
            Step::Message(raw) => messages.push((raw.kind.0, raw.flags, raw.reserved, raw.payload.to_vec())),
            Step::End(status) => ends.push(status.map_err(|fault| fault.to_string())),
        }
        unread = &unread[used..];
        if need {
            decoder.finish(unread.len())?;
            return Ok((messages, ends));
        }
    }
}

fn decode(input: &[u8]) -> Result<Got> {
    decode_all(Decoder::new(1 << 30), input)
}

fn refusal(input: &[u8]) -> (Code, String) {
    let err = decode(input).unwrap_err();
    (err.code(), err.to_string())
}

/// A stream that is open: preamble and these frames.
fn open(frames: &[(u32, u8, u8, u16, &[u8])]) -> Vec<u8> {
    let mut out = PREAMBLE.to_vec();
    for &(len, kind, flags, reserved, payload) in frames {
        out.extend_from_slice(&Header { len, kind: Kind(kind), flags, reserved }.encode());
        out.extend_from_slice(payload);
    }
    out
}

fn ended(frames: &[(u32, u8, u8, u16, &[u8])]) -> Vec<u8> {
    let mut out = open(frames);
    encode::end(&mut out, Ok(()));
    out
}

#[test]
fn no_bytes_at_all_are_no_stream_and_no_error() {
    assert_eq!(decode(b"").unwrap(), (vec![], vec![]));
}

#[test]
fn a_stream_without_messages_has_an_end() {
    assert_eq!(decode(&ended(&[])).unwrap(), (vec![], vec![Ok(())]));
}

#[test]
fn streams_one_after_another_are_read_as_such() {
    let mut out = ended(&[(1, 1, 0, 0, b"a")]);
    out.extend(ended(&[(1, 1, 0, 0, b"b")]));
    let (messages, ends) = decode(&out).unwrap();
    assert_eq!(messages, [(1, 0, 0, b"a".to_vec()), (1, 0, 0, b"b".to_vec())]);
    assert_eq!(ends, [Ok(()), Ok(())]);
}

#[test]
fn an_end_tells_its_status() {
    let mut out = PREAMBLE.to_vec();
    let fault = Fault {
        code: "gone".into(),
        origin: "wget".into(),
        object: "farm/temp".into(),
        text: "no element 77".into(),
    };
    encode::end(&mut out, Err(&fault));
    assert_eq!(decode(&out).unwrap().1, [Err("farm/temp: no element 77".to_owned())]);
}

#[test]
fn a_stream_that_stops_is_cut_wherever_it_stops() {
    let whole = ended(&[(3, 1, 0, 0, b"abc"), (1, 1, 0, 0, b"d")]);
    for (len, messages) in [(8, 0), (9, 0), (15, 0), (16, 0), (18, 0), (19, 1), (27, 1), (28, 2), (35, 2)] {
        let plural = if messages == 1 { "" } else { "s" };
        assert_eq!(
            refusal(&whole[..len]),
            (Code::Cut, format!("stream cut after {messages} message{plural}")),
            "cut at {len}"
        );
    }
    assert_eq!(whole.len(), 36);
    // A preamble that is not whole is cut as well, and so is one after an end.
    assert_eq!(refusal(&whole[..5]).0, Code::Cut);
    assert_eq!(refusal(&[&whole[..], &whole[..5]].concat()).0, Code::Cut);
}

#[test]
fn unknown_kinds_keep_their_flags_and_reserved_bytes() {
    let input = ended(&[(2, 77, 0xfe, 0xbeef, b"xy"), (0, 254, 0x80, 1, b"")]);
    let (messages, _) = decode(&input).unwrap();
    assert_eq!(messages, [(77, 0xfe, 0xbeef, b"xy".to_vec()), (254, 0x80, 1, b"".to_vec())]);
    let mut again = PREAMBLE.to_vec();
    for (kind, flags, reserved, payload) in &messages {
        let raw = Raw { kind: Kind(*kind), flags: *flags, reserved: *reserved, payload };
        encode::raw(&mut again, &raw);
    }
    encode::end(&mut again, Ok(()));
    assert_eq!(again, input);
}

#[test]
fn a_continued_message_is_one_message() {
    let input =
        ended(&[(2, 77, 0x81, 9, b"ab"), (0, 77, 0x81, 9, b""), (1, 77, 0x80, 9, b"c"), (1, 1, 0, 0, b"d")]);
    let (messages, _) = decode(&input).unwrap();
    assert_eq!(messages, [(77, 0x80, 9, b"abc".to_vec()), (1, 0, 0, b"d".to_vec())]);
}

#[test]
fn a_payload_over_a_frame_is_continued_and_comes_back_whole() {
    let max = limits::FRAME_PAYLOAD_MAX;
    for (len, frames) in [(max, 1), (max + 1, 2), (2 * max, 2), (2 * max + 1, 3)] {
        let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let mut out = PREAMBLE.to_vec();
        encode::bytes(&mut out, &data);
        assert_eq!(out.len(), 8 + len + 8 * frames);
        encode::end(&mut out, Ok(()));
        let (messages, _) = decode(&out).unwrap();
        assert_eq!(messages.len(), 1);
        assert!(messages[0].3 == data, "{len} bytes come back as they were");
    }
    // The sixteen bytes before the data of an element count, too.
    let data = vec![7; max - 15];
    let mut out = PREAMBLE.to_vec();
    encode::elem(&mut out, 5, 6, &data);
    assert_eq!(out.len(), 8 + 16 + data.len() + 2 * 8);
    encode::end(&mut out, Ok(()));
    let (messages, _) = decode(&out).unwrap();
    let raw = Raw { kind: Kind::ELEM, flags: 0, reserved: 0, payload: &messages[0].3 };
    assert_eq!(raw.elem().unwrap(), crate::wire::Elem { seqno: 5, time_ns: 6, data: &data });
}

#[test]
fn another_version_is_refused_with_its_number() {
    let refused = (Code::Unsupported, "stream format version 9, this program reads version 1".to_owned());
    assert_eq!(refusal(b"\x89WOOF\r\n\x09"), refused);
    assert_eq!(refusal(&[&ended(&[])[..], b"\x89WOOF\r\n\x09"].concat()), refused);
}

#[test]
fn what_is_no_stream_is_refused() {
    assert_eq!(refusal(b"21.5\n"), (Code::Damaged, "not a stream of messages".to_owned()));
    assert_eq!(
        refusal(&[&ended(&[])[..], b"\n"].concat()),
        (Code::Damaged, "bytes after the end of the stream that begin no further stream".to_owned())
    );
}

#[test]
fn a_claim_of_four_gigabytes_is_refused_before_memory_is_taken() {
    assert_eq!(
        refusal(&open(&[(u32::MAX, 1, 0, 0, b"")])),
        (Code::TooLarge, "frame of 4294967295 bytes, the limit is 1048576".to_owned())
    );
    assert_eq!(refusal(&open(&[(1_048_577, 255, 0, 0, b"")])).0, Code::TooLarge);
    // Garbage has a length, too.
    assert_eq!(refusal(&open(&[(u32::MAX, 255, 255, 0xffff, &[255; 64])])).0, Code::Damaged);
}

#[test]
fn a_message_over_the_limit_is_refused_in_one_frame_or_many() {
    let limited = |input: &[u8]| decode_all(Decoder::new(4), input).unwrap_err().to_string();
    assert_eq!(limited(&open(&[(5, 1, 0, 0, b"abcde")])), "message of 5 bytes or more, the limit is 4");
    assert_eq!(
        limited(&open(&[(3, 1, 1, 0, b"abc"), (2, 1, 0, 0, b"de")])),
        "message of 5 bytes or more, the limit is 4"
    );
    assert!(decode_all(Decoder::new(4), &ended(&[(3, 1, 1, 0, b"abc"), (1, 1, 0, 0, b"d")])).is_ok());
    // The status of the end is no message.
    let mut out = PREAMBLE.to_vec();
    encode::end(&mut out, Err(&Fault { text: "no space left".into(), ..Fault::default() }));
    assert_eq!(decode_all(Decoder::new(4), &out).unwrap().1, [Err("no space left".to_owned())]);
}

#[test]
fn frames_that_cannot_follow_are_refused_by_name() {
    assert_eq!(refusal(&open(&[(0, 0, 0, 0, b"")])), (Code::Damaged, "a frame of kind 0".to_owned()));
    assert_eq!(
        refusal(&open(&[(1, 1, 1, 0, b"a"), (1, 2, 0, 0, b"b")])),
        (
            Code::Damaged,
            "a message of kind 1 is continued by a frame of kind 2 or with other flags".to_owned()
        )
    );
    assert_eq!(refusal(&open(&[(1, 1, 1, 0, b"a"), (1, 1, 2, 0, b"b")])).0, Code::Damaged);
    assert_eq!(refusal(&open(&[(1, 1, 1, 0, b"a"), (1, 1, 0, 1, b"b")])).0, Code::Damaged);
    assert_eq!(refusal(&open(&[(1, 1, 1, 0, b"a"), (0, 255, 0, 0, b"")])).0, Code::Damaged);
    assert_eq!(
        refusal(&open(&[(0, 255, 1, 0, b"")])),
        (Code::Damaged, "an end frame that is to be continued".to_owned())
    );
    assert_eq!(
        refusal(&open(&[(6, 255, 0, 0, b"\x81\xa4text")])),
        (Code::Damaged, "end message is damaged: it ends early".to_owned())
    );
}

#[test]
fn after_an_error_nothing_is_read() {
    let mut decoder = Decoder::new(1 << 20);
    let input = open(&[(0, 0, 0, 0, b"")]);
    assert_eq!(decoder.step(&input).unwrap().0, 8);
    assert!(decoder.step(&input[8..]).is_err());
    let err = decoder.step(&ended(&[])).unwrap_err();
    assert_eq!(err.to_string(), "nothing can be read after an error in the stream");
    assert!(decoder.finish(0).is_err());
}

#[test]
fn it_says_how_many_bytes_are_missing() {
    let whole = ended(&[(3, 1, 0, 0, b"abc")]);
    let mut decoder = Decoder::new(1 << 20);
    let mut need = |input: &[u8]| match decoder.step(input).unwrap() {
        (0, Step::Need(more)) => more,
        (used, _) => panic!("used {used}"),
    };
    assert_eq!(need(b""), 8);
    assert_eq!(need(&whole[..3]), 5);
    assert_eq!(decoder.step(&whole).unwrap().0, 8);
    let mut need = |input: &[u8]| match decoder.step(input).unwrap() {
        (0, Step::Need(more)) => more,
        (used, _) => panic!("used {used}"),
    };
    assert_eq!(need(b""), 8);
    assert_eq!(need(&whole[8..13]), 3);
    assert_eq!(need(&whole[8..17]), 2);
}
