//! Text that editors leave byte order marks and carriage returns in: one rule for all that is parsed (`docs/text.md`).

use crate::support::Sandbox;

/// The mark of UTF-8, and the begin of UTF-16, for `printf`.
const MARK: &str = "\\357\\273\\277";
const UTF_16: &str = "\\377\\376e\\0d\\0";

#[test]
fn a_name_table_may_begin_with_a_mark_and_its_lines_may_end_with_carriage_returns() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p real/temp && wput real/temp 5 > acks").done();
    for (begin, end) in [(MARK, ""), ("", "\\r"), (MARK, "\\r")] {
        let script = format!(
            "printf '{begin}edge %s/real{end}\\n# x{end}\\nlast %s/real{end}' $PWD $PWD > names; WOOF_NAMES=names wget edge/temp -u && WOOF_NAMES=names wget last/temp -u"
        );
        assert_eq!(sandbox.sh(&script).done(), "5\n5\n", "{begin} {end}");
    }
    // What wns writes has none.
    let script = format!(
        "printf '{MARK}edge %s/real\\r\\n' $PWD > names; WOOF_NAMES=names wns add farm real; head -c 4 names"
    );
    assert_eq!(sandbox.sh(&script).text(), "edge");
    let ran = sandbox.sh(&format!("printf '{UTF_16}' > names; WOOF_NAMES=names wget edge/temp -u"));
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wget: names: is text in UTF-16: save it as UTF-8\n"));
    // Two files joined: the mark within would make a prefix that looks right and is never found.
    let ran =
        sandbox.sh(&format!("printf 'a /x\\n{MARK}edge /x\\n' > names; WOOF_NAMES=names wget edge/temp -u"));
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("names: line 2: ") && ran.stderr.contains("byte order mark"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_access_list_may_begin_with_a_mark_and_its_lines_may_end_with_carriage_returns() {
    let sandbox = Sandbox::new();
    sandbox.sh("mkdir -p n && wcreate --namespace n").done();
    for (begin, end) in [(MARK, ""), ("", "\\r"), (MARK, "\\r")] {
        let script =
            format!("printf '{begin}user alice read{end}\\nuser bob put{end}' > n/.woof/access; wattr n");
        let ran = sandbox.sh(&script);
        let words: Vec<&str> = ran.done().split_whitespace().collect();
        let words = words.join(" ");
        assert!(words.ends_with("user alice read user bob put"), "{begin} {end}: {words}");
    }
    let ran = sandbox.sh(&format!("printf '{UTF_16}' > n/.woof/access; wattr n"));
    assert!(ran.stderr.contains(".woof/access: is text in UTF-16: save it as UTF-8"), "{ran:?}");
}

#[test]
fn numbers_and_json_may_come_after_a_mark() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate i --type i64 && wcreate f --type f64 && wcreate j --type json && wcreate t").done();
    for (woof, line, expected) in [("i", "7", "7"), ("f", "21.5", "21.5"), ("j", "{\"a\":1}", "{\"a\":1}")] {
        let script = format!("printf '{MARK}{line}\\r\\n' | wput {woof} > acks && wget {woof} -u");
        assert_eq!(sandbox.sh(&script).done().trim_end_matches(['\r', '\n']), expected, "{woof}");
        let ran = sandbox.sh(&format!("printf '{UTF_16}' | wput {woof} > acks"));
        assert!(
            ran.status != 0
                && ran.stderr.contains(&format!("wput: {woof}: "))
                && ran.stderr.contains("UTF-16"),
            "{ran:?}"
        );
    }
    let script = format!("printf '{MARK}7\\n' | wfilter 'value == 7 && json == 7' -u | od -An -tx1");
    assert_eq!(sandbox.sh(&script).done(), " ef bb bf 37 0a\n");
    // Predicates come from files as well.
    let script = format!("printf '{MARK}value == 7\\r\\n' > e; echo 7 | wfilter \"$(cat e)\" -u");
    assert_eq!(sandbox.sh(&script).done(), "7\n");
}

#[test]
fn json_lines_may_begin_with_a_mark() {
    let sandbox = Sandbox::new();
    let line = "{\"type\":\"bytes\",\"data\":\"x\"}";
    let script = format!("printf '{MARK}%s\\r\\n%s' '{line}' '{line}' | wcat --from json -u");
    assert_eq!(sandbox.sh(&script).done(), "xx");
    let ran = sandbox.sh(&format!("printf '{UTF_16}' | wcat --from json -u"));
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "wcat: in: line 1: is text in UTF-16: save it as UTF-8\n")
    );
}

#[test]
fn text_that_is_data_keeps_every_byte() {
    let sandbox = Sandbox::new();
    let script = format!(
        "wcreate t && printf '{MARK}a\\r\\n' | wput t > acks && wget t -u | od -An -tx1; printf '{MARK}a\\r\\n' | wcat -u | od -An -tx1"
    );
    assert_eq!(sandbox.sh(&script).done(), " ef bb bf 61 0d 0a\n ef bb bf 61 0d 0a\n");
}

#[test]
fn keys_may_have_been_through_an_editor() {
    let sandbox = Sandbox::new();
    let script = format!(
        "wkey init > acks && wkey add bob > acks && wkey export bob > bob.pem
        {{ printf '{MARK}'; sed 's/$/\\r/' bob.pem; }} > edited.pem; wkey --keys other import edited.pem > acks && ls other/users/*bob* > acks"
    );
    assert_eq!(sandbox.sh(&script).status, 0);
    let ran = sandbox.sh(&format!("printf '{UTF_16}' > x.pem; wkey --keys third import x.pem"));
    assert!(ran.status == 2 && ran.stderr.contains("UTF-16"), "{ran:?}");
}
