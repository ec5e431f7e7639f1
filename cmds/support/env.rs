//! What a command has around it: its channels, and where its messages go. `WOOF_CHANNELS` is read once, here; no channel is
//! read or written before the command asks for it.

use super::args::Args;
use super::command::Failure;
use super::messages::{Color, Messages};
use super::output::{Default, Form, Output, is_pipe};
use super::remote::RemoteOptions;
use super::{flags, names, output, woof_input};
use libwoofstream::chan::{Argument, Channels, Input, Reader, argument};
use libwoofstream::error::{Code, Error};
use libwoofstream::handler::container::DEFAULT_ENGINE;
use libwoofstream::name::REMOTE;
use libwoofstream::space::{Spaces, asks_table};
use libwoofstream::wire::Raw;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The address of the container engine: `DOCKER_HOST`, as Docker's own commands take it.
///
/// # Errors
/// When it is no address that can be used.
pub fn container_engine() -> Result<String, Error> {
    match std::env::var("DOCKER_HOST") {
        Ok(host) if host.is_empty() => Ok(DEFAULT_ENGINE.to_owned()),
        Ok(host) if host.starts_with("unix://") => Ok(host),
        Ok(host) => {
            let text = "not a container engine of this machine: its address begins with unix://";
            Err(Error::new(Code::Unsupported, format!("DOCKER_HOST {host}"), text))
        }
        Err(std::env::VarError::NotPresent) => Ok(DEFAULT_ENGINE.to_owned()),
        Err(err) => Err(Error::new(Code::Invalid, "DOCKER_HOST", err.to_string())),
    }
}

/// The surroundings of a command.
#[derive(Debug)]
pub struct Env {
    channels: Channels,
    messages: Messages,
    failed: bool,
    spaces: Arc<Spaces>,
}

impl Env {
    /// The surroundings of the command `name`.
    ///
    /// # Errors
    /// When `WOOF_CHANNELS` is not valid; the error comes with the means to say so.
    pub fn new(name: &'static str, args: &Args) -> Result<Env, (Messages, Failure)> {
        let messages = Messages::new(name, args.text("color").map_or(Color::Auto, Color::parse));
        let told = std::env::var_os("WOOF_CHANNELS");
        let channels = match &told {
            None => Ok(Channels::standard()),
            Some(text) => match text.to_str() {
                Some(text) => Channels::parse(text),
                None => Err(Error::new(Code::Invalid, "WOOF_CHANNELS", "is not UTF-8")),
            },
        };
        match channels {
            Ok(channels) => {
                let spaces = Arc::new(names::spaces(RemoteOptions::of(args), messages));
                Ok(Env { channels, messages, failed: false, spaces })
            }
            Err(error) => Err((messages, Failure::from(error))),
        }
    }

    /// Where this command says what went wrong.
    pub fn messages(&self) -> Messages {
        self.messages
    }

    /// The channels, for commands that have more of them than `in` and `out`.
    pub fn channels(&mut self) -> &mut Channels {
        &mut self.channels
    }

    /// All names: paths, servers, and what the name table makes of prefixes.
    pub fn spaces(&self) -> Arc<Spaces> {
        Arc::clone(&self.spaces)
    }

    /// The path that a name leads to, where it is one place on this machine; for what may be any file, and not only a woof.
    ///
    /// # Errors
    /// When the name table cannot be read, or makes no name of it.
    pub fn local_path(&self, name: &str) -> Result<Option<String>, Error> {
        // A file may have a name that no woof has.
        if name.starts_with(REMOTE) || asks_table(name).unwrap_or(false) {
            self.spaces.local_path(name)
        } else {
            Ok(Some(name.to_owned()))
        }
    }

    /// Says an error about one item on standard error; the work goes on and the exit status will be 1. For commands that write
    /// no stream; the others tell it in their stream ([`Output::error`]).
    pub fn error(&mut self, error: &Error) {
        self.failed = true;
        self.messages.error(error);
    }

    /// Whether an error about an item was said.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// The reader of `in`, or of the channel of `-i`; raw input is cut as `--split` says.
    ///
    /// # Errors
    /// When there is no such channel, or it is in use already.
    pub fn input(&mut self, args: &Args) -> Result<Reader, Failure> {
        let name = args.text("input").unwrap_or("in").trim_start_matches('@').to_owned();
        let fd = self.channels.take_input(&name)?;
        Ok(Reader::new(fd, name).with_split(flags::split_of(args)))
    }

    /// The reader of what an argument names: `@left` a channel, `-` the channel `in`, else a woof (all it keeps), file, FIFO or
    /// device.
    ///
    /// # Errors
    /// When there is no such channel or file, or it cannot be read.
    pub fn open(&mut self, name: &str, args: &Args) -> Result<Reader, Error> {
        let channel = if name == "-" { Some("in") } else { None };
        let fd = match (channel, argument(name)) {
            (Some(channel), _) | (None, Argument::Channel(channel)) => self.channels.take_input(channel)?,
            (None, Argument::Path(_)) => match self.local_path(name)? {
                Some(path) => {
                    let file = File::open(path).map_err(|err| Error::io(name, "", err))?;
                    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
                        return Err(Error::new(Code::Unsupported, name, "is a directory"));
                    }
                    if woof_input::is_woof(&file) {
                        woof_input::elements(name, self.spaces())?
                    } else {
                        OwnedFd::from(file)
                    }
                }
                None => woof_input::elements(name, self.spaces())?,
            },
        };
        Ok(Reader::new(fd, name).with_split(flags::split_of(args)))
    }

    /// The output to `out`, or to the channel of `-o`, in the form that the flags ask for.
    ///
    /// # Errors
    /// When there is no such channel, or it is in use already.
    pub fn output(&mut self, args: &Args, default: Default) -> Result<Output, Failure> {
        let name = args.text("output").unwrap_or("out").trim_start_matches('@').to_owned();
        let mut form = Form::of(args);
        if default == Default::Report {
            // Nobody listens, and nobody asked for more than that.
            let told = self.channels.is_told(&name);
            let closed = !told && form.is_none() && !self.channels.is_open(&name);
            if args.text("output").is_none() && (closed || !self.channels.has(&name)) {
                return Ok(Output::nowhere(self.messages));
            }
            if told && form.is_none() {
                form = Some(Form::Framed);
            }
        }
        let end = args.has("end");
        if end && form != Some(Form::Json) && args.text("as") != Some("json") {
            return Err(Failure::invalid("--end", "only JSON lines have an end of this kind (--json)"));
        }
        match self.channels.take_output(&name) {
            Ok(fd) => {
                let out = Output::new(fd, &name, form, default, self.messages);
                Ok(out.with_json_end(end).with_marks(args.has("marks")))
            }
            // Some commands that show things have nothing to show.
            Err(error) if default == Default::Show && self.channels.has(&name) => {
                Ok(Output::closed(self.messages, error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An output to what an argument names: `@left` a channel, else a file that is made or emptied, or a FIFO.
    ///
    /// # Errors
    /// When there is no such channel, or the file cannot be written.
    pub fn create(&mut self, name: &str, args: &Args) -> Result<Output, Error> {
        let fd = match argument(name) {
            Argument::Channel(channel) => self.channels.take_output(channel)?,
            Argument::Path(path) => {
                let file = File::create(path).map_err(|err| Error::io(name, "", err))?;
                OwnedFd::from(file)
            }
        };
        Ok(Output::new(fd, name, Form::of(args), Default::Stream, self.messages)
            .with_marks(args.has("marks")))
    }

    /// True when somebody listens to the channel of this name: it is a pipe, or `WOOF_CHANNELS` names it.
    pub fn has_listener(&self, name: &str, fd: &OwnedFd) -> bool {
        self.channels.is_told(name) || is_pipe(fd)
    }
}

/// Hands every message of `reader` to `verb`, with `out` for the answers, until it ends or `verb` breaks. What is
/// batched in `out` goes out before each wait, and how the streams ended is noted there.
///
/// # Errors
/// Those of reading, `cut` among them, and those of `verb`.
pub fn each(
    reader: &mut Reader,
    out: &mut Output,
    mut verb: impl FnMut(&Raw<'_>, &mut output::Output) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    loop {
        match reader.next(out)? {
            Input::Message(raw) => {
                if verb(&raw, out)?.is_break() {
                    return Ok(());
                }
            }
            Input::End(status) => out.ended(status)?,
            Input::Eof => return Ok(()),
        }
    }
}
