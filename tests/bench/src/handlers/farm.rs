//! A namespace with one woof and one binding, its server, and what its handlers tell of when they started.
//!
//! Handlers write the time into a FIFO of the namespace, their working directory; the clock is the one that all processes share.

use crate::Result;
use crate::child;
use crate::place::Place;
use libwoofstream::handler::bindings::{self, Binding, Input};
use libwoofstream::log::{self, Appender, Options};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The FIFO.
const STARTED: &str = "started";

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}

/// Tells that a handler that runs here has started, or seen an element, at this time.
pub(crate) fn tell(fifo: &mut File, time_ns: u128) -> Result<()> {
    Ok(fifo.write_all(&time_ns.to_ne_bytes())?)
}

/// The FIFO of the namespace that this process runs in, or of another one.
pub(crate) fn fifo(namespace: &Path) -> Result<File> {
    // Open for both, so that no end waits for the other.
    Ok(File::options().read(true).write(true).open(namespace.join(STARTED))?)
}

/// Has who reads a FIFO read on.
pub(crate) fn told(fifo: &mut File) -> Result<u128> {
    let mut time = [0; 16];
    fifo.read_exact(&mut time)?;
    Ok(u128::from_ne_bytes(time))
}

/// The program of a binding.
pub(crate) enum Program<'a> {
    /// This file.
    File(&'a Path),
    /// This program in a role, long-lived.
    Role(&'a str),
}

/// The namespace.
pub(crate) struct Farm {
    dir: PathBuf,
    pub(crate) appender: Appender,
    pub(crate) started: File,
}

impl Farm {
    /// Makes it, in the place of one that may be there.
    pub(crate) fn new(place: &Place, name: &str, program: &Program<'_>, at_once: u32) -> Result<Farm> {
        let dir = place.path(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(dir.join(".woof"))?;
        fs::create_dir_all(dir.join("handlers"))?;
        let handler = dir.join("handlers/h");
        let input = match program {
            Program::File(file) => {
                fs::copy(file, &handler)?;
                Input::Raw
            }
            Program::Role(role) => {
                let own = std::env::current_exe()?;
                let own = own.to_str().ok_or("path is not UTF-8")?;
                fs::write(&handler, format!("#!/bin/sh\nexec '{own}' {} {role}\n", child::FLAG))?;
                fs::set_permissions(&handler, fs::Permissions::from_mode(0o755))?;
                Input::Stream
            }
        };
        mknodat(CWD, dir.join(STARTED), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Room for all of a burst.
        let options = Options { history: 1 << 17, ..Options::default() };
        log::create(&dir.join("temp"), &options)?;
        bindings::add(&dir, &Binding { at_once, input, ..Binding::new("temp", "h") }, None)?;
        let appender = log::open(&dir.join("temp"))?.appender()?;
        let started = fifo(&dir)?;
        Ok(Farm { dir, appender, started })
    }

    /// Where its FIFO is.
    pub(crate) fn fifo_path(&self) -> PathBuf {
        self.dir.join(STARTED)
    }

    /// Puts so many elements.
    pub(crate) fn put(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            self.appender.append(b"x")?;
        }
        Ok(())
    }

    /// Runs what is pending, with `wserve --once`.
    pub(crate) fn run_pending(&self, place: &Place) -> Result<()> {
        let status = place.command("wserve").arg("--once").arg(&self.dir).status()?;
        if status.success() { Ok(()) } else { Err(format!("wserve --once: {status}").into()) }
    }

    /// The server of it, which tells nobody anything.
    pub(crate) fn server(&self, place: &Place) -> Command {
        let mut command = place.command("wserve");
        command.arg(&self.dir).stderr(Stdio::null());
        command
    }
}

/// A server that runs. Dropped, it ends.
pub(crate) struct Server(Child);

impl Server {
    /// With further arguments.
    pub(crate) fn start(farm: &Farm, place: &Place, args: &[&str]) -> Result<Server> {
        Ok(Server(farm.server(place).args(args).spawn()?))
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
            && matches!(self.0.try_wait(), Ok(None))
        {
            // It may end meanwhile.
            let _ = kill_process(pid, Signal::TERM);
            let _ = self.0.wait();
        }
    }
}
