//! `wstat`: shows what woofs are and what is in them.

mod triggers;

use crate::support::prelude::*;
use crate::support::{time, units};
use libwoofstream::handler;
use libwoofstream::name::shown;
use libwoofstream::space::Space as _;
use libwoofstream::wire::Value;
use std::path::Path;

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
             newest element, what their elements are.\n\n\
             With --triggers, of namespaces, for each binding: triggers that are pending and running, and of all until now how many are done, \
             attempts that failed (in JSON: failed), triggers that were given up (dead), those of them that are dead letters still, as they were \
             not put back or died again (still_dead), and elements that were lost; and the oldest trigger that is not done.",
        )
        .arg(flags::operands("NAME", "What to look at").required(true))
        .arg(flags::flag("triggers", '\0', "Of namespaces: what is going on with the triggers of their handlers"))
        .arg(flags::timeout())
        .after_long_help("EXAMPLES\n  wstat farm/temp\n  wstat farm/temp --json | jq .elements\n  wstat --triggers farm")
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    if args.has("triggers") {
        return triggers::run(args, env, out);
    }
    let text = out.form() == Form::Text;
    let spaces = env.spaces();
    let (mut done, mut failed) = (0, 0);
    for name in args.texts("NAME") {
        match spaces.stat(name) {
            Err(error) => {
                out.error(&error)?;
                failed += 1;
                continue;
            }
            Ok(dir) if text => {
                let gap = if done > 0 { "\n" } else { "" };
                let path = env.local_path(name).ok().flatten();
                let by_nobody = path.is_some_and(|path| handler::is_held_by_nobody(Path::new(&path)));
                out.bytes(format!("{gap}{}", page(&dir, by_nobody)).as_bytes())?;
            }
            Ok(dir) => out.dir(&dir)?,
        }
        done += 1;
    }
    Ok(Outcome::of_items(done, failed))
}

/// What people want to know of a woof, in the order in which they ask.
fn page(dir: &Dir, held_by_nobody: bool) -> String {
    let number = |name: &str| dir.uint(name).unwrap_or(0);
    let now = libwoofstream::sys::now_ns();
    let time = |name: &str| {
        let at = dir.uint(name).unwrap_or(0);
        format!("{} ({})", time::local(at), time::in_words(at, now))
    };
    let (first, next) = (number("first_seqno"), number("next_seqno"));
    let name = dir.text("path").unwrap_or_default();
    let mut rows =
        vec![("name", name.to_owned()), ("content", dir.text("content").unwrap_or_default().to_owned())];
    rows.push(match number("elements") {
        0 => ("elements", format!("none, the next is {next}")),
        count => ("elements", format!("{count}, from {first} to {}", next - 1)),
    });
    rows.push((
        "keeps",
        format!(
            "{} elements or {}, each up to {}",
            number("history"),
            units::human_size(number("capacity")),
            units::human_size(number("element_max"))
        ),
    ));
    rows.push((
        "size",
        format!(
            "{} used, {} on disk, at most {}",
            units::human_size(number("size")),
            units::human_size(number("disk_size")),
            units::human_size(number("disk_size_max"))
        ),
    ));
    if dir.get("first_time").is_some() {
        rows.push(("oldest", time("first_time")));
        rows.push(("newest", time("last_time")));
    }
    if dir.get("ahead_time").is_some() {
        let what = "is ahead of the clock, and what is put gets its time until then";
        rows.push(("clock", format!("the newest {what} (wattr {name} clock reset)")));
    }
    rows.push(("created", time("created")));
    if dir.get("sync") == Some(&Value::Bool(true)) {
        rows.push(("sync", "every element is durable before it is acknowledged".to_owned()));
    } else if dir.get("synced_seqno").is_some() {
        rows.push(("durable", format!("up to {}", number("synced_seqno") - 1)));
    }
    if dir.get("held").is_some() {
        let held = number("held");
        let which = if held < next { format!("from {held} on") } else { "none yet".to_owned() };
        rows.push((
            "held",
            if held_by_nobody {
                format!("{which}, though no handler is bound to it (wbind remove {name} lets go of them)")
            } else {
                format!("{which}, until their handlers are done")
            },
        ));
    }
    if number("recoveries") > 0 {
        let cut = number("last_cut");
        rows.push((
            "recovered",
            format!("{} times, {cut} elements were cut off the last time", number("recoveries")),
        ));
    }
    rows.push(("mode", format!("{:04o}, owner {}, group {}", number("mode"), number("uid"), number("gid"))));
    rows.into_iter().map(|(name, value)| format!("{name:<10}{}\n", shown(value.as_bytes()))).collect()
}
