//! `wtee`: copies a stream to several places.

use crate::support::output::{Default as Shown, Delimiter};
use crate::support::prelude::*;
use clap::builder::PossibleValuesParser;
use libwoofstream::chan::{Argument, BeforeWait, argument};
use std::fs::File;
use std::os::fd::OwnedFd;

pub(crate) const COMMAND: Command = Command {
    name: "wtee",
    about: "copies a stream to out, files and channels",
    group: Group::Plumbing,
    define,
    verb: Verb::Stream(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Copies in to out and to every NAME. Each copy is a stream that ends as the input ended; -u, --json and --end are for out and \
             copies alike, --as for the copies alone. What goes wrong with one copy is told, and the others go on (status 1). Out is \
             a copy like the others: when nobody reads it any more, the others go on.",
        )
        .arg(flags::operands("NAME", "File that is made or emptied, FIFO, or @channel"))
        .arg(flags::flag("append", 'a', "Write to the end of files; further streams are read on like one"))
        .arg(
            flags::option("as", '\0', "FORM", "Form of the copies: framed, raw or json (default: that of out)")
                .value_parser(PossibleValuesParser::new(["framed", "raw", "json"]))
                .hide_possible_values(true),
        )
        .args(flags::input())
        .after_long_help(
            "EXAMPLES\n  wget farm/temp .. | wtee saved.woof | wcount\n  wtail farm/temp | wtee --as raw -a log.txt | wput farm/copy\n  \
             wtail farm/temp | wtee >(wfilter 'value > 70' | wput farm/hot) | wcat",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let mut input = env.input(args)?;
    let mut targets = Targets { out, out_lost: None, copies: Vec::new(), lost: Vec::new() };
    for name in args.texts("NAME") {
        match open(name, args, env) {
            Ok(copy) => targets.copies.push(copy),
            Err(error) => targets.lost.push(error),
        }
    }
    let mut carried: Option<Fault> = None;
    let read = loop {
        targets.tell(env);
        if targets.is_alone() {
            break Ok(());
        }
        match input.next(&mut targets) {
            // A copy is not what the reader of a woof waits for before it goes on.
            Ok(Input::Message(raw)) if raw.kind == Kind::POSITION => {
                targets.only_out(|out| out.message(&raw))
            }
            Ok(Input::Message(raw)) => targets.each(|out| out.message(&raw)),
            Ok(Input::End(status)) => {
                carried = carried.or(status.as_ref().err().cloned());
                if let Err(lost) = targets.out.ended(status) {
                    targets.out_lost.get_or_insert(lost);
                }
            }
            Ok(Input::Eof) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let end = match &read {
        Ok(()) => carried,
        Err(error) => Some(Fault::from(error).from_origin(COMMAND.name)),
    };
    targets.end(end.as_ref());
    targets.tell(env);
    match targets.out_lost {
        Some(lost) if !lost.is_broken_pipe() => Err(lost.into()),
        _ => read.map(|()| Outcome::Done).map_err(Failure::from),
    }
}

/// Opens the place of a copy.
fn open(name: &str, args: &Args, env: &mut Env) -> Result<Output, Error> {
    let form = match args.text("as") {
        Some("raw") => Some(Form::Raw(args.text("delimiter").map_or(Delimiter::Newline, Delimiter::parse))),
        Some("json") => Some(Form::Json),
        Some(_) => Some(Form::Framed),
        None => Form::of(args),
    };
    let fd = match argument(name) {
        Argument::Channel(channel) => env.channels().take_output(channel)?,
        Argument::Path(path) => {
            let append = args.has("append");
            let mut options = File::options();
            let file = options.write(true).create(true).append(append).truncate(!append).open(path);
            OwnedFd::from(file.map_err(|err| Error::io(name, "", err))?)
        }
    };
    let copy = Output::new(fd, name, form, Shown::Stream, env.messages()).as_copy();
    Ok(copy.with_marks(args.has("marks")).with_json_end(args.has("end")))
}

/// All that the stream is copied to.
struct Targets<'a> {
    out: &'a mut Output,
    /// Why nothing goes to `out` any more.
    out_lost: Option<Error>,
    copies: Vec<Output>,
    /// Why copies were given up, not told yet.
    lost: Vec<Error>,
}

impl Targets<'_> {
    /// Does the same to all that are left, and gives up those where it fails.
    fn each(&mut self, mut put: impl FnMut(&mut Output) -> Result<(), Error>) {
        if self.out_lost.is_none() {
            self.out_lost = put(self.out).err();
        }
        let lost = &mut self.lost;
        self.copies.retain_mut(|copy| put(copy).map_err(|error| lost.push(error)).is_ok());
    }

    /// Does something to `out` alone.
    fn only_out(&mut self, put: impl FnOnce(&mut Output) -> Result<(), Error>) {
        if self.out_lost.is_none() {
            self.out_lost = put(self.out).err();
        }
    }

    /// Says why copies were given up: in the stream where it is still read. Readers that have gone are no errors.
    fn tell(&mut self, env: &mut Env) {
        for error in self.lost.drain(..).filter(|error| !error.is_broken_pipe()) {
            if self.out_lost.is_none() {
                self.out_lost = self.out.error(&error).err();
            } else {
                env.error(&error);
            }
        }
    }

    /// Nobody is left to copy for.
    fn is_alone(&self) -> bool {
        self.out_lost.is_some() && self.copies.is_empty()
    }

    /// Ends the copies.
    fn end(&mut self, fault: Option<&Fault>) {
        for copy in self.copies.drain(..) {
            if let Err(error) = copy.end(fault.map_or(Ok(()), Err)) {
                self.lost.push(error);
            }
        }
    }
}

impl BeforeWait for Targets<'_> {
    fn before_wait(&mut self) -> Result<(), Error> {
        self.each(Output::flush);
        Ok(())
    }

    fn pending(&self) -> bool {
        self.out.pending() || self.copies.iter().any(BeforeWait::pending)
    }
}
