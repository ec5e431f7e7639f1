//! Access lists: what they give, to whom, and what they refuse.

use super::*;
use crate::limits::ACCESS_MAX;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const LIST: &str = "# who may what\n\nowner carol # since May\nuser alice read put # the sensor\ngroup ops read remove\nany read\n";

fn alice() -> Peer {
    Peer::tls("alice", vec!["ops".to_owned()])
}

fn unix(uid: u32, user: &str) -> Peer {
    Peer { user: Some(user.to_owned()), uid: Some(uid), how: How::Unix, ..Peer::unknown() }
}

fn namespace(list: Option<&str>) -> woof_kit::TempDir {
    let dir = woof_kit::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".woof")).unwrap();
    if let Some(list) = list {
        std::fs::write(dir.path().join(".woof/access"), list).unwrap();
    }
    dir
}

fn refusal(dir: &Path, peer: &Peer) -> String {
    AccessList::load(dir).unwrap().check(peer, Right::Read).unwrap_err().to_string()
}

#[test]
fn a_peer_has_what_its_user_its_groups_and_any_are_given() {
    let list = AccessList::parse(LIST).unwrap();
    assert_eq!(list.rights(&alice()).to_string(), "read put remove");
    assert_eq!(list.rights(&Peer::tls("bob", vec![])).to_string(), "read");
    assert_eq!(list.rights(&Peer::tls("carol", vec![])).to_string(), "read put create remove trigger admin");
    assert_eq!(list.rights(&unix(1000, "alice")).to_string(), "read put");
    assert_eq!(list.rights(&Peer::unknown()).to_string(), "none");
    let open = AccessList::parse("any read\nanonymous put\n").unwrap();
    assert_eq!(open.rights(&Peer::unknown()).to_string(), "put");
}

#[test]
fn each_right_is_refused_by_its_name_when_it_is_missing() {
    for right in Right::ALL {
        let others: Rights = Right::ALL.into_iter().filter(|other| *other != right).collect();
        let list = AccessList::parse(&format!("user alice {others}")).unwrap();
        for other in others.iter() {
            list.check(&alice(), other).unwrap();
        }
        let err = list.check(&alice(), right).unwrap_err();
        assert_eq!(err.code(), Code::Denied);
        let expected =
            format!("user alice has no right to {right} (rights: {others}); the owner grants it with wattr");
        assert_eq!(err.to_string(), expected);
    }
    let err = AccessList::default().check(&Peer::unknown(), Right::Put).unwrap_err();
    let expected = "this connection has no right to put (rights: none); the owner grants it with wattr";
    assert_eq!(err.to_string(), expected);
}

#[test]
fn without_a_list_only_the_owner_may() {
    let list = AccessList::default().owned_by(Some(1000), Some("alice".to_owned()));
    for peer in [unix(1000, "alice"), unix(0, "root"), Peer::tls("alice", vec![])] {
        assert_eq!(list.rights(&peer), Rights::all(), "{peer}");
    }
    // On the socket it is the number that counts, and a certificate for root is not the system's root.
    let strangers =
        [unix(1001, "alice"), Peer::tls("root", vec![]), Peer::tls("bob", vec!["alice".to_owned()])];
    for peer in strangers {
        assert_eq!(list.rights(&peer), Rights::NONE, "{peer}");
    }
}

#[test]
fn a_named_owner_takes_the_place_of_the_login_name() {
    let list = AccessList::parse("owner carol").unwrap().owned_by(Some(1000), Some("alice".to_owned()));
    assert!(list.is_owner(&Peer::tls("carol", vec![])));
    assert!(!list.is_owner(&Peer::tls("alice", vec![])));
    assert!(list.is_owner(&unix(1000, "alice")));
    assert!(!list.is_owner(&unix(1001, "carol")));
}

#[test]
fn an_owner_of_whom_nothing_is_known_is_nobody() {
    let list = AccessList::default();
    let nameless = Peer { how: How::Tls, ..Peer::unknown() };
    let numberless = Peer { how: How::Unix, ..Peer::unknown() };
    assert!(!list.is_owner(&nameless) && !list.is_owner(&numberless));
}

#[test]
fn mistakes_name_their_line() {
    for (text, expected) in [
        (
            "any read\nuser alice red",
            "line 2: \"red\": not a right: read, put, create, remove, trigger, admin or all",
        ),
        (
            "users alice read",
            "line 1: \"users\": not whom a rule can be about: user NAME, group NAME, any or anonymous",
        ),
        ("\n\nuser", "line 3: user: missing name"),
        ("any", "line 1: any: missing rights"),
        ("user alice # read", "line 1: user alice: missing rights"),
        ("owner", "line 1: owner: missing name"),
        ("owner a b", "line 1: \"b\": one word too many"),
        ("owner a\nowner a", "line 2: a second owner: there can be one"),
        ("user ../a read", "line 1: user \"../a\": a name has no blanks, slashes or control characters"),
    ] {
        let err = AccessList::parse(text).unwrap_err();
        assert_eq!((err.to_string().as_str(), err.code()), (expected, Code::Invalid), "{text}");
    }
    let long = "a".repeat(65);
    let err = AccessList::parse(&format!("user {long} read")).unwrap_err();
    assert_eq!(err.to_string(), "line 1: user: the name is 65 bytes long, the limit is 64");
}

#[test]
fn a_broken_list_refuses_everybody_but_the_owner_and_says_why() {
    let dir = namespace(Some("any read\nuser alice reed\n"));
    let expected = "user alice has no right to read: only the owner has, since .woof/access: line 2: \"reed\": not a right: \
                    read, put, create, remove, trigger, admin or all";
    assert_eq!(refusal(dir.path(), &alice()), expected);
    assert!(AccessList::load(dir.path()).unwrap().is_owner(&unix(0, "root")));
    let change = Change::parse(["grant", "any", "put"]).unwrap();
    let err = AccessList::update(dir.path(), &change).unwrap_err();
    assert!(err.to_string().starts_with("not changed, mend it first: .woof/access: line 2: "), "{err}");
    assert_eq!(
        std::fs::read_to_string(dir.path().join(".woof/access")).unwrap(),
        "any read\nuser alice reed\n"
    );
}

#[test]
fn a_broken_list_that_names_one_owner_keeps_that_one() {
    for (text, owner) in [
        ("owner carol\nany reed", Some("carol")),
        ("any reed\nowner carol # since May", Some("carol")),
        ("owner carol\nowner dave", None),
        ("owner\nany read", None),
    ] {
        let dir = namespace(Some(text));
        let list = AccessList::load(dir.path()).unwrap();
        assert!(list.fault().is_some(), "{text}");
        assert_eq!(list.owner(), owner, "{text}");
        assert_eq!(list.is_owner(&Peer::tls("carol", vec![])), owner.is_some(), "{text}");
        assert_eq!(list.rights(&alice()), Rights::NONE, "{text}");
    }
}

#[test]
fn what_is_no_plain_text_file_gives_no_rights() {
    let dir = namespace(None);
    let path = dir.path().join(".woof/access");
    let since = "user alice has no right to read: only the owner has, since .woof/access: ";

    std::fs::write(dir.path().join("elsewhere"), "any read").unwrap();
    std::os::unix::fs::symlink("../elsewhere", &path).unwrap();
    assert_eq!(refusal(dir.path(), &alice()), format!("{since}a symbolic link, and not a file"));

    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(refusal(dir.path(), &alice()), format!("{since}not a file"));

    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, b"any read # \xff").unwrap();
    assert_eq!(refusal(dir.path(), &alice()), format!("{since}not UTF-8 at byte 12"));

    let file = std::fs::File::create(&path).unwrap();
    file.set_len(ACCESS_MAX + 1).unwrap();
    assert_eq!(refusal(dir.path(), &alice()), format!("{since}larger than 1048576 bytes"));
}

#[test]
fn changes_are_made_where_they_belong_and_the_rest_stays() {
    let dir = namespace(Some(LIST));
    for (change, expected) in [
        (
            "grant user alice trigger",
            "# who may what\n\nowner carol # since May\nuser alice read put trigger # the sensor\ngroup ops read remove\nany read\n",
        ),
        (
            "revoke group ops remove",
            "# who may what\n\nowner carol # since May\nuser alice read put trigger # the sensor\ngroup ops read\nany read\n",
        ),
        ("revoke user alice", "# who may what\n\nowner carol # since May\ngroup ops read\nany read\n"),
        ("revoke any read put", "# who may what\n\nowner carol # since May\ngroup ops read\n"),
        (
            "grant user dave all",
            "# who may what\n\nowner carol # since May\ngroup ops read\nuser dave read put create remove trigger admin\n",
        ),
        ("owner", "# who may what\n\ngroup ops read\nuser dave read put create remove trigger admin\n"),
        (
            "owner erin",
            "# who may what\n\nowner erin\ngroup ops read\nuser dave read put create remove trigger admin\n",
        ),
    ] {
        let list = AccessList::update(dir.path(), &Change::parse(change.split(' ')).unwrap()).unwrap();
        assert_eq!(list.to_string(), expected, "{change}");
        assert_eq!(AccessList::load(dir.path()).unwrap(), list, "{change}");
    }
    let mode = dir.path().join(".woof/access").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
}

#[test]
fn two_who_change_a_list_at_once_lose_nothing() {
    let dir = namespace(None);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = dir.path();
            scope.spawn(move || {
                for index in 0..10 {
                    let change = format!("grant user u{thread}-{index} read");
                    AccessList::update(path, &Change::parse(change.split(' ')).unwrap()).unwrap();
                }
            });
        }
    });
    assert_eq!(AccessList::load(dir.path()).unwrap().rules().count(), 40);
}

#[test]
fn a_change_reads_back_from_its_text() {
    for text in
        ["grant user alice read put", "revoke group ops admin", "grant any read", "owner alice", "owner"]
    {
        assert_eq!(Change::parse(text.split(' ')).unwrap().to_string(), text);
    }
    for (text, expected) in [
        ("", "\"\": not a change of an access list: grant, revoke or owner"),
        (
            "grant user alice",
            "grant user alice: missing rights: read, put, create, remove, trigger, admin or all",
        ),
        (
            "grant alice read",
            "\"alice\": not whom a rule can be about: user NAME, group NAME, any or anonymous",
        ),
        ("allow user alice", "\"allow\": not a change of an access list: grant, revoke or owner"),
    ] {
        assert_eq!(Change::parse(text.split(' ')).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_directory_without_state_has_no_list_to_change() {
    let dir = woof_kit::tempdir().unwrap();
    assert_eq!(AccessList::load(dir.path()).unwrap().to_string(), "");
    let change = Change::Owner(Some("alice".to_owned()));
    let err = AccessList::update(dir.path(), &change).unwrap_err();
    assert_eq!(err.to_string(), "not a namespace: it has no directory .woof");
    assert_eq!(AccessList::load(&dir.path().join("no")).unwrap_err().code(), Code::NotFound);
}

proptest::proptest! {
    #[test]
    fn whatever_the_text_is_what_was_read_reads_back(text in "([a-z#]{1,6}[ \n]){0,12}|\\PC{0,60}") {
        if let Ok(list) = AccessList::parse(&text) {
            let again = AccessList::parse(&list.to_string()).unwrap();
            proptest::prop_assert_eq!(
                list.rules().collect::<Vec<_>>(),
                again.rules().collect::<Vec<_>>()
            );
            proptest::prop_assert_eq!(list.owner(), again.owner());
        }
    }
}

#[test]
fn the_list_of_a_namespace_that_became_a_link_is_not_changed_where_that_leads() {
    let dir = woof_kit::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("other/.woof")).unwrap();
    std::os::unix::fs::symlink("other", root.join("farm")).unwrap();
    let change = Change::parse(["grant", "any", "put"]).unwrap();
    assert!(crate::name::Namespace::exactly(&root.join("farm")).is_err());
    std::fs::remove_file(root.join("farm")).unwrap();
    std::fs::create_dir(root.join("farm")).unwrap();
    std::os::unix::fs::symlink("../other/.woof", root.join("farm/.woof")).unwrap();
    let update = |name: &str| {
        let namespace = crate::name::Namespace::exactly(&root.join(name)).unwrap();
        AccessList::update_in(&namespace, &change)
    };
    assert!(update("farm").is_err());
    assert!(!root.join("other/.woof/access").exists());
    update("other").unwrap();
    assert!(root.join("other/.woof/access").exists());
}
