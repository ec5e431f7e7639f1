//! `whead`: the first data messages of a stream.

use crate::support::prelude::*;
use std::collections::VecDeque;
use std::ops::ControlFlow;

pub(crate) const COMMAND: Command = Command {
    name: "whead",
    about: "gives the first data messages of a stream",
    group: Group::Streams,
    define,
    verb: Verb::Stream(run),
};

/// How many without `-n`.
const DEFAULT: i64 = 10;

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Gives the first COUNT data messages (10) and all that is no data before them, and ends without waiting for \
             more. With a negative COUNT it gives all but the last so many; what is no data stays.",
        )
        .arg(
            flags::option("count", 'n', "COUNT", "How many; -5 is all but the last 5")
                .value_parser(clap::value_parser!(i64))
                .allow_negative_numbers(true),
        )
        .args(flags::input())
        .after_long_help("EXAMPLES\n  wget farm/temp .. | whead -n 3 | wcat\n  wtail farm/temp | whead -n 1\n  seq 10 | whead -n -2 -u")
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let count = args.get::<i64>("count").copied().unwrap_or(DEFAULT);
    if count == 0 {
        return Ok(Outcome::Done);
    }
    let mut input = env.input(args)?;
    match count {
        1.. => first(&mut input, out, count.unsigned_abs())?,
        _ => but_last(&mut input, out, count.unsigned_abs())?,
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
