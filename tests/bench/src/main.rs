//! The benchmarks: each row holds a figure of ours against one of something else that runs beside it, in turns.
//!
//! `docs/performance.md` says how to run them and what the rows mean. They are no tests: nothing fails when a target is
//! missed, the row says so. A row that cannot be measured here says why.

mod append;
mod bulk;
mod child;
mod handlers;
mod latency;
mod latest;
mod mapping;
mod measure;
mod memory;
mod net;
mod pipe;
mod place;
mod redis;
mod report;
mod start;
mod sync;
mod wan;

use place::Place;
use report::Report;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What can go wrong ends the run with one line.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

type Group = fn(&Place, &mut Report) -> Result<()>;

/// The groups of rows, by the names they are asked for.
const GROUPS: &[(&str, Group)] = &[
    ("append", append::rows),
    ("sync", sync::rows),
    ("bulk", bulk::put),
    ("filter", bulk::filter),
    ("pipe", pipe::rows),
    ("latency", latency::rows),
    ("start", start::rows),
    ("handlers", handlers::rows),
    ("memory", memory::rows),
    ("latest", latest::rows),
    ("net", net::rows),
    ("wan", wan::rows),
];

const USAGE: &str = "usage: woofbench [--woof FILE] [--empty FILE] [--started FILE] [--dir DIR] [--quick] [--markdown] [GROUP...]\n\
    groups: all append sync bulk filter pipe latency start handlers memory latest net wan\n\
    WOOF, EMPTY and STARTED in the environment stand for --woof (the static release binary), --empty (a program that does \
    nothing, linked the same way) and --started (one that tells when it started)";

/// What the arguments ask for.
struct Asked {
    woof: PathBuf,
    /// One that does nothing, and one that tells when it started.
    programs: [Option<PathBuf>; 2],
    dir: PathBuf,
    quick: bool,
    markdown: bool,
    groups: Vec<(&'static str, Group)>,
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = if arguments.first().is_some_and(|first| first == child::FLAG) {
        child::run(&arguments.split_off(1))
    } else {
        asked(arguments).and_then(|asked| run(&asked))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            // Nothing can be done about a closed standard error.
            let _ = writeln!(std::io::stderr(), "woofbench: {err}");
            ExitCode::from(2)
        }
    }
}

fn asked(arguments: Vec<String>) -> Result<Asked> {
    let mut woof = std::env::var_os("WOOF").map(PathBuf::from);
    let [mut empty, mut started] = ["EMPTY", "STARTED"].map(|name| std::env::var_os(name).map(PathBuf::from));
    let mut dir = std::env::temp_dir();
    let (mut quick, mut markdown, mut groups) = (false, false, Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument}: needs a value\n{USAGE}"));
        match argument.as_str() {
            "--woof" => woof = Some(value()?.into()),
            "--empty" => empty = Some(value()?.into()),
            "--started" => started = Some(value()?.into()),
            "--dir" => dir = value()?.into(),
            "--quick" => quick = true,
            "--markdown" => markdown = true,
            "all" => groups.extend_from_slice(GROUPS),
            name => groups.push(
                GROUPS
                    .iter()
                    .copied()
                    .find(|(known, _)| *known == name)
                    .ok_or_else(|| format!("{name}: no such group\n{USAGE}"))?,
            ),
        }
    }
    if groups.is_empty() {
        groups.extend_from_slice(GROUPS);
    }
    let woof = woof.ok_or_else(|| format!("no binary of woof to measure\n{USAGE}"))?;
    Ok(Asked { woof, programs: [empty, started], dir, quick, markdown, groups })
}

fn run(asked: &Asked) -> Result<()> {
    let place = Place::new(&asked.dir, &asked.woof, asked.programs.clone(), asked.quick)?;
    let machine = place::machine();
    let mut report = Report::new(asked.markdown)?;
    for line in machine {
        report.note(&line)?;
    }
    if asked.quick {
        report.note("*** --quick: too short to measure anything ***")?;
    }
    for (name, group) in &asked.groups {
        group(&place, &mut report).map_err(|err| format!("{name}: {err}"))?;
    }
    report.finish()
}
