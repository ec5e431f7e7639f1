//! The times of elements: kept on their way, and under a clock that was wrong.

use crate::server::{Serving, local, ready};
use crate::support::{Ran, Sandbox};

const OLD: &str =
    "{\"type\":\"elem\",\"seqno\":7,\"time\":\"2001-01-01T00:00:00.000000007Z\",\"data\":\"old\"}";
const OLDER: &str = "{\"type\":\"elem\",\"seqno\":8,\"time\":\"1999-01-01T00:00:00Z\",\"data\":\"older\"}";
const FAR: &str = "{\"type\":\"elem\",\"seqno\":9,\"time\":\"2250-01-01T00:00:00Z\",\"data\":\"far\"}";

/// Runs a script in which nobody wants to know the numbers of what is put.
fn sh(sandbox: &Sandbox, script: &str) -> Ran {
    sandbox.sh(&format!("wput() {{ command wput \"$@\" > /dev/null; }}; {script}"))
}

/// The years of all elements of a woof.
fn years(sandbox: &Sandbox, woof: &str) -> String {
    sh(sandbox, &format!("wget {woof} .. --json | sed 's/.*\"time\":\"\\(....\\).*/\\1/' | tr '\\n' ' '"))
        .text()
        .to_owned()
}

/// This year.
fn now(sandbox: &Sandbox) -> String {
    sh(sandbox, "date -u +%Y").text().trim().to_owned()
}

/// Has the time of the newest element of a woof be one of the year 2150, as if it had been put under such a clock.
fn put_under_a_wrong_clock(sandbox: &Sandbox, woof: &str, data: &str) {
    woof_kit::set_newest_time(&sandbox.dir().join(woof), 5_680_281_600_000_000_000).unwrap();
    sandbox.run("wput", &["-q", woof, data], b"");
}

#[test]
fn elements_keep_their_times_where_that_is_asked_for_and_else_do_not() {
    let sandbox = Sandbox::new();
    let now = now(&sandbox);
    let put = |args: &str| -> Ran {
        sh(&sandbox, &format!("printf '%s\\n%s\\n' '{OLD}' '{OLD}' | wcat --from json | wput {args}"))
    };
    assert_eq!(put("--create --keep-times kept").done(), "");
    assert_eq!(put("--create new").done(), "");
    assert_eq!(put("--create --new-times newer").done(), "");
    assert_eq!(years(&sandbox, "kept"), "2001 2001 ");
    assert_eq!(years(&sandbox, "new"), format!("{now} {now} "));
    assert_eq!(years(&sandbox, "newer"), format!("{now} {now} "));
    assert!(sh(&sandbox, "wget kept --json").done().contains("\"time\":\"2001-01-01T00:00:00.000000007Z\""));
    // What has none gets that of the put.
    sh(
        &sandbox,
        "wput -q kept plain; echo line | wput -q --keep-times kept; wecho w | wput -q --keep-times kept",
    )
    .done();
    assert_eq!(years(&sandbox, "kept"), format!("2001 2001 {now} {now} {now} "));
    assert_eq!(sh(&sandbox, "wput --keep-times --new-times kept x").status, 2);
}

#[test]
fn times_that_cannot_be_kept_are_told_with_their_number() {
    for remote in [false, true] {
        let sandbox = ready();
        let _serving = remote.then(|| Serving::start(&sandbox, &[]));
        let name = if remote { local(&sandbox, "farm/w") } else { "srv/farm/w".to_owned() };
        let now = now(&sandbox);
        let lines = [OLD, OLD, OLDER, OLDER, FAR].join("\n");
        let put = format!("echo '{lines}' | wcat --from json | wput --create --keep-times {name}");
        let ran = sh(&sandbox, &put);
        let behind =
            "came with times before that of the newest one, and got its time, as times do not go back";
        let ahead = "came with times over a minute ahead of the clock, and got the time of the put";
        let told = format!("wput: {name}: 2 elements {behind}\nwput: {name}: 1 element {ahead}\n");
        assert_eq!((ran.status, ran.stderr), (0, told));
        assert_eq!(years(&sandbox, "srv/farm/w"), format!("2001 2001 2001 2001 {now} "));
        assert_eq!(sh(&sandbox, &put.replace("wput", "wput -q")).done(), "");
    }
}

#[test]
fn a_woof_that_is_carried_keeps_its_times() {
    for remote in [false, true] {
        let sandbox = ready();
        let _serving = remote.then(|| Serving::start(&sandbox, &[]));
        let hub = if remote { local(&sandbox, "farm/hub") } else { "srv/farm/hub".to_owned() };
        let now = now(&sandbox);
        sh(&sandbox, &format!("echo '{OLD}' | wcat --from json | wput --create --keep-times edge")).done();
        let carry =
            format!("wtail --keep up --from 1 --no-follow edge | wfilter 'true' | wput --create {hub}");
        sh(&sandbox, &carry).done();
        sh(&sandbox, &carry).done();
        assert_eq!(years(&sandbox, "srv/farm/hub"), "2001 ");
        sh(&sandbox, &format!("wput -q edge new; {carry}")).done();
        assert_eq!(years(&sandbox, "srv/farm/hub"), format!("2001 {now} "));
        let fresh = carry
            .replace("wput", "wput --new-times")
            .replace("keep up", "keep fresh")
            .replace("farm/hub", "farm/fresh");
        sh(&sandbox, &fresh).done();
        assert_eq!(years(&sandbox, "srv/farm/fresh"), format!("{now} {now} "));
    }
}

#[test]
fn a_backup_of_a_stream_is_put_back_with_its_times() {
    let sandbox = Sandbox::new();
    sh(
        &sandbox,
        "wcreate w && wput -q w a b c && wget w .. > backup && wput --create --keep-times back < backup",
    )
    .done();
    let shown = |name: &str| {
        sh(&sandbox, &format!("wget {name} .. --json")).text().replace(&format!("\"{name}\""), "")
    };
    assert_eq!(shown("w"), shown("back"));
}

#[test]
fn a_clock_that_was_wrong_is_told_shown_and_reset() {
    for remote in [false, true] {
        let sandbox = ready();
        let _serving = remote.then(|| Serving::start(&sandbox, &[]));
        let name = if remote { local(&sandbox, "farm/w") } else { "srv/farm/w".to_owned() };
        let now = now(&sandbox);
        sh(&sandbox, "wcreate srv/farm/w").done();
        let wput = |data: &str| sh(&sandbox, &format!("wput {name} {data}"));
        assert_eq!(
            sh(&sandbox, &format!("wattr {name} clock reset -v")).stderr,
            format!("wattr: {name}: nothing to reset: no element is ahead of the clock\n")
        );
        wput("zero").done();
        put_under_a_wrong_clock(&sandbox, "srv/farm/w", "one");
        let told = format!(
            "wput: {name}: its newest element, of 2150-01-01 00:00, is ahead of the clock: what is put gets that time until the clock is there \
             (wattr {name} clock reset ends that)\n"
        );
        for put in [wput("two"), sh(&sandbox, &format!("echo three | wput {name}"))] {
            assert_eq!((put.status, put.stderr), (0, told.clone()));
        }
        let shown = sh(&sandbox, &format!("wstat {name}"));
        let row = format!(
            "clock     the newest is ahead of the clock, and what is put gets its time until then (wattr {name} clock reset)\n"
        );
        assert!(shown.done().contains(&row), "{shown:?}");
        assert!(
            sh(&sandbox, &format!("wstat {name} --json"))
                .done()
                .contains("\"ahead_time\":\"2150-01-01T00:00:00.000000000Z\"")
        );
        assert_eq!(years(&sandbox, "srv/farm/w"), format!("{now} 2150 2150 2150 "));

        let moment = sh(&sandbox, "date -u +%Y-%m-%dT%H:%M:%S.%NZ").text().trim().to_owned();
        sh(&sandbox, &format!("wattr {name} clock reset")).done();
        let since = |text: &str| {
            sh(&sandbox, &format!("wtail {name} --no-follow --since {text} -u")).done().to_owned()
        };
        assert_eq!(since(&moment), "");
        wput("four five").done();
        assert_eq!(since(&moment), "four\nfive\n");
        assert_eq!(
            sh(&sandbox, &format!("wget {name} .. --until {moment} -u")).done(),
            "zero\none\ntwo\nthree\n"
        );
        assert_eq!(years(&sandbox, "srv/farm/w"), format!("{now} 2150 2150 2150 {now} {now} "));
        assert!(!sh(&sandbox, &format!("wstat {name}")).done().contains("clock"));
    }
}

#[test]
fn resetting_a_clock_at_a_server_needs_the_right_to_administer() {
    let sandbox = ready();
    sh(
        &sandbox,
        "wcreate srv/farm/w && wattr srv/farm grant any read put && wkey add bob && wput srv/farm/w zero",
    )
    .done();
    put_under_a_wrong_clock(&sandbox, "srv/farm/w", "one");
    let serving = Serving::tls(&sandbox);
    let name = format!("woof://{}/farm/w", serving.address);
    let reset = |user: &str| sh(&sandbox, &format!("WOOF_IDENTITY={user} wattr {name} clock reset"));
    assert_eq!(reset("bob").status, 2);
    assert!(sh(&sandbox, "wstat srv/farm/w --json").text().contains("ahead_time"));
    let owner = sh(&sandbox, "id -un").text().trim().to_owned();
    reset(&owner).done();
    assert!(!sh(&sandbox, "wstat srv/farm/w --json").text().contains("ahead_time"));
}
