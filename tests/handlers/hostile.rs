//! What a handler that means harm does to its namespace, so that the server does harm elsewhere.

use crate::farm::Farm;
use rustix::fs::FlockOperation;
use std::os::unix::fs::symlink;

#[test]
fn a_woof_that_became_a_link_out_of_the_namespace_is_neither_read_nor_written() {
    let farm = Farm::with("--type text");
    farm.handler("h", "cat");
    farm.sh("wcreate -p other/secret --type text; wput other/secret x; wcreate farm/out --type text").done();
    farm.sh("wbind farm/temp h --into out --retries 0; rm farm/out; wput farm/temp y").done();
    symlink("../other/secret", farm.path("out")).unwrap();
    assert_eq!(farm.once().status, 1);
    let reason = farm.log("dead")[0]["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "output: out: a symbolic link, which is not followed here");
    std::fs::remove_file(farm.path("temp")).unwrap();
    symlink("../other/secret", farm.path("temp")).unwrap();
    let ran = farm.once();
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("temp: a symbolic link, which is not followed here"), "{ran:?}");
    assert_eq!(farm.sh("wget other/secret .. -u").done(), "x\n");
}

#[test]
fn a_directory_of_handlers_that_is_a_link_has_none() {
    let farm = Farm::new();
    let refusal = "true: handlers is a symbolic link: only a directory has handlers\n";
    farm.sh("cp /bin/true farm/handlers; wbind farm/temp true --retries 0; rm -r farm/handlers; ln -s /bin farm/handlers")
        .done();
    for command in ["wbind farm/temp true", "wput farm/temp --handler true 1"] {
        let ran = farm.sh(command);
        let name = &command[..command.find(' ').unwrap()];
        assert_eq!((ran.status, ran.stderr), (2, format!("{name}: {refusal}")), "{command}");
    }
    let ran = farm.sh("wrun --at farm true < /dev/null | wcat");
    assert!(ran.status != 0 && ran.stderr.ends_with(refusal), "{ran:?}");
    farm.sh("wput farm/temp 1").done();
    assert_eq!(farm.once().status, 1);
    assert_eq!(farm.log("dead")[0]["reason"], refusal[6..].trim_end());
    farm.sh("rm farm/handlers; touch farm/handlers").done();
    assert_eq!(farm.sh("wbind farm/temp true").stderr, "wbind: true: handlers is no directory\n");
}

#[test]
fn a_log_of_triggers_that_is_too_small_is_refused_with_what_to_do_and_once() {
    let farm = Farm::with("--type i64");
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh("wbind farm/temp note; seq 50 | wput farm/temp").done();
    for (options, has) in [
        ("--history 8 --capacity 4KiB", "8 elements in 4096 bytes"),
        ("--element-size 64", "65536 elements in 4194304 bytes, each up to 64 bytes"),
    ] {
        farm.sh(&format!("wcreate x {options}; mv x farm/.woof/triggers")).done();
        let ran = farm.once();
        assert_eq!(ran.status, 2, "{ran:?}");
        let said = format!(
            "/farm/.woof/triggers: too small for a log of triggers: it keeps {has}, and 65536 in 33554432 are needed: \
             remove it, and it is made again\n"
        );
        assert!(ran.stderr.ends_with(&said), "{ran:?}");
    }
    let server = farm.serve();
    let said = || farm.server_log().matches("too small for a log of triggers").count();
    farm.until("it is said", || said() == 1);
    farm.sh("rm farm/.woof/triggers").done();
    farm.until("all are done", || farm.lines("notes").len() == 50);
    assert_eq!(said(), 1, "{}", farm.server_log());
    server.stop();
}

#[test]
fn a_state_directory_that_somebody_locks_for_ever_stops_neither_handlers_nor_the_end_of_the_server() {
    let farm = Farm::with("--type i64");
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh("wbind farm/temp note").done();
    let server = farm.serve();
    farm.sh("wput farm/temp 1").done();
    farm.until("the first is done", || farm.lines("notes") == ["1"]);
    // Who may read it may lock it.
    let state = std::fs::File::open(farm.path(".woof")).unwrap();
    rustix::fs::flock(&state, FlockOperation::LockExclusive).unwrap();
    farm.sh("wput farm/temp 2; wput farm/temp 3").done();
    farm.until("the others are done", || farm.lines("notes").len() == 3);
    server.stop();
    drop(state);
    farm.once().done();
    assert_eq!((farm.count(0, "done"), farm.count(0, "pending")), (3, 0));
}
