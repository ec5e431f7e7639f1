//! `wfilter`: keeps the data that a predicate matches.

use crate::support::prelude::*;
use crate::support::select::tell_unknown;
use crate::support::subject::Subjects;
use libwoofstream::predicate::Predicate;
use libwoofstream::space::{ELEMENT_NAMES, FOUND_NAMES};
use std::ops::ControlFlow;

pub(crate) const COMMAND: Command = Command {
    name: "wfilter",
    about: "keeps the data that matches a predicate",
    group: Group::Streams,
    define,
    verb: Verb::Stream(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Keeps the data for which EXPR is true, and drops the other data. EXPR is CEL: value, text, json, data, seqno, time \
             and size are those of each message, all other names are attributes of the woof or file that it comes from. What \
             does not have the name that is asked for does not match. Messages that are no data pass as they are, in their \
             place; so does data that was set aside before. The status is 1 when no data was kept.",
        )
        .arg(flags::operand("EXPR", "The predicate"))
        .arg(flags::flag("invert", 'v', "Keep the data that does not match"))
        .arg(flags::flag("set-aside", 'x', "Set the rest aside instead of dropping it"))
        .args(flags::input())
        .arg(flags::quiet())
        .after_long_help(
            "EXAMPLES\n  wtail farm/temp | wfilter 'value > 30' | wput farm/alerts\n  wget farm/log .. | wfilter -v 'text.startsWith(\"#\")'\n  \
             wfilter 'json.level == \"error\"' < events.jsonl | wcat",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let predicate = Predicate::compile(args.text("EXPR").unwrap_or_default())?;
    let (wanted, set_aside) = (!args.has("invert"), args.has("set-aside"));
    let mut input = env.input(args)?;
    let name = input.name().to_owned();
    let mut subjects = Subjects::default();
    let messages = env.messages();
    let (mut kept, mut began) = (false, false);
    each(&mut input, out, |raw, out| {
        let subject = subjects.of(raw).map_err(|err| err.of(&*name))?;
        if subject.is_some() && !began {
            began = true;
            // What comes in may have attributes of its own.
            let known = ELEMENT_NAMES.into_iter().chain(FOUND_NAMES).chain(subjects.names());
            tell_unknown(&predicate, &known.collect::<Vec<_>>(), "what comes in", args, messages);
        }
        let matches = subject.as_ref().map(|subject| predicate.matches(subject));
        if let Some(trouble) = predicate.trouble() {
            out.error(&trouble)?;
        }
        match matches {
            Some(matches) if matches != wanted => {
                if set_aside {
                    out.ign(raw)?;
                }
            }
            Some(_) => {
                kept = true;
                out.message(raw)?;
            }
            None => {
                subjects.enter(raw).map_err(|err| err.of(&*name))?;
                out.message(raw)?;
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(if kept { Outcome::Done } else { Outcome::No })
}
