//! The namespace server on loopback, with TLS: one request at a time, streams, follows, and its memory.

pub(crate) mod counted;
pub(crate) mod echo;
pub(crate) mod nats;
pub(crate) mod server;
pub(crate) mod streams;

use crate::Result;
use crate::append::LEN;
use crate::latency::{on_one_core, p50};
use crate::measure::Pair;
use crate::place::Place;
use crate::report::{Report, Target, Unit};
use echo::Echo;
use libwoofstream::client::Remote;
use libwoofstream::log::{Appender, Options};
use libwoofstream::space::{Counted, Put, Selection, SeqRange, Space as _, Told};
use server::Server;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

const PING_PONG: &str = "TLS ping-pong of 100 B";

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    one_at_a_time(place, report, "unpinned")?;
    on_one_core(|| one_at_a_time(place, report, "one core"))?;
    streams::rows(place, report)
}

/// One request at a time over a connection that is there, against a ping-pong.
fn one_at_a_time(place: &Place, report: &mut Report, how: &str) -> Result<()> {
    let dir = format!("net {how}");
    let server = Server::start(place, &dir)?;
    let keys = place.path(&dir).join("keys");
    let mut echo = Echo::start(place, server.keys(), &keys, None)?;
    let (rounds, samples) = (place.rounds(9), place.count(2_000, 50));
    let remote = server.remote(server.dialer())?;

    let mut woof = server.woof("elements", &Options::default())?.appender()?;
    woof.append(&[7; LEN])?;
    let mut putting = remote.put(&server.name("elements"), None)?;
    let ours = || p50(samples, None, || put_one(&mut *putting));
    let beside = || p50(samples, None, || echo.round_trip());
    let pair = Pair::run(rounds, ours, beside)?;
    let what = format!("one put, TLS, {how}");
    report.pair(&what, PING_PONG, Unit::Time, &pair, Target::TimesItsTime(1.5))?;

    let name = server.name("elements");
    let ours = || p50(samples, None, || get_one(&remote, &name));
    let beside = || p50(samples, None, || echo.round_trip());
    let pair = Pair::run(rounds, ours, beside)?;
    let what = format!("one get, TLS, {how}");
    report.pair(&what, PING_PONG, Unit::Time, &pair, Target::TimesItsTime(1.5))?;

    let mut tail = Tail::start(place, &server, woof)?;
    let ours = || p50(samples, None, || tail.round_trip());
    let beside = || p50(samples, None, || echo.round_trip());
    let pair = Pair::run(rounds, ours, beside)?;
    let what = format!("append to line of a remote wtail, TLS, {how}");
    report.pair(&what, PING_PONG, Unit::Time, &pair, Target::TimesItsTime(5.0))?;

    server.woof("durable", &Options { sync: true, ..Options::default() })?;
    let file = place.path(&dir).join("written");
    let mut echo = Echo::start(place, server.keys(), &keys, Some(&file))?;
    let mut putting = remote.put(&server.name("durable"), None)?;
    let samples = place.count(300, 20);
    let ours = || p50(samples, None, || put_one(&mut *putting));
    let beside = || p50(samples, None, || echo.round_trip());
    let pair = Pair::run(rounds, ours, beside)?;
    let what = format!("one put --sync, TLS, {how}");
    let beside = "that ping-pong, pwrite and fdatasync";
    report.pair(&what, beside, Unit::Time, &pair, Target::TimesItsTime(1.4))
}

/// Puts one element and waits until it is in.
fn put_one(putting: &mut dyn Put) -> Result<()> {
    let mut count = 0;
    let mut report = |told| {
        if let Told::In(run) = told {
            count += run.count;
        }
    };
    putting.put(&mut std::iter::once(&[7; LEN][..]), &mut report)?;
    putting.settle(&mut report)?;
    if count == 1 { Ok(()) } else { Err(format!("{count} elements are in, not 1").into()) }
}

/// Gets the newest element.
fn get_one(remote: &Remote, name: &str) -> Result<()> {
    let mut counter = Counted::default();
    let selection = Selection { range: Some(SeqRange::NEWEST), ..Selection::default() };
    remote.read(name, &selection, &mut counter)?;
    if (counter.elements, counter.bytes) == (1, LEN as u64) {
        Ok(())
    } else {
        Err(format!("{} elements of {} bytes, not one of {LEN}", counter.elements, counter.bytes).into())
    }
}

/// A woof that is served, and a `wtail` that follows it through the server.
struct Tail {
    appender: Appender,
    process: Child,
    lines: BufReader<ChildStdout>,
    line: String,
}

impl Tail {
    fn start(place: &Place, server: &Server, appender: Appender) -> Result<Tail> {
        let mut command = server.command(place, "wtail");
        command.arg("-u").args(["-n", "1"]).arg(server.url("elements")).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let lines = BufReader::new(process.stdout.take().ok_or("no pipe")?);
        let mut tail = Tail { appender, process, lines, line: String::new() };
        // The newest element; its line tells that the follower is there.
        tail.lines.read_line(&mut tail.line)?;
        Ok(tail)
    }

    fn round_trip(&mut self) -> Result<()> {
        self.appender.append(b"21.5")?;
        self.line.clear();
        self.lines.read_line(&mut self.line)?;
        if self.line == "21.5\n" { Ok(()) } else { Err(format!("wtail: line {:?}", self.line).into()) }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
