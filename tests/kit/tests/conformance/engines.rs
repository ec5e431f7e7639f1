//! The engines that the suite runs over.

use libwoofstream::client::{Dialer, Patience, Remote};
use libwoofstream::content::ContentType;
use libwoofstream::error::{Code, Error};
use libwoofstream::handler::container::NoEngine;
use libwoofstream::handler::{RunOptions, Runners};
use libwoofstream::keys::{ClientKeys, ServerKeys, ServerOptions, Store, own_names};
use libwoofstream::log::Options;
use libwoofstream::name::Address;
use libwoofstream::server::{Limits, Listener, Server, Site};
use libwoofstream::space::{Create, Local, Put, Space, Spaces, Table, Told};
use libwoofstream::sys::users;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// An engine with a namespace `farm` in it, which has a directory for handlers.
pub(crate) struct Engine {
    space: Box<dyn Space + Send + Sync>,
    /// What the name of the namespace begins with, for this engine.
    root: String,
    /// Where the namespace is on this machine.
    farm: PathBuf,
    server: Option<Serving>,
    _dir: woof_kit::TempDir,
}

/// A server in this process.
struct Serving {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Before its directory.
        self.server.take();
    }
}

impl Engine {
    pub(crate) fn space(&self) -> &(dyn Space + Send + Sync) {
        &*self.space
    }

    /// What something in the namespace is called.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// The namespace.
    pub(crate) fn farm(&self) -> String {
        self.root.trim_end_matches('/').to_owned()
    }

    /// Where something in the namespace is on this machine.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.farm.join(name)
    }

    /// Makes a woof and gives its name.
    pub(crate) fn woof(&self, name: &str, content: ContentType, history: u64) -> String {
        let name = self.name(name);
        let options = Options { content, history, ..Options::default() };
        self.space.create(&name, &Create { options, ..Create::default() }).unwrap();
        name
    }

    /// Puts text and waits until it is known what became of it.
    pub(crate) fn put(&self, name: &str, texts: &[&str]) -> Vec<Told> {
        let mut put = self.space.put(name, None).unwrap();
        put_all(&mut *put, texts)
    }
}

/// Puts text and waits until it is known what became of it.
pub(crate) fn put_all(put: &mut dyn Put, texts: &[&str]) -> Vec<Told> {
    let mut told = Vec::new();
    put.put(&mut texts.iter().map(|text| text.as_bytes()), &mut |what| told.push(what)).unwrap();
    put.settle(&mut |what| told.push(what)).unwrap();
    told
}

/// A directory with the namespace.
fn place() -> (woof_kit::TempDir, PathBuf) {
    let dir = woof_kit::tempdir().unwrap();
    let farm = dir.path().join("srv/farm");
    Local::default().create_namespace(farm.to_str().unwrap()).unwrap();
    (dir, farm)
}

pub(crate) fn local() -> Engine {
    let (dir, farm) = place();
    let root = format!("{}/", farm.display());
    Engine { space: Box::new(Local::default()), root, farm, server: None, _dir: dir }
}

/// Has a server run in this process.
fn serve(farm: &Path, listener: Listener) -> Serving {
    let site = Site::open(farm.parent().unwrap(), Limits::default()).unwrap();
    site.run_handlers(Arc::new(Runners::new(RunOptions::new("/usr/bin:/bin"), Arc::new(NoEngine))));
    let server = Server::new(site);
    let running = Arc::clone(&server);
    let thread = std::thread::spawn(move || running.run(vec![listener], || {}).unwrap());
    Serving { server, thread: Some(thread) }
}

fn patience() -> Patience {
    Patience { timeout: woof_kit::LIMIT, wait: None, notify: Arc::new(|_| {}) }
}

pub(crate) fn unix() -> Engine {
    let (dir, farm) = place();
    std::fs::create_dir_all(farm.parent().unwrap().join(".woof")).unwrap();
    let socket = farm.parent().unwrap().join(".woof/server.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = serve(&farm, Listener::Unix(listener));
    let address = Address::parse(&format!("{}/", farm.display())).unwrap();
    let root = format!("{}/", address.path);
    let space = Remote::new(Arc::new(Dialer::new(None, false)), address, patience());
    let root = root.replace("//", "/");
    Engine { space: Box::new(space), root, farm, server: Some(server), _dir: dir }
}

pub(crate) fn tls() -> Engine {
    let (dir, farm) = place();
    let keys = dir.path().join("keys");
    let store = Store::open(keys.clone());
    store.init("test").unwrap();
    // Whoever has the name of a directory's owner is its owner, also of what is made in it.
    let owner = users::user_name(rustix::process::geteuid().as_raw()).unwrap();
    store.add(&owner, &[], 1, false).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = listener.local_addr().unwrap();
    let options = ServerOptions {
        host: None,
        names: own_names(&[bound]),
        early_data_max: 16 << 10,
        sessions: 64,
        remember: None,
    };
    let server_keys = Arc::new(ServerKeys::new(store, options).unwrap());
    let server = serve(&farm, Listener::Tls(listener, server_keys));
    let client_keys = ClientKeys::new(Store::open(keys), Some(owner), None);
    let address = Address::parse(&format!("localhost:{}/", bound.port())).unwrap();
    let space = Remote::new(Arc::new(Dialer::new(Some(Arc::new(client_keys)), false)), address, patience());
    Engine { space: Box::new(space), root: "farm/".to_owned(), farm, server: Some(server), _dir: dir }
}

/// All names of a user whose name table has one prefix.
fn spaces(table: String) -> Spaces {
    let nobody = |address: &Address| Err(Error::new(Code::Unsupported, address.server(), "no servers here"));
    Spaces::new(Local::default(), Box::new(move || Table::parse(&table)), Box::new(nobody))
}

pub(crate) fn prefix() -> Engine {
    let (dir, farm) = place();
    let space = spaces(format!("far \"{}\"", farm.display()));
    Engine { space: Box::new(space), root: "far/".to_owned(), farm, server: None, _dir: dir }
}

pub(crate) fn union() -> Engine {
    let (dir, farm) = place();
    let other = dir.path().join("other");
    Local::default().create_namespace(other.to_str().unwrap()).unwrap();
    let space = spaces(format!("both \"{}\" \"{}\"", farm.display(), other.display()));
    Engine { space: Box::new(space), root: "both/".to_owned(), farm, server: None, _dir: dir }
}

/// A limit for what is waited for.
pub(crate) const LIMIT: Duration = woof_kit::LIMIT;
