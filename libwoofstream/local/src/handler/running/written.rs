//! What a handler writes, piece by piece: lines of text, and the streams that our commands write into a pipe. A stream begins where a line could, and
//! its preamble tells; after its end there can be lines again, so commands and `echo` may take turns.
//!
//! Failure contract: whatever the bytes are, each is a part of a line, of a message, or of a stream that is said to be broken. What follows in a stream that
//! is damaged is thrown away, as nobody knows what it is.

use super::lines::Lines;
use woof_core::content::ContentType;
use woof_core::error::Error;
use woof_core::limits::HANDLER_OUTPUT_MAX;
use woof_core::wire::{Decoder, Detected, Fault, Kind, Message, Raw, Step, detect};

/// Something that a handler wrote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Written<'a> {
    /// A line of text, without its newline.
    Line(&'a [u8]),
    /// The data of a `Bytes` message. A line that one of our commands passed on has its newline still.
    Bytes(&'a [u8]),
    /// The data of an `Elem` or `App` message, and what it is.
    Data(ContentType, &'a [u8]),
    /// An error in a stream.
    Error(&'a Fault),
    /// A stream that ended with an error, or not at all, and why.
    Broken(&'a str),
}

/// How what comes next is read.
#[derive(Debug)]
enum State {
    Text,
    Stream {
        decoder: Decoder,
        /// What its elements are.
        content: ContentType,
    },
    /// It is thrown away.
    Lost,
}

/// Takes apart what a handler writes to one channel.
#[derive(Debug)]
pub struct Splitter {
    state: State,
    lines: Lines,
    /// The beginning of a preamble, or of a frame.
    rest: Vec<u8>,
}

impl Default for Splitter {
    fn default() -> Splitter {
        Splitter { state: State::Text, lines: Lines::default(), rest: Vec::new() }
    }
}

impl Splitter {
    /// Takes what came, and gives out what is in it. After an error of `each` nothing more is given out.
    pub fn take<E>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Written<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = std::mem::take(&mut self.rest);
        let taken = if rest.is_empty() {
            self.split(bytes, &mut each)
                .map(|used| rest.extend_from_slice(bytes.get(used..).unwrap_or_default()))
        } else {
            rest.extend_from_slice(bytes);
            self.split(&rest, &mut each).map(|used| drop(rest.drain(..used)))
        };
        match taken {
            Ok(()) => self.rest = rest,
            Err(_) => self.state = State::Lost,
        }
        taken
    }

    /// Gives out a last line without a newline, and says whether a stream has no end.
    pub fn end<E>(&mut self, mut each: impl FnMut(Written<'_>) -> Result<(), E>) -> Result<(), E> {
        let rest = std::mem::take(&mut self.rest);
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Text if rest.is_empty() => self.lines.end(|line| each(Written::Line(line))),
            // The beginning of a preamble and no more.
            State::Text => each(Written::Line(&rest)),
            State::Stream { decoder, .. } => match decoder.finish(rest.len()) {
                Ok(()) => Ok(()),
                Err(err) => each(Written::Broken(err.text())),
            },
            State::Lost => Ok(()),
        }
    }

    /// Gives out what is whole; how many bytes were used.
    fn split<E>(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Written<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let State::Stream { decoder, content } = &mut self.state else {
                if matches!(self.state, State::Lost) {
                    return Ok(bytes.len());
                }
                match detect(rest) {
                    Detected::Need(_) if self.lines.is_at_start() => return Ok(at),
                    Detected::Framed(_) if self.lines.is_at_start() => {
                        let decoder = Decoder::new(HANDLER_OUTPUT_MAX as usize);
                        self.state = State::Stream { decoder, content: ContentType::default() };
                    }
                    _ => at += self.lines.next(rest, |line| each(Written::Line(line)))?,
                }
                continue;
            };
            let damaged = match decoder.step(rest) {
                Ok((used, step)) => {
                    at += used;
                    match step {
                        Step::Need(_) => return Ok(at),
                        Step::Preamble => continue,
                        Step::Message(raw) => match message(raw, content, each) {
                            Ok(said) => {
                                said?;
                                continue;
                            }
                            Err(err) => err,
                        },
                        Step::End(status) => {
                            self.state = State::Text;
                            if let Err(fault) = status {
                                each(Written::Broken(&text(&fault)))?;
                            }
                            continue;
                        }
                    }
                }
                Err(err) => err,
            };
            self.state = State::Lost;
            each(Written::Broken(damaged.text()))?;
        }
        Ok(at)
    }
}

/// Gives out a message, if it is for anybody. The outer error is that of a message that is damaged.
fn message<E>(
    raw: Raw<'_>,
    content: &mut ContentType,
    each: &mut impl FnMut(Written<'_>) -> Result<(), E>,
) -> Result<Result<(), E>, Error> {
    let decoded = match raw.kind {
        Kind::BYTES => return Ok(each(Written::Bytes(raw.payload))),
        Kind::ELEM | Kind::APP | Kind::DIR | Kind::ERR => raw.decode()?,
        // Where something was put, and whatever else our commands tell each other.
        _ => return Ok(Ok(())),
    };
    Ok(match decoded {
        Message::Elem(elem) => each(Written::Data(*content, elem.data)),
        Message::App { data, .. } => each(Written::Data(ContentType::Text, data)),
        Message::Err(fault) => each(Written::Error(&fault)),
        Message::Dir(dir) => {
            *content = dir.text("content").and_then(|name| ContentType::parse(name).ok()).unwrap_or_default();
            Ok(())
        }
        _ => Ok(()),
    })
}

/// An error in a stream, in one line.
pub fn text(fault: &Fault) -> String {
    if fault.origin.is_empty() { fault.to_string() } else { format!("{}: {fault}", fault.origin) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use woof_core::attrs::context;
    use woof_core::error::Code;
    use woof_core::wire::encode;

    /// What comes out, however it came in.
    #[track_caller]
    fn split(bytes: &[u8]) -> Vec<String> {
        let mut expected: Option<Vec<String>> = None;
        for size in 1..=bytes.len() {
            let (mut splitter, mut out) = (Splitter::default(), Vec::new());
            let mut each = |written: Written<'_>| {
                out.push(match written {
                    Written::Line(line) => format!("line {}", line.escape_ascii()),
                    Written::Bytes(data) => format!("bytes {}", data.escape_ascii()),
                    Written::Data(content, data) => format!("{content} {}", data.escape_ascii()),
                    Written::Error(fault) => format!("error {}", text(fault)),
                    Written::Broken(why) => format!("broken {why}"),
                });
                Ok::<(), ()>(())
            };
            for piece in bytes.chunks(size) {
                splitter.take(piece, &mut each).unwrap();
            }
            splitter.end(&mut each).unwrap();
            let expected = expected.get_or_insert_with(|| out.clone());
            assert_eq!(out, *expected, "pieces of {size}");
        }
        expected.unwrap()
    }

    fn fault() -> Fault {
        Fault::from(&Error::new(Code::NotFound, "farm/x", "no such woof")).from_origin("wget")
    }

    #[test]
    fn streams_and_lines_take_turns() {
        let mut bytes = b"one\n\n".to_vec();
        encode::preamble(&mut bytes);
        encode::seqno(&mut bytes, 7, "farm/x");
        encode::bytes(&mut bytes, b"a line\n");
        encode::dir(&mut bytes, &context("farm/n", ContentType::I64)).unwrap();
        encode::elem(&mut bytes, 1, 2, &5i64.to_le_bytes());
        encode::app(&mut bytes, "note", b"noted").unwrap();
        encode::err(&mut bytes, &fault());
        encode::end(&mut bytes, Ok(()));
        encode::preamble(&mut bytes);
        encode::elem(&mut bytes, 1, 2, b"text again");
        encode::end(&mut bytes, Ok(()));
        bytes.extend_from_slice(b"two\nlast");
        assert_eq!(
            split(&bytes),
            [
                "line one",
                "line ",
                "bytes a line\\n",
                "i64 \\x05\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
                "text noted",
                "error wget: farm/x: no such woof",
                "text text again",
                "line two",
                "line last"
            ]
        );
    }

    #[test]
    fn a_message_of_several_frames_is_one() {
        let long = vec![b'x'; 3 << 20];
        let mut bytes = Vec::new();
        encode::preamble(&mut bytes);
        encode::bytes(&mut bytes, &long);
        encode::end(&mut bytes, Ok(()));
        let (mut splitter, mut sizes) = (Splitter::default(), Vec::new());
        for piece in bytes.chunks(16 << 10) {
            let taken = splitter.take(piece, |written| {
                let Written::Bytes(data) = written else { return Err(()) };
                sizes.push(data.len());
                Ok(())
            });
            taken.unwrap();
        }
        assert_eq!(sizes, [3 << 20]);
    }

    #[test]
    fn a_stream_that_ends_badly_or_not_at_all_is_said() {
        let mut begun = Vec::new();
        encode::preamble(&mut begun);
        encode::bytes(&mut begun, b"x");
        let mut failed = begun.clone();
        encode::end(&mut failed, Err(&fault()));
        failed.extend_from_slice(b"on\n");
        assert_eq!(split(&failed), ["bytes x", "broken wget: farm/x: no such woof", "line on"]);
        assert_eq!(split(&begun), ["bytes x", "broken stream cut after 1 message"]);
        let mut damaged = begun.clone();
        damaged.extend_from_slice(&[0; 8]);
        damaged.extend_from_slice(b"\nmore\n");
        assert_eq!(split(&damaged), ["bytes x", "broken a frame of kind 0"]);
        let mut later = begun;
        later[7] = 9;
        assert_eq!(split(&later), ["broken stream format version 9, this program reads version 1"]);
    }

    #[test]
    fn what_only_looks_like_a_stream_is_text() {
        assert_eq!(split(b"\x89WOO"), ["line \\x89WOO"]);
        assert_eq!(split(b"\x89PNG\nx"), ["line \\x89PNG", "line x"]);
        assert_eq!(split(b"a \x89WOOF\r\n\x01"), ["line a \\x89WOOF\\r", "line \\x01"]);
    }

    #[test]
    fn after_a_failure_nothing_is_given_out() {
        let mut splitter = Splitter::default();
        let mut count = 0;
        let mut each = |_: Written<'_>| {
            count += 1;
            Err("no")
        };
        assert_eq!(splitter.take(b"a\nb\n", &mut each), Err("no"));
        assert_eq!(splitter.take(b"c\n", &mut each), Ok(()));
        assert_eq!(splitter.end(&mut each), Ok(()));
        assert_eq!(count, 1);
    }
}
