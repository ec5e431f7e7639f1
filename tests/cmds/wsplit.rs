//! `wsplit`.

use crate::streams::{fault, number, open, others, stream, woof_dir};
use crate::support::Sandbox;
use libwoofstream::wire::encode;

#[test]
fn bytes_keep_the_ends_of_lines_and_other_messages_their_place() {
    let sandbox = Sandbox::new();
    let input = stream(|out| {
        encode::bytes(out, b"one\n\ntwo");
        others(out);
        encode::bytes(out, b"three\n");
        encode::app(out, "camera", b"a\nb").unwrap();
    });
    let expected = stream(|out| {
        [&b"one\n"[..], b"\n", b"two"].iter().for_each(|line| encode::bytes(out, line));
        others(out);
        encode::bytes(out, b"three\n");
        encode::app(out, "camera", b"a\nb").unwrap();
    });
    assert_eq!(sandbox.run("wsplit", &[], &input).stdout, expected);
}

#[test]
fn pieces_of_an_element_keep_its_number_and_time() {
    let sandbox = Sandbox::new();
    let input = stream(|out| {
        woof_dir(out, "farm/log", "text");
        encode::elem(out, 5, 6, b"a b\nc\n");
        encode::elem(out, 6, 7, b"");
    });
    let pieces = |pieces: &[(u64, &[u8])]| {
        stream(|out| {
            woof_dir(out, "farm/log", "text");
            pieces.iter().for_each(|(seqno, data)| encode::elem(out, *seqno, seqno + 1, data));
        })
    };
    let run = |by: &str| sandbox.run("wsplit", &["--by", by], &input).stdout;
    assert_eq!(run("line"), pieces(&[(5, b"a b"), (5, b"c"), (6, b"")]));
    assert_eq!(run("word"), pieces(&[(5, b"a"), (5, b"b"), (5, b"c")]));
    assert_eq!(run("4"), pieces(&[(5, b"a b\n"), (5, b"c\n"), (6, b"")]));
    assert_eq!(run("nul"), pieces(&[(5, b"a b\nc\n"), (6, b"")]));
}

#[test]
fn numbers_are_not_cut() {
    let sandbox = Sandbox::new();
    let input = stream(|out| {
        woof_dir(out, "farm/temp", "i64");
        encode::elem(out, 1, 2, &10i64.to_le_bytes());
        woof_dir(out, "farm/temp", "f64");
        number(out, 1, 2, 0.5);
    });
    for by in ["line", "nul", "word", "3"] {
        assert_eq!(sandbox.run("wsplit", &["--by", by], &input).stdout, input, "{by}");
    }
}

#[test]
fn raw_input_is_cut_the_same_way() {
    let sandbox = Sandbox::new();
    let run = |args: &[&str], input: &[u8]| {
        let cut = sandbox.run("wsplit", args, input);
        let seen = sandbox.run("wcat", &["-l"], &cut.stdout);
        seen.done().lines().map(|line| line[9..].trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(run(&[], b"a b\n\nc"), ["4 B  a b", "1 B", "1 B  c"]);
    assert_eq!(run(&["--by", "word"], b" a b\n\nc"), ["2 B  a", "2 B  b", "2 B  c"]);
    assert_eq!(run(&["--by", "nul"], b"a\0b"), ["2 B  a\\u{0}", "1 B  b"]);
    assert_eq!(run(&["--by", "2"], b"abcde"), ["2 B  ab", "2 B  cd", "1 B  e"]);
    assert!(run(&[], b"").is_empty());
    assert_eq!(sandbox.run("wsplit", &["-u"], b"a\0\n\xff no newline").stdout, b"a\0\n\xff no newline");
    let long = vec![b'x'; 5 << 20];
    assert!(sandbox.run("wsplit", &["-u"], &long).stdout == long);
}

#[test]
fn joined_pieces_reach_over_messages_up_to_the_next_that_is_no_raw_data() {
    let sandbox = Sandbox::new();
    let parts: [&[u8]; 6] = [b"a", b"b", b"c\nd ", b"e\n", b"f", b"\ng"];
    let input = stream(|out| {
        parts.iter().for_each(|part| encode::bytes(out, part));
        encode::mark(out, "m");
        encode::bytes(out, b"h");
    });
    let expected = |pieces: &[&[u8]]| {
        stream(|out| {
            for piece in pieces {
                if *piece == b"m" { encode::mark(out, "m") } else { encode::bytes(out, piece) }
            }
        })
    };
    let run = |args: &[&str]| sandbox.run("wsplit", args, &input).stdout;
    assert_eq!(run(&["-j"]), expected(&[b"abc\n", b"d e\n", b"f\n", b"g", b"m", b"h"]));
    assert_eq!(
        run(&["-j", "--by", "word"]),
        expected(&[b"abc\n", b"d\n", b"e\n", b"f\n", b"g\n", b"m", b"h\n"])
    );
    assert_eq!(run(&["-j", "--by", "4"]), expected(&[b"abc\n", b"d e\n", b"f\ng", b"m", b"h"]));
}

#[test]
fn cuts_ends_and_wrong_sizes_are_told() {
    let sandbox = Sandbox::new();
    let cut = open(|out| encode::bytes(out, b"x"));
    let ran = sandbox.run("wsplit", &["-u"], &cut);
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wsplit: in: stream cut after 1 message\n"));
    let mut failed = cut;
    encode::end(&mut failed, Err(&fault()));
    let ran = sandbox.run("wsplit", &[], &failed);
    assert_eq!((ran.status, ran.stdout), (2, failed));
    let ran = sandbox.run("wsplit", &["--by", "0"], b"");
    assert_eq!(ran.stderr, "wsplit: --by: 0: not line, nul, word or a size such as 64KiB\n");
    let ran = sandbox.bash("yes | wsplit | head -c 1 > x; echo ${PIPESTATUS[1]}");
    assert_eq!(ran.done(), "0\n");
}
