//! `wmerge`.

use crate::streams::{FUTURE, fault, number, open, others, stream, woof_dir};
use crate::support::Sandbox;
use libwoofstream::wire::encode;

/// A sandbox with these files.
fn with(files: &[(&str, Vec<u8>)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, data) in files {
        std::fs::write(sandbox.dir().join(name), data).unwrap();
    }
    sandbox
}

fn woof(path: &str, elements: &[(u64, u64)]) -> Vec<u8> {
    stream(|out| {
        woof_dir(out, path, "f64");
        elements.iter().for_each(|(seqno, time)| number(out, *seqno, *time, 0.5));
    })
}

#[test]
fn by_time_and_by_seqno_elements_are_in_order_each_in_its_context() {
    let sandbox =
        with(&[("a", woof("a", &[(1, 10), (2, 20), (3, 40)])), ("b", woof("b", &[(2, 15), (9, 30)]))]);
    let expected = |order: &[(&str, u64, u64)]| {
        stream(|out| {
            let mut last = "";
            for (path, seqno, time) in order {
                if *path != last {
                    woof_dir(out, path, "f64");
                }
                number(out, *seqno, *time, 0.5);
                last = path;
            }
        })
    };
    let by_time = expected(&[("a", 1, 10), ("b", 2, 15), ("a", 2, 20), ("b", 9, 30), ("a", 3, 40)]);
    assert_eq!(sandbox.run("wmerge", &["--by", "time", "a", "b"], b"").stdout, by_time);
    let by_seqno = expected(&[("a", 1, 10), ("a", 2, 20), ("b", 2, 15), ("a", 3, 40), ("b", 9, 30)]);
    assert_eq!(sandbox.run("wmerge", &["--by", "seqno", "a", "b"], b"").stdout, by_seqno);
}

#[test]
fn what_is_no_element_keeps_its_place_in_its_stream() {
    let a = stream(|out| {
        number(out, 1, 10, 0.5);
        others(out);
        encode::bytes(out, b"x");
        number(out, 2, 30, 0.5);
        encode::mark(out, "a-last");
    });
    let b = stream(|out| {
        number(out, 1, 20, 0.5);
        encode::raw(out, &FUTURE);
    });
    let sandbox = with(&[("a", a), ("b", b)]);
    let expected = stream(|out| {
        number(out, 1, 10, 0.5);
        others(out);
        encode::bytes(out, b"x");
        number(out, 1, 20, 0.5);
        encode::raw(out, &FUTURE);
        number(out, 2, 30, 0.5);
        encode::mark(out, "a-last");
    });
    let ran = sandbox.run("wmerge", &["--by", "time", "a", "b"], b"");
    assert_eq!((ran.status, ran.stderr.as_str(), ran.stdout), (0, "", expected));
}

#[test]
fn raw_lines_after_a_woof_are_not_taken_for_its_elements() {
    let sandbox = with(&[("a", woof("a", &[(1, 10)]))]);
    let ran = sandbox.sh("echo line | wmerge --by time a - | wcat --json");
    let dirs: Vec<&str> = ran.done().lines().filter(|line| line.contains("dir")).collect();
    // The line has no time and goes first; the element comes with its woof.
    assert_eq!(dirs, ["{\"type\":\"dir\",\"content\":\"f64\",\"path\":\"a\"}"]);
    let ran = sandbox.sh(
        "wmerge --by time a a | wcount; touch out
        (until grep -q elem out; do sleep 0.02; done; echo 12345678) | wmerge a - | wcat --json > out; cat out",
    );
    assert_eq!(
        ran.done(),
        "2\n{\"type\":\"dir\",\"content\":\"f64\",\"path\":\"a\"}\n\
         {\"type\":\"elem\",\"woof\":\"a\",\"seqno\":1,\"time\":\"1970-01-01T00:00:00.000000010Z\",\"data\":\"0.5\",\"value\":0.5,\"content\":\"f64\"}\n\
         {\"type\":\"dir\"}\n{\"type\":\"bytes\",\"data\":\"12345678\\n\"}\n"
    );
}

#[test]
fn lists_of_attributes_stay_lists() {
    let list = |names: &[&str]| stream(|out| names.iter().for_each(|name| woof_dir(out, name, "f64")));
    let sandbox = with(&[("a", list(&["x", "y"])), ("b", list(&["z"])), ("none", stream(|_| {}))]);
    for by in ["arrival", "time"] {
        let ran = sandbox.sh(&format!("wmerge --by {by} a b none | wcat | sort"));
        assert_eq!(ran.done(), "x\ny\nz\n");
    }
}

#[test]
fn nothing_is_lost_or_turned_round_by_arrival() {
    let sandbox = Sandbox::new();
    let script = "wmerge <(seq 1 30000) <(seq 30001 60000 | wcat --framed) - < <(seq 60001 90000) -u > all
        sort -n all | cmp - <(seq 90000) && for from in 1 30001 60001; do
            awk -v from=$from '$1 >= from && $1 < from + 30000' all | cmp - <(seq $from $((from + 29999))); done";
    assert_eq!(sandbox.bash(script).done(), "");
}

#[test]
fn a_busy_source_does_not_keep_others_out() {
    let sandbox = Sandbox::new();
    let ran = sandbox.bash("wmerge <(yes busy) <(echo rare) -u | grep -m 1 rare");
    assert_eq!(ran.done(), "rare\n");
    // What came goes out while a source is silent.
    let ran = sandbox.bash("mkfifo silent; exec 3<> silent; wmerge silent <(echo here) -u | head -n 1");
    assert_eq!(ran.done(), "here\n");
}

#[test]
fn sources_of_one_producer_do_not_wait_for_each_other() {
    let sandbox = Sandbox::new();
    // 2 MiB go to one of them before anything goes to the other, and pipes hold far less.
    let script =
        "mkfifo a b; (exec 3> a 4> b; seq 300000 >&3; seq 300000 >&4) & wmerge --by time a b | wcount; wait";
    assert_eq!(sandbox.sh(script).done(), "600000\n");
    // They are opened in another order than named.
    let script = "mkfifo c d; (exec 4> d; echo 4 >&4; exec 3> c; echo 3 >&3) & wmerge c d | wcount; wait";
    assert_eq!(sandbox.sh(script).done(), "2\n");
}

#[test]
fn a_cut_source_is_told_by_name_and_the_others_go_on() {
    let source = |name: &str, time: u64| {
        open(|out| {
            woof_dir(out, name, "f64");
            number(out, 1, time, 0.5);
        })
    };
    let (cut, mut failed) = (source("cut", 10), source("failed", 11));
    encode::end(&mut failed, Err(&fault()));
    let good = woof("good", &[(1, 5), (2, 50), (3, 60)]);
    let sandbox = with(&[("cut", cut), ("failed", failed), ("good", good)]);
    for by in ["arrival", "time", "seqno"] {
        let ran =
            sandbox.bash(&format!("wmerge --by {by} cut good failed | wcat -u; echo ${{PIPESTATUS[@]}}"));
        assert_eq!(ran.text().lines().count(), 6, "{by}");
        assert!(ran.text().ends_with("\n2 2\n"), "{by}: {}", ran.text());
        let mut told: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(told.pop(), Some("wmerge: 2 of 3 sources did not end well; the others are complete"));
        told.sort_unstable();
        assert_eq!(told, ["wget: farm/temp: no element 1", "wmerge: cut: stream cut after 2 messages"]);
    }
}

#[test]
fn what_is_not_there_is_refused_before_anything_is_read() {
    let sandbox = with(&[("a", woof("a", &[(1, 10)]))]);
    for (args, error) in [
        (&["a", "nosuch"][..], "wmerge: nosuch: no such file or directory\n"),
        (&["a", "."], "wmerge: .: is a directory\n"),
        (&["a", "@left"], "wmerge: left: no such channel\n"),
        (&[], "wmerge: missing NAME\n"),
    ] {
        let ran = sandbox.run("wmerge", &[&["-u"], args].concat(), b"");
        assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (2, "", error));
    }
}

#[test]
fn empty_sources_long_lines_and_readers_that_leave() {
    let sandbox = with(&[("empty", Vec::new()), ("long", vec![b'x'; 5 << 20])]);
    assert_eq!(sandbox.run("wmerge", &["empty", "empty", "-u"], b"").done(), "");
    assert_eq!(sandbox.run("wmerge", &["long", "empty", "-u"], b"").stdout.len(), 5 << 20);
    assert_eq!(sandbox.run("wmerge", &["-u", "-"], b"a\0b\xff").stdout, b"a\0b\xff");
    let ran = sandbox.bash("wmerge <(yes) <(yes no) | head -c 1 > x; echo ${PIPESTATUS[0]}");
    assert_eq!(ran.done(), "0\n");
}

#[test]
fn channels_are_sources() {
    let sandbox = Sandbox::new();
    let ran = sandbox
        .bash("WOOF_CHANNELS='in=<0,out=>1,left=<5' wmerge -u @left - 5< <(echo left) < <(echo in) | sort");
    assert_eq!(ran.done(), "in\nleft\n");
}
