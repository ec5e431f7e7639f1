//! The process runner: a handler is a program in `handlers/`, in a process group of its own, with a clean environment.
//!
//! The standard library starts it with `posix_spawn`, so nothing is done between a fork and an exec; limits are set from outside right after.
//!
//! Failure contract: whatever the program does, and whatever it leaves behind, no process of its group outlives it.

use super::environment;
use super::groups::Groups;
use super::program::{not_started, program};
use super::run::{Failure, ON_DEMAND, Outcome, Run, Running, Started};
use super::runner::Runner;
use super::seals::Seals;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process_group, pidfd_open, prlimit};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use woof_core::limits::HANDLER_DESCRIPTORS_MAX;
use woof_core::sys;

/// Runs handlers as processes.
#[derive(Clone)]
pub struct ProcessRunner {
    /// The `PATH` of handlers.
    pub path: OsString,
    /// What of it runs, and of others.
    pub groups: Arc<Groups>,
    /// By which it is known how deep a handler is.
    pub seals: Arc<Seals>,
}

/// Why a handler that was killed, or not started, is not to blame.
const OVER: &str = "the server was told to end at once";

impl Runner for ProcessRunner {
    fn start(&self, run: &Run<'_>, stdin: OwnedFd) -> Result<Started, Failure> {
        let namespace = run.namespace()?;
        let program = program(&namespace, &run.binding.handler)?;
        let failed =
            |err: std::io::Error| format!("start: {}", not_started(program.path(), run.namespace, &err));
        let mut command = program.command().map_err(failed)?;
        command.args(run.args);
        command.env_clear().env("PATH", &self.path);
        command.envs(environment::variables(run, "", &self.seals));
        // As it is, whatever it is made of.
        command.env("WOOF_NAMESPACE", run.namespace);
        command.current_dir(sys::link_to(namespace.dir()));
        let mark = Mark { namespace: run.namespace.to_owned(), trigger: run.trigger.to_owned() };
        let over = || Failure::NotReady(OVER.to_owned());
        let starting = self.groups.starting().ok_or_else(over)?;
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = launch(&mut command, run.binding.memory, Some(mark.clone())).map_err(failed)?;
        self.groups.note(process.pid, mark);
        process.groups = Some(Arc::clone(&self.groups));
        drop(starting);
        let pipe = |fd: Option<OwnedFd>| fd.ok_or_else(|| "start: it has no pipe".to_owned());
        let stdout = pipe(process.child.stdout.take().map(Into::into))?;
        let stderr = pipe(process.child.stderr.take().map(Into::into))?;
        Ok(Started { running: Box::new(process), stdout, stderr })
    }
}

/// What all processes of a handler have in their environment.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The namespace.
    pub namespace: PathBuf,
    /// The id of its trigger.
    pub trigger: String,
}

/// Starts a program with what the command says, and sets its limits.
pub fn launch(command: &mut Command, memory: u64, mark: Option<Mark>) -> std::io::Result<Process> {
    let process = Process::new(spawn(command)?, mark)?;
    process.limit(memory);
    Ok(process)
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

/// A process that runs. Dropped, it is killed with its group.
pub struct Process {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    reaped: bool,
    status: Option<u8>,
    mark: Option<Mark>,
    /// Where it is noted.
    groups: Option<Arc<Groups>>,
}

impl Process {
    fn new(mut child: Child, mark: Option<Mark>) -> std::io::Result<Process> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let opened = pid
            .ok_or_else(|| std::io::Error::other("its process number cannot be"))
            .and_then(|pid| Ok((pid, pidfd_open(pid, PidfdFlags::empty())?)));
        match opened {
            Ok((pid, pidfd)) => {
                Ok(Process { child, pid, pidfd, reaped: false, status: None, mark, groups: None })
            }
            Err(err) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(err)
            }
        }
    }

    /// Sets its limits. A program that ended already needs none.
    fn limit(&self, memory: u64) {
        let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
        for (resource, value) in
            [(Resource::As, memory), (Resource::Nofile, HANDLER_DESCRIPTORS_MAX), (Resource::Core, 0)]
        {
            if let Err(err) = prlimit(Some(self.pid), resource, both(value))
                && err != rustix::io::Errno::SRCH
            {
                tracing::warn!(pid = self.pid.as_raw_nonzero(), error = %err, "a limit of a handler could not be set");
            }
        }
    }

    /// Ends its group and takes its status. Its number is not given to another before that.
    pub fn reap(&mut self) -> std::io::Result<ExitStatus> {
        let _ = kill_process_group(self.pid, Signal::KILL);
        if let Some(groups) = &self.groups {
            groups.forget(self.pid);
        }
        self.reaped = true;
        self.child.wait()
    }
}

impl Running for Process {
    fn ended(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn end(&mut self) -> Outcome {
        let status = self.reap().map_err(|err| format!("wait for it: {err}"))?;
        self.status = status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .and_then(|status| status.try_into().ok());
        let is_over = self.groups.as_ref().is_some_and(|groups| groups.is_over());
        match failure(status) {
            None => Ok(()),
            Some(_) if is_over => Err(Failure::NotReady(OVER.to_owned())),
            Some(why) => Err(Failure::Failed(why)),
        }
    }

    fn status(&self) -> Option<u8> {
        self.status
    }

    fn kill(&mut self) {
        let _ = self.reap();
        if let Some(mark) = &self.mark {
            kill_left(&mark.namespace, Some(&mark.trigger));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
        }
    }
}

/// What is wrong with how a program ended; `None` when all is well.
pub fn failure(status: ExitStatus) -> Option<String> {
    match (status.signal(), status.code()) {
        (Some(signal), _) => Some(format!("killed by signal {signal}")),
        (None, Some(0)) => None,
        (None, code) => Some(format!("exit status {}", code.unwrap_or(-1))),
    }
}

/// Kills all processes that have the trigger of a namespace in their environment, or any trigger of it: those that left the
/// process group of their handler, or whose server was killed. What runs on demand is no trigger's.
pub fn kill_left(namespace: &Path, trigger: Option<&str>) -> usize {
    kill_where(|of, by| {
        of == namespace.as_os_str().as_bytes()
            && trigger.map_or(!by.starts_with(ON_DEMAND.as_bytes()), |trigger| by == trigger.as_bytes())
    })
}

/// Kills what runs on demand in the namespaces at and under a directory, and was asked of a process that is not there any more; how many
/// processes there were.
pub fn kill_orphans(root: &Path) -> usize {
    kill_where(|of, by| {
        let starter = std::str::from_utf8(by).ok().and_then(|by| by.strip_prefix(ON_DEMAND));
        let Some((starter, _)) = starter.and_then(|rest| rest.split_once('-')) else { return false };
        Path::new(OsStr::from_bytes(of)).starts_with(root) && !Path::new("/proc").join(starter).exists()
    })
}

/// Kills the processes of handlers for which this is true of their namespace and their trigger. In a container other directories have these names and other
/// processes these numbers, so only those that see the same processes as this one are looked at.
fn kill_where(wanted: impl Fn(&[u8], &[u8]) -> bool) -> usize {
    let own = rustix::process::getpid();
    let Ok(own_pids) = std::fs::read_link("/proc/self/ns/pid") else { return 0 };
    let mut killed = 0;
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|pid| *pid != own) else { continue };
        let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
        let value =
            |name: &[u8]| environ.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(name));
        let (Some(namespace), Some(trigger)) = (value(b"WOOF_NAMESPACE="), value(b"WOOF_TRIGGER=")) else {
            continue;
        };
        let is_here = || std::fs::read_link(entry.path().join("ns/pid")).is_ok_and(|pids| pids == own_pids);
        if wanted(namespace, trigger) && is_here() && rustix::process::kill_process(pid, Signal::KILL).is_ok()
        {
            killed += 1;
        }
    }
    killed
}
