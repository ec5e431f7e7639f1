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
