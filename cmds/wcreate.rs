//! `wcreate`: makes woofs and namespaces.

use crate::support::prelude::*;
use libwoofstream::content::ContentType;
use libwoofstream::log::Options;
use libwoofstream::space::{Create, Space as _};

pub(crate) const COMMAND: Command =
    Command { name: "wcreate", about: "makes woofs", group: Group::Woofs, define, verb: Verb::Plain(run) };

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Makes a woof: a file that keeps the newest of the elements appended to it, at most --history of them and at most \
             --capacity bytes. It takes room on the disk as it fills. With \
             --element-size exactly the newest --history elements are always kept, and no element is larger.",
        )
        .arg(flags::operands("NAME", "What to make").required(true))
        .arg(flags::number("history", '\0', "COUNT", "Keep at most this many elements [default: 65536]"))
        .arg(flags::size("capacity", '\0', "Keep at most this many bytes [default: 16MiB]"))
        .arg(flags::size("element-size", '\0', "No element is larger; always keep --history of them"))
        .arg(flags::content_type())
        .arg(flags::flag("sync", '\0', "Make every element durable before it is acknowledged"))
        .arg(flags::flag("reset", '\0', "Replace a woof of that name; who has it open is told"))
        .arg(flags::flag("parents", 'p', "Make missing directories, the last of them a namespace"))
        .arg(flags::flag("namespace", '\0', "Make a namespace: a directory for woofs"))
        .arg(flags::verbose())
        .arg(flags::timeout())
        .after_long_help(
            "EXAMPLES\n  wcreate -p farm/temp --type f64\n  wcreate events --history 1000000 --capacity 1GiB\n  \
             wcreate orders --type json --sync\n  wcreate --namespace farm",
        )
}

fn run(args: &Args, env: &mut Env) -> Run {
    if args.has("namespace") {
        let woof_flags = ["history", "capacity", "element-size"];
        if woof_flags.iter().any(|flag| args.number(flag).is_some()) || args.has("sync") || args.has("reset")
        {
            return Err(Failure::invalid("--namespace", "takes no flags of woofs"));
        }
    }
    if args.number("element-size").is_some() && args.number("capacity").is_some() {
        return Err(Failure::invalid("--capacity", "is --element-size times --history when that is given"));
    }
    let defaults = Options::default();
    let options = Options {
        history: args.number("history").unwrap_or(defaults.history),
        capacity: args.number("capacity").unwrap_or(defaults.capacity),
        element_size: args.number("element-size"),
        content: args.get::<ContentType>("type").copied().unwrap_or_default(),
        sync: args.has("sync"),
    };
    // What is wrong with the sizes is wrong for every name.
    libwoofstream::log::check(&options).map_err(|error| error.of(args.text("NAME").unwrap_or_default()))?;
    let create = Create { options, reset: args.has("reset"), parents: args.has("parents") };
    let spaces = env.spaces();
    let (mut done, mut failed) = (0, 0);
    for name in args.texts("NAME") {
        let made =
            if args.has("namespace") { spaces.create_namespace(name) } else { spaces.create(name, &create) };
        match made {
            Ok(()) => {
                if args.has("verbose") {
                    env.messages().note(&format!("{name}: made"));
                }
                done += 1;
            }
            Err(error) => {
                env.error(&error);
                failed += 1;
            }
        }
    }
    Ok(Outcome::of_items(done, failed))
}
