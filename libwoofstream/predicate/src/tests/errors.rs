//! Every refusal: its place, and its words.

use super::*;
use woof_core::error::Code;

#[test]
fn a_refusal_names_the_place_and_what_was_expected() {
    let table = [
        ("", "expression:1: expected a value"),
        ("   ", "expression:1: expected a value"),
        ("value >", "expression:8: expected a value after '>'"),
        ("value >  ", "expression:8: expected a value after '>'"),
        ("value +", "expression:8: expected a value after '+'"),
        ("value > )", "expression:9: expected a value after '>', found ')'"),
        ("value > 3 &&", "expression:13: expected a value after '&&'"),
        ("(value > 3", "expression:11: expected ')'"),
        ("value > 3)", "expression:10: expected an operator or the end, found ')'"),
        (
            "value > 3 and seqno > 4",
            "expression:11: expected an operator or the end, found 'and': write '&&'",
        ),
        ("value = 3", "expression:7: '=' does not compare: write '=='"),
        ("value > 3 & true", "expression:11: expected '&&', found '&'"),
        ("value > 3 | true", "expression:11: expected '||', found '|'"),
        ("1 < value < 3", "expression:11: '<' after '<': comparisons do not chain, join two with '&&'"),
        ("value > 3;", "expression:10: ';' is not part of the language"),
        ("text == \"abc", "expression:9: this string does not end: expected \""),
        ("text == 'a\\qb'", "expression:11: no such escape: '\\q'"),
        ("text == '\\ud800'", "expression:10: this escape is no character"),
        ("text == '\\x4'", "expression:10: expected 2 digits in this escape"),
        ("value > 12abc", "expression:11: expected an operator or the end after a number, found 'a'"),
        ("value > 1e", "expression:10: expected the digits of an exponent after 'e'"),
        ("value > 1e999", "expression:9: this number is too large"),
        ("value > 99999999999999999999", "expression:9: this number does not fit 64 bits"),
        ("value > -9223372036854775809", "expression:9: this number does not fit 64 bits"),
        ("value > 18446744073709551616", "expression:9: this number does not fit 64 bits"),
        ("value > 0x10000000000000000", "expression:9: this number does not fit 64 bits"),
        ("value > 1e-400", "expression:9: this number is too close to 0"),
        ("value > -1e400", "expression:10: this number is too large"),
        ("value > 9223372036854775807 + 1", "expression:9: this does not fit 64 bits"),
        ("value > -(-9223372036854775808)", "expression:9: this does not fit 64 bits"),
        ("value > 1 / 0", "expression:13: division by zero"),
        ("value > 1 % 0", "expression:13: division by zero"),
        ("value > 1_000", "expression:10: expected an operator or the end after a number, found '_'"),
        ("value > 0x", "expression:11: expected hexadecimal digits after '0x'"),
        ("if > 3", "expression:1: 'if' is a reserved word"),
        ("json.", "expression:6: expected a name after '.'"),
        ("json.3 > 2", "expression:5: expected an operator or the end, found a number"),
        ("json[0 > 2", "expression:11: expected ']'"),
        ("true ? value > 3", "expression:17: expected ':'"),
        ("size(text", "expression:10: expected ',' or ')'"),
        ("{'a' 3} == json", "expression:6: expected ':', found a number"),
        // types
        ("value > \"x\"", "expression:9: expected a number, found a string"),
        ("\"x\" > value", "expression:7: expected a string, found a number"),
        ("text > 3", "expression:8: expected a string, found a number"),
        ("seqno == \"a\"", "expression:10: expected a number, found a string"),
        ("value == null", "expression:10: expected a number, found null"),
        ("value + 1", "expression:1: expected true or false, found a number"),
        ("text", "expression:1: expected true or false, found a string"),
        ("!value", "expression:2: expected true or false, found a number"),
        ("value > 3 && text", "expression:14: expected true or false, found a string"),
        ("value > 3 || seqno", "expression:14: expected true or false, found a number"),
        ("value ? true : false", "expression:1: expected true or false, found a number"),
        ("true ? value > 3 : text", "expression:20: expected true or false, found a string"),
        ("-text == 'a'", "expression:2: expected a number, found a string"),
        ("value + text > 3", "expression:9: expected a number, found a string"),
        ("text + 3 == 'a3'", "expression:8: expected a string, found a number"),
        ("text * 2 == 'aa'", "expression:1: '*' does not work on a string"),
        ("double(value) % 2 == 0", "expression:1: '%' needs whole numbers: write int(...)"),
        ("value % 2.5 == 0", "expression:9: '%' needs whole numbers: write int(...)"),
        ("value.x > 3", "expression:7: a number has no 'x': write json.x"),
        ("text.x.y > 3", "expression:6: a string has no 'x': write json.x"),
        ("name.x > 3", "expression:6: a string has no 'x'"),
        ("text[0] == 'a'", "expression:6: a string has no parts"),
        ("[1, 2] < [3]", "expression:1: '<' does not order a list"),
        ("value in [1, 'a']", "expression:14: expected a number, found a string"),
        ("value in 3", "expression:10: expected a list, found a number"),
        ("'a' in text", "expression:8: expected a list, found a string: write whole.contains(part)"),
        (
            "time > \"2026-11-22\"",
            "expression:8: expected a time, found a string: write timestamp(\"2026-11-22T00:00:00Z\")",
        ),
        ("time > 5", "expression:8: expected a time, found a number"),
        ("time - now > 3", "expression:14: expected a duration, found a number"),
        ("time > now - '10m'", "expression:14: expected a duration, found a string"),
        ("time > timestamp('yesterday')", "expression:18: expected a time such as \"2026-11-22T01:02:03Z\""),
        (
            "time > now - duration('10 min')",
            "expression:23: expected a duration such as \"1h30m\" or \"90s\"",
        ),
        (
            "time > timestamp('2026-02-30T00:00:00Z')",
            "expression:18: expected a time such as \"2026-11-22T01:02:03Z\"",
        ),
        (
            "time > timestamp('9999-12-31T23:59:59Z') + duration('1s')",
            "expression:8: this time is outside of the years 1 to 9999",
        ),
        (
            "time > now - duration('300000d')",
            "expression:23: expected a duration such as \"1h30m\" or \"90s\"",
        ),
        ("time > now - duration('1h ')", "expression:23: expected a duration such as \"1h30m\" or \"90s\""),
        (
            "time > now - duration('\u{661}h')",
            "expression:23: expected a duration such as \"1h30m\" or \"90s\"",
        ),
        (
            "time.getHours('Foo/Bar') == 1",
            "expression:15: no such time zone: \"Foo/Bar\" (as in \"+02:00\" or \"Europe/Madrid\")",
        ),
        (
            "time.getHours('+24:00') == 1",
            "expression:15: no such time zone: \"+24:00\" (as in \"+02:00\" or \"Europe/Madrid\")",
        ),
        (
            "mtime.getDate('') == 1",
            "expression:15: no such time zone: \"\" (as in \"+02:00\" or \"Europe/Madrid\")",
        ),
        // functions
        ("foo(3)", "expression:1: no such function: foo"),
        ("text.foo()", "expression:6: no such function: foo"),
        ("size(text, 3) > 3", "expression:1: 'size' takes 1 value, found 2"),
        ("size(3) > 3", "expression:6: 'size' does not take a number"),
        ("contains('a')", "expression:1: 'contains' is written behind a value: text.contains(...)"),
        ("text.contains(3)", "expression:15: expected a string, found a number"),
        ("text.contains()", "expression:6: 'contains' takes 1 value, found 0"),
        ("value.contains('a')", "expression:1: expected a string, found a number"),
        ("text.matches('(a')", "expression:14: not a regular expression: unclosed group"),
        ("text.matches(name)", "expression:14: expected a pattern in quotes"),
        ("text.matches('(a{1000}){1000}')", "expression:14: this pattern is too large"),
        ("has(3)", "expression:5: expected a name or a field, as in has(json.temp)"),
        ("text.getHours() > 3", "expression:1: expected a time, found a string"),
        (
            "json.items.map(x, x) == json",
            "expression:12: 'map' is not part of predicates: use exists, all or filter",
        ),
        (
            "json.items.exists(3, true)",
            "expression:19: expected a name for the element, as in exists(x, x > 3)",
        ),
        ("json.items.exists(x, 3)", "expression:22: expected true or false, found a number"),
        (
            "[1, 2].all(x, x > 1)",
            "expression:1: 'all' goes through a part of the data, as in json.items.all(x, ...)",
        ),
        ("all(json, x, true)", "expression:1: 'all' is written behind a list: json.items.all(x, ...)"),
    ];
    for (text, expected) in table {
        let err = Predicate::compile_at(text, NOW_NS).expect_err(text);
        assert_eq!(err.to_string(), expected, "{text}");
        assert_eq!(err.code(), Code::Invalid, "{text}");
    }
}

#[test]
fn positions_count_characters_and_not_bytes() {
    let err = Predicate::compile("text == \"äöü\" && value > 'x'").unwrap_err();
    assert_eq!(err.object(), "expression:26");
    assert_eq!(err.text(), "expected a number, found a string");
}

#[test]
fn a_name_that_nothing_has_is_found_wherever_it_stands() {
    let known = ["value", "json", "unit"];
    for (text, expected) in [
        ("value > 3 && unit == 'C' || json.valeu == 3", None),
        ("json.list.exists(x, x > 3)", None),
        ("time > now", Some("\"time\" is not a name of an element")),
        (
            "value > 3 ? unit == 'C' : units == 'F'",
            Some("\"units\" is not a name of an element: did you mean unit?"),
        ),
        ("!(jsno.t > 3)", Some("\"jsno\" is not a name of an element: did you mean json?")),
        ("json.list.all(x, x > vale)", Some("\"vale\" is not a name of an element: did you mean value?")),
        ("has(flurb) && value > 3", Some("\"flurb\" is not a name of an element")),
    ] {
        let unknown = Predicate::compile(text).unwrap().unknown(&known, "an element");
        assert_eq!(unknown.as_ref().map(|err| err.text()), expected, "{text}");
    }
    let both = Predicate::compile("value > 3").unwrap().and(Predicate::compile("colour == 1").unwrap());
    assert!(both.unknown(&known, "x").is_some());
}
