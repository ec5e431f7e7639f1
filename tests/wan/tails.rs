//! Followers whose link is cut.

use crate::farm::{Farm, until};
use std::time::Duration;

/// How many marks and elements a stream has.
fn marks_and_elements(farm: &Farm, file: &str) -> (usize, usize) {
    let listing = farm.sandbox.sh(&format!("wcat -l {file}"));
    let count = |kind: &str| listing.text().lines().filter(|line| line.contains(kind)).count();
    (count("caught-up"), count("elem"))
}

#[test]
fn a_follow_has_each_element_once_though_the_link_was_cut() {
    let Some(mut farm) = Farm::at_ms(40) else { return };
    farm.there("wcreate srv/farm/temp --type i64; seq 3 | wput srv/farm/temp > acks");
    let raw = farm.follow(&["-n", "3", "$U/temp", "-u"], "raw");
    let whole = farm.follow(&["-n", "3", "$U/temp"], "whole");
    farm.wait_lines("raw", 3);
    until("the mark", || marks_and_elements(&farm, "whole") == (1, 3));
    // The connection outlives the first cut and not the second.
    farm.link.cut();
    farm.there("seq 4 500 | wput srv/farm/temp > acks");
    std::thread::sleep(Duration::from_secs(1));
    farm.link.mend();
    farm.wait_lines("raw", 500);
    farm.link.cut();
    farm.there("seq 501 700 | wput srv/farm/temp > acks");
    farm.kill();
    farm.there("seq 701 900 | wput srv/farm/temp > acks");
    farm.start("10.89.0.2");
    farm.link.mend();
    farm.wait_lines("raw", 900);
    farm.there("seq 901 1000 | wput srv/farm/temp > acks");
    farm.wait_lines("raw", 1_000);
    until("all elements", || marks_and_elements(&farm, "whole").1 >= 1_000);
    for follow in [raw, whole] {
        let said = follow.interrupt().stderr;
        let line = said.lines().next().unwrap_or_default();
        assert!(
            line.starts_with("wtail: woof://10.89.0.2:7144: ") && line.ends_with("; trying again"),
            "{said}"
        );
    }
    crate::farm::is_sequence(&farm.text("raw"), 1, 1_000);
    assert_eq!(marks_and_elements(&farm, "whole"), (1, 1_000));
}

#[test]
fn what_was_overwritten_while_the_link_was_cut_is_told() {
    let Some(mut farm) = Farm::at_ms(20) else { return };
    farm.there("wcreate srv/farm/temp --type i64 --history 100; seq 3 | wput srv/farm/temp > acks");
    let tail = farm.follow(&["--count", "103", "-n", "3", "$U/temp", "-u"], "tail");
    farm.wait_lines("tail", 3);
    farm.link.cut();
    // Else it would still be sent what the link then takes in.
    farm.kill();
    farm.there("seq 4 1000 | wput -q srv/farm/temp > acks");
    farm.start("10.89.0.2");
    farm.link.mend();
    let ran = tail.end();
    let gone: Vec<&str> = ran.stderr.lines().filter(|line| !line.ends_with("; trying again")).collect();
    assert_eq!(
        (ran.status, gone.as_slice()),
        (
            1,
            &[
                "wtail: woof://10.89.0.2/farm/temp: elements 4 to 900 are gone: overwritten before they were read"
            ][..]
        )
    );
    let expected: String = (1..=3).chain(901..=1_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(farm.text("tail"), expected);
}
