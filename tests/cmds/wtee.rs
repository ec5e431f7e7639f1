//! `wtee`.

use crate::streams::{fault, number, open, others, stream, woof_dir};
use crate::support::Sandbox;
use libwoofstream::wire::encode;

fn farm() -> Vec<u8> {
    stream(|out| {
        woof_dir(out, "farm/temp", "f64");
        number(out, 1, 0, 21.5);
        others(out);
        number(out, 2, 0, 98.0);
    })
}

#[test]
fn every_copy_is_the_stream() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wtee", &["a", "b"], &farm());
    assert_eq!((ran.status, ran.stderr.as_str(), &ran.stdout), (0, "", &farm()));
    for name in ["a", "b"] {
        assert_eq!(std::fs::read(sandbox.dir().join(name)).unwrap(), farm());
    }
    assert_eq!(sandbox.run("wtee", &[], &farm()).stdout, farm());
    let ran =
        sandbox.sh("seq 3 | WOOF_CHANNELS='in=<0,out=>1,left=>5' wtee @left 5> left | wcount; wcat -u left");
    assert_eq!(ran.done(), "3\n1\n2\n3\n");
}

#[test]
fn copies_have_the_form_of_out_or_their_own() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("seq 2 | wtee --raw copy; cat copy; seq 2 | wtee --json copy; cat copy");
    let json = "{\"type\":\"bytes\",\"data\":\"1\\n\"}\n{\"type\":\"bytes\",\"data\":\"2\\n\"}\n";
    assert_eq!(ran.done(), format!("1\n2\n1\n2\n{json}{json}"));
    let ran = sandbox
        .sh("seq 2 | wtee --as raw copy | wcount; cat copy; seq 2 | wtee -u --as framed copy; wcount < copy");
    assert_eq!(ran.done(), "2\n1\n2\n1\n2\n2\n");
}

#[test]
fn appended_streams_are_read_on_like_one() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh(
        "seq 2 | wtee -a log > x; seq 3 5 | wtee -a log > x; wcat -u log; wtee log < x > y; wcount < log",
    );
    assert_eq!(ran.done(), "1\n2\n3\n4\n5\n3\n");
}

#[test]
fn one_that_fails_is_told_and_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .sh("seq 20000 | wtee -u nosuch/copy good /dev/full > out; echo $?; cmp good out && wc -l < good");
    assert_eq!(ran.text(), "1\n20000\n");
    let told: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        told,
        ["wtee: nosuch/copy: no such file or directory", "wtee: /dev/full: write: no space left on device"]
    );
    // In a pipeline the error travels.
    let ran = sandbox.bash("seq 3 | wtee /dev/full | wcat; echo ${PIPESTATUS[@]:1}");
    assert_eq!(
        (ran.text(), ran.stderr.as_str()),
        ("1\n2\n3\n1 1\n", "wtee: /dev/full: write: no space left on device\n")
    );
}

#[test]
fn copies_go_on_when_nobody_reads_out_and_out_when_nobody_reads_a_copy() {
    let sandbox = Sandbox::new();
    let ran = sandbox.bash("seq 100000 | wtee copy | head -c 1 > x; echo ${PIPESTATUS[1]}; wcount < copy");
    assert_eq!(ran.done(), "0\n100000\n");
    let ran = sandbox.bash("seq 100000 | wtee >(head -c 1 > x) | wcount; echo ${PIPESTATUS[1]}");
    assert_eq!(ran.done(), "100000\n0\n");
    let ran = sandbox.bash("yes | wtee | head -c 1 > x; echo ${PIPESTATUS[1]}");
    assert_eq!(ran.done(), "0\n");
    let ran = sandbox.sh("seq 100000 | wtee copy > /dev/full; echo $?; wcount < copy");
    assert_eq!(
        (ran.text(), ran.stderr.as_str()),
        ("2\n100000\n", "wtee: out: write: no space left on device\n")
    );
}

#[test]
fn copies_end_as_the_input_ended() {
    let sandbox = Sandbox::new();
    let cut = open(|out| encode::bytes(out, b"x\n"));
    let ran = sandbox.run("wtee", &["-u", "--as", "framed", "copy"], &cut);
    assert_eq!(
        (ran.status, ran.text(), ran.stderr.as_str()),
        (2, "x\n", "wtee: in: stream cut after 1 message\n")
    );
    let ran = sandbox.run("wcat", &["copy"], b"");
    assert_eq!(
        (ran.status, ran.text(), ran.stderr.as_str()),
        (2, "x\n", "wtee: in: stream cut after 1 message\n")
    );
    let mut failed = cut;
    encode::end(&mut failed, Err(&fault()));
    let ran = sandbox.run("wtee", &["copy"], &failed);
    assert_eq!((ran.status, &ran.stdout), (2, &failed));
    assert_eq!(std::fs::read(sandbox.dir().join("copy")).unwrap(), failed);
}

#[test]
fn an_error_in_the_stream_is_said_once() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wtee", &["-u", "a", "b"], &farm());
    assert_eq!(
        (ran.status, ran.text(), ran.stderr.as_str()),
        (1, "21.5\n98\n", "wget: farm/temp: no element 1\n")
    );
}

#[test]
fn copies_are_written_before_it_waits_for_more() {
    let sandbox = Sandbox::new();
    let script = "mkfifo in; wtee -u copy < in > out & exec 3> in; echo 2 >&3
        for i in $(seq 1000); do test -s copy && test -s out && break; sleep 0.01; done; cat copy out; exec 3>&-; wait";
    assert_eq!(sandbox.sh(script).done(), "2\n2\n");
}
