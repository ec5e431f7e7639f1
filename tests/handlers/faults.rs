//! What handlers do wrong, and what is done to woofs while triggers are pending.

use crate::farm::Farm;

/// Runs what is pending with a handler that fails, and gives the reason it was given up for.
fn given_up(farm: &Farm, options: &str) -> String {
    given_up_after(farm, options, "true")
}

/// The same, where this is done once the handler is bound.
fn given_up_after(farm: &Farm, options: &str, script: &str) -> String {
    farm.sh(&format!("wbind farm/temp h --retries 1 {options} && {script} && wput farm/temp 5")).done();
    let ran = farm.once();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!((farm.count(0, "dead"), farm.count(0, "pending")), (1, 0));
    let dead = farm.sh("wget farm/.woof/dead -u");
    let letter: serde_json::Value = serde_json::from_str(dead.done()).unwrap();
    assert_eq!((letter["trigger"].as_str(), letter["attempts"].as_u64()), (Some("1-1"), Some(2)), "{letter}");
    assert_eq!((letter["woof"].as_str(), letter["data"].as_str()), (Some("temp"), Some("5")));
    letter["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_dead_letter_is_json_all_the_way_down() {
    let farm = Farm::new();
    farm.handler("fails", "exit 3");
    farm.sh("wcreate farm/events --type json && wbind farm/events fails --retries 0").done();
    farm.sh("wput -q farm/events '{\"status\":500,\"id\":9007199254740993}' ' 5 ' > /dev/null").done();
    assert_eq!(farm.once().status, 1);
    let lines = farm.sh("wget farm/.woof/dead .. --json");
    let mut letters: Vec<serde_json::Value> =
        lines.done().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    letters.sort_by_key(|letter| letter["value"]["seqno"].as_u64());
    assert_eq!(letters[0]["value"]["reason"], "exit status 3", "{}", letters[0]);
    assert_eq!(letters[0]["value"]["value"]["id"], 9_007_199_254_740_993u64, "{}", letters[0]);
    assert_eq!(
        (&letters[1]["value"]["data"], letters[1].get("data")),
        (&" 5 ".into(), None),
        "{}",
        letters[1]
    );
    // Put back, they are what they were.
    farm.handler("fails", "cat >> \"$WOOF_NAMESPACE/seen\"; echo >> \"$WOOF_NAMESPACE/seen\"");
    farm.sh("wbind retry farm").done();
    farm.once();
    let mut seen = farm.lines("seen");
    seen.retain(|line| !line.is_empty());
    seen.sort();
    assert_eq!(seen, [" 5 ", "{\"status\":500,\"id\":9007199254740993}"]);
}

#[test]
fn a_handler_that_cannot_be_run_is_not_bound_and_fails_by_name_when_it_was() {
    for (script, expected) in [
        ("true", "no such handler: there is no handlers/h"),
        ("mkdir farm/handlers/h", "handlers/h is a directory"),
        ("echo x > farm/handlers/h", "handlers/h is not executable"),
        ("ln -s nowhere farm/handlers/h", "no such handler: there is no handlers/h"),
        ("mkfifo farm/handlers/h", "handlers/h is no file"),
        (
            "echo x > farm/handlers/h; chmod +x farm/handlers/h; printf '\\177ELF' > farm/handlers/h",
            "start: ",
        ),
    ] {
        let farm = Farm::new();
        farm.sh(script).done();
        if expected != "start: " {
            let refusal = format!("h: {expected}\n");
            let ran = farm.sh("wbind farm/temp h");
            assert_eq!((ran.status, ran.stderr), (2, format!("wbind: {refusal}")), "{script}");
            let ran = farm.sh("wput farm/temp --handler h 1");
            assert_eq!((ran.status, ran.stderr), (2, format!("wput: {refusal}")), "{script}");
            farm.sh("[ -z \"$(wbind list farm)$(wget farm/temp .. -u)\" ] && rm -rf farm/handlers/h").done();
        }
        farm.handler("h", "true");
        let reason = given_up_after(&farm, "", &format!("rm -f farm/handlers/h && {script}"));
        assert!(reason.starts_with(expected), "{script}: {reason}");
    }
}

#[test]
fn a_link_out_of_the_directory_is_not_run() {
    let farm = Farm::new();
    farm.handler("h", "true");
    let reason = given_up_after(
        &farm,
        "",
        "printf '#!/bin/sh\\ntouch ran\\n' > outside && chmod +x outside && ln -sf ../../outside farm/handlers/h",
    );
    assert_eq!(reason, "handlers/h leads out of the directory handlers");
    assert!(!farm.path("ran").exists());
}

#[test]
fn a_handler_that_fails_is_told_why_it_runs_again_and_can_be_put_back() {
    let farm = Farm::new();
    farm.handler("h", "echo \"$WOOF_ATTEMPT $WOOF_CAUSE\" >> notes; [ -e mended ] || exit 3");
    assert_eq!(given_up(&farm, ""), "exit status 3");
    assert_eq!(farm.lines("notes"), ["1 put", "2 retry: exit status 3"]);
    assert_eq!(farm.sh("wbind retry farm 9-9").stderr, "wbind: 9-9: no such dead letter\n");
    std::fs::write(farm.path("mended"), "").unwrap();
    assert_eq!(farm.sh("wbind retry farm -v").stderr, "wbind: farm: 1 put back\n");
    assert_eq!(farm.sh("wbind retry farm -v").stderr, "wbind: farm: 0 put back\n");
    farm.once().done();
    assert_eq!(farm.lines("notes")[2], "1 asked");
}

#[test]
fn a_dead_letter_is_put_back_by_its_id_once_unless_it_died_again() {
    let farm = Farm::with("--type i64");
    farm.handler("h", "read v; echo $v >> notes; [ -e mended ]");
    farm.sh("wbind farm/temp h --retries 0; seq 3 | wput farm/temp").done();
    assert_eq!(farm.once().status, 1);
    farm.sh("wbind retry farm 1-2 1-2").done();
    let already = "wbind: 1-2: put back already, and has not died again since: left as it is\n";
    let again = || farm.sh("wbind retry -v farm 1-2");
    let ran = again();
    assert_eq!((ran.status, ran.stderr), (1, format!("{already}wbind: farm: 0 put back\n")));
    // The others of the same call are.
    let ran = farm.sh("wbind retry -v farm 1-3 1-2");
    assert_eq!((ran.status, ran.stderr), (1, format!("{already}wbind: farm: 1 put back\n")));
    // With one that there never was, nothing is.
    let ran = farm.sh("wbind retry -v farm 1-1 9-9");
    assert_eq!((ran.status, &*ran.stderr), (2, "wbind: 9-9: no such dead letter\n"));
    assert_eq!(farm.once().status, 1);
    assert_eq!(farm.lines("notes").len(), 5, "two were put back, each once");
    // It died again.
    std::fs::write(farm.path("mended"), "").unwrap();
    assert_eq!(again().stderr, "wbind: farm: 1 put back\n");
    farm.once().done();
    assert_eq!(again().stderr, format!("{already}wbind: farm: 0 put back\n"));
    assert_eq!(farm.lines("notes")[5..], ["2"]);
}

#[test]
fn why_a_program_that_is_there_does_not_start_is_said() {
    for (bytes, expected) in [
        ("#!/no/such -x\n", "the interpreter that its #! line names is not there: /no/such"),
        (
            "#! /bin/sh\r\ntrue\r\n",
            "the interpreter that its #! line names is not there: /bin/sh\\r: the line ends with CR LF, and has to with LF",
        ),
        ("#! \n", "it is no program: its #! line names no interpreter"),
        ("", "it is no program: the file is empty"),
        ("true\n", "it is no program: it has no #! line, and is no binary of this machine"),
        (
            "\u{feff}#!/bin/sh\n",
            "it is no program: a byte order mark stands before its #! line: save it as UTF-8 without one",
        ),
    ] {
        let farm = Farm::new();
        farm.handler("h", "true");
        std::fs::write(farm.path("handlers/h"), bytes).unwrap();
        assert_eq!(given_up(&farm, ""), format!("start: {expected}"), "{bytes:?}");
    }
    let farm = Farm::new();
    farm.sh("ln -s h farm/handlers/h").done();
    let ran = farm.sh("wbind farm/temp h");
    assert_eq!((ran.status, &*ran.stderr), (2, "wbind: h: handlers/h is a link that leads to itself\n"));
}

#[test]
fn triggers_that_go_with_their_binding_are_said_and_logged_with_or_without_a_server() {
    let farm = Farm::with("--type i64");
    farm.handler("h", "true");
    farm.handler("late", "sleep 1000");
    farm.sh("wbind farm/temp h --where 'int(value) % 2 == 0'; wbind farm/temp late; seq 7 | wput farm/temp")
        .done();
    let ran = farm.sh("wbind remove farm/temp h");
    let said = "wbind: farm/temp: h removed with 3 triggers that were not done: from element 2 to 6\n";
    assert_eq!((ran.status, &*ran.stderr), (0, said));
    let lost = |at: usize| {
        let record = farm.log("lost").remove(at);
        let number = |name: &str| record[name].as_u64().unwrap_or(0);
        let reason = record["reason"].as_str().unwrap().to_owned();
        (number("binding"), number("seqno"), number("to"), record["handler"].clone(), reason)
    };
    let reason = |count| format!("the binding was removed with {count} of these not done");
    assert_eq!(lost(0), (1, 2, 6, "h".into(), reason(3)));
    let server = farm.serve();
    farm.until("some run", || farm.count(0, "running") == 4);
    let ran = farm.sh("wbind remove -v farm/temp");
    let said = "wbind: farm/temp: late removed with 7 triggers that were not done: from element 1 to 7\n\
                wbind: farm/temp: 1 removed\n";
    assert_eq!((ran.status, &*ran.stderr), (0, said));
    assert_eq!(lost(1), (2, 1, 7, "late".into(), reason(7)));
    // What was removed does not come back, and what is bound later is run as ever.
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh("wbind farm/temp note; wput farm/temp 8").done();
    farm.until("it is known to be done", || farm.count(0, "done") == 1);
    assert_eq!(farm.lines("notes"), ["8"]);
    server.kill();
    farm.sh("wput farm/temp 9").done();
    farm.once().done();
    assert_eq!(farm.lines("notes"), ["8", "9"]);
    // Of nothing that was not done nothing is said.
    farm.sh("wbind remove farm/temp note").done();
    farm.sh("wbind farm/temp note; wput farm/temp 10").done();
    let said = "wbind: farm/temp: note removed with a trigger that was not done: element 10\n";
    assert_eq!(farm.sh("wbind remove farm/temp").stderr, said);
    assert_eq!(farm.log("lost").len(), 3);
}

#[test]
fn a_handler_that_is_killed_or_never_ends_fails() {
    let farm = Farm::new();
    farm.handler("h", "kill -SEGV $$");
    assert_eq!(given_up(&farm, ""), "killed by signal 11");
    let farm = Farm::new();
    farm.handler("h", "sleep 1000 & echo $! >> pids; setsid sleep 1000 & echo $! >> pids; wait");
    assert_eq!(given_up(&farm, "--limit 5s"), "not done after 5s, the time limit: killed");
    let pids = farm.lines("pids");
    assert_eq!(pids.len(), 4);
    farm.until("its children are gone", || !pids.iter().any(|pid| is_alive(pid)));
}

#[test]
fn output_that_finds_no_room_until_the_time_limit_fails_and_says_what_for() {
    let farm = Farm::new();
    farm.handler("h", "seq 5");
    let full = "wcreate farm/into --history 2 --element-size 8 && wbind farm/into h && wbind pause farm/into";
    let expected = "output: into: woof is full of elements whose handlers are not done: the oldest is 1";
    assert_eq!(given_up_after(&farm, "--into into --limit 5s", full), expected);
}

#[test]
fn a_long_lived_handler_that_only_writes_is_killed_at_its_limit() {
    let farm = Farm::new();
    farm.handler("h", "while :; do echo x; done");
    assert_eq!(given_up(&farm, "--stream --limit 300ms"), "no answer after 300ms, the time limit: killed");
}

/// Whether a process runs, and is not only waited for.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains("sleep") && !stat.contains(") Z")
}

#[test]
fn children_that_stay_are_ended_with_their_handler() {
    let farm = Farm::new();
    farm.handler("h", "sleep 1000 & echo $! > pid");
    farm.sh("wbind farm/temp h; wput farm/temp 1").done();
    farm.once().done();
    let pid = farm.lines("pid").remove(0);
    farm.until("the child is gone", || !is_alive(&pid));
}

#[test]
fn a_handler_may_write_much_read_nothing_or_close_its_input() {
    let farm = Farm::with("--type text --capacity 64MiB");
    farm.handler(
        "much",
        "head -c 100000000 /dev/zero | tr '\\0' '\\n'; head -c 1000000 /dev/zero >&2; touch much",
    );
    farm.handler("nothing", "touch nothing");
    farm.handler("closes", "exec <&-; touch closes");
    farm.handler("h", "head -c 100000000 /dev/zero | tr '\\0' 'x'");
    farm.sh("for h in much nothing closes; do wbind farm/temp $h; done; head -c 9000000 /dev/zero | wput --split all farm/temp").done();
    farm.once().done();
    for name in ["much", "nothing", "closes"] {
        assert!(farm.path(name).exists(), "{name}");
    }
    // Into a woof, too much is a failure.
    farm.sh("wcreate farm/into; wbind farm/temp h --into into --retries 0; wput farm/temp x").done();
    assert_eq!(farm.once().status, 1);
    let dead = farm.sh("wget farm/.woof/dead -u");
    assert!(dead.done().contains("output of more than 16777216 bytes"), "{dead:?}");
}

#[test]
fn a_loop_ends_and_says_so_unless_it_is_meant() {
    let farm = Farm::with("--type i64");
    farm.handler("loop", "read v; wput $WOOF_NAME $((v + 1)) > /dev/null");
    farm.sh("wbind farm/temp loop; wput farm/temp 0").done();
    assert_eq!(farm.once().status, 1);
    assert_eq!(farm.sh("wget farm/temp -u").done(), "15\n");
    let dead = farm.sh("wget farm/.woof/dead -u");
    assert!(
        dead.done().contains("put by handlers of handlers 15 deep (a loop? wbind --chain allows it)"),
        "{dead:?}"
    );
    let farm = Farm::with("--type i64");
    farm.handler("loop", "read v; [ $v -ge 40 ] || wput $WOOF_NAME $((v + 1)) > /dev/null");
    farm.sh("wbind farm/temp loop --chain; wput farm/temp 0").done();
    farm.once().done();
    assert_eq!(farm.sh("wget farm/temp -u").done(), "40\n");
    // A long-lived one does not go round for ever either.
    let farm = Farm::with("--type i64");
    farm.handler("loop", "wcat -u | while read v; do wput $WOOF_NAME $((v + 1)) > /dev/null; echo ok; done");
    farm.sh("wbind farm/temp loop --stream; wput farm/temp 0").done();
    assert_eq!(farm.once().status, 1);
    assert_eq!(farm.sh("wget farm/temp -u").done(), "15\n");
}

#[test]
fn a_woof_full_of_what_is_not_done_refuses_by_name_or_waits() {
    let farm = Farm::with("--history 10 --element-size 8 --type i64");
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh("wbind farm/temp note").done();
    let ran = farm.sh("seq 12 | wput farm/temp");
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        "wput: farm/temp: woof is full of elements whose handlers are not done: the oldest is 1\n"
    );
    assert_eq!(farm.count(0, "pending"), 10);
    let server = farm.serve();
    farm.sh("seq 11 200 | wput -q --wait-handlers 2m farm/temp").done();
    farm.until("all are done", || farm.lines("notes").len() == 200);
    server.kill();
    let mut notes: Vec<u64> = farm.lines("notes").iter().map(|line| line.parse().unwrap()).collect();
    notes.sort_unstable();
    assert_eq!(notes, (1..=200).collect::<Vec<_>>());
}

#[test]
fn triggers_of_a_woof_that_is_removed_are_recorded_as_lost() {
    let farm = Farm::new();
    farm.handler("h", "exit 1");
    farm.sh("wbind farm/temp h --retries 90; wput farm/temp 1 2 3").done();
    let server = farm.serve();
    farm.until("they failed", || farm.count(0, "failed") >= 3);
    let said = "wrm: farm/temp: removed with elements 1 to 3 whose handlers were not done\n";
    assert_eq!(farm.sh("wrm farm/temp").stderr, said);
    farm.until("they are lost", || farm.sh("wstat --triggers farm --json").text().contains("\"lost\":3"));
    assert_eq!(farm.log("lost")[0]["reason"], "the woof was removed");
    // A woof of that name begins anew.
    farm.handler("h", "read v; echo $WOOF_SEQNO $v >> notes");
    farm.sh("wcreate farm/temp --type f64; wput farm/temp 9").done();
    farm.until("the new one is handled", || farm.lines("notes") == ["1 9"]);
    server.kill();
}

#[test]
fn slow_handlers_of_one_woof_do_not_delay_those_of_another() {
    let farm = Farm::new();
    farm.handler("slow", "until [ -e go ]; do sleep 0.05; done; echo x >> slow");
    farm.handler("quick", "touch quick");
    farm.sh("wcreate farm/other; wbind farm/temp slow; wbind farm/other quick").done();
    let server = farm.serve();
    farm.sh("seq 16 | wput farm/temp").done();
    farm.until("some run", || farm.count(0, "running") == 4);
    farm.sh("wput farm/other x").done();
    farm.until("the quick one is done", || farm.path("quick").exists());
    assert_eq!(farm.lines("slow").len(), 0);
    std::fs::write(farm.path("go"), "").unwrap();
    farm.until("the slow ones are done", || farm.lines("slow").len() == 16);
    server.kill();
}
