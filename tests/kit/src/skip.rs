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

#[cfg(test)]
mod tests {
    /// Said to this program when it is started again to skip.
    const SKIP: &str = "WOOF_KIT_SKIP";

    #[test]
    fn skips_when_it_is_told_to() {
        if std::env::var_os(SKIP).is_some() {
            super::skip("needs to be told to");
        }
    }

    #[test]
    fn what_is_skipped_is_in_the_list_and_with_ci_it_fails() {
        let dir = crate::tempdir().unwrap();
        let list = dir.path().join("list");
        let run = |ci: &str| {
            let mut again = crate::command(std::env::current_exe().unwrap());
            again.args(["--exact", "skip::tests::skips_when_it_is_told_to"]);
            crate::output(again.env(SKIP, "yes").env(super::LIST, &list).env("CI", ci))
        };
        let line = "woof_kit skip::tests::skips_when_it_is_told_to: needs to be told to";
        for _ in 0..2 {
            let ran = run("false");
            assert!(ran.status.success(), "{ran:?}");
            assert_eq!(String::from_utf8(ran.stderr).unwrap(), format!("*** SKIPPED: {line} ***\n"));
        }
        assert_eq!(std::fs::read_to_string(&list).unwrap(), format!("{line}\n{line}\n"));
        let ran = run("true");
        assert!(!ran.status.success(), "{ran:?}");
        assert!(String::from_utf8_lossy(&ran.stdout).contains("CI=true forbids to skip it"), "{ran:?}");
    }
}
