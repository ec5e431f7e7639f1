//! Groups of several woofs: what is put first runs first, however far it is looked ahead in each of them.

use super::*;

/// A namespace with the woofs `temp` and `more`, bound in one group: of `more` only what is longer than one byte.
fn of_two_woofs() -> (woof_kit::TempDir, PathBuf) {
    let (dir, farm) = namespace(&Options::default());
    log::create(&farm.join("more"), &Options::default()).unwrap();
    let bind = |woof: &str, filter: Option<&str>| {
        let filter = filter.map(str::to_owned);
        let binding = Binding { filter, group: Some("g".to_owned()), retries: 0, ..Binding::new(woof, "h") };
        bindings::add(&farm, &binding, None).unwrap();
    };
    bind("temp", None);
    bind("more", Some("size > 1"));
    (dir, farm)
}

/// What was run, in order, by its data.
fn ran(notes: &Notes) -> Vec<String> {
    notes.runs.lock().unwrap().drain(..).map(|(_, data, ..)| data).collect()
}

#[test]
fn nothing_of_a_group_begins_while_something_older_of_another_woof_may_not_have_been_looked_at() {
    let (_dir, farm) = of_two_woofs();
    let mut more = log::open(&farm.join("more")).unwrap().appender().unwrap();
    // More than is looked at in a turn, and then one that matches.
    more.extend(std::iter::repeat_n(b"x".as_slice(), 10_000), |_| ()).unwrap();
    more.append(b"older").unwrap();
    put(&farm, 1..=1);
    let notes = Arc::new(Notes::default());
    assert_eq!(run_pending(&farm, &notes).done, 2);
    assert_eq!(ran(&notes), ["older", "element 1"]);
}

#[test]
fn what_is_newer_in_another_woof_is_not_waited_for() {
    let (_dir, farm) = of_two_woofs();
    put(&farm, 1..=1);
    let mut more = log::open(&farm.join("more")).unwrap().appender().unwrap();
    more.extend(std::iter::repeat_n(b"x".as_slice(), 10_000), |_| ()).unwrap();
    more.append(b"newer").unwrap();
    let notes = Arc::new(Notes::default());
    assert_eq!(run_pending(&farm, &notes).done, 2);
    assert_eq!(ran(&notes), ["element 1", "newer"]);
    let woof = log::open(&farm.join(".woof/triggers")).unwrap();
    let (mut cursor, mut kinds) = (woof.cursor(1), Vec::new());
    while let Some(log::Item::Elem { data, .. }) = cursor.next() {
        let record = woof_local::handler::Record::parse(data).unwrap();
        if record.what != woof_local::handler::What::Position {
            kinds.push((record.what, record.binding));
        }
    }
    use woof_local::handler::What::{Claimed, Put};
    assert_eq!(kinds[..2], [(Put, 1), (Claimed, 1)], "before all of the other woof was looked at");
}

#[test]
fn triggers_of_a_group_that_were_found_before_a_restart_run_in_the_order_of_their_elements() {
    let (_dir, farm) = of_two_woofs();
    let mut more = log::open(&farm.join("more")).unwrap().appender().unwrap();
    more.append(b"older").unwrap();
    put(&farm, 1..=1);
    let notes = Arc::new(Notes::default());
    // Found, and not run.
    for woof in ["temp", "more"] {
        bindings::pause(&farm, woof, None, true).unwrap();
    }
    run_pending(&farm, &notes);
    for woof in ["temp", "more"] {
        bindings::pause(&farm, woof, None, false).unwrap();
    }
    assert_eq!(run_pending(&farm, &notes).done, 2);
    assert_eq!(ran(&notes), ["older", "element 1"]);
}
