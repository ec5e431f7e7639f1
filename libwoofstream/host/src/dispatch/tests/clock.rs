//! A clock that was set back: the newest elements, and records of the log of triggers, are of a time that has not come yet.

use super::*;

/// Ten years.
const FAR_NS: u64 = 10 * 365 * 86_400 * 1_000_000_000;

/// Has a woof believe that its newest element was put ten years from now.
fn set_ahead(woof: &Path) -> u64 {
    let time = woof_core::sys::now_ns() + FAR_NS;
    let before = woof_kit::set_newest_time(woof, time).unwrap();
    assert!(woof_core::sys::now_ns().abs_diff(before) < 3_600_000_000_000, "not the time there");
    time
}

/// A namespace whose woofs are all ahead of the clock, those it keeps for itself too, with 40 elements in `temp`.
fn ahead(binding: &Binding) -> (woof_kit::TempDir, PathBuf, Arc<Notes>, u64) {
    let (dir, farm) = namespace(&Options::default());
    bindings::add(&farm, binding, None).unwrap();
    let notes = Arc::new(Notes::default());
    // One element that is handled and one that is given up make the namespace's own woofs.
    put(&farm, 1..=2);
    notes.fails.lock().unwrap().push(2);
    run(&farm, &notes);
    notes.fails.lock().unwrap().clear();
    for own in [".woof/triggers", ".woof/dead"] {
        set_ahead(&farm.join(own));
    }
    let time = set_ahead(&farm.join("temp"));
    put(&farm, 3..=40);
    (dir, farm, notes, time)
}

#[test]
fn order_retries_and_the_summary_do_not_mind_a_clock_that_was_set_back() {
    let binding = Binding { group: Some("g".into()), retries: 2, ..Binding::new("temp", "h") };
    let (_dir, farm, notes, time) = ahead(&binding);
    let summary = Summary::of(&farm).unwrap();
    let expected = (38, Some((3, time)));
    assert_eq!((summary.bindings[0].pending, summary.bindings[0].oldest), expected);
    // One that fails is tried again after a moment, and not in ten years.
    notes.fails.lock().unwrap().push(30);
    let runner: Arc<dyn Runner> = Arc::<Notes>::clone(&notes);
    let ended = Dispatcher::open(&farm, runner).unwrap().run_pending().unwrap();
    assert_eq!(ended, Ended { done: 37, dead: 1, lost: 0 });
    let order: Vec<u64> = notes.runs.lock().unwrap().iter().map(|(seqno, ..)| *seqno).collect();
    let mut expected: Vec<u64> = (3..=40).collect();
    expected.splice(27..28, [30, 30, 30]);
    assert_eq!(order, expected);
    let summary = Summary::of(&farm).unwrap();
    let totals = summary.bindings[0].totals;
    assert_eq!(
        (summary.bindings[0].pending, totals.done, totals.dead, summary.bindings[0].oldest),
        (0, 38, 2, None)
    );
}

#[test]
fn a_group_of_a_woof_that_is_ahead_and_one_that_is_not_goes_on_in_the_order_of_each() {
    let binding = Binding { group: Some("g".into()), ..Binding::new("temp", "h") };
    let (_dir, farm, notes, _) = ahead(&binding);
    log::create(&farm.join("more"), &Options::default()).unwrap();
    bindings::add(&farm, &Binding { group: Some("g".into()), ..Binding::new("more", "h") }, None).unwrap();
    let mut appender = log::open(&farm.join("more")).unwrap().appender().unwrap();
    for seqno in 1..=20 {
        appender.append(format!("more {seqno}").as_bytes()).unwrap();
    }
    let runner: Arc<dyn Runner> = Arc::<Notes>::clone(&notes);
    let ended = Dispatcher::open(&farm, runner).unwrap().run_pending().unwrap();
    assert_eq!(ended, Ended { done: 58, dead: 0, lost: 0 });
    let runs = notes.runs.lock().unwrap();
    let of = |what: &str| -> Vec<u64> {
        runs.iter().filter(|(_, data, ..)| data.starts_with(what)).map(|(seqno, ..)| *seqno).collect()
    };
    assert_eq!((of("element"), of("more")), ((3..=40).collect(), (1..=20).collect()));
    assert!(runs.iter().take(20).all(|(_, data, ..)| data.starts_with("more")), "what is of now goes first");
}

#[test]
fn a_dead_letter_is_put_back_once_also_when_the_clock_was_set_back_before() {
    let (_dir, farm, notes, _) = ahead(&Binding { retries: 0, ..Binding::new("temp", "h") });
    notes.fails.lock().unwrap().extend([2, 5]);
    run(&farm, &notes);
    // Both letters are of later than what is put back now.
    assert_eq!(woof_local::handler::retry(&farm, &[]).unwrap().count, 2);
    assert_eq!(woof_local::handler::retry(&farm, &[]).unwrap().count, 0);
    // One dies again, and can be put back again.
    notes.fails.lock().unwrap().retain(|seqno| *seqno == 5);
    assert_eq!(run(&farm, &notes).1, [2, 5]);
    assert_eq!(woof_local::handler::retry(&farm, &[]).unwrap().count, 1);
    notes.fails.lock().unwrap().clear();
    assert_eq!(run(&farm, &notes), (Ended { done: 1, dead: 0, lost: 0 }, vec![5]));
    assert_eq!(woof_local::handler::retry(&farm, &[]).unwrap().count, 0);
}
