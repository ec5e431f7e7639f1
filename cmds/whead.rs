//! `whead`: the first data messages of a stream.

use crate::support::prelude::*;
use crate::support::units;
use std::collections::VecDeque;
use std::ops::ControlFlow;

pub(crate) const COMMAND: Command = Command {
    name: "whead",
    about: "gives the first data messages of a stream",
    group: Group::Streams,
    define,
    verb: Verb::Stream(run),
};

/// How many.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Count {
    First(u64),
    /// All but so many, which may be none: `-0`.
    ButLast(u64),
}

/// How many without `-n`.
const DEFAULT: Count = Count::First(10);

impl Count {
    fn parse(text: &str) -> Result<Count, Error> {
        let (digits, of): (_, fn(u64) -> Count) = match text.strip_prefix('-') {
            Some(digits) => (digits, Count::ButLast),
            None => (text, Count::First),
        };
        units::parse_number(digits, 0..=u64::MAX).map(of).map_err(|err| err.of(text))
    }
}

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Gives the first COUNT data messages (10) and all that is no data before them, and ends without waiting for \
             more. With a negative COUNT it gives all but the last so many; what is no data stays.",
        )
        .arg(
            flags::option("count", 'n', "COUNT", "How many; -5 is all but the last 5")
                .value_parser(Count::parse)
                .allow_negative_numbers(true),
        )
        .args(flags::input())
        .after_long_help("EXAMPLES\n  wget farm/temp .. | whead -n 3 | wcat\n  wtail farm/temp | whead -n 1\n  seq 10 | whead -n -2 -u")
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    match args.get::<Count>("count").copied().unwrap_or(DEFAULT) {
        Count::First(0) => {}
        Count::First(count) => first(&mut env.input(args)?, out, count)?,
        Count::ButLast(count) => but_last(&mut env.input(args)?, out, count)?,
    }
    Ok(Outcome::Done)
}

/// Gives the first `count` data messages, and does not wait for what is after the last of them.
fn first(input: &mut Reader, out: &mut Output, count: u64) -> Result<(), Failure> {
    let mut left = count;
    each(input, out, |raw, out| {
        out.message(raw)?;
        left -= u64::from(raw.kind.is_data());
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

/// Gives all but the last `count` data messages. What is no data waits for the data before it, so that the order stays.
fn but_last(input: &mut Reader, out: &mut Output, count: u64) -> Result<(), Failure> {
    let mut held: VecDeque<Held> = VecDeque::new();
    let mut data = 0u64;
    each(input, out, |raw, out| {
        data += u64::from(raw.kind.is_data());
        if held.is_empty() && !raw.kind.is_data() {
            out.message(raw)?;
        } else {
            held.push_back(Held::new(raw));
        }
        while let Some(front) = held.front()
            && (data > count || !front.kind.is_data())
        {
            data -= u64::from(front.kind.is_data());
            out.message(&front.raw())?;
            held.pop_front();
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for held in held.iter().filter(|held| !held.kind.is_data()) {
        out.message(&held.raw())?;
    }
    Ok(())
}

/// A message that may be one of the last.
struct Held {
    kind: Kind,
    flags: u8,
    reserved: u16,
    payload: Box<[u8]>,
}

impl Held {
    fn new(raw: &Raw<'_>) -> Held {
        Held { kind: raw.kind, flags: raw.flags, reserved: raw.reserved, payload: raw.payload.into() }
    }

    fn raw(&self) -> Raw<'_> {
        Raw { kind: self.kind, flags: self.flags, reserved: self.reserved, payload: &self.payload }
    }
}
