//! Messages as bytes that are no stream: raw data, JSON lines, and text for people.
//!
//! Errors in the stream are not written here but to standard error, by [`super::Output`].

use super::batch::Batch;
use super::context::Context;
use super::{json, json_end, people};
use libwoofstream::error::Result;
use libwoofstream::space::is_context;
use libwoofstream::wire::{Dir, Elem, Fault, Message};

/// What follows the data of each element in raw form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delimiter {
    /// A newline.
    #[default]
    Newline,
    /// A NUL.
    Nul,
    /// Nothing.
    None,
}

impl Delimiter {
    /// The setting of `--delimiter`; what is not known there is a newline.
    pub fn parse(text: &str) -> Delimiter {
        match text {
            "nul" => Delimiter::Nul,
            "none" => Delimiter::None,
            _ => Delimiter::Newline,
        }
    }

    /// What follows each element.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Delimiter::Newline => b"\n",
            Delimiter::Nul => b"\0",
            Delimiter::None => b"",
        }
    }
}

/// How messages become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Data alone.
    Raw(Delimiter),
    /// One JSON object a line.
    Json,
    /// Data as lines, and the paths of what is listed: for a pipe.
    Plain,
    /// Columns, times in words: for a terminal.
    People { color: bool },
    /// A line for each message with all that is known of it.
    Long { color: bool },
}

/// Writes messages as text.
#[derive(Debug)]
pub(super) struct TextSink {
    pub(super) batch: Batch,
    style: Style,
    /// Whether marks are written as JSON.
    pub(super) marks: bool,
    /// JSON lines have a last one that says how the stream ended.
    pub(super) ended: bool,
    context: Context,
    /// A `Dir` that may be the heading of data or the thing that is listed: the next message tells. It is not written
    /// before a wait, so that the text is the same whatever the timing was.
    pending: Option<Dir>,
    /// True where the next byte begins a line.
    at_line_start: bool,
}

impl TextSink {
    pub(super) fn new(batch: Batch, style: Style) -> TextSink {
        TextSink {
            batch,
            style,
            marks: false,
            ended: false,
            context: Context::default(),
            pending: None,
            at_line_start: true,
        }
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    pub(super) fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    /// Raw bytes on their way.
    pub(super) fn bytes(&mut self, data: &[u8]) -> Result<()> {
        match self.style {
            Style::Raw(_) => self.batch.put(data),
            Style::Plain | Style::People { .. } => {
                self.heading()?;
                self.at_line_start = data.last().map_or(self.at_line_start, |last| *last == b'\n');
                self.batch.put(data)
            }
            Style::Json | Style::Long { .. } => self.other(&Message::Bytes(data)),
        }
    }

    /// An element.
    pub(super) fn elem(&mut self, elem: &Elem<'_>) -> Result<()> {
        match self.style {
            Style::Raw(delimiter) => {
                let content = self.context.content;
                if elem.data.len() == 8 && content.is_number() {
                    content.write_text(elem.data, self.batch.buffer());
                } else {
                    self.batch.put(elem.data)?;
                }
                self.batch.buffer().extend_from_slice(delimiter.bytes());
            }
            Style::Plain => {
                self.heading()?;
                self.line_start();
                self.context.content.write_text(elem.data, self.batch.buffer());
                self.batch.buffer().push(b'\n');
            }
            Style::People { color } => {
                self.heading()?;
                self.line_start();
                people::elem(elem, self.context.content, color, self.batch.buffer());
            }
            Style::Json => json::line(&Message::Elem(*elem), &self.context, self.batch.buffer()),
            Style::Long { color } => {
                people::long(&Message::Elem(*elem), &self.context, color, self.batch.buffer())
            }
        }
        self.batch.written()
    }

    /// Any other message.
    pub(super) fn other(&mut self, message: &Message<'_>) -> Result<()> {
        if let Message::Dir(dir) = message {
            self.settle();
            self.context.enter(dir);
        }
        match self.style {
            Style::Raw(_) => {
                if let Message::App { data, .. } = message {
                    self.batch.put(data)?;
                }
            }
            // What a context says stands in each element.
            Style::Json if matches!(message, Message::Dir(dir) if is_context(dir)) => {}
            Style::Json if !self.marks && matches!(message, Message::Mark(_)) => {}
            Style::Json => json::line(message, &self.context, self.batch.buffer()),
            Style::Long { color } => people::long(message, &self.context, color, self.batch.buffer()),
            Style::Plain | Style::People { .. } => match message {
                Message::Dir(dir) => self.pending = Some(dir.clone()),
                Message::App { data, .. } => return self.bytes(data),
                // Where a reader has caught up is no text, and does not make a heading a listing.
                Message::Mark(_)
                | Message::FileEnd { .. }
                | Message::Ign { .. }
                | Message::Position(_)
                | Message::Unknown(_) => {}
                _ => {
                    self.settle();
                    self.line_start();
                    people::short(message, self.batch.buffer());
                }
            },
        }
        self.batch.written()
    }

    /// Data follows the pending `Dir`: it was a heading, which people see and pipes do not.
    fn heading(&mut self) -> Result<()> {
        if self.pending.is_none() {
            return Ok(());
        }
        self.pending = None;
        if let Style::People { color } = self.style
            && !self.context.woof.is_empty()
        {
            self.line_start();
            people::heading(&self.context, color, self.batch.buffer());
        }
        self.batch.written()
    }

    /// No data followed the pending `Dir`: it was what is listed.
    fn settle(&mut self) {
        if let Some(dir) = self.pending.take() {
            self.line_start();
            people::listed(&dir, self.style == Style::Plain, self.batch.buffer());
        }
    }

    fn line_start(&mut self) {
        if !self.at_line_start {
            self.batch.buffer().push(b'\n');
            self.at_line_start = true;
        }
    }

    /// Sends what there is before something is waited for.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.batch.flush()
    }

    /// Writes what is left at the end, which has this status.
    pub(super) fn end(&mut self, status: std::result::Result<(), &Fault>) -> Result<()> {
        self.settle();
        if self.ended && self.style == Style::Json {
            json_end::line(status, self.batch.buffer());
        }
        if matches!(self.style, Style::People { .. }) {
            self.line_start();
        }
        self.batch.flush()
    }
}
