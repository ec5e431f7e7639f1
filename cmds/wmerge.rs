//! `wmerge`: makes one stream of many.

use crate::support::gather::{Batch, End, Gather, Open};
use crate::support::prelude::*;
use clap::builder::PossibleValuesParser;
use libwoofstream::chan::{Argument, argument};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;

pub(crate) const COMMAND: Command = Command {
    name: "wmerge",
    about: "makes one stream of many",
    group: Group::Plumbing,
    define,
    verb: Verb::Stream(run),
};

/// By arrival nothing is gained by reading far ahead.
const AHEAD_ARRIVAL: usize = 1 << 20;

/// How far one source may be ahead of the others when they are put in order.
const AHEAD_ORDER: u64 = 64 << 20;

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Reads all NAMEs at once and makes one stream of them. By arrival, what comes first goes first, and no source waits for \
             ever behind a busy one. By time or seqno, elements go in that order (each source must have it, as woofs have); \
             what is no element goes with the element before it. An order needs the next element of every source, so \
             streams that never end are merged by arrival.\n\n\
             Where the source changes, the attributes of its woof or file are sent again, so that what follows is known to be of \
             it. A source that is cut or fails is told in its place, the others go on, and the status is 2.",
        )
        .arg(flags::operands("NAME", "Woof, file, FIFO, @channel, or - for in").required(true))
        .arg(
            flags::option("by", 'b', "ORDER", "What goes first: arrival (the default), time or seqno")
                .value_parser(PossibleValuesParser::new(["arrival", "time", "seqno"]))
                .hide_possible_values(true),
        )
        .arg(flags::size("ahead", '\0', "How far a source is read ahead of the others (64MiB) in an order"))
        .args([flags::split(), flags::timeout()])
        .after_long_help(
            "EXAMPLES\n  wmerge --by time <(wget farm/temp ..) <(wget farm/alerts ..) | wcat -l\n  \
             wmerge <(wtail farm/temp) <(wtail barn/temp) | wput all/temp",
        )
}

/// What elements are ordered by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Time,
    Seqno,
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let order = match args.text("by") {
        Some("time") => Some(Order::Time),
        Some("seqno") => Some(Order::Seqno),
        _ => None,
    };
    let sources = args.texts("NAME").map(|name| open(name, args, env)).collect::<Result<Vec<_>, _>>()?;
    let ahead = match order {
        None => AHEAD_ARRIVAL,
        Some(_) => usize::try_from(args.number("ahead").unwrap_or(AHEAD_ORDER)).unwrap_or(usize::MAX),
    };
    let mut merged = Merged { lanes: Vec::new(), shown: Vec::new(), out, failed: 0 };
    merged.lanes.resize_with(sources.len(), Lane::default);
    let mut gather = Gather::start(sources, ahead)?;
    if let Some(watch) = merged.out.watch() {
        gather.end_with(watch)?;
    }
    match order {
        None => merged.by_arrival(&mut gather)?,
        Some(order) => merged.in_order(&mut gather, order)?,
    }
    match (merged.failed, merged.lanes.len()) {
        (0, _) => Ok(Outcome::Done),
        (failed, all) => {
            let text = format!("{failed} of {all} sources did not end well; the others are complete");
            Err(Error::new(Code::Failed, "", text).into())
        }
    }
}

/// Prepares a source. What is not there is refused before anything is read; a FIFO is opened by the thread that reads it, since
/// its writer may first open another one.
fn open(name: &str, args: &Args, env: &mut Env) -> Result<Open, Error> {
    let split = flags::split_of(args);
    if name != "-"
        && let Argument::Path(_) = argument(name)
        && let Some(path) = env.local_path(name)?
        && fs::metadata(&path).map_err(|err| Error::io(name, "", err))?.file_type().is_fifo()
    {
        let name = name.to_owned();
        return Ok(Box::new(move || {
            let file = File::open(path).map_err(|err| Error::io(&*name, "", err))?;
            Ok(Reader::new(OwnedFd::from(file), name).with_split(split))
        }));
    }
    let reader = env.open(name, args)?;
    Ok(Box::new(move || Ok(reader)))
}

/// What is known of a source.
#[derive(Default)]
struct Lane {
    batch: Batch,
    /// The payload of its last `Dir`.
    dir: Vec<u8>,
    /// This `Dir` was not written yet.
    pending: bool,
    /// A stream of it ended with an error, or it failed.
    failed: bool,
}

/// The merged stream.
struct Merged<'a> {
    lanes: Vec<Lane>,
    /// The payload of the `Dir` that was written last.
    shown: Vec<u8>,
    out: &'a mut Output,
    /// How many sources did not end well.
    failed: usize,
}

impl Merged<'_> {
    fn by_arrival(&mut self, gather: &mut Gather) -> Result<(), Failure> {
        while let Some((source, batch)) = gather.any(self.out)? {
            if let Some(lane) = self.lanes.get_mut(source) {
                lane.batch = batch;
            }
            while self.write(source)? {}
            self.end(source)?;
        }
        self.settle()
    }

    fn in_order(&mut self, gather: &mut Gather, order: Order) -> Result<(), Failure> {
        let mut heads = BinaryHeap::new();
        for source in 0..self.lanes.len() {
            // Of equal ones that of the first source goes first.
            heads.extend(self.head(gather, source, order)?.map(|key| Reverse((key, source))));
        }
        while let Some(mut first) = heads.peek_mut() {
            let source = first.0.1;
            self.write(source)?;
            match self.head(gather, source, order)? {
                Some(key) => first.0.0 = key,
                None => drop(std::collections::binary_heap::PeekMut::pop(first)),
            }
        }
        self.settle()
    }

    /// Writes all of a source up to its next element; the value is that element's key. `None` at its end.
    fn head(&mut self, gather: &mut Gather, source: usize, order: Order) -> Result<Option<u64>, Failure> {
        loop {
            match self.lanes.get(source).and_then(|lane| lane.batch.first()) {
                Some(raw) => match raw.elem() {
                    Ok(elem) => {
                        return Ok(Some(if order == Order::Time { elem.time_ns } else { elem.seqno }));
                    }
                    Err(_) => drop(self.write(source)?),
                },
                None => {
                    self.end(source)?;
                    match (gather.of(source, self.out)?, self.lanes.get_mut(source)) {
                        (Some(batch), Some(lane)) => lane.batch = batch,
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// Writes the first message of a source, with its `Dir` before it where that is not the one that holds. False when there is
    /// no message.
    fn write(&mut self, source: usize) -> Result<bool, Failure> {
        let Some(lane) = self.lanes.get_mut(source) else { return Ok(false) };
        let Some(raw) = lane.batch.first() else { return Ok(false) };
        let dir = |payload| Raw { kind: Kind::DIR, ..Raw::bytes(payload) };
        // What says itself what it is about needs no context.
        let bare = matches!(raw.kind, Kind::DIR | Kind::SEQNO | Kind::ADDR | Kind::ERR | Kind::POSITION);
        if lane.pending || !(bare || lane.dir == self.shown) {
            // A source without a `Dir` must not be taken for the one before it.
            const NONE: &[u8] = b"\x80";
            self.out.message(&dir(if lane.dir.is_empty() { NONE } else { &lane.dir }))?;
            self.shown.clone_from(&lane.dir);
            lane.pending = false;
        }
        if raw.kind == Kind::DIR {
            // It waits for what it is about: another source may come between.
            raw.payload.clone_into(&mut lane.dir);
            lane.pending = true;
        } else {
            self.out.message(&raw)?;
        }
        lane.batch.take();
        Ok(true)
    }

    /// Takes note of how a source went on after its messages.
    fn end(&mut self, source: usize) -> Result<(), Failure> {
        let Some(lane) = self.lanes.get_mut(source) else { return Ok(()) };
        let fault = match lane.batch.end() {
            None | Some(End::Stream(Ok(()))) => return Ok(()),
            Some(End::Stream(Err(fault))) => fault,
            Some(End::Failed(error)) => Fault::from(&error).from_origin(COMMAND.name),
        };
        self.failed += usize::from(!lane.failed);
        lane.failed = true;
        if lane.pending {
            self.out.message(&Raw { kind: Kind::DIR, ..Raw::bytes(&lane.dir) })?;
            self.shown.clone_from(&lane.dir);
            lane.pending = false;
        }
        Ok(self.out.fault(&fault)?)
    }

    /// Writes each `Dir` that nothing came after: it was what is listed.
    fn settle(&mut self) -> Result<(), Failure> {
        for lane in self.lanes.iter().filter(|lane| lane.pending) {
            self.out.message(&Raw { kind: Kind::DIR, ..Raw::bytes(&lane.dir) })?;
        }
        Ok(())
    }
}
