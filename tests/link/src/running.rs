//! A command on a side of the link, and a guard that ends it when this process ends first.
//!
//! Failure contract: what cannot be started is an error. What is started is waited for, or ended when it is dropped; when this
//! process is killed, the guard does it. A process that left the group is on its own.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take to end when asked to.
const ENDING_WAIT: Duration = Duration::from_secs(2);

/// The guard's standard input is a pipe that only this process holds, and that ends with it. The guard is killed before the
/// command is waited for, so the number that it knows is never that of another process.
const GUARD: &str = "read -r _; kill -s TERM -- \"$1\"";

/// A command that runs. What it has left in its process group is ended with it when it is dropped.
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    /// Whether it has a process group of its own.
    has_group: bool,
    guard: Child,
}

impl Running {
    /// Starts it, in a process group of its own or in that of this process: one that reads a terminal has to be in that.
    ///
    /// # Errors
    /// When it or its guard cannot be started.
    pub(crate) fn start(command: &mut Command, has_group: bool) -> io::Result<Running> {
        if has_group {
            command.process_group(0);
        }
        let explain = |what: &'static str| {
            move |err: io::Error| io::Error::new(err.kind(), format!("{what}: start: {err}"))
        };
        let mut child = command.spawn().map_err(explain("nsenter (util-linux)"))?;
        let sign = if has_group { "-" } else { "" };
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh", &format!("{sign}{}", child.id())])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal from the terminal is for the command, not for the one that looks after it.
            .process_group(0)
            .spawn()
            .map_err(explain("sh"));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        match (guard, pid.ok_or_else(|| io::ErrorKind::InvalidData.into())) {
            (Ok(guard), Ok(pid)) => Ok(Running { child, pid, has_group, guard }),
            (Err(err), _) | (_, Err(err)) => {
                child.kill()?;
                child.wait()?;
                Err(err)
            }
        }
    }

    /// Waits until it has ended by itself, and gives its status as a shell would: 128 and more for a signal. Its number stays
    /// its own until it is dropped.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn wait(&self) -> io::Result<u8> {
        loop {
            let status = match self.look(WaitIdOptions::empty()) {
                Ok(Some(status)) => status,
                Ok(None) | Err(Errno::INTR) => continue,
                Err(err) => return Err(err.into()),
            };
            let code = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.look(WaitIdOptions::NOHANG), Ok(None))
    }

    fn look(&self, options: WaitIdOptions) -> rustix::io::Result<Option<WaitIdStatus>> {
        waitid(WaitId::Pid(self.pid), options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    }

    fn signal(&self, signal: Signal) {
        // An error means that all have ended by themselves.
        let _ = if self.has_group {
            kill_process_group(self.pid, signal)
        } else {
            kill_process(self.pid, signal)
        };
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have been killed by somebody already.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        self.signal(Signal::TERM);
        let give_up = Instant::now() + ENDING_WAIT;
        while !self.has_ended() && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
