//! A namespace to test in, with handlers, and a server.

use super::support::{Ran, Sandbox};
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
        sandbox.sh(&format!("wcreate -p farm/temp {options} && mkdir farm/handlers")).done();
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
        let ran = self.sh("wget farm/.woof/triggers .. -u");
        let lines = ran.done().lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|record| record["what"] == what).collect()
    }

    /// Starts a server; it is killed when the value goes.
    pub(crate) fn serve(&self) -> Server {
        let mut command = self.sandbox.command("wserve");
        let child = command.arg(".").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Server { child: child.unwrap() }
    }

    /// Waits until something is so; fails when it does not become so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
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
    /// Kills it, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
