//! A server for a test: `wserve` as a process, its log, and its end.

use crate::support::{Ran, Sandbox, finish};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use woof_kit::{say, until};

/// A sandbox with a directory `srv` to serve, an authority, and the identity of who runs the test.
pub(crate) fn ready() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sh("mkdir -p srv/farm/.woof && wkey init && wkey add $(id -un)").done();
    sandbox
}

/// Runs a command whose report nobody listens to, so that what goes wrong is on standard error.
pub(crate) fn tell(sandbox: &Sandbox, args: &[&str], stdin: &[u8]) -> Ran {
    let mut command = sandbox.command("sh");
    command.args(["-c", "exec \"$@\" > /dev/null", "sh"]).args(args);
    finish(&mut command, stdin)
}

/// The name of a woof of the server on `srv`, by its directory.
pub(crate) fn local(sandbox: &Sandbox, woof: &str) -> String {
    let dir = sandbox.dir().canonicalize().unwrap();
    format!("woof://{}/srv/{woof}", dir.display())
}

/// What an HTTP server at this address has at a path, with the head of its answer.
pub(crate) fn http(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A process that is ended with this, if it did not end before.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Process {
        Process(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        woof_kit::wait(&mut self.0);
    }
}

/// A running server.
pub(crate) struct Serving {
    pub(crate) process: Process,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// The TCP address it listens on; empty without one.
    pub(crate) address: String,
}

impl Serving {
    /// Serves `srv`, and waits until it does.
    #[track_caller]
    pub(crate) fn start(sandbox: &Sandbox, args: &[&str]) -> Serving {
        Serving::of(sandbox.command("wserve").arg("srv").args(args))
    }

    /// With TLS on any port.
    #[track_caller]
    pub(crate) fn tls(sandbox: &Sandbox) -> Serving {
        Serving::start(sandbox, &["--listen", "127.0.0.1:0"])
    }

    /// Runs this command, which is a server, and waits until it serves.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Serving {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut serving =
            Serving { process: Process(child), log, reader: Some(reader), address: String::new() };
        until("the server serves", || {
            let log = serving.log();
            assert!(serving.process.0.try_wait().unwrap().is_none(), "{log}");
            log.contains("serving")
        });
        serving.address = serving.field("listen").unwrap_or_default();
        serving
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A field of the first line that has it, in the text form.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let (log, start) = (self.log(), format!(" {name}="));
        let (_, rest) = log.split_once(&start)?;
        rest.split_whitespace().next().map(str::to_owned)
    }

    /// Waits until something was logged.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) {
        let end = Instant::now() + woof_kit::LIMIT;
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "never logged: {text}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The name of a woof at this server, by its address.
    pub(crate) fn name(&self, woof: &str) -> String {
        format!("woof://{}/{woof}", self.address)
    }

    /// The server's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits for the end; the status, and the log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = woof_kit::wait(&mut self.process.0);
        self.reader.take().unwrap().join().unwrap();
        let log = self.log();
        (status, log)
    }

    /// Asks it to stop, and waits for the end; the log.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.process.signal(Signal::TERM);
        let (status, log) = self.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// Kills it, and waits for the end.
    pub(crate) fn kill(self) {
        self.process.signal(Signal::KILL);
        self.wait();
    }
}
