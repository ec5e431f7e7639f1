//! What a store keeps, and what it refuses.

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use woof_core::sys;

fn listed(store: &Store) -> Vec<(String, String, &'static str)> {
    let entries = store.list().unwrap().into_iter().map(|entry| {
        let entry = entry.unwrap();
        let certificate = &entry.certificate;
        (certificate.kind.as_str().to_owned(), certificate.name.clone(), entry.state(cert::now()))
    });
    entries.collect()
}

#[test]
fn what_was_made_is_listed_with_all_it_says() {
    let lab = Lab::new();
    lab.store.add("zoë", &[], 10, false).unwrap();
    let entries = lab.store.list().unwrap().into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    let names: Vec<_> =
        entries.iter().map(|entry| (entry.certificate.kind, entry.certificate.name.as_str())).collect();
    let authority = &entries[0].certificate.name;
    assert!(authority.starts_with("lab ") && authority.len() == 12, "{authority}");
    assert_eq!(names[1..], [(Kind::User, "alice"), (Kind::User, "zoë"), (Kind::Host, "edge7")]);
    assert_eq!(entries[1].certificate.groups, ["ops", "night"]);
    assert_eq!(entries[3].certificate.hosts, ["edge7", "10.0.0.7"]);
    let days = |entry: &Entry| (entry.certificate.not_after - cert::now() + 43_200) / 86_400;
    assert_eq!(entries.iter().map(days).collect::<Vec<_>>(), [3650, 365, 10, 365]);
}

#[test]
fn nobody_else_can_read_a_key_from_the_moment_it_is_there() {
    let lab = Lab::new();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let dir = lab.store.dir();
    for (path, expected) in [
        (dir.to_owned(), 0o700),
        (dir.join("authority.key"), 0o600),
        (dir.join("users/alice.pem"), 0o600),
        (dir.join("hosts/edge7.pem"), 0o600),
        (dir.join("authority.pem"), 0o644),
        (dir.join("revoked.pem"), 0o644),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[test]
fn a_second_authority_is_refused() {
    let lab = Lab::new();
    let before = std::fs::read(lab.store.authority_path()).unwrap();
    let err = lab.store.init("other").unwrap_err();
    assert_eq!((err.text(), err.code()), ("there is an authority already", Code::Exists));
    assert_eq!(std::fs::read(lab.store.authority_path()).unwrap(), before);
}

#[test]
fn one_certificate_of_a_name_is_valid_at_a_time() {
    let lab = Lab::new();
    let old = lab.store.certificate(Kind::User, "alice").unwrap().0;
    let err = lab.store.add("alice", &[], 1, false).unwrap_err();
    assert!(err.to_string().starts_with("user alice: has a certificate already, until 20"), "{err}");
    assert!(err.to_string().ends_with("Z: --replace revokes it and makes a new one"), "{err}");
    lab.store.add("alice", &[], 1, true).unwrap();
    let revoked = lab.store.revoked(&lab.store.authority().unwrap()).unwrap();
    assert_eq!(revoked.serials.keys().collect::<Vec<_>>(), [&old.serial]);
    assert_eq!(revoked.number, 2);
    // What is revoked is in nobody's way.
    lab.store.revoke("alice").unwrap();
    lab.store.add("alice", &["ops".to_owned()], 1, false).unwrap();
    assert_eq!(lab.store.certificate(Kind::User, "alice").unwrap().0.groups, ["ops"]);
}

#[test]
fn a_certificate_is_revoked_by_name_or_by_number_once() {
    let lab = Lab::new();
    lab.store.add("edge7", &[], 1, false).unwrap();
    let err = lab.store.revoke("edge7").unwrap_err();
    assert_eq!(err.to_string(), "edge7: both a user and a host: say user/edge7 or host/edge7");
    lab.store.revoke("host/edge7").unwrap();
    let serial = lab.store.certificate(Kind::User, "alice").unwrap().0.serial;
    lab.store.revoke(&serial.to_string()).unwrap();
    assert_eq!(lab.store.revoke("alice").unwrap_err().to_string(), "alice: revoked already");
    let err = lab.store.revoke("../users/edge7").unwrap_err();
    assert_eq!(err.to_string(), "../users/edge7: no such user or host here (wkey show lists them)");
    let states: Vec<_> = listed(&lab.store).into_iter().skip(1).collect();
    let entry = |kind: &str, name: &str, state| (kind.to_owned(), name.to_owned(), state);
    assert_eq!(
        states,
        [
            entry("user", "alice", "revoked"),
            entry("user", "edge7", "valid"),
            entry("host", "edge7", "revoked")
        ]
    );
}

#[test]
fn names_that_cannot_be_are_refused() {
    let lab = Lab::new();
    for (user, expected) in [
        ("", "user \"\": a name is not empty"),
        ("../x", "user \"../x\": a name has no blanks, slashes or control characters"),
        ("a b", "user \"a b\": a name has no blanks, slashes or control characters"),
        (".alice", "user \".alice\": a name does not begin with \".\", \"-\" or \"#\""),
    ] {
        assert_eq!(lab.store.add(user, &[], 1, false).unwrap_err().to_string(), expected);
    }
    for host in ["", "../x", "a b", "*", "edge7:7144", "woof://edge7"] {
        let err = lab.store.host(&[host.to_owned()], 1, false).unwrap_err();
        assert_eq!(err.to_string(), format!("{host:?}: not the name or address of a host"));
    }
    let err = lab.store.add("bob", &[], 0, false).unwrap_err();
    assert_eq!(err.to_string(), "0 days: a certificate is valid for 1 to 36500 days");
    let groups = vec!["g".to_owned(); 65];
    assert_eq!(lab.store.add("bob", &groups, 1, false).unwrap_err().code(), Code::TooLarge);
}

#[test]
fn nothing_outlives_the_authority() {
    let lab = Lab::new();
    lab.store.add("bob", &[], 36_500, false).unwrap();
    let authority = Certificate::read(&lab.store.authority().unwrap()).unwrap();
    assert_eq!(lab.store.certificate(Kind::User, "bob").unwrap().0.not_after, authority.not_after);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_in_its_place() {
    let lab = Lab::new();
    let path = lab.store.path(Kind::User, "bob");
    sys::replace(&path, b"rubbish", 0o600).unwrap();
    let entries = lab.store.list().unwrap();
    let err = entries[2].as_ref().unwrap_err();
    assert_eq!(err.to_string(), format!("{}: there is no certificate in it", path.display()));
    assert_eq!(entries.len(), 4);
    // A host's certificate in the place of a user's is not the user's.
    let host = std::fs::read(lab.store.path(Kind::Host, "edge7")).unwrap();
    sys::replace(&path, &host, 0o600).unwrap();
    assert_eq!(lab.store.list().unwrap()[2].as_ref().unwrap_err().text(), "the certificate is one of a host");
    let alice = std::fs::read(lab.store.path(Kind::User, "alice")).unwrap();
    sys::replace(&path, &alice, 0o600).unwrap();
    assert_eq!(lab.store.list().unwrap()[2].as_ref().unwrap_err().text(), "the certificate is that of alice");
}

#[test]
fn two_who_change_a_store_at_once_lose_nothing() {
    let lab = Lab::new();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = &lab.store;
            scope.spawn(move || {
                for index in 0..4 {
                    let user = format!("u{thread}-{index}");
                    store.add(&user, &[], 1, false).unwrap();
                    store.revoke(&user).unwrap();
                }
            });
        }
    });
    let revoked = lab.store.revoked(&lab.store.authority().unwrap()).unwrap();
    assert_eq!((revoked.serials.len(), revoked.number), (12, 13));
}

#[test]
fn an_authority_that_expired_makes_and_serves_nothing() {
    let lab = Lab::new();
    let made = issue::authority("old", terms(-20, -10)).unwrap();
    let list = issue::Authority::new(&made.der, &made.key).unwrap().revoke(&Default::default());
    assert!(list.is_err(), "a list cannot end before it begins");
    sys::replace(&lab.store.authority_path(), made.cert.as_bytes(), 0o644).unwrap();
    sys::replace(&lab.store.dir().join("authority.key"), made.key.as_bytes(), 0o600).unwrap();
    for err in [
        lab.store.add("bob", &[], 1, false).unwrap_err(),
        lab.client().config().unwrap_err(),
        ServerKeys::new(lab.store.clone(), Lab::options()).unwrap_err(),
    ] {
        assert!(err.text().starts_with("the certificate of authority old expired at 20"), "{err}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_a_stranger_sends_as_a_certificate_is_read_or_refused(
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..8),
        len in proptest::option::of(proptest::prelude::any::<proptest::sample::Index>()),
    ) {
        static DER: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut der = DER.get_or_init(|| Lab::new().store.certificate(Kind::User, "alice").unwrap().1).clone();
        for (at, byte) in changes {
            let at = at.index(der.len());
            der[at] = byte;
        }
        if let Some(len) = len {
            der.truncate(len.index(der.len()));
        }
        if let Err(err) = Certificate::read(&der) {
            proptest::prop_assert_eq!(err.code(), Code::Invalid);
        }
    }
}
