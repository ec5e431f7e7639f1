//! The line that shows how far a transfer is.

use crate::support::Sandbox;

#[test]
fn a_transfer_that_takes_long_shows_how_far_it_is_on_a_terminal_and_wipes_it() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w").done();
    let slow = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line; sleep 0.3; done";
    let seen = sandbox.terminal(&format!("({slow}) | wput w > acks; echo; echo done"));
    assert!(
        seen.contains("\rwput: ") && seen.contains(" elements, ") && seen.contains(" a second\u{1b}[K"),
        "{seen:?}"
    );
    assert!(seen.ends_with("\r\u{1b}[K\ndone\n"), "{seen:?}");
    // A quick one shows nothing, nor does one whose errors go into a file.
    let seen = sandbox
        .terminal(&format!("seq 5 | wput w > acks; ({slow}) | wput w > acks 2> said; cat said; echo done"));
    assert_eq!(seen, "done\n");
}

#[test]
fn a_signal_wipes_the_line_and_ends_the_command_as_it_does() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w").done();
    let script =
        "(for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line; sleep 0.3; done; exec sleep 20) > fifo 2> said & feeder=$!
        wput w < fifo > acks & put=$!; sleep 3.2; kill -TERM $put; wait $put; echo $?; kill $feeder";
    let seen = sandbox.terminal(&format!("mkfifo fifo; {script}"));
    assert!(seen.contains("\rwput: "), "{seen:?}");
    assert!(seen.ends_with("\r\u{1b}[KTerminated\n143\n"), "{seen:?}");
}
