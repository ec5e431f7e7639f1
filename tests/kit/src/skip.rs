//! What was not tested, said aloud.

use std::io::Write as _;

/// A file that gets a line for everything that was not tested. `make test` sets it, and prints it at its end.
const LIST: &str = "WOOF_TEST_SKIPPED";

/// Says that this test, or a part of it, was not run, and why.
///
/// # Panics
/// With `CI=true` in the environment: there nobody reads what was skipped, so everything has to be tested.
#[track_caller]
pub fn skip(why: &str) {
    let test = crate::watch::name_of_test();
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{test}: {why}; CI=true forbids to skip it"
    );
    say(&format!("*** SKIPPED: {test}: {why} ***"));
    if let Some(list) = std::env::var_os(LIST) {
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        // One write, since other tests write at the same time.
        list.write_all(format!("{test}: {why}\n").as_bytes()).unwrap();
    }
}

/// Says something that is to be seen also when all goes well.
pub fn say(line: &str) {
    // Not a print macro, whose output the test runner would keep to itself.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
