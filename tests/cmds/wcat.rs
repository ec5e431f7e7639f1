//! `wcat`.

use crate::support::Sandbox;
use libwoofstream::wire::{Dir, Fault, Kind, Raw, encode};

/// A stream of a woof with two elements, and messages around them.
fn farm() -> Vec<u8> {
    let mut out = Vec::new();
    encode::preamble(&mut out);
    encode::dir(&mut out, &Dir::new().set("path", "farm/temp").set("content", "f64")).unwrap();
    encode::elem(&mut out, 5, 1_795_309_323_000_000_004, &21.5f64.to_le_bytes());
    encode::elem(&mut out, 6, 1_795_309_324_000_000_000, &98f64.to_le_bytes());
    encode::mark(&mut out, "caught-up");
    encode::seqno(&mut out, 7, "farm/alerts");
    encode::end(&mut out, Ok(()));
    out
}

#[test]
fn in_a_pipe_elements_are_lines_of_text() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("wcat", &[], &farm()).done(), "21.5\n98\nfarm/alerts 7\n");
}

#[test]
fn raw_is_the_data_alone_with_the_delimiter() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("wcat", &["-u"], &farm()).done(), "21.5\n98\n");
    assert_eq!(sandbox.run("wcat", &["-u", "--delimiter", "nul"], &farm()).done(), "21.5\x0098\x00");
    assert_eq!(sandbox.run("wcat", &["-u", "--delimiter", "none"], &farm()).done(), "21.598");
}

#[test]
fn json_lines_read_back_as_the_same_stream() {
    let sandbox = Sandbox::new();
    let json = sandbox.run("wcat", &["--json", "--marks"], &farm());
    assert_eq!(
        json.done(),
        "{\"type\":\"dir\",\"content\":\"f64\",\"path\":\"farm/temp\"}\n\
         {\"type\":\"elem\",\"woof\":\"farm/temp\",\"seqno\":5,\"time\":\"2026-11-22T01:02:03.000000004Z\",\"data\":\"21.5\",\"value\":21.5,\"content\":\"f64\"}\n\
         {\"type\":\"elem\",\"woof\":\"farm/temp\",\"seqno\":6,\"time\":\"2026-11-22T01:02:04.000000000Z\",\"data\":\"98\",\"value\":98,\"content\":\"f64\"}\n\
         {\"type\":\"mark\",\"name\":\"caught-up\"}\n\
         {\"type\":\"seqno\",\"woof\":\"farm/alerts\",\"seqno\":7}\n"
    );
    let back = sandbox.run("wcat", &["--from", "json"], &json.stdout);
    assert_eq!((back.status, back.stdout), (0, farm()));
}

#[test]
fn a_value_that_was_edited_is_what_comes_back() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate i --type i64 && wput i 21 9223372036854775806 > /dev/null && wcreate j --type json && wput j '{\"b\":1,\"a\":[9007199254740993]}' > /dev/null").done();
    // What jq '.value *= 2 | del(.data)' makes of it.
    let edit = "sed 's/\"data\":\"[^\"]*\",//; s/\"value\":21/\"value\":42/; s/806,/807,/; s/993/994/'";
    assert_eq!(
        sandbox.sh(&format!("wget i .. --json | {edit} | wcat --from json -u")).done(),
        "42\n9223372036854775807\n"
    );
    assert_eq!(
        sandbox.sh(&format!("wget j .. --json | {edit} | wcat --from json -u")).done(),
        "{\"b\":1,\"a\":[9007199254740994]}\n"
    );
    let ran = sandbox.sh("wget i .. --json | sed 's/\"value\":9/\"value\":8/' | wcat --from json -u");
    let expected = "wcat: in: line 2: \"data\" is \"9223372036854775806\" and \"value\" is \"8223372036854775806\": leave out the one that is not meant\n";
    assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (2, "21\n", expected));
}

#[test]
fn a_line_that_is_no_message_is_told_with_its_number_and_ends_the_stream() {
    let sandbox = Sandbox::new();
    let ran = sandbox.bash(
        "printf '%s\\n' '{\"type\":\"bytes\",\"data\":\"ok\\n\"}' '' '{\"type\":' | wcat --from json | wcat; echo ${PIPESTATUS[@]}",
    );
    assert_eq!(ran.text(), "ok\n0 2 2\n");
    assert!(ran.stderr.starts_with("wcat: in: line 3: no JSON object: "), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}

#[test]
fn raw_bytes_pass_unchanged() {
    let sandbox = Sandbox::new();
    for data in [&b""[..], b"no newline", b"\n\n", b"nul\0 and \xff\xfe\r\n", b"\x89WOO"] {
        let ran = sandbox.run("wcat", &[], data);
        assert_eq!((ran.status, ran.stdout.as_slice()), (0, data));
    }
    let long: Vec<u8> = std::iter::repeat_n(b'x', 5 << 20).collect();
    assert_eq!(sandbox.run("wcat", &["-u"], &long).stdout, long);
}

#[test]
fn a_cut_stream_is_told_and_is_status_2() {
    let sandbox = Sandbox::new();
    let stream = farm();
    for len in [8, 12, 40, stream.len() - 1] {
        let ran = sandbox.run("wcat", &[], &stream[..len]);
        assert_eq!(ran.status, 2, "{len}");
        assert!(ran.stderr.starts_with("wcat: in: stream cut after "), "{len}: {}", ran.stderr);
    }
    // In the middle of a pipeline the last command tells, once.
    let ran = sandbox.bash("wecho a b c | head -c 30 | wcat --framed | wcat; echo ${PIPESTATUS[@]:2}");
    assert_eq!(ran.text().lines().last(), Some("2 2"));
    assert_eq!(ran.stderr, "wcat: in: stream cut after 2 messages\n");
}

#[test]
fn an_end_with_an_error_is_told_and_is_status_2() {
    let sandbox = Sandbox::new();
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    encode::bytes(&mut stream, b"x\n");
    let fault = Fault {
        code: "full".into(),
        origin: "wget".into(),
        object: "w".into(),
        text: "no space left".into(),
    };
    encode::end(&mut stream, Err(&fault));
    for args in [&[][..], &["-u"], &["-l"], &["--json"]] {
        let ran = sandbox.run("wcat", args, &stream);
        assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: w: no space left\n"), "{args:?}");
    }
    // Framed it goes on to the next command.
    let ran = sandbox.run("wcat", &["--framed"], &stream);
    assert_eq!((ran.status, ran.stderr.as_str()), (2, ""));
    assert_eq!(ran.stdout, stream);
}

#[test]
fn several_streams_in_one_input_are_shown_one_after_another() {
    let sandbox = Sandbox::new();
    let ran =
        sandbox.sh("wecho a > a; wecho b > b; cat a b | wcat; cat a b | wcat --framed | wcat; wcat a b");
    assert_eq!(ran.done(), "a\nb\na\nb\na\nb\n");
}

#[test]
fn of_several_names_the_ones_that_can_be_read_are_shown() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("echo a > a; wcat nosuch a .");
    assert_eq!((ran.status, ran.text()), (1, "a\n"));
    assert_eq!(ran.stderr, "wcat: nosuch: no such file or directory\nwcat: .: is a directory\n");
    assert_eq!(sandbox.run("wcat", &["nosuch"], b"").status, 2);
}

#[test]
fn messages_from_the_future_are_forwarded_byte_for_byte() {
    let sandbox = Sandbox::new();
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    encode::raw(&mut stream, &Raw { kind: Kind(77), flags: 2, reserved: 9, payload: b"\xffnew" });
    encode::end(&mut stream, Ok(()));
    assert_eq!(sandbox.run("wcat", &["--framed"], &stream).stdout, stream);
    let json = sandbox.run("wcat", &["--json"], &stream);
    assert_eq!(
        json.done(),
        "{\"type\":\"unknown\",\"kind\":77,\"flags\":2,\"reserved\":9,\"data_base64\":\"/25ldw==\"}\n"
    );
    assert_eq!(sandbox.run("wcat", &["--from", "json"], &json.stdout).stdout, stream);
    assert_eq!(sandbox.run("wcat", &[], &stream).done(), "");
}

#[test]
fn on_a_terminal_it_is_for_people() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.dir().join("farm"), farm()).unwrap();
    let seen = sandbox.terminal("wcat --color never farm; wcat --json farm | wcat --from json | wcat -u");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[0], "farm/temp");
    assert!(lines[1].starts_with("       5  ") && lines[1].ends_with("  21.5"), "{seen}");
    assert_eq!(lines[3..], ["farm/alerts 7", "21.5", "98"]);
    assert!(sandbox.terminal("wcat farm").contains("\x1b[2m       5"));
    assert!(!sandbox.terminal("NO_COLOR=1 wcat farm").contains('\x1b'));
}

#[test]
fn a_plot_is_drawn_when_the_stream_ends() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("seq 100 | COLUMNS=40 wcat --plot");
    let lines: Vec<&str> = ran.done().lines().collect();
    assert_eq!(lines.len(), 17);
    assert_eq!(lines[0], "100 values  min 1  max 100  last 100");
    assert!(lines.iter().all(|line| line.chars().count() <= 40 && !line.contains('\x1b')), "{lines:?}");
    assert_eq!(lines[16].split_whitespace().collect::<Vec<_>>(), ["1", "50", "100"]);
    let woof = sandbox.run("wcat", &["--plot"], &farm());
    assert!(woof.done().starts_with("farm/temp  2 values  min 21.5  max 98  last 98\n"), "{}", woof.text());
    assert_eq!(sandbox.run("wcat", &["--plot", "--json"], b"").status, 2);
}

#[test]
fn a_woof_stands_where_a_stream_could() {
    let sandbox = Sandbox::new();
    let shown = sandbox.sh(
        "wcreate -p farm/temp --type f64 && seq 3 | wput farm/temp > /dev/null && wcat farm/temp && wcat -u farm/temp farm/temp | wc -l",
    );
    assert_eq!(shown.done(), "1\n2\n3\n6\n");
}

#[test]
fn a_form_that_is_asked_for_wins_over_the_pipe() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p ns/w --type f64; wput ns/w 21.5 > /dev/null; wget ns/w .. --json > lines").done();
    let long = sandbox.sh("wget ns/w .. | wcat -l").done().to_owned();
    assert!(long.starts_with("dir ") && long.contains("\nelem     ns/w        1  "), "{long}");
    // JSON lines are a stream into a pipe, a file or another command, unless a flag says something else.
    for script in [
        "cat lines | wcat --from json -l | cat",
        "wcat --from json -l lines > f; cat f",
        "wcat --from json --framed lines | wcat -l | cat",
    ] {
        assert_eq!(sandbox.sh(script).done(), long, "{script}");
    }
    for (flags, expected) in [
        ("-u", "21.5\n"),
        ("--delimiter nul", "21.5\0"),
        ("--delimiter none", "21.5"),
        ("--json", sandbox.sh("cat lines").done()),
    ] {
        for script in [
            format!("wcat --from json {flags} lines | cat"),
            format!("wget ns/w {flags} | cat"),
            format!("wtail ns/w --from 1 --no-follow {flags} | cat"),
            format!("wget ns/w | wfilter true {flags} | cat"),
            format!("wget ns/w | wtee {flags} | cat"),
            format!("wfind ns --get {flags} | cat"),
            format!("wmerge ns/w {flags} > f; cat f"),
        ] {
            assert_eq!(sandbox.sh(&script).done(), expected, "{script}");
        }
    }
    assert!(sandbox.sh("wget ns/w | wcat --plot | cat").done().contains("min 21.5"));
    // Colour is for text: where text is shown it is as on a terminal, and a stream stays one.
    for script in [
        "wcat --color always ns/w | cat",
        "wcat --from json --color always lines | cat",
        "wcat --color always ns/w > f; cat f",
    ] {
        let seen = sandbox.sh(script).done().to_owned();
        assert!(seen.starts_with("\u{1b}[1mns/w\u{1b}[0m\n\u{1b}[2m       1  "), "{script}: {seen:?}");
    }
    assert!(sandbox.sh("wcat --from json -l --color always lines | cat").done().starts_with("\u{1b}[2mdir "));
    assert_eq!(sandbox.sh("wget --color always ns/w | wcat --color never | cat").done(), "21.5\n");
    assert_eq!(sandbox.sh("wcat --from json --color never lines | wcount").done(), "1\n");
    for both in ["-l -u", "-l --json", "--framed -u", "--framed -l", "--plot -l"] {
        assert_eq!(sandbox.sh(&format!("wcat {both} ns/w")).status, 2, "{both}");
    }
}
