//! `wput` as it stands in pipelines, 8 at once, all of them killed. What it sent as sequence numbers on its output is what it
//! acknowledged. A `wtail` follows all along.

use crate::books::{Seen, Told};
use crate::random::{Random, seed, wait};
use crate::support::Sandbox;
use libwoofstream::chan::{Input, Reader};
use libwoofstream::error::Code;
use libwoofstream::wire::{Kind, Message};
use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};
use woof_kit::say;

const PLACES: u64 = 8;
const ROUNDS: u64 = 75;
/// So many lines and their acknowledgements fit into a pipe, so nobody here waits for anybody.
const LINES_MAX: u64 = 1_500;

fn line(life: u64, number: u64) -> String {
    format!("{life}:{number}:{}\n", "x".repeat((number % 20) as usize))
}

/// The writer and its number, of a line without its newline that must be whole.
fn parse(data: &[u8]) -> (u64, u64) {
    let text = std::str::from_utf8(data).unwrap();
    let mut parts = text.split(':').map(|part| part.parse());
    let (Some(Ok(life)), Some(Ok(number))) = (parts.next(), parts.next()) else { panic!("torn: {text}") };
    assert_eq!(format!("{text}\n"), line(life, number), "torn");
    (life, number)
}

/// Sends a piece after so many lines; gives how many were sent then.
fn send(feed: &mut ChildStdin, life: u64, lines: u64, random: &mut Random) -> u64 {
    let count = (1 + random.below(200)).min(LINES_MAX - lines);
    let piece: String = (lines..lines + count).map(|number| line(life, number)).collect();
    feed.write_all(piece.as_bytes()).unwrap();
    lines + count
}

/// Waits for an acknowledgement; none when no more comes.
fn acknowledged(out: &mut Reader) -> Option<u64> {
    loop {
        match out.next(&mut ()) {
            Ok(Input::Message(raw)) => {
                let Message::SeqNo { seqno, woof: "w" } = raw.decode().unwrap() else { panic!("{raw:?}") };
                return Some(seqno);
            }
            Ok(Input::End(status)) => status.unwrap(),
            Ok(Input::Eof) => return None,
            Err(err) if err.code() == Code::Cut => return None,
            Err(err) => panic!("{err}"),
        }
    }
}

/// One `wput`, fed in pieces and killed.
fn life(sandbox: &Sandbox, life: u64, random: &mut Random) -> Told {
    let args = if random.below(3) == 0 { &["--sync", "w"][..] } else { &["w"] };
    let mut wput = sandbox.command("wput");
    wput.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut wput = wput.spawn().unwrap();
    let mut feed = wput.stdin.take().unwrap();
    let mut out = Reader::new(wput.stdout.take().unwrap().into(), "acknowledgements");
    let (mut lines, mut acks) = (0, Vec::new());
    // Every second one is killed only after its first acknowledgement, however slow the machine is.
    if life.is_multiple_of(2) {
        lines = send(&mut feed, life, lines, random);
        acks.extend(acknowledged(&mut out).map(|seqno| (0, seqno)));
    }
    let end = Instant::now() + Duration::from_micros(random.below(12_000));
    while Instant::now() < end && lines < LINES_MAX {
        lines = send(&mut feed, life, lines, random);
        wait(Duration::from_micros(random.below(500)));
    }
    wait(end.saturating_duration_since(Instant::now()));
    wput.kill().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&woof_kit::wait(&mut wput)), Some(9));
    let mut said = String::new();
    wput.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    while let Some(seqno) = acknowledged(&mut out) {
        acks.push((acks.len() as u64, seqno));
    }
    Told { life, acks }
}

/// Reads the elements of a stream until it ends; the status of the end is returned.
fn read(out: std::process::ChildStdout) -> (Seen, Option<String>) {
    let mut seen = Seen::new();
    let mut reader = Reader::new(out.into(), "elements");
    loop {
        match reader.next(&mut ()).unwrap() {
            Input::Message(raw) if raw.kind == Kind::ELEM => {
                let elem = raw.elem().unwrap();
                let (life, number) = parse(elem.data);
                seen.numbered(elem.seqno, elem.time_ns, life, number);
            }
            Input::Message(raw) => assert!(matches!(raw.kind, Kind::DIR | Kind::MARK), "{raw:?}"),
            Input::End(status) => return (seen, status.err().map(|fault| fault.code)),
            Input::Eof => panic!("no end"),
        }
    }
}

#[test]
fn killed_wputs_lose_nothing_they_acknowledged_and_wtail_goes_on() {
    let seed = seed();
    let _watchdog = woof_kit::watch(&format!("WOOF_TEST_SEED={seed}"));
    let sandbox = Sandbox::new();
    sandbox.run("wcreate", &["w", "--history", "4000000", "--capacity", "128MiB"], b"").done();
    let mut wtail = sandbox.command("wtail");
    wtail.args(["w", "--from", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut wtail = wtail.spawn().unwrap();
    let tail = wtail.stdout.take().unwrap();
    let (told, followed) = std::thread::scope(|scope| {
        let followed = scope.spawn(move || read(tail));
        let places: Vec<_> = (0..PLACES)
            .map(|place| {
                let (sandbox, mut random) = (&sandbox, Random::new(seed ^ (place + 100)));
                scope.spawn(move || {
                    let lives =
                        (place * ROUNDS..(place + 1) * ROUNDS).map(|id| life(sandbox, id, &mut random));
                    lives.collect::<Vec<Told>>()
                })
            })
            .collect();
        let told: Vec<_> = places.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // What wget shows in the end is what wtail showed on the way.
        let mut wget = sandbox.command("wget");
        let mut wget = wget.args(["w", ".."]).stdout(Stdio::piped()).spawn().unwrap();
        let (kept, ended) = read(wget.stdout.take().unwrap());
        assert_eq!((ended, woof_kit::wait(&mut wget).code()), (None, Some(0)));
        sandbox.run("wrm", &["w"], b"").done();
        let told: Vec<Told> = told.into_iter().flat_map(std::thread::Result::unwrap).collect();
        kept.agrees_with(&told, LINES_MAX);
        let (followed, ended) = followed.join().unwrap();
        assert_eq!(ended.as_deref(), Some("removed"));
        assert_eq!((followed.count(), followed.expected()), (kept.count(), kept.expected()));
        (told, followed)
    });
    followed.agrees_with(&told, LINES_MAX);
    assert_eq!(woof_kit::wait(&mut wtail).code(), Some(2));
    let acknowledged: usize = told.iter().map(|told| told.acks.len()).sum();
    assert!(acknowledged as u64 >= PLACES * ROUNDS / 2, "hardly anything was appended: {acknowledged}");
    say(&format!(
        "crash: wput: {} kills, {acknowledged} elements acknowledged, {} seen by wtail",
        told.len(),
        followed.count()
    ));
}
