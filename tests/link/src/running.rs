//! A command on a side of the link, and a guard that ends it when this process ends first.
//!
//! Failure contract: what cannot be started is an error. What is started is waited for, or ended when it is dropped; when this
//! process is killed, the guard does it. A process that left the group is on its own.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take to end when asked to.
const ENDING_WAIT: Duration = Duration::from_secs(2);

/// The guard's standard input is a pipe that only this process holds, and that ends with it. It is there before the command, whose group
/// is the guard's: so none is without one, whenever this process is killed.
const GUARD: &str = "trap '' TERM; read -r _; kill -s TERM 0";

/// The guard of a command that stays in the group of this process: it is told the number of the command. It is killed before the
/// command is waited for, so that number is never that of another process.
const GUARD_OF_ONE: &str = "read -r one && read -r _; [ -z \"$one\" ] || kill -s TERM \"$one\"";

/// A command that runs. What it has left in its process group is ended with it when it is dropped.
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    /// Its process group, where that is not this process's.
    group: Option<Pid>,
    guard: Child,
}

impl Running {
    /// Starts it, in a process group of its own or in that of this process: one that reads a terminal has to be in that.
    ///
    /// # Errors
    /// When it or its guard cannot be started.
    pub(crate) fn start(command: &mut Command, has_group: bool) -> io::Result<Running> {
        let explain = |what: &'static str| {
            move |err: io::Error| io::Error::new(err.kind(), format!("{what}: start: {err}"))
        };
        let mut guard = Command::new("sh")
            .args(["-c", if has_group { GUARD } else { GUARD_OF_ONE }])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal from the terminal is for the command, not for the one that looks after it.
            .process_group(0)
            .spawn()
            .map_err(explain("sh"))?;
        let group = has_group.then(|| pid_of(&guard)).flatten();
        if let Some(group) = group {
            command.process_group(group.as_raw_nonzero().get());
        }
        let started = command.spawn().map_err(explain("nsenter (util-linux)"));
        match started.and_then(|child| Ok((pid_of(&child).ok_or(io::ErrorKind::InvalidData)?, child))) {
            Ok((pid, child)) => {
                let running = Running { child, pid, group, guard };
                running.tell_guard()?;
                Ok(running)
            }
            Err(err) => {
                guard.kill()?;
                guard.wait()?;
                Err(err)
            }
        }
    }

    /// Tells the guard whom it looks after, where that is not its group.
    fn tell_guard(&self) -> io::Result<()> {
        match &self.guard.stdin {
            Some(pipe) if self.group.is_none() => writeln!(&*pipe, "{}", self.child.id()),
            _ => Ok(()),
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
        let _ = match self.group {
            Some(group) => kill_process_group(group, signal),
            None => kill_process(self.pid, signal),
        };
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have been killed by somebody already.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        // The command was not waited for yet, so the group is still its own.
        self.signal(Signal::TERM);
        let give_up = Instant::now() + ENDING_WAIT;
        while !self.has_ended() && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
