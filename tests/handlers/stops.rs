//! Servers that are told to stop, once or twice, while handlers run.

use crate::farm::Farm;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A handler that does not end, and a child of it in its group; their numbers come into `pids`.
fn endless() -> Farm {
    let farm = Farm::new();
    farm.handler("h", "sleep 600 & echo $! >> pids; echo $$ >> pids; wait");
    farm.sh("wbind farm/temp h --retries 0; wput farm/temp 1").done();
    farm
}

fn started(farm: &Farm, args: &[&str]) -> Child {
    let mut command = farm.sandbox.command("wserve");
    let log = std::fs::File::create(farm.sandbox.dir().join("server.log")).unwrap();
    let child = command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    farm.until("it runs", || farm.lines("pids").len() == 2);
    child
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn ended(farm: &Farm, child: &mut Child) -> ExitStatus {
    let mut status = None;
    farm.until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

#[track_caller]
fn assert_all_are_gone(farm: &Farm) {
    for pid in farm.lines("pids") {
        let is_gone = || {
            let stat = std::fs::read_to_string(Path::new("/proc").join(&pid).join("stat"));
            stat.is_ok_and(|stat| stat.contains(") Z ")) || !Path::new("/proc").join(&pid).exists()
        };
        farm.until("its processes are gone", is_gone);
    }
}

#[test]
fn a_stop_waits_for_attempts_as_long_as_it_is_told_and_says_so() {
    for once in [false, true] {
        let farm = endless();
        let args = ["--stop-timeout", "100ms", ".", "--once"];
        let mut server = started(&farm, if once { &args } else { &args[..3] });
        let begin = Instant::now();
        signal(&server, Signal::TERM);
        let status = ended(&farm, &mut server);
        assert_eq!(status.code(), Some(i32::from(once)));
        // It was ten seconds once, whatever was asked for; or as long as the handler takes.
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        let log = farm.server_log();
        let waits = log.find("stopping: waiting for attempts").unwrap_or_else(|| panic!("{log}"));
        let middle = log.find("stopped in the middle of attempts: they will be made again").unwrap();
        assert!(log[waits..].contains("attempts=1 limit=0.1") && waits < middle, "{log}");
        if !once {
            assert!(log.find("stopped accepted=").is_some_and(|stopped| middle < stopped), "{log}");
        }
        assert_all_are_gone(&farm);
        assert_eq!(farm.count(0, "pending"), 1);
    }
}

#[test]
fn a_second_signal_ends_the_server_with_its_handlers_and_is_no_failure_of_theirs() {
    for once in [false, true] {
        let farm = endless();
        let args = ["--stop-timeout", "1h", ".", "--once"];
        let mut server = started(&farm, if once { &args } else { &args[..3] });
        signal(&server, Signal::INT);
        farm.until("it was told", || farm.server_log().contains("stopping: waiting for attempts"));
        signal(&server, Signal::TERM);
        assert_eq!(ended(&farm, &mut server).signal(), Some(Signal::TERM.as_raw()));
        assert_all_are_gone(&farm);
        assert_eq!((farm.count(0, "pending"), farm.count(0, "dead")), (1, 0));
    }
}
