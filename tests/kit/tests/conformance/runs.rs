//! Handlers on demand.

use crate::each;
use crate::engines::Engine;
use libwoofstream::error::{Code, Result};
use libwoofstream::handler::RunOptions;
use libwoofstream::space::{Call, Exit, Pipes};
use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::pipe;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;

/// Runs a handler with this input; gives how it ended and what it wrote.
fn run(
    engine: &Engine,
    handler: &str,
    args: &[&str],
    input: &[u8],
    stop: &OwnedFd,
) -> (Result<Exit>, String, String) {
    let ((stdin, feed), (out, stdout)) = (pipe().unwrap(), pipe().unwrap());
    File::from(feed).write_all(input).unwrap();
    let call = Call {
        handler: handler.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        here: RunOptions { path: "/usr/bin:/bin".into(), ..RunOptions::default() },
        ..Call::default()
    };
    let mut written = Vec::new();
    let mut stderr = |data: &[u8]| written.extend_from_slice(data);
    let done = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut text = String::new();
            File::from(out).read_to_string(&mut text).unwrap();
            text
        });
        let done =
            engine.space().run(&engine.farm(), &call, Pipes { stdin, stdout, stderr: &mut stderr, stop });
        (done, reading.join().unwrap())
    });
    (done.0, done.1, String::from_utf8(written).unwrap())
}

fn never() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).unwrap()
}

fn handler(engine: &Engine, name: &str, script: &str) {
    let path = engine.path("handlers").join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_handler_reads_and_writes_and_ends_with_its_status() {
    each(|engine| {
        handler(engine, "h", "tr a-z A-Z; echo \"$1\" >&2; exit 3");
        let (done, out, err) = run(engine, "h", &["why not"], b"hello", &never());
        assert_eq!((done.unwrap().status, &*out, &*err), (3, "HELLO", "why not\n"));
    });
}

#[test]
fn what_is_no_handler_is_an_error_and_runs_nothing() {
    each(|engine| {
        for (name, code) in [("nosuch", Code::NotFound), ("../w", Code::Invalid)] {
            let (done, out, _) = run(engine, name, &[], b"", &never());
            let err = done.unwrap_err();
            assert_eq!((err.code(), &*out), (code, ""), "{name}: {err}");
        }
    });
}

#[test]
fn a_run_that_is_stopped_is_killed() {
    each(|engine| {
        handler(engine, "h", "echo $$; exec sleep 1000");
        let stop = never();
        rustix::io::write(&stop, &1u64.to_ne_bytes()).unwrap();
        let (done, ..) = run(engine, "h", &[], b"", &stop);
        assert_eq!(done.unwrap_err().code(), Code::Cut);
    });
}
