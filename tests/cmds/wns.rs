//! `wns`, and names that begin with what it keeps.

use crate::support::{Ran, Sandbox};
use std::fs;

/// Runs a script with a name table in the sandbox.
fn sh(sandbox: &Sandbox, script: &str) -> Ran {
    sandbox.sh(&format!("export WOOF_NAMES=\"$PWD/names\"\n{script}"))
}

#[test]
fn prefixes_are_added_changed_shown_and_removed_and_comments_stay() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.dir().join("names"), "# what is where\nedge /srv/old  # on the roof\n").unwrap();
    sh(&sandbox, "wns add edge woof://edge7:7144/greenhouse; wns add 'my farm' farm '/srv/b c'").done();
    let here = fs::canonicalize(sandbox.dir()).unwrap();
    let here = here.to_str().unwrap();
    assert_eq!(
        fs::read_to_string(sandbox.dir().join("names")).unwrap(),
        format!(
            "# what is where\nedge woof://edge7:7144/greenhouse  # on the roof\n\"my farm\" {here}/farm \"/srv/b c\"\n"
        )
    );
    assert_eq!(
        sh(&sandbox, "wns").done(),
        format!("edge     woof://edge7:7144/greenhouse\nmy farm  {here}/farm  /srv/b c\n")
    );
    assert_eq!(
        sh(&sandbox, "wns resolve edge/temp 'my farm/x' edges ./edge").done(),
        format!(
            "edge/temp  woof://edge7/greenhouse/temp\nmy farm/x  {here}/farm/x  /srv/b c/x\nedges      edges\n./edge     ./edge\n"
        )
    );
    let ran = sh(&sandbox, "wns remove edge nosuch");
    assert_eq!((ran.status, ran.stderr.as_str()), (1, "wns: nosuch: no such prefix in the name table\n"));
    assert_eq!(
        sh(&sandbox, "wns list --json").done(),
        format!(
            "{{\"type\":\"dir\",\"path\":\"my farm\",\"targets\":[\"{here}/farm\",\"/srv/b c\"],\"_type\":\"prefix\"}}\n"
        )
    );
    assert_eq!(fs::read_dir(sandbox.dir()).unwrap().count(), 1, "nothing is left beside the table");
}

#[test]
fn the_table_is_found_where_the_user_has_it() {
    let sandbox = Sandbox::new();
    sandbox.sh("unset XDG_CONFIG_HOME; HOME=$PWD; export HOME; wns add a /a").done();
    sandbox.sh("XDG_CONFIG_HOME=$PWD/other; export XDG_CONFIG_HOME; wns add b /b").done();
    assert_eq!(fs::read_to_string(sandbox.dir().join(".config/woofstream/names")).unwrap(), "a /a\n");
    assert_eq!(fs::read_to_string(sandbox.dir().join("other/woofstream/names")).unwrap(), "b /b\n");
    sandbox.sh("WOOF_NAMES=; HOME=$PWD; export WOOF_NAMES HOME; test -z \"$(wns)\"").done();
    let ran = sandbox.sh("unset HOME XDG_CONFIG_HOME; wns add a /a");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "wns: no place for a name table: set WOOF_NAMES to the path of a file, or HOME\n")
    );
}

#[test]
fn a_table_that_is_wrong_is_an_error_of_the_names_that_ask_it() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.dir().join("names"), "edge /a\nfarm\n").unwrap();
    let here = sandbox.dir().to_str().unwrap().to_owned();
    let said = format!("{here}/names: line 2: \"farm\" has no target\n");
    for command in ["wget edge/x -u", "wns", "wns add b /b", "wcreate x"] {
        let ran = sh(&sandbox, command);
        let name = command.split(' ').next().unwrap();
        assert_eq!((ran.status, ran.stderr), (2, format!("{name}: {said}")), "{command}");
    }
    sh(&sandbox, "wcreate ./x; wput ./x one > acks; wget $PWD/x -u").done();
    assert_eq!(fs::read_to_string(sandbox.dir().join("names")).unwrap(), "edge /a\nfarm\n");
}

#[test]
fn what_is_no_use_of_it_is_refused() {
    let sandbox = Sandbox::new();
    for (command, said) in [
        ("wns add edge", "add: takes a prefix and at least one target"),
        ("wns remove", "remove: takes a prefix"),
        ("wns resolve", "resolve: takes a name"),
        ("wns list edge", "edge: list takes no operand"),
        ("wns move edge", "ACTION: move: not one of list, add, remove, resolve"),
        ("wns add /edge /a", "$/names: \"/edge\" is no prefix: it is an absolute path"),
        ("wns add edge woof://h:0/x", "$/names: target \"woof://h:0/x\": \"0\" is no port: 1 to 65535"),
    ] {
        let ran = sh(&sandbox, command);
        let said = said.replace('$', sandbox.dir().to_str().unwrap());
        assert_eq!((ran.status, ran.stderr), (2, format!("wns: {said}\n")), "{command}");
    }
    assert!(!sandbox.dir().join("names").exists());
}

#[test]
fn every_command_takes_a_name_of_the_table() {
    let sandbox = Sandbox::new();
    sh(&sandbox, "wns add home/farm data; wns add far woof://edge7/farm").done();
    let script = "wcreate -p home/farm/temp --type f64\n\
        seq 5 | wput home/farm/temp | wcat | tail -1\n\
        wget home/farm/temp -2.. -u\n\
        wtail home/farm/temp -n 1 --no-follow --json | cut -d , -f 1-3\n\
        wfind home/farm -u\n\
        wstat home/farm/temp | head -1\n\
        wcat home/farm/temp | head -1\n\
        wmerge home/farm/temp ./data/temp | wcount\n\
        wrun --on home/farm/temp --from 5 --keep k -n 1 cat | wcat\n\
        echo text > data/notes; wcat home/farm/notes\n\
        wrm -v home/farm/temp 2>&1\n";
    assert_eq!(
        sh(&sandbox, script).done(),
        "home/farm/temp 5\n4\n5\n{\"type\":\"elem\",\"woof\":\"home/farm/temp\",\"seqno\":5\nhome/farm/temp\n\
         name      home/farm/temp\n1\n10\n5\ntext\nwrm: home/farm/temp: removed\n"
    );
    assert!(sandbox.dir().join("data/.woof/positions/k").exists());
    let far = "woof://edge7:7144: no keys here: wkey init makes an authority, wkey import takes what another \
               machine's wkey exports";
    for command in
        ["wget far/temp", "wput far/temp x", "wstat far/temp", "wcat far/temp", "wrun --on far/temp cat"]
    {
        let ran = sh(&sandbox, &format!("{command} > out ; wcat < out"));
        let name = command.split(' ').next().unwrap();
        assert!(
            ran.stderr.ends_with(&format!("{far}\n")) && ran.stderr.starts_with(name),
            "{command}: {ran:?}"
        );
    }
}

#[test]
fn a_union_is_read_as_one() {
    let sandbox = Sandbox::new();
    sh(&sandbox, "wcreate -p a/x b/x b/y; wput a/x one > acks; wput b/x two > acks; wput b/y three > acks")
        .done();
    sh(&sandbox, "wns add all a b").done();
    assert_eq!(
        sh(&sandbox, "wfind all -u; wget all/x -u; wget all/y -u").done(),
        "all/x\nall/y\none\nthree\n"
    );
    assert_eq!(
        sh(&sandbox, "wfind all --get -u; wrun --on all/y --from 1 -n 1 cat | wcat").done(),
        "one\nthree\nthree\n"
    );
    let ran = sh(&sandbox, "wget all/z -u");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: all/z: no such woof\n"));
}
