//! Channels by name: what the text may say, and what is told when a channel cannot be taken.

use super::*;
use crate::chan::{Input, Reader, Writer};
use std::os::fd::{AsRawFd, IntoRawFd};

/// A number that no test opens.
const CLOSED: RawFd = 1_000_000;

fn refusal(text: &str) -> String {
    let err = Channels::parse(text).unwrap_err();
    assert_eq!(err.object(), OBJECT);
    err.text().to_owned()
}

#[test]
fn the_text_names_the_channels() {
    let channels = Channels::parse("in=<0,out=>1,left.2_b-c=<5").unwrap();
    assert_eq!(channels.names().collect::<Vec<_>>(), ["in", "out", "left.2_b-c", "err"]);
    assert!(channels.is_told("out") && !channels.is_told("err") && !channels.has(""));
    assert_eq!(Channels::standard().names().collect::<Vec<_>>(), ["in", "out", "err"]);
}

#[test]
fn a_text_leaves_the_standard_channels_where_they_are_unless_it_says_otherwise() {
    let names = |text: &str| Channels::parse(text).unwrap().names().collect::<Vec<_>>().join(" ");
    assert_eq!(names(""), "in out err");
    assert_eq!(names("x=<7"), "x in out err");
    assert_eq!(names("in=<7"), "in out err");
    assert_eq!(names("left=<0,log=>2"), "left log out");
    let mut channels = Channels::parse("in=<1000000").unwrap();
    assert_eq!(channels.take_input("in").unwrap_err().to_string(), "in: closed", "and not descriptor 0");
}

#[test]
fn each_mistake_in_the_text_is_named_with_its_entry() {
    for (text, expected) in [
        ("in", "in: expected NAME=<NUMBER or NAME=>NUMBER"),
        ("in=<0,", ": expected NAME=<NUMBER or NAME=>NUMBER"),
        ("in=0", "in=0: expected < (to read) or > (to write) after ="),
        ("in=", "in=: expected < (to read) or > (to write) after ="),
        ("in=<", "in=<: expected the number of a descriptor"),
        ("in=<+3", "in=<+3: expected the number of a descriptor"),
        ("in=<-1", "in=<-1: expected the number of a descriptor"),
        ("in=<99999999999", "in=<99999999999: expected the number of a descriptor"),
        ("in=<0 ", "in=<0 : expected the number of a descriptor"),
        ("=<0", "=<0: a name is 1 to 255 letters, digits, _, - or ."),
        ("a b=<0", "a b=<0: a name is 1 to 255 letters, digits, _, - or ."),
        ("a\n=<0", "a\\n=<0: a name is 1 to 255 letters, digits, _, - or ."),
        ("in=<0,in=<3", "in=<3: this name comes twice"),
        ("in=<0,left=<0", "left=<0: descriptor 0 is the channel in already"),
    ] {
        assert_eq!(refusal(text), expected, "{text:?}");
    }
    assert!(refusal(&format!("{}=<0", "n".repeat(256))).ends_with("1 to 255 letters, digits, _, - or ."));
}

#[test]
fn there_can_be_so_many_channels_and_no_more() {
    let text = |count: usize| {
        let entries: Vec<String> = (0..count).map(|i| format!("c{i}=<{}", CLOSED as usize + i)).collect();
        entries.join(",")
    };
    assert_eq!(Channels::parse(&text(64)).unwrap().names().count(), 64 + 3);
    let err = Channels::parse(&text(65)).unwrap_err();
    assert_eq!((err.code(), err.text()), (Code::TooLarge, "more than 64 channels"));
}

#[test]
fn a_pair_of_channels_carries_a_stream() {
    let (read, write) = rustix::pipe::pipe().unwrap();
    let text = format!("left=<{},right=>{}", read.into_raw_fd(), write.into_raw_fd());
    let mut channels = Channels::parse(&text).unwrap();
    let mut writer = Writer::new(channels.take_output("right").unwrap(), "right");
    writer.bytes(b"hello").unwrap();
    writer.end(Ok(())).unwrap();
    let fd = channels.take_input("left").unwrap();
    assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    let mut reader = Reader::new(fd, "left");
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Message(raw) if raw.payload == b"hello"));
    // The end of the pipe is seen, so the writing end was closed and not only forgotten.
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::End(Ok(()))));
    assert!(matches!(reader.next(&mut ()).unwrap(), Input::Eof));
}

#[test]
fn a_channel_can_be_taken_once() {
    let (read, _write) = rustix::pipe::pipe().unwrap();
    let mut channels = Channels::parse(&format!("left=<{}", read.into_raw_fd())).unwrap();
    let taken = channels.take_input("left").unwrap();
    let err = channels.take_input("left").unwrap_err();
    assert_eq!((err.code(), err.to_string()), (Code::Invalid, "left: channel is in use already".to_owned()));
    drop(taken);
    assert!(channels.take_input("left").is_err());
    assert!(channels.has("left"));
}

#[test]
fn a_channel_goes_one_way() {
    let (read, write) = rustix::pipe::pipe().unwrap();
    let text = format!("a=<{},b=<{}", read.as_raw_fd(), write.as_raw_fd());
    let mut channels = Channels::parse(&text).unwrap();
    let err = channels.take_output("a").unwrap_err();
    assert_eq!(err.to_string(), "a: channel is for reading, not for writing");
    // The text says that b can be read; the descriptor says that it cannot.
    let err = channels.take_input("b").unwrap_err();
    assert_eq!(err.to_string(), "b: channel is for writing, not for reading");
}

#[test]
fn a_channel_that_is_not_there_or_not_open_is_told() {
    let mut channels = Channels::parse(&format!("in=<{CLOSED}")).unwrap();
    let err = channels.take_input("in").unwrap_err();
    assert_eq!((err.code(), err.to_string()), (Code::NotFound, "in: closed".to_owned()));
    let err = channels.take_input("left").unwrap_err();
    assert_eq!((err.code(), err.to_string()), (Code::NotFound, "left: no such channel".to_owned()));
}

#[test]
fn the_number_of_a_standard_channel_stays_in_use() {
    let mut channels = Channels::standard();
    let fd = channels.take_input("in").unwrap();
    assert!(fd.as_raw_fd() > 2);
    drop(fd);
    assert!(descriptor::is_open(0));
}
