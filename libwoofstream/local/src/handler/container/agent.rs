//! The agent: our own program in a container, which starts what a server orders, so that an attempt costs a process and not a container.
//!
//! As the first process of the container it calls the server, starts itself once more with that connection and takes in what its handlers leave behind; when
//! that second one ends, or the server has gone, so does the container.
//!
//! Failure contract: when the server has gone, however it went, the agent ends and everything in the container with it.

use super::order::{Ended, Order, answer, take_order};
use super::{AGENT_FLAG, AGENT_SOCKET, COMMANDS_DIR, PROGRAM};
use crate::handler::process::{self, Mark};
use crate::handler::program::not_started;
use crate::handler::run::Running as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, getpeername, socket_with,
};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, WaitOptions, getpid, pidfd_open, set_dumpable_behavior, wait,
};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use woof_core::error::{Error, Result};
use woof_core::limits::{AGENT_THREADS_MAX, ORDER_MAX};

/// Runs the agent of a container to its end, with links for `commands` to this program, and the `PATH` of the image; the value is the exit status.
///
/// # Errors
/// When the server cannot be reached.
pub fn run(commands: &[&str], path: &OsStr) -> Result<u8> {
    if getpid().is_init() {
        return first().map_err(|err| Error::io("agent", "start", err));
    }
    // Without them handlers have to bring their own.
    for command in commands {
        let _ = std::os::unix::fs::symlink(PROGRAM, Path::new(COMMANDS_DIR).join(command));
    }
    // The first process has called, and gives us its connection.
    let control = std::io::stdin().as_fd().try_clone_to_owned();
    let control = control.and_then(|control| Ok((getpeername(&control)?, control).1));
    let control = control.map_err(|err| Error::io("agent", "find its server", err))?;
    keep_to_itself();
    let (idle, threads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let here = std::env::current_dir().unwrap_or_default();
    let agent = Arc::new(Agent { control, idle, threads, path: path_of_handlers(path), here });
    agent.more_threads().map_err(|err| Error::io("agent", "start a thread", err))?;
    // Nothing is asked for here: what ends this is that the other side has gone.
    while let Err(rustix::io::Errno::INTR) =
        poll(&mut [PollFd::new(&agent.control, PollFlags::empty())], None)
    {}
    Ok(0)
}

/// The first process: takes in whatever has lost its parent, until the server has gone or the agent has ended. Nothing in the container can stop or kill
/// it, so the container ends with its server whatever was done to the agent.
fn first() -> std::io::Result<u8> {
    let control = call(AGENT_SOCKET)?;
    let mut agent = Command::new("/proc/self/exe");
    let agent = agent.arg(AGENT_FLAG).stdin(control.try_clone()?).spawn()?;
    keep_to_itself();
    let ended = pidfd_open(Pid::from_child(&agent), PidfdFlags::empty())?;
    std::thread::Builder::new()
        .name("woof-first".to_owned())
        .spawn(|| while matches!(wait(WaitOptions::empty()), Ok(_) | Err(rustix::io::Errno::INTR)) {})?;
    let mut polled = [PollFd::new(&control, PollFlags::empty()), PollFd::new(&ended, PollFlags::IN)];
    while let Err(rustix::io::Errno::INTR) = poll(&mut polled, None) {}
    Ok(0)
}

/// Handlers run as the same user: none is to look into this process, or to write into it.
fn keep_to_itself() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

fn call(path: &str) -> std::io::Result<OwnedFd> {
    let control = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&control, &SocketAddrUnix::new(path)?)?;
    Ok(control)
}

/// The `PATH` of handlers: our commands, then that of the image.
fn path_of_handlers(image: &OsStr) -> OsString {
    let image = if image.is_empty() { OsStr::new("/usr/local/bin:/usr/bin:/bin") } else { image };
    let mut path = OsString::from(COMMANDS_DIR);
    path.push(":");
    path.push(image);
    path
}

struct Agent {
    control: OwnedFd,
    /// Threads that wait for an order.
    idle: AtomicUsize,
    threads: AtomicUsize,
    path: OsString,
    /// Where it stands, and with it what it starts.
    here: PathBuf,
}

impl Agent {
    /// One more thread that waits for orders, up to the limit.
    fn more_threads(self: &Arc<Agent>) -> std::io::Result<()> {
        if self.threads.fetch_add(1, Ordering::Relaxed) >= AGENT_THREADS_MAX {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            return Ok(());
        }
        let agent = Arc::clone(self);
        self.idle.fetch_add(1, Ordering::Relaxed);
        let started =
            std::thread::Builder::new().name("woof-agent".to_owned()).spawn(move || agent.work()).map(drop);
        if started.is_err() {
            // It counts for nothing: the next one that is needed is tried again.
            self.idle.fetch_sub(1, Ordering::Relaxed);
            self.threads.fetch_sub(1, Ordering::Relaxed);
        }
        started
    }

    fn work(self: &Arc<Agent>) {
        let mut buffer = vec![0; ORDER_MAX];
        while let Ok(Some((order, descriptors))) = take_order(&self.control, &mut buffer) {
            if self.idle.fetch_sub(1, Ordering::Relaxed) == 1 {
                // Without one more the orders wait; whoever is free takes the next.
                let _ = self.more_threads();
            }
            if let Ok([stdin, stdout, stderr, end]) = <[OwnedFd; 4]>::try_from(descriptors) {
                let ended = order.and_then(|order| self.follow(&order, [stdin, stdout, stderr], &end));
                if let Some(ended) = ended.unwrap_or_else(|why| Some(Ended::NotStarted(why))) {
                    answer(&end, &ended);
                }
            }
            self.idle.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs a program to its end, or until nobody asks for it any more.
    fn follow(
        &self,
        order: &Order,
        [stdin, stdout, stderr]: [OwnedFd; 3],
        end: &OwnedFd,
    ) -> std::result::Result<Option<Ended>, String> {
        let (program, args) = order.argv.split_first().ok_or("no program")?;
        // Where orders had to wait, it may be asked for no more: the next attempt may run already.
        let mut waits = [PollFd::new(end, PollFlags::IN)];
        if poll(&mut waits, Some(&rustix::event::Timespec::default())) == Ok(1) {
            return Ok(None);
        }
        let mut process = {
            let mut command = Command::new(program);
            command.args(args).env("PATH", &self.path).process_group(0);
            // The way there may lead over a file system that is itself a process.
            if self.here != Path::new(&order.dir) {
                command.current_dir(&order.dir);
            }
            command.envs(order.env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))));
            command.stdin(stdin).stdout(stdout).stderr(stderr);
            let trigger = order.trigger.clone();
            let mark = trigger.map(|trigger| Mark { namespace: order.dir.clone().into(), trigger });
            // Our copies of its pipes go with the command, so that they end with the program.
            process::launch(&mut command, order.memory, mark)
                .map_err(|err| not_started(program.as_ref(), order.dir.as_ref(), &err))?
        };
        let mut polled =
            [PollFd::from_borrowed_fd(process.ended(), PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        while let Err(rustix::io::Errno::INTR) = poll(&mut polled, None) {}
        let exited = !polled[0].revents().is_empty();
        if !exited {
            process.kill();
            return Ok(None);
        }
        Ok(Some(how(process.reap().map_err(|err| err.to_string())?)))
    }
}

fn how(status: ExitStatus) -> Ended {
    status.signal().map_or_else(|| Ended::Exited(status.code().unwrap_or(-1)), Ended::Killed)
}

#[cfg(test)]
mod tests {
    use super::super::order::{pair, send_order, take_answer};
    use super::*;
    use rustix::net::{Shutdown, shutdown};
    use std::fs::File;
    use std::io::Write as _;
    use woof_kit::until;

    /// An agent that takes orders, without a container, and may start so many more threads.
    fn agent(threads: usize) -> (OwnedFd, Arc<Agent>) {
        let (server, control) = pair().unwrap();
        let (idle, threads) = (AtomicUsize::new(0), AtomicUsize::new(AGENT_THREADS_MAX - threads));
        let agent =
            Arc::new(Agent { control, idle, threads, path: "/usr/bin:/bin".into(), here: PathBuf::new() });
        agent.more_threads().unwrap();
        (server, agent)
    }

    /// A program that was ordered: it makes a file and waits for a line.
    struct Ordered {
        stdin: File,
        end: OwnedFd,
    }

    impl Ordered {
        fn new(server: &OwnedFd, dir: &Path, name: &str) -> Ordered {
            let script = format!("echo > began-{name}; read line");
            Ordered::program(server, dir, &["/bin/sh", "-c", &script])
        }

        fn program(server: &OwnedFd, dir: &Path, argv: &[&str]) -> Ordered {
            let order = Order {
                argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
                env: Vec::new(),
                dir: dir.to_str().unwrap().to_owned(),
                memory: 1 << 30,
                trigger: None,
            };
            let (stdin, feed) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
            let null = || File::options().write(true).open("/dev/null").unwrap().into();
            let (end, theirs) = pair().unwrap();
            send_order(server, &order, &[stdin, null(), null(), theirs]).unwrap();
            Ordered { stdin: feed.into(), end }
        }

        /// Lets it go on; how it ended.
        fn go(mut self) -> Ended {
            self.stdin.write_all(b"line\n").unwrap();
            wait_for(&self.end);
            take_answer(&self.end)
        }
    }

    fn wait_for(end: &OwnedFd) {
        let limit = rustix::event::Timespec { tv_sec: woof_kit::LIMIT.as_secs().cast_signed(), tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&limit)), Ok(1), "it does not end");
    }

    #[test]
    fn each_order_that_nobody_waits_for_has_a_thread_of_its_own_and_threads_are_used_again() {
        let dir = woof_kit::tempdir().unwrap();
        let (server, agent) = agent(AGENT_THREADS_MAX);
        let threads = || agent.threads.load(Ordering::Relaxed);
        for _ in 0..3 {
            let ordered: Vec<_> = (0..5).map(|n| Ordered::new(&server, dir.path(), &n.to_string())).collect();
            until("all five run", || (0..5).all(|n| dir.path().join(format!("began-{n}")).exists()));
            assert_eq!(threads(), 6, "five run, and one waits for orders");
            for one in ordered {
                assert_eq!(one.go(), Ended::Exited(0));
            }
            until("all wait for orders", || agent.idle.load(Ordering::Relaxed) == 6);
            (0..5).for_each(|n| std::fs::remove_file(dir.path().join(format!("began-{n}"))).unwrap());
        }
    }

    #[test]
    fn orders_over_the_limit_wait_for_a_thread_and_those_that_are_taken_back_meanwhile_never_run() {
        let dir = woof_kit::tempdir().unwrap();
        let (server, agent) = agent(2);
        let there = |name: &str| dir.path().join(name).exists();
        let running = ["a", "b"].map(|name| Ordered::new(&server, dir.path(), name));
        until("both run", || there("began-a") && there("began-b"));
        // One that cannot be started, which would be answered.
        let taken_back = Ordered::program(&server, dir.path(), &["/no/such/program"]);
        let waits = Ordered::new(&server, dir.path(), "d");
        shutdown(&taken_back.end, Shutdown::Write).unwrap();
        assert_eq!(agent.threads.load(Ordering::Relaxed), AGENT_THREADS_MAX);
        let [first, second] = running;
        assert!(!there("began-d"), "there is no thread for it");
        assert_eq!(first.go(), Ended::Exited(0));
        until("the last one runs", || there("began-d"));
        // It was let go of, and nobody tried to start it.
        wait_for(&taken_back.end);
        assert_eq!(take_answer(&taken_back.end), Ended::Gone);
        assert_eq!((waits.go(), second.go()), (Ended::Exited(0), Ended::Exited(0)));
        until("both wait for orders", || agent.idle.load(Ordering::Relaxed) == 2);
        assert_eq!(agent.threads.load(Ordering::Relaxed), AGENT_THREADS_MAX);
    }
}
