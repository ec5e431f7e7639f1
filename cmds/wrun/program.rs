//! The program that is run, on this machine, in a container, or as a handler of a namespace: started as a stream or for one message, and how it ended.
//!
//! Failure contract: a program that cannot be started is a failure of the command, by its name. One that does not read what
//! it is given is no failure. Where it runs, it is started here in one way: with a pipe or a file to read, and a pipe for its output.

use super::lines::Lines;
use super::stop;
use crate::support::daemon;
use crate::support::env::container_engine;
use crate::support::prelude::*;
use crate::support::time;
use libwoofstream::chan::Split;
use libwoofstream::handler::container::{self, Container, Ended, Remote, Settings, Spec};
use libwoofstream::handler::{Call, Exit, Pipes, RunOptions};
use libwoofstream::name::shown;
use libwoofstream::space::{Space as _, Spaces};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::retry_on_intr;
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A program with its arguments.
#[derive(Debug)]
pub(super) struct Program {
    argv: Vec<OsString>,
    /// The program as it was typed, for messages.
    name: String,
    /// Where it runs, if that is not simply here.
    elsewhere: Option<Elsewhere>,
}

/// A program that no signal of a terminal reaches.
#[derive(Debug)]
struct Elsewhere {
    place: Place,
    /// Can be read once it is to be killed.
    stop: Arc<OwnedFd>,
}

#[derive(Debug)]
enum Place {
    /// A namespace that it is a handler of.
    At { namespace: String, spaces: Arc<Spaces> },
    /// A container, removed with this.
    In(Arc<Container>),
}

/// What a program reads.
#[derive(Debug)]
pub(super) enum Stdin {
    /// A pipe, whose other end is in [`Started::stdin`].
    Piped,
    File(File),
}

/// A program that was started.
#[derive(Debug)]
pub(super) struct Started {
    /// What it reads, where that is a pipe.
    pub(super) stdin: Option<File>,
    /// What it writes.
    pub(super) stdout: Option<OwnedFd>,
    pub(super) end: End,
}

/// The end of a program, to be waited for.
#[derive(Debug)]
pub(super) enum End {
    Child(Child),
    /// The thread that carries what it reads and writes.
    At(JoinHandle<Result<Exit, Error>>),
    /// The program in a container, and what kills it once it can be read.
    In(Remote, Arc<OwnedFd>),
}

impl End {
    /// Waits for it.
    pub(super) fn wait(self, name: &str) -> Result<Exit, Error> {
        match self {
            End::Child(mut child) => {
                child.wait().map(exit).map_err(|err| Error::io(name, "wait for it", err))
            }
            End::At(thread) => thread.join().unwrap_or_else(|_| {
                Err(Error::new(Code::Io, name, "wait for it: what carries its output broke down"))
            }),
            End::In(mut remote, stop) => {
                let mut polled = [
                    PollFd::from_borrowed_fd(remote.ended(), PollFlags::IN),
                    PollFd::new(&*stop, PollFlags::IN),
                ];
                retry_on_intr(|| poll(&mut polled, None))
                    .map_err(|err| Error::io(name, "wait for it", err))?;
                let ended = !polled[0].revents().is_empty();
                if !ended {
                    remote.kill();
                    return Err(Error::new(Code::Cut, name, "told to stop: killed"));
                }
                match remote.end() {
                    Ended::NotStarted(why) => {
                        Err(Error::new(Code::NotFound, name, format!("in the container: {why}")))
                    }
                    ended => Ok(Exit { status: ended.status().unwrap_or(1), why: ended.failure() }),
                }
            }
        }
    }
}

/// What to run, and how data becomes its input and its output becomes data.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) program: &'a Program,
    /// What follows the text form of an element.
    pub(super) delimiter: &'static [u8],
    /// How its output is cut.
    pub(super) split: Split,
}

/// What a program is told of the message it is run for; empty or 0 where it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    /// The name of the woof; of one that is not UTF-8 the form for people.
    pub(super) woof: &'a str,
    /// The bytes of a name that is not UTF-8.
    pub(super) raw_name: Option<&'a [u8]>,
    pub(super) seqno: u64,
    pub(super) time_ns: u64,
}

impl About<'_> {
    /// Variables of its environment; without a value where it is not known.
    fn variables(&self) -> [(&'static str, Option<OsString>); 3] {
        let number = |number: u64, text: fn(u64) -> String| (number > 0).then(|| text(number).into());
        let name = self.raw_name.unwrap_or(self.woof.as_bytes());
        // An environment has no place for a NUL, and a name without it is another one.
        let known = !name.is_empty() && !name.contains(&0);
        [
            ("WOOF_NAME", known.then(|| OsString::from_vec(name.to_vec()))),
            ("WOOF_SEQNO", number(self.seqno, |seqno| seqno.to_string())),
            ("WOOF_TIME", number(self.time_ns, time::rfc3339)),
        ]
    }
}

impl Stdin {
    /// What the program gets, and our end of it where that is a pipe.
    fn split(self) -> std::io::Result<(OwnedFd, Option<File>)> {
        match self {
            Stdin::Piped => {
                let (stdin, feed) = pipe_with(PipeFlags::CLOEXEC)?;
                Ok((stdin, Some(File::from(feed))))
            }
            Stdin::File(file) => Ok((OwnedFd::from(file), None)),
        }
    }
}

impl Program {
    /// The program of the operand `PROG`.
    pub(super) fn of(args: &Args, env: &Env) -> Result<Program, Error> {
        let argv: Vec<OsString> = args.bytes("PROG").map(|arg| OsString::from_vec(arg.to_vec())).collect();
        let name = argv.first().map(|name| shown(name.as_encoded_bytes())).unwrap_or_default();
        let place = match (args.text("at"), args.text("in")) {
            (Some(namespace), _) => Some(Place::At { namespace: namespace.to_owned(), spaces: env.spaces() }),
            (None, Some(image)) => {
                let settings = Settings::of(image);
                settings.check()?;
                let spec = Spec::alone(settings, &container_engine()?, &std::env::temp_dir());
                let started =
                    stop::taking_back(&spec.stop, || Container::start(&daemon::containers(), &spec))?;
                Some(Place::In(Arc::new(started?)))
            }
            (None, None) => None,
        };
        let elsewhere = place.map(|place| {
            let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|err| Error::io(&*name, "run", err))?;
            Ok::<_, Error>(Elsewhere { place, stop: Arc::new(stop) })
        });
        Ok(Program { argv, name, elsewhere: elsewhere.transpose()? })
    }

    /// What kills it, where no signal of a terminal reaches it.
    pub(super) fn stop(&self) -> Option<impl FnOnce() + Send + use<>> {
        let stop = Arc::clone(&self.elsewhere.as_ref()?.stop);
        // Only a counter that is full would refuse, and that can be read as well.
        Some(move || {
            let _ = rustix::io::write(&*stop, &1u64.to_ne_bytes());
        })
    }

    /// What can be read once it is to be killed, where no signal of a terminal reaches it.
    pub(super) fn stopped(&self) -> Option<Arc<OwnedFd>> {
        self.elsewhere.as_ref().map(|elsewhere| Arc::clone(&elsewhere.stop))
    }

    /// The program as it was typed.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Starts it with this standard input, and a pipe for its output.
    pub(super) fn start(&self, about: &About<'_>, stdin: Stdin) -> Result<Started, Failure> {
        match &self.elsewhere {
            Some(Elsewhere { place: Place::At { namespace, spaces }, stop }) => {
                Ok(self.start_at(namespace, spaces, stop, about, stdin)?)
            }
            Some(Elsewhere { place: Place::In(container), stop }) => {
                Ok(self.start_in(container, stop, about, stdin)?)
            }
            None => self.start_here(about, stdin),
        }
    }

    /// Its arguments where they travel as text.
    fn texts(&self) -> Result<Vec<String>, Error> {
        let text = |arg: &OsString| {
            let text = arg.to_str().map(str::to_owned);
            text.ok_or_else(|| {
                Error::new(Code::Invalid, shown(arg.as_encoded_bytes()), "an argument that is not UTF-8")
            })
        };
        self.argv.iter().map(text).collect()
    }

    /// Has the agent in a container start it, with our own pipes.
    fn start_in(
        &self,
        container: &Arc<Container>,
        stop: &Arc<OwnedFd>,
        about: &About<'_>,
        stdin: Stdin,
    ) -> Result<Started, Error> {
        let failed = |err: std::io::Error| Error::io(&*self.name, "make its pipes", err);
        let (stdin, feed) = stdin.split().map_err(failed)?;
        let (stdout, out) = pipe_with(PipeFlags::CLOEXEC).map_err(|err| failed(err.into()))?;
        let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        // What travels as text has no name that is not UTF-8.
        let env = about.variables().into_iter();
        let env = env.filter_map(|(name, value)| Some((name.to_owned(), value?.into_string().ok()?)));
        let program =
            container::Program { argv: self.texts()?, env: env.collect(), trigger: None, memory: None };
        let remote = container.run(&program, [stdin, out, stderr])?;
        Ok(Started { stdin: feed, stdout: Some(stdout), end: End::In(remote, Arc::clone(stop)) })
    }

    /// Has a thread carry what the handler of a namespace reads and writes.
    fn start_at(
        &self,
        namespace: &str,
        spaces: &Arc<Spaces>,
        stop: &Arc<OwnedFd>,
        about: &About<'_>,
        stdin: Stdin,
    ) -> Result<Started, Error> {
        let name = &*self.name;
        let mut argv = self.texts()?.into_iter();
        let call = Call {
            handler: argv.next().unwrap_or_default(),
            args: argv.collect(),
            depth: std::env::var("WOOF_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(0),
            woof: Some(about.woof.to_owned()).filter(|woof| !woof.is_empty() && about.raw_name.is_none()),
            seqno: Some(about.seqno).filter(|seqno| *seqno > 0),
            time_ns: Some(about.time_ns).filter(|time_ns| *time_ns > 0),
            here: RunOptions {
                path: std::env::var_os("PATH").unwrap_or_default(),
                engine: Some(container_engine()?),
                ..RunOptions::default()
            },
        };
        let failed = |err: std::io::Error| Error::io(name, "make its pipes", err);
        let (stdin, feed) = stdin.split().map_err(failed)?;
        let (stdout, out) = pipe_with(PipeFlags::CLOEXEC).map_err(|err| failed(err.into()))?;
        let (namespace, spaces, stop) = (namespace.to_owned(), Arc::clone(spaces), Arc::clone(stop));
        let carry = move || {
            // As the standard error of a program here is ours, what cannot be written there is lost.
            let stderr = &mut |bytes: &[u8]| drop(std::io::stderr().write_all(bytes));
            spaces.run(&namespace, &call, Pipes { stdin, stdout: out, stderr, stop: &stop })
        };
        let thread = std::thread::Builder::new().spawn(carry).map_err(|err| Error::io(name, "run", err))?;
        Ok(Started { stdin: feed, stdout: Some(stdout), end: End::At(thread) })
    }

    fn start_here(&self, about: &About<'_>, stdin: Stdin) -> Result<Started, Failure> {
        let stdin = match stdin {
            Stdin::Piped => Stdio::piped(),
            Stdin::File(file) => file.into(),
        };
        let mut argv = self.argv.iter();
        let mut command =
            std::process::Command::new(argv.next().map(OsString::as_os_str).unwrap_or_default());
        command.args(argv).stdin(stdin).stdout(Stdio::piped());
        // Our channels are not its channels: it has the standard ones.
        command.env_remove("WOOF_CHANNELS");
        for (name, value) in about.variables() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn().map_err(|err| {
            let searched = !self.name.contains('/') && err.kind() == std::io::ErrorKind::NotFound;
            Failure::from(if searched {
                Error::new(Code::NotFound, &*self.name, "not found in PATH")
            } else {
                Error::io(&*self.name, "run", err)
            })
        })?;
        let stdin = child.stdin.take().map(|stdin| File::from(OwnedFd::from(stdin)));
        Ok(Started { stdin, stdout: child.stdout.take().map(OwnedFd::from), end: End::Child(child) })
    }
}

impl Job<'_> {
    /// Runs the program to its end with `input` as its standard input, and passes on what it writes.
    ///
    /// The input is a file in memory and no pipe: a program whose `wrun` is killed beside it would take the end of a pipe for
    /// the end of the element, and work on a part of it.
    pub(super) fn once(&self, about: &About<'_>, input: &[u8], out: &mut Output) -> Result<Exit, Failure> {
        let name = self.program.name();
        let stdin = in_memory(input).map_err(|err| Error::io(name, "make its input", err))?;
        let started = self.program.start(about, Stdin::File(stdin))?;
        let passed = self.pass(started.stdout, out);
        // Also after a failure of ours the program is waited for, with its output closed: it must not outlive its element.
        let ended = started.end.wait(name);
        passed?;
        Ok(ended?)
    }

    /// Passes on the output of the program to its end.
    fn pass(&self, stdout: Option<OwnedFd>, out: &mut Output) -> Result<(), Failure> {
        let mut lines = Lines::new(stdout, self)?;
        loop {
            let more = lines.pass(out)?;
            let Some(fd) = lines.fd() else {
                return Ok(());
            };
            if !more {
                out.flush()?;
                retry_on_intr(|| poll(&mut [PollFd::new(fd, PollFlags::IN)], None))
                    .map_err(|err| Error::io(self.program.name(), "read from it", err))?;
            }
        }
    }
}

/// A file without a name that holds `data`, to be read from its beginning.
fn in_memory(data: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("element", MemfdFlags::CLOEXEC)?);
    file.write_all(data)?;
    file.rewind()?;
    Ok(file)
}

/// How a program ended: with the exit status that a shell would give it.
fn exit(status: ExitStatus) -> Exit {
    if let Some(signal) = status.signal() {
        let number = u8::try_from(128 + signal).unwrap_or(u8::MAX);
        return Exit { status: number, why: Some(format!("killed by signal {signal}")) };
    }
    match status.code() {
        Some(0) => Exit::DONE,
        code => {
            let number = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
            Exit { status: number, why: Some(format!("exit status {number}")) }
        }
    }
}
