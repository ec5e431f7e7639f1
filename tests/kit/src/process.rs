//! Waiting for programs, and for anything else, with one limit.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take that has to happen some time. Far more than a busy machine needs: only a failure takes it.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Runs a program to its end; gives what it said.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    ended(child.unwrap_or_else(|err| panic!("{}: {err}", command.get_program().display())))
}

/// As [`output`], with these bytes as its standard input. A program that does not read all of them is no failure.
#[track_caller]
pub fn fed(command: &mut Command, stdin: &[u8]) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|err| panic!("{}: {err}", command.get_program().display()));
    let mut feed = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = feed.write_all(stdin);
        });
        ended(child)
    })
}

/// Waits for the end of a program, and gives what comes from those of its pipes that are still here.
///
/// # Panics
/// When the limit is over. The program is killed then, with all that it has started.
#[track_caller]
pub fn ended(mut child: Child) -> Output {
    drop(child.stdin.take());
    let (stdout, stderr) = (all(child.stdout.take()), all(child.stderr.take()));
    let end = Instant::now() + LIMIT;
    let status = wait_until(&mut child, end);
    let rest = |pipe: Receiver<Vec<u8>>| {
        let bytes =
            pipe.recv_timeout(end.saturating_duration_since(Instant::now()).max(Duration::from_secs(1)));
        bytes.unwrap_or_else(|_| {
            panic!("it ended ({status:?}), and after {LIMIT:?} somebody still has its output open")
        })
    };
    let (stdout, stderr) = (rest(stdout), rest(stderr));
    let Some(status) = status else {
        let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        panic!("it did not end within {LIMIT:?}, and was killed; it said {stdout:?} and {stderr:?}")
    };
    Output { status, stdout, stderr }
}

/// Waits for the end of a program.
///
/// # Panics
/// When the limit is over. The program is killed then, with all that it has started.
#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    drop(child.stdin.take());
    let status = wait_until(child, Instant::now() + LIMIT);
    status.unwrap_or_else(|| panic!("it did not end within {LIMIT:?}, and was killed"))
}

/// True when a program is here and ends well; what it says is of no interest.
pub fn works(program: impl AsRef<OsStr>, args: &[&str]) -> bool {
    let mut command = crate::command(program);
    let child = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.is_ok_and(|mut child| wait(&mut child).success())
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is() {
        assert!(Instant::now() < end, "after {LIMIT:?} there is still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The status, or nothing when it did not end in time and was killed.
fn wait_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    if let Some(status) = child.try_wait().unwrap() {
        return Some(status);
    }
    let pidfd = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let time = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&time)) {
            Ok(0) => break,
            Ok(_) => return Some(child.wait().unwrap()),
            Err(rustix::io::Errno::INTR) => {}
            Err(err) => panic!("poll: {err}"),
        }
    }
    kill_all(&descendants(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// Reads a pipe to its end, beside what else is done.
fn all(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (done, read) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = done.send(bytes);
    });
    read
}

/// The processes that a process has started, and those that they have, as far as their parents live.
pub(crate) fn descendants(ancestor: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // `pid (name) state parent ...`, and a name may have anything in it.
        let parent =
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let mut found = vec![ancestor];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.remove(0);
    found
}

pub(crate) fn kill_all(pids: &[u32]) {
    for pid in pids {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_is_fed_and_says_is_all_there() {
        let input = b"line\n".repeat(100_000);
        let run = fed(crate::command("tee").arg("/dev/stderr"), &input);
        assert!(run.status.success() && run.stdout == input && run.stderr == input);
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_what_it_has_started() {
        let mut child = crate::command("sh").args(["-c", "sleep 1000 & sleep 1000"]).spawn().unwrap();
        until("its children are there", || descendants(child.id()).len() == 2);
        let children = descendants(child.id());
        assert!(wait_until(&mut child, Instant::now()).is_none());
        let is_running = |pid: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
        };
        until("they are gone", || !children.iter().any(is_running));
    }

    #[test]
    fn a_program_that_is_not_here_does_not_work() {
        assert!(!works("no-such-program", &[]) && !works("false", &[]) && works("true", &[]));
    }
}
