//! Runs the built binary under the names of its commands, in a directory of its own that goes away with it.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A directory to work in, with all commands first on the path.
pub(crate) struct Sandbox {
    links: woof_kit::TempDir,
    work: woof_kit::TempDir,
}

/// How a command or script ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// The exit status; death by a signal is 128 and its number, as a shell has it.
    pub(crate) status: i32,
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Asserts that it ended well and said nothing; gives standard output as text.
    #[track_caller]
    pub(crate) fn done(&self) -> &str {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""));
        self.text()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        Ran { stdout: output.stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned(), status }
    }
}

impl Sandbox {
    pub(crate) fn new() -> Sandbox {
        let links = woof_kit::tempdir().unwrap();
        let made = woof_kit::output(woof_kit::command(woof()).arg("--install-links").arg(links.path()));
        assert!(made.status.success(), "{made:?}");
        Sandbox { links, work: woof_kit::tempdir().unwrap() }
    }

    /// The directory that commands run in.
    pub(crate) fn dir(&self) -> &Path {
        self.work.path()
    }

    /// A command, not yet started: `program` is one of ours or any on the path.
    pub(crate) fn command(&self, program: &str) -> Command {
        let ours = self.links.path().join(program);
        let mut command =
            woof_kit::command(if ours.exists() { ours.as_os_str() } else { OsStr::new(program) });
        let mut path = self.links.path().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(self.dir()).env("PATH", path);
        // What the user who runs the tests has set up is none of their business.
        command.env("HOME", self.links.path());
        command.env("XDG_CONFIG_HOME", self.links.path().join("config"));
        command.env("XDG_STATE_HOME", self.links.path().join("state"));
        command.env("WOOF_KEYS", self.dir().join(".keys"));
        command
    }

    /// Runs a command with `stdin` to its end.
    pub(crate) fn run(&self, program: &str, args: &[&str], stdin: &[u8]) -> Ran {
        finish(self.command(program).args(args), stdin)
    }

    /// Runs a script with `sh`.
    pub(crate) fn sh(&self, script: &str) -> Ran {
        self.run("sh", &["-c", script], b"")
    }

    /// Runs a script with `bash`, which has process substitution and `PIPESTATUS`.
    pub(crate) fn bash(&self, script: &str) -> Ran {
        self.run("bash", &["-c", script], b"")
    }

    /// Runs a script with `sh`, its standard output and error a terminal; gives what the terminal was sent.
    pub(crate) fn terminal(&self, script: &str) -> String {
        self.terminal_with(script, |_| {})
    }

    /// The same; `look` is shown all that the terminal was sent so far, as it comes.
    pub(crate) fn terminal_with(&self, script: &str, mut look: impl FnMut(&str)) -> String {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = self.command("sh");
        command.args(["-c", script]).env("TERM", "xterm").stdin(Stdio::null()).stdout(open()).stderr(open());
        let mut child = command.spawn().unwrap();
        // Our own copies of the terminal must go, or its end would never be seen.
        drop(command);
        let mut seen = Vec::new();
        // A terminal whose last user has gone gives an error and no end of file.
        let (mut terminal, mut some) = (std::fs::File::from(master), [0; 4096]);
        while let Ok(count @ 1..) = terminal.read(&mut some) {
            seen.extend_from_slice(&some[..count]);
            look(&String::from_utf8_lossy(&seen));
        }
        assert!(woof_kit::wait(&mut child).success());
        String::from_utf8_lossy(&seen).replace("\r\n", "\n")
    }
}

/// The built binary.
pub(crate) fn woof() -> &'static str {
    env!("CARGO_BIN_EXE_woof")
}

/// Feeds `stdin` and waits for the end. A command that does not read all of it is no failure.
#[track_caller]
pub(crate) fn finish(command: &mut Command, stdin: &[u8]) -> Ran {
    Ran::from(woof_kit::fed(command, stdin))
}
