//! A server on side B of a long link, and commands on side A that use it.

use crate::support::{Ran, Sandbox};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use woof_link::{Link, LinkOptions};

pub(crate) const PORT: u16 = 7144;

/// A server of the directory `srv`, with the namespace `farm` in it, which belongs to boss, as whom commands run.
pub(crate) struct Farm {
    // Before the link, whose namespace it lives in.
    server: Option<Child>,
    pub(crate) link: Link,
    pub(crate) sandbox: Sandbox,
}

impl Farm {
    /// With a server; none where there can be no link.
    pub(crate) fn new(options: LinkOptions) -> Option<Farm> {
        let mut farm = Farm::without_server(options)?;
        farm.start("10.89.0.2");
        Some(farm)
    }

    pub(crate) fn without_server(options: LinkOptions) -> Option<Farm> {
        let link = Link::for_test(options)?;
        let sandbox = Sandbox::new();
        sandbox
            .sh("mkdir srv && wcreate --namespace srv srv/farm && wattr srv owner boss && wattr srv/farm owner boss \
                 && wkey init lab && wkey add boss")
            .done();
        Some(Farm { server: None, link, sandbox })
    }

    /// A link of so many milliseconds.
    pub(crate) fn at_ms(rtt: u64) -> Option<Farm> {
        Farm::new(LinkOptions { rtt: Duration::from_millis(rtt), ..LinkOptions::default() })
    }

    /// Starts the server on one of side B's addresses, and waits until it listens.
    pub(crate) fn start(&mut self, address: &str) {
        self.start_with(address, &[]);
    }

    /// Starts it with these options too.
    pub(crate) fn start_with(&mut self, address: &str, options: &[&str]) {
        let mut command = self.sandbox.command("wserve");
        command.args(["srv", "--listen", &format!("{address}:{PORT}")]).args(options).stdin(Stdio::null());
        let log = File::options().create(true).append(true).open(self.path("wserve.log")).unwrap();
        command.stderr(log).stdout(Stdio::null());
        let server = self.link.b().enter(|| command.spawn()).unwrap().unwrap();
        self.server = Some(server);
        if let Err(err) = self.link.b().wait_listening(PORT, woof_kit::LIMIT) {
            panic!("{err}; {}", fs::read_to_string(self.path("wserve.log")).unwrap());
        }
    }

    /// Kills the server as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            woof_kit::wait(&mut server);
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.server.is_none()
    }

    /// The process of the server.
    pub(crate) fn server(&self) -> &Child {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.sandbox.dir().join(name)
    }

    /// A command for side A, not yet started. `$U` is the namespace `farm` at the server.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(program);
        let url = "woof://10.89.0.2/farm";
        command
            .args(args.iter().map(|arg| arg.replace("$U", url)))
            .env("U", url)
            .env("WOOF_IDENTITY", "boss");
        command.stdin(Stdio::null());
        command
    }

    /// Starts a command on side A.
    pub(crate) fn spawn(&self, command: &mut Command) -> Running {
        Running(Some(self.link.a().enter(|| command.spawn()).unwrap().unwrap()))
    }

    /// Starts a script on side A whose output is kept.
    pub(crate) fn begin(&self, script: &str) -> Running {
        let mut command = self.command("bash", &[]);
        command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn(&mut command)
    }

    /// Starts `wtail` on side A, its output in a file.
    pub(crate) fn follow(&self, args: &[&str], file: &str) -> Running {
        let mut command = self.command("wtail", args);
        command.stdout(File::create(self.path(file)).unwrap()).stderr(Stdio::piped());
        self.spawn(&mut command)
    }

    /// Runs a script on side A.
    pub(crate) fn sh(&self, script: &str) -> Ran {
        self.begin(script).end()
    }

    /// Runs a script beside the server, which uses the same woofs.
    #[track_caller]
    pub(crate) fn there(&self, script: &str) -> String {
        self.sandbox.sh(script).done().to_owned()
    }

    /// What a file of the sandbox has.
    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Waits until a file has so many lines.
    #[track_caller]
    pub(crate) fn wait_lines(&self, file: &str, count: usize) {
        until(&format!("{count} lines in {file}"), || self.text(file).lines().count() >= count);
    }

    /// Asserts that the woof `farm/NAME` has the numbers 1 to `last`, once each and in order.
    #[track_caller]
    pub(crate) fn has_sequence(&self, name: &str, last: u64) {
        is_sequence(&self.there(&format!("wget srv/farm/{name} .. -u")), 1, last);
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("wserve: {}", fs::read_to_string(self.path("wserve.log")).unwrap_or_default());
        }
    }
}

/// A process that is ended with its test.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child().try_wait().unwrap().is_none()
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        Ran::from(woof_kit::ended(self.0.take().unwrap()))
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(mut self) -> Ran {
        let _ = self.child().kill();
        Ran::from(woof_kit::ended(self.0.take().unwrap()))
    }

    /// Ends it as ^C does.
    #[track_caller]
    pub(crate) fn interrupt(mut self) -> Ran {
        let pid = rustix::process::Pid::from_child(self.child());
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            woof_kit::wait(child);
        }
    }
}

pub(crate) use woof_kit::until;

/// Asserts that a text is the numbers from `first` to `last`, one a line.
#[track_caller]
pub(crate) fn is_sequence(text: &str, first: u64, last: u64) {
    let mut next = first;
    for line in text.lines() {
        assert_eq!(line.parse(), Ok(next), "an element is missing, twice, or in another place");
        next += 1;
    }
    assert_eq!(next, last + 1, "the last elements are missing");
}
