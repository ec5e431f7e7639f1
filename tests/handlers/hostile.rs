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
    assert!(reason.starts_with("output: out: a symbolic link leads out of the namespace "), "{reason}");
    std::fs::remove_file(farm.path("temp")).unwrap();
    symlink("../other/secret", farm.path("temp")).unwrap();
    let ran = farm.once();
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("temp: a symbolic link leads out of the namespace "), "{ran:?}");
    assert_eq!(farm.sh("wget other/secret .. -u").done(), "x\n");
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
