//! Keys and TLS: stores in directories of their own, and both ends of TLS in one process, without sockets.

mod bundles;
mod places;
mod refusals;
mod resumption;
mod servers;
mod stores;

use super::cert::{self, Kind};
use super::issue::Terms;
use super::*;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use woof_core::error::{Code, Error};

/// A store with an authority, the user alice of the groups ops and night, and the host edge7.
pub(super) struct Lab {
    pub(super) dir: woof_kit::TempDir,
    pub(super) store: Store,
}

impl Lab {
    pub(super) fn new() -> Lab {
        let dir = woof_kit::tempdir().unwrap();
        let store = Store::open(dir.path().join("keys"));
        store.init("lab").unwrap();
        store.add("alice", &["ops".to_owned(), "night".to_owned()], 365, false).unwrap();
        store.host(&["edge7".to_owned(), "10.0.0.7".to_owned()], 365, false).unwrap();
        Lab { dir, store }
    }

    pub(super) fn options() -> ServerOptions {
        ServerOptions {
            host: Some("edge7".to_owned()),
            names: Vec::new(),
            early_data_max: 4096,
            sessions: 16,
            remember: None,
        }
    }

    pub(super) fn server(&self) -> ServerKeys {
        ServerKeys::new(self.store.clone(), Lab::options()).unwrap()
    }

    pub(super) fn client(&self) -> ClientKeys {
        ClientKeys::new(self.store.clone(), Some("alice".to_owned()), None)
    }

    /// The configuration of a server with a certificate of these terms.
    pub(super) fn server_with(&self, names: &[&str], terms: Terms) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let authority = self.store.authority().unwrap();
        let made = self.store.signer(&authority).unwrap().host(&names, terms).unwrap();
        let key = files::Pem::parse(made.key.as_bytes()).unwrap().key().unwrap();
        let sessions = rustls::server::ServerSessionMemoryCache::new(1);
        let list = self.store.revoked_der().unwrap();
        Arc::new(server::config(&authority, &list, made.der, key, 0, sessions).unwrap())
    }

    /// The configuration of a client with a certificate of these terms.
    pub(super) fn client_with(&self, terms: Terms) -> Arc<ClientConfig> {
        let authority = self.store.authority().unwrap();
        let made = self.store.signer(&authority).unwrap().user("bob", &[], terms).unwrap();
        let key = files::Pem::parse(made.key.as_bytes()).unwrap().key().unwrap();
        self.client_of(Some((made.der, key)))
    }

    /// The configuration of a client with this certificate and key, or without.
    pub(super) fn client_of(&self, identity: Option<(Vec<u8>, Vec<u8>)>) -> Arc<ClientConfig> {
        let authority = self.store.authority().unwrap();
        Arc::new(client::config(&authority, &self.store.revoked_der().unwrap(), identity).unwrap())
    }
}

/// From so many days from now to so many.
pub(super) fn terms(from: i64, to: i64) -> Terms {
    Terms { not_before: cert::now() + from * 86_400, not_after: cert::now() + to * 86_400 }
}

/// Both ends of a connection, and what each found wrong.
pub(super) struct Pair {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
    pub(super) client_error: Option<Error>,
    pub(super) server_error: Option<Error>,
}

impl Pair {
    pub(super) fn new(client: Arc<ClientConfig>, server: Arc<ServerConfig>, name: &str) -> Pair {
        Pair {
            client: ClientConnection::new(client, server_name(name).unwrap()).unwrap(),
            server: ServerConnection::new(server).unwrap(),
            client_error: None,
            server_error: None,
        }
    }

    /// Carries bytes between the two until there are none.
    pub(super) fn run(mut self) -> Pair {
        loop {
            let mut to_server = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut to_server).unwrap();
            }
            let mut to_client = Vec::new();
            if !to_server.is_empty() && self.server_error.is_none() {
                self.server_error = feed_server(&mut self.server, &to_server).err();
            }
            while self.server.wants_write() {
                self.server.write_tls(&mut to_client).unwrap();
            }
            if !to_client.is_empty() && self.client_error.is_none() {
                self.client_error = feed_client(&mut self.client, &to_client).err();
            }
            if to_server.is_empty() && to_client.is_empty() {
                return self;
            }
        }
    }

    /// Asserts that both ends are content.
    #[track_caller]
    pub(super) fn good(self) -> Pair {
        assert!(self.client_error.is_none(), "{:?}", self.client_error);
        assert!(self.server_error.is_none(), "{:?}", self.server_error);
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        self
    }

    /// What each end says; an empty text where it is content.
    pub(super) fn errors(&self) -> (String, String) {
        let text = |err: &Option<Error>| err.as_ref().map(Error::to_string).unwrap_or_default();
        (text(&self.client_error), text(&self.server_error))
    }
}

pub(super) fn feed_server(server: &mut ServerConnection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets().map_err(|err| explain(&err, Us::Server))?;
    }
    Ok(())
}

pub(super) fn feed_client(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets().map_err(|err| explain(&err, Us::Client))?;
    }
    Ok(())
}

#[test]
fn both_ends_know_each_other_and_carry_data() {
    let lab = Lab::new();
    let keys = lab.server();
    let mut pair = Pair::new(lab.client().config().unwrap(), keys.config(), "edge7").run().good();
    assert_eq!(pair.client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!((pair.client.alpn_protocol(), pair.server.alpn_protocol()), (Some(ALPN), Some(ALPN)));
    let admitted = keys.admit(pair.server.peer_certificates()).unwrap();
    assert_eq!(
        admitted.peer,
        woof_core::access::Peer::tls("alice", vec!["ops".to_owned(), "night".to_owned()])
    );
    pair.client.writer().write_all(b"put").unwrap();
    let mut pair = pair.run().good();
    let mut data = [0; 3];
    pair.server.reader().read_exact(&mut data).unwrap();
    assert_eq!(&data, b"put");
}
