//! Puts whose link is cut, and whose server is killed while nobody can tell the client.

use crate::farm::{Farm, until};
use std::time::Duration;
use woof_link::LinkOptions;

const COUNT: u64 = 10_000;
const PUT: &str = "seq 10000 | wput $U/n > acks";

/// A link that a put of [`COUNT`] elements needs some time for, and a woof for it.
fn farm() -> Option<Farm> {
    let rtt = Duration::from_millis(40);
    let farm = Farm::new(LinkOptions { rtt, rate_bytes_per_s: Some(500_000), ..LinkOptions::default() })?;
    farm.there("wcreate srv/farm/n --type i64 --history 50000");
    Some(farm)
}

/// Puts, and calls `what` when so many bytes have arrived at the server.
fn put_and_at(farm: &mut Farm, bytes: u64, what: impl FnOnce(&mut Farm)) -> String {
    let before = farm.link.a_to_b().delivered.bytes;
    let put = farm.begin(PUT);
    until("so much of the put", || farm.link.a_to_b().delivered.bytes >= before + bytes);
    what(farm);
    let ran = put.end();
    assert_eq!((ran.status, ran.text()), (0, ""), "{}", ran.stderr);
    farm.has_sequence("n", COUNT);
    farm.there("wcreate --reset srv/farm/n --type i64 --history 50000");
    ran.stderr
}

/// What is said while a server is tried again: one line for each reason.
#[track_caller]
fn says_what_it_waits_for(stderr: &str) {
    assert!(!stderr.is_empty(), "it said nothing");
    for line in stderr.lines() {
        assert!(
            line.starts_with("wput: woof://10.89.0.2:7144: ") && line.ends_with("; trying again"),
            "{stderr}"
        );
    }
}

#[test]
fn a_put_goes_on_when_its_link_is_mended() {
    let Some(mut farm) = farm() else { return };
    // In the handshakes, at the beginning, in the middle, near the end.
    for bytes in [60, 1_000, 20_000, 150_000, 280_000] {
        let said = put_and_at(&mut farm, bytes, |farm| {
            farm.link.cut();
            std::thread::sleep(Duration::from_secs(3));
            farm.link.mend();
        });
        // The connection outlived it.
        assert_eq!(said, "", "{bytes}");
    }
}

#[test]
fn a_put_goes_on_with_a_server_that_was_killed_and_says_so() {
    let Some(mut farm) = farm() else { return };
    for bytes in [20_000, 80_000, 150_000] {
        let said = put_and_at(&mut farm, bytes, |farm| {
            farm.kill();
            std::thread::sleep(Duration::from_millis(300));
            farm.start("10.89.0.2");
        });
        says_what_it_waits_for(&said);
    }
}

#[test]
fn a_put_goes_on_with_a_server_whose_end_nobody_could_tell_of() {
    let Some(mut farm) = farm() else { return };
    for bytes in [20_000, 150_000] {
        let said = put_and_at(&mut farm, bytes, |farm| {
            farm.link.cut();
            farm.kill();
            std::thread::sleep(Duration::from_secs(1));
            // The new server knows nothing of the connection, and refuses what comes over it.
            farm.start("10.89.0.2");
            farm.link.mend();
        });
        says_what_it_waits_for(&said);
    }
}

#[test]
fn half_open_connections_are_noticed_by_both_who_follow_and_who_put() {
    let Some(farm) = farm() else { return };
    farm.there("wcreate srv/farm/temp --type i64; wput srv/farm/temp 1 > acks");
    let tail = farm.follow(&["-n", "1", "$U/temp", "-u"], "tail");
    farm.wait_lines("tail", 1);
    let before = farm.link.a_to_b().delivered.bytes;
    let put = farm.begin(PUT);
    until("some of the put", || farm.link.a_to_b().delivered.bytes >= before + 100_000);
    farm.link.cut();
    farm.there("seq 2 5 | wput srv/farm/temp > acks");
    // Past the minute after which a connection without a sign of life is given up.
    std::thread::sleep(Duration::from_secs(63));
    farm.link.mend();
    let ran = put.end();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    says_what_it_waits_for(&ran.stderr);
    farm.has_sequence("n", COUNT);
    farm.wait_lines("tail", 5);
    farm.there("wput srv/farm/temp 6 > acks");
    farm.wait_lines("tail", 6);
    let tailed = tail.interrupt();
    assert_eq!(farm.text("tail"), "1\n2\n3\n4\n5\n6\n");
    assert!(
        tailed.stderr.lines().all(|line| line.starts_with("wtail: woof://10.89.0.2:7144: ")),
        "{}",
        tailed.stderr
    );
    assert!(tailed.stderr.lines().any(|line| line.ends_with("; trying again")), "{}", tailed.stderr);
}

#[test]
fn a_server_that_comes_later_is_waited_for_when_that_is_asked() {
    let Some(mut farm) = Farm::without_server(LinkOptions::default()) else { return };
    farm.there("wcreate srv/farm/n --type i64 --history 50000");
    let ran = farm.sh(PUT);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "wput: woof://10.89.0.2:7144: connect to 10.89.0.2:7144: connection refused\n")
    );
    let put = farm.begin("seq 10000 | wput --wait 10m $U/n > acks 2> said");
    until("it says that it waits", || farm.path("said").metadata().is_ok_and(|file| file.len() > 0));
    farm.start("10.89.0.2");
    let ran = put.end();
    let said = farm.text("said");
    assert_eq!(ran.status, 0, "{said}");
    says_what_it_waits_for(&said);
    farm.has_sequence("n", COUNT);
}
