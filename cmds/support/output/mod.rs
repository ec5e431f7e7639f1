//! Where the messages of a command go: one [`Output`], whose form is decided once.
//!
//! | form | when | what |
//! | --- | --- | --- |
//! | framed | `out` is no terminal | messages as they are |
//! | raw | `-u` | data alone, `--delimiter` after each element |
//! | JSON lines | `--json` | one object a message |
//! | text | `out` is a terminal, or the command shows | for people |
//!
//! Batches go out when they are large and before a reader waits: an `Output` is the [`BeforeWait`] of every reader.
//!
//! Failure contract: in framed form errors travel on, and the status of our own end carries why we or those before us could
//! not do it. In the other forms this is the last command that sees them, so it says them on standard error, under the name
//! of the command they came from, and its exit status tells. A reader that has gone is a normal end.

use libwoofstream::sys::base64;
mod batch;
mod context;
mod from_json;
mod json;
mod json_end;
mod people;
mod reading;
#[cfg(test)]
mod tests;
mod text;
mod watch;

pub use self::reading::Reading;
pub use self::watch::Watch;
pub use context::Context;
pub use from_json::FromJson;
pub use text::Delimiter;

use super::args::Args;
use super::command::{Failure, Outcome, Run};
use super::env::Env;
use super::messages::{Color, FAILED, Messages};
use super::position::{Arrivals, Awaited};
use super::progress::Progress;
use batch::Batch;
use libwoofstream::chan::{BeforeWait, Writer};
use libwoofstream::error::{Error, Result};
use libwoofstream::name::shown;
use libwoofstream::wire::{Addr, Dir, Elem, Fault, Kind, Message, Raw};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use text::{Style, TextSink};

/// The form in which messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Messages as they are, for another command.
    Framed,
    /// Data alone.
    Raw(Delimiter),
    /// One JSON object a line.
    Json,
    /// For people: columns on a terminal, plain lines elsewhere.
    Text,
    /// Nobody listens, so that messages need not even be made.
    Nothing,
}

impl Form {
    /// The form that the flags ask for, if they do.
    pub fn of(args: &Args) -> Option<Form> {
        // Who says what follows each element wants data alone, unless it is said of what a program or the copies get.
        let elsewhere = args.text("as").is_some() || args.bytes("PROG").next().is_some();
        if args.has("json") {
            Some(Form::Json)
        } else if args.has("raw") || (args.text("delimiter").is_some() && !elsewhere) {
            Some(Form::Raw(args.text("delimiter").map_or(Delimiter::Newline, Delimiter::parse)))
        } else {
            None
        }
    }
}

/// Where the messages of a command go.
#[derive(Debug)]
pub struct Output {
    sink: Sink,
    messages: Messages,
    terminal: bool,
    color: bool,
    /// True when whoever reads us sees the status of our end: a pipe or a socket.
    travels: bool,
    /// The form is one of our choice, not of a flag.
    chosen: bool,
    /// Why a stream before us ended badly: the first of them.
    carried: Option<Fault>,
    /// Errors about single items were told here.
    failed: bool,
    /// Another output says the errors that come in the stream.
    copy: bool,
    /// The work goes on when nobody reads this any more.
    heedless: bool,
    /// Positions of what was written and is not out of our hands yet.
    arrivals: Arrivals,
    /// A position that is to have come to what was written, when all is read.
    awaited: Option<Awaited>,
    /// Shows how much was moved, where that is wanted.
    progress: Progress,
}

#[derive(Debug)]
enum Sink {
    Framed(Writer),
    Text(TextSink),
    Nowhere(Nowhere),
}

/// The place of an output that goes nowhere.
#[derive(Debug, Default)]
struct Nowhere(Option<Error>);

impl Nowhere {
    /// What becomes of what would be written: nobody listens, or it would be lost.
    fn lost(&self) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |why| Err(Error::new(why.code(), why.object(), why.text())))
    }
}

impl Sink {
    fn end(self, status: std::result::Result<(), &Fault>) -> Result<()> {
        match self {
            Sink::Framed(writer) => writer.end(status),
            Sink::Text(mut text) => text.end(status),
            Sink::Nowhere(_) => Ok(()),
        }
    }
}

/// Which form an output takes when no flag asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Text on a terminal, framed everywhere else.
    Stream,
    /// Text everywhere.
    Show,
    /// Framed into a pipe, nothing everywhere else.
    Report,
}

impl Output {
    /// An output on `fd`, called `name` in messages, in the `form` that a flag asks for, or else in the one that `default`
    /// gives it there.
    pub fn new(fd: OwnedFd, name: &str, form: Option<Form>, default: Default, messages: Messages) -> Output {
        let terminal = rustix::termios::isatty(fd.as_fd());
        let travels = is_pipe(&fd);
        let color = messages.color().on(terminal);
        let chosen = form.is_none();
        let form = form.unwrap_or(match default {
            Default::Report if travels => Form::Framed,
            Default::Report => Form::Nothing,
            Default::Stream if !terminal => Form::Framed,
            Default::Stream | Default::Show => Form::Text,
        });
        let text = |fd, style| Sink::Text(TextSink::new(Batch::new(fd, name), style));
        let sink = match form {
            Form::Framed => begun(fd, name),
            Form::Raw(delimiter) => text(fd, Style::Raw(delimiter)),
            Form::Json => text(fd, Style::Json),
            // Who asks for colour wants what a terminal shows.
            Form::Text if terminal || messages.color() == Color::Always => text(fd, Style::People { color }),
            Form::Text => text(fd, Style::Plain),
            Form::Nothing => Sink::Nowhere(Nowhere::default()),
        };
        Output {
            sink,
            messages,
            terminal,
            color,
            travels,
            chosen,
            carried: None,
            failed: false,
            copy: false,
            heedless: false,
            arrivals: Arrivals::default(),
            awaited: None,
            progress: Progress::default(),
        }
    }

    /// An output that nobody listens to; errors are still said.
    pub fn nowhere(messages: Messages) -> Output {
        Output::lost(messages, None)
    }

    /// An output that cannot be written, for this reason, which the first thing says that is to be written.
    pub fn closed(messages: Messages, why: Error) -> Output {
        Output::lost(messages, Some(why))
    }

    fn lost(messages: Messages, why: Option<Error>) -> Output {
        let sink = Sink::Nowhere(Nowhere(why));
        Output {
            sink,
            messages,
            terminal: false,
            color: false,
            travels: false,
            chosen: true,
            carried: None,
            failed: false,
            heedless: false,
            copy: false,
            arrivals: Arrivals::default(),
            awaited: None,
            progress: Progress::default(),
        }
    }

    /// The same as one more copy of what another output gets too: errors that come in the stream are said there and not here.
    #[must_use]
    pub fn as_copy(mut self) -> Output {
        self.copy = true;
        self
    }

    /// With marks in JSON lines, where somebody asked for them: a line is a message to most who read them, and a mark is none.
    #[must_use]
    pub fn with_marks(mut self, marks: bool) -> Output {
        if let Sink::Text(text) = &mut self.sink {
            text.marks = marks;
        }
        self
    }

    /// The same, where JSON lines have a last one that says how the stream ended, if `wanted`.
    #[must_use]
    pub fn with_json_end(mut self, wanted: bool) -> Output {
        if let Sink::Text(text) = &mut self.sink {
            text.ended = wanted;
        }
        self
    }

    /// A look at whether anybody still reads this, for another thread; `None` where that cannot be told.
    pub fn watch(&self) -> Option<Watch> {
        Watch::new(self.fd()?)
    }

    /// A look at whether anybody still reads this when it is closed; `None` where nobody does.
    pub(crate) fn reading(&self) -> Option<Reading> {
        Reading::new(self.fd()?)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.sink {
            Sink::Framed(writer) => Some(writer.as_fd()),
            Sink::Text(text) => Some(text.batch.as_fd()),
            Sink::Nowhere(_) => None,
        }
    }

    /// The form that was decided on.
    pub fn form(&self) -> Form {
        match &self.sink {
            Sink::Framed(_) => Form::Framed,
            Sink::Text(text) => match text.style() {
                Style::Raw(delimiter) => Form::Raw(delimiter),
                Style::Json => Form::Json,
                _ => Form::Text,
            },
            // What is closed is found out by writing.
            Sink::Nowhere(nowhere) if nowhere.0.is_some() => Form::Text,
            Sink::Nowhere(_) => Form::Nothing,
        }
    }

    /// True when people read this at a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// True when text for people may be coloured.
    pub fn is_colored(&self) -> bool {
        self.color
    }

    /// Makes text for people say all it knows of every message (`-l`). Other forms stay. To be called before anything is
    /// written.
    pub fn make_long(&mut self) {
        let color = self.color;
        if let Sink::Text(text) = &mut self.sink
            && matches!(text.style(), Style::Plain | Style::People { .. })
        {
            text.set_style(Style::Long { color });
        }
    }

    /// Makes the output framed where no flag asked for another form, and no terminal would show it or `always` is set. To be
    /// called before anything is written.
    pub fn make_framed(&mut self, always: bool) {
        if !self.chosen || (self.terminal && !always) {
            return;
        }
        self.sink = match std::mem::replace(&mut self.sink, Sink::Nowhere(Nowhere::default())) {
            Sink::Text(text) => {
                let (fd, name) = text.batch.into_parts();
                begun(fd, name)
            }
            sink => sink,
        };
    }

    /// The framed writer, for bulk work that needs no other form; `None` in all other forms.
    pub fn framed(&mut self) -> Option<&mut Writer> {
        match &mut self.sink {
            Sink::Framed(writer) => Some(writer),
            Sink::Text(_) | Sink::Nowhere(_) => None,
        }
    }

    /// Writes a message as it came.
    ///
    /// # Errors
    /// When it cannot be written, or is damaged inside so that it cannot be shown.
    #[inline]
    pub fn message(&mut self, raw: &Raw<'_>) -> Result<()> {
        if raw.kind.is_data() {
            self.progress.add(1, raw.payload.len() as u64);
        }
        match &mut self.sink {
            _ if raw.kind == Kind::POSITION => self.position(raw),
            Sink::Framed(writer) => writer.raw(raw),
            Sink::Text(text) => match raw.kind {
                Kind::BYTES => text.bytes(raw.payload),
                Kind::ELEM => text.elem(&raw.elem()?),
                Kind::ERR => match raw.decode()? {
                    Message::Err(fault) => self.shown_fault(&fault),
                    _ => Ok(()),
                },
                _ => text.other(&raw.decode()?),
            },
            Sink::Nowhere(nowhere) => match raw.decode()? {
                Message::Err(fault) => self.shown_fault(&fault),
                _ => nowhere.lost(),
            },
        }
    }

    /// Passes on how far the elements go that were written. Where nobody is behind us it is we who have put them away. As text into a
    /// pipe they are in nobody's hands that we know of.
    fn position(&mut self, raw: &Raw<'_>) -> Result<()> {
        match &mut self.sink {
            Sink::Framed(writer) => writer.raw(raw)?,
            Sink::Text(text) if matches!(text.style(), Style::Long { .. }) => text.other(&raw.decode()?)?,
            Sink::Text(_) | Sink::Nowhere(_) => {}
        }
        if !self.travels
            && !self.copy
            && let Message::Position(position) = raw.decode()?
        {
            self.arrivals.note(&position);
        }
        Ok(())
    }

    /// Whether another command gets the messages.
    pub(crate) fn passes_on(&self) -> bool {
        self.travels && matches!(self.sink, Sink::Framed(_))
    }

    /// Writes raw data.
    ///
    /// # Errors
    /// When it cannot be written; so it is for all that follow.
    pub fn bytes(&mut self, data: &[u8]) -> Result<()> {
        match &mut self.sink {
            Sink::Framed(writer) => writer.bytes(data),
            Sink::Text(text) => text.bytes(data),
            Sink::Nowhere(nowhere) => nowhere.lost(),
        }
    }

    /// Writes a line of a table for people, in which nothing steers their terminal.
    ///
    /// # Errors
    /// As [`Output::bytes`].
    pub fn line(&mut self, line: &str) -> Result<()> {
        self.bytes(format!("{}\n", shown(line.trim_end().as_bytes())).as_bytes())
    }

    /// Writes an element.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn elem(&mut self, seqno: u64, time_ns: u64, data: &[u8]) -> Result<()> {
        self.progress.add(1, data.len() as u64);
        match &mut self.sink {
            Sink::Framed(writer) => writer.elem(seqno, time_ns, data),
            Sink::Text(text) => text.elem(&Elem { seqno, time_ns, data }),
            Sink::Nowhere(nowhere) => nowhere.lost(),
        }
    }

    /// Says where something was appended.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn seqno(&mut self, seqno: u64, woof: &str) -> Result<()> {
        let told = match &mut self.sink {
            Sink::Framed(writer) => writer.seqno(seqno, woof),
            Sink::Text(text) => text.other(&Message::SeqNo { seqno, woof }),
            Sink::Nowhere(nowhere) => nowhere.lost(),
        };
        self.unless_gone(told)
    }

    /// Gives attributes, which are the context of what follows.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn dir(&mut self, dir: &Dir) -> Result<()> {
        match &mut self.sink {
            Sink::Framed(writer) => writer.dir(dir),
            Sink::Text(text) => text.other(&Message::Dir(dir.clone())),
            Sink::Nowhere(nowhere) => nowhere.lost(),
        }
    }

    /// Marks a place in the stream.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark(&mut self, name: &str) -> Result<()> {
        match &mut self.sink {
            Sink::Framed(writer) => writer.mark(name),
            Sink::Text(text) => text.other(&Message::Mark(name)),
            Sink::Nowhere(nowhere) => nowhere.lost(),
        }
    }

    /// Writes the end of a file: its bytes, and their CRC-32C.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file_end(&mut self, len: u64, crc32c: u32) -> Result<()> {
        match &mut self.sink {
            Sink::Framed(writer) => writer.file_end(len, crc32c),
            Sink::Text(text) => text.other(&Message::FileEnd { len, crc32c }),
            Sink::Nowhere(nowhere) => nowhere.lost(),
        }
    }

    /// Writes a name with a range.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn addr(&mut self, addr: &Addr) -> Result<()> {
        match &mut self.sink {
            Sink::Framed(writer) => writer.addr(addr),
            Sink::Text(text) => text.other(&Message::Addr(addr.clone())),
            Sink::Nowhere(nowhere) => nowhere.lost(),
        }
    }

    /// Sets a message aside: its data is kept but is no data any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ign(&mut self, set_aside: &Raw<'_>) -> Result<()> {
        match &mut self.sink {
            Sink::Framed(writer) => writer.ign(set_aside),
            Sink::Text(text) => {
                let Raw { kind, flags, payload, .. } = *set_aside;
                text.other(&Message::Ign { kind, flags, payload })
            }
            Sink::Nowhere(nowhere) => nowhere.lost(),
        }
    }

    /// Tells an error of this command about one item; the work goes on and the exit status will be 1.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn error(&mut self, error: &Error) -> Result<()> {
        self.failed = true;
        self.fault(&Fault::from(error).from_origin(self.messages.command()))
    }

    /// As [`Output::error`], for a fault that a source of this command told.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn own_fault(&mut self, fault: &Fault) -> Result<()> {
        self.failed = true;
        self.fault(&fault.clone().from_origin(self.messages.command()))
    }

    /// Shows on standard error, if that is a terminal and messages go into a file, how many and how much of them.
    pub(crate) fn show_progress(&mut self) {
        // Behind a pipe there is somebody who can show it, and one line is enough.
        if !self.terminal && !self.travels {
            self.progress = Progress::start(self.messages.command());
        }
    }

    /// As [`Output::show_progress`], for a command that moves something other than what it tells here.
    pub(crate) fn show_progress_of_work(&mut self) {
        if self.form() == Form::Nothing || !self.terminal {
            self.progress = Progress::start(self.messages.command());
        }
    }

    /// So much was moved besides what is written here.
    pub(crate) fn moved(&self, elements: u64, bytes: u64) {
        self.progress.add(elements, bytes);
    }

    /// Has the end of the command wait until the position has come to what was written.
    pub(crate) fn await_position(&mut self, awaited: Awaited) {
        self.awaited = Some(awaited);
    }

    /// For a command whose work is elsewhere: it is done to its end also when nobody reads what is told of it here.
    pub fn make_heedless(&mut self) {
        self.heedless = true;
    }

    /// Goes on without a reader where the work is not for it.
    fn unless_gone(&mut self, told: Result<()>) -> Result<()> {
        match told {
            Err(error) if self.heedless && error.is_broken_pipe() => {
                self.sink = Sink::Nowhere(Nowhere::default());
                Ok(())
            }
            told => told,
        }
    }

    /// Passes an error on: framed it travels, in the other forms it is said here and the exit status will be 1.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fault(&mut self, fault: &Fault) -> Result<()> {
        let told = match &mut self.sink {
            Sink::Framed(writer) => writer.err(fault),
            Sink::Text(_) | Sink::Nowhere(_) => self.shown_fault(fault),
        };
        self.unless_gone(told)
    }

    fn shown_fault(&mut self, fault: &Fault) -> Result<()> {
        self.failed = true;
        if let Sink::Text(text) = &mut self.sink {
            if matches!(text.style(), Style::Json | Style::Long { .. }) {
                text.other(&Message::Err(fault.clone()))?;
            }
            // What came before the error is seen before it.
            text.flush()?;
        }
        if !self.copy {
            self.messages.fault(fault);
        }
        Ok(())
    }

    /// Takes note of how a stream that we read ended; the status of our own end will carry it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ended(&mut self, status: std::result::Result<(), Fault>) -> Result<()> {
        if let Err(fault) = status {
            if !matches!(self.sink, Sink::Framed(_)) {
                self.shown_fault(&fault)?;
            }
            self.carried.get_or_insert(fault);
        }
        Ok(())
    }

    /// Sends what is batched.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let told = match &mut self.sink {
            Sink::Framed(writer) => writer.flush(),
            Sink::Text(text) => text.flush(),
            Sink::Nowhere(_) => Ok(()),
        };
        self.unless_gone(told)?;
        self.arrivals.arrived()
    }

    /// Ends a copy with this status, and says nothing about it.
    ///
    /// # Errors
    /// When what is left cannot be written.
    pub fn end(self, status: std::result::Result<(), &Fault>) -> Result<()> {
        self.sink.end(status)
    }

    /// Ends the output as the command ended; the value is the exit status.
    pub fn finish(mut self, run: Run, env: &Env) -> u8 {
        self.progress.end();
        let Output { sink, messages, travels, carried, failed, mut arrivals, awaited, .. } = self;
        let not_moved = |is_cut| {
            let error = awaited.and_then(|awaited| awaited.wait(is_cut))?;
            messages.error(&error);
            Some(1)
        };
        let name = match &sink {
            Sink::Framed(writer) => writer.name().to_owned(),
            Sink::Text(text) => text.batch.name().to_owned(),
            Sink::Nowhere(_) => String::new(),
        };
        if let Ok(Outcome::Stopped(status)) = run {
            // Without its end the stream is cut.
            return status.max(u8::from(failed || env.has_failed()));
        }
        let reader_gone = |error: &Error| error.is_broken_pipe() && error.object() == name;
        let items = u8::from(failed || env.has_failed());
        let (end, status) = match &run {
            Ok(outcome) => (carried.clone(), outcome_status(*outcome).max(items)),
            Err(failure) if reader_gone(&failure.error) => {
                drop(sink);
                return not_moved(true).unwrap_or(items);
            }
            Err(failure) => (Some(Fault::from(&failure.error).from_origin(messages.command())), FAILED),
        };
        let framed = matches!(sink, Sink::Framed(_));
        let written = sink.end(end.as_ref().map_or(Ok(()), Err)).and_then(|()| arrivals.arrived());
        arrivals.not_moved().for_each(|text| messages.note(&text));
        // A status that reached the next command is told there; everything else is told here.
        let told = framed && travels && written.is_ok();
        match &run {
            Err(failure) if !told => drop(messages.failed(failure)),
            Ok(_) if framed && !told => {
                if let Some(fault) = &carried {
                    messages.fault(fault);
                }
            }
            _ => {}
        }
        match written {
            // A write that failed before fails again at the end, and was told.
            Err(error) if !reader_gone(&error) && run.is_ok() => messages.failed(&Failure::from(error)),
            _ if carried.is_some() => FAILED,
            written if run.is_ok() => status.max(not_moved(written.is_err()).unwrap_or(0)),
            _ => status,
        }
    }
}

fn outcome_status(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => 0,
        Outcome::No => 1,
        Outcome::Status(status) | Outcome::Stopped(status) => status,
    }
}

/// A framed sink that has its preamble: whatever kills us from here on, our reader sees a stream that is cut.
fn begun(fd: OwnedFd, name: impl Into<String>) -> Sink {
    let mut writer = Writer::new(fd, name);
    writer.begin();
    Sink::Framed(writer)
}

/// True for descriptors with somebody at the other end.
pub(super) fn is_pipe(fd: &OwnedFd) -> bool {
    use rustix::fs::FileType;
    rustix::fs::fstat(fd)
        .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}

impl BeforeWait for Output {
    fn before_wait(&mut self) -> Result<()> {
        self.flush()
    }

    fn pending(&self) -> bool {
        match &self.sink {
            Sink::Framed(writer) => writer.is_pending() || self.arrivals.is_waiting(),
            Sink::Text(text) => text.batch.is_pending() || self.arrivals.is_waiting(),
            Sink::Nowhere(_) => self.arrivals.is_waiting(),
        }
    }
}
