//! `woof-link`: runs a command on one side of a long link, and maybe another one on its other side.
//!
//! Failure contract: the exit status is the command's, 128 and the signal's number if it was ended by one, and 125 with one line
//! on standard error when `woof-link` itself could not do its part.

mod running;
mod units;

use clap::{Arg, ArgAction, ArgMatches, Command as Clap, value_parser};
use running::Running;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use woof_link::{Counters, Link, LinkOptions, Side};

/// The status when it is not the command's, as with `env` and `timeout`.
const OWN_FAILURE: u8 = 125;

/// How long it is waited for a listener on the other side.
const LISTENING_WAIT: Duration = Duration::from_secs(30);

/// Set in the environment of both commands: the address of their own side, and that of the other.
const HERE: &str = "LINK_HERE";
const THERE: &str = "LINK_THERE";

const AFTER_HELP: &str = "\
The command runs on side A. LINK_HERE in its environment is its own address, LINK_THERE that of the other side. \
What goes over the link is what the kernel sends: handshakes, slow start, retransmissions and resets are real.

Durations are as 100ms, 1.5s, 200us. Rates are in bytes or bits a second: 12MB/s, 1MiB/s, 100Mbit/s.

Needs root, /dev/net/tun, and nsenter of util-linux. When woof-link ends first, however it does, COMMAND and the one \
on side B get SIGTERM with their process groups. Where standard input is a terminal, COMMAND stays in its group.

Examples:
  woof-link --rtt 100ms -- sh -c 'ping -c 3 $LINK_THERE'
  woof-link --rtt 200ms --rate 12MB/s --loss 0.01 \\
      --there 'python3 -m http.server 8000' --there-port 8000 -- sh -c 'curl -s $LINK_THERE:8000'
  woof-link --rtt 50ms --cut 2s..5s --there 'nc -l -p 9 >out' --there-port 9 -- sh -c 'nc $LINK_THERE 9 <in'

Exit status: that of the command; 128 and the signal's number if a signal ended it; 125 when woof-link itself failed.";

fn main() -> ExitCode {
    let matches = match clap().try_get_matches() {
        Ok(matches) => matches,
        Err(err) => {
            // Nothing can be done about a closed output.
            let _ = err.print();
            return if err.use_stderr() { ExitCode::from(OWN_FAILURE) } else { ExitCode::SUCCESS };
        }
    };
    match run(&matches) {
        Ok(status) => ExitCode::from(status),
        Err(err) => {
            say(&err.to_string());
            ExitCode::from(OWN_FAILURE)
        }
    }
}

fn clap() -> Clap {
    let option = |id: &'static str, value: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name(value).help(help)
    };
    Clap::new("woof-link")
        .about("Run a command on one side of a long link, between two network namespaces of this machine")
        .after_help(AFTER_HELP)
        .arg(
            option("rtt", "DURATION", "Time of a round trip, half of it in each direction")
                .default_value("0ms")
                .value_parser(units::duration),
        )
        .arg(
            option("rate", "RATE", "Rate of each direction [default: as fast as the machine]")
                .value_parser(units::rate),
        )
        .arg(
            option(
                "queue",
                "BYTES",
                "What may wait before a line with a rate [default: a round trip of it, at least 128 KiB]",
            )
            .value_parser(value_parser!(u64)),
        )
        .arg(
            option("loss", "PART", "Part of the packets that is lost, from 0 to 1")
                .default_value("0")
                .value_parser(value_parser!(f64)),
        )
        .arg(
            option("seed", "NUMBER", "What the losses are drawn from")
                .default_value("1")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            option(
                "cut",
                "FROM..TO",
                "Drop all packets in this span after the start of COMMAND; without TO, for ever",
            )
            .action(ArgAction::Append)
            .value_parser(units::span),
        )
        .arg(option("there", "COMMAND", "Run this with sh on side B first, and end it after COMMAND"))
        .arg(
            option("there-port", "PORT", "Start COMMAND once something listens on this TCP port of side B")
                .value_parser(value_parser!(u16)),
        )
        .arg(
            option("stats", "", "Print what went over the link to standard error at the end")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("COMMAND")
                .required(true)
                .num_args(1..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
                .help("The command and its arguments"),
        )
}

fn run(matches: &ArgMatches) -> io::Result<u8> {
    let link = Link::new(LinkOptions {
        rtt: matches.get_one("rtt").copied().unwrap_or_default(),
        rate_bytes_per_s: matches.get_one("rate").copied(),
        loss: matches.get_one("loss").copied().unwrap_or_default(),
        seed: matches.get_one("seed").copied().unwrap_or_default(),
        queue_bytes: matches.get_one("queue").copied(),
    })?;
    let there = matches.get_one::<String>("there").map(|line| start_there(&link, line)).transpose()?;
    if let Some(port) = matches.get_one::<u16>("there-port") {
        wait_for_port(&link, *port, there.as_ref())?;
    }
    let words: Vec<&OsString> = matches.get_many("COMMAND").into_iter().flatten().collect();
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let cuts: Vec<units::Span> = matches.get_many("cut").into_iter().flatten().copied().collect();

    // One from the start is there before the first packet, whichever thread runs first.
    if cuts.iter().any(|span| span.from.is_zero()) {
        link.cut();
    }
    let is_interactive = io::stdin().is_terminal();
    let command = Running::start(in_side(link.a(), link.b(), program).args(arguments), !is_interactive)?;
    let (ended, end) = channel::<()>();
    let status = std::thread::scope(|scope| {
        let (link, cuts) = (&link, &cuts);
        scope.spawn(move || follow_cuts(link, cuts, &end));
        let status = command.wait();
        drop(ended);
        status
    })?;
    if matches.get_flag("stats") {
        say(&format!("a to b: {}", told(link.a_to_b())));
        say(&format!("b to a: {}", told(link.b_to_a())));
    }
    drop((command, there));
    link.check()?;
    Ok(status)
}

/// A program on `side`, which is told where it is.
fn in_side(side: &Side, other: &Side, program: impl AsRef<OsStr>) -> Command {
    let mut command = side.command(program);
    command.env(HERE, side.address().to_string()).env(THERE, other.address().to_string());
    command
}

/// The command on side B.
fn start_there(link: &Link, line: &str) -> io::Result<Running> {
    // Its output would mix with that of COMMAND, which may be a stream.
    let output = io::stderr().as_fd().try_clone_to_owned()?;
    let mut command = in_side(link.b(), link.a(), "sh");
    Running::start(command.args(["-c", line]).stdin(Stdio::null()).stdout(output), true)
}

/// Waits until the port is there, or the command that should open it has ended.
fn wait_for_port(link: &Link, port: u16, there: Option<&Running>) -> io::Result<()> {
    let give_up = Instant::now() + LISTENING_WAIT;
    loop {
        match link.b().wait_listening(port, Duration::from_millis(100)) {
            Err(err) if err.kind() == io::ErrorKind::TimedOut => {}
            done => return done,
        }
        if there.is_some_and(Running::has_ended) {
            return Err(io::Error::other(format!("--there: ended before it listened on port {port}")));
        }
        if Instant::now() > give_up {
            return link.b().wait_listening(port, Duration::ZERO);
        }
    }
}

/// Cuts and mends at the times asked for, until the other end of `end` is dropped.
fn follow_cuts(link: &Link, cuts: &[units::Span], end: &Receiver<()>) {
    let start = Instant::now();
    let has_ended = |at: Duration| {
        end.recv_timeout(at.saturating_sub(start.elapsed())) == Err(RecvTimeoutError::Disconnected)
    };
    let mut cuts = cuts.to_vec();
    cuts.sort_by_key(|span| span.from);
    for span in cuts {
        if has_ended(span.from) {
            return;
        }
        link.cut();
        let Some(to) = span.to else { return };
        if has_ended(to) {
            return;
        }
        link.mend();
    }
}

fn told(counters: Counters) -> String {
    let Counters { sent, delivered, lost, overflowed, cut } = counters;
    format!(
        "{} packets ({} bytes) sent, {} ({}) delivered, {} lost, {} overflowed, {} cut",
        sent.packets,
        sent.bytes,
        delivered.packets,
        delivered.bytes,
        lost.packets,
        overflowed.packets,
        cut.packets
    )
}

fn say(line: &str) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(io::stderr(), "woof-link: {line}");
}
