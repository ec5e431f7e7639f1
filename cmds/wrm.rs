//! `wrm`: removes woofs.

use crate::support::prelude::*;
use libwoofstream::log;
use libwoofstream::space::Space as _;
use std::path::Path;

pub(crate) const COMMAND: Command =
    Command { name: "wrm", about: "removes woofs", group: Group::Woofs, define, verb: Verb::Plain(run) };

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Removes woofs. Programs that have one open are told: appends to it fail, follows of it end. What is not a woof is \
             never removed.",
        )
        .arg(flags::operands("NAME", "What to remove").required(true))
        .arg(flags::flag("force", 'f', "Say nothing about names that are not there"))
        .arg(flags::verbose())
        .arg(flags::timeout())
        .after_long_help("EXAMPLES\n  wrm farm/alerts\n  wrm -f farm/old farm/older")
}

fn run(args: &Args, env: &mut Env) -> Run {
    let spaces = env.spaces();
    let (mut done, mut failed) = (0, 0);
    for name in args.texts("NAME") {
        let held = held(name, env);
        match spaces.remove(name) {
            Err(error) if error.code() == Code::NotFound && args.has("force") => done += 1,
            Err(error) => {
                env.error(&advised(error, name, env));
                failed += 1;
            }
            Ok(()) => {
                if let Some(held) = held {
                    env.messages().note(&format!("{name}: removed with {held} whose handlers were not done"));
                } else if args.has("verbose") {
                    env.messages().note(&format!("{name}: removed"));
                }
                done += 1;
            }
        }
    }
    Ok(Outcome::of_items(done, failed))
}

/// The same error, with what else removes a woof that is damaged.
fn advised(error: Error, name: &str, env: &Env) -> Error {
    let is_here = env.local_path(name).is_ok_and(|path| path.is_some());
    if error.code() != Code::Damaged || !is_here {
        return error;
    }
    let text =
        format!("{}: it stays, as programs that have it open cannot be told; rm removes it", error.text());
    Error::new(error.code(), name, text)
}

/// The elements of a woof here that are kept for handlers.
fn held(name: &str, env: &Env) -> Option<String> {
    let path = env.local_path(name).ok()??;
    let woof = log::open(Path::new(&path)).ok()?;
    let (first, next) = (woof.held()?, woof.next_seqno());
    match next.checked_sub(first)? {
        0 => None,
        1 => Some(format!("element {first}")),
        _ => Some(format!("elements {first} to {}", next - 1)),
    }
}
