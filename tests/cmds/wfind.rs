//! `wfind`.

use crate::support::Sandbox;
use crate::woofs::{bad, put};

/// The paths that are found, in one line.
fn found(sandbox: &Sandbox, args: &[&str]) -> String {
    let ran = sandbox.run("wfind", &[args, &["--json"]].concat(), b"");
    let lines = ran.done().lines().map(|line| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        json["path"].as_str().unwrap().to_owned()
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let script = "wcreate -p farm/temp farm/wind house/temp --history 10; wcreate top; echo x > farm/notes
        ln -s ../house farm/link; wput farm/temp a b c > /dev/null; mkdir -p farm/deep; wcreate farm/deep/low";
    sandbox.sh(script).done();
    sandbox
}

#[test]
fn woofs_are_found_in_order_and_links_are_not_followed() {
    let sandbox = sandbox();
    assert_eq!(found(&sandbox, &[]), "farm/deep/low farm/temp farm/wind house/temp top");
    assert_eq!(found(&sandbox, &["house", "farm/temp"]), "house/temp farm/temp");
    assert_eq!(found(&sandbox, &["--name", "t*"]), "farm/temp house/temp top");
    assert_eq!(found(&sandbox, &["--depth", "1"]), "top");
    assert_eq!(found(&sandbox, &["farm", "--name", "temp", "elements > 2"]), "farm/temp");
    assert_eq!(found(&sandbox, &["farm", "history == 10 && elements == 0"]), "farm/wind");
    assert_eq!(found(&sandbox, &["--where", "history == 10", "elements == 3"]), "farm/temp");
    assert_eq!(found(&sandbox, &["--type", "namespace"]), "farm house");
    assert_eq!(found(&sandbox, &["--newer", "1h", "--where", "elements > 0"]), "farm/temp");
    assert_eq!(found(&sandbox, &["elements > 100"]), "");
}

#[test]
fn with_get_the_elements_come_after_their_woof() {
    let sandbox = sandbox();
    put(&sandbox, &["house/temp", "h"], b"");
    assert_eq!(sandbox.sh("wfind --name temp --get | wcat -u").done(), "a\nb\nc\nh\n");
    assert_eq!(
        sandbox
            .sh("wfind farm --get | wfilter 'text == \"b\"' | wcat --json | grep -c '\"woof\":\"farm/temp\"'")
            .done(),
        "1\n"
    );
}

#[test]
fn bad_woofs_are_told_in_their_place_and_other_files_are_nothing() {
    let sandbox = Sandbox::new();
    bad(&sandbox);
    let ran = sandbox.run("wfind", &["-u", "--get"], b"");
    assert_eq!((ran.status, ran.text()), (1, "one\n"));
    let mut said: Vec<&str> = ran.stderr.lines().collect();
    said.sort_unstable();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].starts_with("wfind: cut: truncated file: "), "{said:?}");
    assert_eq!(
        said[1..],
        [
            "wfind: future: woof format version 9, this program reads version 1",
            "wfind: stub: truncated file: 100 bytes are left",
            "wfind: torn: damaged header: its checksum does not match"
        ]
    );
    for (name, text) in [
        ("none", "no such file or directory"),
        ("text", "not a woof"),
        ("/dev/null", "not a woof but a device"),
        ("fifo", "not a woof but a FIFO"),
    ] {
        let ran = sandbox.run("wfind", &[name, "-u"], b"");
        assert_eq!((ran.status, ran.stderr), (2, format!("wfind: {name}: {text}\n")));
    }
    let ran = sandbox.run("wfind", &["none", "good", "-u"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (1, "wfind: none: no such file or directory\n"));
    let ran = sandbox.run("wfind", &[".", "elements >", "-u"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wfind: expression:11: expected a value after '>'\n"));
}
