//! What this test program does when it is started again as a child: it writes to the woof `w` of its directory until it is
//! killed, and notes in a file what it was told is in.

use crate::books::element;
use crate::random::Random;
use libwoofstream::log;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Says what a child is to do; not set in the tests themselves.
pub(crate) const ROLE: &str = "WOOF_TEST_ROLE";

/// A writer that has appended so many elements, at most a batch more, waits for its kill: on a slow machine that may be late, and
/// the woofs of these tests are to keep all.
const ELEMENTS_MAX: u64 = 4_000;

/// How a writer writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Up to so many elements at once, 1 or more.
    pub(crate) batch: u64,
    pub(crate) sync: bool,
}

/// Where a writer notes what it was told.
pub(crate) fn acks(dir: &Path, life: u64) -> std::path::PathBuf {
    dir.join(format!("acks-{life:x}"))
}

/// This program again, in a role, with `dir` as its directory. `program` goes before it.
pub(crate) fn again(program: &[&str], role: &str, dir: &Path) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = match program {
        [] => woof_kit::command(this),
        [first, rest @ ..] => {
            let mut command = woof_kit::command(first);
            command.args(rest).arg(this);
            command
        }
    };
    command
        .args(["--exact", "child::does_what_it_was_started_for", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Starts the writer `life`; returns when it is about to append.
pub(crate) fn start(dir: &Path, life: u64, style: Style) -> Child {
    let role = format!("writer {life} {} {}", style.batch, style.sync);
    let mut child = again(&[], &role, dir).spawn().unwrap();
    let mut said = [0];
    let stderr = child.stderr.as_mut().unwrap();
    if stderr.read(&mut said).unwrap() != 1 || said != *b"R" {
        let mut rest = String::new();
        let _ = stderr.read_to_string(&mut rest);
        panic!("writer {life:x} did not start: {}{rest}", char::from(said[0]));
    }
    child
}

/// A test like the others to its runner, and the whole program to those who start it as a child.
#[test]
fn does_what_it_was_started_for() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    match words[..] {
        ["writer", life, batch, sync] => {
            let style = Style { batch: batch.parse().unwrap(), sync: sync.parse().unwrap() };
            write(life.parse().unwrap(), style);
        }
        ["keeper", number, rounds, seed] => crate::containers::keep_writers(
            number.parse().unwrap(),
            rounds.parse().unwrap(),
            seed.parse().unwrap(),
        ),
        _ => panic!("no role: {role}"),
    }
}

/// Appends until it is killed, or has appended enough and waits for that.
fn write(life: u64, style: Style) {
    let mut told = File::options().append(true).create_new(true).open(acks(Path::new("."), life)).unwrap();
    // One write, so that whatever the kill does, an acknowledgement is noted whole or not at all.
    let mut note = |number: u64, seqno: u64| {
        let mut line = [0; 16];
        line[..8].copy_from_slice(&number.to_le_bytes());
        line[8..].copy_from_slice(&seqno.to_le_bytes());
        told.write_all(&line).unwrap();
    };
    let mut appender = log::open(Path::new("w")).unwrap().appender().unwrap();
    appender.set_sync(style.sync);
    std::io::stderr().write_all(b"R").unwrap();
    let mut random = Random::new(life);
    let mut number = 0;
    let mut data = Vec::new();
    while number < ELEMENTS_MAX {
        if style.batch == 1 {
            element(life, number, &mut data);
            let seqno = appender.append(&data).unwrap();
            note(number, seqno);
            number += 1;
            continue;
        }
        let count = 1 + random.below(style.batch);
        let items: Vec<Vec<u8>> = (number..number + count)
            .map(|number| {
                element(life, number, &mut data);
                data.clone()
            })
            .collect();
        let mut at = number;
        let report = |run: log::Run| {
            for seqno in run.first..run.first + run.count {
                note(at, seqno);
                at += 1;
            }
        };
        appender.extend(items.iter().map(Vec::as_slice), report).unwrap();
        number += count;
    }
    // Not for ever, should nobody be left to kill it.
    std::thread::sleep(Duration::from_secs(3600));
}
