//! The lines with which the project shows what it is, as they stand in its documents.

use crate::support::{Sandbox, woof};
use crate::woofs::{asleep, end, installed, start};

/// A sandbox whose `farm/temp` has the numbers to 100.
fn farm() -> Sandbox {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh(
        "wcreate -p farm/temp --type f64 && seq 100 | wput farm/temp > acks && wget farm/temp 98..100 -u",
    );
    assert_eq!(ran.done(), "98\n99\n100\n");
    sandbox
}

#[test]
fn links_a_woof_and_a_range() {
    let sandbox = Sandbox::new();
    // Without the path that the other tests have: the links alone.
    let script = format!(
        "PATH=/usr/bin:/bin; {} --install-links w > made && PATH=$PWD/w:$PATH
         wcreate -p farm/temp --type f64 && seq 100 | wput farm/temp | wcat | tail -1 && wget farm/temp 98..100 -u",
        woof()
    );
    assert_eq!(sandbox.sh(&script).done(), "farm/temp 100\n98\n99\n100\n");
}

#[test]
fn the_last_three_as_json() {
    if !installed("jq") {
        return woof_kit::skip("needs jq");
    }
    assert_eq!(farm().sh("wtail farm/temp -n 3 --count 3 --json | jq .value").done(), "98\n99\n100\n");
}

#[test]
fn alerts_are_filtered_as_they_come() {
    let sandbox = farm();
    // The follower stops after the five that are put once it follows, which its mark says.
    let script = "mkfifo marks
        ( wtail farm/temp --count 5 | tee marks | wfilter 'value > 50' | wput --create farm/alerts > acks ) &
        wcat --json --marks < marks | while read -r line; do
            case $line in *caught-up*) printf '%s\\n' 60 40 70.5 50 51 | wput farm/temp > acks2;; esac
        done
        wait; wget farm/alerts .. -u";
    assert_eq!(sandbox.sh(script).done(), "60\n70.5\n51\n");
}

#[test]
fn a_unix_tool_between_types() {
    let expected: String = (1..=10).map(|number| format!("{number} degrees\n")).collect();
    assert_eq!(farm().sh("seq 10 | wrun -- sed 's/$/ degrees/' | wcat").done(), expected);
}

#[test]
fn a_cut_stream_is_said_and_is_status_2() {
    let ran = farm().sh("wget farm/temp .. | head -c 100 | wcat ; echo $?");
    assert_eq!((ran.text(), ran.stderr.as_str()), ("1\n2\n", "wcat: in: stream cut after 2 messages\n"));
}

#[test]
fn merged_by_time_with_process_substitution() {
    let sandbox = farm();
    sandbox.sh("wget farm/temp 1..7 | wput --create farm/alerts > acks").done();
    let ran = sandbox.run(
        "bash",
        &["-c", "wmerge --by time <(wget farm/temp ..) <(wget farm/alerts ..) | wcount"],
        b"",
    );
    assert_eq!(ran.done().split_whitespace().next(), Some("107"), "{ran:?}");
}

#[test]
fn an_idle_follower_makes_no_system_calls() {
    if !installed("strace") {
        return woof_kit::skip("needs strace");
    }
    let sandbox = farm();
    let mut wtail = start(&sandbox, "wtail", &["farm/temp"]);
    let out = wtail.stdout.take();
    asleep(&wtail);
    let script =
        format!("timeout -s INT 1 strace -f -e 'trace=!restart_syscall' -p {} 2>&1 | cat", wtail.id());
    let ran = sandbox.sh(&script);
    if ran.text().contains("ptrace") {
        drop(out);
        end(wtail);
        return woof_kit::skip("needs a machine that lets its users trace processes");
    }
    // Each thread was in its wait when strace came, and is in it when strace goes.
    let calls: Vec<&str> = ran
        .text()
        .lines()
        .filter(|line| !line.contains(" attached") && !line.contains("detached"))
        .filter(|line| !line.contains("futex(") && !line.contains("poll("))
        .collect();
    assert!(calls.is_empty(), "{}", ran.text());
    // One thread waits for elements, one for its reader to go, one for another file to get the name.
    for (wait, most) in [("futex(", 1), ("poll(", 2)] {
        assert!(ran.text().matches(wait).count() <= most, "{}", ran.text());
    }
    drop(out);
    assert_eq!(end(wtail).status, 0);
}
