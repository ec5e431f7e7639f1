//! `wput` when its input, its output or its woof goes wrong under it.

use crate::streams::{FUTURE, fault, open, stream};
use crate::support::{Ran, Sandbox};
use crate::woofs::{asleep, elements, end, put, signal, start, woof};
use libwoofstream::log::{self, Options};
use libwoofstream::wire::encode;
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::process::Child;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    woof(&sandbox, "w", &Options { history: 1000, ..Options::default() }, &[]);
    sandbox
}

/// Feeds a stream; what is wrong with it must be the one thing that is said, with status 2.
fn fails(sandbox: &Sandbox, input: &[u8], text: &str) {
    let ran = sandbox.run("wput", &["w", "--json"], input);
    assert_eq!((ran.status, ran.stderr.as_str()), (2, text));
}

/// A `wput` that has put one element and waits for more.
fn putting(sandbox: &Sandbox, data: &str) -> Child {
    let mut wput = start(sandbox, "wput", &["w"]);
    wput.stdin.as_mut().unwrap().write_all(data.as_bytes()).unwrap();
    wput.stdout.as_mut().unwrap().read_exact(&mut [0; 8 + 17]).unwrap();
    wput
}

/// What its end says, where it goes on: in its stream.
fn said(sandbox: &Sandbox, ran: &Ran) -> String {
    sandbox.run("wcat", &["-u"], &[&b"\x89WOOF\r\n\x01"[..], &ran.stdout].concat()).stderr
}

#[test]
fn of_a_stream_that_is_cut_anywhere_what_came_before_is_put() {
    // The preamble is 8 bytes, each of these elements 8 + 16 + 1, the end 8.
    let whole = stream(|out| {
        for seqno in 1..=3 {
            encode::elem(out, seqno, 5, b"x");
        }
    });
    assert_eq!(whole.len(), 8 + 3 * 25 + 8);
    let sandbox = sandbox();
    let woof = log::open(&sandbox.dir().join("w")).unwrap();
    for len in 8..whole.len() {
        let before = woof.next_seqno();
        let (put, messages) = match len {
            8..33 => (0, "0 messages"),
            33..58 => (1, "1 message"),
            58..83 => (2, "2 messages"),
            _ => (3, "3 messages"),
        };
        fails(&sandbox, &whole[..len], &format!("wput: in: stream cut after {messages}\n"));
        assert_eq!(woof.next_seqno() - before, put, "cut after {len} bytes");
    }
    // A beginning of a preamble is no stream but raw bytes.
    assert_eq!(sandbox.run("wput", &["w"], &whole[..7]).status, 0);
    assert_eq!(woof.next_seqno(), 25 + 2 * 25 + 3 * 8 + 2);
}

#[test]
fn what_is_wrong_in_a_stream_is_named_and_what_came_before_is_put() {
    let sandbox = sandbox();
    let before = open(|out| encode::elem(out, 1, 5, b"before"));
    for (wrong, text) in [
        (&b"\xff\xff\xff\xff\x01\0\0\0"[..], "frame of 4294967295 bytes, the limit is 1048576"),
        (b"\x05\0\0\0\x02\0\0\0short", "message 2: an element of 5 bytes, it has at least 16"),
        (b"\x01\0\0\0\0\0\0\0x", "message 2 has kind 0, which is none"),
    ] {
        let ran = sandbox.run("wput", &["w", "--json"], &[&before, wrong].concat());
        assert_eq!(ran.status, 2, "{text}: {ran:?}");
        assert!(ran.stderr.starts_with("wput: ") && ran.stderr.lines().count() == 1, "{text}: {ran:?}");
        if text.starts_with("frame") {
            assert_eq!(ran.stderr, format!("wput: in: {text}\n"));
        }
        assert!(ran.text().contains("\"seqno\":"), "{text}: {ran:?}");
    }
    fails(
        &sandbox,
        b"\x89WOOF\r\n\x09rest",
        "wput: in: stream format version 9, this program reads version 1\n",
    );
    assert_eq!(elements(&sandbox, "w"), ["before", "before", "before"]);
}

#[test]
fn messages_from_the_future_and_context_are_no_data() {
    let sandbox = sandbox();
    let input = stream(|out| {
        encode::raw(out, &FUTURE);
        encode::mark(out, "caught-up");
        encode::bytes(out, b"data\n");
    });
    sandbox.run("wput", &["w"], &input);
    assert_eq!(elements(&sandbox, "w"), ["data"]);
}

#[test]
fn errors_that_come_with_the_stream_are_told_and_the_rest_is_put() {
    let sandbox = sandbox();
    let input = stream(|out| {
        encode::elem(out, 1, 5, b"one");
        encode::err(out, &fault());
        encode::elem(out, 2, 5, b"two");
    });
    let ran = sandbox.run("wput", &["w", "-u"], &input);
    assert_eq!((ran.status, ran.stderr.as_str()), (1, "wget: farm/temp: no element 1\n"));
    assert_eq!(elements(&sandbox, "w"), ["one", "two"]);
    // And one that ended the stream, through to the exit status.
    let ran = sandbox.bash("wget nosuch .. | wput w -u; echo ${PIPESTATUS[@]}");
    assert_eq!((ran.text(), ran.stderr.as_str()), ("2 2\n", "wget: nosuch: no such woof\n"));
}

#[test]
fn a_line_of_100_mb_is_refused_by_name_and_the_others_are_put() {
    let sandbox = sandbox();
    let mut input = b"before\n".to_vec();
    input.resize(input.len() + 100_000_000, b'x');
    input.extend_from_slice(b"\nafter\n");
    let ran = sandbox.run("wput", &["w", "-u"], &input);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (1, "wput: w: line 2: element is 100000000 bytes, the limit of this woof is 4194304\n")
    );
    assert_eq!(elements(&sandbox, "w"), ["before", "after"]);
    // It passes where nothing limits it, unchanged.
    let ran = sandbox.run("wcat", &["--framed"], &input);
    assert_eq!(ran.status, 0);
    assert!(sandbox.run("wcat", &["-u"], &ran.stdout).stdout == input, "changed on its way");
}

#[test]
fn a_woof_that_is_removed_or_reset_under_it_is_told() {
    for (command, how) in [(&["wrm", "w"][..], "removed"), (&["wcreate", "--reset", "w"], "reset")] {
        let sandbox = sandbox();
        let mut wput = putting(&sandbox, "one\n");
        sandbox.run(command[0], &command[1..], b"").done();
        // The input goes on after the woof is gone, which the writer finds out when it appends.
        let mut feed = wput.stdin.take().unwrap();
        feed.write_all(b"two\n").unwrap();
        let ran = end(wput);
        drop(feed);
        assert_eq!(ran.status, 2);
        assert_eq!(said(&sandbox, &ran), format!("wput: w: the woof was {how} meanwhile\n"));
        if how == "reset" {
            assert!(elements(&sandbox, "w").is_empty());
        }
    }
}

#[test]
fn interrupted_in_the_middle_what_was_acknowledged_is_there() {
    for (number, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::KILL, 137)] {
        let sandbox = sandbox();
        let wput = putting(&sandbox, "one\n");
        asleep(&wput);
        signal(&wput, number);
        assert_eq!(end(wput).status, status);
        assert_eq!(elements(&sandbox, "w"), ["one"]);
        put(&sandbox, &["w", "two"], b"");
        assert_eq!(elements(&sandbox, "w"), ["one", "two"]);
    }
}

#[test]
fn closed_input_is_an_error_and_closed_output_hears_nothing() {
    let sandbox = sandbox();
    let ran = sandbox.sh("wput w <&- > acks");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wput: in: closed\n"));
    assert_eq!(sandbox.sh("wput w a >&-; echo b | wput w >&- 2>&-").done(), "");
    assert_eq!(elements(&sandbox, "w"), ["a", "b"]);
}

#[test]
fn a_listener_that_goes_away_is_no_failure_and_all_is_put_all_the_same() {
    let sandbox = sandbox();
    let ran = sandbox.bash("seq 30000 | wput w -q --json | head -n 2; echo ${PIPESTATUS[@]:1}");
    assert_eq!(
        ran.done(),
        "{\"type\":\"seqno\",\"woof\":\"w\",\"seqno\":1}\n{\"type\":\"seqno\",\"woof\":\"w\",\"seqno\":2}\n0 0\n"
    );
    assert_eq!(log::open(&sandbox.dir().join("w")).unwrap().next_seqno(), 30_001);
}

#[test]
fn forty_at_once_lose_nothing() {
    let sandbox = sandbox();
    let script = "for i in $(seq 40); do seq $((i * 100)) $((i * 100 + 19)) | wput w > acks & done; wait";
    sandbox.sh(script).done();
    let mut all: Vec<u64> = elements(&sandbox, "w").iter().map(|text| text.parse().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((1..=40).flat_map(|i| i * 100..i * 100 + 20)));
}

#[test]
fn application_data_keeps_its_last_byte_whatever_it_is() {
    let sandbox = sandbox();
    let script = "wcreate b --type bytes
        echo '{\"type\":\"app\",\"name\":\"point\",\"data_base64\":\"kgEK\"}' | wcat --from json --framed | wput b > acks
        wget b -u --delimiter none | od -An -tx1";
    assert_eq!(sandbox.sh(script).done(), " 92 01 0a\n");
}

#[test]
fn a_woof_made_for_a_stream_without_elements_has_the_type_of_the_stream() {
    let sandbox = sandbox();
    let script = "wcreate n --type f64; wput n 1 > acks; wget n --where 'value > 70' | wput --create n2 > acks; wstat n2 | grep content";
    let ran = sandbox.sh(script);
    assert!(ran.text().ends_with("content   f64\n"), "{}", ran.text());
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_waited_for_as_long_as_wait_says() {
    let sandbox = Sandbox::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let woof = format!("woof://{}/farm/w", silent.local_addr().unwrap());
    let begun = std::time::Instant::now();
    let ran = sandbox.sh(&format!("WOOF_INSECURE=1 wput --wait 500ms {woof} x > /dev/null"));
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    // Connecting alone may take 30 s where nothing else is said.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}
