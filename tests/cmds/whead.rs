//! `whead`.

use crate::streams::{fault, number, open, others, stream, woof_dir};
use crate::support::Sandbox;
use libwoofstream::wire::encode;

fn farm() -> Vec<u8> {
    stream(|out| {
        woof_dir(out, "farm/temp", "f64");
        (1..=3).for_each(|seqno| number(out, seqno, 0, 0.5));
        others(out);
        (4..=5).for_each(|seqno| number(out, seqno, 0, 0.5));
        encode::mark(out, "last");
    })
}

#[test]
fn the_first_come_with_their_context() {
    let sandbox = Sandbox::new();
    let expected = stream(|out| {
        woof_dir(out, "farm/temp", "f64");
        (1..=3).for_each(|seqno| number(out, seqno, 0, 0.5));
        others(out);
        number(out, 4, 0, 0.5);
    });
    assert_eq!(sandbox.run("whead", &["-n", "4"], &farm()).stdout, expected);
    assert_eq!(sandbox.run("whead", &["-n", "99"], &farm()).stdout, farm());
    assert_eq!(sandbox.run("whead", &["-n", "0"], &farm()).stdout, stream(|_| {}));
    assert_eq!(sandbox.sh("seq 20 | whead -u").done(), "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
}

#[test]
fn a_negative_count_is_all_but_the_last() {
    let sandbox = Sandbox::new();
    let expected = stream(|out| {
        woof_dir(out, "farm/temp", "f64");
        (1..=2).for_each(|seqno| number(out, seqno, 0, 0.5));
        others(out);
        encode::mark(out, "last");
    });
    assert_eq!(sandbox.run("whead", &["-n", "-3"], &farm()).stdout, expected);
    assert_eq!(sandbox.sh("seq 5 | whead -n -2 -u").done(), "1\n2\n3\n");
    assert_eq!(sandbox.sh("seq 5 | whead --count=-9 -u").done(), "");
}

#[test]
fn it_ends_without_waiting_for_more() {
    let sandbox = Sandbox::new();
    // The writer stays for ever: only the end of whead itself can end this.
    let script = "mkfifo in; exec 3<> in; printf 'a\\nb\\n' >&3; whead -n 2 -u < in";
    assert_eq!(sandbox.sh(script).done(), "a\nb\n");
    let ran = sandbox.bash("yes | whead -n 3 | wcount; echo ${PIPESTATUS[@]:1}");
    assert_eq!(ran.done(), "3\n0 0\n");
}

#[test]
fn a_cut_behind_the_first_is_not_its_matter_and_one_before_is() {
    let sandbox = Sandbox::new();
    let cut = open(|out| (1..=3).for_each(|seqno| number(out, seqno, 0, 0.5)));
    assert_eq!(sandbox.run("whead", &["-n", "2"], &cut).status, 0);
    for count in ["4", "-1"] {
        let ran = sandbox.run("whead", &["-n", count, "-u"], &cut);
        assert_eq!((ran.status, ran.stderr.as_str()), (2, "whead: in: stream cut after 3 messages\n"));
    }
    let mut failed = cut;
    encode::end(&mut failed, Err(&fault()));
    let ran = sandbox.run("whead", &[], &failed);
    assert_eq!((ran.status, ran.stdout), (2, failed));
}

#[test]
fn empty_input_and_bytes_of_any_kind_pass() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("whead", &["-u"], b"").done(), "");
    let long = [vec![b'x'; 3 << 20], b"\n\0\xff".to_vec()].concat();
    for count in ["2", "9"] {
        assert!(sandbox.run("whead", &["-u", "-n", count], &long).stdout == long);
    }
    let ran = sandbox.run("whead", &["-n", "x"], b"");
    assert_eq!((ran.status, ran.stderr.lines().count()), (2, 1));
}
