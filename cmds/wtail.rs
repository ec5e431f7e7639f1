//! `wtail`: follows woofs.

use crate::support::prelude::*;
use crate::support::select::selection;
use crate::support::shared_output::Shared;
use libwoofstream::space::{Follow, Selection, Space as _, Spaces, Stop};

pub(crate) const COMMAND: Command =
    Command { name: "wtail", about: "follows woofs", group: Group::Woofs, define, verb: Verb::Stream(run) };

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Sends the elements that are appended to woofs from now on, each as soon as it is there. Before them, with -n, the \
             newest that are there already, or all from --from or --since on. Asleep it uses no CPU. It ends when nobody \
             reads its output any more, when a woof is removed or reset, or after --count elements.",
        )
        .arg(flags::operands("NAME", "Which woofs").required(true))
        .arg(flags::count().long("last").help("Send the newest so many first"))
        .args(flags::bounds())
        .arg(flags::filter())
        .arg(flags::number("stop-after", '\0', "COUNT", "Stop after so many elements").long("count"))
        .arg(flags::flag("no-follow", '\0', "Stop when all that is there was sent"))
        .arg(flags::timeout())
        .after_long_help(
            "EXAMPLES\n  wtail farm/temp\n  wtail farm/temp -n 3 --count 3 --json | jq .value\n  \
             wtail farm/temp --where 'value > 70' | wput farm/alerts\n  wtail farm/temp farm/wind --since 10m",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let names: Vec<&str> = args.texts("NAME").collect();
    let (mut selection, last) = selection(args)?;
    selection.last = last;
    selection.limit = args.number("stop-after");
    let stop = Stop::default();
    if !args.has("no-follow") {
        selection.follow = Some(Follow { stop: stop.clone() });
        if let Some(watch) = out.watch() {
            // The thread ends with the process; it holds nothing but its descriptor.
            let stop = stop.clone();
            std::thread::spawn(move || {
                watch.until_unread();
                stop.stop();
            });
        }
    }
    let spaces = env.spaces();
    match names[..] {
        [name] => spaces.read(name, &selection, out)?,
        _ => follow_all(&spaces, &names, &selection, &stop, out)?,
    }
    Ok(Outcome::Done)
}

/// Reads several woofs at once, a thread each, into one output.
fn follow_all(
    spaces: &Spaces,
    names: &[&str],
    selection: &Selection,
    stop: &Stop,
    out: &mut Output,
) -> Result<(), Failure> {
    let shared = Shared::new(out, selection.limit);
    std::thread::scope(|scope| {
        for name in names {
            let mut sink = shared.sink(stop.clone());
            let selection = Selection { limit: None, ..selection.clone() };
            scope.spawn(move || {
                let done = spaces.read(name, &selection, &mut sink);
                sink.end(done);
            });
        }
    });
    Ok(shared.finish()?)
}
