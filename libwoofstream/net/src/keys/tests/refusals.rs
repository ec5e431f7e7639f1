//! Each reason for which one end refuses the other, and what both then say.

use super::*;

/// What the client says and what the server says.
fn said(client: Arc<ClientConfig>, server: Arc<ServerConfig>, name: &str) -> (String, String) {
    Pair::new(client, server, name).run().errors()
}

#[test]
fn an_expired_certificate_is_refused_by_either_end_with_its_time() {
    let lab = Lab::new();
    let expired = terms(-20, -10);
    let (client, server) = said(lab.client_with(expired), lab.server().config(), "edge7");
    assert!(server.starts_with("the certificate of the client expired at 20"), "{server}");
    assert!(server.contains("Z, and it is 20") && server.ends_with('Z'), "{server}");
    let at_this_time =
        "the server says that our certificate is not valid at this time: it expired, or a clock is wrong";
    assert_eq!(client, at_this_time);

    let server = lab.server_with(&["edge7"], expired);
    let (client, server) = said(lab.client().config().unwrap(), server, "edge7");
    assert!(client.starts_with("the certificate of the server expired at 20"), "{client}");
    assert_eq!(server, at_this_time.replace("server", "client"));
}

#[test]
fn a_certificate_of_tomorrow_is_refused_by_either_end_with_its_time() {
    let lab = Lab::new();
    let (_, server) = said(lab.client_with(terms(1, 2)), lab.server().config(), "edge7");
    assert!(server.starts_with("the certificate of the client is not valid before 20"), "{server}");
    assert!(server.ends_with(": is the clock right"), "{server}");
    let config = lab.server_with(&["edge7"], terms(1, 2));
    let (client, _) = said(lab.client().config().unwrap(), config, "edge7");
    assert!(client.starts_with("the certificate of the server is not valid before 20"), "{client}");
}

#[test]
fn a_server_of_another_name_is_refused_with_both_names() {
    let lab = Lab::new();
    let config = lab.server_with(&["edge-7.lan", "10.0.0.7"], terms(-1, 1));
    for (name, expected) in [
        ("edge7", "certificate is for \"edge-7.lan\", \"10.0.0.7\", not \"edge7\""),
        ("10.0.0.8", "certificate is for \"edge-7.lan\", \"10.0.0.7\", not \"10.0.0.8\""),
        ("[::1]", "certificate is for \"edge-7.lan\", \"10.0.0.7\", not \"::1\""),
        ("edge-7.lan", ""),
        ("10.0.0.7", ""),
    ] {
        assert_eq!(said(lab.client().config().unwrap(), config.clone(), name).0, expected, "{name}");
    }
}

#[test]
fn an_authority_that_is_not_ours_is_refused_by_either_end() {
    let (lab, other) = (Lab::new(), Lab::new());
    // The client knows the server's authority, and has an identity of another one.
    let (_, der, key) = other.store.certificate(Kind::User, "alice").unwrap();
    let (client, server) = said(lab.client_of(Some((der, key))), lab.server().config(), "edge7");
    assert_eq!(server, "the authority of the certificate of the client is not ours");
    assert_eq!(client, "the server says that the authority of our certificate is not its own");

    let (client, server) = said(lab.client().config().unwrap(), other.server().config(), "edge7");
    assert_eq!(client, "the authority of the certificate of the server is not ours");
    assert_eq!(server, "the client says that the authority of our certificate is not its own");
}

#[test]
fn a_revoked_certificate_is_refused_by_either_end() {
    let lab = Lab::new();
    let client = lab.client().config().unwrap();
    lab.store.revoke("alice").unwrap();
    let (client, server) = said(client, lab.server().config(), "edge7");
    assert_eq!(server, "the certificate of the client is revoked");
    assert_eq!(client, "the server says that our certificate is revoked");

    let lab = Lab::new();
    let server = lab.server().config();
    lab.store.revoke("edge7").unwrap();
    let (client, _) = said(lab.client().config().unwrap(), server, "edge7");
    assert_eq!(client, "the certificate of the server is revoked");
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let lab = Lab::new();
    let (client, server) = said(lab.client_of(None), lab.server().config(), "edge7");
    assert_eq!(server, "the client gave no certificate");
    assert_eq!(client, "the server asks for a certificate and none was given: wkey add");
}

#[test]
fn a_certificate_for_the_other_end_is_refused() {
    let lab = Lab::new();
    let (_, der, key) = lab.store.certificate(Kind::Host, "edge7").unwrap();
    let (client, server) = said(lab.client_of(Some((der, key))), lab.server().config(), "edge7");
    assert_eq!(server, "the certificate of the client is not one for a user: wkey add");
    assert_eq!(client, "the server does not accept our certificate");
}

#[test]
fn another_protocol_inside_tls_is_refused() {
    let lab = Lab::new();
    let mut client = (*lab.client().config().unwrap()).clone();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let (client, server) = said(Arc::new(client), lab.server().config(), "edge7");
    assert_eq!(server, "the client does not speak woof/1");
    assert_eq!(client, "the server does not speak woof/1");
}

/// A `ClientHello` as a client of TLS 1.2 sends it: one suite, and no extension that names versions.
const HELLO_1_2: &[u8] = &[
    0x16, 3, 1, 0, 73, 1, 0, 0, 69, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
    20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 26, 0, 10, 0, 4, 0, 2,
    0, 0x17, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3, 0, 0x17, 0, 0,
];

#[test]
fn tls_1_2_is_refused_by_name() {
    let mut server = ServerConnection::new(Lab::new().server().config()).unwrap();
    let err = feed_server(&mut server, HELLO_1_2).unwrap_err();
    assert_eq!(err.to_string(), "the client does not speak TLS 1.3, and older versions are not spoken here");
    assert_eq!(err.code(), Code::Unsupported);
    // And the client is told: alert, fatal, protocol version.
    let mut answer = Vec::new();
    server.write_tls(&mut answer).unwrap();
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 70]);

    let lab = Lab::new();
    let mut client =
        ClientConnection::new(lab.client().config().unwrap(), server_name("edge7").unwrap()).unwrap();
    client.write_tls(&mut std::io::sink()).unwrap();
    let err = feed_client(&mut client, &answer).unwrap_err();
    assert_eq!(err.to_string(), "the server does not speak TLS 1.3, and older versions are not spoken here");
}

#[test]
fn plain_text_is_refused_by_name() {
    let lab = Lab::new();
    for text in ["GET / HTTP/1.1\r\nHost: edge7\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "woof, woof, woof"] {
        let mut server = ServerConnection::new(lab.server().config()).unwrap();
        let err = feed_server(&mut server, text.as_bytes()).unwrap_err();
        assert_eq!(err.to_string(), "not TLS: plain text, or something else, on the TLS port", "{text}");
        let config = lab.client().config().unwrap();
        let mut client = ClientConnection::new(config, server_name("edge7").unwrap()).unwrap();
        client.write_tls(&mut std::io::sink()).unwrap();
        let err = feed_client(&mut client, text.as_bytes()).unwrap_err();
        assert_eq!(err.to_string(), "the answer is not TLS: is this the server's TLS port", "{text}");
    }
}

#[test]
fn failures_of_tls_are_found_inside_those_of_the_system() {
    let inner = rustls::Error::NoCertificatesPresented;
    let err = explain_io(std::io::Error::new(std::io::ErrorKind::InvalidData, inner), "read", Us::Server);
    assert_eq!(err.to_string(), "the client gave no certificate");
    let err = explain_io(std::io::Error::from_raw_os_error(104), "read", Us::Client);
    assert_eq!(err.to_string(), "read: connection reset by peer");
}
