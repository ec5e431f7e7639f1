//! `wstat`.

use crate::support::Sandbox;
use crate::woofs::{put, refuses_what_is_no_woof};

#[test]
fn it_says_what_a_woof_is_and_what_is_in_it() {
    let sandbox = Sandbox::new();
    sandbox.run("wcreate", &["w", "--history", "3", "--element-size", "10", "--sync"], b"").done();
    put(&sandbox, &["-q", "w", "a", "b", "c", "d"], b"");
    let ran = sandbox.run("wstat", &["w", "--json"], b"");
    let json: serde_json::Value = serde_json::from_str(ran.done()).unwrap();
    for (name, value) in [
        ("elements", 3),
        ("first_seqno", 2),
        ("next_seqno", 5),
        ("history", 3),
        ("element_size", 10),
        ("element_max", 10),
        ("synced_seqno", 5),
    ] {
        assert_eq!(json[name], value, "{name}: {json}");
    }
    assert_eq!((&json["content"], &json["sync"], &json["path"]), (&"text".into(), &true.into(), &"w".into()));
    for name in ["created", "mtime", "first_time", "last_time"] {
        assert!(json[name].as_str().unwrap().ends_with('Z'), "{name}: {json}");
    }
    let page = sandbox.run("wstat", &["w"], b"");
    for line in [
        "name      w",
        "content   text",
        "elements  3, from 2 to 4",
        "sync      every element is durable before it is acknowledged",
    ] {
        assert!(page.done().lines().any(|have| have == line), "{line}: {}", page.text());
    }
}

#[test]
fn several_are_shown_and_what_is_no_woof_is_said() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate a b; echo x > text").done();
    let ran = sandbox
        .sh("wstat a text b | grep -c '^elements  none, the next is 1$'; wstat a text b >/dev/null; echo $?");
    assert_eq!(ran.text(), "2\n1\n");
    assert_eq!(ran.stderr, "wstat: text: not a woof\nwstat: text: not a woof\n");
}

#[test]
fn what_is_no_woof_is_refused() {
    refuses_what_is_no_woof(&Sandbox::new(), "wstat", &[]);
}

#[test]
fn looking_at_a_woof_changes_nothing_in_it() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w; wput w x > acks").done();
    let before = std::fs::read(sandbox.dir().join("w")).unwrap();
    sandbox.sh("wstat w; wfind .; wget w; wtail w -n 1 --no-follow").stderr.is_empty().then_some(()).unwrap();
    assert!(std::fs::read(sandbox.dir().join("w")).unwrap() == before);
}
