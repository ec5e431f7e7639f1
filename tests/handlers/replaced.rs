//! Woofs and namespaces that are moved, removed or replaced under a server with the tools of any file.

use crate::farm::Farm;
use std::path::Path;

/// A woof `temp` of numbers with a handler that notes each.
fn noting() -> Farm {
    let farm = Farm::with("--type i64");
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh("wbind farm/temp note").done();
    farm
}

fn until_noted(farm: &Farm, notes: &[&str]) {
    farm.until("all are noted, once", || farm.lines("notes") == notes);
}

#[test]
fn a_woof_that_is_removed_as_a_file_and_made_again_has_its_triggers_run() {
    let farm = noting();
    farm.handler("fail", "exit 1");
    farm.sh("wbind farm/temp fail").done();
    let server = farm.serve();
    farm.sh("wput farm/temp 1").done();
    until_noted(&farm, &["1"]);
    farm.until("one is tried again", || farm.count(1, "failed") >= 1);
    farm.sh("rm farm/temp").done();
    // Noticed as it goes, and not with what comes next.
    farm.until("what was open is lost", || farm.log("lost").len() == 1);
    assert_eq!(farm.log("lost")[0]["reason"], "the woof was removed");
    assert!(farm.server_log().contains("the woof was moved or removed, or another file is in its place"));
    farm.sh("wcreate farm/temp --type i64; wput farm/temp 2 3").done();
    farm.until("both are noted", || farm.lines("notes").len() == 3);
    // While attempts run, and in one go with the next one.
    farm.handler("note", "read v; echo $v >> notes; until [ -e go ]; do sleep 0.1; done");
    farm.sh("wput farm/temp 4").done();
    farm.until("it runs", || farm.lines("notes").len() == 4);
    farm.sh("wcreate farm/other --type i64; wput farm/other 5; mv farm/other farm/temp; touch farm/go")
        .done();
    farm.until("the one in its place is handled", || farm.lines("notes").len() == 5);
    server.stop();
    let mut notes = farm.lines("notes");
    notes.sort();
    assert_eq!(notes, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_woof_that_is_moved_away_and_back_goes_on_with_what_was_not_done() {
    let farm = noting();
    let server = farm.serve();
    farm.sh("wput farm/temp 1 2").done();
    farm.until("both are done and let go of", || {
        farm.count(0, "done") == 2 && farm.lines("notes").len() == 2
    });
    let away = |records: usize| farm.until("it is away", || farm.log("position").len() > records);
    let before = farm.log("position").len();
    farm.sh("mv farm/temp away").done();
    away(before);
    farm.sh("wput away 3; mv away farm/temp").done();
    farm.until("what was put meanwhile is done", || farm.count(0, "done") == 3);
    server.stop();
    let mut notes = farm.lines("notes");
    notes.sort();
    assert_eq!(notes, ["1", "2", "3"]);
}

#[test]
fn an_older_copy_in_the_place_of_a_woof_hides_nothing_that_is_put_then() {
    let farm = noting();
    let server = farm.serve();
    farm.sh("wput farm/temp 1 2").done();
    farm.until("they are let go of", || held(&farm) == Some(3));
    farm.sh("cp farm/temp backup; wput farm/temp 3 4 5").done();
    farm.until("all are done", || farm.lines("notes").len() == 5 && held(&farm) == Some(6));
    farm.sh("mv backup farm/temp; wput farm/temp 6").done();
    farm.until("what was put into the copy is done", || farm.lines("notes").contains(&"6".to_owned()));
    // The log says so at once: a server that is killed now takes none of the numbers that come again for done.
    server.kill();
    farm.sh("wput farm/temp 7 8").done();
    farm.once().done();
    let mut notes = farm.lines("notes");
    notes.sort();
    // What the copy holds may be done again, and nothing before that.
    assert_eq!(notes.iter().filter(|note| *note == "1" || *note == "2").count(), 2);
    notes.dedup();
    assert_eq!(notes, ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

fn held(farm: &Farm) -> Option<u64> {
    libwoofstream::log::open(&farm.path("temp")).unwrap().held()
}

/// Whether a process is there and has not ended.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_namespace_that_is_removed_and_made_again_has_one_dispatcher_of_its_own() {
    let farm = noting();
    farm.handler("note", "echo $$ >> ../pids; sleep 600");
    let server = farm.serve();
    farm.sh("wput farm/temp 1").done();
    let pids = || std::fs::read_to_string(farm.sandbox.dir().join("pids")).unwrap_or_default();
    farm.until("it runs", || pids().lines().count() == 1);
    farm.sh("rm -rf farm").done();
    farm.until("its handler ended", || !is_alive(pids().trim()));
    farm.sh("wcreate -p farm/temp --type i64").done();
    farm.handler("note", "read v; echo $$ >> ../pids; echo $v >> notes; until [ -e go ]; do sleep 0.1; done");
    farm.sh("wbind farm/temp note; wput farm/temp 2").done();
    until_noted(&farm, &["2"]);
    // It is the live server's, and nobody ends its handlers.
    let second = farm.sh("wserve --once farm");
    assert!(second.stderr.contains("another server runs its handlers"), "{second:?}");
    let last = pids().lines().last().unwrap().to_owned();
    assert!(is_alive(&last));
    farm.sh("touch farm/go").done();
    farm.until("it is done", || farm.count(0, "done") == 1);
    server.stop();
    assert_eq!(farm.lines("notes"), ["2"]);
    assert!(!farm.server_log().contains("cannot be written"), "{}", farm.server_log());
}

#[test]
fn a_namespace_that_is_moved_has_its_handlers_run_where_it_is() {
    let farm = noting();
    farm.handler("note", "read v; echo $v >> notes; until [ -e ../go ]; do sleep 0.1; done");
    let server = farm.serve();
    farm.sh("wput farm/temp 1").done();
    until_noted(&farm, &["1"]);
    farm.sh("mv farm moved; mkdir farm; touch go; wput moved/temp 2").done();
    let notes = || std::fs::read_to_string(farm.sandbox.dir().join("moved/notes")).unwrap_or_default();
    farm.until("both are done there", || {
        let summary = farm.sh("wstat --triggers moved --json");
        summary.done().contains(r#""done":2"#)
    });
    // The attempt that ran was ended with its dispatcher, and is made again.
    assert_eq!(notes().lines().filter(|line| *line == "2").count(), 1);
    assert_eq!(notes().lines().filter(|line| *line == "1").count(), 2);
    assert!(!farm.server_log().contains("no such handler"), "{}", farm.server_log());
    assert!(farm.server_log().contains("it was moved, removed or replaced: its handlers end"));
    // And again, over one that is there, by name: what was there is nobody's any more.
    farm.sh("rmdir farm; mv moved farm; wput farm/temp 3").done();
    farm.until("it goes on there", || farm.lines("notes").last().is_some_and(|last| last == "3"));
    server.stop();
}
