//! `wstat`: shows what woofs are and what is in them.

use crate::support::prelude::*;
use libwoofstream::space::{Local, Space};

pub(crate) const COMMAND: Command = Command {
    name: "wstat",
    about: "shows what woofs are and what is in them",
    group: Group::Woofs,
    define,
    verb: Verb::Show(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Shows the attributes of woofs: how much they keep and may keep, the sequence numbers and times of the oldest and the \
             newest element, what their elements are.",
        )
        .arg(flags::operands("NAME", "What to look at").required(true))
        .after_long_help("EXAMPLES\n  wstat farm/temp\n  wstat farm/temp --json | jq .elements")
}

fn run(args: &Args, _env: &mut Env, out: &mut Output) -> Run {
    out.make_long();
    for name in args.texts("NAME") {
        match Local.stat(name) {
            Ok(dir) => out.dir(&dir)?,
            Err(error) => out.error(&error)?,
        }
    }
    Ok(Outcome::Done)
}
