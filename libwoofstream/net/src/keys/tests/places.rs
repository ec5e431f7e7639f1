//! Stores that others could change, and lists of what is revoked that are older than those before.

use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// What a client, a server and `wkey` say of a store: all that is wrong with it.
fn said(lab: &Lab) -> Vec<String> {
    let mut said = Vec::new();
    said.extend(lab.client().config().err());
    said.extend(ServerKeys::new(lab.store.clone(), Lab::options()).err());
    said.extend(lab.store.add("bob", &[], 1, true).err());
    said.extend(lab.store.export(Some("alice")).err());
    match lab.store.list() {
        Err(err) => said.push(err),
        Ok(entries) => said.extend(entries.into_iter().filter_map(Result::err)),
    }
    said.into_iter().map(|err| err.to_string()).collect()
}

#[test]
fn a_store_that_others_could_write_to_is_refused_with_what_mends_it() {
    let lab = Lab::new();
    let dir = lab.store.dir().display().to_string();
    for (file, mode, how, cure) in [
        ("", 0o775, "key directory", "is writable by others (mode 0775): chmod go-w"),
        ("", 0o707, "key directory", "is writable by others (mode 0707): chmod go-w"),
        ("", 0o1777, "key directory", "is writable by others (mode 1777): chmod go-w"),
        ("/users", 0o777, "key directory", "is writable by others (mode 0777): chmod go-w"),
        ("/users", 0o720, "key directory", "is writable by others (mode 0720): chmod go-w"),
        ("/hosts", 0o702, "key directory", "is writable by others (mode 0702): chmod go-w"),
        ("/authority.pem", 0o666, "key file", "is writable by others (mode 0666): chmod go-w"),
        ("/authority.pem", 0o620, "key file", "is writable by others (mode 0620): chmod go-w"),
        ("/revoked.pem", 0o664, "key file", "is writable by others (mode 0664): chmod go-w"),
        ("/revoked.pem", 0o602, "key file", "is writable by others (mode 0602): chmod go-w"),
        ("/authority.key", 0o640, "key file", "is readable by others (mode 0640): chmod 600"),
        ("/authority.key", 0o602, "key file", "is writable by others (mode 0602): chmod 600"),
        ("/users/alice.pem", 0o604, "key file", "is readable by others (mode 0604): chmod 600"),
        ("/users/alice.pem", 0o620, "key file", "is writable by others (mode 0620): chmod 600"),
        ("/hosts/edge7.pem", 0o622, "key file", "is writable by others (mode 0622): chmod 600"),
    ] {
        let path = format!("{dir}{file}");
        let before = Path::new(&path).metadata().unwrap().permissions();
        set_mode(Path::new(&path), mode);
        let said = said(&lab);
        let expected = format!("{how} {path} {cure} {path}");
        assert!(!said.is_empty() && said.iter().all(|said| *said == expected), "{expected}: {said:?}");
        std::fs::set_permissions(&path, before).unwrap();
        assert_eq!(super::places::said(&lab), [""; 0], "mended: {path}");
    }
    // Where the store is, somebody could put another one in its place; not where names stay with whoever they are of.
    set_mode(lab.dir.path(), 0o777);
    let above = lab.dir.path().display().to_string();
    let expected = format!(
        "the directory of the key directory, {above} is writable by others (mode 0777): chmod go-w {above}"
    );
    let refused = said(&lab);
    assert!(refused.len() >= 4 && refused.iter().all(|said| *said == expected), "{refused:?}");
    set_mode(lab.dir.path(), 0o1777);
    assert_eq!(said(&lab), [""; 0]);
    set_mode(lab.dir.path(), 0o700);
}

#[test]
fn a_store_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return woof_kit::skip("only root can give files away");
    }
    let lab = Lab::new();
    for file in [
        "",
        "users",
        "hosts",
        "authority.pem",
        "authority.key",
        "revoked.pem",
        "users/alice.pem",
        "hosts/edge7.pem",
    ] {
        let path = if file.is_empty() { lab.store.dir().to_owned() } else { lab.store.dir().join(file) };
        std::os::unix::fs::chown(&path, Some(4321), None).unwrap();
        let said = said(&lab);
        let path = path.display();
        let expected = format!("{path} belongs to user 4321, who can change it: chown 0 {path}");
        assert!(
            !said.is_empty() && said.iter().all(|said| said.ends_with(&expected)),
            "{expected}: {said:?}"
        );
        std::os::unix::fs::chown(path.to_string(), Some(0), None).unwrap();
        assert_eq!(super::places::said(&lab), [""; 0]);
    }
}

#[test]
fn links_in_a_store_are_not_followed_and_one_to_a_store_is() {
    let lab = Lab::new();
    let dir = lab.store.dir();
    for (file, what) in [
        ("users", "directory"),
        ("hosts", "directory"),
        ("authority.pem", "file"),
        ("revoked.pem", "file"),
        ("users/alice.pem", "file"),
    ] {
        let (path, moved) = (dir.join(file), lab.dir.path().join("moved"));
        std::fs::rename(&path, &moved).unwrap();
        symlink(&moved, &path).unwrap();
        let said = said(&lab);
        let expected = format!(
            "key {what} {} is a symbolic link, which is not followed: put there what it leads to",
            path.display()
        );
        assert!(!said.is_empty() && said.contains(&expected), "{expected}: {said:?}");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&moved, &path).unwrap();
    }
    symlink("keys", lab.dir.path().join("link")).unwrap();
    assert!(Store::open(lab.dir.path().join("link")).list().is_ok());
}

/// A server that keeps the newest list.
fn remembering(lab: &Lab) -> Result<ServerKeys, Error> {
    let remember = Some(lab.dir.path().join("newest.pem"));
    ServerKeys::new(lab.store.clone(), ServerOptions { remember, ..Lab::options() })
}

#[test]
fn what_was_revoked_stays_so_whatever_list_is_put_back() {
    let lab = Lab::new();
    lab.store.add("bob", &[], 1, false).unwrap();
    let path = lab.store.revoked_path();
    let oldest = std::fs::read(&path).unwrap();
    let serial = |name: &str| lab.store.certificate(Kind::User, name).unwrap().0.serial;
    let (alice, bob) = (serial("alice"), serial("bob"));
    let keys = remembering(&lab).unwrap();
    lab.store.revoke("alice").unwrap();
    assert!(keys.reload().unwrap());
    assert!(keys.is_revoked(&alice) && !keys.is_revoked(&bob));
    // As it was before.
    std::fs::write(&path, &oldest).unwrap();
    assert!(keys.reload().unwrap());
    assert!(keys.is_revoked(&alice));
    // The next one after that has a number that was there, and not the same in it.
    lab.store.revoke("bob").unwrap();
    assert!(keys.reload().unwrap());
    assert!(keys.is_revoked(&alice) && keys.is_revoked(&bob));
    drop(keys);
    // So it is after a restart, as far as the newest list goes.
    std::fs::write(&path, &oldest).unwrap();
    let keys = remembering(&lab).unwrap();
    assert!(keys.is_revoked(&alice));
    // In the handshake as well.
    let keys_of_alice = lab.store.certificate(Kind::User, "alice").unwrap();
    let client = lab.client_of(Some((keys_of_alice.1, keys_of_alice.2)));
    let errors = Pair::new(client, keys.config(), "edge7").run().errors();
    assert_eq!(errors.1, "the certificate of the client is revoked");
    // A list of another authority, or none, says nothing of this one's.
    for other in [std::fs::read(Lab::new().store.revoked_path()).unwrap(), b"rubbish".to_vec()] {
        std::fs::write(lab.dir.path().join("newest.pem"), other).unwrap();
        assert!(!remembering(&lab).unwrap().is_revoked(&alice));
    }
    assert!(!lab.server().is_revoked(&alice));
}
