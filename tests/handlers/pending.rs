//! Many elements that wait for a server.

use crate::farm::Farm;
use serde_json::Value;

const COUNT: u64 = 100_000;

/// How many triggers were found before the first attempt began, and which was the first.
fn found_before_the_first(records: &[Value]) -> (u64, u64) {
    let first = records.iter().position(|record| record["what"] == "claimed").unwrap();
    let found = records.iter().take(first).filter(|record| record["what"] == "put");
    let count = found.map(|record| {
        let seqno = record["seqno"].as_u64().unwrap();
        record["to"].as_u64().unwrap_or(seqno) - seqno + 1
    });
    (count.sum(), records[first]["seqno"].as_u64().unwrap())
}

#[test]
fn a_hundred_thousand_that_were_put_before_any_server_ran_are_all_done_once_it_does() {
    let farm = Farm::with("--type i64 --history 200000");
    farm.handler("stream", "wcat -u | tee -a notes | sed -u 's/.*/ok/'");
    farm.sh(&format!("wbind farm/temp stream --stream; seq {COUNT} | wput farm/temp")).done();
    assert_eq!(farm.count(0, "pending"), COUNT);
    let server = farm.serve();
    farm.until("all are done", || farm.count(0, "done") == COUNT);
    server.kill();
    assert_eq!(farm.count(0, "pending"), 0);
    let notes: Vec<u64> = farm.lines("notes").iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(notes, (1..=COUNT).collect::<Vec<_>>());
    // What is open at once is bounded, and so is what is read before something runs.
    assert_eq!(found_before_the_first(&farm.records(1)), (1024, 1));
}

#[test]
fn the_first_attempt_does_not_wait_until_all_that_is_pending_was_looked_at() {
    let farm = Farm::with("--type i64 --history 200000");
    farm.handler("note", "read v; echo $v >> notes");
    farm.sh(&format!(
        "wbind farm/temp note --where 'value == 1 || value > {}'; seq {COUNT} | wput farm/temp",
        COUNT - 10
    ))
    .done();
    farm.once().done();
    assert_eq!(farm.lines("notes").len(), 11);
    assert_eq!(found_before_the_first(&farm.records(1)), (1, 1));
}
