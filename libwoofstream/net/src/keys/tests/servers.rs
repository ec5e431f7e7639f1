//! Which certificate a server shows, which identity a client, and both when files change under them.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

fn auto(names: &[&str]) -> ServerOptions {
    ServerOptions {
        host: None,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Lab::options()
    }
}

#[test]
fn where_the_authority_is_a_server_makes_its_own_certificate() {
    let lab = Lab::new();
    let keys = ServerKeys::new(lab.store.clone(), auto(&["localhost", "127.0.0.1", "::1"])).unwrap();
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        Pair::new(lab.client().config().unwrap(), keys.config(), name).run().good();
    }
    assert_eq!(lab.store.names(Kind::Host).unwrap(), ["edge7"], "nothing was stored");
}

#[test]
fn elsewhere_it_needs_one_host() {
    let (lab, away) = (Lab::new(), woof_kit::tempdir().unwrap());
    let away = Store::open(away.path().join("keys"));
    away.import(lab.store.export(None).unwrap().as_bytes()).unwrap();
    let refusal = |away: &Store| ServerKeys::new(away.clone(), auto(&[])).unwrap_err();
    assert_eq!(
        refusal(&away).text(),
        "no certificate for this host: make it with wkey host where the authority is, then wkey export and import"
    );
    away.import(lab.store.export(Some("edge7")).unwrap().as_bytes()).unwrap();
    let keys = ServerKeys::new(away.clone(), auto(&[])).unwrap();
    Pair::new(lab.client().config().unwrap(), keys.config(), "edge7").run().good();

    lab.store.host(&["edge8".to_owned()], 1, false).unwrap();
    away.import(lab.store.export(Some("edge8")).unwrap().as_bytes()).unwrap();
    assert_eq!(
        refusal(&away).text(),
        "certificates for several hosts, and none was chosen (--host): edge7, edge8"
    );
    let options = ServerOptions { host: Some("edge9".to_owned()), ..auto(&[]) };
    let err = ServerKeys::new(away, options).unwrap_err();
    assert_eq!(err.to_string(), "host/edge9: no such user or host here (wkey show lists them)");
}

#[test]
fn a_new_list_is_in_force_without_a_restart() {
    let lab = Lab::new();
    let (keys, client) = (lab.server(), lab.client().config().unwrap());
    assert!(!keys.reload().unwrap());
    lab.store.revoke("user/alice").unwrap();
    assert!(keys.reload().unwrap());
    assert!(!keys.reload().unwrap());
    let pair = Pair::new(client, keys.config(), "edge7").run();
    assert_eq!(pair.errors().1, "the certificate of the client is revoked");
}

#[test]
fn files_that_became_unreadable_change_nothing() {
    let lab = Lab::new();
    let (keys, client) = (lab.server(), lab.client().config().unwrap());
    let path = lab.store.revoked_path();
    let list = std::fs::read(&path).unwrap();
    for _ in 0..2 {
        std::fs::write(&path, "rubbish").unwrap();
        let err = keys.reload().unwrap_err();
        assert_eq!(err.text(), "there is no list of revoked certificates in it");
        Pair::new(client.clone(), keys.config(), "edge7").run().good();
    }
    // A list of another authority is no list.
    std::fs::write(&path, std::fs::read(Lab::new().store.revoked_path()).unwrap()).unwrap();
    assert_eq!(
        keys.reload().unwrap_err().text(),
        "not a list of revoked certificates: the authority did not sign it"
    );
    std::fs::write(&path, list).unwrap();
    assert!(keys.reload().unwrap());
    Pair::new(lab.client().config().unwrap(), keys.config(), "edge7").run().good();
}

#[test]
fn a_host_certificate_that_nobody_would_accept_is_refused_at_the_start() {
    let lab = Lab::new();
    lab.store.revoke("edge7").unwrap();
    let err = ServerKeys::new(lab.store.clone(), Lab::options()).unwrap_err();
    assert_eq!(err.to_string(), "the certificate of host edge7 is revoked");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let lab = Lab::new();
    for (path, mode) in
        [(lab.store.path(Kind::Host, "edge7"), 0o644), (lab.store.path(Kind::User, "alice"), 0o640)]
    {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let shown = path.display();
        let expected = format!("key file {shown} is readable by others (mode {mode:04o}): chmod 600 {shown}");
        let err = match mode {
            0o644 => ServerKeys::new(lab.store.clone(), Lab::options()).unwrap_err(),
            _ => lab.client().config().unwrap_err(),
        };
        assert_eq!((err.to_string(), err.code()), (expected, Code::Denied));
    }
    let path = lab.store.dir().join("authority.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
    let err = lab.store.add("bob", &[], 1, false).unwrap_err();
    assert!(err.to_string().starts_with("key file "), "{err}");
}

#[test]
fn the_identity_is_the_named_one_or_of_the_login_name_or_the_only_one() {
    let lab = Lab::new();
    let identity = |named: Option<&str>, login: Option<&str>| {
        ClientKeys::new(lab.store.clone(), named.map(str::to_owned), login.map(str::to_owned)).identity()
    };
    assert_eq!(identity(None, Some("root")).unwrap(), "alice");
    assert_eq!(
        identity(Some("bob"), None).unwrap_err().to_string(),
        "bob: no such identity: there are alice"
    );
    lab.store.add("bob", &[], 1, false).unwrap();
    assert_eq!(identity(None, Some("bob")).unwrap(), "bob");
    assert_eq!(identity(Some("alice"), Some("bob")).unwrap(), "alice");
    assert_eq!(
        identity(None, Some("root")).unwrap_err().text(),
        "several identities, and none was chosen: alice, bob"
    );
    let empty = ClientKeys::new(Store::open(lab.dir.path().join("none")), None, None);
    let expected = "no identity here: wkey add makes one where the authority is, wkey import takes it in";
    assert_eq!(empty.identity().unwrap_err().text(), expected);
    assert!(empty.config().unwrap_err().text().starts_with("no keys here: wkey init makes an authority"));
}

#[test]
fn strangers_certificates_are_not_admitted() {
    let lab = Lab::new();
    let keys = lab.server();
    assert_eq!(keys.admit(None).unwrap_err().to_string(), "no certificate was given");
    assert_eq!(keys.admit(Some(&[])).unwrap_err().to_string(), "no certificate was given");
    let rubbish = [b"rubbish".as_slice().into()];
    assert_eq!(keys.admit(Some(&rubbish)).unwrap_err().code(), Code::Invalid);
    let (_, host, _) = lab.store.certificate(Kind::Host, "edge7").unwrap();
    let err = keys.admit(Some(&[host.into()])).unwrap_err();
    assert_eq!(err.to_string(), "the certificate is one of a host, not of a user");
    let authority = lab.store.authority().unwrap();
    let made = lab.store.signer(&authority).unwrap().user("bob", &[], terms(-2, -1)).unwrap();
    let err = keys.admit(Some(&[made.der.into()])).unwrap_err();
    assert!(err.to_string().starts_with("the certificate of user bob expired at 20"), "{err}");
}

#[test]
fn own_names_are_those_a_client_on_this_machine_or_another_would_use() {
    let names = own_names(&["10.1.2.3:7144".parse().unwrap()]);
    assert_eq!(names[0], "localhost");
    for name in ["127.0.0.1", "::1", "10.1.2.3"] {
        assert!(names.iter().any(|have| have == name), "{name}: {names:?}");
    }
    let all = own_names(&["0.0.0.0:7144".parse().unwrap()]);
    assert!(!all.iter().any(|name| name == "0.0.0.0"), "{all:?}");
    let lab = Lab::new();
    ServerKeys::new(lab.store.clone(), ServerOptions { host: None, names: all, ..Lab::options() }).unwrap();
}
