//! The process runner: a handler is a program in `handlers/`, in a process group of its own, with a clean environment.
//!
//! The standard library starts it with `posix_spawn`, so nothing is done between a fork and an exec; limits are set from outside right after.
//!
//! Failure contract: whatever the program does with its input and output, and whatever it leaves behind, the attempt ends at its time limit at the latest,
//! and no process of its group outlives it.

use super::bindings::Input;
use super::lines::Lines;
use super::program::program;
use super::run::{Channel, Outcome, Run, Runner};
use crate::content::ContentType;
use crate::limits::HANDLER_DESCRIPTORS_MAX;
use crate::space::context;
use crate::wire::encode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process_group, pidfd_open, prlimit};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// After the program has ended, what it wrote is read for so long.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs handlers as processes.
#[derive(Clone, Debug)]
pub(super) struct ProcessRunner {
    /// The `PATH` of handlers.
    pub(super) path: OsString,
}

impl Runner for ProcessRunner {
    fn run(&self, run: &Run<'_>, line: &mut dyn FnMut(Channel, &[u8]) -> Outcome) -> Outcome {
        let deadline = Instant::now() + run.binding.timeout();
        let program = program(run.namespace, &run.binding.handler)?;
        let input = in_memory(&input(run)).map_err(|err| format!("make its input: {err}"))?;
        let mut command = Command::new(&program);
        self.environment(&mut command, run);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.current_dir(run.namespace).process_group(0);
        let child = spawn(&mut command).map_err(|err| format!("start: {err}"))?;
        let mut running = Running::new(child, run).map_err(|err| format!("start: {err}"))?;
        running.limit(run.binding.memory);
        running.pass_output(deadline, run, line)
    }
}

impl ProcessRunner {
    /// Sets all of the environment.
    pub(super) fn environment(&self, command: &mut Command, run: &Run<'_>) {
        command.env_clear().env("PATH", &self.path).env("WOOF_NAMESPACE", run.namespace);
        let time = jiff::Timestamp::from_nanosecond(i128::from(run.time_ns)).unwrap_or(jiff::Timestamp::MAX);
        for (name, value) in [
            ("WOOF_NAME", run.woof.to_owned()),
            ("WOOF_SEQNO", run.seqno.to_string()),
            ("WOOF_TIME", format!("{time:.9}")),
            ("WOOF_ATTEMPT", run.attempt.to_string()),
            // No environment has a zero in it.
            ("WOOF_CAUSE", run.cause.replace('\0', "\u{fffd}")),
            ("WOOF_DEPTH", run.depth.to_string()),
            ("WOOF_TRIGGER", run.trigger.to_owned()),
        ] {
            command.env(name, value);
        }
    }
}

/// Starts a program. One that was written a moment ago may still be open for writing in a process that was being started meanwhile.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(err) if err.kind() == std::io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            started => return started,
        }
    }
}

/// What goes to standard input.
fn input(run: &Run<'_>) -> Vec<u8> {
    let mut input = Vec::new();
    match run.binding.input {
        Input::Raw => {
            run.content.write_text(run.data, &mut input);
            if !matches!(run.content, ContentType::Bytes | ContentType::Msgpack) {
                input.push(b'\n');
            }
        }
        Input::Framed | Input::Stream => {
            encode::preamble(&mut input);
            // A context is far from every limit.
            drop(encode::dir(&mut input, &context(run.woof, run.content)));
            encode::elem(&mut input, run.seqno, run.time_ns, run.data);
            encode::end(&mut input, Ok(()));
        }
    }
    input
}

/// A file without a name that holds `data`, to be read from its beginning: nobody has to feed a program that reads slowly or not at all.
fn in_memory(data: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("element", MemfdFlags::CLOEXEC)?);
    file.write_all(data)?;
    file.rewind()?;
    Ok(file)
}

/// A program that runs. Dropped, it is killed with its group.
pub(super) struct Running {
    child: Child,
    pid: Pid,
    pidfd: std::os::fd::OwnedFd,
    pub(super) reaped: bool,
    namespace: std::path::PathBuf,
    trigger: String,
}

impl Running {
    pub(super) fn new(mut child: Child, run: &Run<'_>) -> std::io::Result<Running> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let opened = pid
            .ok_or_else(|| std::io::Error::other("its process number cannot be"))
            .and_then(|pid| Ok((pid, pidfd_open(pid, PidfdFlags::empty())?)));
        match opened {
            Ok((pid, pidfd)) => Ok(Running {
                child,
                pid,
                pidfd,
                reaped: false,
                namespace: run.namespace.to_owned(),
                trigger: run.trigger.to_owned(),
            }),
            Err(err) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(err)
            }
        }
    }

    /// Sets its limits. A program that ended already needs none.
    pub(super) fn limit(&self, memory: u64) {
        let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
        for (resource, value) in
            [(Resource::As, memory), (Resource::Nofile, HANDLER_DESCRIPTORS_MAX), (Resource::Core, 0)]
        {
            if let Err(err) = prlimit(Some(self.pid), resource, both(value))
                && err != rustix::io::Errno::SRCH
            {
                tracing::warn!(trigger = self.trigger, error = %err, "a limit of a handler could not be set");
            }
        }
    }

    /// Passes on what it writes until it ended, or the time is over.
    fn pass_output(
        &mut self,
        deadline: Instant,
        run: &Run<'_>,
        line: &mut dyn FnMut(Channel, &[u8]) -> Outcome,
    ) -> Outcome {
        let mut pipes = [
            Pipe::new(Channel::Out, self.child.stdout.take().map(Into::into)),
            Pipe::new(Channel::Err, self.child.stderr.take().map(Into::into)),
        ];
        let (mut failed, mut ended) = (Ok(()), None);
        let mut until = deadline;
        while ended.is_none() || pipes.iter().any(|pipe| pipe.file.is_some()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if ended.is_some() {
                    // Somebody who left the group has the pipes; what it writes is nobody's output.
                    break;
                }
                self.kill();
                let limit = Duration::from_millis(run.binding.timeout_ms);
                return Err(format!("not done after {limit:?}, the time limit: killed"));
            }
            let mut polled: Vec<PollFd<'_>> = pipes
                .iter()
                .filter_map(|pipe| pipe.file.as_ref())
                .map(|file| PollFd::new(file, PollFlags::IN))
                .collect();
            if ended.is_none() {
                polled.push(PollFd::new(&self.pidfd, PollFlags::IN));
            }
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut polled, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(err) => return Err(format!("wait for it: {err}")),
            }
            let exited = ended.is_none() && polled.last().is_some_and(|last| !last.revents().is_empty());
            drop(polled);
            for pipe in &mut pipes {
                let passed = pipe.pass(line);
                if failed.is_ok() {
                    failed = passed;
                }
            }
            if exited {
                ended = Some(self.end().map_err(|err| format!("wait for it: {err}"))?);
                until = Instant::now() + DRAIN;
            }
        }
        for pipe in &mut pipes {
            let passed = pipe.end(line);
            if failed.is_ok() {
                failed = passed;
            }
        }
        match ended.and_then(failure) {
            Some(why) => Err(why),
            None => failed,
        }
    }

    /// Ends the group of a program that has ended, and takes its status. Its number is not given to another before that.
    pub(super) fn end(&mut self) -> std::io::Result<ExitStatus> {
        let _ = kill_process_group(self.pid, Signal::KILL);
        self.reaped = true;
        self.child.wait()
    }

    /// Ends it and all that came of it.
    pub(super) fn kill(&mut self) {
        let _ = self.end();
        kill_left(&self.namespace, Some(&self.trigger));
    }

    /// Its standard input and output.
    pub(super) fn pipes(
        &mut self,
    ) -> (
        Option<std::process::ChildStdin>,
        Option<std::process::ChildStdout>,
        Option<std::process::ChildStderr>,
    ) {
        (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take())
    }

    /// Readable once it has ended.
    pub(super) fn pidfd(&self) -> &std::os::fd::OwnedFd {
        &self.pidfd
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
        }
    }
}

/// A pipe that a handler writes to.
pub(super) struct Pipe {
    channel: Channel,
    pub(super) file: Option<File>,
    lines: Lines,
}

impl Pipe {
    pub(super) fn new(channel: Channel, fd: Option<std::os::fd::OwnedFd>) -> Pipe {
        let file = fd.map(File::from);
        if let Some(file) = &file
            && let Ok(flags) = fcntl_getfl(file)
        {
            // Failing that, a read waits for what the poll has promised.
            let _ = fcntl_setfl(file, flags | OFlags::NONBLOCK);
        }
        Pipe { channel, file, lines: Lines::default() }
    }

    /// Passes on what is there now.
    pub(super) fn pass(&mut self, line: &mut dyn FnMut(Channel, &[u8]) -> Outcome) -> Outcome {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut buffer = [0; 16 << 10];
        let (mut done, channel) = (Ok(()), self.channel);
        match file.read(&mut buffer) {
            Ok(0) => self.file = None,
            Ok(count) => {
                // After a failure it is read on, so that the program can end.
                done = self.lines.take(buffer.get(..count).unwrap_or_default(), |text| line(channel, text));
            }
            Err(err)
                if matches!(err.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {
            }
            Err(_) => self.file = None,
        }
        done
    }

    fn end(&mut self, line: &mut dyn FnMut(Channel, &[u8]) -> Outcome) -> Outcome {
        let channel = self.channel;
        self.lines.end(|text| line(channel, text))
    }
}

/// What is wrong with how a program ended; `None` when all is well.
pub(super) fn failure(status: ExitStatus) -> Option<String> {
    match (status.signal(), status.code()) {
        (Some(signal), _) => Some(format!("killed by signal {signal}")),
        (None, Some(0)) => None,
        (None, code) => Some(format!("exit status {}", code.unwrap_or(-1))),
    }
}

/// Kills all processes that have the trigger of a namespace in their environment, or any trigger of it: those that left the
/// process group of their handler, or whose server was killed.
pub(super) fn kill_left(namespace: &Path, trigger: Option<&str>) -> usize {
    let own = rustix::process::getpid();
    let mark = [b"WOOF_NAMESPACE=", namespace.as_os_str().as_bytes()].concat();
    let of_trigger = trigger.map(|trigger| format!("WOOF_TRIGGER={trigger}").into_bytes());
    let mut killed = 0;
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|pid| *pid != own) else { continue };
        let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
        let mut variables = environ.split(|byte| *byte == 0);
        let of_namespace = variables.clone().any(|variable| variable == mark);
        let triggered = variables.any(|variable| match &of_trigger {
            Some(trigger) => variable == trigger.as_slice(),
            None => variable.starts_with(b"WOOF_TRIGGER="),
        });
        if of_namespace && triggered && rustix::process::kill_process(pid, Signal::KILL).is_ok() {
            killed += 1;
        }
    }
    killed
}
