//! `wrun`: runs UNIX programs on the data of a stream, or on the elements of a woof as they come.
//!
//! Failure contract: whatever the program does with its standard input and output, `wrun` neither hangs nor collects more
//! than a buffer of it. A program that fails is an error in the stream, never silence.

mod elements;
mod follow;
mod lines;
mod program;
mod stop;
mod stream;

use crate::support::prelude::*;
use program::{Job, Program};

pub(crate) const COMMAND: Command = Command {
    name: "wrun",
    about: "runs a UNIX program on the data of a stream",
    group: Group::Plumbing,
    define,
    verb: Verb::Stream(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Runs PROG once, as a filter: the data of in is its standard input, and each line that it writes is data of \
             out. Bytes go in as they are, elements in their text form with a newline after each (or what --delimiter \
             says). All other messages go past the program: each goes out when it has come, after the output that was \
             there by then and before the output for any data that follows it. A program that writes a stream has its \
             messages passed on.\n\n\
             When the program ends, so does wrun, and what it left of in is not read. A program that fails puts an error \
             into the stream, and its status is the status of wrun; death by a signal is 128 and its number. One \
             that is not found, or cannot be run, is status 2. Standard error is the program's own.\n\n\
             With -e PROG is run for each data message, which is its standard input, and what it writes stands in the \
             place of the message. With --on PROG is run for each new element of a woof, in order and at least once: \
             how far it has come is kept under a name in the directory .woof/positions beside the woof (of a woof at a server \
             in woofstream/positions in $XDG_STATE_HOME or ~/.local/state), so that the next \
             run goes on from there. The first run begins with what is put from then on, or with the element of --from. \
             A program that fails is tried again, later each time; when it still fails wrun ends with status 1, and the \
             next run begins with the same element. ^C and SIGTERM end it between two elements, with status 130 and 0, and what \
             it writes is then a stream that is cut; a second one ends it at once.\n\n\
             With --at NAME PROG is a handler of the namespace NAME, here or at a server (the right trigger is needed there), and runs where the \
             namespace is: what comes in goes there, and what it writes comes back, its standard error too. It finds in its environment \
             WOOF_USER, who asked for it, and what handlers find there (wbind). It is killed when wrun ends, or the connection is lost; then wrun \
             fails, and it is not run again.\n\n\
             With --in PROG runs in a container of IMAGE, by the container engine of this machine, which is there as long as wrun is: \
             without a network, with 1 GiB of memory and one processor, as the user of wrun or, where that is root, as nobody, and with nothing of \
             this machine but all our commands in its PATH and 64 MiB of /tmp.\n\n\
             With -e and --on PROG finds in its environment WOOF_NAME, WOOF_SEQNO and WOOF_TIME of the element, where they \
             are known, and its standard input is a file in memory: it is whole even when wrun is killed beside it.",
        )
        .arg(
            flags::data("PROG", "The program and its arguments")
                .num_args(1..)
                .required(true)
                .trailing_var_arg(true)
                .allow_negative_numbers(false),
        )
        .arg(flags::flag("each", 'e', "Run it once for each data message").conflicts_with("on"))
        .arg(flags::option("at", '\0', "NAME", "Run a handler of this namespace, where that is: PROG is a program in its directory handlers"))
        .arg(flags::option("in", '\0', "IMAGE", "Run it in a container of this image").conflicts_with("at"))
        .arg(flags::option("on", '\0', "NAME", "Run it for each new element of this woof").conflicts_with("input"))
        .arg(
            flags::option("keep", '\0', "POSITION", "The name of the position (default: WOOF-PROG, without directories)")
                .requires("on"),
        )
        .arg(
            flags::seqno("from", "With no position yet, begin with this element")
                .requires("on"),
        )
        .arg(flags::number("retries", '\0', "COUNT", "How often to try again when it fails (default 3)").requires("on"))
        .arg(flags::count().help("Stop after this many elements").requires("on"))
        .group(clap::ArgGroup::new("elsewhere").args(["on", "at"]).multiple(true))
        .arg(flags::timeout().requires("elsewhere"))
        .args(flags::input())
        .after_long_help(
            "EXAMPLES\n  seq 10 | wrun sed 's/$/ degrees/' | wcat\n  wget farm/temp .. | wrun -e sh -c 'read t; echo \"$WOOF_SEQNO: $t\"'\n  \
             wrun --on farm/alerts -- ./sms.sh\n  seq 3 | wrun --at woof://edge7/farm double.sh | wcat\n  wget farm/temp .. | wrun --in alpine:3 awk '{ s += $1 } END { print s }' | wcat\n  wrun --on farm/temp --from 1 --keep archive -- gzip -c >> temp.gz",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let program = Program::of(args, env)?;
    let job = Job { program: &program, delimiter: delimiter(args), split: flags::split_of(args) };
    if args.text("on").is_some() {
        return elements::run(&job, args, env, out);
    }
    let input = env.input(args)?;
    // A handler is in no process group of ours, so that a ^C does not reach it.
    let signals = program.stop().map(stop::Stop::on_signals);
    let ran = if args.has("each") {
        stream::each_message(&job, input, out)
    } else {
        stream::whole(&job, input, out)
    };
    match signals.and_then(|signals| signals.signal()) {
        Some(signal) => Ok(Outcome::Stopped(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
        None => ran,
    }
}

/// What follows the text form of each element that the program gets.
fn delimiter(args: &Args) -> &'static [u8] {
    match args.text("delimiter") {
        Some("nul") => b"\0",
        Some("none") => b"",
        _ => b"\n",
    }
}
