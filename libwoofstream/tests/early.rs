//! A second connection of a process resumes the session of the first, and its request is answered before the handshake is complete.

#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use libwoofstream::client::{Dialer, Patience, Remote};
use libwoofstream::keys::{ClientKeys, ServerKeys, ServerOptions, Store, own_names};
use libwoofstream::name::Address;
use libwoofstream::server::{Limits, Listener, Server, Site};
use libwoofstream::space::{Create, Space as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_resumed_session_is_served_before_its_handshake_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("keys"));
    store.init("test").unwrap();
    store.add("carol", &[], 1, false).unwrap();

    let root = dir.path().join("srv");
    std::fs::create_dir_all(root.join(".woof")).unwrap();
    std::fs::write(root.join(".woof/access"), "owner carol\n").unwrap();
    let site = Site::open(&root, Limits::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = listener.local_addr().unwrap();
    let options =
        ServerOptions { host: None, names: own_names(&[bound]), early_data_max: 16 << 10, sessions: 64 };
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
    let remote = Remote::new(dial, address, patience);

    let early = || {
        let text = site.metrics().render();
        let line = text.lines().find(|line| line.starts_with("woofstream_connections_early_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    remote.create("temp", &Create::default()).unwrap();
    assert_eq!(early(), 0);
    remote.put("temp", None).unwrap().put(&mut [&b"21.5"[..]].into_iter(), &mut |_| {}).unwrap();
    for _ in 0..3 {
        assert_eq!(remote.stat("temp").unwrap().text("type"), Some("woof"));
    }
    assert!(early() >= 3, "{}", site.metrics().render());
    // What must not be done twice waits for the handshake, also in a resumed session.
    let before = early();
    remote.remove("temp").unwrap();
    assert_eq!(early(), before);

    server.stop();
    running.join().unwrap().unwrap();
}
