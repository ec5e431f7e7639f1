//! What the namespace keeps for itself: handlers of dead letters, what was put back, and a disk with no room for a change.

use super::*;

/// The reasons of the dead letters, oldest first.
fn letters(farm: &Path) -> Vec<(String, String)> {
    let Ok(woof) = log::open(&farm.join(".woof/dead")) else { return Vec::new() };
    let (mut letters, mut cursor) = (Vec::new(), woof.cursor(1));
    while let Some(item) = cursor.next() {
        if let log::Item::Elem { data, .. } = item {
            let letter: woof_local::handler::DeadLetter = serde_json::from_slice(data).unwrap();
            letters.push((letter.trigger, letter.reason));
        }
    }
    letters
}

#[test]
fn handlers_are_bound_to_nothing_of_the_namespaces_own_but_dead_letters() {
    let (_dir, farm) = namespace(&Options::default());
    run(&farm, &Arc::new(Notes::default()));
    for woof in [".woof/triggers", ".woof/retries", ".woof/x", "deeper/.woof/dead"] {
        let err = bindings::add(&farm, &Binding::new(woof, "h"), None).unwrap_err();
        let text = "what is in .woof is the namespace's own: handlers can be bound to .woof/dead only";
        assert_eq!((err.object(), err.text()), (woof, text));
    }
    assert_eq!(log::open(&farm.join(".woof/triggers")).unwrap().held(), Some(1));
    // Before there is any.
    bindings::add(&farm, &Binding::new(".woof/dead", "h"), None).unwrap();
    assert_eq!(log::open(&farm.join(".woof/dead")).unwrap().held(), Some(1));
}

#[test]
fn a_handler_of_dead_letters_runs_for_each_and_its_own_failure_is_no_new_one() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding { retries: 0, ..Binding::new("temp", "h") }, None).unwrap();
    bindings::add(&farm, &Binding { retries: 1, ..Binding::new(".woof/dead", "h") }, None).unwrap();
    let notes = Arc::new(Notes::default());
    put(&farm, 1..=2);
    // Element 1 fails, and so does its dead letter, which is element 1 there.
    notes.fails.lock().unwrap().push(1);
    assert_eq!(run(&farm, &notes), (Ended { done: 1, dead: 2, lost: 0 }, vec![1, 1, 1, 2]));
    assert_eq!(letters(&farm), [("1-1".to_owned(), "told to".to_owned())]);
    assert_eq!(run(&farm, &notes), (Ended::default(), vec![]));
    let summary = Summary::of(&farm).unwrap();
    let dead: Vec<u64> = summary.bindings.iter().map(|binding| binding.totals.dead).collect();
    assert_eq!((dead, summary.bindings[1].pending), (vec![1, 1], 0));
}

#[test]
fn what_became_of_dead_letters_that_were_put_back_is_summed_up_with_the_names_of_what_they_were() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding { retries: 0, ..Binding::new("temp", "h") }, None).unwrap();
    let notes = Arc::new(Notes::default());
    put(&farm, 1..=3);
    notes.fails.lock().unwrap().extend([1, 2]);
    run(&farm, &notes);
    assert_eq!(Summary::of(&farm).unwrap().bindings.len(), 1, "nothing was put back yet");
    notes.fails.lock().unwrap().retain(|seqno| *seqno == 2);
    woof_local::handler::retry(&farm, &[]).unwrap();
    let pending = &Summary::of(&farm).unwrap().bindings[1];
    assert_eq!((pending.binding.id, &*pending.binding.woof, pending.pending), (0, ".woof/retries", 2));
    run(&farm, &notes);
    let summary = Summary::of(&farm).unwrap();
    let (first, back) = (&summary.bindings[0].totals, &summary.bindings[1].totals);
    assert_eq!((first.done, first.dead, back.done, back.dead, summary.bindings[1].pending), (1, 2, 1, 1, 0));
    let woof = log::open(&farm.join(".woof/triggers")).unwrap();
    let (mut told, mut cursor) = (Vec::new(), woof.cursor(1));
    while let Some(item) = cursor.next() {
        if let log::Item::Elem { data, .. } = item {
            let record: serde_json::Value = serde_json::from_slice(data).unwrap();
            if record["binding"] == 0 && record["trigger"].is_string() {
                let text = |name: &str| record[name].as_str().unwrap().to_owned();
                told.push(format!("{} {} {}", text("what"), text("trigger"), text("handler")));
            }
        }
    }
    told.sort();
    assert_eq!(told, ["dead 1-2 h", "done 1-1 h", "put 1-1 h", "put 1-2 h"]);
}

#[test]
fn a_woof_that_was_left_held_without_a_binding_is_let_go_of_when_its_bindings_are_removed() {
    let (_dir, farm) = namespace(&Options::default());
    log::open(&farm.join("temp")).unwrap().hold(Some(1)).unwrap();
    assert_eq!(bindings::remove(&farm, "temp", Some("h")).unwrap_err().text(), "no binding to h");
    assert_eq!(held(&farm), Some(1));
    assert_eq!(bindings::remove(&farm, "temp", None).unwrap().count, 0);
    assert_eq!(held(&farm), None);
    assert_eq!(bindings::remove(&farm, "temp", None).unwrap_err().text(), "no handler is bound to it");
    // The log of triggers is held for the dispatcher, and not for a binding.
    run(&farm, &Arc::new(Notes::default()));
    assert!(bindings::remove(&farm, ".woof/triggers", None).is_err());
    assert_eq!(log::open(&farm.join(".woof/triggers")).unwrap().held(), Some(1));
}

#[test]
fn a_change_of_bindings_that_cannot_be_written_leaves_the_hold_as_it_was() {
    let (_dir, farm) = namespace(&Options::default());
    put(&farm, 1..=5);
    let file = farm.join(".woof/bindings");
    let full: String = {
        let mut bindings = Bindings::default();
        for n in 0..woof_core::limits::BINDINGS_MAX {
            let id = u32::try_from(n).unwrap() + 1;
            bindings.list.push(Binding { id, ..Binding::new("other", &format!("h{n}")) });
        }
        bindings.to_text()
    };
    std::fs::write(&file, full).unwrap();
    let err = bindings::add(&farm, &Binding::new("temp", "h"), Some(2)).unwrap_err();
    assert!(err.text().starts_with("256 bindings are there already"), "{err}");
    assert_eq!(held(&farm), None, "no binding is there for it");
}
