//! Handlers on demand, at a server that is told whatever a client likes, and at a client that is told whatever a server likes.

use crate::direct::{CANCEL, CREDIT, Client, DATA, END, Frame, frame, open, owner, site};
use crate::hostile_servers::{fake, remote, says, stream};
use crate::world::directory;
use libwoofstream::error::{Code, Error};
use libwoofstream::handler::container::NoEngine;
use libwoofstream::handler::{Call, Exit, Pipes, RunOptions, Runners};
use libwoofstream::net::{GREETING, Request, Run, ran};
use libwoofstream::server::{Limits, Site};
use libwoofstream::space::Space as _;
use libwoofstream::wire::{Decoder, Fault, Message, Step, encode};
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A site with a handler `farm/handlers/h` of this script.
fn with_handler(dir: &Path, script: &str) -> Arc<Site> {
    let site = site(dir, Limits::default());
    let handlers = dir.join("farm/handlers");
    fs::create_dir_all(&handlers).unwrap();
    let path = handlers.join("h");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    site.run_handlers(Arc::new(Runners::new(RunOptions::new("/usr/bin:/bin"), Arc::new(NoEngine))));
    site
}

fn request() -> Request {
    Request::Run(Run { name: "farm".into(), handler: "h".into(), ..Run::default() })
}

/// The stream of a client, as it goes up.
fn up(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::preamble(&mut bytes);
    write(&mut bytes);
    bytes.chunks(64 << 10).flat_map(|piece| frame(DATA, 1, piece)).collect()
}

/// Works on exchange 1 until `enough` of all frames that came.
#[track_caller]
fn until(client: &mut Client, frames: &mut Vec<Frame>, enough: impl Fn(&[Frame]) -> bool) {
    for _ in 0..30_000 {
        client.server.wake(1);
        frames.extend(client.take());
        if enough(frames) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("never: {frames:?}");
}

/// How many bytes of answer came.
fn data(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum()
}

fn is_over(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| frame.kind == END)
}

/// The messages of an answer, as text, and its status.
fn answer(frames: &[Frame]) -> (Vec<String>, Option<Fault>) {
    let bytes: Vec<u8> =
        frames.iter().filter(|it| it.kind == DATA).flat_map(|it| it.payload.clone()).collect();
    let (mut decoder, mut rest, mut messages) = (Decoder::new(1 << 20), &bytes[..], Vec::new());
    loop {
        let (used, step) = decoder.step(rest).unwrap();
        rest = &rest[used..];
        match step {
            Step::Need(_) => panic!("a cut answer"),
            Step::Preamble => {}
            Step::End(status) => return (messages, status.err()),
            Step::Message(raw) => messages.push(match raw.decode().unwrap() {
                Message::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Message::App { name, data } => format!("{name} {data:?}"),
                other => format!("{other:?}"),
            }),
        }
    }
}

/// Whether the process whose number a handler wrote into `farm/pid` is there.
fn is_alive(dir: &Path) -> bool {
    let pid = fs::read_to_string(dir.join("farm/pid")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[track_caller]
fn until_started(dir: &Path) {
    let end = Instant::now() + Duration::from_secs(600);
    while !fs::read_to_string(dir.join("farm/pid")).is_ok_and(|text| text.ends_with('\n')) {
        assert!(Instant::now() < end, "it is never started");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_it_writes_comes_only_as_there_is_credit_and_what_it_gets_does_not_wait_for_that() {
    let dir = directory();
    let site = with_handler(dir.path(), "yes & cat > got; echo all >> ended; wait");
    let mut client = Client::greeted(&site);
    let mut frames = Vec::new();
    client.send(&open(1, 100_000, &request())).unwrap();
    until(&mut client, &mut frames, |frames| data(frames) == 100_000);
    // Nobody takes more of it, and its input comes all the same.
    client.send(&up(|out| (0..10).for_each(|_| encode::bytes(out, &[b'x'; 60_000])))).unwrap();
    let mut tail = Vec::new();
    encode::end(&mut tail, Ok(()));
    client.send(&[frame(DATA, 1, &tail), frame(END, 1, &[])].concat()).unwrap();
    let farm = dir.path().join("farm");
    until(&mut client, &mut frames, |_| fs::metadata(farm.join("ended")).is_ok());
    assert_eq!(fs::metadata(farm.join("got")).unwrap().len(), 600_000);
    assert_eq!(data(&frames), 100_000);
    client.send(&frame(CREDIT, 1, &50_000u32.to_le_bytes())).unwrap();
    until(&mut client, &mut frames, |frames| data(frames) == 150_000);
}

#[test]
fn what_it_wrote_before_its_end_comes_whole_however_late_it_is_taken() {
    let dir = directory();
    let site = with_handler(dir.path(), "head -c 120000 /dev/zero; echo $$ > pid");
    let mut client = Client::greeted(&site);
    let mut frames = Vec::new();
    client.send(&open(1, 1000, &request())).unwrap();
    let pid = dir.path().join("farm/pid");
    until(&mut client, &mut frames, |frames| {
        let is_written = fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
        data(frames) == 1000 && is_written && !is_alive(dir.path())
    });
    // Its end is known now. Longer than is waited for somebody who has its pipes and says nothing:
    client.server.wake(1);
    frames.extend(client.take());
    std::thread::sleep(Duration::from_millis(1500));
    client.server.wake(1);
    client.send(&frame(CREDIT, 1, &(1u32 << 20).to_le_bytes())).unwrap();
    until(&mut client, &mut frames, is_over);
    let (messages, status) = answer(&frames);
    assert_eq!(
        (messages.iter().map(String::len).sum::<usize>(), status),
        (120_000 + "woof.exit [0]".len(), None)
    );
}

#[test]
fn what_is_no_whole_stream_kills_it_before_it_sees_an_end() {
    let made = |write: &dyn Fn(&mut Vec<u8>)| up(write);
    let broke = Fault::from(&Error::new(Code::Damaged, "in", "its own input broke"));
    let cases = [
        (made(&|out| encode::bytes(out, b"half")), "stream cut after 1 message"),
        (
            made(&|out| {
                encode::bytes(out, b"half");
                encode::end(out, Err(&broke));
            }),
            "its own input broke",
        ),
        (frame(DATA, 1, b"no preamble"), "not a stream of messages"),
        (
            made(&|out| encode::bytes(out, &vec![0; (1 << 20) + 1])),
            "message of 1048577 bytes or more, the limit is 1048576",
        ),
    ];
    for (sent, why) in cases {
        let dir = directory();
        let site = with_handler(dir.path(), "echo $$ > pid; cat > got; echo all > ended");
        let mut client = Client::greeted(&site);
        client.send(&open(1, 1 << 20, &request())).unwrap();
        until_started(dir.path());
        let mut frames = Vec::new();
        client.send(&[sent, frame(END, 1, &[])].concat()).unwrap();
        until(&mut client, &mut frames, is_over);
        let (messages, status) = answer(&frames);
        let status = status.unwrap();
        assert_eq!((messages, status.text.as_str()), (Vec::new(), why));
        assert!(!is_alive(dir.path()) && !dir.path().join("farm/ended").exists(), "{why}");
        // It has its place back, and the connection goes on.
        client
            .send(&open(2, 1 << 20, &Request::Stat(libwoofstream::net::Named { name: "farm/temp".into() })))
            .unwrap();
        assert!(client.answer(2).1);
        assert!(site.render_metrics().contains("\nwoofstream_runs 0\n"));
    }
}

#[test]
fn messages_of_other_kinds_are_passed_over_and_pieces_are_put_together() {
    let dir = directory();
    let site = with_handler(dir.path(), "exec cat");
    let stream = up(|out| {
        encode::elem(out, 1, 0, b"an element");
        encode::bytes(out, b"one ");
        encode::mark(out, "here");
        encode::bytes(out, b"two");
        encode::end(out, Ok(()));
    });
    for step in [1, 7, stream.len()] {
        let mut client = Client::greeted(&site);
        client.send(&open(1, 1 << 20, &request())).unwrap();
        stream.chunks(step).for_each(|piece| client.send(piece).unwrap());
        client.send(&frame(END, 1, &[])).unwrap();
        let mut frames = Vec::new();
        until(&mut client, &mut frames, is_over);
        let (messages, status) = answer(&frames);
        let (last, text) = messages.split_last().unwrap();
        assert_eq!((text.concat().as_str(), last.as_str(), status), ("one two", "woof.exit [0]", None));
    }
    // Nothing but an end is no input.
    let mut client = Client::greeted(&site);
    client.send(&[open(1, 1 << 20, &request()), frame(END, 1, &[])].concat()).unwrap();
    let mut frames = Vec::new();
    until(&mut client, &mut frames, is_over);
    assert_eq!(answer(&frames), (vec!["woof.exit [0]".to_owned()], None));
}

#[test]
fn a_client_is_told_when_its_input_is_not_read_any_more() {
    let dir = directory();
    let site =
        with_handler(dir.path(), "exec <&-; echo $$ > pid; while [ ! -e go ]; do sleep 0.01; done; exit 5");
    let mut client = Client::greeted(&site);
    client.send(&open(1, 1 << 20, &request())).unwrap();
    until_started(dir.path());
    client.send(&up(|out| encode::bytes(out, &[b'x'; 1000]))).unwrap();
    let mut frames = Vec::new();
    until(&mut client, &mut frames, |frames| data(frames) > 20);
    // What comes all the same is thrown away, and the end of the connection's half is no matter.
    client.send(&[frame(DATA, 1, &[b'y'; 1000]), frame(END, 1, &[])].concat()).unwrap();
    fs::write(dir.path().join("farm/go"), "").unwrap();
    until(&mut client, &mut frames, is_over);
    let (messages, status) = answer(&frames);
    assert_eq!(messages, ["woof.closed []", "woof.exit [5]"]);
    let status = status.unwrap();
    assert_eq!((status.code.as_str(), status.text.as_str()), ("failed", "exit status 5"));
}

#[test]
fn a_cancel_and_the_end_of_the_connection_kill_it() {
    for gone in [false, true] {
        let dir = directory();
        let site = with_handler(dir.path(), "echo $$ > pid; exec sleep 1000");
        let mut client = Client::greeted(&site);
        client.send(&open(1, 1 << 20, &request())).unwrap();
        until_started(dir.path());
        assert!(is_alive(dir.path()));
        if gone {
            drop(client);
        } else {
            client.send(&frame(CANCEL, 1, &[0x80])).unwrap();
        }
        assert!(!is_alive(dir.path()));
        assert!(site.render_metrics().contains("\nwoofstream_runs 0\n"));
    }
}

#[test]
fn a_server_that_runs_no_handlers_says_so() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let answer = Client::ask(&site, owner(dir.path()), &request());
    assert!(answer.contains("this server runs no handlers on demand"), "{answer}");
}

/// Asks a server that says this for a run without input; how that ended, what came, and how often it was asked.
fn ask(bytes: &[u8], closes: bool) -> (Result<Exit, String>, String, u64) {
    let fake = fake(bytes, closes);
    let (mut out, to) = std::io::pipe().unwrap();
    let stdin = OwnedFd::from(fs::File::open("/dev/null").unwrap());
    let (stop, _kept) = std::io::pipe().unwrap();
    let stop = OwnedFd::from(stop);
    let mut said = Vec::new();
    let call = Call { handler: "h".into(), ..Call::default() };
    let pipes =
        Pipes { stdin, stdout: to.into(), stderr: &mut |bytes| said.extend_from_slice(bytes), stop: &stop };
    let ran = remote(&fake, None).run("farm", &call, pipes).map_err(|err| err.to_string());
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    (ran, text + &String::from_utf8(said).unwrap(), fake.dials.load(Ordering::Relaxed))
}

#[test]
fn a_client_runs_nothing_twice_and_believes_no_answer_without_an_end() {
    let lost = |why: &str| {
        Err(format!("woof://server:7144: {why}; h is not run again, how far it came is not known"))
    };
    let answered = |write: &dyn Fn(&mut Vec<u8>)| [stream(write), frame(END, 1, &[])].concat();
    let app = |out: &mut Vec<u8>, name: &str, data: &[u8]| encode::app(out, name, data).unwrap();
    let failed = Fault::from(&Error::new(Code::Failed, "farm", "exit status 3"));
    assert_eq!(ask(&GREETING, true), (lost("the connection was closed by the server"), String::new(), 1));
    assert_eq!(ask(&[], true).0, lost("the connection was closed before the server answered"));
    assert_eq!(ask(&GREETING, false).0, lost("no sign of life for 30 s"));
    let half = answered(&|out| encode::bytes(out, b"half"));
    assert_eq!(ask(&says(&[half]), true), (Err("farm: stream cut after 1 message".into()), "half".into(), 1));
    let all = answered(&|out| {
        encode::bytes(out, b"out ");
        app(out, "woof.later", b"?");
        app(out, ran::STDERR, b"err");
        app(out, ran::CLOSED, b"");
        app(out, ran::EXIT, &[3]);
        encode::end(out, Err(&failed));
    });
    let exit = Exit { status: 3, why: Some("exit status 3".into()) };
    assert_eq!(ask(&says(&[all]), false), (Ok(exit), "out err".into(), 1));
    let no_status = answered(&|out| {
        app(out, ran::EXIT, b"");
        encode::end(out, Err(&failed));
    });
    assert_eq!(ask(&says(&[no_status]), false).0, Err("farm: exit status 3".into()));
    let well = answered(&|out| encode::end(out, Ok(())));
    assert_eq!(ask(&says(&[well]), false).0, Ok(Exit::DONE));
    let stopped = b"\x82\xa4code\xa7stopped\xa4text\xa5it is";
    assert_eq!(ask(&says(&[frame(CANCEL, 1, stopped)]), false).0, lost("it is"));
}
