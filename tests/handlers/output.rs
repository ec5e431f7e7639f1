//! Handlers that write more than anybody wants to have, or has room for.

use crate::farm::Farm;

/// The most memory that a process had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_handler_that_writes_a_gigabyte_costs_the_server_no_memory_and_is_done() {
    let farm = Farm::with("--type text");
    farm.handler(
        "loud",
        "line=$(head -c 999 /dev/zero | tr '\\0' x)
         yes \"$line\" | head -c 1000000000 & yes \"$line\" | head -c 1000000000 >&2; wait; touch ended",
    );
    farm.handler("h", "true");
    farm.sh("wcreate farm/other; wbind farm/other h; wbind farm/temp loud --limit 10m; wput farm/other x")
        .done();
    let server = farm.serve();
    farm.until("it works", || farm.count(0, "done") == 1);
    let before = peak(server.pid());
    farm.sh("wput farm/temp x").done();
    farm.until("it is done", || farm.count(1, "done") == 1);
    assert!(farm.path("ended").exists());
    let more = peak(server.pid()) - before;
    assert!(more < 64 << 10, "{more} KiB more");
    let log = farm.server_log();
    assert_eq!(log.matches("more output is not logged").count(), 1);
    assert!(log.len() < 4 << 20, "{} bytes of log", log.len());
    server.kill();
}

#[test]
fn commands_of_ours_in_a_handler_leave_readable_lines_in_the_log() {
    let farm = Farm::with("--type i64");
    // `command`, as a user has it who redirects nothing.
    farm.handler("h", "echo begun; wput copies 7; wget temp; wget nosuch; echo ended");
    farm.sh("wcreate farm/copies; wbind farm/temp h --retries 0; wput farm/temp 4711").done();
    let ran = farm.sh("wserve --once . 2>&1");
    let log = ran.done();
    for said in ["begun", "4711", "wget: nosuch: no such woof", "ended"] {
        let lines = log.lines().filter(|line| line.contains("1-1") && line.contains(said));
        assert_eq!(lines.count(), 1, "{said}: {log}");
    }
    assert_eq!(log.lines().filter(|line| line.contains("1-1")).count(), 4, "{log}");
    assert!(!log.contains("WOOF"), "{log}");
}

#[test]
fn data_of_a_stream_goes_into_a_woof_as_it_is_and_what_else_is_in_it_does_not() {
    let farm = Farm::new();
    farm.handler("hot", "wput seen x; wfilter 'value > 30'; wput seen y; echo 99");
    farm.sh("wcreate farm/hot --type f64; wcreate farm/seen; wbind farm/temp hot --framed --into hot").done();
    farm.sh("wput farm/temp 21.5; wput farm/temp 31.25").done();
    farm.once().done();
    assert_eq!(farm.sh("wget farm/hot .. -u | sort").done(), "31.25\n99\n99\n");
}

#[test]
fn a_stream_that_is_cut_or_ends_with_an_error_fails_the_attempt_that_has_a_woof_for_it() {
    let farm = Farm::new();
    farm.handler("cut", "wget temp 1 | head -c 60");
    farm.handler("wrong", "wget nosuch || true");
    farm.sh("wcreate farm/out --type f64; wput farm/temp 1; wcreate farm/other; wput farm/other x").done();
    farm.sh("wbind farm/temp cut --into out --retries 0; wbind farm/temp wrong --into out --retries 0")
        .done();
    farm.sh("wbind farm/other wrong --retries 0; wput farm/temp 2; wput farm/other y").done();
    assert_eq!(farm.once().status, 1);
    let mut reasons: Vec<String> =
        farm.log("dead").iter().map(|record| record["reason"].as_str().unwrap().to_owned()).collect();
    reasons.sort();
    assert_eq!(reasons, ["output: stream cut after 1 message", "output: wget: nosuch: no such woof"]);
    assert_eq!(farm.count(2, "done"), 1, "with the log as the only place it is said and no more");
}

#[test]
fn a_long_lived_handler_answers_with_lines_whatever_our_commands_write_in_between() {
    let farm = Farm::with("--type text");
    farm.handler("h", "wcat -u | while read v; do wput copies $v; wget copies; echo ok; done");
    farm.sh("wcreate farm/copies; wcreate farm/out; wbind farm/temp h --stream --into out").done();
    farm.sh("wput farm/temp ok failed three").done();
    farm.once().done();
    assert_eq!((farm.count(0, "done"), farm.count(0, "failed")), (3, 0));
    assert_eq!(farm.sh("wget farm/out .. -u").done(), "ok\nfailed\nthree\n");
}

#[test]
fn a_log_that_nobody_takes_ends_nothing() {
    let farm = Farm::new();
    farm.handler("h", "read v; echo said $v");
    farm.sh("wbind farm/temp h; wput farm/temp 1; timeout 60 wserve --once . 2> /dev/full").done();
    assert_eq!(farm.count(0, "done"), 1);
    // Its reader is gone before the first line.
    farm.sh(
        "wput farm/temp 2; mkfifo log; exec 9<> log; exec 8> log; exec 9>&-; timeout 60 wserve --once . --log json 2>&8",
    )
    .done();
    assert_eq!(farm.count(0, "done"), 2);
}

#[test]
fn output_into_a_woof_that_is_full_waits_for_the_handlers_of_that() {
    for (options, script) in
        [("", "seq 30"), ("--stream", "wcat -u | while read v; do seq 30; echo ok; done")]
    {
        let farm = Farm::with("--type text");
        farm.handler("many", script);
        farm.handler("note", "read v; echo $v >> notes");
        farm.sh(&format!(
            "wcreate farm/small --history 3 --element-size 8; wbind farm/temp many --into small {options}
             wbind farm/small note; wput farm/temp x"
        ))
        .done();
        farm.once().done();
        let mut notes: Vec<u64> = farm.lines("notes").iter().map(|line| line.parse().unwrap()).collect();
        notes.sort_unstable();
        assert_eq!(notes, (1..=30).collect::<Vec<_>>(), "{options}");
        assert_eq!((farm.count(0, "done"), farm.count(0, "failed")), (1, 0), "{options}");
    }
}

#[test]
fn the_output_of_a_long_lived_handler_has_limits_for_each_element() {
    let farm = Farm::with("--type text");
    let much = "yes 'some line that a handler writes' | head -c 3000000";
    farm.handler("much", &format!("wcat -u | while read v; do {much}; echo ok; done"));
    farm.sh("wbind farm/temp much --stream; wput farm/temp 1 2; wserve --once . 2> log").done();
    let log = std::fs::read_to_string(farm.sandbox.dir().join("log")).unwrap();
    assert_eq!(log.matches("more output is not logged").count(), 2);
    farm.handler(
        "more",
        &format!("wcat -u | while read v; do for n in 1 2 3 4 5 6; do {much}; done; echo ok; done"),
    );
    farm.sh("wbind remove farm/temp; wcreate farm/out; wbind farm/temp more --stream --retries 0 --into out")
        .done();
    farm.sh("wput farm/temp 3").done();
    assert_eq!(farm.once().status, 1);
    let reason = "output of more than 16777216 bytes, the limit of what goes into a woof";
    assert_eq!(farm.log("dead")[0]["reason"], reason);
}
