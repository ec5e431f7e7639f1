//! Streams over loopback TLS: puts against JetStream and Redis, ranges, a filter at the source, and a thousand followers.

use super::counted::Counted;
use super::nats::Nats;
use super::server::{Server, done};
use crate::Result;
use crate::append::{LEN, elements};
use crate::measure::{Pair, timed};
use crate::place::{Place, find_program};
use crate::redis::{Durability, Redis};
use crate::report::{Report, Target, Unit, figure};
use libwoofstream::content::ContentType;
use libwoofstream::log::{self, Options};
use libwoofstream::predicate::Predicate;
use libwoofstream::space::{self, Each, Follow, MessageRef, Selection, SeqRange, Space as _, Stop};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What was measured once on a virtual machine with 2 cores, for machines without these programs: puts in a second, without
/// and with everything made durable first, and reads of a range.
const NATS_RATES: [f64; 2] = [95_000.0, 2_600.0];
const REDIS_RATES: [f64; 2] = [330_000.0, 120_000.0];
const RANGE_RATES: [f64; 2] = [489_000.0, 595_000.0];
const REDIS_BATCH: usize = 500;
const MIB: f64 = 1_048_576.0;
const FOLLOWERS: usize = 1_000;

pub(super) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    let server = Server::start(place, "net streams")?;
    memory_idle(&server, report)?;
    puts(place, report, &server, false)?;
    puts(place, report, &server, true)?;
    range(place, report, &server)?;
    drop(server);
    filter(place, report)?;
    followers(place, report)
}

/// A woof that keeps `count` elements of 100 bytes.
fn keeps(count: u64, sync: bool) -> Options {
    Options { history: count, capacity: count * 160, sync, ..Options::default() }
}

/// A file of lines of 100 bytes each.
pub(crate) fn lines(place: &Place, count: u64) -> Result<PathBuf> {
    let path = place.path(&format!("lines of 100, {count}"));
    if !path.exists() {
        let mut out = BufWriter::new(File::create(&path)?);
        for number in 0..count {
            writeln!(out, "{number:0>100}")?;
        }
        out.flush()?;
    }
    Ok(path)
}

fn puts(place: &Place, report: &mut Report, server: &Server, sync: bool) -> Result<()> {
    let count = place.count(1_000_000, 20_000);
    let lines = lines(place, count)?;
    let options = keeps(count, sync);
    let with = if sync { "--sync, " } else { "" };
    let what = format!("wput {with}100 B, loopback TLS");
    let ours = || {
        server.woof("put", &options)?;
        let seconds = timed(count, || {
            done(server.command(place, "wput").arg(server.url("put")).stdin(File::open(&lines)?))
        })?;
        let appended = log::open(&server.path("put"))?.next_seqno() - 1;
        if appended == count { Ok(seconds) } else { Err(format!("{appended} elements, not {count}").into()) }
    };
    let rounds = place.rounds(5);
    let elements = elements();
    let many = |count: u64| -> Result<_> { Ok(elements.iter().cycle().take(usize::try_from(count)?)) };

    let fewer = place.count(if sync { 5_000 } else { 100_000 }, 2_000);
    let old = NATS_RATES[usize::from(sync)];
    let target = if sync { Target::TimesAsFast(100.0) } else { Target::TimesAsFast(10.0) };
    let nats = find_program("nats-server").ok_or_else(|| "no nats-server here (package nats-server)".into());
    match nats.and_then(|program| Nats::start(place, &program, sync)) {
        Ok(mut nats) => {
            let beside = || timed(fewer, || nats.append(many(fewer)?));
            let pair = Pair::run(rounds, ours, beside)?;
            let beside = format!("JetStream, {with}file, 1,000 under way, no TLS");
            report.pair(&what, &beside, Unit::Rate, &pair, target)?;
            reaches(report, &what, &pair, if sync { 300e3 } else { 1e6 })?;
            let here = figure(Unit::Rate, pair.beside());
            report.note(&format!("    (JetStream was measured at {old}/s before; here and now {here})"))?;
        }
        Err(why) => {
            report.note(&format!(
                "*** {why}: the next row is held against the figure in docs/performance.md and NOT against a measurement ***"
            ))?;
            let pair = Pair::run(rounds, ours, || Ok(1.0 / old))?;
            report.pair(&what, "JetStream: NOT MEASURED here", Unit::Rate, &pair, target)?;
            reaches(report, &what, &pair, if sync { 300e3 } else { 1e6 })?;
        }
    }

    let old = REDIS_RATES[usize::from(sync)];
    let target = if sync { Target::TimesAsFast(2.5) } else { Target::TimesAsFast(3.0) };
    let durability = if sync { Durability::Always } else { Durability::None };
    let program = std::env::var_os("REDIS_SERVER").map(Into::into).or_else(|| find_program("redis-server"));
    let Some(program) = program else {
        report.note(
            "*** no redis-server here (package redis-server): the next row is held against the figure in \
             docs/performance.md and NOT against a measurement ***",
        )?;
        let pair = Pair::run(rounds, ours, || Ok(1.0 / old))?;
        return report.pair(&what, "Redis: NOT MEASURED here", Unit::Rate, &pair, target);
    };
    let mut redis = Redis::start(place, &program, durability)?;
    let turns = place.count(400, 4);
    let beside = || {
        timed(turns * REDIS_BATCH as u64, || {
            (0..turns).try_for_each(|_| redis.append(elements.iter().cycle().take(REDIS_BATCH)))
        })
    };
    let pair = Pair::run(rounds, ours, beside)?;
    let beside =
        if sync { "Redis XADD of 500, AOF always, no TLS" } else { "Redis XADD of 500, memory, no TLS" };
    report.pair(&what, beside, Unit::Rate, &pair, target)?;
    let here = figure(Unit::Rate, pair.beside());
    report.note(&format!("    (Redis was measured at {old}/s before; here and now {here})"))
}

/// A row about a rate alone.
fn reaches(report: &mut Report, what: &str, pair: &Pair, rate: f64) -> Result<()> {
    let ours = 1.0 / pair.ours();
    let text = format!("over {}", figure(Unit::Rate, 1.0 / rate));
    let ratio = format!("{:.2}x", ours / rate);
    report.row(
        &format!("{what}: rate"),
        &figure(Unit::Rate, pair.ours()),
        "-",
        "-",
        &ratio,
        &text,
        ours > rate,
    )
}

fn range(place: &Place, report: &mut Report, server: &Server) -> Result<()> {
    let count = place.count(1_000_000, 20_000);
    filled(server, "range", count)?;
    let remote = server.remote(server.dialer())?;
    let name = server.name("range");
    let selection = Selection { range: Some(SeqRange::ALL), ..Selection::default() };
    let library = || {
        timed(count, || {
            let mut counter = space::Counted::default();
            remote.read(&name, &selection, &mut counter)?;
            expect(counter.elements, count)
        })
    };
    let command = || timed(count, || done(server.command(place, "wget").arg(server.url("range")).arg("..")));
    let pair = Pair::run(place.rounds(5), command, library)?;
    let what = "range of 1 M elements of 100 B, loopback TLS, wget";
    reaches(report, what, &pair, 2e6)?;
    let beside = figure(Unit::Rate, pair.beside());
    report.note(&format!(
        "    (a program that reads with the library: {beside}; measured before: JetStream {}/s, Redis {}/s)",
        RANGE_RATES[0], RANGE_RATES[1]
    ))
}

/// A woof at the server with so many elements of 100 bytes.
pub(crate) fn filled(server: &Server, name: &str, count: u64) -> Result<()> {
    let mut appender = server.woof(name, &keeps(count, false))?.appender()?;
    let elements = elements();
    let slices: Vec<&[u8]> = elements.iter().map(<[u8; LEN]>::as_slice).collect();
    let mut left = usize::try_from(count)?;
    while left > 0 {
        let now = left.min(slices.len());
        appender.extend(slices[..now].iter().copied(), |_| ())?;
        left -= now;
    }
    Ok(())
}

fn expect(found: u64, count: u64) -> Result<()> {
    if found == count { Ok(()) } else { Err(format!("{found} elements, not {count}").into()) }
}

/// One element in a hundred, found at the source or here.
fn filter(place: &Place, report: &mut Report) -> Result<()> {
    let server = Server::start(place, "net filter")?;
    let count = place.count(10_000_000, 100_000);
    let options =
        Options { history: count, capacity: count * 40, content: ContentType::F64, ..Options::default() };
    let mut appender = server.woof("readings", &options)?.appender()?;
    let values: Vec<[u8; 8]> = (0..100).map(|value| f64::from(value).to_le_bytes()).collect();
    for _ in 0..count / 100 {
        appender.extend(values.iter().map(<[u8; 8]>::as_slice), |_| ())?;
    }
    let (count, matching) = (count.to_string(), count / 100);
    let (url, text) = (server.url("readings"), "value > 98");
    let tail = |wanted: &str| {
        let mut command = server.command(place, "wtail");
        command.args(["--from", "1", "--count", wanted]).arg(&url);
        command
    };
    let ours = || timed(1, || done(tail(&matching.to_string()).args(["--where", text])));
    let beside = || {
        timed(1, || {
            let mut from = tail(&count).stdout(Stdio::piped()).spawn()?;
            let mut filter = server.command(place, "wfilter");
            filter.arg(text).stdin(from.stdout.take().ok_or("no pipe")?);
            done(&mut filter)?;
            drop(filter);
            let status = from.wait()?;
            if status.success() { Ok(()) } else { Err(format!("wtail: {status}").into()) }
        })
    };
    let pair = Pair::run(place.rounds(3), ours, beside)?;
    let what = "wtail --where, 1 % of 10 M elements match";
    report.pair(what, "wtail, and wfilter here", Unit::Time, &pair, Target::TimesItsTime(1.0))?;

    let traffic = |predicate: Option<Predicate>| -> Result<u64> {
        let bytes = Arc::new(AtomicU64::new(0));
        let dial = Counted { dial: server.dialer(), bytes: Arc::clone(&bytes) };
        let mut counter = space::Counted::default();
        let selection = Selection { range: Some(SeqRange::ALL), predicate, ..Selection::default() };
        server.remote(Arc::new(dial))?.read(&server.name("readings"), &selection, &mut counter)?;
        Ok(bytes.load(Ordering::Relaxed))
    };
    let (some, all) = (traffic(Some(Predicate::compile(text)?))?, traffic(None)?);
    let part = some as f64 / all as f64;
    report.row(
        "wtail --where, 1 % of 10 M elements match: traffic",
        &format!("{:.2} MB", some as f64 / 1e6),
        "without --where",
        &format!("{:.1} MB", all as f64 / 1e6),
        &format!("{:.2} %", part * 100.0),
        "1 %",
        part < 0.0125,
    )
}

fn memory_idle(server: &Server, report: &mut Report) -> Result<()> {
    let idle = server.resident()?;
    memory(report, "memory of wserve, idle", idle, 15 << 20)
}

fn memory(report: &mut Report, what: &str, bytes: u64, max: u64) -> Result<()> {
    let ours = format!("{:.1} MiB", bytes as f64 / MIB);
    let text = format!("under {:.0} MiB", max as f64 / MIB);
    report.row(what, &ours, "-", "-", "-", &text, bytes < max)
}

/// A thousand connections with a follow each, of one woof.
fn followers(place: &Place, report: &mut Report) -> Result<()> {
    let server = Server::start(place, "net followers")?;
    server.woof("followed", &Options::default())?.appender()?.append(b"21.5")?;
    let count = if place.quick { FOLLOWERS / 20 } else { FOLLOWERS };
    let (remote, name, stop) = (server.remote(server.dialer())?, server.name("followed"), Stop::default());
    let caught_up = AtomicU64::new(0);
    let bytes = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..count {
            let follow = || {
                let follow = Some(Follow { stop: stop.clone() });
                let selection = Selection { follow, ..Selection::default() };
                // Counts who has seen all there was.
                let mut sink = Each(|message: MessageRef<'_>| match message {
                    MessageRef::Mark(_) => {
                        caught_up.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    }
                    MessageRef::Fault(fault) => Err(fault.to_error()),
                    _ => Ok(()),
                });
                remote.read(&name, &selection, &mut sink).map_err(|err| err.to_string())
            };
            threads.push(std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, follow));
        }
        let give_up = Instant::now() + Duration::from_secs(60);
        while caught_up.load(Ordering::Relaxed) < count as u64 && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(50));
        }
        // Those that were busy with handshakes have given back what they needed for them.
        std::thread::sleep(Duration::from_millis(500));
        let bytes = server.resident();
        stop.stop();
        for thread in threads {
            thread?.join().map_err(|_| "a follower panicked")??;
        }
        bytes
    })?;
    expect(caught_up.load(Ordering::Relaxed), count as u64)?;
    memory(report, &format!("memory of wserve, {count} followers"), bytes, 48 << 20)
}
