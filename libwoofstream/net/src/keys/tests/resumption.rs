//! Resumed sessions: early data carries the identity, and revocation holds for them too.

use super::*;

/// A connection with early data in its first flight: what the server read of it before the handshake was over.
fn early(client: &Arc<ClientConfig>, server: Arc<ServerConfig>) -> (Pair, Option<Vec<u8>>) {
    let mut pair = Pair::new(client.clone(), server, "edge7");
    if let Some(mut early) = pair.client.early_data() {
        early.write_all(b"get farm/temp").unwrap();
    }
    let mut first = Vec::new();
    pair.client.write_tls(&mut first).unwrap();
    while pair.client.wants_write() {
        pair.client.write_tls(&mut first).unwrap();
    }
    feed_server(&mut pair.server, &first).unwrap();
    let data = pair.server.early_data().map(|mut early| {
        let mut data = Vec::new();
        early.read_to_end(&mut data).unwrap();
        data
    });
    (pair, data)
}

#[test]
fn early_data_of_a_resumed_session_carries_the_identity() {
    let lab = Lab::new();
    let (keys, client) = (lab.server(), lab.client().config().unwrap());
    let (pair, data) = early(&client, keys.config());
    assert_eq!(data, None, "there is no session yet");
    pair.run().good();

    let (pair, data) = early(&client, keys.config());
    assert_eq!(data.as_deref(), Some(&b"get farm/temp"[..]));
    // Before the handshake is over the server knows who it is.
    let admitted = keys.admit(pair.server.peer_certificates()).unwrap();
    assert_eq!(admitted.peer.user.as_deref(), Some("alice"));
    let pair = pair.run().good();
    assert!(pair.client.is_early_data_accepted());
    assert_eq!(keys.admit(pair.server.peer_certificates()).unwrap().peer.groups, ["ops", "night"]);
}

#[test]
fn a_recorded_first_flight_is_not_taken_twice() {
    let lab = Lab::new();
    let (keys, client) = (lab.server(), lab.client().config().unwrap());
    Pair::new(client.clone(), keys.config(), "edge7").run().good();
    let mut pair = Pair::new(client, keys.config(), "edge7");
    pair.client.early_data().unwrap().write_all(b"put farm/temp 1").unwrap();
    let mut flight = Vec::new();
    while pair.client.wants_write() {
        pair.client.write_tls(&mut flight).unwrap();
    }
    let taken = [(); 2].map(|()| {
        let mut server = ServerConnection::new(keys.config()).unwrap();
        feed_server(&mut server, &flight).unwrap();
        server.early_data().is_some()
    });
    assert_eq!(taken, [true, false]);
}

#[test]
fn an_identity_that_was_revoked_meanwhile_is_refused_on_resumption() {
    let lab = Lab::new();
    let (keys, client) = (lab.server(), lab.client().config().unwrap());
    let pair = Pair::new(client.clone(), keys.config(), "edge7").run().good();
    let open = keys.admit(pair.server.peer_certificates()).unwrap();
    assert!(!keys.is_revoked(&open.serial));

    assert_eq!(lab.store.revoke("alice").unwrap(), open.serial);
    assert!(keys.reload().unwrap());
    // The connection that is open, the session that is resumed, and a new one.
    assert!(keys.is_revoked(&open.serial));
    let (pair, data) = early(&client, keys.config());
    assert!(data.is_some(), "the session is resumed");
    let err = keys.admit(pair.server.peer_certificates()).unwrap_err();
    assert_eq!(
        (err.to_string().as_str(), err.code()),
        ("the certificate of user alice is revoked", Code::Denied)
    );
    let err = lab.client().config().unwrap_err();
    assert_eq!(err.to_string(), "the certificate of user alice is revoked");
}

#[test]
fn sessions_outlast_a_reload_and_not_a_change_of_the_authority() {
    let lab = Lab::new();
    let (keys, client) = (lab.server(), lab.client().config().unwrap());
    Pair::new(client.clone(), keys.config(), "edge7").run().good();
    lab.store.host(&["edge8".to_owned()], 1, false).unwrap();
    assert!(keys.reload().unwrap());
    assert!(early(&client, keys.config()).1.is_some());

    // Another authority in the same place.
    let other = Lab::new();
    std::fs::rename(lab.store.dir(), lab.dir.path().join("old")).unwrap();
    std::fs::rename(other.store.dir(), lab.store.dir()).unwrap();
    assert!(keys.reload().unwrap());
    assert!(early(&client, keys.config()).1.is_none());
}

#[test]
fn a_client_keeps_its_configuration_until_its_files_change() {
    let lab = Lab::new();
    let keys = lab.client();
    let first = keys.config().unwrap();
    assert!(Arc::ptr_eq(&first, &keys.config().unwrap()));
    lab.store.add("alice", &[], 1, true).unwrap();
    assert!(!Arc::ptr_eq(&first, &keys.config().unwrap()));
}
