//! Many short lines through the commands, against what grep and awk do with the same file.

use crate::Result;
use crate::measure::{Pair, timed};
use crate::place::{Place, find_program};
use crate::report::{Report, Target, Unit};
use libwoofstream::content::ContentType;
use libwoofstream::log::{self, Options};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Bytes that an element of up to 8 bytes takes.
const RECORD: u64 = 40;

pub(crate) fn put(place: &Place, report: &mut Report) -> Result<()> {
    let (lines, count) = lines(place)?;
    let out = place.path("grepped");
    let grep = find_program("grep").ok_or("no grep on the path")?;
    let beside = || timed(count, || run(place.other(&grep).arg("").arg(&lines).stdout(File::create(&out)?)));
    for (what, options) in [
        ("wput of 5 M lines, woof as wcreate makes it", Options::default()),
        ("wput of 5 M lines, woof that keeps all", keeps(count, ContentType::Text)),
    ] {
        let ours = || {
            place.woof("bulk", &options)?;
            let seconds = timed(count, || {
                run(place.command("wput").arg(place.path("bulk")).stdin(File::open(&lines)?))
            })?;
            expect(&place.path("bulk"), count)?;
            Ok(seconds)
        };
        let pair = Pair::run(place.rounds(7), ours, beside)?;
        report.pair(what, "grep '' lines > file", Unit::Rate, &pair, Target::TimesItsTime(3.0))?;
    }
    Ok(())
}

pub(crate) fn filter(place: &Place, report: &mut Report) -> Result<()> {
    let (lines, count) = lines(place)?;
    let out = place.path("filtered");
    let (awk, name) = match find_program("mawk") {
        Some(mawk) => (mawk, "mawk '$1 > 70' lines > file"),
        None => (find_program("awk").ok_or("no awk on the path")?, "awk (NOT mawk) '$1 > 70' lines > file"),
    };
    let beside =
        || timed(count, || run(place.other(&awk).arg("$1 > 70").arg(&lines).stdout(File::create(&out)?)));
    beside()?;
    let matching = BufReader::new(File::open(&out)?).split(b'\n').count() as u64;
    let (from, to) = (place.path("readings"), place.path("alerts"));
    for (what, content) in [
        ("wget w .. | wfilter 'value > 70' | wput v, text", ContentType::Text),
        ("the same, f64", ContentType::F64),
    ] {
        place.woof("readings", &keeps(count, content))?;
        run(place.command("wput").arg(&from).stdin(File::open(&lines)?))?;
        let ours = || {
            place.woof("alerts", &keeps(count, content))?;
            let seconds = timed(count, || {
                pipeline([
                    place.command("wget").arg(&from).arg(".."),
                    place.command("wfilter").arg("value > 70"),
                    place.command("wput").arg(&to),
                ])
            })?;
            expect(&to, matching)?;
            Ok(seconds)
        };
        let pair = Pair::run(place.rounds(7), ours, beside)?;
        report.pair(what, name, Unit::Rate, &pair, Target::TimesAsFast(1.0))?;
    }
    Ok(())
}

/// A woof that keeps `count` short elements.
fn keeps(count: u64, content: ContentType) -> Options {
    Options { history: count, capacity: count * RECORD, content, ..Options::default() }
}

/// The file of lines, made when it is first asked for: numbers from 0 to 100 with up to one decimal, in no order.
fn lines(place: &Place) -> Result<(PathBuf, u64)> {
    let count = place.count(5_000_000, 100_000);
    let path = place.path("lines");
    if !path.exists() {
        let mut out = BufWriter::new(File::create(&path)?);
        let mut state = 88_172_645_463_325_252_u64;
        for _ in 0..count {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            writeln!(out, "{}", (state % 1_000) as f64 / 10.0)?;
        }
        out.flush()?;
    }
    Ok((path, count))
}

/// Fails unless exactly `count` elements were appended to the woof.
fn expect(path: &Path, count: u64) -> Result<()> {
    let appended = log::open(path)?.next_seqno() - 1;
    if appended == count { Ok(()) } else { Err(format!("{appended} elements, not {count}").into()) }
}

fn run(command: &mut Command) -> Result<()> {
    let child = command_child(command)?;
    ended(command, child)
}

fn command_child(command: &mut Command) -> Result<Child> {
    Ok(command.spawn().map_err(|err| format!("{}: {err}", command.get_program().display()))?)
}

fn ended(command: &Command, mut child: Child) -> Result<()> {
    let status = child.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", command.get_program().display()).into())
    }
}

/// Runs commands with pipes between them, all at once, and waits for all.
fn pipeline<const N: usize>(commands: [&mut Command; N]) -> Result<()> {
    let mut running = Vec::new();
    let mut before = Stdio::null();
    for (number, command) in commands.into_iter().enumerate() {
        command.stdin(std::mem::replace(&mut before, Stdio::null()));
        if number + 1 < N {
            command.stdout(Stdio::piped());
        }
        let mut child = command_child(command)?;
        if let Some(out) = child.stdout.take() {
            before = out.into();
        }
        // The command keeps its end of the pipe until then, and its successor would wait for it.
        command.stdin(Stdio::null());
        running.push((command, child));
    }
    running.into_iter().try_for_each(|(command, child)| ended(command, child))
}
