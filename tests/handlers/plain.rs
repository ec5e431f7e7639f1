//! What handlers are for: they run for the elements they are bound to, once each, with what they need to know.

use crate::farm::Farm;

const NOTE: &str = "read v; echo \"$WOOF_SEQNO $v\" >> notes";

#[test]
fn a_handler_runs_for_each_element_that_matches_and_for_no_other() {
    let farm = Farm::new();
    farm.handler("alarm.sh", NOTE);
    farm.sh("wput farm/temp 90; wbind farm/temp alarm.sh --where 'value > 70'; seq 68 73 | wput farm/temp")
        .done();
    assert_eq!(farm.count(0, "pending"), 3);
    farm.once().done();
    let mut notes = farm.lines("notes");
    notes.sort();
    assert_eq!(notes, ["5 71", "6 72", "7 73"], "not of the element that was there before");
    assert_eq!((farm.count(0, "pending"), farm.count(0, "done")), (0, 3));
    for what in ["put", "claimed", "done"] {
        let mut seqnos: Vec<u64> =
            farm.log(what).iter().map(|record| record["seqno"].as_u64().unwrap()).collect();
        seqnos.sort_unstable();
        assert_eq!(seqnos, [5, 6, 7], "{what}");
    }
    // Nothing runs twice.
    farm.once().done();
    assert_eq!(farm.lines("notes").len(), 3);
}

#[test]
fn a_handler_that_is_named_runs_for_what_was_put_with_its_name() {
    let farm = Farm::new();
    farm.handler("one.sh", "read v; echo one $v >> notes");
    farm.handler("two.sh", "read v; echo two $v >> notes");
    farm.sh("wput farm/temp 1; wput farm/temp --handler one.sh 2 3; wput farm/temp --handler two.sh 4; wput farm/temp 5").done();
    farm.once().done();
    let mut notes = farm.lines("notes");
    notes.sort();
    assert_eq!(notes, ["one 2", "one 3", "two 4"]);
    let ran = farm.sh("wput farm/temp --handler ../x.sh 6");
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        "wput: \"../x.sh\": a handler is a file in the directory handlers: its name has no \"/\"\n"
    );
    assert_eq!(
        farm.sh("wstat farm/temp --json").done().matches("\"next_seqno\":6").count(),
        1,
        "nothing was put"
    );
}

#[test]
fn a_handler_has_a_clean_environment_and_its_element() {
    let farm = Farm::with("--type text");
    farm.handler("env.sh", "env | sort > environment; cat > input; pwd -P > dir");
    farm.sh("wbind farm/temp env.sh; SECRET=1 wput farm/temp 'some text'; SECRET=1 wserve --once .").done();
    let names: Vec<String> =
        farm.lines("environment").iter().map(|line| line.split('=').next().unwrap().to_owned()).collect();
    // The shell itself adds PWD and others.
    let ours: Vec<&String> =
        names.iter().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str())).collect();
    assert_eq!(
        ours,
        [
            "PATH",
            "WOOF_ATTEMPT",
            "WOOF_CAUSE",
            "WOOF_DEPTH",
            "WOOF_DEPTH_SEAL",
            "WOOF_NAME",
            "WOOF_NAMESPACE",
            "WOOF_SEQNO",
            "WOOF_TIME",
            "WOOF_TRIGGER"
        ]
    );
    let environment = farm.lines("environment").join("\n");
    for line in [
        "WOOF_NAME=temp",
        "WOOF_SEQNO=1",
        "WOOF_ATTEMPT=1",
        "WOOF_CAUSE=put",
        "WOOF_DEPTH=1",
        "WOOF_TRIGGER=1-1",
    ] {
        assert!(environment.contains(line), "{environment}");
    }
    assert_eq!(farm.lines("input"), ["some text"]);
    assert_eq!(farm.lines("dir"), [farm.path("").canonicalize().unwrap().to_str().unwrap()]);
}

#[test]
fn a_server_runs_handlers_as_elements_come_and_takes_bindings_as_they_are_made() {
    let farm = Farm::new();
    farm.handler("note.sh", NOTE);
    let server = farm.serve();
    farm.sh("wbind farm/temp note.sh; wput farm/temp 1").done();
    farm.until("the first is done", || farm.lines("notes") == ["1 1"]);
    farm.sh("wput farm/temp 2").done();
    farm.until("the second is done", || farm.lines("notes").len() == 2);
    farm.sh("wbind pause farm/temp; wput farm/temp 3").done();
    farm.sh("wcreate -p other/w; cp farm/handlers/note.sh other/handlers").done();
    farm.sh("wbind other/w note.sh; wput other/w x").done();
    farm.until("another namespace is served", || farm.sh("cat other/notes").text() == "1 x\n");
    assert_eq!(farm.lines("notes").len(), 2, "paused");
    let ran = farm.sh("wserve --once farm");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("another server runs its handlers"), "{ran:?}");
    farm.sh("wbind resume farm/temp").done();
    farm.until("it goes on", || farm.lines("notes").len() == 3);
    server.kill();
}

#[test]
fn dead_letters_of_a_group_that_are_put_back_run_in_the_order_in_which_they_died() {
    let farm = Farm::with("--type i64");
    farm.handler("h", "exit 1");
    farm.sh("wbind farm/temp h --group g --retries 0; seq 12 | wput farm/temp").done();
    assert_eq!(farm.once().status, 1);
    // The sooner it comes the longer it takes.
    farm.handler("h", "read v; sleep 0.$((9 - v % 9)); echo $v >> notes");
    farm.sh("wbind retry farm").done();
    farm.once().done();
    let expected: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
    assert_eq!(farm.lines("notes"), expected);
}

#[test]
fn what_is_said_of_a_namespace_that_is_not_there_and_of_a_woof_that_goes_with_its_triggers() {
    let farm = Farm::with("--type i64");
    farm.sh("wserve --once .").done();
    for command in ["wbind retry nofarm", "wbind list nofarm"] {
        let ran = farm.sh(command);
        assert_eq!(
            (ran.status, &*ran.stderr),
            (2, "wbind: nofarm: no such namespace or woof\n"),
            "{command}"
        );
    }
    farm.handler("h", "true");
    farm.sh("wbind farm/temp h; seq 5 | wput farm/temp").done();
    let said = "wrm: farm/temp: removed with elements 1 to 5 whose handlers were not done\n";
    assert_eq!(farm.sh("wrm farm/temp").stderr, said);
}

#[test]
fn in_a_group_triggers_run_one_at_a_time_and_in_order_also_when_some_fail() {
    let farm = Farm::with("--type i64");
    // Every third fails the first time; two at a time would leave the lock behind.
    farm.handler(
        "book.sh",
        "read v; mkdir busy || { echo overlap >> notes; exit 1; }; echo $v >> notes; rmdir busy; \
         [ $((v % 3)) -ne 0 ] || [ $WOOF_ATTEMPT -gt 1 ]",
    );
    farm.sh("wcreate farm/more --type i64; wbind farm/temp book.sh --group books; wbind farm/more book.sh --group books").done();
    farm.sh("for v in 1 2 3 4; do wput farm/temp $v; wput farm/more 1$v; done").done();
    farm.once().done();
    assert_eq!(farm.lines("notes"), ["1", "11", "2", "12", "12", "3", "3", "13", "4", "14"]);
}

#[test]
fn output_goes_into_a_woof_and_input_is_framed_where_asked_for() {
    let farm = Farm::new();
    farm.handler("twice", "wcat | while read v; do expr $v + $v; done");
    farm.handler("frames", "wcat --json > frames");
    farm.sh("wcreate farm/doubles --type f64; wbind farm/temp twice --framed --into doubles; wbind farm/temp frames --framed").done();
    farm.sh("wput farm/temp 21").done();
    farm.once().done();
    assert_eq!(farm.sh("wget farm/doubles -u").done(), "42\n");
    let frames = farm.lines("frames");
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert!(
        frames[0].contains("\"woof\":\"temp\",\"seqno\":1") && frames[0].contains("\"value\":21"),
        "{frames:?}"
    );
}

#[test]
fn a_long_lived_handler_gets_all_elements_and_is_started_once() {
    let farm = Farm::with("--type i64");
    farm.handler(
        "stream",
        "echo start >> starts; wcat -u | while read v; do echo $v >> notes; echo ok; done",
    );
    farm.sh("wbind farm/temp stream --stream; seq 100 | wput farm/temp").done();
    farm.once().done();
    assert_eq!(farm.lines("starts").len(), 1);
    assert_eq!(farm.lines("notes"), (1..=100).map(|v| v.to_string()).collect::<Vec<_>>());
    assert_eq!((farm.count(0, "done"), farm.count(0, "pending")), (100, 0));
}

#[test]
fn a_long_lived_handler_that_fails_or_ends_has_only_its_element_tried_again() {
    let farm = Farm::with("--type i64");
    let script = "wcat -u | while read v; do case $v in \
         2) [ -e failed ] && echo ok || { touch failed; echo failed no two; };; \
         4) [ -e ended ] && echo ok || { touch ended; exit 7; };; *) echo ok;; esac; echo $v >> notes; done";
    farm.handler("stream", script);
    farm.sh("wbind farm/temp stream --stream --retries 5; seq 6 | wput farm/temp").done();
    farm.once().done();
    assert_eq!((farm.count(0, "done"), farm.count(0, "dead")), (6, 0));
    let reasons: Vec<String> =
        farm.log("failed").iter().map(|record| record["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["no two", "ended without an answer: exit status 7"]);
}

#[test]
fn bindings_are_shown_and_removed() {
    let farm = Farm::new();
    farm.handler("a.sh", "true");
    farm.handler("b.sh", "true");
    farm.sh("wbind farm/temp a.sh --where 'value > 1' --group g --retries 0; wbind farm/temp b.sh --stream")
        .done();
    let shown = "1  temp  a.sh  --where 'value > 1'  --group g  --retries 0\n2  temp  b.sh  --stream\n";
    for script in ["wbind list farm", "wbind farm/temp", "wbind farm", "cd farm && wbind list"] {
        assert_eq!(farm.sh(script).done(), shown, "{script}");
    }
    let ran = farm.sh("wbind farm/temp a.sh");
    assert_eq!(ran.stderr, "wbind: farm/temp: a.sh is bound to it already (wbind remove ends that)\n");
    let ran = farm.sh("wput farm/temp 5; wbind remove farm/temp a.sh; wbind remove farm/temp b.sh");
    let said = ["a.sh", "b.sh"].map(|handler| {
        format!("wbind: farm/temp: {handler} removed with a trigger that was not done: element 1\n")
    });
    assert_eq!((ran.status, ran.stderr), (0, said.concat()));
    assert_eq!(farm.sh("wbind remove farm/temp").stderr, "wbind: farm/temp: no handler is bound to it\n");
    assert_eq!(farm.sh("wbind list farm").done(), "");
    farm.once().done();
    assert_eq!(farm.sh("wbind farm/temp c.sh --where 'value >'").status, 2);
}

#[test]
fn the_woofs_of_the_namespace_itself_can_be_read_and_not_changed() {
    let farm = Farm::new();
    farm.handler("note.sh", NOTE);
    farm.sh("wbind farm/temp note.sh; wput farm/temp 1; wserve --once .").done();
    let refusal = "what is in .woof is the namespace's own: it can be read and not changed\n";
    for script in ["wput farm/.woof/triggers '{}'", "wrm farm/.woof/triggers", "wcreate farm/.woof/x"] {
        let ran = farm.sh(script);
        assert!(ran.status != 0 && ran.stderr.ends_with(refusal), "{script}: {ran:?}");
    }
    let ran = farm.sh("wtail farm/.woof/triggers -n 20 --no-follow -u | grep -c '\"what\":\"done\"'");
    assert_eq!(ran.done(), "1\n");
}

#[test]
fn a_put_through_a_server_can_name_a_handler() {
    let farm = Farm::new();
    farm.handler("note.sh", NOTE);
    let server = farm.serve();
    farm.until("it listens", || farm.sandbox.dir().join(".woof/server.sock").exists());
    farm.sh("wput woof://$PWD/farm/temp --handler note.sh 5; wput woof://$PWD/farm/temp 6").done();
    farm.until("it is handled", || farm.lines("notes") == ["1 5"]);
    let read = farm.sh("wtail woof://$PWD/farm/.woof/triggers -n 20 --no-follow -u | grep -c put");
    assert_eq!(read.done(), "2\n", "the put, and the cause of the claim");
    let ran = farm.sh("wput woof://$PWD/farm/.woof/triggers x");
    assert!(ran.stderr.contains("names that begin with .woof are the namespace's own"), "{ran:?}");
    let ran = farm.sh("wput woof://$PWD/farm/temp --handler none.sh 5");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.ends_with("farm/temp: no such handler: there is no handlers/none.sh\n"), "{ran:?}");
    assert_eq!(farm.sh("wbind list farm").done(), "1  temp  note.sh  --named\n");
    let ran = farm.sh("wput woof://$PWD/farm/temp --handler /bin/sh 5");
    assert!(ran.stderr.contains("its name has no \"/\""), "{ran:?}");
    server.kill();
}

#[test]
fn handlers_are_started_with_no_signal_blocked_whatever_runs_them() {
    let farm = Farm::new();
    farm.handler("masks", "sed -n 's/^SigBlk:.//p' /proc/self/status >> masks; echo ok");
    farm.sh("wbind farm/temp masks; wcreate farm/more; wbind farm/more masks --stream").done();
    farm.sh(
        "wput farm/temp 1; wput farm/more 1; wserve --once . 2> log; wrun --at farm masks < /dev/null > out",
    )
    .done();
    farm.sh("wrun --on farm/temp --from 1 -n 1 farm/handlers/masks > out; cat masks >> farm/masks").done();
    assert_eq!(farm.lines("masks"), ["0000000000000000"; 4]);
}
