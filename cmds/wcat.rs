//! `wcat`: shows streams.

use crate::support::messages::Color;
use crate::support::output::FromJson;
use crate::support::plots;
use crate::support::prelude::*;
use libwoofstream::chan::{BeforeWait as _, Split};
use libwoofstream::limits;
use libwoofstream::wire::{Decoder, Step};
use std::ops::ControlFlow;

pub(crate) const COMMAND: Command = Command {
    name: "wcat",
    about: "shows streams, files and channels",
    group: Group::Streams,
    define,
    verb: Verb::Show(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Shows streams one after another: of woofs, files, FIFOs and channels, or of in when nothing is named. What is no \
             stream is taken as raw bytes. Errors that come in a stream are said on standard error. With --from json the output is a stream, \
             unless a flag or a terminal makes it text. JSON lines that somebody cut look whole, unless --end had a last one written; with \
             --strict that one must be there.",
        )
        .arg(flags::operands("NAME", "Woof, file, FIFO, @channel, or - for in"))
        .arg(flags::flag("long", 'l', "One line for each message, with all that is known of it").conflicts_with_all(["raw", "delimiter", "json"]))
        .arg(flags::flag("framed", '\0', "Write one stream of all messages").conflicts_with_all(["raw", "delimiter", "json", "long"]))
        .arg(
            flags::option("from", '\0', "FORM", "What the input is: auto, or json (lines as --json writes them)")
                .value_parser(clap::builder::PossibleValuesParser::new(["auto", "json"]))
                .hide_possible_values(true),
        )
        .arg(flags::flag("strict", '\0', "With --from json, fail where the line is missing that --end writes"))
        .arg(
            flags::flag("plot", '\0', "Draw a chart of the numbers when the stream ends")
                .conflicts_with_all(["raw", "delimiter", "json", "long", "framed", "from"]),
        )
        .args(flags::input())
        .arg(flags::timeout())
        .after_long_help(
            "EXAMPLES\n  wcat farm/temp\n  wcat saved.woofs\n  wget farm/temp .. | wcat -l\n  wcat --json saved | jq .value\n  \
             wcat --from json < lines | wput farm/temp\n  \
             wtail farm/temp --no-follow --from 1 --json --end | ssh hub 'wcat --from json --strict | wput farm/temp'\n  wget farm/temp .. | wcat --plot",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    if args.has("plot") {
        return plots::show(args, env, out);
    }
    out.show_progress();
    let json = args.text("from") == Some("json");
    let strict = args.has("strict");
    if strict && !json {
        return Err(Failure::invalid(
            "--strict",
            "is about JSON lines (--from json): a stream always has its end",
        ));
    }
    // A form that is asked for is the form, wherever the output goes.
    let shown = args.has("long") || env.messages().color() == Color::Always;
    if args.has("framed") || (json && !shown) {
        out.make_framed(args.has("framed"));
    }
    if args.has("long") {
        out.make_long();
    }
    let names: Vec<&str> = args.texts("NAME").collect();
    let show = |mut reader: Reader, out: &mut Output| match json {
        true => from_json(reader.with_split(Split::Line), strict, out),
        false => each(&mut reader, out, |raw, out| {
            out.message(raw)?;
            Ok(ControlFlow::Continue(()))
        }),
    };
    match names.as_slice() {
        [] => show(env.input(args)?, out)?,
        [name] => show(env.open(name, args)?, out)?,
        // Of several, what cannot be read is told in its place, and the others are shown.
        names => {
            for name in names {
                let shown = env.open(name, args).map_err(Failure::from).and_then(|reader| show(reader, out));
                match shown {
                    Err(failure) if failure.error.is_broken_pipe() => return Err(failure),
                    Err(failure) => out.error(&failure.error)?,
                    Ok(()) => {}
                }
            }
        }
    }
    Ok(Outcome::Done)
}

/// Reads JSON lines and writes the messages they stand for. With `strict`, lines that stop without an end are cut.
fn from_json(mut reader: Reader, strict: bool, out: &mut Output) -> Result<(), Failure> {
    let name = reader.name().to_owned();
    let mut json = FromJson::new();
    let mut frames = Vec::new();
    each(&mut reader, out, |raw, out| {
        frames.clear();
        libwoofstream::wire::encode::preamble(&mut frames);
        json.line(raw.payload, &mut frames).map_err(|err| {
            let text = err.to_string();
            Error::new(err.code(), &*name, text)
        })?;
        messages(&frames, out)?;
        Ok(ControlFlow::Continue(()))
    })?;
    out.before_wait()?;
    if strict && !json.is_ended() {
        let text = format!(
            "JSON lines cut after line {}: the line that says how they ended is missing",
            json.lines()
        );
        return Err(Error::new(Code::Cut, name, text).into());
    }
    Ok(())
}

/// Writes the messages of encoded frames.
fn messages(frames: &[u8], out: &mut Output) -> Result<(), Error> {
    let mut decoder = Decoder::new(limits::MESSAGE_MAX);
    let mut rest = frames;
    while !rest.is_empty() {
        let (used, step) = decoder.step(rest)?;
        match step {
            Step::Message(raw) => out.message(&raw)?,
            Step::Preamble => {}
            Step::End(status) => out.ended(status)?,
            Step::Need(_) => break,
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    Ok(())
}
