//! `wecho`.

use crate::support::Sandbox;

#[test]
fn each_argument_is_a_message_that_ends_with_a_newline() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("wecho one 'two three' -5 '' | wcat --json");
    let lines = [r#""one\n""#, r#""two three\n""#, r#""-5\n""#, r#""\n""#];
    let expected: String =
        lines.iter().map(|data| format!("{{\"type\":\"bytes\",\"data\":{data}}}\n")).collect();
    assert_eq!(ran.done(), expected);
}

#[test]
fn newlines_can_be_left_out() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("wecho", &["-u", "-m", "a", "b"], b"").done(), "ab");
    assert_eq!(sandbox.run("wecho", &["-u", "-n", "a", "b"], b"").done(), "a\nb");
    assert_eq!(sandbox.run("wecho", &["-u"], b"").done(), "");
}

#[test]
fn into_a_file_it_is_a_stream_and_an_error_in_it_is_no_failure_yet() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wecho", &["x", "--mark", "here", "--error", "the pump is dry"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(&ran.stdout[..8], b"\x89WOOF\r\n\x01");
    let seen = sandbox.run("wcat", &["-l"], &ran.stdout);
    assert_eq!(seen.text(), "bytes         2 B  x\nmark     here\nerror    failed wecho the pump is dry\n");
    assert_eq!((seen.status, seen.stderr.as_str()), (1, "wecho: the pump is dry\n"));
}

#[test]
fn a_stream_with_no_messages_has_an_end() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wecho", &[], b"");
    assert_eq!(ran.stdout.len(), 16);
    assert_eq!(sandbox.run("wcat", &[], &ran.stdout).done(), "");
}
