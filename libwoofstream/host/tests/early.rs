//! A second connection of a process resumes the session of the first, and its request is answered before the handshake is complete.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use libwoofstream::client::{Dial, Dialer, Patience, Remote, Transport, Waited};
use libwoofstream::error::Result;
use libwoofstream::keys::{ClientKeys, ServerKeys, ServerOptions, Store, own_names};
use libwoofstream::name::Address;
use libwoofstream::server::{Limits, Listener, Server, Site};
use libwoofstream::space::{Create, Space as _, Stop};
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn a_resumed_session_is_served_before_its_handshake_is_complete() {
    let dir = woof_kit::tempdir().unwrap();
    let store = Store::open(dir.path().join("keys"));
    store.init("test").unwrap();
    store.add("carol", &[], 1, false).unwrap();

    let root = dir.path().join("srv");
    std::fs::create_dir_all(root.join(".woof")).unwrap();
    std::fs::write(root.join(".woof/access"), "owner carol\n").unwrap();
    let site = Site::open(&root, Limits::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = listener.local_addr().unwrap();
    let options = ServerOptions {
        host: None,
        names: own_names(&[bound]),
        early_data_max: 16 << 10,
        sessions: 64,
        remember: None,
    };
    let keys = Arc::new(ServerKeys::new(store, options).unwrap());
    let server = Server::new(Arc::clone(&site));
    let running = {
        let server = Arc::clone(&server);
        std::thread::spawn(move || server.run(vec![Listener::Tls(listener, keys)], || {}))
    };

    let keys = ClientKeys::new(Store::open(dir.path().join("keys")), Some("carol".to_owned()), None);
    let dial = Arc::new(Dialer::new(Some(Arc::new(keys)), false));
    let patience = Patience { timeout: Duration::from_secs(30), wait: None, notify: Arc::new(|_| {}) };
    let address = Address::parse(&format!("localhost:{}", bound.port())).unwrap();
    // Each has connections of its own, and the sessions of all.
    let new = || Remote::new(dial.clone(), address.clone(), patience.clone());
    let remote = new();

    let early = || {
        let text = site.metrics().render();
        let line = text.lines().find(|line| line.starts_with("woofstream_connections_early_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    remote.create("temp", &Create::default()).unwrap();
    assert_eq!(early(), 0);
    let mut put = remote.put("temp", None).unwrap();
    put.put(&mut [&b"21.5"[..]].into_iter(), &mut |_| {}).unwrap();
    put.settle(&mut |_| {}).unwrap();
    assert_eq!(early(), 1);
    for number in 2..4 {
        assert_eq!(new().stat("temp").unwrap().text("type"), Some("woof"));
        assert_eq!(early(), number);
    }
    server.stop();
    running.join().unwrap().unwrap();
}

/// A connection that takes everything, early or not, and ends.
struct Taking(Arc<Mutex<Vec<u8>>>);

impl Transport for Taking {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn write_early(&mut self, bytes: &[u8]) -> usize {
        self.0.lock().unwrap().extend_from_slice(bytes);
        bytes.len()
    }
    fn wait(&mut self, _: bool, _: Option<Duration>, _: Option<&Stop>) -> io::Result<Waited> {
        Ok(Waited::Ready)
    }
}

impl Dial for Taking {
    fn dial(&self, _: &Address, _: Duration) -> Result<Box<dyn Transport>> {
        Ok(Box::new(Taking(Arc::clone(&self.0))))
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn pause(&self, _: Duration, _: &Stop) -> bool {
        true
    }
    fn random(&self) -> u64 {
        7
    }
}

#[test]
fn only_what_may_come_twice_travels_before_the_handshake_is_complete() {
    let early = Arc::new(Mutex::new(Vec::new()));
    let patience = Patience { timeout: Duration::from_secs(1), wait: None, notify: Arc::new(|_| {}) };
    let address = Address::parse("localhost").unwrap();
    let remote = Remote::new(Arc::new(Taking(Arc::clone(&early))), address, patience);
    remote.remove("temp").unwrap_err();
    remote.create("temp", &Create::default()).unwrap_err();
    remote.create_namespace("farm").unwrap_err();
    assert!(early.lock().unwrap().is_empty());
    remote.stat("temp").unwrap_err();
    let sent = early.lock().unwrap().clone();
    assert!(sent.starts_with(b"\x89WOOC\r\n\x01") && sent.windows(4).any(|word| word == b"stat"));
}
