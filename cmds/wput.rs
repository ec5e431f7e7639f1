//! `wput`: appends elements to a woof.

mod batch;
mod sources;

use crate::support::output::Context;
use crate::support::prelude::*;
use batch::{Batch, Own, Settling, Target, over_limit, report};
use libwoofstream::chan::Split;
use libwoofstream::content::ContentType;
use libwoofstream::space::Trigger;
use std::time::Duration;

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
             it is durable). When elements of one put are gone before it ends, as the woof keeps no more, that is said.\n\n\
             When the woof is removed or moved meanwhile, or another file gets its name, the put fails, and says up to which element it had come.\n\n\
             An element gets the time at which it is put. With --keep-times one of a stream (wget, wtail, wcat --from json) has the time \
             that it comes with; so it is by itself when wtail --keep is at the other end. Times never go back within a woof: an element \
             that is older than the newest one there gets that one's time, and one that is over a minute ahead of the clock gets the time of \
             the put. How many did is said at the end.",
        )
        .arg(flags::operand("NAME", "Which woof"))
        .arg(flags::data("DATA", "What to append, one element each"))
        .args(flags::input())
        .arg(flags::flag("create", '\0', "Make the woof if it is not there"))
        .arg(flags::content_type().help("Content type of a woof that --create makes [default: that of the input, or text]"))
        .arg(flags::flag("keep-times", '\0', "Give each element the time that it comes with"))
        .arg(
            flags::flag("new-times", '\0', "Give elements the time of the put, those of wtail --keep too")
                .conflicts_with("keep-times"),
        )
        .arg(flags::flag("sync", '\0', "Make the elements durable before they are acknowledged"))
        .arg(flags::option("handler", '\0', "HANDLER", "Have this handler of the namespace run for each element"))
        .arg(flags::duration("wait-handlers", '\0', "Where the woof is full of elements whose handlers are not done, wait so long"))
        .args([flags::timeout(), flags::wait(), flags::quiet()])
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
    let trigger = Trigger {
        handler: args.text("handler").map(str::to_owned),
        // A handler is told how deep it is, and so passes it on.
        depth: std::env::var("WOOF_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(0),
        seal: std::env::var("WOOF_DEPTH_SEAL").ok(),
        wait: args.number("wait-handlers").map_or(Duration::ZERO, Duration::from_nanos),
    };
    let keep_times = match (args.has("keep-times"), args.has("new-times")) {
        (false, false) => None,
        (keep, _) => Some(keep),
    };
    let mut target = Target {
        name,
        create,
        sync: args.has("sync"),
        keep_times,
        trigger,
        spaces: &spaces,
        put: None,
        own: Own::default(),
        clock_told: false,
        not_moved: Vec::new(),
    };
    let done = put(args, env, out, &mut target);
    if !args.has("quiet") {
        let notes = target.clock_note().into_iter().chain(target.notes());
        notes.for_each(|note| env.messages().note(&note));
    }
    done
}

fn put(args: &Args, env: &mut Env, out: &mut Output, target: &mut Target<'_>) -> Run {
    let mut data = args.bytes("DATA").peekable();
    if data.peek().is_some() {
        let mut batch = Batch::new(target, out);
        for item in data {
            batch.add(item, ContentType::Text)?;
        }
        batch.settle()?;
        return Ok(Outcome::Done);
    }
    out.show_progress_of_work();
    // That there is no such woof is told before any input is waited for.
    if target.create.is_none() {
        target.open(None)?;
        // At once, as it may be long before this ends.
        if let Some(note) = target.clock_note().filter(|_| !args.has("quiet")) {
            env.messages().note(&note);
        }
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
        raw_lines(&mut input, delimiter, target, out)?;
        target.open(None)?;
        Settling { target, out }.settle()?;
    } else {
        // Made also when nothing came, of the type that would have come.
        let (content, failed) = messages(&mut input, delimiter, target, out)?;
        // But not for a source that could not send what it was to.
        if !failed || target.put.is_some() {
            target.open(content)?;
        }
        Batch::new(target, out).settle()?;
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
    let (name, before, mut own) = (target.name, *number, target.own);
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
        own.take(&what);
        if told.is_ok() {
            told = report(out, name, true, &what);
        }
    });
    target.own = own;
    done?;
    told?;
    out.moved(*number - before, block.len() as u64);
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

/// Appends the data messages of a stream; all that have come are one batch. Gives what its elements are, and whether it ended with an error.
fn messages(
    input: &mut Reader,
    delimiter: Option<u8>,
    target: &mut Target<'_>,
    out: &mut Output,
) -> Result<(Option<ContentType>, bool), Failure> {
    let mut batch = Batch::new(target, out);
    let mut context = Context::default();
    let taken = take(input, delimiter, &mut batch, &mut context);
    // Also of a stream that was cut or is damaged, what came before is put.
    let put = batch.settle();
    let not_moved = batch.not_moved();
    target.not_moved.extend(not_moved);
    let failed = taken?;
    put?;
    Ok(((!context.woof.is_empty()).then_some(context.content), failed))
}

/// Takes the messages of a stream into a batch, to its end or to where it goes wrong; gives whether it ended with an error.
fn take(
    input: &mut Reader,
    delimiter: Option<u8>,
    batch: &mut Batch<'_, '_>,
    context: &mut Context,
) -> Result<bool, Failure> {
    let mut failed = false;
    loop {
        match input.next(batch)? {
            Input::Message(raw) => match raw.kind {
                Kind::ELEM => {
                    let elem = raw.elem()?;
                    batch.add_from(&context.woof, &elem, context.content)?;
                }
                Kind::POSITION => {
                    if let Message::Position(position) = raw.decode()? {
                        batch.position(&position)?;
                    }
                }
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
                failed |= status.is_err();
                batch.out.ended(status)?;
            }
            Input::Eof => return Ok(failed),
        }
    }
}
