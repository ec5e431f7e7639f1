//! A namespace to test in, with handlers, and a server.

use super::support::{Ran, Sandbox};
use libwoofstream::log::{self, Item};
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A namespace `farm` with a woof `temp` of f64.
pub(crate) struct Farm {
    pub(crate) sandbox: Sandbox,
}

impl Farm {
    pub(crate) fn new() -> Farm {
        Farm::with("--type f64")
    }

    /// With other options for the woof.
    pub(crate) fn with(options: &str) -> Farm {
        let sandbox = Sandbox::new();
        sandbox.sh(&format!("wcreate -p farm/temp {options}")).done();
        Farm { sandbox }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.dir().join("farm").join(name)
    }

    /// Makes a handler of a shell script.
    pub(crate) fn handler(&self, name: &str, script: &str) {
        let path = self.path("handlers").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn sh(&self, script: &str) -> Ran {
        // Into a pipe it would send the seqnos as a stream.
        self.sandbox.sh(&format!("wput() {{ command wput \"$@\" > /dev/null; }}; {script}"))
    }

    /// Runs what is pending.
    pub(crate) fn once(&self) -> Ran {
        self.sandbox.run("wserve", &["--once", "--log-level", "error", "."], b"")
    }

    /// The lines of a file that handlers wrote; none when there is none.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A column of `wstat --triggers` for the binding in this row, from 0.
    pub(crate) fn count(&self, row: usize, column: &str) -> u64 {
        let ran = self.sh("wstat --triggers farm --json");
        let line = ran.done().lines().nth(row).unwrap_or_else(|| panic!("{ran:?}")).to_owned();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        json[column].as_u64().unwrap_or_else(|| panic!("{line}"))
    }

    /// What the log of triggers has of a kind, each as JSON.
    pub(crate) fn log(&self, what: &str) -> Vec<serde_json::Value> {
        self.records(1).into_iter().filter(|record| record["what"] == what).collect()
    }

    /// All that the log of triggers has from an element on; nothing where there is none yet.
    pub(crate) fn records(&self, from: u64) -> Vec<serde_json::Value> {
        let Ok(woof) = log::open(&self.path(".woof/triggers")) else { return Vec::new() };
        let (mut records, mut cursor) = (Vec::new(), woof.cursor(from));
        while let Some(item) = cursor.next() {
            let Item::Elem { data, .. } = item else { panic!("{item:?}") };
            records.push(serde_json::from_slice(data).unwrap());
        }
        records
    }

    /// Starts a server; it is killed when the value goes.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// With further arguments.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        self.started(".", args)
    }

    /// A server of a directory below.
    pub(crate) fn serve_at(&self, dir: &str) -> Server {
        self.started(dir, &[])
    }

    fn started(&self, dir: &str, args: &[&str]) -> Server {
        let mut command = self.sandbox.command("wserve");
        let log = File::options().create(true).append(true).open(self.sandbox.dir().join("server.log"));
        command.arg(dir).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.unwrap());
        let child = command.spawn();
        Server { child: child.unwrap() }
    }

    /// What all servers have logged.
    pub(crate) fn server_log(&self) -> String {
        std::fs::read_to_string(self.sandbox.dir().join("server.log")).unwrap()
    }

    /// Waits until something is so; fails when it does not become so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let end = Instant::now() + woof_kit::LIMIT;
        while !is() {
            assert!(Instant::now() < end, "never: {what}\n{}", self.sh("wstat --triggers farm").text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        woof_kit::wait(&mut self.child);
    }
}

impl Server {
    /// Has it end as a service manager does, and waits until it has.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(woof_kit::wait(&mut self.child).success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        woof_kit::wait(&mut self.child);
    }
}
