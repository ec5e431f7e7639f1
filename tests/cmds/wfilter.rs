//! `wfilter`.

use crate::streams::{fault, number, open, others, stream, woof_dir};
use crate::support::Sandbox;
use libwoofstream::content::ContentType;
use libwoofstream::space;
use libwoofstream::wire::{Kind, Raw, encode};

/// Readings with everything else between them.
fn farm() -> Vec<u8> {
    stream(|out| {
        woof_dir(out, "farm/temp", "f64");
        number(out, 5, 100, 69.5);
        others(out);
        number(out, 6, 200, 70.5);
        number(out, 7, 300, 71.0);
    })
}

#[test]
fn what_matches_is_kept_and_all_that_is_no_data_passes_as_it_is() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wfilter", &["value > 70"], &farm());
    let expected = stream(|out| {
        woof_dir(out, "farm/temp", "f64");
        others(out);
        number(out, 6, 200, 70.5);
        number(out, 7, 300, 71.0);
    });
    assert_eq!((ran.status, ran.stderr.as_str(), ran.stdout), (0, "", expected));
}

#[test]
fn all_that_is_kept_is_the_input_byte_for_byte() {
    let sandbox = Sandbox::new();
    let long: Vec<u8> = (0..3_000_000u32).map(|i| b'a' + (i % 26) as u8).collect();
    let input = stream(|out| {
        encode::bytes(out, &long);
        others(out);
        encode::elem(out, 1, 2, &long[..20_000]);
        encode::raw(out, &Raw { kind: Kind::BYTES, flags: 4, reserved: 3, payload: b"flags" });
        encode::app(out, "camera", b"\0\x01").unwrap();
    });
    let ran = sandbox.run("wfilter", &["size > 0"], &input);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout == input);
}

#[test]
fn inverted_it_keeps_what_does_not_match() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("printf '%s\\n' 5 70 warm 71 | wfilter -v 'value > 60' -u");
    assert_eq!(ran.done(), "5\nwarm\n");
}

#[test]
fn set_aside_data_is_kept_as_no_data_and_not_looked_at_again() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("seq 4 | wfilter -x 'value > 2' | wfilter 'value < 4' | wcat --json");
    assert_eq!(
        ran.done(),
        "{\"type\":\"ign\",\"kind\":1,\"flags\":0,\"data\":\"1\\n\"}\n\
         {\"type\":\"ign\",\"kind\":1,\"flags\":0,\"data\":\"2\\n\"}\n\
         {\"type\":\"bytes\",\"data\":\"3\\n\"}\n"
    );
}

#[test]
fn attributes_of_the_last_dir_are_names_in_the_expression() {
    let sandbox = Sandbox::new();
    let input = stream(|out| {
        for (path, unit) in [("farm/temp", "F"), ("barn/temp", "C")] {
            encode::dir(out, &space::context(path, ContentType::Text).set("unit", unit)).unwrap();
            encode::elem(out, 1, 0, path.as_bytes());
        }
    });
    for expression in ["unit == 'C'", "path.startsWith('barn/')", "name == 'temp' && unit != 'F'"] {
        assert_eq!(sandbox.run("wfilter", &[expression, "-u"], &input).done(), "barn/temp\n", "{expression}");
    }
}

#[test]
fn the_status_is_1_when_nothing_was_kept() {
    let sandbox = Sandbox::new();
    for (args, input) in [
        (&["value > 10"][..], &b"1\n2\n"[..]),
        (&["-v", "value < 10"], b"1\n2\n"),
        (&["-x", "value > 10"], b"1\n2\n"),
        (&["true"], b""),
        (&["true"], &stream(others)),
    ] {
        let ran = sandbox.run("wfilter", args, input);
        assert_eq!((ran.status, ran.stderr.as_str()), (1, ""), "{args:?}");
        assert_eq!(ran.stdout[ran.stdout.len() - 8..], [0, 0, 0, 0, 255, 0, 0, 0], "{args:?}: no good end");
    }
}

#[test]
fn raw_bytes_stay_as_they_are() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wfilter", &["size > 1", "-u"], b"a\0b\n\n\xff\xfe\r\nlast");
    assert_eq!((ran.status, ran.stdout.as_slice()), (0, &b"a\0b\n\xff\xfe\r\nlast"[..]));
    let long = [vec![b'x'; 5 << 20], b"\nshort\n".to_vec()].concat();
    let ran = sandbox.run("wfilter", &["size > 100", "-u"], &long);
    assert!(ran.stdout == long[..(5 << 20) + 1]);
    let ran = sandbox.run("wfilter", &["size == 2", "--split", "nul", "-u"], b"a\0bb\0c");
    assert_eq!(ran.text(), "a\0");
}

#[test]
fn a_cut_stream_is_told_and_is_status_2() {
    let sandbox = Sandbox::new();
    let cut = open(|out| (1..=4096).for_each(|seqno| number(out, seqno, 0, 1.0)));
    let ran = sandbox.run("wfilter", &["true", "-u"], &cut);
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wfilter: in: stream cut after 4096 messages\n"));
    std::fs::write(sandbox.dir().join("cut"), cut).unwrap();
    let ran = sandbox.bash("wfilter true < cut | wcount; echo ${PIPESTATUS[@]}");
    assert_eq!(ran.text(), "2 2\n");
    assert_eq!(ran.stderr, "wfilter: in: stream cut after 4096 messages\n");
}

#[test]
fn the_status_of_the_end_goes_on() {
    let sandbox = Sandbox::new();
    let mut input = open(|out| encode::bytes(out, b"x\n"));
    encode::end(&mut input, Err(&fault()));
    let ran = sandbox.run("wfilter", &["true"], &input);
    assert_eq!((ran.status, ran.stdout), (2, input));
}

#[test]
fn a_wrong_expression_is_one_line_that_names_the_place() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wfilter", &["-u", "value > "], b"");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.starts_with("wfilter: expression:"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1);
    assert_eq!(sandbox.run("wfilter", &[], b"").stderr, "wfilter: missing EXPR\n");
}

#[test]
fn an_element_that_is_none_and_a_damaged_dir_are_errors() {
    let sandbox = Sandbox::new();
    for (kind, what) in [(Kind::ELEM, "elem message is 1 bytes, the least is 16"), (Kind::DIR, "dir message")]
    {
        let input = stream(|out| encode::raw(out, &Raw { kind, ..Raw::bytes(b"\xc1") }));
        let ran = sandbox.run("wfilter", &["value > 1", "-u"], &input);
        assert_eq!(ran.status, 2);
        assert!(ran.stderr.starts_with(&format!("wfilter: in: {what}")), "{}", ran.stderr);
    }
}

#[test]
fn closed_ends_are_no_surprise() {
    let sandbox = Sandbox::new();
    let ran = sandbox.bash("yes 5 | wfilter 'value == 5' | head -c 1 > first; echo ${PIPESTATUS[1]}");
    assert_eq!(ran.done(), "0\n");
    let ran = sandbox.sh("wfilter true -u <&-");
    assert_eq!((ran.status, ran.stderr.as_str(), ran.text()), (2, "wfilter: in: closed\n", ""));
    let ran = sandbox.sh("echo 1 | wfilter true >&-");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wfilter: out: closed\n"));
}

#[test]
fn what_was_kept_goes_out_before_it_waits_for_more() {
    let sandbox = Sandbox::new();
    let script = "mkfifo in; wfilter 'value > 1' -u < in > out & exec 3> in; echo 2 >&3
        for i in $(seq 1000); do test -s out && break; sleep 0.01; done; cat out; exec 3>&-; wait";
    assert_eq!(sandbox.sh(script).done(), "2\n");
}

#[test]
fn a_name_that_nothing_has_is_told_and_is_no_error() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p farm/temp --type f64; wput farm/temp 31 > /dev/null").done();
    let told = |what: &str| format!("{what} (what does not have it does not match)\n");
    for (script, status, stderr) in [
        (
            "wget farm/temp | wfilter 'valeu > 30' | wcat -u",
            0,
            told("wfilter: expression: \"valeu\" is not a name of what comes in: did you mean value?"),
        ),
        ("wget farm/temp | wfilter -q 'valeu > 30' | wcat -u", 0, String::new()),
        ("wget farm/temp | wfilter 'content == \"i64\" && history > 3' | wcat -u", 0, String::new()),
        (
            "wget farm/temp .. -u --where 'sqeno > 9' | wcat -u",
            0,
            told("wget: expression: \"sqeno\" is not a name of an element: did you mean seqno?"),
        ),
        (
            "wtail farm/temp --no-follow -u --where 'unit == \"C\"'",
            0,
            told("wtail: expression: \"unit\" is not a name of an element"),
        ),
        ("wfind farm -u 'value > 3'", 0, told("wfind: expression: \"value\" is not a name of a woof")),
        ("wfind farm -u -q 'value > 3'", 0, String::new()),
        (
            "wfind farm -u --where 'element > 0'",
            0,
            told("wfind: expression: \"element\" is not a name of a woof: did you mean elements?"),
        ),
        (
            "wfilter 'value.t > 20' < /dev/null > /dev/null",
            2,
            "wfilter: expression:7: a number has no 't': write json.t\n".to_owned(),
        ),
    ] {
        let ran = sandbox.sh(script);
        assert_eq!((ran.status, ran.stderr, ran.stdout), (status, stderr, Vec::new()), "{script}");
    }
}

#[test]
fn integers_over_53_bits_are_computed_with_exactly() {
    let sandbox = Sandbox::new();
    for (json, expression, kept) in [
        (r#"{"a":9007199254740993}"#, "json.a + 1 > 0", true),
        (r#"{"a":9007199254740992}"#, "json.a + 0 == 9007199254740993", false),
        (r#"{"t":1795309323000000004}"#, "json.t / 1e9 > 1795309322.5", true),
        ("9223372036854775807", "int(value) > 5", true),
    ] {
        let ran = sandbox.sh(&format!("echo '{json}' | wfilter '{expression}' -u"));
        let expected = if kept { format!("{json}\n") } else { String::new() };
        assert_eq!(
            (ran.status, ran.text(), ran.stderr.as_str()),
            (i32::from(!kept), expected.as_str(), ""),
            "{expression}"
        );
    }
    let ran = sandbox.sh("wcreate -p n --type i64 && wput n 9223372036854775807 > /dev/null && wget n .. --where 'int(value) > 5' -u");
    assert_eq!(ran.done(), "9223372036854775807\n");
}

#[test]
fn a_number_over_64_bits_is_told_once_where_the_predicate_is_asked() {
    let sandbox = Sandbox::new();
    let input = "printf '%s\\n' 9223372036854775806 1 9223372036854775807";
    let ran = sandbox.sh(&format!("{input} | wfilter 'value + 2 > 0' -u"));
    let told = |command: &str| {
        format!("{command}: expression: 9223372036854775806 + 2 does not fit 64 bits: no match (told once)\n")
    };
    assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (1, "1\n", told("wfilter").as_str()));
    let ran = sandbox
        .sh(&format!("wcreate w && {input} | wput w -q > /dev/null && wget w .. --where 'value + 2 > 0' -u"));
    assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (1, "1\n", told("wget").as_str()));
}
