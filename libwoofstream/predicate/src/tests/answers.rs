//! What predicates answer: values, missing values, functions.

use super::*;
use ContentType::{Bytes, F64, I64, Json, Msgpack, Text};

#[test]
fn value_is_the_number_that_data_is_or_reads_as() {
    assert!(matches("value > 70", &data(F64, &70.5f64.to_le_bytes())));
    assert!(!matches("value > 70", &data(F64, &70f64.to_le_bytes())));
    assert!(matches("value > 70", &data(Text, b"71\n")));
    assert!(matches("value == 21.5", &data(Json, b" 21.5 ")));
    assert!(matches("value == -7", &data(I64, &(-7i64).to_le_bytes())));
    assert!(matches("value == 9007199254740993", &data(I64, &9_007_199_254_740_993i64.to_le_bytes())));
    assert!(!matches("value == 9007199254740992.0", &data(I64, &9_007_199_254_740_993i64.to_le_bytes())));
    assert!(matches("70 < value", &data(Text, b"71")));
    assert!(matches("value * 2 > 141 && value - 1 < 70", &data(Text, b"70.75")));
    assert!(matches("int(value) % 2 == 0", &data(Text, b"42")));
}

#[test]
fn integers_stay_integers_until_a_fraction_comes_in() {
    for (json, text) in [
        (r#"{"a":9007199254740993}"#, "json.a + 1 > 0"),
        (r#"{"a":9007199254740993}"#, "json.a + 0 == 9007199254740993 && json.a + 0 != 9007199254740992"),
        (r#"{"a":9007199254740993}"#, "json.a * 1 > 9007199254740992.0 && json.a - 1 == 9007199254740992.0"),
        (r#"{"t":1795309323000000004}"#, "json.t / 1e9 > 1795309322 && json.t / 1e9 < 1795309324"),
        (
            r#"{"t":1795309323000000004}"#,
            "json.t % 1000000000 == 4 && int(json.t) / 1000000000 == 1795309323",
        ),
        (r#"{"t":1795309323}"#, "timestamp(json.t) == timestamp('2026-11-22T01:02:03Z')"),
        (
            r#"{"a":18446744073709551615}"#,
            "json.a - 1 == 18446744073709551614 && json.a > 18446744073709551614",
        ),
        (r#"{"a":18446744073709551615,"b":18446744073709551610}"#, "json.b - json.a == -5"),
        (
            r#"{"a":-9223372036854775808}"#,
            "json.a + 1 == -9223372036854775807 && json.a <= -9223372036854775808",
        ),
        (
            r#"{"a":-9223372036854775808}"#,
            "json.a / -1 == 9223372036854775808 && json.a == -9223372036854775808.0",
        ),
        (
            r#"{"a":7,"b":2}"#,
            "json.a / json.b == 3.5 && int(json.a) / 2 == 3 && json.a / 7 == 1 && json.a % json.b == 1",
        ),
        (r#"{"a":-7,"b":2}"#, "json.a % json.b == -1 && int(json.a) / int(json.b) == -3"),
        (r#"{"a":7,"b":0.5}"#, "json.a + json.b == 7.5 && json.a * json.b == 3.5 && json.b + json.a > 7"),
        (
            r#"{"a":[1,2.0,9007199254740993]}"#,
            "json.a.exists(x, x + 0 == 9007199254740993) && 2 in json.a && !(9007199254740992 in json.a)",
        ),
        (r#"{"a":[10,20,30],"i":1}"#, "json.a[json.i] == 20 && json.a[json.i + 1] == 30"),
        (r#"{"a":[10,20,30],"i":1}"#, "json.a[1.0] == 20"),
        (r#"{"a":[10,20,30],"i":1}"#, "!(3 in json) && 'i' in json"),
        (
            r#"{"a":1}"#,
            "{1: 'x'}[json.a] == 'x' && json.a in {1: 'x'} && !(2 in {1: 'x'}) && {'a': 1.0} == json",
        ),
        (
            r#"{"a":[1,2.0]}"#,
            "json.a == [1.0, 2] && json == {'a': [1, 2]} && json.a.size() + 1 == 3 && size(json) == 1",
        ),
        (
            r#"{"a":"9223372036854775807"}"#,
            "int(json.a) == 9223372036854775807 && uint('18446744073709551615') > int(json.a)",
        ),
        (
            r#"{"a":1e300}"#,
            "json.a * 1e10 > 1.7e308 && json.a > 18446744073709551615 && -json.a < -9223372036854775807",
        ),
    ] {
        assert!(matches(text, &data(Json, json.as_bytes())), "{text} of {json}");
        assert!(matches(text, &data(Text, json.as_bytes())), "{text} of {json}");
    }
    let extreme = |value: i64| value.to_le_bytes();
    assert!(matches("int(value) > 5 && int(value) == 9223372036854775807", &data(I64, &extreme(i64::MAX))));
    assert!(matches("value - 1 == 9223372036854775806 && value % 10 == 7", &data(I64, &extreme(i64::MAX))));
    assert!(matches(
        "double(value) == 9223372036854775808.0 && value < 9223372036854775808.0",
        &data(I64, &extreme(i64::MAX))
    ));
    assert!(matches(
        "value + 1 < -9223372036854775806 && string(value) == text",
        &data(I64, &extreme(i64::MIN))
    ));
    assert!(matches("value - 1 == 18446744073709551614", &data(Text, b"18446744073709551615\n")));
    assert!(matches("value + 0 == 9007199254740993", &data(Text, b" 9007199254740993 ")));
    assert!(matches(
        "value + 0 == 18446744073709551615",
        &data(Msgpack, b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff")
    ));
    assert!(matches("value % 2 == 0", &data(F64, &4f64.to_le_bytes())));
    let woof = Subject { seqno: Some(u64::MAX), time_ns: Some(u64::MAX), ..Subject::default() };
    assert!(matches(
        "seqno - 1 == 18446744073709551614 && seqno % 10 == 5 && seqno / 10 == 1844674407370955161",
        &woof
    ));
    assert!(matches("int(time) == 18446744073 && time - duration('1ns') < time", &woof));
}

#[test]
fn numbers_over_64_bits_match_nothing_and_are_told_once() {
    for (json, text, why) in [
        ("9223372036854775807", "json + 1 > 0", "9223372036854775807 + 1"),
        ("9223372036854775807", "!(value + 1 > 0)", "9223372036854775807 + 1"),
        ("-9223372036854775808", "-value > 0", "-(-9223372036854775808)"),
        ("-9223372036854775808", "int(value) / -1 > 0", "-9223372036854775808 / -1"),
        ("18446744073709551615", "value * value > 0", "18446744073709551615 * 18446744073709551615"),
        ("18446744073709551615", "int(value) > 0", "int(18446744073709551615)"),
        ("-1", "uint(value) >= 0", "uint(-1)"),
        ("-0.5", "uint(value) >= 0", "uint(-0.5)"),
        ("1e300", "int(json) > 0", "int(1e300)"),
        ("9223372036854775808.0", "int(json) > 0", "int(9.223372036854776e18)"),
        ("\"9223372036854775808\"", "int(json) > 0", "int(\"9223372036854775808\")"),
        ("[1,9223372036854775807]", "json.exists(x, x + 1 == 3)", "9223372036854775807 + 1"),
    ] {
        let predicate = Predicate::compile_at(text, NOW_NS).unwrap();
        assert!(!predicate.matches(&data(Json, json.as_bytes())), "{text} of {json}");
        let told = predicate.trouble().map(|error| error.to_string());
        assert_eq!(
            told,
            Some(format!("expression: {why} does not fit 64 bits: no match (told once)")),
            "{text} of {json}"
        );
        assert!(!predicate.matches(&data(Json, json.as_bytes())));
        assert!(predicate.trouble().is_none(), "{text}");
    }
    // What other data decides is no trouble, nor is what is merely missing.
    for (json, text, matched) in [
        ("9223372036854775807", "value > 5 || value + 1 > 0", true),
        ("1", "value / 0 > 0 || value % 0 > 0", false),
        ("1.5", "value % 2 == 0", false),
        ("\"x\"", "int(json) > 0 || json + 1 > 0", false),
        ("1e308", "value * 1e300 > 1.7e308", true),
    ] {
        let predicate = Predicate::compile_at(text, NOW_NS).unwrap();
        assert_eq!(predicate.matches(&data(Json, json.as_bytes())), matched, "{text} of {json}");
        assert!(predicate.trouble().is_none(), "{text}");
    }
}

#[test]
fn what_is_missing_makes_no_match_not_even_behind_a_not() {
    let word = data(Text, b"warm");
    assert!(!matches("value > 3", &word));
    assert!(!matches("!(value > 3)", &word));
    assert!(!matches("value != 3", &word));
    assert!(!matches("value > 3 || value <= 3", &word));
    assert!(!matches("value * 2 > 3", &word));
    assert!(!matches("!(value * 2 > 3)", &word));
    for text in
        ["seqno > 0", "time > timestamp('1970-01-01T00:00:00Z')", "name != 'x'", "depth >= 0", "json.a == 1"]
    {
        assert!(!matches(text, &Subject::default()), "{text}");
        assert!(!matches(&format!("!({text})"), &Subject::default()), "{text}");
    }
}

#[test]
fn one_side_decides_although_the_other_is_missing() {
    let word = data(Text, b"warm");
    assert!(matches("value > 3 || text == 'warm'", &word));
    assert!(matches("text == 'warm' || value > 3", &word));
    assert!(matches("!(value > 3 && text == 'cold')", &word));
    assert!(!matches("value > 3 && text == 'warm'", &word));
    assert!(matches("value * 2 > 3 || text + '' == 'warm'", &word));
    assert!(!matches("value > 3 ? true : true", &word));
}

#[test]
fn has_tells_whether_a_name_or_field_is_there() {
    assert!(matches("!has(value)", &data(Text, b"warm")));
    assert!(matches("has(value) && has(data) && !has(seqno)", &data(Text, b"3")));
    let object = data(Json, br#"{"a":null,"b":[{"c":1},{"d":2}]}"#);
    assert!(matches("has(json.a)", &object));
    assert!(matches("!has(json.x)", &object));
    assert!(!matches("has(json.x.y) || !has(json.x.y)", &object));
    assert!(matches("json.b.exists(x, has(x.d)) && !json.b.all(x, has(x.d))", &object));
    assert!(matches("json.b.exists(x, has(seqno) || has(x))", &object));
}

#[test]
fn not_a_number_equals_nothing_and_has_no_order() {
    let nan = f64::NAN.to_le_bytes();
    let nan = data(F64, &nan);
    for text in ["value == 3", "value < 3", "value <= 3", "value > 3", "value >= 3", "value in [3]"] {
        assert!(!matches(text, &nan), "{text}");
        assert!(matches(&format!("!({text})"), &nan), "{text}");
    }
    assert!(matches("value != 3", &nan));
    assert!(!matches("value == value", &nan));
}

#[test]
fn text_is_utf8_without_one_newline() {
    assert!(matches("text == 'on'", &data(Text, b"on\n")));
    assert!(matches("text == 'on\\n'", &data(Text, b"on\n\n")));
    assert!(matches("text == ''", &data(Text, b"")));
    assert!(!matches("text == 'on' || text != 'on'", &data(Text, b"\xff")));
    assert!(matches("data == b'\\xff'", &data(Bytes, b"\xff")));
    assert!(matches("text == '21.5'", &data(F64, &21.5f64.to_le_bytes())));
    assert!(matches(
        "text.contains('rr') && text.startsWith('e') && text.endsWith('r')",
        &data(Text, b"error")
    ));
    assert!(matches("text < 'b' && text >= 'a'", &data(Text, b"abc")));
    assert!(matches(
        "text.matches('^e+r') && !text.matches('^r') && text.matches('e$')",
        &data(Text, b"eerie\n")
    ));
    assert!(matches("text.matches('^e+r')", &data(Text, b"eerie")));
    assert!(matches("size(text) == 3 && text.size() == 3 && size == 6", &data(Text, "äöü".as_bytes())));
}

#[test]
fn json_is_looked_into() {
    let object = data(
        Json,
        br#"{"temp":21.5,"n":3,"id":9007199254740993,"ok":true,"tag":"a\"b","list":[1,2,3],"deep":{"a b":{"c":7}}}"#,
    );
    for text in [
        "json.temp > 3",
        "json.temp * 2 == 43",
        "json.n == 3 && json.n < 3.5",
        "json.n + json.temp > 24.4",
        "json.id == 9007199254740993 && json.id != 9007199254740992",
        "json.ok && json.ok == true",
        "json.tag == 'a\"b' && json.tag != 3",
        "json.tag.matches('^a') && json.tag.contains('b')",
        "json.list[1] == 2 && 3 in json.list && !(4 in json.list)",
        "json['deep'].a == 1 || json['deep']['a b'].c == 7",
        "json.list.exists(x, x > 2) && json.list.all(x, x > 0) && json.list.exists_one(x, x == 2)",
        "json.list.filter(x, x > 1).size() == 2",
        "json.list.filter(x, x > 1).exists(y, y == 3)",
        "size(json.list) == 3",
        "'temp' in json",
        "json.list == [1, 2, 3]",
        "int(json.n) % 2 == 1",
        "string(json.n) == '3'",
        "json.ok ? json.n == 3 : false",
        "json.list.exists(x, json.list.exists(y, x + y == 6))",
        "json.list.all(value, value < 4)",
    ] {
        assert!(matches(text, &object), "{text}");
    }
    for text in
        ["json.none > 3", "json.temp.x == 1", "json.tag > 3", "json.list > 3", "!(json.tag > 3)", "json.tag"]
    {
        assert!(!matches(text, &object), "{text}");
    }
    assert!(!matches("json.temp > 3", &data(Json, br#"{"temp":21.5"#)));
    assert!(!matches("has(json.temp) || !has(json.temp)", &data(Json, b"{")));
    assert!(matches("json == 3 && json > 2.5", &data(Text, b"3")));
    assert!(!matches("json == 3", &data(Msgpack, b"3")));
}

#[test]
fn times_compare_with_timestamps_and_with_now() {
    let minute = 60_000_000_000;
    let at = |time_ns| Subject { time_ns: Some(time_ns), ..Subject::default() };
    assert!(matches("time > now - duration('10m')", &at(NOW_NS - 9 * minute)));
    assert!(!matches("time > now - duration('10m')", &at(NOW_NS - 11 * minute)));
    assert!(matches("time >= timestamp('2026-11-22T00:00:00Z')", &at(NOW_NS)));
    assert!(matches("time == timestamp('2026-11-22T01:00:00+01:00')", &at(NOW_NS)));
    assert!(!matches("time > timestamp('2026-11-22T00:00:00Z')", &at(NOW_NS)));
    assert!(matches("time > timestamp('2026-11-22T00:00:00Z')", &at(NOW_NS + 1)));
    assert!(matches("time > now - duration('1d') && time < now + duration('1.5h')", &at(NOW_NS)));
    assert!(matches("time.getHours() == 0 && time.getFullYear() == 2026", &at(NOW_NS)));
    assert!(matches("time.getHours('+02:00') == 2", &at(NOW_NS)));
    assert!(matches(
        "time.getMonth() == 10 && time.getDate() == 22 && time.getDayOfMonth() == 21",
        &at(NOW_NS)
    ));
    assert!(matches("time.getDayOfWeek() == 0 && time.getDayOfYear() == 325", &at(NOW_NS)));
    assert!(matches("int(time) == 1795305600 && timestamp(1795305600) == time", &at(NOW_NS)));
    assert!(matches("time + duration(string(90) + 's') - time == duration('1m30s')", &at(NOW_NS)));
    assert!(matches("string(time - time - duration('1500ms')) == '-1.5s'", &at(NOW_NS)));
    assert!(matches("(time - timestamp('2026-11-21T22:30:00Z')).getMinutes() == 90", &at(NOW_NS)));
    assert!(!matches("time.getHours(string(seqno)) >= 0 || time.getHours(text) < 0", &at(NOW_NS)));
    assert!(matches("time - timestamp('2026-11-21T00:00:00Z') == duration('24h')", &at(NOW_NS)));
    assert!(matches("string(time) == '2026-11-22T00:00:00Z'", &at(NOW_NS)));
    assert!(matches("time < timestamp('9999-12-31T23:59:59Z')", &at(u64::MAX)));
    assert!(matches(
        "time > timestamp(json.since)",
        &Subject { time_ns: Some(NOW_NS), ..data(Json, br#"{"since":"2026-11-21T00:00:00Z"}"#) }
    ));
}

#[test]
fn sequence_numbers_compare_exactly_over_all_64_bits() {
    let at = |seqno| Subject { seqno: Some(seqno), ..Subject::default() };
    assert!(matches("seqno == 18446744073709551615", &at(u64::MAX)));
    assert!(matches("seqno > 18446744073709551614u && seqno > -1", &at(u64::MAX)));
    assert!(matches("seqno == 9007199254740993 && seqno > 9007199254740992.0", &at(9_007_199_254_740_993)));
    assert!(matches("seqno % 10 == 0 && seqno - 100 < 0", &at(50)));
    assert!(matches("string(seqno) == '50' && seqno in [1, 50]", &at(50)));
}

#[test]
fn attributes_are_names() {
    let attrs = Attrs(&[
        ("name", AttrRef::Text("main.rs")),
        ("path", AttrRef::Text("src/main.rs")),
        ("type", AttrRef::Text("file")),
        ("mode", AttrRef::UInt(0o644)),
        ("mtime", AttrRef::UInt(NOW_NS)),
        ("size", AttrRef::UInt(4096)),
        ("hidden", AttrRef::Bool(true)),
        ("ratio", AttrRef::Float(0.5)),
        ("host", AttrRef::Text("edge7")),
        ("count", AttrRef::Int(-3)),
    ]);
    let file = Subject { attrs: Some(&attrs), depth: Some(1), ..Subject::default() };
    for text in [
        "name == 'main.rs' && type == 'file'",
        "name.glob('*.rs') && path.glob('src/*') && !path.glob('*.rs')",
        "mode == 420 && mode == 0x1a4",
        "mtime > now - duration('1s') && mtime <= now",
        "size > 4000 && size <= 4096",
        "depth == 1",
        "hidden && hidden == true && !!hidden",
        "ratio < 1 && ratio * 2.0 == 1.0",
        "host in ['edge6', 'edge7'] && host != 7",
        "count < 0 && count + 3 == 0",
        "has(host) && !has(owner)",
        "name + '/' + type == 'main.rs/file'",
    ] {
        assert!(matches(text, &file), "{text}");
    }
    assert!(!matches("host > 7", &file));
    assert!(!matches("owner == 'x' || owner != 'x'", &file));
    // The size of data wins over that of a file.
    assert!(matches("size == 3", &Subject { data: Some(b"abc"), ..file }));
}

#[test]
fn strings_are_written_in_all_forms_of_cel() {
    for text in [
        r#"text == "a\tb\x41\u00e4\U0001f431\101""#,
        "text == 'a\\tbA' + \"ä\" + '''🐱A'''",
        "text.contains(r'\\') == false",
    ] {
        assert!(matches(text, &data(Text, "a\tbAä🐱A".as_bytes())), "{text}");
    }
    assert!(matches("text == r'a\\d' // as it stands", &data(Text, b"a\\d")));
    assert!(matches("data == b'a\\xff\\000'", &data(Bytes, b"a\xff\0")));
}

#[test]
fn joined_predicates_match_where_both_do_and_read_as_one() {
    let warm = Predicate::compile("value > 70 || value < 0").unwrap();
    let early = Predicate::compile(" seqno < 5 ").unwrap();
    let both = warm.and(early).and(Predicate::size_range(None, Some(2)).unwrap());
    assert_eq!(both.text(), "(value > 70 || value < 0) && seqno < 5 && size <= 2");
    let again = Predicate::compile(both.text()).unwrap();
    for (text, seqno, expected) in
        [("71", 4, true), ("71", 5, false), ("70", 4, false), ("-1", 1, true), ("-10", 1, false)]
    {
        let subject = Subject { seqno: Some(seqno), ..data(Text, text.as_bytes()) };
        assert_eq!(both.matches(&subject), expected, "{text} {seqno}");
        assert_eq!(again.matches(&subject), expected, "{text} {seqno}");
    }
}

#[test]
fn uses_tells_which_names_are_looked_at() {
    use super::super::Names;
    let uses = |text| Predicate::compile(text).unwrap().uses();
    assert_eq!(uses("value > 3 && json.a.exists(x, x > seqno)"), Names::VALUE | Names::JSON | Names::SEQNO);
    assert_eq!(uses("time > now - duration('1h') && has(name)"), Names::TIME | Names::NAME);
    assert_eq!(uses("host == 'a' ? true : path.startsWith('b')"), Names::OTHER | Names::PATH);
    assert!(uses("true").is_empty());
}
