//! The line that shows how far a transfer is.

use crate::support::Sandbox;

#[test]
fn a_transfer_that_takes_long_shows_how_far_it_is_on_a_terminal_and_wipes_it() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w").done();
    let shown = sandbox.dir().join("shown");
    let script = "(until test -e shown; do echo line; sleep 0.1; done) | wput w > acks; echo; echo done";
    let seen = sandbox.terminal_with(script, |seen| {
        if seen.contains(" a second\u{1b}[K") {
            std::fs::write(&shown, "").unwrap();
        }
    });
    assert!(
        seen.contains("\rwput: ") && seen.contains(" elements, ") && seen.contains(" a second\u{1b}[K"),
        "{seen:?}"
    );
    assert!(seen.ends_with("\r\u{1b}[K\ndone\n"), "{seen:?}");
    // A quick one shows nothing, nor does one whose errors go into a file.
    let slow = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line; sleep 0.3; done";
    let seen = sandbox
        .terminal(&format!("seq 5 | wput w > acks; ({slow}) | wput w > acks 2> said; cat said; echo done"));
    assert_eq!(seen, "done\n");
}

#[test]
fn a_signal_wipes_the_line_and_ends_the_command_as_it_does() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w").done();
    let shown = sandbox.dir().join("shown");
    let script = "mkfifo fifo; (until test -e ended; do echo line; sleep 0.1; done) > fifo 2> said &
        wput w < fifo > acks & put=$!
        until test -e shown; do sleep 0.05; done; kill -TERM $put; wait $put; echo $?; echo > ended";
    let seen = sandbox.terminal_with(script, |seen| {
        if seen.contains("\rwput: ") {
            std::fs::write(&shown, "").unwrap();
        }
    });
    assert!(seen.contains("\rwput: "), "{seen:?}");
    assert!(seen.ends_with("\r\u{1b}[KTerminated\n143\n"), "{seen:?}");
}
