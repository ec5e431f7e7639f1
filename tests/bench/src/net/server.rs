//! A `wserve` with keys of its own, and clients of it: the commands, and the library.
//!
//! Failure contract: a server that does not listen after some seconds is an error with what it said. Dropped, it ends.

use crate::Result;
use crate::place::Place;
use libwoofstream::client::{Dial, Dialer, Patience, Remote};
use libwoofstream::keys::{ClientKeys, ServerKeys, ServerOptions, Store};
use libwoofstream::log::{self, Options, Woof};
use libwoofstream::name::Address;
use libwoofstream::sys::users;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long connecting may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The namespace that is served, in the directory that is served.
const NAMESPACE: &str = "bench";

/// Keys of one authority, one user and the servers of this machine, in a directory of their own.
pub(crate) struct Keys {
    dir: PathBuf,
    user: String,
}

impl Keys {
    pub(crate) fn new(dir: &Path) -> Result<Keys> {
        let user = users::user_name(rustix::process::geteuid().as_raw())
            .ok_or("the user who runs this has no name")?;
        let keys = Keys { dir: dir.to_owned(), user };
        if !dir.exists() {
            keys.store().init("bench")?;
            keys.store().add(&keys.user, &[], 30, false)?;
        }
        Ok(keys)
    }

    fn store(&self) -> Store {
        Store::open(&self.dir)
    }

    /// What a client is known by, for connections whose sessions are resumed among each other.
    pub(crate) fn client(&self) -> Arc<ClientKeys> {
        Arc::new(ClientKeys::new(self.store(), None, Some(self.user.clone())))
    }

    /// What a server on this address is known by.
    pub(crate) fn server(&self, address: Ipv4Addr) -> Result<ServerKeys> {
        let options = ServerOptions {
            host: None,
            names: vec![address.to_string()],
            early_data_max: 0,
            sessions: 8,
            remember: None,
        };
        Ok(ServerKeys::new(self.store(), options)?)
    }
}

/// A server that runs.
pub(crate) struct Server {
    process: Child,
    dir: PathBuf,
    keys: Keys,
    address: Ipv4Addr,
    port: u16,
}

impl Server {
    /// Starts one on a port of loopback, in a directory called `name`.
    pub(crate) fn start(place: &Place, name: &str) -> Result<Server> {
        // Nobody else here asks for a port in the moment between.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server =
            Server::start_with(place, name, (Ipv4Addr::LOCALHOST, port), |command| Ok(command.spawn()?))?;
        for _ in 0..1_000 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.process.try_wait()? {
                let said = fs::read_to_string(server.dir.join("said")).unwrap_or_default();
                return Err(format!("wserve: ended with {status}: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("wserve: does not listen after 10 s".into())
    }

    /// Starts one that listens on this address once it is ready, wherever `spawn` does that.
    pub(crate) fn start_with(
        place: &Place,
        name: &str,
        (address, port): (Ipv4Addr, u16),
        spawn: impl FnOnce(&mut Command) -> Result<Child>,
    ) -> Result<Server> {
        let dir = place.path(name);
        fs::create_dir_all(dir.join("served").join(NAMESPACE))?;
        let keys = Keys::new(&dir.join("keys"))?;
        let mut command = place.command("wserve");
        command.arg(dir.join("served")).arg("--listen").arg(format!("{address}:{port}"));
        command.arg("--keys").arg(dir.join("keys")).stderr(File::create(dir.join("said"))?);
        let process = spawn(&mut command)?;
        Ok(Server { process, dir, keys, address, port })
    }

    /// Makes a woof that is served, in the place of one that may be there, and opens it.
    pub(crate) fn woof(&self, name: &str, options: &Options) -> Result<Woof> {
        let path = self.path(name);
        log::reset(&path, options)?;
        Ok(log::open(&path)?)
    }

    /// Where a woof is on this machine.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join("served").join(NAMESPACE).join(name)
    }

    /// What a woof is called within the server.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{NAMESPACE}/{name}")
    }

    /// What commands call a woof.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("woof://{}:{}/{NAMESPACE}/{name}", self.address, self.port)
    }

    /// One of our commands, with the keys to reach the server.
    pub(crate) fn command(&self, place: &Place, name: &str) -> Command {
        let mut command = place.command(name);
        command.env("WOOF_KEYS", self.dir.join("keys"));
        // Those of whom runs this are none of our business.
        command.env_remove("WOOF_IDENTITY").env_remove("WOOF_INSECURE").env("WOOF_NAMES", "");
        command
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Makes connections with new keys, so that none of its sessions is resumed but its own.
    pub(crate) fn dialer(&self) -> Arc<dyn Dial> {
        Arc::new(Dialer::new(Some(self.keys.client()), false))
    }

    /// The server, as the library sees it.
    pub(crate) fn remote(&self, dial: Arc<dyn Dial>) -> Result<Remote> {
        let address = Address::parse(&format!("{}:{}/", self.address, self.port))?;
        Ok(Remote::new(dial, address, Patience { timeout: TIMEOUT, wait: None, notify: Arc::new(|_| ()) }))
    }

    /// Bytes of it that are resident, what it has mapped of woofs included.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends nothing of what a command prints anywhere, and fails unless the command does well.
pub(crate) fn done(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", command.get_program().display()).into())
    }
}
