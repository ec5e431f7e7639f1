//! `wput`: what goes in, and what is said of it. Faults of its input are in `wput_faults`.

use crate::support::Sandbox;
use crate::woofs::{elements, end, put, refuses_what_is_no_woof, start, with_mounts, woof};
use libwoofstream::content::ContentType;
use libwoofstream::log::Options;
use std::io::{Read as _, Write as _};

/// A sandbox with the woof `w` of a content type.
fn sandbox(content: ContentType) -> Sandbox {
    let sandbox = Sandbox::new();
    woof(&sandbox, "w", &Options { history: 1000, capacity: 1 << 20, content, ..Options::default() }, &[]);
    sandbox
}

#[test]
fn arguments_and_lines_are_elements() {
    let sandbox = sandbox(ContentType::Text);
    put(&sandbox, &["w", "21.5", "two words", "-4", ""], b"");
    put(&sandbox, &["w"], b"one\n\n three \r\nlast");
    put(&sandbox, &["w", "--", "--sync"], b"");
    assert_eq!(
        elements(&sandbox, "w"),
        ["21.5", "two words", "-4", "", "one", "", " three \r", "last", "--sync"]
    );
}

#[test]
fn empty_input_is_nothing_and_empty_lines_are_elements() {
    let sandbox = sandbox(ContentType::Text);
    for input in [&b""[..], b"\x89WOOF\r\n\x01\0\0\0\0\xff\0\0\0"] {
        put(&sandbox, &["w"], input);
    }
    assert!(elements(&sandbox, "w").is_empty());
    put(&sandbox, &["w"], b"\n\n");
    sandbox.sh("wecho '' '' | wput w > acks").done();
    assert_eq!(elements(&sandbox, "w"), ["", "", "", ""]);
}

#[test]
fn raw_input_is_cut_as_the_flag_says_and_no_byte_is_changed() {
    let input = b"a\xff\n\0b\0\0\xc3\x28c";
    for (flags, expected) in [
        (&[][..], &[&b"a\xff"[..], b"\0b\0\0\xc3\x28c"][..]),
        (&["--split", "nul"], &[b"a\xff\n", b"b", b"", b"\xc3\x28c"]),
        (&["--split", "all"], &[input]),
        (&["--split", "4"], &[b"a\xff\n\0", b"b\0\0\xc3", b"\x28c"]),
    ] {
        let sandbox = sandbox(ContentType::Text);
        let ran = sandbox.run("wput", &[&["w"], flags].concat(), input);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        for (number, data) in (1..).zip(expected) {
            let got = sandbox.run("wget", &["w", &number.to_string(), "-u", "--delimiter", "none"], b"");
            assert_eq!(got.stdout, *data, "{flags:?}, element {number}");
        }
        assert_eq!(elements(&sandbox, "w").len(), expected.len(), "{flags:?}");
    }
}

#[test]
fn sequence_numbers_go_where_somebody_listens() {
    let sandbox = sandbox(ContentType::Text);
    assert_eq!(sandbox.sh("wput w a b | wcat; echo c | wput w | wcat").done(), "w 1\nw 2\nw 3\n");
    assert_eq!(
        sandbox.run("wput", &["w", "d", "--json"], b"").done(),
        "{\"type\":\"seqno\",\"woof\":\"w\",\"seqno\":4}\n"
    );
    assert_eq!(
        sandbox.sh("wput w e > f; wc -c < f; WOOF_CHANNELS='in=<0,out=>1' wput w f > f; wcat f").done(),
        "0\nw 6\n"
    );
    let dash =
        "WOOF_CHANNELS='left=<5,acks=>6' dash -c 'wput w -i left -o @acks' 5<<. 6>acks; wcat acks\ng\n.";
    assert_eq!(sandbox.sh(dash).done(), "w 7\n");
    assert_eq!(
        sandbox.bash("wput w < <(wecho h) > /dev/null; wput w i > >(wcat > acks2); until grep -qs . acks2; do sleep 0.01; done; cat acks2").done(),
        "w 9\n"
    );
    assert_eq!(elements(&sandbox, "w").concat(), "abcdefghi");
}

#[test]
fn each_element_is_acknowledged_before_more_input_comes() {
    let sandbox = sandbox(ContentType::Text);
    for args in [&["w"][..], &["w", "--sync"]] {
        let mut wput = start(&sandbox, "wput", args);
        let mut feed = wput.stdin.take().unwrap();
        let mut out = wput.stdout.take().unwrap();
        // The preamble comes with the first.
        let mut len = 8 + 17;
        for line in ["one\n", "two\n", "three\n"] {
            feed.write_all(line.as_bytes()).unwrap();
            let mut ack = vec![0; len];
            out.read_exact(&mut ack).unwrap();
            assert_eq!(ack[len - 1], b'w');
            len = 17;
        }
        drop((feed, out));
        assert_eq!(end(wput).status, 0);
    }
    assert_eq!(elements(&sandbox, "w").len(), 6);
}

#[test]
fn what_is_put_with_sync_is_durable() {
    let sandbox = sandbox(ContentType::Text);
    sandbox.sh("{ wput w one; wput --sync w two; wput w three; } > acks").done();
    let status = libwoofstream::log::open(&sandbox.dir().join("w")).unwrap().status();
    assert_eq!((status.synced_seqno, status.next_seqno), (3, 4));
}

#[test]
fn numbers_are_read_from_text_and_from_other_numbers() {
    let sandbox = sandbox(ContentType::F64);
    let ran = sandbox.run("wput", &["w", "-u"], b"1.50\nx\n-2\n1e3\n\n");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (1, "wput: w: line 2: \"x\" is not a number\nwput: w: line 5: \"\" is not a number\n")
    );
    assert_eq!(elements(&sandbox, "w"), ["1.5", "-2", "1000"]);
    sandbox.run("wcreate", &["ints", "--type", "i64"], b"").done();
    let ran = sandbox.sh("wget w .. | wput ints > acks; wget ints .. -u");
    assert_eq!(
        ran.stderr,
        "wput: ints: \"1.5\" is not an integer between -9223372036854775808 and 9223372036854775807\n"
    );
    assert_eq!(ran.text(), "-2\n1000\n");
    sandbox.sh("wget w .. | wput --create text --type text > acks").done();
    assert_eq!(elements(&sandbox, "text")[0], "1.5");
    let options = libwoofstream::log::open(&sandbox.dir().join("text")).unwrap().options().clone();
    assert_eq!(options.content, ContentType::Text);
}

#[test]
fn a_woof_is_made_when_asked_for_with_the_type_of_what_comes() {
    let sandbox = sandbox(ContentType::F64);
    let script = "wput w 1 2 > acks; wget w .. | wput --create alerts > acks; wstat alerts --json | grep -c '\"content\":\"f64\"'
        wput --create typed --type i64 7 > acks; wput --create typed 8 > acks; wput --create none </dev/null > acks; wget typed .. -u; wstat none | head -1";
    assert_eq!(sandbox.sh(script).done(), "1\n7\n8\nname      none\n");
    let ran = sandbox.run("wput", &["--create", "nodir/w", "x", "-u"], b"");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "wput: nodir/w: create: no directory nodir (wcreate -p makes it)\n")
    );
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_the_rest_is_put() {
    let sandbox = Sandbox::new();
    sandbox.run("wcreate", &["w", "--element-size", "5"], b"").done();
    let script = "printf 'short\\nlonger\\nok\\n' | wput w > acks; echo $?; wput w longer ok2 > acks; echo $?; wecho three longer | wput w > acks; echo $?";
    let ran = sandbox.sh(script);
    assert_eq!(ran.text(), "1\n1\n1\n");
    assert_eq!(
        ran.stderr,
        "wput: w: line 2: element is 6 bytes, the limit of this woof is 5\n\
         wput: w: element is 6 bytes, the limit of this woof is 5\n\
         wput: w: element is 6 bytes, the limit of this woof is 5\n"
    );
    assert_eq!(elements(&sandbox, "w"), ["short", "ok", "ok2", "three"]);
    sandbox.run("wcreate", &["j", "--type", "json"], b"").done();
    let ran = sandbox.sh("printf '{\"a\":1}\\nnope\\n[1]\\n' | wput j > acks");
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.starts_with("wput: j: line 2: not a JSON value: "), "{}", ran.stderr);
    assert_eq!(elements(&sandbox, "j"), ["{\"a\":1}", "[1]"]);
}

#[test]
fn what_is_no_woof_is_refused() {
    refuses_what_is_no_woof(&Sandbox::new(), "wput", &["x"]);
}

#[test]
fn that_there_is_no_woof_is_said_before_any_input_comes() {
    let sandbox = Sandbox::new();
    let mut wput = start(&sandbox, "wput", &["none"]);
    // Its input stays open, and nothing comes.
    let feed = wput.stdin.take();
    let ran = end(wput);
    drop(feed);
    assert_eq!(ran.status, 2);
    let seen = sandbox.run("wcat", &[], &ran.stdout);
    assert_eq!((seen.status, seen.stderr.as_str()), (2, "wput: none: no such woof\n"));
}

#[test]
fn on_a_read_only_file_system_appending_is_refused_and_reading_works() {
    let sandbox = Sandbox::new();
    let script = "mkdir disk && mount -t tmpfs none disk || exit 9
        wcreate disk/w && seq 5 | wput disk/w > acks && { mount -o remount,ro disk || mount -o remount,bind,ro disk; } 2>said || exit 9
        wput disk/w x > acks; echo $?; seq 5 | wput disk/w -u; echo $?; wrm disk/w; echo $?
        wget disk/w .. -u; wtail disk/w -n 2 --count 2 -u; wstat disk/w --json | grep -o '\"elements\":5'";
    let Some(ran) = with_mounts(&sandbox, "wput on a read-only file system", script) else { return };
    assert_eq!(ran.text(), "2\n2\n2\n1\n2\n3\n4\n5\n4\n5\n\"elements\":5\n");
    let refused = "wput: disk/w: append: it can only be read, by its mode or its file system\n";
    assert_eq!(ran.stderr, format!("{refused}{refused}wrm: disk/w: open: read-only file system\n"));
}

#[test]
fn that_the_woof_has_forgotten_elements_of_the_same_put_is_said_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w --history 10; wcreate n --history 10 --type i64; wcreate kept").done();
    let said = |gone: &str| {
        format!(
            "wput: {gone} gone already: the woof keeps no more (wcreate --history and --capacity set how much)\n"
        )
    };
    for (script, stderr) in [
        ("seq 25 | wput w > out", said("w: 15 of these 25 elements")),
        ("seq 25 | wput n > out", said("n: 15 of these 25 elements")),
        ("seq 25 | wcat | wput w > out", said("w: 15 of these 25 elements")),
        ("wput w $(seq 11) > out", said("w: 1 of these 11 elements")),
        ("wput w $(seq 10) > out", String::new()),
        ("seq 25 | wput -q w > out", String::new()),
        ("seq 25 | wput kept > out", String::new()),
    ] {
        let ran = sandbox.sh(script);
        assert_eq!((ran.status, ran.stderr), (0, stderr), "{script}");
    }
}

#[test]
fn no_woof_is_made_for_a_source_that_could_send_nothing() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("wget missing | wput --create new > out");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: missing: no such woof\n"));
    assert_eq!(sandbox.sh("wput --create new -i missing").status, 2);
    assert!(!sandbox.dir().join("new").exists());
    sandbox.sh("wcreate empty --type i64; wget empty .. | wput --create new > out").done();
    assert!(sandbox.sh("wstat new").done().contains("i64"));
}
