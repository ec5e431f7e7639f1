//! Containers for handlers: one for each namespace that wants it, with our agent in it.
//!
//! In it the namespace is `/namespace`, its state directory cannot be written, our own program is there with all commands as links, and nothing else of
//! this machine is: no network unless it is allowed, a user that is not root, no capabilities, limits of memory and processors, a root file system that
//! cannot be written. Handlers append to woofs through the mapping, as any process.
//!
//! Failure contract: a container lives as long as its [`Container`] and never longer than this process, however that ends: the agent ends when nobody holds
//! the other end of its connection. Without an engine, or without the image, that is said in one line and nothing is started.

mod agent;
mod keeper;
mod order;
mod settings;

pub use agent::run as run_agent;
pub use keeper::{Keeper, keep};
pub use order::Ended;
pub use settings::{FILE as SETTINGS_FILE, Settings};

use order::Order;
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::HANDLER_MEMORY;
use woof_core::name::STATE_DIR;

/// Where the namespace is in a container.
pub const NAMESPACE: &str = "/namespace";

/// Where our own program is in a container.
pub const PROGRAM: &str = "/woofstream/woof";
/// Where the links to it are.
pub const COMMANDS_DIR: &str = "/woofstream/bin";
/// Where the socket of the server is.
pub const AGENT_SOCKET: &str = "/woofstream/agent.sock";

/// Whether the mounts of a process (`/proc/PID/mountinfo`) are those of a container with our agent.
pub fn is_of_agent(mounts: &str) -> bool {
    mounts.lines().any(|line| line.split(' ').nth(4) == Some(AGENT_SOCKET))
}

/// Where Docker's engine is, if nobody says otherwise.
pub const DEFAULT_ENGINE: &str = "unix:///var/run/docker.sock";

/// The argument that makes our program an agent.
pub const AGENT_FLAG: &str = "--agent";

/// How long a program that is killed may take to be gone.
const KILLED: Duration = Duration::from_secs(5);

/// What a container is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Image, limits, network.
    pub settings: Settings,
    /// The user and group that everything in it runs as.
    pub user: (u32, u32),
    /// The directory of the namespace that is mounted, if any.
    pub namespace: Option<PathBuf>,
    /// The address of the engine: `unix:///var/run/docker.sock`.
    pub engine: String,
    /// Whether it is the container of the namespace, and not one for a run.
    pub serves: bool,
    /// Whether it is the first one of its server: what earlier servers left is removed then.
    pub first: bool,
    /// A directory that the engine can see, for the socket at which the agent calls.
    pub socket_dir: PathBuf,
    /// Set when a container that is being started is not wanted any more.
    #[serde(skip)]
    pub stop: Arc<AtomicBool>,
}

impl Spec {
    /// The container of a namespace, given by its directory. It runs as the owner of the directory, or as nobody where that is root.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn of(namespace: &Path, settings: Settings, engine: &str) -> Result<Spec> {
        use std::os::unix::fs::MetadataExt as _;
        let shown = || namespace.display().to_string();
        let meta = namespace.metadata().map_err(|err| Error::io(shown(), "", err))?;
        if namespace.to_str().is_none() {
            // The engine would be told of another directory.
            return Err(Error::new(Code::Unsupported, shown(), "the engine takes paths in UTF-8 only"));
        }
        Ok(Spec {
            user: settings.user.unwrap_or(owner_or_nobody((meta.uid(), meta.gid()))),
            settings,
            namespace: Some(namespace.to_owned()),
            engine: engine.to_owned(),
            serves: true,
            first: true,
            socket_dir: namespace.join(STATE_DIR),
            stop: Arc::default(),
        })
    }

    /// A container with nothing of this machine in it, for the user of this process, or for nobody where that is root.
    pub fn alone(settings: Settings, engine: &str, socket_dir: &Path) -> Spec {
        let own = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Spec {
            user: settings.user.unwrap_or(owner_or_nobody(own)),
            settings,
            namespace: None,
            engine: engine.to_owned(),
            serves: false,
            first: false,
            socket_dir: socket_dir.to_owned(),
            stop: Arc::default(),
        }
    }
}

/// Nobody, by number, on every Linux.
const NOBODY: (u32, u32) = (65534, 65534);

fn owner_or_nobody(owner: (u32, u32)) -> (u32, u32) {
    if owner.0 == 0 { NOBODY } else { owner }
}

/// A program for a container.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables besides those of the image.
    pub env: Vec<(String, String)>,
    /// What all its processes have in `WOOF_TRIGGER`, when they have.
    pub trigger: Option<String>,
    /// Its address space, in bytes; `None` for the default.
    pub memory: Option<u64>,
}

/// What makes containers.
pub trait Engine: Send + Sync {
    /// Makes one, starts it and waits until its agent is there; gives it and the connection to its agent.
    ///
    /// # Errors
    /// When no engine answers, there is no such image, or it does not start.
    fn start(&self, spec: &Spec) -> Result<(Box<dyn Made>, OwnedFd)>;

    /// Removes what servers of a namespace left, in whatever state it is.
    fn remove_left(&self, address: &str, namespace: &Path);
}

/// A container that an engine made.
pub trait Made: Send + Sync {
    /// Its name at the engine.
    fn name(&self) -> &str;

    /// Removes it.
    fn remove(&self);
}

/// For programs that make no containers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEngine;

impl Engine for NoEngine {
    fn start(&self, spec: &Spec) -> Result<(Box<dyn Made>, OwnedFd)> {
        Err(Error::new(Code::Unsupported, &*spec.settings.image, "this program makes no containers"))
    }

    fn remove_left(&self, _address: &str, _namespace: &Path) {}
}

/// A container that runs, with an agent that takes orders. Dropped, it is removed.
pub struct Container {
    control: OwnedFd,
    /// Whether the namespace is in it.
    dir: &'static str,
    made: Box<dyn Made>,
}

impl Container {
    /// Starts one and waits until its agent is there.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start(engine: &dyn Engine, spec: &Spec) -> Result<Container> {
        let (made, control) = engine.start(spec)?;
        let dir = if spec.namespace.is_some() { NAMESPACE } else { "/tmp" };
        Ok(Container { control, dir, made })
    }

    /// Its name at the engine.
    pub fn name(&self) -> &str {
        self.made.name()
    }

    /// Whether its agent is there.
    pub fn is_there(&self) -> bool {
        let mut polled = [PollFd::new(&self.control, PollFlags::empty())];
        let now = rustix::event::Timespec::default();
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().is_empty()
    }

    /// Starts a program with its standard input, output and error.
    ///
    /// # Errors
    /// [`Code::Removed`] when the container has ended, and what else keeps it from being started.
    pub fn run(self: &Arc<Container>, program: &Program, io: [OwnedFd; 3]) -> Result<Remote> {
        self.run_in(self.dir, program, io)
    }

    /// As [`Container::run`], in a directory of the container: the namespace that is its `WOOF_NAMESPACE`.
    ///
    /// # Errors
    /// As [`Container::run`].
    pub fn run_in(self: &Arc<Container>, dir: &str, program: &Program, io: [OwnedFd; 3]) -> Result<Remote> {
        let named = |err: std::io::Error| {
            Error::io(program.argv.first().map_or("", String::as_str), "start in the container", err)
        };
        let (own, theirs) = order::pair().map_err(named)?;
        let order = Order {
            argv: program.argv.clone(),
            env: program.env.clone(),
            dir: dir.to_owned(),
            memory: program.memory.unwrap_or(HANDLER_MEMORY),
            trigger: program.trigger.clone(),
        };
        let gone = || Error::new(Code::Removed, "", "the container has ended");
        let [stdin, stdout, stderr] = io;
        order::send_order(&self.control, &order, &[stdin, stdout, stderr, theirs]).map_err(|err| {
            let has_gone = matches!(err.raw_os_error(), Some(code) if code == rustix::io::Errno::PIPE.raw_os_error()
                || code == rustix::io::Errno::CONNRESET.raw_os_error());
            if has_gone { gone() } else { named(err) }
        })?;
        Ok(Remote { end: own, ended: false, _container: Arc::clone(self) })
    }
}

impl Container {
    /// Removes it, with all that runs in it.
    pub fn remove(&self) {
        self.made.remove();
        // Its agent ends with that, if the engine did not answer.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A program that runs in a container. Dropped, it is killed.
pub struct Remote {
    end: OwnedFd,
    ended: bool,
    _container: Arc<Container>,
}

impl Remote {
    /// A descriptor that is readable once it has ended.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Waits for its end and takes how it ended.
    pub fn end(&mut self) -> Ended {
        self.ended = true;
        order::take_answer(&self.end)
    }

    /// Kills it with all that came of it, and waits until it is gone.
    pub fn kill(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // The agent sees that nobody waits any more, and lets go of its end when all is killed.
        let _ = rustix::net::shutdown(&self.end, rustix::net::Shutdown::Write);
        let mut polled = [PollFd::new(&self.end, PollFlags::IN)];
        let _ = woof_core::sys::poll_for(&mut polled, Some(KILLED));
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.kill();
    }
}
