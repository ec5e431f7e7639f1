//! The namespace server over a long link (`tests/link`): times in round trips, against ssh and raw TCP on the same link.

mod ssh;

use crate::Result;
use crate::child;
use crate::measure::{median, timed};
use crate::net::server::{Server, done};
use crate::net::streams::{filled, lines};
use crate::place::Place;
use crate::report::{Report, Unit, figure};
use libwoofstream::client::Remote;
use libwoofstream::log::{self, Options};
use libwoofstream::space::{Each, MessageRef, Selection, SeqRange, Space as _};
use ssh::Sshd;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use woof_link::{Link, LinkOptions};

const PORT: u16 = 7144;
const SINK_PORT: u16 = 7145;
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);
/// The round trip of the rows about round trips.
const RTT: Duration = Duration::from_millis(100);

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    if let Err(err) = Link::new(LinkOptions::default()) {
        return report.note(&format!(
            "*** no long link here ({err}): it needs root and /dev/net/tun; the rows of \"wan\" are NOT measured ***"
        ));
    }
    first_byte(place, report)?;
    put(place, report)?;
    ranges(place, report)
}

/// A link with a server on its side B.
struct Far {
    server: Server,
    link: Link,
}

impl Far {
    fn start(place: &Place, name: &str, rtt: Duration) -> Result<Far> {
        let link = Link::new(LinkOptions { rtt, ..LinkOptions::default() })?;
        let side = link.b();
        let server = Server::start_with(place, name, (side.address(), PORT), |command| {
            Ok(side.enter(|| command.spawn())??)
        })?;
        side.wait_listening(PORT, START)?;
        Ok(Far { server, link })
    }

    /// Does something on side A.
    fn here<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let done = self.link.a().enter(|| what().map_err(|err| err.to_string()))?;
        Ok(done?)
    }

    /// Runs a command on side A.
    fn run(&self, command: &mut Command) -> Result<()> {
        self.here(|| done(command))
    }
}

/// A time in round trips of the link.
fn in_round_trips(report: &mut Report, what: &str, times: &[f64], beside: &str, max: f64) -> Result<()> {
    let time = median(times);
    let trips = time / RTT.as_secs_f64();
    let ours = figure(Unit::Time, time);
    let text = format!("at most {max} round trips");
    report.row(what, &ours, beside, "-", &format!("{trips:.2} round trips"), &text, trips <= max)
}

fn first_byte(place: &Place, report: &mut Report) -> Result<()> {
    let far = Far::start(place, "wan first", RTT)?;
    far.server.woof("temp", &Options::default())?.appender()?.append(b"21.5")?;
    let rounds = place.rounds(5);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let mut command = far.server.command(place, "wget");
        command.arg("-u").arg(far.server.url("temp")).stdout(Stdio::piped());
        times.push(far.here(|| {
            let start = Instant::now();
            let mut child = command.spawn()?;
            let mut first = [0];
            child.stdout.take().ok_or("no pipe")?.read_exact(&mut first)?;
            let time = start.elapsed().as_secs_f64();
            child.wait()?;
            Ok(time)
        })?);
    }
    in_round_trips(report, "first byte of wget woof://..., 100 ms", &times, "TCP, TLS, request: 3", 3.1)?;

    // Each a connection of its own, with the sessions of those before.
    let dial = far.server.dialer();
    let name = far.server.name("temp");
    let mut times = Vec::new();
    for _ in 0..=rounds {
        let remote = far.server.remote(Arc::clone(&dial))?;
        times.push(far.here(|| first_element(&remote, &name))?);
        // The ticket of the session comes after the answer may have.
        std::thread::sleep(RTT);
    }
    let what = "first element, session resumed in the process, 100 ms";
    in_round_trips(report, what, &times[1..], "TCP, request with early data: 2", 2.1)?;

    let remote = far.server.remote(dial)?;
    let mut times = Vec::new();
    for _ in 0..=rounds {
        times.push(far.here(|| first_element(&remote, &name))?);
    }
    in_round_trips(report, "first element, connection of the last request, 100 ms", &times[1..], "1", 1.1)
}

/// Seconds until the newest element is there.
fn first_element(remote: &Remote, name: &str) -> Result<f64> {
    let start = Instant::now();
    let mut at = None;
    let mut first = Each(|message: MessageRef<'_>| match message {
        MessageRef::Elem { .. } => {
            at.get_or_insert(start.elapsed().as_secs_f64());
            Ok(())
        }
        MessageRef::Fault(fault) => Err(fault.to_error()),
        _ => Ok(()),
    });
    let selection = Selection { range: Some(SeqRange::NEWEST), ..Selection::default() };
    remote.read(name, &selection, &mut first)?;
    Ok(at.ok_or("no element came")?)
}

/// Many small elements to the other side, against the same bytes over TCP.
fn put(place: &Place, report: &mut Report) -> Result<()> {
    let far = Far::start(place, "wan put", RTT)?;
    let count = place.count(100_000, 2_000);
    let lines = lines(place, count)?;
    let options = Options { history: count, capacity: count * 160, ..Options::default() };
    let mut sink = child::command(place, &["tcp-sink", &SINK_PORT.to_string()])?;
    let side = far.link.b();
    let mut sink = side.enter(|| sink.spawn())??;
    let measured = put_and_raw(place, &far, &lines, &options, count);
    sink.kill()?;
    sink.wait()?;
    let (ours, raw) = measured?;
    let trips = (median(&ours) - median(&raw)) / RTT.as_secs_f64();
    report.row(
        "wput of 100,000 elements of 100 B, 100 ms",
        &figure(Unit::Time, median(&ours)),
        "the same bytes over TCP, and an answer",
        &figure(Unit::Time, median(&raw)),
        &format!("{trips:+.2} round trips"),
        // The bytes over TCP have two of their own: to connect, and there and back.
        "at most 5 round trips and the link's time",
        trips <= 3.0,
    )
}

fn put_and_raw(
    place: &Place,
    far: &Far,
    lines: &std::path::Path,
    options: &Options,
    count: u64,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let side = far.link.b();
    side.wait_listening(SINK_PORT, START)?;
    let bytes = std::fs::read(lines)?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..place.rounds(5) {
        far.server.woof("put", options)?;
        let mut command = far.server.command(place, "wput");
        command.arg(far.server.url("put")).stdin(File::open(lines)?);
        ours.push(timed(1, || far.run(&mut command))?);
        let appended = log::open(&far.server.path("put"))?.next_seqno() - 1;
        if appended != count {
            return Err(format!("{appended} elements, not {count}").into());
        }
        let address = side.address();
        raw.push(far.here(|| timed(1, || send_all(address, &bytes)))?);
    }
    Ok((ours, raw))
}

/// Sends bytes over a new connection and waits until the other side has all.
fn send_all(address: Ipv4Addr, bytes: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect((address, SINK_PORT))?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut count = [0; 8];
    stream.read_exact(&mut count)?;
    if u64::from_le_bytes(count) == bytes.len() as u64 { Ok(()) } else { Err("bytes were lost".into()) }
}

/// The other side of that: a process that answers each connection with how many bytes came.
pub(crate) fn sink(port: u16) -> Result<()> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut count = 0_u64;
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                some => count += some as u64,
            }
        }
        stream.write_all(&count.to_le_bytes())?;
    }
}

/// A million elements from the other side, against the same bytes through ssh.
fn ranges(place: &Place, report: &mut Report) -> Result<()> {
    let count = place.count(1_000_000, 20_000);
    let file = lines(place, count)?;
    let sshd = Sshd::prepare(place);
    if let Err(why) = &sshd {
        report.note(&format!("*** {why}: ranges are NOT held against ssh ***"))?;
    }
    let mut before: Option<(Duration, f64)> = None;
    for rtt in [0, 50, 200].map(Duration::from_millis) {
        let far = Far::start(place, &format!("wan range {}", rtt.as_millis()), rtt)?;
        filled(&far.server, "range", count)?;
        let what = format!("range of 1 M elements of 100 B, {} ms", rtt.as_millis());
        let url = far.server.url("range");
        let ours = || timed(1, || far.run(far.server.command(place, "wget").arg(&url).arg("..")));
        let rounds = if place.quick { 1 } else { 3 };
        let ours_median = match &sshd {
            Ok(sshd) => {
                let running = sshd.start(&far.link, rtt)?;
                let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    our_times.push(ours()?);
                    their_times.push(timed(1, || running.cat(place, &far.link, &file))?);
                }
                let (ours, theirs) = (median(&our_times), median(&their_times));
                report.row(
                    &what,
                    &figure(Unit::Time, ours),
                    "ssh cat of 100 MB",
                    &figure(Unit::Time, theirs),
                    &format!("{:.2}x", ours / theirs),
                    "at most 1x its time",
                    ours <= theirs,
                )?;
                ours
            }
            Err(_) => median(&(0..rounds).map(|_| ours()).collect::<Result<Vec<f64>>>()?),
        };
        if let Some((shorter, time)) = before {
            let trips = (ours_median - time) / (rtt - shorter).as_secs_f64();
            report.row(
                &format!("{what}: grown from {} ms", shorter.as_millis()),
                &figure(Unit::Time, ours_median),
                "the shorter link",
                &figure(Unit::Time, time),
                &format!("{trips:.1} round trips"),
                "3, slow start, and 1",
                trips <= 4.0 + slow_start(count * 138),
            )?;
        }
        before = Some((rtt, ours_median));
    }
    Ok(())
}

/// Round trips until a sender that doubles its window each time has sent so many bytes.
fn slow_start(bytes: u64) -> f64 {
    let (mut window, mut sent, mut trips) = (14_600, 0, 0.0);
    while sent < bytes {
        sent += window;
        window *= 2;
        trips += 1.0;
    }
    trips
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_doubles() {
        assert_eq!(slow_start(14_600), 1.0);
        assert_eq!(slow_start(14_601), 2.0);
        assert_eq!(slow_start(14_600 * 7), 3.0);
    }
}
