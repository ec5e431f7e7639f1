//! Resident memory of commands on a stream that does not end, without the mapping of the woof.

use crate::Result;
use crate::place::Place;
use crate::report::Report;
use libwoofstream::chan::Writer;
use libwoofstream::log::{self, Options};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MIB: f64 = 1_048_576.0;
/// The most that is resident besides the mapping.
const MAX: u64 = 12 << 20;
/// More than this between the two looks is growth: pages of the program itself are touched late.
const GROWTH: u64 = 256 << 10;

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    place.woof("followed", &Options::default())?;
    place.woof("filled", &Options::default())?;
    let (followed, filled) = (place.path("followed"), place.path("filled"));
    let mut tail = place.command("wtail");
    tail.arg(&followed);
    watched(place, report, "wtail", &mut tail, &followed, |_, stop| {
        let mut appender = log::open(&followed)?.appender()?;
        let batch = [b"21.5".as_slice(); 64];
        while !stop.load(Ordering::Relaxed) {
            appender.extend(batch, |_| ())?;
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    })?;
    let mut put = place.command("wput");
    put.arg(&filled);
    watched(place, report, "wput of lines", &mut put, &filled, |stdin, _| {
        let lines = b"21.5\n".repeat(10_000);
        let mut stdin = stdin.ok_or("no pipe")?;
        // Until nobody reads any more.
        while stdin.write_all(&lines).is_ok() {}
        Ok(())
    })?;
    for (what, mut command) in [
        ("wput of a stream", put),
        ("wfilter", {
            let mut command = place.command("wfilter");
            command.arg("value > 20");
            command
        }),
    ] {
        watched(place, report, what, &mut command, &filled, |stdin, _| {
            let mut writer = Writer::new(stdin.ok_or("no pipe")?.into(), "out");
            let mut seqno = 0;
            while writer.elem(seqno, 1, b"21.5").is_ok() {
                seqno += 1;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Looks at the memory of `command` twice while `feed` keeps it busy.
fn watched(
    place: &Place,
    report: &mut Report,
    what: &str,
    command: &mut Command,
    woof: &Path,
    feed: impl FnOnce(Option<std::process::ChildStdin>, &AtomicBool) -> Result<()> + Send,
) -> Result<()> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let stdin = child.stdin.take();
    let stop = AtomicBool::new(false);
    let unit = Duration::from_millis(if place.quick { 100 } else { 1_000 });
    let looks = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(stdin, &stop).map_err(|err| err.to_string()));
        std::thread::sleep(unit);
        let first = resident(&child, woof);
        std::thread::sleep(unit * 4);
        let second = resident(&child, woof);
        stop.store(true, Ordering::Relaxed);
        let ended = child.try_wait();
        child.kill()?;
        child.wait()?;
        feeder.join().map_err(|_| "the feeder panicked")??;
        if let Some(status) = ended? {
            return Err(format!("{what}: ended with {status}").into());
        }
        Ok::<_, Box<dyn std::error::Error>>((first?, second?))
    });
    let (first, second) = looks?;
    let ours = format!("{:.2} MiB", second as f64 / MIB);
    let theirs = format!("{:.2} MiB", first as f64 / MIB);
    let ratio = format!("{:+.2} MiB", (second as f64 - first as f64) / MIB);
    let reached = second <= MAX && second <= first + GROWTH;
    let what = format!("memory of {what}, endless stream, after 5 s");
    report.row(&what, &ours, "itself after 1 s", &theirs, &ratio, "flat, at most 12 MiB", reached)
}

/// Bytes of a process that are resident, but for those of the mapping of `woof`.
fn resident(process: &Child, woof: &Path) -> Result<u64> {
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", process.id()))?;
    let woof = woof.to_str().ok_or("path is not UTF-8")?;
    let (mut counts, mut kib) = (true, 0);
    for line in smaps.lines() {
        if let Some(rss) = line.strip_prefix("Rss:") {
            let rss: u64 = rss.trim().trim_end_matches(" kB").parse()?;
            kib += if counts { rss } else { 0 };
        } else if line.starts_with(|first: char| first.is_ascii_hexdigit() && !first.is_ascii_uppercase()) {
            // The first line of a mapping: addresses first, its file last.
            counts = !line.ends_with(woof);
        }
    }
    Ok(kib << 10)
}
