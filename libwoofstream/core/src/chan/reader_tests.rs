//! What a reader makes of input: raw or framed, in pieces, slow, cut or damaged.

use super::*;
use crate::chan::Writer;
use crate::wire::{PREAMBLE, encode};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::pipe;
use std::io::{Seek, Write};

/// A reader of these bytes, in a file.
fn reader(bytes: &[u8]) -> Reader {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    Reader::new(file.into(), "in")
}

/// All that a reader gives: `m` and a payload for messages, `end` or `end: why`, `error: why`.
fn all(mut reader: Reader) -> Vec<String> {
    let mut out = Vec::new();
    loop {
        match reader.next(&mut ()) {
            Ok(Input::Message(raw)) => out.push(format!("m {}", raw.payload.escape_ascii())),
            Ok(Input::End(Ok(()))) => out.push("end".into()),
            Ok(Input::End(Err(fault))) => out.push(format!("end: {fault}")),
            Ok(Input::Eof) => return out,
            Err(err) => {
                out.push(format!("error: {err}"));
                return out;
            }
        }
    }
}

fn stream(messages: &[&[u8]]) -> Vec<u8> {
    let mut out = PREAMBLE.to_vec();
    messages.iter().for_each(|data| encode::bytes(&mut out, data));
    encode::end(&mut out, Ok(()));
    out
}

#[test]
fn raw_input_is_cut_by_line_and_kept_as_it_is() {
    assert_eq!(
        all(reader(b"a\n\n\xff\x00b\r\nlast")),
        ["m a\\n", "m \\n", "m \\xff\\x00b\\r\\n", "m last", "end"]
    );
    assert_eq!(all(reader(b"\n")), ["m \\n", "end"]);
}

#[test]
fn raw_input_is_cut_the_way_it_is_told() {
    let split = |split, bytes: &[u8]| all(reader(bytes).with_split(split));
    assert_eq!(split(Split::Nul, b"a\nb\0c"), ["m a\\nb\\x00", "m c", "end"]);
    assert_eq!(split(Split::Bytes(2), b"abcde"), ["m ab", "m cd", "m e", "end"]);
    assert_eq!(split(Split::Bytes(0), b"ab"), ["m a", "m b", "end"]);
    assert_eq!(split(Split::All, b"a\nb\n"), ["m a\\nb\\n", "end"]);
    assert_eq!(split(Split::All, b""), ["end"]);
}

#[test]
fn empty_input_has_an_end_and_no_message() {
    let mut reader = reader(b"");
    assert_eq!(reader.is_raw(), None);
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::End(Ok(()))));
    assert_eq!(reader.is_raw(), Some(true));
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Eof));
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Eof));
}

#[test]
fn what_only_begins_like_a_preamble_is_raw() {
    assert_eq!(all(reader(b"\x89")), ["m \\x89", "end"]);
    assert_eq!(all(reader(b"\x89WOOF\r\n")), ["m \\x89WOOF\\r\\n", "end"]);
    assert_eq!(all(reader(b"\x89PNG\r\n\x1a\n")), ["m \\x89PNG\\r\\n", "m \\x1a\\n", "end"]);
    // A stream behind raw bytes is raw bytes.
    assert_eq!(
        all(reader(&[&b"a\n"[..], &PREAMBLE].concat())),
        ["m a\\n", "m \\x89WOOF\\r\\n", "m \\x01", "end"]
    );
}

#[test]
fn framed_input_has_messages_and_an_end() {
    let mut reader = reader(&stream(&[b"a\nb", b""]));
    assert!(!reader.detect(&mut ()).unwrap());
    assert_eq!(reader.is_raw(), Some(false));
    assert!(reader.raw_block(&mut ()).unwrap().is_none());
    assert_eq!(all(reader), ["m a\\nb", "m ", "end"]);
}

#[test]
fn streams_one_after_another_are_read_on() {
    let both = [stream(&[b"a"]), stream(&[]), stream(&[b"b"])].concat();
    assert_eq!(all(reader(&both)), ["m a", "end", "end", "m b", "end"]);
}

#[test]
fn the_status_of_the_end_is_told() {
    let mut bytes = PREAMBLE.to_vec();
    let fault = Fault { object: "farm/temp".into(), text: "no element 77".into(), ..Fault::default() };
    encode::end(&mut bytes, Err(&fault));
    assert_eq!(all(reader(&bytes)), ["end: farm/temp: no element 77"]);
}

#[test]
fn a_stream_that_stops_is_cut_wherever_it_stops() {
    let whole = stream(&[b"abc"]);
    for len in 8..whole.len() {
        let got = all(reader(&whole[..len]));
        let cut = if len < 19 {
            "error: in: stream cut after 0 messages"
        } else {
            "error: in: stream cut after 1 message"
        };
        assert_eq!(got.last().unwrap(), cut, "cut at {len}");
    }
    let mut cut = reader(&whole[..20]);
    assert!(matches!(cut.next(&mut ()).unwrap(), Input::Message(_)));
    assert_eq!(cut.next(&mut ()).unwrap_err().code(), Code::Cut);
    assert_eq!(cut.next(&mut ()).unwrap_err().code(), Code::Cut);
}

#[test]
fn damage_is_told_with_the_name_of_the_channel() {
    assert_eq!(
        all(reader(&[&stream(&[])[..], b"x"].concat())),
        ["end", "error: in: bytes after the end of the stream that begin no further stream"]
    );
    assert_eq!(
        all(reader(b"\x89WOOF\r\n\x09")),
        ["error: in: stream format version 9, this program reads version 1"]
    );
}

#[test]
fn a_line_of_a_hundred_megabytes_is_one_message() {
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(100_000_000).unwrap();
    file.seek(std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"\nnext").unwrap();
    file.rewind().unwrap();
    let mut reader = Reader::new(file.into(), "in");
    let lens: Vec<usize> = std::iter::from_fn(|| match reader.next(&mut ()).unwrap() {
        Input::Message(raw) => Some(raw.payload.len()),
        _ => None,
    })
    .collect();
    assert_eq!(lens, [100_000_001, 4]);
}

#[test]
fn a_message_over_the_limit_says_what_to_do() {
    let got = all(reader(b"abc\nabcd\nx").with_message_max(4));
    assert_eq!(
        got,
        [
            "m abc\\n",
            "error: in: line of over 4 bytes, the limit of a message: cut the input with --split SIZE"
        ]
    );
    // No newline ever comes, and it is told before all of it was read.
    let endless = all(reader(&vec![b'x'; 3 << 20]).with_message_max(1 << 20));
    assert!(endless[0].starts_with("error: in: line of over 1048576 bytes"), "{}", endless[0]);
    assert_eq!(
        all(reader(&stream(&[b"abcde"])).with_message_max(4)),
        ["error: in: message of 5 bytes or more, the limit is 4"]
    );
}

#[test]
fn blocks_are_whole_lines_and_all_of_the_input() {
    let text: Vec<u8> = (0..200_000).flat_map(|i| format!("{i}\n").into_bytes()).chain(*b"end").collect();
    let mut reader = reader(&text);
    let (mut got, mut blocks) = (Vec::new(), 0);
    while let Some(block) = reader.raw_block(&mut ()).unwrap() {
        assert!(block.ends_with(b"\n") || block == b"end");
        got.extend_from_slice(block);
        blocks += 1;
    }
    assert!(got == text);
    assert!(blocks < 30);
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::End(Ok(()))));
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Eof));
}

#[test]
fn blocks_and_messages_can_take_turns() {
    let mut reader = reader(b"a\nb\nc\nd").with_split(Split::Line);
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Message(raw) if raw.payload == b"a\n"));
    assert_eq!(reader.raw_block(&mut ()).unwrap(), Some(&b"b\nc\n"[..]));
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Message(raw) if raw.payload == b"d"));
    assert_eq!(reader.raw_block(&mut ()).unwrap(), None);
}

/// Counts how often a reader was about to wait, and then gives it something to read.
struct Feed<'a> {
    to: &'a OwnedFd,
    bytes: Vec<&'static [u8]>,
    asked: usize,
}

impl BeforeWait for Feed<'_> {
    fn before_wait(&mut self) -> Result<()> {
        self.asked += 1;
        if !self.bytes.is_empty() {
            rustix::io::write(self.to, self.bytes.remove(0)).unwrap();
        }
        Ok(())
    }
}

#[test]
fn batches_go_out_before_waiting_and_only_then() {
    for flags in [OFlags::empty(), OFlags::NONBLOCK] {
        let (read, write) = pipe().unwrap();
        fcntl_setfl(&read, flags).unwrap();
        rustix::io::write(&write, b"1\n2\n3").unwrap();
        let mut feed = Feed { to: &write, bytes: vec![b"3\n", b"4\n"], asked: 0 };
        let mut reader = Reader::new(read, "in");
        let mut asked = Vec::new();
        for expected in [&b"1\n"[..], b"2\n", b"33\n", b"4\n"] {
            let Input::Message(raw) = reader.next(&mut feed).unwrap() else { panic!("no message") };
            assert_eq!(raw.payload, expected);
            asked.push(feed.asked);
        }
        assert_eq!(asked, [0, 0, 1, 2]);
        assert!(reader.next_buffered().unwrap().is_none());
    }
}

#[test]
fn what_is_buffered_can_be_told_from_what_is_not() {
    let (read, write) = pipe().unwrap();
    rustix::io::write(&write, &stream(&[b"a", b"b"])[..8 + 9 + 9]).unwrap();
    let mut reader = Reader::new(read, "in");
    assert!(reader.next_buffered().unwrap().is_none());
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Message(raw) if raw.payload == b"a"));
    assert!(matches!(reader.next_buffered().unwrap(), Some(Input::Message(raw)) if raw.payload == b"b"));
    assert!(reader.next_buffered().unwrap().is_none());
}

#[test]
fn a_descriptor_that_does_not_block_is_waited_for() {
    let (read, write) = pipe().unwrap();
    fcntl_setfl(&read, OFlags::NONBLOCK).unwrap();
    fcntl_setfl(&write, OFlags::NONBLOCK).unwrap();
    let data: Vec<u8> = (0..3_000_000).map(|i| (i % 253) as u8).collect();
    let sent = data.clone();
    let sender = std::thread::spawn(move || {
        let mut writer = Writer::new(write, "out");
        writer.bytes(&sent).unwrap();
        for piece in sent.chunks(1000) {
            writer.bytes(piece).unwrap();
        }
        writer.end(Ok(())).unwrap();
    });
    let mut reader = Reader::new(read, "in");
    let Input::Message(raw) = reader.next(&mut ()).unwrap() else { panic!("no message") };
    assert!(raw.payload == data);
    let mut again = Vec::new();
    while let Input::Message(raw) = reader.next(&mut ()).unwrap() {
        again.extend_from_slice(raw.payload);
    }
    assert!(again == data);
    sender.join().unwrap();
}

#[test]
fn an_error_of_the_system_names_the_channel() {
    let directory = std::fs::File::open("/").unwrap();
    let err = Reader::new(directory.into(), "in").next(&mut ()).map(|_| ()).unwrap_err();
    assert_eq!(err.to_string(), "in: read: is a directory");
}

mod properties {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Reads `input` that comes through a pipe in pieces of these sizes.
    fn through_pipe(input: Vec<u8>, sizes: Vec<usize>, split: Split) -> Vec<Vec<u8>> {
        let (read, write) = pipe().unwrap();
        let sender = std::thread::spawn(move || {
            let mut rest = &input[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                rest = &rest[rustix::io::write(&write, &rest[..rest.len().min(*size)]).unwrap()..];
            }
        });
        let mut reader = Reader::new(read, "in").with_split(split);
        let mut got = Vec::new();
        while let Input::Message(raw) = reader.next(&mut ()).unwrap() {
            got.push(raw.payload.to_vec());
        }
        sender.join().unwrap();
        got
    }

    /// Some short pieces, some that take the buffer to its limits.
    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let piece = prop_oneof![
            30 => vec(any::<u8>(), 0..60),
            3 => (any::<u8>(), 60_000..70_000usize).prop_map(|(byte, len)| vec![byte; len]),
            1 => (any::<u8>(), 200_000..600_000usize).prop_map(|(byte, len)| vec![byte; len]),
        ];
        vec(piece, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn framed_messages_do_not_depend_on_the_reads(messages in pieces(), sizes in vec(1..100_000usize, 1..6)) {
            let refs: Vec<&[u8]> = messages.iter().map(|message| &message[..]).collect();
            prop_assert!(through_pipe(stream(&refs), sizes, Split::Line) == messages);
        }

        #[test]
        fn raw_lines_do_not_depend_on_the_reads(lines in pieces(), sizes in vec(1..100_000usize, 1..6)) {
            let mut input = b"x\n".to_vec();
            for line in lines {
                input.extend(line);
                input.push(b'\n');
            }
            let expected: Vec<Vec<u8>> = input.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            prop_assert!(through_pipe(input, sizes, Split::Line) == expected);
        }
    }
}
