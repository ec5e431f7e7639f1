//! `wput`: appends elements to a woof.

use crate::support::output::Context;
use crate::support::prelude::*;
use libwoofstream::chan::{BeforeWait, Split};
use libwoofstream::content::{self, ContentType};
use libwoofstream::error;
use libwoofstream::log::Options;
use libwoofstream::space::{Create, Put, Space as _, Spaces, Told};

pub(crate) const COMMAND: Command = Command {
    name: "wput",
    about: "appends elements to a woof",
    group: Group::Woofs,
    define,
    verb: Verb::Report(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Appends each DATA, or without any each data message of its input, to a woof; of raw input each line is one, without its \
             newline. Numbers are read as decimals into woofs of numbers. What does not fit is refused by name and the \
             rest goes on. Into a pipe it sends the sequence number of each element, once it is in (with --sync: once \
             it is durable).",
        )
        .arg(flags::operand("NAME", "Which woof"))
        .arg(flags::data("DATA", "What to append, one element each"))
        .args(flags::input())
        .arg(flags::flag("create", '\0', "Make the woof if it is not there"))
        .arg(flags::content_type().help("Content type of a woof that --create makes [default: that of the input, or text]"))
        .arg(flags::flag("sync", '\0', "Make the elements durable before they are acknowledged"))
        .args([flags::timeout(), flags::wait()])
        .after_long_help(
            "EXAMPLES\n  wput farm/temp 21.5\n  seq 100 | wput farm/temp\n  \
             wtail farm/temp --where 'value > 70' | wput --create farm/alerts\n  wput --sync orders '{\"id\":7}' | wcat",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    // What is put is in, whether or not somebody wants to know.
    out.make_heedless();
    let name = args.text("NAME").unwrap_or_default();
    let create = args.has("create").then(|| args.get::<ContentType>("type").copied());
    let spaces = env.spaces();
    let mut target = Target { name, create, sync: args.has("sync"), spaces: &spaces, put: None };
    let mut data = args.bytes("DATA").peekable();
    if data.peek().is_some() {
        let mut batch = Batch::new(&mut target, out);
        for item in data {
            batch.add(item, ContentType::Text)?;
        }
        batch.append()?;
        target.settle(out, false)?;
        return Ok(Outcome::Done);
    }
    // That there is no such woof is told before any input is waited for.
    if create.is_none() {
        target.open(None)?;
    }
    let mut input = env.input(args)?;
    let delimiter = match input.split() {
        Split::Line => Some(b'\n'),
        Split::Nul => Some(0),
        Split::All | Split::Bytes(_) => None,
    };
    if let Some(delimiter) = delimiter
        && input.detect(out)?
    {
        raw_lines(&mut input, delimiter, &mut target, out)?;
        target.open(None)?;
        target.settle(out, true)?;
    } else {
        // Made also when nothing came, of the type that would have come.
        let content = messages(&mut input, delimiter, &mut target, out)?;
        target.open(content)?;
        target.settle(out, false)?;
    }
    Ok(Outcome::Done)
}

/// Appends the lines of raw input, all that were read together.
fn raw_lines(
    input: &mut Reader,
    delimiter: u8,
    target: &mut Target<'_>,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut number = 0;
    target.open(None)?;
    while let Some(block) = input.raw_block(&mut Settling { target, out })? {
        let put = target.open(None)?;
        if matches!(put.content(), None | Some(ContentType::Text | ContentType::Bytes)) {
            lines_as_they_are(block, delimiter, target, out, &mut number)?;
            continue;
        }
        let mut batch = Batch::new(target, out);
        batch.lines = true;
        for line in lines(block, delimiter) {
            number += 1;
            batch.add_numbered(line, ContentType::Text, number)?;
        }
        batch.append()?;
    }
    Ok(())
}

/// Appends lines that need no look and no copy.
fn lines_as_they_are(
    block: &[u8],
    delimiter: u8,
    target: &mut Target<'_>,
    out: &mut Output,
    number: &mut u64,
) -> Result<(), Failure> {
    let name = target.name;
    let put = target.open(None)?;
    let max = put.element_max().unwrap_or(u64::MAX);
    put.data_is(ContentType::Text);
    let mut refused = Vec::new();
    let mut fitting = lines(block, delimiter).filter(|line| {
        *number += 1;
        let fits = line.len() as u64 <= max;
        if !fits {
            refused.push((*number, line.len()));
        }
        fits
    });
    let mut told = Ok(());
    let done = put.put(&mut fitting, &mut |what| {
        if told.is_ok() {
            told = report(out, name, true, what);
        }
    });
    done?;
    told?;
    for (number, len) in refused {
        out.error(&Error::new(Code::TooLarge, name, format!("line {number}: {}", over_limit(len, max))))?;
    }
    Ok(())
}

/// The lines of a block, without their delimiter; the last may lack it.
fn lines(block: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = match memchr::memchr(delimiter, rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = after;
        Some(line)
    })
}

/// Appends the data messages of a stream; all that have come are one batch.
fn messages(
    input: &mut Reader,
    delimiter: Option<u8>,
    target: &mut Target<'_>,
    out: &mut Output,
) -> Result<Option<ContentType>, Failure> {
    let mut batch = Batch::new(target, out);
    let mut context = Context::default();
    let taken = take(input, delimiter, &mut batch, &mut context);
    // Also of a stream that was cut or is damaged, what came before is put.
    let put = batch.append();
    if taken.is_err() {
        target.settle(out, false)?;
    }
    taken?;
    put?;
    Ok((!context.woof.is_empty()).then_some(context.content))
}

/// Takes the messages of a stream into a batch, to its end or to where it goes wrong.
fn take(
    input: &mut Reader,
    delimiter: Option<u8>,
    batch: &mut Batch<'_, '_>,
    context: &mut Context,
) -> Result<(), Failure> {
    loop {
        match input.next(batch)? {
            Input::Message(raw) => match raw.kind {
                Kind::ELEM => batch.add(raw.elem()?.data, context.content)?,
                Kind::DIR => {
                    if let Message::Dir(dir) = raw.decode()? {
                        context.enter(&dir);
                    }
                }
                Kind::ERR => {
                    if let Message::Err(fault) = raw.decode()? {
                        batch.out.fault(&fault)?;
                    }
                }
                _ => {
                    if let Some(data) = raw.data() {
                        // Of lines, not of what an application or a woof of bytes calls its own.
                        let lines = raw.kind == Kind::BYTES && !batch.target.takes_bytes();
                        let data = match (data.split_last(), delimiter) {
                            (Some((last, data)), Some(delimiter)) if lines && *last == delimiter => data,
                            _ => data,
                        };
                        batch.add(data, ContentType::Text)?;
                    } else if raw.kind == Kind::APP {
                        raw.decode()?;
                    }
                }
            },
            Input::End(status) => {
                batch.append()?;
                batch.out.ended(status)?;
            }
            Input::Eof => return Ok(()),
        }
    }
}

fn over_limit(len: usize, max: u64) -> String {
    format!("element is {len} bytes, the limit of this woof is {max}")
}

/// Tells what became of elements, which were lines or something else.
fn report(out: &mut Output, name: &str, lines: bool, what: Told) -> error::Result<()> {
    match what {
        Told::In(_) if out.form() == Form::Nothing => Ok(()),
        Told::In(run) => (run.first..run.first + run.count).try_for_each(|seqno| out.seqno(seqno, name)),
        Told::Refused(number, err) => {
            let place = if lines { format!("line {number}: ") } else { String::new() };
            out.error(&Error::new(err.code(), name, format!("{place}{}", err.text())))
        }
    }
}

/// The woof, opened or made when it is known what for.
struct Target<'a> {
    name: &'a str,
    spaces: &'a Spaces,
    /// Make it if need be, of this type if one was asked for.
    create: Option<Option<ContentType>>,
    sync: bool,
    put: Option<Box<dyn Put>>,
}

impl Target<'_> {
    /// True for an open woof of bytes.
    fn takes_bytes(&self) -> bool {
        self.put.as_ref().is_some_and(|put| put.content() == Some(ContentType::Bytes))
    }

    /// Waits until it is known of everything whether it is in.
    fn settle(&mut self, out: &mut Output, lines: bool) -> error::Result<()> {
        let Some(put) = &mut self.put else { return Ok(()) };
        let (mut told, name) = (Ok(()), self.name);
        put.settle(&mut |what| {
            if told.is_ok() {
                told = report(out, name, lines, what);
            }
        })?;
        told
    }

    /// The open woof. One that has to be made gets the content type of the input unless another was asked for.
    fn open(&mut self, content: Option<ContentType>) -> Result<&mut Box<dyn Put>, Failure> {
        if self.put.is_none() {
            let create = self.create.map(|asked| {
                let content = asked.or(content).unwrap_or_default();
                Create { options: Options { content, ..Options::default() }, ..Create::default() }
            });
            let mut put = self.spaces.put(self.name, create.as_ref())?;
            put.set_sync(self.sync);
            self.put = Some(put);
        }
        match &mut self.put {
            Some(put) => Ok(put),
            None => Err(Failure::invalid(self.name, "is not open")),
        }
    }
}

/// A target of raw lines that waits for more of them.
struct Settling<'b, 'a> {
    target: &'b mut Target<'a>,
    out: &'b mut Output,
}

impl BeforeWait for Settling<'_, '_> {
    fn before_wait(&mut self) -> error::Result<()> {
        self.target.settle(self.out, true)?;
        self.out.flush()
    }
}

/// Elements that came together, and where it is told that they are in.
struct Batch<'b, 'a> {
    target: &'b mut Target<'a>,
    out: &'b mut Output,
    data: Vec<u8>,
    ends: Vec<usize>,
    /// What the data is, where it is made into elements elsewhere.
    source: ContentType,
    /// The elements are the lines of raw input.
    lines: bool,
}

impl<'b, 'a> Batch<'b, 'a> {
    /// So many bytes are appended at once.
    const FULL: usize = 256 << 10;

    fn new(target: &'b mut Target<'a>, out: &'b mut Output) -> Batch<'b, 'a> {
        Batch { target, out, data: Vec::new(), ends: Vec::new(), source: ContentType::Text, lines: false }
    }

    /// Takes one element, given as `source`. What does not fit is told and left out.
    fn add(&mut self, data: &[u8], source: ContentType) -> Result<(), Failure> {
        self.add_numbered(data, source, 0)
    }

    /// As [`Batch::add`], for the line of this number.
    fn add_numbered(&mut self, data: &[u8], source: ContentType, line: u64) -> Result<(), Failure> {
        let put = self.target.open(Some(source))?;
        let (target, max) = (put.content(), put.element_max().unwrap_or(u64::MAX));
        if target.is_none() && self.source != source {
            self.append()?;
        }
        self.source = source;
        let start = self.data.len();
        let converted = content::convert(data, source, target.unwrap_or(source), &mut self.data);
        let len = self.data.len() - start;
        let fits = match converted {
            Ok(()) if len as u64 > max => Err(Error::new(Code::TooLarge, "", over_limit(len, max))),
            fits => fits,
        };
        match fits {
            Ok(()) => self.ends.push(self.data.len()),
            Err(err) => {
                self.data.truncate(start);
                let place = if line > 0 { format!("line {line}: ") } else { String::new() };
                let text = format!("{place}{}", err.text());
                self.out.error(&Error::new(err.code(), self.target.name, text))?;
            }
        }
        if self.data.len() >= Self::FULL || self.ends.len() >= Self::FULL / 8 {
            self.append()?;
        }
        Ok(())
    }

    /// Appends what was taken.
    fn append(&mut self) -> error::Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let Some(put) = &mut self.target.put else { return Ok(()) };
        put.data_is(self.source);
        let (data, mut start) = (&self.data, 0);
        let mut items = self.ends.iter().map(|end| {
            let item = &data[start..*end];
            start = *end;
            item
        });
        let (out, name) = (&mut *self.out, self.target.name);
        let (mut told, lines) = (Ok(()), self.lines);
        let done = put.put(&mut items, &mut |what| {
            if told.is_ok() {
                told = report(out, name, lines, what);
            }
        });
        self.data.clear();
        self.ends.clear();
        done?;
        told
    }
}

impl BeforeWait for Batch<'_, '_> {
    fn before_wait(&mut self) -> error::Result<()> {
        self.append()?;
        self.target.settle(self.out, self.lines)?;
        self.out.flush()
    }

    fn pending(&self) -> bool {
        !self.ends.is_empty() || self.out.pending()
    }
}
