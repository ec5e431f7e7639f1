//! `wattr`.

use crate::support::Sandbox;

fn list(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.dir().join("farm/.woof/access")).unwrap()
}

fn namespace() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run("wcreate", &["--namespace", "farm"], b"").done();
    sandbox
}

#[test]
fn rights_are_granted_and_taken_back_and_the_rest_of_the_list_stays() {
    let sandbox = namespace();
    sandbox.sh("echo '# the farm' > farm/.woof/access").done();
    sandbox.run("wattr", &["farm", "grant", "user", "alice", "read", "put"], b"").done();
    sandbox.run("wattr", &["farm", "grant", "group", "ops", "all"], b"").done();
    sandbox.run("wattr", &["farm", "grant", "any", "read"], b"").done();
    sandbox.run("wattr", &["farm", "owner", "carol"], b"").done();
    sandbox.run("wattr", &["farm", "revoke", "group", "ops", "admin", "trigger"], b"").done();
    let expected =
        "# the farm\nowner carol\nuser alice read put\ngroup ops read put create remove\nany read\n";
    assert_eq!(list(&sandbox), expected);
    sandbox.run("wattr", &["farm", "revoke", "user", "alice"], b"").done();
    sandbox.run("wattr", &["farm", "owner"], b"").done();
    assert_eq!(list(&sandbox), "# the farm\ngroup ops read put create remove\nany read\n");
}

#[test]
fn the_list_is_shown_with_the_owner_first() {
    let sandbox = namespace();
    let run = sandbox.run("wattr", &["-v", "farm", "grant", "user", "alice", "read", "put"], b"");
    let owner = "read put create remove trigger admin";
    let lines: Vec<&str> = run.done().lines().collect();
    assert!(lines[0].starts_with("owner  ") && lines[0].ends_with(owner), "{lines:?}");
    let columns: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(columns, ["user", "alice", "read", "put"]);
    assert_eq!(sandbox.run("wattr", &["farm", "access"], b"").done(), run.text());

    sandbox.run("wattr", &["farm", "owner", "carol"], b"").done();
    let json = sandbox.run("wattr", &["farm", "--json"], b"");
    let expected = "{\"type\":\"dir\",\"name\":\"carol\",\"path\":\"farm\",\"rights\":[\"read\",\"put\",\"create\",\"remove\",\
                    \"trigger\",\"admin\"],\"_type\":\"access\",\"who\":\"owner\"}\n\
                    {\"type\":\"dir\",\"name\":\"alice\",\"path\":\"farm\",\"rights\":[\"read\",\"put\"],\"_type\":\"access\",\
                    \"who\":\"user\"}\n";
    assert_eq!(json.done(), expected);
}

#[test]
fn without_a_list_there_is_the_owner() {
    let sandbox = namespace();
    let run = sandbox.run("wattr", &["farm"], b"");
    assert_eq!(run.done().lines().count(), 1);
    assert!(run.text().starts_with("owner  "), "{}", run.text());
}

#[test]
fn a_list_with_a_mistake_is_told_of_and_left_alone() {
    let sandbox = namespace();
    sandbox.sh("printf 'any read\\nuser alice reed\\n' > farm/.woof/access").done();
    let why =
        ".woof/access: line 2: \"reed\": not a right: read, put, create, remove, trigger, admin or all\n";
    let run = sandbox.run("wattr", &["farm"], b"");
    assert_eq!((run.status, run.stderr), (1, format!("wattr: farm: only the owner has rights: {why}")));
    let run = sandbox.run("wattr", &["farm", "grant", "any", "put"], b"");
    assert_eq!((run.status, run.stderr), (2, format!("wattr: farm: not changed, mend it first: {why}")));
    assert_eq!(list(&sandbox), "any read\nuser alice reed\n");
}

#[test]
fn what_cannot_be_changed_is_refused_in_one_line() {
    let sandbox = namespace();
    sandbox.sh("mkdir plain; wcreate farm/temp").done();
    for (args, expected) in [
        (&["none"][..], "wattr: none: no such file or directory\n"),
        (&["farm/temp"], "wattr: farm/temp: not a namespace: it is no directory\n"),
        (&["plain", "owner", "carol"], "wattr: plain: not a namespace: it has no directory .woof\n"),
        (
            &["farm", "allow", "alice"],
            "wattr: \"allow\": not a change of an access list: grant, revoke or owner\n",
        ),
        (
            &["farm", "grant", "alice", "read"],
            "wattr: \"alice\": not whom a rule can be about: user NAME, group NAME, any or anonymous\n",
        ),
        (
            &["farm", "grant", "user", "alice"],
            "wattr: grant user alice: missing rights: read, put, create, remove, trigger, admin or all\n",
        ),
        (&[], "wattr: missing NAME\n"),
    ] {
        let run = sandbox.run("wattr", args, b"");
        assert_eq!((run.status, run.stderr.as_str()), (2, expected), "{args:?}");
    }
}
