//! Carrying identities to other machines.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

fn away(lab: &Lab) -> Store {
    Store::open(lab.dir.path().join("away"))
}

#[test]
fn an_identity_works_where_it_was_carried_to() {
    let lab = Lab::new();
    let away = away(&lab);
    let taken = away.import(lab.store.export(Some("alice")).unwrap().as_bytes()).unwrap().unwrap();
    assert_eq!((taken.kind, taken.name.as_str()), (Kind::User, "alice"));
    let mode = away.path(Kind::User, "alice").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let client = ClientKeys::new(away.clone(), None, None).config().unwrap();
    Pair::new(client, lab.server().config(), "edge7").run().good();
    // It can be carried on, but not made there.
    assert_eq!(away.export(Some("alice")).unwrap(), lab.store.export(Some("alice")).unwrap());
    let err = away.add("bob", &[], 1, false).unwrap_err();
    assert_eq!(err.text(), "the key of the authority is not here: do it where wkey init was done");
    assert!(!away.dir().join("authority.key").exists());
}

#[test]
fn revocation_is_carried_and_never_taken_back() {
    let lab = Lab::new();
    let away = away(&lab);
    let old = lab.store.export(None).unwrap();
    assert!(!old.contains("PRIVATE KEY"));
    assert_eq!(away.import(old.as_bytes()).unwrap(), None);
    let serial = lab.store.revoke("alice").unwrap();
    away.import(lab.store.export(None).unwrap().as_bytes()).unwrap();
    away.import(old.as_bytes()).unwrap();
    let revoked = away.revoked(&away.authority().unwrap()).unwrap();
    assert_eq!(revoked.serials.keys().collect::<Vec<_>>(), [&serial]);
}

#[test]
fn a_store_keeps_its_authority() {
    let (lab, other) = (Lab::new(), Lab::new());
    let err = lab.store.import(other.store.export(Some("alice")).unwrap().as_bytes()).unwrap_err();
    assert!(err.text().starts_with("has the authority lab "), "{err}");
    assert!(err.text().ends_with(": give it a directory of its own"), "{err}");
    assert_eq!(err.code(), Code::Exists);
}

#[test]
fn what_is_no_bundle_is_refused_and_nothing_is_written() {
    let (lab, other) = (Lab::new(), Lab::new());
    let public = lab.store.export(None).unwrap();
    let alice = lab.store.export(Some("alice")).unwrap();
    let edge7 = lab.store.export(Some("edge7")).unwrap();
    let theirs = other.store.export(Some("alice")).unwrap();
    let part = |text: &str, label: &str, index: usize| {
        let begin = format!("-----BEGIN {label}-----");
        let start = text.match_indices(&begin).nth(index).unwrap().0;
        let end = format!("-----END {label}-----\n");
        let stop = start + text[start..].find(&end).unwrap() + end.len();
        text[start..stop].to_owned()
    };
    let (cert, key) = (part(&alice, "CERTIFICATE", 1), part(&alice, "PRIVATE KEY", 0));
    let list = part(&alice, "X509 CRL", 0);
    for (bundle, why) in [
        (String::new(), "there is no authority in it"),
        ("rubbish\n".to_owned(), "there is no authority in it"),
        (cert.clone() + &list, "there is no authority in it"),
        (part(&public, "CERTIFICATE", 0), "there is not one list of revoked certificates in it"),
        (public.clone() + &cert, "there is not one key to one certificate in it"),
        (public.clone() + &key, "there is not one key to one certificate in it"),
        (public.clone() + &cert + &cert + &key, "there is more than one authority or certificate in it"),
        (public.clone() + &cert + &part(&edge7, "PRIVATE KEY", 0), "the key is not that of the certificate"),
        (
            public.clone() + &part(&theirs, "CERTIFICATE", 1) + &part(&theirs, "PRIVATE KEY", 0),
            "the authority did not sign the certificate",
        ),
        (
            part(&public, "CERTIFICATE", 0) + &part(&theirs, "X509 CRL", 0),
            "not a list of revoked certificates: the authority did not sign it",
        ),
    ] {
        let away = away(&lab);
        let err = away.import(bundle.as_bytes()).unwrap_err();
        assert_eq!(err.to_string(), format!("not what wkey export writes: {why}"));
        assert!(!away.dir().exists(), "{why}");
    }
    let err = away(&lab).import(std::io::repeat(b'x')).unwrap_err();
    assert_eq!((err.to_string().as_str(), err.code()), ("larger than 4194304 bytes", Code::TooLarge));
    let err = lab.store.export(Some("bob")).unwrap_err();
    assert_eq!(err.to_string(), "bob: no such user or host here (wkey show lists them)");
}
