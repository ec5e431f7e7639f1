//! `wsplit`: cuts data into lines, words or pieces.

use crate::support::prelude::*;
use crate::support::subject::Subjects;
use crate::support::units;
use libwoofstream::chan::Split;
use libwoofstream::wire::Elem;

pub(crate) const COMMAND: Command = Command {
    name: "wsplit",
    about: "cuts data into lines, words or pieces",
    group: Group::Streams,
    define,
    verb: Verb::Stream(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Makes a message of each line of the data (or what --by says). What is no data passes as it is, in its place, and \
             so do numbers and the data of applications.\n\n\
             Of raw bytes, lines and what ends in NUL keep their end, and each word gets a newline, so that they are lines of text \
             again; a last line without newline stays one. Of an element, the pieces are elements with its number and time, without \
             the ends. Empty data stays one message; without any word in it, it is none. Pieces never reach over two \
             messages, unless --join says that raw bytes one after another belong together, as those of a file do.",
        )
        .arg(
            flags::option("by", 'b', "WHAT", "What to cut into: line, nul, word, or a size in bytes (64KiB)")
                .value_parser(By::parse),
        )
        .arg(flags::flag("join", 'j', "Cut raw bytes as if they were one message, up to the next message that is none"))
        .arg(flags::option("input", 'i', "CHANNEL", "Read this channel instead of in"))
        .after_long_help("EXAMPLES\n  wget farm/log .. | wsplit | wcount\n  wsplit --by word < notes | wput words\n  wsplit --by 64KiB < image | wput blocks")
}

/// What data is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Line,
    Nul,
    Word,
    /// So many bytes, at least 1.
    Size(usize),
}

impl By {
    fn parse(text: &str) -> Result<By, Error> {
        match text {
            "line" => Ok(By::Line),
            "nul" => Ok(By::Nul),
            "word" => Ok(By::Word),
            _ => match units::parse_size(text).ok().and_then(|size| usize::try_from(size).ok()) {
                Some(size) if size > 0 => Ok(By::Size(size)),
                _ => Err(Error::new(Code::Invalid, text, "not line, nul, word or a size such as 64KiB")),
            },
        }
    }

    /// How raw input is cut, so that no piece is cut in two before we see it.
    fn split(self) -> Split {
        match self {
            By::Line | By::Word => Split::Line,
            By::Nul => Split::Nul,
            By::Size(size) => Split::Bytes(size),
        }
    }

    /// The byte after which a piece ends, where there is one.
    fn end(self) -> Option<u8> {
        match self {
            By::Line => Some(b'\n'),
            By::Nul => Some(0),
            By::Word | By::Size(_) => None,
        }
    }

    /// Hands each piece of `data` to `give`, ends included.
    fn pieces<'a, E>(self, data: &'a [u8], mut give: impl FnMut(&'a [u8]) -> Result<(), E>) -> Result<(), E> {
        match self {
            By::Word => {
                let words = data.split(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b');
                words.filter(|word| !word.is_empty()).try_for_each(give)
            }
            _ if data.is_empty() => give(data),
            By::Size(size) => data.chunks(size).try_for_each(give),
            By::Line => data.split_inclusive(|byte| *byte == b'\n').try_for_each(give),
            By::Nul => data.split_inclusive(|byte| *byte == 0).try_for_each(give),
        }
    }

    /// How many bytes at the end of `data` are a piece that may go on.
    fn open(self, data: &[u8]) -> usize {
        let after = |found: Option<usize>| found.map_or(data.len(), |at| data.len() - at - 1);
        match self {
            By::Word => after(data.iter().rposition(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b')),
            By::Line => after(data.iter().rposition(|byte| *byte == b'\n')),
            By::Nul => after(data.iter().rposition(|byte| *byte == 0)),
            By::Size(size) => data.len() % size,
        }
    }
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let by = args.get::<By>("by").copied().unwrap_or(By::Line);
    let mut input = env.input(args)?.with_split(by.split());
    let name = input.name().to_owned();
    let mut subjects = Subjects::default();
    let mut cutter = Cutter { by, join: args.has("join"), open: Vec::new(), line: Vec::new() };
    loop {
        match input.next(out)? {
            Input::Message(raw) if raw.kind == Kind::BYTES => cutter.bytes(raw.payload, out)?,
            Input::Message(raw) => {
                cutter.settle(out)?;
                match raw.kind {
                    Kind::ELEM if !subjects.content().is_number() => {
                        cutter.elem(&raw.elem().map_err(|err| err.of(&*name))?, out)?;
                    }
                    _ => {
                        subjects.enter(&raw).map_err(|err| err.of(&*name))?;
                        out.message(&raw)?;
                    }
                }
            }
            Input::End(status) => {
                cutter.settle(out)?;
                out.ended(status)?;
            }
            Input::Eof => return Ok(Outcome::Done),
        }
    }
}

struct Cutter {
    by: By,
    join: bool,
    /// With `join`: the beginning of a piece whose end has not come.
    open: Vec<u8>,
    /// A word with its newline.
    line: Vec<u8>,
}

impl Cutter {
    fn bytes(&mut self, data: &[u8], out: &mut Output) -> Result<(), Error> {
        if !self.join {
            return self.cut(data, out);
        }
        let mut data = data;
        if !self.open.is_empty() {
            // Only what came now is searched, so that a long line costs no more than its length.
            let whole = match self.by {
                By::Size(size) => Some(size - self.open.len()).filter(|more| *more <= data.len()),
                by => Some(data.len() - by.open(data)).filter(|len| *len > 0),
            };
            let (now, later) = data.split_at(whole.unwrap_or(data.len()));
            self.open.extend_from_slice(now);
            if whole.is_some() {
                self.settle(out)?;
            }
            data = later;
        }
        let (whole, open) = data.split_at(data.len() - self.by.open(data));
        if !whole.is_empty() {
            self.cut(whole, out)?;
        }
        self.open.extend_from_slice(open);
        Ok(())
    }

    /// Nothing more will come that belongs to the open piece.
    fn settle(&mut self, out: &mut Output) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let open = std::mem::take(&mut self.open);
        self.cut(&open, out)
    }

    fn cut(&mut self, data: &[u8], out: &mut Output) -> Result<(), Error> {
        let line = &mut self.line;
        match self.by {
            By::Word => self.by.pieces(data, |word| {
                line.clear();
                line.extend_from_slice(word);
                line.push(b'\n');
                out.bytes(line)
            }),
            by => by.pieces(data, |piece| out.bytes(piece)),
        }
    }

    fn elem(&self, elem: &Elem<'_>, out: &mut Output) -> Result<(), Error> {
        let end = self.by.end();
        self.by.pieces(elem.data, |piece| {
            let bare = match piece.split_last() {
                Some((last, before)) if Some(*last) == end => before,
                _ => piece,
            };
            out.elem(elem.seqno, elem.time_ns, bare)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(by: &str, data: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let by = By::parse(by).unwrap();
        let done: Result<(), ()> = by.pieces(data, |piece| {
            all.push(String::from_utf8(piece.to_vec()).unwrap());
            Ok(())
        });
        done.unwrap();
        all
    }

    #[test]
    fn each_way_has_its_pieces() {
        assert_eq!(pieces("line", b"a\n\nb"), ["a\n", "\n", "b"]);
        assert_eq!(pieces("nul", b"a\nb\0\0c"), ["a\nb\0", "\0", "c"]);
        assert_eq!(pieces("word", b"  a\tb\n c\r\n"), ["a", "b", "c"]);
        assert_eq!(pieces("3", b"abcdefgh"), ["abc", "def", "gh"]);
    }

    #[test]
    fn empty_data_is_one_piece_and_no_word() {
        for by in ["line", "nul", "1KiB"] {
            assert_eq!(pieces(by, b""), [""]);
        }
        assert!(pieces("word", b" \n").is_empty());
    }

    #[test]
    fn what_is_open_at_the_end_is_what_may_go_on() {
        for (by, data, open) in [
            ("line", &b"a\nbc"[..], 2),
            ("line", b"a\n", 0),
            ("line", b"abc", 3),
            ("nul", b"a\0\n", 1),
            ("word", b"a bc ", 0),
            ("word", b"a bc", 2),
            ("4", b"abcdefghi", 1),
        ] {
            assert_eq!(By::parse(by).unwrap().open(data), open, "{by} {data:?}");
        }
    }

    #[test]
    fn what_is_no_way_to_cut_is_refused() {
        for text in ["", "0", "lines", "-1", "0KiB"] {
            assert!(By::parse(text).is_err(), "{text}");
        }
    }
}
