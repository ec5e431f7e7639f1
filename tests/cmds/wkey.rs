//! `wkey`.

use crate::support::Sandbox;
use std::os::unix::fs::PermissionsExt as _;

/// A sandbox with an authority and the identity of alice.
fn ready() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sh("wkey init lab && wkey add alice --group ops -g night").done();
    sandbox
}

#[test]
fn what_was_made_is_shown() {
    let sandbox = ready();
    sandbox.run("wkey", &["host", "edge7.lan", "10.0.0.7", "--days", "30"], b"").done();
    let page = sandbox.run("wkey", &[], b"");
    let columns: Vec<Vec<&str>> = page.done().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((columns[0][0], columns[0][1]), ("authority", "lab"));
    assert_eq!((columns[1][0], columns[1][1], &columns[1][4..]), ("user", "alice", &["ops", "night"][..]));
    assert_eq!((columns[2][0], columns[2][1], columns[2][4]), ("host", "edge7.lan", "10.0.0.7"));
    assert_eq!(sandbox.run("wkey", &["show"], b"").done(), page.text());

    // Shared flags may stand before the subcommand and after it.
    for args in [&["show", "alice", "--json"], &["--json", "show", "user/alice"]] {
        let run = sandbox.run("wkey", args, b"");
        let json: serde_json::Value = serde_json::from_str(run.done()).unwrap();
        assert_eq!(
            (&json["_type"], &json["name"], &json["state"]),
            (&"user".into(), &"alice".into(), &"valid".into())
        );
        assert_eq!(json["groups"], serde_json::json!(["ops", "night"]));
        assert_eq!(json["serial"].as_str().unwrap().len(), 32);
        assert!(json["not_after"].as_str().unwrap().ends_with('Z'));
    }
}

#[test]
fn keys_are_where_the_flag_or_the_environment_says_and_nobody_else_reads_them() {
    let sandbox = Sandbox::new();
    sandbox.run("wkey", &["--keys", "here", "init"], b"").done();
    sandbox.run("wkey", &["add", "alice", "--keys", "here"], b"").done();
    sandbox.sh("umask 000; env -u WOOF_KEYS XDG_CONFIG_HOME=$PWD/conf wkey init -v 2> said").done();
    let said = std::fs::read_to_string(sandbox.dir().join("said")).unwrap();
    assert!(said.ends_with("conf/woofstream/keys: made an authority\n"), "{said}");
    for (path, mode) in [
        ("here", 0o700),
        ("here/authority.key", 0o600),
        ("here/users/alice.pem", 0o600),
        ("conf/woofstream/keys", 0o700),
        ("conf/woofstream/keys/authority.key", 0o600),
    ] {
        let meta = sandbox.dir().join(path).metadata().unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, mode, "{path}");
    }
    let run = sandbox.sh("env -u WOOF_KEYS -u HOME -u XDG_CONFIG_HOME wkey");
    assert_eq!(
        (run.status, run.stderr.as_str()),
        (2, "wkey: no place for keys: neither WOOF_KEYS nor HOME is set\n")
    );
}

#[test]
fn an_identity_is_carried_to_another_machine_and_its_revocation_after_it() {
    let sandbox = ready();
    sandbox.run("wkey", &["export", "alice", "alice.pem"], b"").done();
    let mode = sandbox.dir().join("alice.pem").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    sandbox.run("wkey", &["--keys", "away", "import", "alice.pem"], b"").done();
    let away = sandbox.run("wkey", &["--keys", "away"], b"");
    assert!(away.done().lines().next().unwrap().ends_with("without its key"), "{}", away.text());

    sandbox.sh("wkey revoke alice && wkey export | wkey --keys away import -").done();
    let away = sandbox.run("wkey", &["--keys", "away", "show", "alice"], b"");
    assert_eq!(
        away.done(),
        "user  alice  revoked  ops night\n"
            .replace("user  ", "user       ")
            .replace("revoked", "revoked         ")
    );
    let run = sandbox.run("wkey", &["--keys", "away", "add", "bob"], b"");
    let expected = "wkey: away: the key of the authority is not here: do it where wkey init was done\n";
    assert_eq!((run.status, run.stderr.as_str()), (2, expected));
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let sandbox = ready();
    let keys = sandbox.dir().join(".keys");
    let keys = keys.display();
    std::fs::write(sandbox.dir().join("rubbish"), "rubbish").unwrap();
    for (args, expected) in [
        (&["init"][..], format!("wkey: {keys}: there is an authority already\n")),
        (&["revoke", "bob"], "wkey: bob: no such user or host here (wkey show lists them)\n".to_owned()),
        (&["export", "bob"], "wkey: bob: no such user or host here (wkey show lists them)\n".to_owned()),
        (&["show", "bob"], "wkey: bob: no such user or host here\n".to_owned()),
        (
            &["add", "a b"],
            "wkey: user \"a b\": a name has no blanks, slashes or control characters\n".to_owned(),
        ),
        (&["add"], "wkey: missing USER\n".to_owned()),
        (&["add", "bob", "--days", "0"], "wkey: --days: 0: not a whole number from 1 to 36500\n".to_owned()),
        (&["host", "edge 7"], "wkey: \"edge 7\": not the name or address of a host\n".to_owned()),
        (
            &["import", "rubbish"],
            "wkey: rubbish: not what wkey export writes: there is no authority in it\n".to_owned(),
        ),
        (&["import", "none"], "wkey: none: no such file or directory\n".to_owned()),
        (&["frob"], "wkey: frob: no such command\n".to_owned()),
    ] {
        let run = sandbox.run("wkey", args, b"");
        assert_eq!((run.status, run.stderr.as_str()), (2, expected.as_str()), "{args:?}");
    }
    let run = sandbox.run("wkey", &["add", "alice"], b"");
    assert!(
        run.stderr.starts_with("wkey: user alice: has a certificate already, until 20"),
        "{}",
        run.stderr
    );
    sandbox.run("wkey", &["add", "alice", "--replace"], b"").done();
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let sandbox = ready();
    sandbox.sh("chmod 644 .keys/authority.key").done();
    let run = sandbox.run("wkey", &["add", "bob"], b"");
    let path = sandbox.dir().join(".keys/authority.key");
    let path = path.display();
    let expected = format!("wkey: key file {path} is readable by others (mode 0644): chmod 600 {path}\n");
    assert_eq!((run.status, run.stderr), (2, expected));
}

#[test]
fn its_help_and_completions_know_the_subcommands() {
    let sandbox = Sandbox::new();
    let help = sandbox.run("wkey", &["add", "--help"], b"");
    for part in ["Usage: wkey add [OPTIONS] <USER>", "--group <GROUP>", "--days <DAYS>", "--json"] {
        assert!(help.done().contains(part), "{part}: {}", help.text());
    }
    let woof = crate::support::woof();
    let text = sandbox.run(woof, &["--completions", "bash"], b"");
    // By its own name, and as a subcommand.
    for part in ["wkey__subcmd__revoke)", "woof__subcmd__key__subcmd__revoke)", "woof__subcmd__put)"] {
        assert!(text.done().contains(part), "{part}");
    }
    let version = sandbox.run(woof, &["key", "--version"], b"");
    assert_eq!(version.done(), sandbox.run("wkey", &["--version"], b"").done());
}

#[test]
fn a_key_that_was_carried_where_others_could_read_it_is_warned_of() {
    let sandbox = ready();
    sandbox.sh("umask 022; wkey export alice > alice.pem").done();
    let run = sandbox.run("wkey", &["--keys", "away", "import", "alice.pem"], b"");
    let expected = "wkey: alice.pem: holds a key and is readable by others (mode 0644): remove it\n";
    assert_eq!((run.status, run.stderr.as_str()), (0, expected));
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let sandbox = ready();
    sandbox.sh("chmod 775 .keys").done();
    let dir = sandbox.dir().join(".keys");
    let dir = dir.display();
    let expected = format!("wkey: key directory {dir} is writable by others (mode 0775): chmod go-w {dir}\n");
    let run = sandbox.run("wkey", &[], b"");
    assert_eq!((run.status, run.stderr), (2, expected));
}
