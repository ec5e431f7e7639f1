//! `wecho`: sends messages made of its arguments.

use crate::support::prelude::*;

pub(crate) const COMMAND: Command = Command {
    name: "wecho",
    about: "sends its arguments as messages",
    group: Group::Streams,
    define,
    verb: Verb::Stream(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Sends each argument as one message that ends with a newline. Marks and errors go out after the data, so \
             that a pipeline can be tried with them.",
        )
        .arg(flags::data("DATA", "What to send, one message each"))
        .arg(flags::flag("message", 'm', "Send the arguments as they are, without newlines"))
        .arg(flags::flag("no-newline", 'n', "Send the last argument without a newline"))
        .arg(flags::option("mark", '\0', "NAME", "Send a mark of this name"))
        .arg(flags::option("error", '\0', "TEXT", "Send an error that says this"))
        .after_long_help(
            "EXAMPLES\n  wecho one two | wcat -l\n  wecho -m 21.5 | wput farm/temp\n  wecho --error 'the pump is dry' | wcat",
        )
}

fn run(args: &Args, _env: &mut Env, out: &mut Output) -> Run {
    let mut data = args.bytes("DATA").peekable();
    let mut line = Vec::new();
    while let Some(argument) = data.next() {
        line.clear();
        line.extend_from_slice(argument);
        let bare = args.has("message") || (args.has("no-newline") && data.peek().is_none());
        if !bare {
            line.push(b'\n');
        }
        out.bytes(&line)?;
    }
    if let Some(name) = args.text("mark") {
        out.mark(name)?;
    }
    if let Some(text) = args.text("error") {
        out.fault(
            &Fault { code: Code::Failed.as_str().to_owned(), text: text.to_owned(), ..Fault::default() }
                .from_origin(COMMAND.name),
        )?;
    }
    Ok(Outcome::Done)
}
