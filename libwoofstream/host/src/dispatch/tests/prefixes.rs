//! Killed at any record of the log of triggers: what a dispatcher runs that finds only what was written before is exactly what was not done by
//! then, with the attempt and the cause that the log says.

use super::*;
use std::collections::BTreeMap;
use woof_local::handler::own::log_options;
use woof_local::handler::{Record, What};
use woof_log::Item;

const COUNT: u64 = 24;

/// The woof of a namespace, small enough to be made many times.
fn small() -> Options {
    Options { history: 64, capacity: 16 << 10, ..Options::default() }
}

/// All records of a log, as they stand there.
fn records(farm: &Path) -> Vec<Vec<u8>> {
    let woof = log::open(&farm.join(".woof/triggers")).unwrap();
    let (mut records, mut cursor) = (Vec::new(), woof.cursor(1));
    while let Some(item) = cursor.next() {
        if let Item::Elem { data, .. } = item {
            records.push(data.to_vec());
        }
    }
    records
}

/// Puts these records in the place of the log, which is held from record `from` on, counted from 0.
fn set_log(farm: &Path, records: &[Vec<u8>], from: usize) {
    let path = farm.join(".woof/triggers");
    let _ = std::fs::remove_file(&path);
    log::create(&path, &log_options()).unwrap();
    let woof = log::open(&path).unwrap();
    let mut appender = woof.appender().unwrap();
    for record in records {
        appender.append(record).unwrap();
    }
    woof.hold(Some(from as u64 + 1)).unwrap();
}

/// What is known of a trigger by the records so far.
#[derive(Clone, Copy, Default)]
struct Known {
    claimed: u32,
    failed: u32,
    over: bool,
}

/// What each trigger is known by, by a model that is simpler than what it is held against: positions mean nothing to it.
fn known(records: &[Vec<u8>]) -> BTreeMap<u64, Known> {
    let mut known: BTreeMap<u64, Known> = (1..=COUNT).map(|seqno| (seqno, Known::default())).collect();
    for record in records.iter().filter_map(|data| Record::parse(data)) {
        if record.what == What::Position {
            continue;
        }
        for seqno in record.seqno..=record.to.unwrap_or(record.seqno) {
            let known = known.get_mut(&seqno).unwrap();
            match record.what {
                What::Claimed => known.claimed += 1,
                What::Failed => known.failed += 1,
                What::Done | What::Dead | What::Lost => known.over = true,
                What::Put | What::Position => {}
            }
        }
    }
    known
}

/// Recovers from each beginning of the log, and holds what is run against the model. Gives how many beginnings there were.
#[track_caller]
fn recovers_from_every_beginning(farm: &Path, records: &[Vec<u8>]) -> usize {
    let woof = log::open(&farm.join("temp")).unwrap();
    let is_position =
        |data: &Vec<u8>| Record::parse(data).is_some_and(|record| record.what == What::Position);
    for cut in 0..=records.len() {
        let (written, _) = records.split_at(cut);
        let known = known(written);
        let oldest = known.iter().find(|(_, known)| !known.over).map_or(COUNT + 1, |(seqno, _)| *seqno);
        // The log is held from its beginning, or from the newest checkpoint; the woof from its beginning, or from its oldest open trigger.
        let checkpoint = written.iter().rposition(is_position).unwrap_or(0);
        for (log_from, woof_from) in [(0, 1), (checkpoint, 1), (0, oldest), (checkpoint, oldest)] {
            set_log(farm, written, log_from);
            woof.hold(Some(woof_from)).unwrap();
            let notes = Arc::new(Notes::default());
            run_noted(farm, &notes);
            let mut ran = notes.runs.lock().unwrap().clone();
            ran.sort();
            let expected: Vec<(u64, String, u32, String)> = known
                .iter()
                .filter(|(_, known)| !known.over)
                .map(|(seqno, known)| {
                    let cause = match known {
                        Known { claimed: 0, .. } => "put",
                        Known { claimed, failed, .. } if claimed > failed => "restart",
                        _ => "retry: failed before a restart",
                    };
                    (*seqno, format!("element {seqno}"), known.claimed + 1, cause.to_owned())
                })
                .collect();
            assert_eq!(ran, expected, "after {cut} records, held from {log_from} and {woof_from}");
            assert_eq!(woof.held(), Some(COUNT + 1));
        }
    }
    records.len() + 1
}

fn run_noted(farm: &Path, notes: &Arc<Notes>) {
    let runner: Arc<dyn Runner> = Arc::<Notes>::clone(notes);
    Dispatcher::open(farm, runner).unwrap().run_pending().unwrap();
}

#[test]
fn from_every_beginning_of_the_log_of_a_run_exactly_what_is_not_done_is_run() {
    let (_dir, farm) = namespace(&small());
    bindings::add(&farm, &Binding { retries: 1, at_once: 3, ..Binding::new("temp", "h") }, None).unwrap();
    let notes = Arc::new(Notes::default());
    // Two runs, so that there are checkpoints in the middle of the log too; some elements fail once, and then for good.
    put(&farm, 1..=10);
    notes.fails.lock().unwrap().extend([3, 7]);
    run_noted(&farm, &notes);
    put(&farm, 11..=COUNT);
    notes.fails.lock().unwrap().push(20);
    run_noted(&farm, &notes);
    let records = records(&farm);
    let beginnings = recovers_from_every_beginning(&farm, &records);
    assert!(beginnings > 3 * COUNT as usize, "{beginnings}");
}

#[test]
fn from_every_beginning_of_the_log_of_a_long_lived_handler_exactly_what_is_not_done_is_run() {
    let (_dir, farm) = namespace(&small());
    bindings::add(&farm, &Binding { retries: 9, ..Binding::new("temp", "h") }, None).unwrap();
    put(&farm, 1..=COUNT);
    let range = |what, seqno, to: u64, attempt| Record {
        to: Some(to).filter(|to| *to != seqno),
        attempt,
        ..Record::new(what, 1, seqno)
    };
    // The position that a dispatcher begins with, then records of many elements, a failure in the middle of them, and a restart.
    run_noted(&farm, &Arc::new(Notes { not_ready: Mutex::default(), ..Notes::default() }));
    let mut position = records(&farm).into_iter().filter_map(|data| Record::parse(&data)).next().unwrap();
    (position.done, position.upto, position.open) = (Some(0), Some(0), Some(vec![]));
    position.totals = None;
    let mut records = vec![position];
    records.extend([
        range(What::Put, 1, 16, None),
        range(What::Claimed, 1, 16, Some(1)),
        range(What::Done, 1, 7, None),
        range(What::Failed, 8, 8, None),
        range(What::Done, 9, 9, None),
        range(What::Claimed, 8, 8, Some(2)),
        range(What::Put, 17, COUNT, None),
        range(What::Claimed, 17, COUNT, Some(1)),
        range(What::Done, 8, 8, None),
        range(What::Failed, 10, 10, None),
        range(What::Done, 12, COUNT, None),
        range(What::Claimed, 10, 11, Some(2)),
        range(What::Done, 10, 11, None),
    ]);
    let records: Vec<Vec<u8>> = records.iter().map(|record| serde_json::to_vec(record).unwrap()).collect();
    recovers_from_every_beginning(&farm, &records);
}
