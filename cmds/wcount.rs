//! `wcount`: counts messages, elements and bytes.

use crate::support::output::Default as Shown;
use crate::support::prelude::*;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use std::collections::BTreeMap;

pub(crate) const COMMAND: Command = Command {
    name: "wcount",
    about: "counts messages, elements and bytes",
    group: Group::Streams,
    define,
    // The answer is no stream: it is text in a pipe too, so that a shell can take it.
    verb: Verb::Plain(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Reads a stream to its end and writes how many data messages were in it: elements, lines of raw input, data of \
             applications. What was set aside is no data. A stream that is cut, or ends with an error, has no count: nothing is \
             written then, and the status is 2.",
        )
        .arg(flags::flag("bytes", 'c', "Count the bytes of data instead").conflicts_with_all(["all", "object"]))
        .arg(flags::flag("all", 'a', "Count each kind of message and its bytes").conflicts_with("object"))
        // Under a name of its own: the frame knows `json` as a form of messages.
        .arg(flags::flag("object", '\0', "Write all counts as one JSON object").long("json"))
        .arg(flags::option("output", 'o', "CHANNEL", "Write to this channel instead of out"))
        .args(flags::input())
        .after_long_help(
            "EXAMPLES\n  n=$(wget farm/temp .. | wcount)\n  wget farm/temp .. | wfilter 'value > 70' | wcount -a\n  wcount --json < saved.woof | jq .bytes",
        )
}

/// Messages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Count {
    messages: u64,
    /// Bytes of data; of payload where the message is no data.
    bytes: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// The counts of a stream, by kind.
struct Counts([Count; 256]);

impl Counts {
    /// The kinds that came, in the order of their numbers.
    fn kinds(&self) -> impl Iterator<Item = (Kind, Count)> {
        let all = (0u8..=255).map(Kind).zip(self.0.iter().copied());
        all.filter(|(_, count)| count.messages > 0)
    }

    fn sum(&self, of: impl Fn(Kind) -> bool) -> Count {
        let mut sum = Count::default();
        self.kinds().filter(|(kind, _)| of(*kind)).for_each(|(_, count)| sum.add(count));
        sum
    }

    fn table(&self) -> String {
        let rows = self.kinds().map(|(kind, count)| (name(kind), count));
        let sums = [("data".to_owned(), self.sum(Kind::is_data)), ("all".to_owned(), self.sum(|_| true))];
        let mut text = format!("{:<12} {:>12} {:>16}\n", "kind", "messages", "bytes");
        for (name, count) in rows.chain(sums) {
            text.push_str(&format!("{name:<12} {:>12} {:>16}\n", count.messages, count.bytes));
        }
        text
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (data, all) = (self.sum(Kind::is_data), self.sum(|_| true));
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("data", &data.messages)?;
        map.serialize_entry("bytes", &data.bytes)?;
        map.serialize_entry("elements", &self.sum(|kind| kind == Kind::ELEM).messages)?;
        map.serialize_entry("messages", &all.messages)?;
        let kinds: BTreeMap<String, Count> = self.kinds().map(|(kind, count)| (name(kind), count)).collect();
        map.serialize_entry("kinds", &kinds)?;
        map.end()
    }
}

/// The name of a kind; kinds from the future have their number in it.
fn name(kind: Kind) -> String {
    match kind.name() {
        "unknown" => format!("unknown-{}", kind.0),
        name => name.to_owned(),
    }
}

fn run(args: &Args, env: &mut Env) -> Run {
    let mut out = env.output(args, Shown::Show)?;
    let run = count(args, env, &mut out);
    Ok(Outcome::Status(out.finish(run, env)))
}

fn count(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let mut input = env.input(args)?;
    let mut counts = Counts([Count::default(); 256]);
    let mut well = true;
    loop {
        match input.next(out)? {
            Input::Message(raw) => {
                if raw.kind == Kind::ERR {
                    // An error in its place is told, and what follows is counted.
                    out.message(&raw)?;
                }
                let len = raw.data().map_or(raw.payload.len(), <[u8]>::len);
                if let Some(count) = counts.0.get_mut(usize::from(raw.kind.0)) {
                    count.add(Count { messages: 1, bytes: len as u64 });
                }
            }
            Input::End(status) => {
                well &= status.is_ok();
                out.ended(status)?;
            }
            Input::Eof => break,
        }
    }
    // Half a count would be taken for an answer.
    if well {
        let text = if args.has("object") {
            let text = serde_json::to_string(&counts);
            text.map_err(|err| Error::new(Code::Failed, "out", err.to_string()))? + "\n"
        } else if args.has("all") {
            counts.table()
        } else if args.has("bytes") {
            format!("{}\n", counts.sum(Kind::is_data).bytes)
        } else {
            format!("{}\n", counts.sum(Kind::is_data).messages)
        };
        out.bytes(text.as_bytes())?;
    }
    Ok(Outcome::Done)
}
