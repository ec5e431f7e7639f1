//! Bindings whose predicates do not fit all data.

use crate::farm::Farm;

#[test]
fn data_that_a_predicate_cannot_be_asked_about_does_not_match_and_nobody_is_told() {
    for (content, filter, data, expected) in [
        (
            "json",
            "json.t > 3",
            r#"'{"t":"high"}' '{"t":9}' '[]' '{"t":null}' '7' '{"t":[1]}' '{"t":4}'"#,
            &[r#"2 {"t":9}"#, r#"7 {"t":4}"#][..],
        ),
        ("json", "json.t.startsWith('x')", r#"'{"t":1}' '{"t":"xy"}' 'null'"#, &[r#"2 {"t":"xy"}"#]),
        ("text", "value > 3", "x 5 '' 4x 7", &["2 5", "5 7"]),
        ("text", "json.t > 3", r#"'{"t":' '{"t":5}'"#, &[r#"2 {"t":5}"#]),
    ] {
        let farm = Farm::with(&format!("--type {content}"));
        farm.handler("note", "read -r v; echo \"$WOOF_SEQNO $v\" >> notes");
        farm.sh(&format!("wbind farm/temp note --at-once 1 --where \"{filter}\" && wput farm/temp {data}"))
            .done();
        let ran = farm.sandbox.run("wserve", &["--once", "--log-level", "warn", "."], b"");
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{filter}");
        assert_eq!(farm.lines("notes"), expected, "{filter}");
        assert_eq!((farm.count(0, "pending"), farm.count(0, "failed"), farm.count(0, "lost")), (0, 0, 0));
    }
}

#[test]
fn a_predicate_with_a_name_that_no_element_has_is_refused_and_nothing_is_held() {
    let farm = Farm::new();
    farm.handler("h", "true");
    for (filter, said) in [
        ("valeu > 30", "\"valeu\" is not a name of an element: did you mean value?"),
        ("mode == 1", "\"mode\" is not a name of an element"),
    ] {
        let ran = farm.sh(&format!("wbind farm/temp h --where '{filter}'"));
        assert_eq!((ran.status, ran.stderr), (2, format!("wbind: expression: {said}\n")));
    }
    assert_eq!(farm.sh("wbind list farm").done(), "");
    farm.sh("wbind farm/temp h --where 'value > 30 && content == \"f64\" && name == \"temp\"'").done();
}
