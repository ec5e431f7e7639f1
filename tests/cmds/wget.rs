//! `wget`.

use crate::support::Sandbox;
use crate::woofs::{end, refuses_what_is_no_woof, start, woof};
use libwoofstream::content::ContentType;
use libwoofstream::log::Options;
use std::io::Read as _;

/// A sandbox with the woof `w` of the numbers 10, 20, ... 50, of which 4 are kept.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let options =
        Options { history: 4, element_size: Some(8), content: ContentType::F64, ..Options::default() };
    woof(&sandbox, "w", &options, &["10", "20", "30", "40", "50"]);
    sandbox
}

#[test]
fn ranges_have_both_ends_in_them() {
    let sandbox = sandbox();
    for (args, expected) in [
        ("", "50"),
        ("3", "30"),
        ("2..4", "20 30 40"),
        ("4..", "40 50"),
        ("..3", "20 30"),
        ("-2..", "40 50"),
        ("-3..-2", "30 40"),
        ("..", "20 30 40 50"),
        ("4..99", "40 50"),
        ("-n 2", "40 50"),
        ("..4 -n 2", "30 40"),
        ("--from 3", "30 40 50"),
        ("--to 3", "20 30"),
        ("--from 3 --to 4", "30 40"),
        ("--where value>25", "30 40 50"),
        ("--where value>25 -n 1", "50"),
        ("3.. --where value<45", "30 40"),
        ("--where value>100", ""),
        ("--since 1h", "20 30 40 50"),
        ("--since 2020-01-01T00:00:00Z --where seqno==5", "50"),
        ("--until 1h", ""),
        ("--since 2100-01-01T00:00:00Z", ""),
    ] {
        let args: Vec<&str> = ["w", "-u"].into_iter().chain(args.split_whitespace()).collect();
        let ran = sandbox.run("wget", &args, b"");
        assert_eq!(ran.done().split_whitespace().collect::<Vec<_>>().join(" "), expected, "{args:?}");
    }
}

#[test]
fn times_select_what_was_appended_between_them() {
    let sandbox = Sandbox::new();
    let script = "wcreate w; wput w old >acks; a=$(date -u +%FT%T.%NZ); wput w middle >acks; b=$(date -u +%FT%T.%NZ); wput w new >acks
        wget w --since $a -u; echo; wget w --until $b -u; echo; wget w --since $a --until $b -u; wget w --since $b --until $a -u";
    let ran = sandbox.sh(script);
    assert_eq!(ran.text(), "middle\nnew\n\nold\nmiddle\n\nmiddle\n");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: --since: is later than --until\n"));
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let sandbox = sandbox();
    sandbox.run("wcreate", &["empty"], b"").done();
    let kept = "the oldest kept is 2, the newest 5";
    for (args, text) in [
        ("w 1", format!("w: no element 1: {kept}")),
        ("w 6", format!("w: no element 6: {kept}")),
        ("w 77..80", format!("w: no element 77: {kept}")),
        ("w ..1", format!("w: no element 1: {kept}")),
        ("w 0", "RANGE: 0: sequence numbers start at 1".to_owned()),
        ("w 4..3", "RANGE: 4..3: the range ends before it begins".to_owned()),
        ("w --from 4 --to 3", "--from 4 --to 3: the range ends before it begins".to_owned()),
        ("w 3 --from 3", "RANGE: cannot be given together with --from or --to".to_owned()),
        ("w much", "RANGE: much: not a range: 5, 5..10, 5.., ..10, -10.. (the last ten) or ..".to_owned()),
        ("w --where value>", "expression:7: expected a value after '>'".to_owned()),
        ("empty", "empty: no element at all: nothing was put yet".to_owned()),
        ("empty 1", "empty: no element 1: nothing was put yet".to_owned()),
    ] {
        let args: Vec<&str> = ["-u"].into_iter().chain(args.split(' ')).collect();
        let ran = sandbox.run("wget", &args, b"");
        assert_eq!((ran.status, ran.text(), &*ran.stderr), (2, "", &*format!("wget: {text}\n")));
    }
    assert_eq!(sandbox.run("wget", &["empty", "..", "-u"], b"").done(), "");
    // What was asked for is partly gone, which is told, and is no reason not to send the rest.
    let ran = sandbox.run("wget", &["w", "1..3", "-u"], b"");
    assert_eq!(
        (ran.status, ran.text(), ran.stderr.as_str()),
        (1, "20\n30\n", "wget: w: element 1 is gone: overwritten before it was read\n")
    );
}

#[test]
fn it_is_a_stream_with_its_context() {
    let sandbox = sandbox();
    let ran = sandbox.sh("wget w 3 | wcat --json | sed 's/2[0-9T:.-]*Z/TIME/'");
    assert_eq!(
        ran.done(),
        "{\"type\":\"elem\",\"woof\":\"w\",\"seqno\":3,\"time\":\"TIME\",\"data\":\"30\",\"value\":30,\"content\":\"f64\"}\n"
    );
}

#[test]
fn what_is_no_woof_is_refused() {
    refuses_what_is_no_woof(&Sandbox::new(), "wget", &[]);
}

#[test]
fn a_damaged_element_is_named_and_the_others_are_sent() {
    let sandbox = Sandbox::new();
    woof(&sandbox, "w", &Options::default(), &["one", "two-two-two", "three"]);
    let path = sandbox.dir().join("w");
    let mut image = std::fs::read(&path).unwrap();
    let at = image.windows(11).position(|bytes| bytes == b"two-two-two").unwrap();
    image[at + 5] ^= 1;
    std::fs::write(&path, image).unwrap();
    let ran = sandbox.run("wget", &["w", "..", "-u"], b"");
    assert_eq!(
        (ran.status, ran.text(), ran.stderr.as_str()),
        (1, "one\nthree\n", "wget: w: element 2 is damaged\n")
    );
    let ran = sandbox.run("wget", &["w", "2", "-u"], b"");
    assert_eq!((ran.text(), ran.stderr.as_str()), ("", "wget: w: element 2 is damaged\n"));
    assert_ne!(ran.status, 0);
}

#[test]
fn a_woof_that_is_removed_or_reset_under_a_reader_is_read_to_its_end() {
    const COUNT: u64 = 100_000;
    for command in [&["wrm", "w"][..], &["wcreate", "--reset", "w", "--history", "5"]] {
        let sandbox = Sandbox::new();
        let options = Options { history: COUNT, element_size: Some(8), ..Options::default() };
        woof(&sandbox, "w", &options, &[]);
        let lines: String = (1..=COUNT).map(|number| format!("{number}\n")).collect();
        sandbox.run("wput", &["w", "-u"], lines.as_bytes()).done();
        let mut wget = start(&sandbox, "wget", &["w", "..", "-u"]);
        let mut out = wget.stdout.take().unwrap();
        // The rest is larger than the pipe, so the reader is in the middle now.
        let mut all = vec![0; 10];
        out.read_exact(&mut all).unwrap();
        sandbox.run(command[0], &command[1..], b"").done();
        out.read_to_end(&mut all).unwrap();
        assert!(all == lines.as_bytes(), "{command:?}");
        let ran = end(wget);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    }
}

#[test]
fn an_address_is_for_the_next_wget_on_the_path() {
    let sandbox = Sandbox::new();
    let fake = "#!/bin/sh\necho the other wget: \"$@\"\nexit 7\n";
    std::fs::create_dir(sandbox.dir().join("other")).unwrap();
    std::fs::write(sandbox.dir().join("other/wget"), fake).unwrap();
    let script = format!(
        "chmod +x other/wget; first=${{PATH%%:*}}
         PATH=$first:$PWD/other:$PATH wget -q http://example.org/a -O b; echo $?
         PATH=$first:$PWD/other:$PATH {} get ftp://example.org/a; echo $?
         PATH=$first wget https://example.org/; echo $?",
        crate::support::woof()
    );
    let ran = sandbox.sh(&script);
    assert_eq!(
        ran.text(),
        "the other wget: -q http://example.org/a -O b\n7\nthe other wget: ftp://example.org/a\n7\n2\n"
    );
    assert_eq!(ran.stderr, "wget: https://example.org/: no other wget is on the path to download it\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let sandbox = Sandbox::new();
    woof(&sandbox, "w", &Options::default(), &[]);
    let lines: String = (0..50_000).map(|number| format!("{number}\n")).collect();
    sandbox.run("wput", &["w", "-u"], lines.as_bytes()).done();
    for form in ["", "-u", "--json"] {
        let ran = sandbox.bash(&format!("wget w .. {form} | head -c 5 | wc -c; echo ${{PIPESTATUS[@]}}"));
        assert_eq!(ran.done(), "5\n0 0 0\n", "{form}");
        let ran = sandbox.sh(&format!("wget w .. {form} > /dev/full"));
        assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: out: write: no space left on device\n"));
    }
    let ran = sandbox.sh("wget w 5 -u >&-");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: out: closed\n"));
}
