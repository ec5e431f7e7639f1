//! Tests of handlers that need no processes: bindings and their file, what is left of queues.

mod clock;
mod groups;
mod into;
mod links;
mod nowhere;
mod own;
mod prefixes;

use super::{Dispatcher, Ended};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use woof_local::handler::bindings::{self, Binding, Bindings};
use woof_local::handler::{self, Failure, OnWritten, Outcome, Run, Runner, Started, Summary};
use woof_log::{self as log, Mark, Options};

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(60);

/// A namespace with a woof `temp`.
fn namespace(options: &Options) -> (woof_kit::TempDir, PathBuf) {
    let dir = woof_kit::tempdir().unwrap();
    let path = dir.path().join("farm");
    std::fs::create_dir_all(path.join(".woof")).unwrap();
    log::create(&path.join("temp"), options).unwrap();
    (dir, path)
}

/// Puts the image of a woof in its place. As a file of its own: a thread that is about to end may still look at the one that was there, which is
/// never to become shorter.
pub(super) fn replace(woof: &Path, image: Vec<u8>) {
    let beside = woof.with_extension("new");
    std::fs::write(&beside, image).unwrap();
    std::fs::rename(&beside, woof).unwrap();
}

fn held(namespace: &Path) -> Option<u64> {
    log::open(&namespace.join("temp")).unwrap().held()
}

#[test]
fn bindings_are_kept_with_their_options_and_hold_their_elements() {
    let (_dir, farm) = namespace(&Options::default());
    log::open(&farm.join("temp")).unwrap().appender().unwrap().append(b"before").unwrap();
    let asked = Binding {
        filter: Some("value > 70".into()),
        group: Some("g".into()),
        ..Binding::new("temp", "alarm.sh")
    };
    let added = bindings::add(&farm, &asked, None).unwrap();
    assert_eq!((added.id, added.from, held(&farm)), (1, 2, Some(2)));
    let err = bindings::add(&farm, &asked, None).unwrap_err();
    assert_eq!(err.to_string(), "temp: alarm.sh is bound to it already (wbind remove ends that)");
    // One that begins earlier holds more.
    assert_eq!(bindings::add(&farm, &Binding::new("temp", "all.sh"), Some(1)).unwrap().from, 1);
    assert_eq!(held(&farm), Some(1));
    let read = Bindings::load(&farm).unwrap();
    assert_eq!((read.next, read.list.len(), &read.list[0]), (3, 2, &added));
    assert_eq!(bindings::pause(&farm, "temp", None, true).unwrap(), 2);
    assert!(Bindings::load(&farm).unwrap().list.iter().all(|binding| binding.paused));
    assert_eq!(bindings::remove(&farm, "temp", Some("alarm.sh")).unwrap().count, 1);
    assert_eq!(held(&farm), Some(1));
    assert_eq!(bindings::remove(&farm, "temp", None).unwrap().count, 1);
    assert_eq!(held(&farm), None);
    assert_eq!(
        bindings::remove(&farm, "temp", None).unwrap_err().to_string(),
        "temp: no handler is bound to it"
    );
    assert_eq!(Bindings::load(&farm).unwrap().next, 3, "ids are not used twice");
}

#[test]
fn what_can_be_no_handler_or_no_binding_is_refused() {
    let (_dir, farm) = namespace(&Options::default());
    let refusal = |binding: Binding| bindings::add(&farm, &binding, None).unwrap_err().to_string();
    for name in ["../outside.sh", "/bin/sh", "a/b"] {
        let text = refusal(Binding::new("temp", name));
        assert!(
            text.ends_with("a handler is a file in the directory handlers: its name has no \"/\""),
            "{text}"
        );
    }
    assert_eq!(
        refusal(Binding::new("temp", &"x".repeat(300))),
        "the name of a handler is 300 bytes long, the limit is 255"
    );
    for name in ["", "..", ".hidden", "-", "--from", "a\nb"] {
        assert!(refusal(Binding::new("temp", name)).contains("not the name of a handler"), "{name}");
    }
    assert!(refusal(Binding::new("../temp", "a.sh")).contains("not the name of a woof in this namespace"));
    let into = |name: &str| refusal(Binding { into: Some(name.to_owned()), ..Binding::new("temp", "a.sh") });
    for name in ["../temp", "/tmp/temp", "a//b", ""] {
        assert!(into(name).ends_with("not the name of a woof in this namespace"), "{name}");
    }
    assert!(into(".woof/triggers").ends_with("output does not go to what the namespace keeps for itself"));
    assert_eq!(refusal(Binding::new("none", "a.sh")), "none: no such woof");
    let typed = Binding { filter: Some("value > 'x'".into()), ..Binding::new("temp", "a.sh") };
    assert_eq!(refusal(typed), "expression:9: expected a number, found a string");
    assert_eq!(held(&farm), None, "nothing is held for what was refused");
}

#[test]
fn a_handler_that_is_named_has_one_number_and_at_most_seven_have_one() {
    let (_dir, farm) = namespace(&Options::default());
    let err = bindings::named(&farm, "temp", "one.sh").unwrap_err();
    assert_eq!(err.to_string(), "one.sh: no such handler: there is no handlers/one.sh");
    std::fs::create_dir(farm.join("handlers")).unwrap();
    std::fs::write(farm.join("handlers/one.sh"), "").unwrap();
    let err = bindings::named(&farm, "temp", "one.sh").unwrap_err();
    assert_eq!(err.to_string(), "one.sh: handlers/one.sh is not executable");
    assert_eq!(held(&farm), None);
    for name in ["one", "2", "3", "4", "5", "6", "7", "8"] {
        let path = farm.join(format!("handlers/{name}.sh"));
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let one = bindings::named(&farm, "temp", "one.sh").unwrap();
    assert_eq!(bindings::named(&farm, "temp", "one.sh").unwrap(), one);
    let mut numbers = vec![one];
    for name in 2..=7 {
        numbers.push(bindings::named(&farm, "temp", &format!("{name}.sh")).unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, Mark::HANDLER_MAX]);
    assert_eq!(
        bindings::named(&farm, "temp", "8.sh").unwrap_err().to_string(),
        "temp: 7 handlers are named in puts of this woof already, the limit (wbind removes them)"
    );
    bindings::remove(&farm, "temp", Some("one.sh")).unwrap();
    assert_eq!(bindings::named(&farm, "temp", "8.sh").unwrap(), one);
}

#[test]
fn bindings_that_are_not_understood_are_refused_with_their_line_and_stay() {
    let (_dir, farm) = namespace(&Options::default());
    let file = farm.join(".woof/bindings");
    let head = r#"{"woofstream":"bindings","version":1,"next":2}"#;
    for (text, expected) in [
        ("{}", "line 1: missing field"),
        (r#"{"woofstream":"bindings","version":9,"next":2}"#, "not bindings of version 1"),
        (
            &format!("{head}\n\n{{\"id\":1,\"woof\":\"temp\",\"handler\":\"a/b\",\"from\":1,\"made\":1}}"),
            "line 3: \"a/b\"",
        ),
        (
            &format!(
                "{head}\n{{\"id\":1,\"woof\":\"temp\",\"handler\":\"a\",\"from\":1,\"made\":1,\"x\":1}}"
            ),
            "line 2: unknown field",
        ),
        (
            &format!(
                "{head}\n{{\"id\":4294967295,\"woof\":\"temp\",\"handler\":\"a\",\"from\":1,\"made\":1}}"
            ),
            "line 2: the id 4294967295 is 0, the last there is, or there twice",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let err = bindings::add(&farm, &Binding::new("temp", "a.sh"), None).unwrap_err();
        assert!(err.text().starts_with(expected), "{err}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

/// Runs nothing, and notes what it would have run: seqno, data, attempt and cause. What it is told to fail fails, and with `not_ready` it runs nothing.
#[derive(Default)]
struct Notes {
    runs: Mutex<Vec<(u64, String, u32, String)>>,
    fails: Mutex<Vec<u64>>,
    not_ready: Mutex<Option<String>>,
}

impl Runner for Notes {
    fn start(&self, _run: &Run<'_>, _stdin: std::os::fd::OwnedFd) -> Result<Started, Failure> {
        Err(Failure::NotReady("it has no programs".to_owned()))
    }

    fn run(&self, run: &Run<'_>, _: OnWritten<'_>) -> Outcome {
        if let Some(reason) = &*self.not_ready.lock().unwrap() {
            return Err(Failure::NotReady(reason.clone()));
        }
        let attempt = run.attempt.unwrap();
        let data = String::from_utf8_lossy(attempt.data).into_owned();
        let seqno = attempt.seqno;
        self.runs.lock().unwrap().push((seqno, data, attempt.number, attempt.cause.to_owned()));
        if self.fails.lock().unwrap().contains(&seqno) { Err("told to".to_owned().into()) } else { Ok(()) }
    }
}

/// Runs what is pending.
fn run_pending(farm: &Path, notes: &Arc<Notes>) -> Ended {
    let runner: Arc<dyn Runner> = Arc::<Notes>::clone(notes);
    Dispatcher::open(farm, runner).unwrap().run_pending().unwrap()
}

/// Runs what is pending; what was done, and what was run, by seqno.
fn run(farm: &Path, notes: &Arc<Notes>) -> (Ended, Vec<u64>) {
    let ended = run_pending(farm, notes);
    let mut seqnos: Vec<u64> = notes.runs.lock().unwrap().drain(..).map(|(seqno, ..)| seqno).collect();
    seqnos.sort_unstable();
    (ended, seqnos)
}

fn put(farm: &Path, range: std::ops::RangeInclusive<u64>) {
    let mut appender = log::open(&farm.join("temp")).unwrap().appender().unwrap();
    for seqno in range {
        assert_eq!(appender.append(format!("element {seqno}").as_bytes()).unwrap(), seqno);
    }
}

#[test]
fn each_trigger_is_run_once_and_the_hold_follows() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding::new("temp", "h"), None).unwrap();
    put(&farm, 1..=50);
    let notes = Arc::new(Notes::default());
    assert_eq!(run(&farm, &notes), (Ended { done: 50, dead: 0, lost: 0 }, (1..=50).collect()));
    assert_eq!(held(&farm), Some(51));
    assert_eq!(run(&farm, &notes).1, [0; 0]);
    let summary = Summary::of(&farm).unwrap();
    assert!(!summary.served);
    assert_eq!((summary.bindings[0].pending, summary.bindings[0].totals.done), (0, 50));
}

#[test]
fn with_nowhere_to_run_handlers_nothing_is_tried_up_or_lost() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding { retries: 0, ..Binding::new("temp", "h") }, None).unwrap();
    put(&farm, 1..=3);
    let notes = Arc::new(Notes::default());
    *notes.not_ready.lock().unwrap() = Some("no engine".to_owned());
    let dispatcher = || Dispatcher::open(&farm, Arc::<Notes>::clone(&notes)).unwrap();
    let err = dispatcher().run_pending().unwrap_err();
    assert_eq!(err.to_string(), format!("{}: no engine", farm.display()));
    let summary = Summary::of(&farm).unwrap();
    assert_eq!((summary.bindings[0].pending, summary.bindings[0].totals.failed), (3, 0));
    // A server waits until there is.
    let dispatcher = dispatcher();
    let stopper = dispatcher.stopper();
    let serving = std::thread::spawn(move || dispatcher.serve());
    *notes.not_ready.lock().unwrap() = None;
    while held(&farm) != Some(4) {
        std::thread::yield_now();
    }
    stopper.stop(LONG);
    assert_eq!(serving.join().unwrap(), Ended { done: 3, dead: 0, lost: 0 });
}

#[test]
fn what_is_given_up_is_a_dead_letter_and_comes_back_when_asked_for() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding { retries: 1, ..Binding::new("temp", "h") }, None).unwrap();
    put(&farm, 1..=3);
    let notes = Arc::new(Notes::default());
    notes.fails.lock().unwrap().push(2);
    assert_eq!(run(&farm, &notes), (Ended { done: 2, dead: 1, lost: 0 }, vec![1, 2, 2, 3]));
    notes.fails.lock().unwrap().clear();
    assert_eq!(handler::retry(&farm, &["1-2"]).unwrap().count, 1);
    let runner: Arc<dyn Runner> = Arc::<Notes>::clone(&notes);
    Dispatcher::open(&farm, runner).unwrap().run_pending().unwrap();
    let expected = (2, "element 2".to_owned(), 1, "asked".to_owned());
    assert_eq!(*notes.runs.lock().unwrap(), [expected]);
}

#[test]
fn numbers_that_a_power_loss_gives_out_again_are_handled_again() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding::new("temp", "h"), None).unwrap();
    let notes = Arc::new(Notes::default());
    put(&farm, 1..=5);
    let mut image = std::fs::read(farm.join("temp")).unwrap();
    put(&farm, 6..=10);
    assert_eq!(run(&farm, &notes).1, (1..=10).collect::<Vec<_>>());
    // The page of the shared words was flushed after that, those of the records were not; and it is another boot.
    let after = std::fs::read(farm.join("temp")).unwrap();
    image[4096..8192].copy_from_slice(&after[4096..8192]);
    image[4096 + 256] ^= 0xff;
    replace(&farm.join("temp"), image);
    put(&farm, 6..=7);
    assert_eq!(held(&farm), Some(6));
    assert_eq!(run(&farm, &notes).1, [6, 7]);
    assert_eq!(run(&farm, &notes).1, [0; 0]);
}

#[test]
fn numbers_are_handled_again_also_before_the_first_checkpoint() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding::new("temp", "h"), None).unwrap();
    let notes = Arc::new(Notes::default());
    put(&farm, 1..=5);
    let mut image = std::fs::read(farm.join("temp")).unwrap();
    put(&farm, 6..=10);
    let runner: Arc<dyn Runner> = Arc::<Notes>::clone(&notes);
    let dispatcher = Dispatcher::open(&farm, runner).unwrap();
    let stopper = dispatcher.stopper();
    let serving = std::thread::spawn(move || dispatcher.serve());
    while held(&farm) != Some(11) {
        std::thread::yield_now();
    }
    // What a kill leaves of the log of triggers: there is no checkpoint at the end.
    let triggers = std::fs::read(farm.join(".woof/triggers")).unwrap();
    stopper.stop(LONG);
    assert_eq!(serving.join().unwrap().done, 10);
    replace(&farm.join(".woof/triggers"), triggers);
    // As above, but as many elements were put since as to reach the numbers that were handled.
    let after = std::fs::read(farm.join("temp")).unwrap();
    image[4096..8192].copy_from_slice(&after[4096..8192]);
    image[4096 + 256] ^= 0xff;
    replace(&farm.join("temp"), image);
    put(&farm, 6..=12);
    notes.runs.lock().unwrap().clear();
    assert_eq!(run(&farm, &notes).1, (6..=12).collect::<Vec<_>>());
}

#[test]
fn numbers_that_come_again_after_an_older_copy_was_put_back_are_handled_again() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding::new("temp", "h"), None).unwrap();
    let notes = Arc::new(Notes::default());
    put(&farm, 1..=5);
    run(&farm, &notes);
    let copy = std::fs::read(farm.join("temp")).unwrap();
    put(&farm, 6..=10);
    assert_eq!(run(&farm, &notes).1, (6..=10).collect::<Vec<_>>());
    replace(&farm.join("temp"), copy);
    put(&farm, 6..=8);
    assert_eq!(run(&farm, &notes).1, [6, 7, 8]);
    // Also where more were put than there were before.
    put(&farm, 9..=12);
    assert_eq!(run(&farm, &notes).1, [9, 10, 11, 12]);
}

#[test]
fn a_woof_that_is_made_anew_is_handled_from_its_first_element() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding { paused: true, ..Binding::new("temp", "h") }, None).unwrap();
    put(&farm, 1..=3);
    let notes = Arc::new(Notes::default());
    // Found, and not run.
    assert_eq!(run(&farm, &notes).1, [0; 0]);
    log::reset(&farm.join("temp"), &Options::default()).unwrap();
    put(&farm, 1..=2);
    bindings::pause(&farm, "temp", None, false).unwrap();
    assert_eq!(run(&farm, &notes).1, [1, 2]);
    let totals = Summary::of(&farm).unwrap().bindings[0].totals;
    assert_eq!((totals.done, totals.lost), (2, 3));
}

#[test]
fn what_many_bindings_find_at_once_fits_the_log_of_triggers() {
    let (_dir, farm) = namespace(&Options::default());
    put(&farm, 1..=1000);
    for handler in 0..70 {
        let binding = Binding { paused: true, ..Binding::new("temp", &format!("h{handler}")) };
        bindings::add(&farm, &binding, Some(1)).unwrap();
    }
    // More elements than the log keeps.
    assert_eq!(run(&farm, &Arc::new(Notes::default())), (Ended::default(), vec![]));
    let pending = Summary::of(&farm).unwrap().bindings.iter().map(|binding| binding.pending).sum::<u64>();
    assert_eq!(pending, 70_000);
}

#[test]
fn a_second_dispatcher_of_a_namespace_is_refused() {
    let (_dir, farm) = namespace(&Options::default());
    let first = Dispatcher::open(&farm, Arc::new(Notes::default())).unwrap();
    let Err(err) = Dispatcher::open(&farm, Arc::new(Notes::default())) else { panic!("two at once") };
    assert_eq!(err.text(), "another server runs its handlers");
    drop(first);
    drop(Dispatcher::open(&farm, Arc::new(Notes::default())).unwrap());
}
