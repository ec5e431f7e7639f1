//! What a writer puts on a descriptor, when, and what it says when it cannot.

use super::*;
use crate::chan::{Input, Reader};
use crate::error::Code;
use rustix::pipe::pipe;
use std::io::Read;

/// All bytes that `write` leaves in a file.
fn written(write: impl FnOnce(Writer)) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(Writer::new(file.reopen().unwrap().into(), "out"));
    std::fs::read(file.path()).unwrap()
}

/// How many bytes wait in a pipe.
fn waiting(read: &OwnedFd) -> u64 {
    rustix::io::ioctl_fionread(read).unwrap()
}

#[test]
fn a_stream_without_messages_is_begun_and_ended() {
    assert_eq!(written(|writer| writer.end(Ok(())).unwrap()), b"\x89WOOF\r\n\x01\0\0\0\0\xff\0\0\0");
}

#[test]
fn nothing_is_written_before_the_first_message() {
    let bytes = written(|mut writer| {
        assert!(!writer.is_pending());
        writer.flush().unwrap();
    });
    assert_eq!(bytes, b"");
}

#[test]
fn a_writer_that_is_dropped_leaves_the_stream_cut() {
    let (read, write) = pipe().unwrap();
    let mut writer = Writer::new(write, "out");
    writer.bytes(b"a").unwrap();
    writer.flush().unwrap();
    writer.bytes(b"b").unwrap();
    drop(writer);
    let mut reader = Reader::new(read, "in");
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Message(raw) if raw.payload == b"a"));
    let err = reader.next(&mut ()).unwrap_err();
    assert_eq!((err.code(), err.to_string()), (Code::Cut, "in: stream cut after 1 message".to_owned()));
}

#[test]
fn messages_wait_for_a_batch_or_a_flush() {
    let (read, write) = pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&write, 1 << 20).unwrap();
    let mut writer = Writer::new(write, "out");
    writer.bytes(&[b'x'; 92]).unwrap();
    assert_eq!(waiting(&read), 0);
    writer.flush().unwrap();
    assert_eq!(waiting(&read), 108);
    writer.flush().unwrap();
    assert_eq!(waiting(&read), 108);
    for _ in 0..656 {
        writer.bytes(&[b'x'; 92]).unwrap();
    }
    // 65,600 bytes were batched: the whole batch went out, the rest waits.
    assert_eq!(waiting(&read), 108 + 65_536);
    assert!(writer.is_pending());
    writer.end(Ok(())).unwrap();
    assert_eq!(waiting(&read), 108 + 65_600 + 8);
}

#[test]
fn large_and_small_messages_are_the_bytes_of_the_encoder() {
    let data: Vec<u8> = (0..2_500_000).map(|i| (i % 241) as u8).collect();
    let lens = [
        0, 1, 100, 16_383, 16_384, 49_000, 65_535, 65_536, 65_537, 131_000, 1_048_560, 1_048_576, 1_048_577,
        2_500_000,
    ];
    let mut expected = Vec::new();
    encode::preamble(&mut expected);
    for len in lens {
        encode::bytes(&mut expected, &data[..len]);
        encode::elem(&mut expected, 7, 8, &data[..len]);
        encode::raw(&mut expected, &Raw { kind: Kind(99), flags: 0x82, reserved: 77, payload: &data[..len] });
    }
    encode::end(&mut expected, Ok(()));
    let got = written(|mut writer| {
        for len in lens {
            writer.bytes(&data[..len]).unwrap();
            writer.elem(7, 8, &data[..len]).unwrap();
            writer.raw(&Raw { kind: Kind(99), flags: 0x82, reserved: 77, payload: &data[..len] }).unwrap();
        }
        writer.end(Ok(())).unwrap();
    });
    assert!(got == expected);
}

#[test]
fn every_kind_of_message_is_the_bytes_of_the_encoder() {
    let dir = Dir::new().set("name", "farm/temp");
    let addr = Addr { name: "f".into(), lines: Some((1, 2)), ..Addr::default() };
    let fault = Fault { code: "gone".into(), text: "gone".into(), ..Fault::default() };
    let aside = Raw::bytes(b"no match");
    let mut expected = Vec::new();
    encode::preamble(&mut expected);
    encode::seqno(&mut expected, 5, "farm/temp");
    encode::dir(&mut expected, &dir).unwrap();
    encode::file_end(&mut expected, 5, 6);
    encode::mark(&mut expected, "caught-up");
    encode::addr(&mut expected, &addr).unwrap();
    encode::err(&mut expected, &fault);
    encode::ign(&mut expected, &aside);
    encode::app(&mut expected, "point", b"xy").unwrap();
    encode::end(&mut expected, Err(&fault));
    let got = written(|mut writer| {
        writer.seqno(5, "farm/temp").unwrap();
        writer.dir(&dir).unwrap();
        writer.file_end(5, 6).unwrap();
        writer.mark("caught-up").unwrap();
        writer.addr(&addr).unwrap();
        writer.err(&fault).unwrap();
        writer.ign(&aside).unwrap();
        writer.app("point", b"xy").unwrap();
        assert!(writer.app("", b"xy").is_err());
        encode::end(writer.buffer(), Err(&fault));
        writer.flush().unwrap();
    });
    assert_eq!(got, expected);
}

#[test]
fn a_broken_pipe_is_told_as_such_and_stays() {
    let (read, write) = pipe().unwrap();
    drop(read);
    let mut writer = Writer::new(write, "out");
    writer.bytes(b"a").unwrap();
    let err = writer.flush().unwrap_err();
    assert!(err.is_broken_pipe());
    assert_eq!(err.to_string(), "out: write: broken pipe");
    writer.bytes(b"b").unwrap();
    assert!(writer.flush().unwrap_err().is_broken_pipe());
    assert!(writer.bytes(&[0; 100_000]).unwrap_err().is_broken_pipe());
    assert!(writer.end(Ok(())).unwrap_err().is_broken_pipe());
}

#[test]
fn a_full_device_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut writer = Writer::new(full.into(), "out");
    writer.bytes(b"a").unwrap();
    let err = writer.end(Ok(())).unwrap_err();
    assert_eq!((err.code(), err.to_string()), (Code::Full, "out: write: no space left on device".to_owned()));
}

#[test]
fn a_dir_that_is_refused_leaves_nothing_in_the_stream() {
    let bytes = written(|mut writer| {
        let err = writer.dir(&Dir::new().set("a", vec![0u8; 2 << 20])).unwrap_err();
        assert_eq!(err.to_string(), "out: dir message is 2097160 bytes, the limit is 1048576");
        writer.end(Ok(())).unwrap();
    });
    assert_eq!(bytes.len(), 16);
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let (read, write) = pipe().unwrap();
    let reading = std::thread::spawn(move || {
        let (mut file, mut got, mut piece) = (std::fs::File::from(read), Vec::new(), [0; 777]);
        while let Ok(count @ 1..) = file.read(&mut piece) {
            got.extend_from_slice(&piece[..count]);
        }
        got
    });
    let mut writer = Writer::new(write, "out");
    let mut expected = Vec::new();
    encode::preamble(&mut expected);
    for i in 0..40 {
        let data = vec![i; 40_000];
        writer.bytes(&data).unwrap();
        encode::bytes(&mut expected, &data);
    }
    writer.end(Ok(())).unwrap();
    encode::end(&mut expected, Ok(()));
    assert!(reading.join().unwrap() == expected);
}
