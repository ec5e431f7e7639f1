//! Values of flags: each kind of value, in every command that takes it, with what it must refuse by name.

use crate::support::Sandbox;

/// What is no whole number anywhere.
const NO_NUMBERS: [&str; 13] = [
    "",
    "-1",
    "+5",
    " 5",
    "5 ",
    "5x",
    "1e3",
    "0x10",
    "1.0",
    "1_000",
    "NaN",
    "\u{663}",
    "18446744073709551616",
];
/// What is no size anywhere.
const NO_SIZES: [&str; 11] = [
    "",
    "-1",
    "+5",
    " 5",
    "1.5k",
    "4kk",
    "0x10",
    "1e3",
    "\u{663}k",
    "18446744073709551616",
    "99999999999TiB",
];
/// What is no length of time anywhere.
const NO_DURATIONS: [&str; 12] =
    ["", "0", "5", "-5", "+5m", " 5m", "5m ", "1.5.h", "5M", "1e3s", "\u{665}m", "18446744073709551615s"];
/// What is no point in time anywhere.
const NO_TIMES: [&str; 14] = [
    "",
    "5",
    "+5m",
    "now",
    "20261122",
    "1795309323",
    "2026-02-30",
    "2026-11-22T25:00:00Z",
    "2026-11-22T01:02:03+99:00",
    "2026-11-22T01:02:03Z[Foo/Bar]",
    "1969-12-31T23:59:59Z",
    "2554-07-22T00:00:00Z",
    "99999999999999999999d",
    "\u{665}m",
];

/// Each command line with each value in the place of `{}` is refused with status 2, in one line that names the flag and the value.
fn refused(lines: &[&str], values: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p ns/w && mkdir n && wcreate --namespace n && wcreate n/w && printf '#!/bin/sh\\n' > n/handlers/h && chmod +x n/handlers/h").done();
    for line in lines {
        for value in values {
            let args: Vec<&str> =
                line.split(' ').map(|word| if word == "{}" { value } else { word }).collect();
            let flag = line
                .split(' ')
                .zip(line.split(' ').skip(1))
                .find(|(_, next)| *next == "{}")
                .map_or("", |(flag, _)| flag);
            let ran = sandbox.run(args[0], &args[1..], b"");
            assert_eq!(ran.status, 2, "{args:?}: {}", ran.stderr);
            assert_eq!(
                ran.stderr.lines().filter(|line| !line.starts_with("help:")).count(),
                1,
                "{args:?}: {}",
                ran.stderr
            );
            let long = match flag {
                "-n" => "--",
                flag => flag,
            };
            assert!(ran.stderr.contains(long) && ran.stderr.contains(value), "{args:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn what_is_no_whole_number_is_refused_by_every_flag() {
    refused(
        &[
            "wget ns/w -n {}",
            "wget ns/w --from {}",
            "wget ns/w --to {}",
            "wtail --no-follow ns/w -n {}",
            "wtail --no-follow ns/w --count {}",
            "wtail --no-follow ns/w --from {}",
            "wfind ns --depth {}",
            "wcreate ns/x --history {}",
            "wbind n/w h --retries {}",
            "wbind n/w h --at-once {}",
            "wbind n/w h --from {}",
            "wkey add bob --days {}",
            "wserve n --once --max-connections {}",
            "wserve n --once --max-connections-of-user {}",
            "wserve n --once --max-exchanges {}",
            "wserve n --once --max-followed {}",
            "wserve n --once --max-runs {}",
            "wserve n --once --max-runs-of-user {}",
            "wrun --on ns/w -n {} true",
            "wrun --on ns/w --retries {} true",
            "wrun --on ns/w --from {} true",
        ],
        &NO_NUMBERS,
    );
    refused(&["whead -n {}"], &["", "+5", "5x", "1e3", "-", "1-", "5 ", "\u{663}", "-18446744073709551616"]);
    refused(
        &["wput ns/w x --wait {}"],
        &["", "-1", "+5", "1.5", "5 ", "ever", "1e3", "18446744073709551616"],
    );
}

#[test]
fn numbers_and_amounts_that_would_do_nothing_are_refused() {
    refused(
        &[
            "wget ns/w --from {}",
            "wget ns/w --to {}",
            "wbind n/w h --from {}",
            "wrun --on ns/w --from {} true",
        ],
        &["0"],
    );
    refused(
        &["wbind n/w h --at-once {}", "wserve n --once --max-runs {}", "wbind n/w h --memory {}"],
        &["0"],
    );
    refused(&["wserve n --once --max-element {}", "wserve n --once --max-unfinished {}"], &["0"]);
    refused(&["wbind n/w h --limit {}", "wserve n --once --handshake-timeout {}"], &["0s"]);
}

#[test]
fn what_is_no_size_is_refused_by_every_flag() {
    refused(
        &[
            "wcreate ns/x --capacity {}",
            "wcreate ns/x --element-size {}",
            "wbind n/w h --memory {}",
            "wserve n --once --max-element {}",
            "wserve n --once --max-unfinished {}",
            "wmerge --ahead {} ns/w",
            "wcat --split {}",
            "wput ns/w --split {}",
        ],
        &NO_SIZES,
    );
    refused(&["wsplit --by {}"], &NO_SIZES[2..]);
    let sandbox = Sandbox::new();
    for size in ["4", "1k", "10MB", "64 KiB", "1GiB"] {
        let ran = sandbox.sh(&format!(
            "echo word | wcat --split '{size}' -u; echo word | wsplit --by '{size}' -u | wc -l"
        ));
        assert_eq!(ran.status, 0, "{size}: {}", ran.stderr);
        assert!(ran.text().starts_with("word\n"), "{size}");
    }
}

#[test]
fn what_is_no_time_is_refused_by_every_flag() {
    refused(
        &[
            "wget ns/w .. --since {}",
            "wget ns/w .. --until {}",
            "wtail --no-follow ns/w --since {}",
            "wtail ns/w --until {}",
            "wfind ns --newer {}",
        ],
        &NO_TIMES,
    );
    refused(
        &[
            "wget ns/w --timeout {}",
            "wput ns/w x --timeout {}",
            "wput ns/w x --wait-handlers {}",
            "wbind n/w h --limit {}",
            "wserve n --once --handshake-timeout {}",
            "wserve n --once --stop-timeout {}",
        ],
        &NO_DURATIONS,
    );
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w && wput w x > /dev/null").done();
    for age in ["1w", "1.5h", "1d2h3m4s5ms6us7ns", "000000000000000000001d"] {
        assert_eq!(sandbox.sh(&format!("wget w .. --since {age} -u")).done(), "x\n", "{age}");
    }
}

#[test]
fn words_that_are_none_of_those_a_flag_knows_are_refused() {
    let words = ["nonsense", "", "WOOF", " text", "text ", "text,json"];
    refused(
        &[
            "wfind ns --type {}",
            "wcreate ns/x --type {}",
            "wput ns/w x --type {}",
            "wget ns/w -u --delimiter {}",
            "wget ns/w --color {}",
            "wcat --from {}",
            "wcat --split {}",
            "wtee --as {} f",
            "wmerge --by {} ns/w",
            "wsplit --by {}",
            "wserve n --once --log {}",
            "wserve n --once --log-level {}",
        ],
        &words[..],
    );
    refused(
        &["wserve n --once --listen {}"],
        &[
            "localhost",
            ":80",
            "localhost:99999",
            "localhost:+80",
            "localhost: 80",
            "127.0.0.1:0x10",
            "h:\u{663}",
            "",
        ],
    );
    refused(&["wserve n --once --metrics {}"], &["nonsense", "99999", "+80", ":80", "h:99999", ""]);
}

#[test]
fn ranges_that_are_none_are_refused_and_the_largest_are_not() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w && seq 5 | wput w > /dev/null").done();
    for range in [
        "",
        "0",
        "-0",
        "1..0",
        "5..3",
        "-1..-2",
        "5..+7",
        "5.. 7",
        " 5",
        "0x1",
        "1e1",
        "...",
        "1...2",
        "\u{663}",
        "18446744073709551616",
        "a..b",
    ] {
        let ran = sandbox.run("wget", &["w", range, "-u"], b"");
        assert_eq!(
            (ran.status, ran.stderr.starts_with("wget: RANGE:")),
            (2, true),
            "{range}: {}",
            ran.stderr
        );
    }
    for (range, all) in [
        ("..18446744073709551615", true),
        ("-18446744073709551615..", true),
        ("..", true),
        ("5..18446744073709551615", false),
    ] {
        let expected = if all { "1\n2\n3\n4\n5\n" } else { "5\n" };
        assert_eq!(sandbox.run("wget", &["w", range, "-u"], b"").done(), expected, "{range}");
    }
}

#[test]
fn minus_zero_is_all_but_none() {
    let sandbox = Sandbox::new();
    for (count, expected) in [
        ("-0", "1\n2\n3\n"),
        ("0", ""),
        ("-00", "1\n2\n3\n"),
        ("-1", "1\n2\n"),
        ("-18446744073709551615", ""),
        ("18446744073709551615", "1\n2\n3\n"),
        ("2", "1\n2\n"),
    ] {
        assert_eq!(sandbox.run("whead", &["-u", "-n", count], b"1\n2\n3\n").done(), expected, "{count}");
    }
}

#[test]
fn numbers_that_a_woof_cannot_hold_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate f --type f64 && wcreate i --type i64").done();
    for (woof, value) in [
        ("f", "1e400"),
        ("f", "-1e400"),
        ("f", "1e-400"),
        ("f", "1_000"),
        ("f", "0x10"),
        ("f", "\u{663}"),
        ("f", ""),
        ("f", "warm"),
        ("i", "9223372036854775808"),
        ("i", "-9223372036854775809"),
        ("i", "1e3"),
        ("i", "1.0"),
        ("i", "0x10"),
        ("i", "nan"),
    ] {
        let ran = sandbox.sh(&format!("wput -q {woof} -- '{value}' > /dev/null"));
        assert_eq!(ran.status, 1, "{woof} {value}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with(&format!("wput: {woof}: "))
                && ran.stderr.contains(&value.as_bytes().escape_ascii().to_string()),
            "{}",
            ran.stderr
        );
    }
    sandbox.sh("wput f -- 1.7976931348623157e308 -5e-324 0e-999 inf -inf nan -0 ' 21.5 ' > /dev/null").done();
    let numbers = sandbox.sh("wget f .. -u");
    let expected: Vec<String> =
        [f64::MAX, -5e-324, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 21.5]
            .map(|number| number.to_string())
            .into();
    assert_eq!(numbers.done().lines().collect::<Vec<_>>(), expected);
}
