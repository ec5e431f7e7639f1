//! Tests of a dispatcher step by step.

use super::super::tests::replace;
use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use woof_local::handler::bindings::{self, Binding, Input};
use woof_local::handler::{Failure, OnWritten, Outcome, Run, Started};
use woof_log::{self as log, Options};

const LONG: Duration = Duration::from_secs(60);

/// Tells what it runs, and runs until it is told to end.
struct Waits {
    started: Sender<u64>,
    told: Mutex<Receiver<()>>,
}

impl Runner for Waits {
    fn start(&self, _run: &Run<'_>, _stdin: std::os::fd::OwnedFd) -> std::result::Result<Started, Failure> {
        Err(Failure::NotReady("it has no programs".to_owned()))
    }

    fn run(&self, run: &Run<'_>, _: OnWritten<'_>) -> Outcome {
        // Who asked for it may have ended.
        let _ = self.started.send(run.attempt.map_or(0, |attempt| attempt.seqno));
        let told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        told.map_err(|err| err.to_string().into())
    }
}

/// A dispatcher of a woof with one element that is bound, and what ends its attempts.
fn dispatcher() -> (woof_kit::TempDir, Dispatcher, Sender<()>) {
    let (dir, dispatcher, _, end) = dispatcher_that_tells();
    (dir, dispatcher, end)
}

/// The same, and the elements that attempts began with.
pub(in super::super) fn dispatcher_that_tells() -> (woof_kit::TempDir, Dispatcher, Receiver<u64>, Sender<()>)
{
    let dir = woof_kit::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join(STATE_DIR)).unwrap();
    let path = dir.path().join("temp");
    log::create(&path, &Options::default()).unwrap();
    bindings::add(dir.path(), &Binding::new("temp", "h"), None).unwrap();
    log::open(&path).unwrap().appender().unwrap().append(b"one").unwrap();
    let ((tell, started), (end, told)) = (channel(), channel());
    let runner = Arc::new(Waits { started: tell, told: Mutex::new(told) });
    let dispatcher = Dispatcher::open(dir.path(), runner).unwrap();
    (dir, dispatcher, started, end)
}

#[test]
fn bindings_that_are_not_understood_are_read_once_and_nothing_is_let_go_of_meanwhile() {
    let (dir, mut dispatcher, end) = dispatcher();
    let file = dir.path().join(STATE_DIR).join(files::BINDINGS);
    let good = std::fs::read(&file).unwrap();
    woof_core::sys::replace(&file, b"{}\n", 0o644).unwrap();
    // It is read before anything runs, and then not again.
    assert!(dispatcher.step().unwrap());
    assert!(!dispatcher.is_running() && dispatcher.refused.is_some());
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    for _ in 0..3 {
        while let Ok(event) = dispatcher.events.1.try_recv() {
            assert!(!matches!(event, Event::Reload), "it would be read for ever");
            dispatcher.take(event);
        }
        assert!(!dispatcher.step().unwrap());
    }
    let held = || log::open(&dir.path().join("temp")).unwrap().held();
    assert_eq!(held(), Some(1));
    woof_core::sys::replace(&file, &good, 0o644).unwrap();
    dispatcher.step().unwrap();
    while let Ok(event) = dispatcher.events.1.try_recv() {
        dispatcher.take(event);
    }
    dispatcher.step().unwrap();
    assert_eq!(held(), Some(2));
}

#[test]
fn a_woof_that_came_to_its_end_wakes_nobody_while_its_last_attempt_runs() {
    let (dir, mut dispatcher, end) = dispatcher();
    dispatcher.step().unwrap();
    assert!(dispatcher.is_running());
    log::remove(&dir.path().join("temp")).unwrap();
    // The one that was armed before.
    assert!(matches!(dispatcher.events.1.recv(), Ok(Event::Woken(1))));
    dispatcher.take(Event::Woken(1));
    dispatcher.step().unwrap();
    assert_eq!(dispatcher.watches.get(&1).map(Watch::is_armed), Some(false));
    end.send(()).unwrap();
    while dispatcher.is_running() {
        let event = dispatcher.events.1.recv().unwrap();
        dispatcher.take(event);
    }
    dispatcher.step().unwrap();
    assert!(dispatcher.watches.is_empty() && dispatcher.queues.iter().all(|queue| queue.source.is_none()));
}

/// Takes what happened, and works on it, until nothing runs.
fn to_the_end(dispatcher: &mut Dispatcher) {
    dispatcher.step().unwrap();
    while dispatcher.is_running() {
        let event = dispatcher.events.1.recv().unwrap();
        dispatcher.take(event);
        dispatcher.step().unwrap();
    }
}

#[test]
fn a_binding_that_is_paused_runs_nothing_more_though_nobody_said_so() {
    let (dir, mut dispatcher, started, end) = dispatcher_that_tells();
    bindings::pause(dir.path(), "temp", None, true).unwrap();
    while dispatcher.step().unwrap() {}
    assert!(!dispatcher.is_running());
    bindings::pause(dir.path(), "temp", None, false).unwrap();
    end.send(()).unwrap();
    dispatcher.step().unwrap();
    to_the_end(&mut dispatcher);
    assert_eq!((started.try_iter().collect::<Vec<_>>(), dispatcher.counts.done), (vec![1], 1));
    // One that is removed runs nothing either.
    log::open(&dir.path().join("temp")).unwrap().appender().unwrap().append(b"two").unwrap();
    bindings::remove(dir.path(), "temp", None).unwrap();
    while dispatcher.step().unwrap() {}
    assert!(dispatcher.queues.is_empty() && started.try_recv().is_err());
}

#[test]
fn a_hold_does_not_pass_a_binding_that_does_not_have_the_woof_open() {
    let (dir, mut dispatcher, end) = dispatcher();
    bindings::add(dir.path(), &Binding { paused: true, ..Binding::new("temp", "other") }, Some(1)).unwrap();
    bindings::pause(dir.path(), "temp", Some("other"), false).unwrap();
    dispatcher.reload(&mut HashMap::new()).unwrap();
    // As if there had been no descriptor for it.
    let second = dispatcher.queues.iter_mut().find(|queue| queue.binding.handler == "other").unwrap();
    let mut source = second.source.take().unwrap();
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    assert_eq!(source.woof.held(), Some(1), "it is not done there");
    // Nor one that still has the woof that had the name before.
    let made = source.made;
    source.made -= 1;
    dispatcher.queues[1].source = Some(source);
    dispatcher.raise_holds();
    let woof = log::open(&dir.path().join("temp")).unwrap();
    assert_eq!(woof.held(), Some(1));
    dispatcher.queues[1].source.as_mut().unwrap().made = made;
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    assert_eq!(woof.held(), Some(2));
}

#[test]
fn a_woof_that_cannot_be_opened_is_looked_for_again() {
    let (dir, mut dispatcher, end) = dispatcher();
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    let path = dir.path().join("temp");
    log::remove(&path).unwrap();
    std::fs::write(&path, "no woof").unwrap();
    dispatcher.step().unwrap();
    assert!(dispatcher.queues[0].source.is_none() && dispatcher.look_again.is_some());
    std::fs::remove_file(&path).unwrap();
    log::create(&path, &Options::default()).unwrap();
    log::open(&path).unwrap().appender().unwrap().append(b"one").unwrap();
    end.send(()).unwrap();
    // Nobody tells it.
    while dispatcher.queues[0].source.is_none() {
        dispatcher.wait(false, false);
        dispatcher.step().unwrap();
    }
    to_the_end(&mut dispatcher);
    assert_eq!((dispatcher.counts.done, dispatcher.look_again), (2, None));
}

#[test]
fn what_cannot_be_written_down_is_not_claimed_and_is_done_once_there_is_room() {
    let (dir, mut dispatcher, end) = dispatcher();
    let woof = log::open(&dir.path().join("temp")).unwrap();
    let full = "no space left on device";
    dispatcher.journal.refuse(true);
    for _ in 0..3 {
        assert_eq!(dispatcher.step().unwrap_err().text(), full);
        assert!(!dispatcher.is_running());
    }
    dispatcher.journal.refuse(false);
    dispatcher.step().unwrap();
    assert!(dispatcher.is_running());
    // Its result cannot be written either: it is kept, and nothing else begins.
    woof.appender().unwrap().append(b"two").unwrap();
    dispatcher.journal.refuse(true);
    end.send(()).unwrap();
    let event = dispatcher.events.1.recv().unwrap();
    dispatcher.take(event);
    while dispatcher.is_running() {
        let event = dispatcher.events.1.recv().unwrap();
        dispatcher.take(event);
    }
    for _ in 0..3 {
        assert_eq!(dispatcher.step().unwrap_err().text(), full);
        assert!(!dispatcher.is_running());
        assert_eq!(woof.held(), Some(1), "what is not written down is not let go of");
    }
    dispatcher.journal.refuse(false);
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    assert_eq!((dispatcher.counts.done, woof.held()), (2, Some(3)));
    let mut what = Vec::new();
    dispatcher.journal.read(|record| what.push((record.what, record.seqno)));
    use woof_local::handler::What::{Claimed, Done, Position, Put};
    let expected = [(Position, 0), (Put, 1), (Claimed, 1), (Done, 1), (Put, 2), (Claimed, 2), (Done, 2)];
    assert_eq!(what, expected);
}

#[test]
fn what_was_not_claimed_for_want_of_a_place_is_looked_at_again_whatever_happens_meanwhile() {
    let (_dir, mut dispatcher, _end) = dispatcher();
    dispatcher.step().unwrap();
    let until = Instant::now() + Duration::from_millis(20);
    dispatcher.put_off = Some(("no engine".to_owned(), until));
    assert!(dispatcher.claim().is_empty());
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    // The time has passed since: it is due, and not forgotten.
    assert_eq!(dispatcher.due(), Some(until));
    dispatcher.claim();
    assert_eq!(dispatcher.due(), None);
}

#[test]
fn a_group_waits_for_a_woof_that_is_there_and_cannot_be_opened() {
    let (dir, mut dispatcher, end) = dispatcher();
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    bindings::remove(dir.path(), "temp", None).unwrap();
    let more = dir.path().join("more");
    log::create(&more, &Options::default()).unwrap();
    for woof in ["temp", "more"] {
        let binding = Binding { group: Some("g".to_owned()), ..Binding::new(woof, "h") };
        bindings::add(dir.path(), &binding, None).unwrap();
    }
    dispatcher.take(Event::Reload);
    log::remove(&more).unwrap();
    std::fs::write(&more, "no woof").unwrap();
    log::open(&dir.path().join("temp")).unwrap().appender().unwrap().append(b"two").unwrap();
    dispatcher.take(Event::Reload);
    dispatcher.step().unwrap();
    assert!(!dispatcher.is_running(), "what is in the other may be older");
    std::fs::remove_file(&more).unwrap();
    dispatcher.take(Event::Reload);
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    assert_eq!(dispatcher.counts.done, 2);
}

/// What starts programs only when it is told to, as where a container is to be started before, and then has nowhere to; whatever else it is to run is done
/// at once.
struct SlowToStart {
    starting: AtomicUsize,
    began: Sender<usize>,
    told: Mutex<Receiver<()>>,
    done: Sender<String>,
}

impl Runner for SlowToStart {
    fn start(&self, _run: &Run<'_>, _stdin: std::os::fd::OwnedFd) -> std::result::Result<Started, Failure> {
        let at_once = self.starting.fetch_add(1, Ordering::SeqCst) + 1;
        self.began.send(at_once).unwrap();
        // Not for ever, so that who waits for this fails and does not hang.
        let told = self.told.lock().unwrap().recv_timeout(LONG / 3);
        self.starting.fetch_sub(1, Ordering::SeqCst);
        Err(told.map_or(Failure::Failed("not told".to_owned()), |()| Failure::NotReady("nowhere".to_owned())))
    }

    fn run(&self, run: &Run<'_>, _: OnWritten<'_>) -> Outcome {
        self.done.send(run.binding.woof.clone()).unwrap();
        Ok(())
    }
}

#[test]
fn a_long_lived_handler_that_is_to_end_is_not_waited_for_and_none_begins_in_its_place_before_it_has() {
    let dir = woof_kit::tempdir().unwrap();
    let farm = dir.path();
    std::fs::create_dir_all(farm.join(STATE_DIR)).unwrap();
    let put = |woof: &str| log::open(&farm.join(woof)).unwrap().appender().unwrap().append(b"x").unwrap();
    let stream = Binding { input: Input::Stream, ..Binding::new("temp", "h") };
    log::create(&farm.join("temp"), &Options::default()).unwrap();
    log::create(&farm.join("other"), &Options::default()).unwrap();
    bindings::add(farm, &stream, None).unwrap();
    bindings::add(farm, &Binding::new("other", "h"), None).unwrap();
    put("temp");
    let ((began, begins), (tell, told), (did, done)) = (channel(), channel(), channel());
    let runner = SlowToStart { starting: AtomicUsize::new(0), began, told: Mutex::new(told), done: did };
    let runner = Arc::new(runner);
    let starting = || runner.starting.load(Ordering::SeqCst);
    let mut dispatcher = Dispatcher::open(farm, Arc::<SlowToStart>::clone(&runner)).unwrap();
    dispatcher.step().unwrap();
    assert_eq!(begins.recv_timeout(LONG), Ok(1));
    // Its binding is removed while it is being started, and is made again.
    bindings::remove(farm, "temp", None).unwrap();
    dispatcher.take(Event::Reload);
    put("other");
    bindings::add(farm, &stream, Some(1)).unwrap();
    dispatcher.take(Event::Reload);
    dispatcher.step().unwrap();
    assert_eq!((done.recv_timeout(LONG), starting()), (Ok("other".to_owned()), 1), "others go on meanwhile");
    let held_back = |dispatcher: &Dispatcher| {
        let queue = dispatcher.queues.iter().find(|queue| queue.is_stream()).unwrap();
        (queue.open_count(), queue.running)
    };
    assert_eq!(held_back(&dispatcher), (1, 0), "two would be at the same element");
    tell.send(()).unwrap();
    // It says so when it has ended, which is after its last answers.
    while !matches!(dispatcher.events.1.recv_timeout(LONG).unwrap(), Event::More) {}
    dispatcher.step().unwrap();
    assert_eq!(begins.recv_timeout(LONG), Ok(1));
    // At the end, all of them have ended, also those that were told to before.
    bindings::remove(farm, "temp", None).unwrap();
    dispatcher.take(Event::Reload);
    tell.send(()).unwrap();
    dispatcher.end();
    assert_eq!(starting(), 0);
}

/// The records of a kind in the log of triggers: of which binding, and of which elements.
fn records(dir: &std::path::Path, what: woof_local::handler::What) -> Vec<(u32, u64, u64)> {
    let woof = log::open(&dir.join(STATE_DIR).join(files::TRIGGERS)).unwrap();
    let (mut records, mut cursor) = (Vec::new(), woof.cursor(1));
    while let Some(log::Item::Elem { data, .. }) = cursor.next() {
        let record = Record::parse(data).unwrap();
        if record.what == what {
            records.push((record.binding, record.seqno, record.to.unwrap_or(record.seqno)));
        }
    }
    records
}

#[test]
fn each_trigger_of_a_woof_that_is_removed_before_it_was_looked_at_has_its_record() {
    let (dir, mut dispatcher, end) = dispatcher();
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    let long = Binding { filter: Some("size > 1".to_owned()), ..Binding::new("temp", "long") };
    bindings::add(dir.path(), &long, None).unwrap();
    dispatcher.take(Event::Reload);
    dispatcher.step().unwrap();
    let path = dir.path().join("temp");
    let mut appender = log::open(&path).unwrap().appender().unwrap();
    // More than is looked at in a turn.
    appender.extend(std::iter::repeat_n(b"x".as_slice(), 9_998), |_| ()).unwrap();
    assert_eq!(appender.append(b"long").unwrap(), 10_000);
    log::remove(&path).unwrap();
    // What has its name by then is not what they are of.
    log::create(&path, &Options::default()).unwrap();
    while dispatcher.step().unwrap() {}
    assert!(!dispatcher.is_running());
    dispatcher.journal.flush().unwrap();
    let lost = records(dir.path(), woof_local::handler::What::Lost);
    let of = |id| lost.iter().filter(move |(binding, ..)| *binding == id).map(|(_, from, to)| (*from, *to));
    assert_eq!(of(1).map(|(from, to)| to - from + 1).sum::<u64>(), 9_999, "{lost:?}");
    assert_eq!((of(1).next().unwrap().0, of(1).next_back().unwrap().1), (2, 10_000), "{lost:?}");
    assert_eq!(of(2).collect::<Vec<_>>(), [(10_000, 10_000)]);
    let totals: Vec<u64> = dispatcher.queues.iter().map(|queue| queue.totals.lost).collect();
    assert_eq!((totals, dispatcher.queues[0].looks_at()), (vec![9_999, 1], 1));
}

#[test]
fn more_is_lost_with_a_woof_than_the_log_of_triggers_has_room_for() {
    let (dir, mut dispatcher, end) = dispatcher();
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    let path = dir.path().join("large");
    log::create(&path, &Options::default()).unwrap();
    for handler in 0..40 {
        // No two in a row, so each has a record of its own: in one turn of all of them more than the log keeps.
        let filter = Some("seqno % 2 == 0".to_owned());
        let every_second = Binding { filter, ..Binding::new("large", &format!("h{handler}")) };
        bindings::add(dir.path(), &every_second, None).unwrap();
    }
    dispatcher.take(Event::Reload);
    let mut appender = log::open(&path).unwrap().appender().unwrap();
    appender.extend(std::iter::repeat_n(b"x".as_slice(), 10_000), |_| ()).unwrap();
    log::remove(&path).unwrap();
    // It also is what a dispatcher does that ends.
    for _ in 0..3 {
        assert!(dispatcher.step().unwrap());
    }
    let namespace = dispatcher.namespace.as_path().to_owned();
    dispatcher.end();
    let left = woof_local::handler::Summary::of(&namespace).unwrap();
    let lost = left.bindings.iter().map(|binding| binding.totals.lost);
    assert_eq!(lost.sum::<u64>(), 200_000);
}

#[test]
fn a_dead_letter_that_cannot_be_written_is_tried_again_and_its_handler_is_not() {
    let (dir, mut dispatcher, started, end) = dispatcher_that_tells();
    let other = Binding { retries: 0, ..Binding::new("temp", "dies") };
    bindings::add(dir.path(), &other, Some(1)).unwrap();
    bindings::remove(dir.path(), "temp", Some("h")).unwrap();
    dispatcher.take(Event::Reload);
    let dead = dir.path().join(STATE_DIR).join(files::DEAD);
    std::fs::create_dir(&dead).unwrap();
    // Who is told nothing fails.
    drop(end);
    to_the_end(&mut dispatcher);
    assert_eq!(started.try_recv(), Ok(1));
    for _ in 0..3 {
        assert!(dispatcher.due().is_some(), "it is tried again");
        dispatcher.letters_again = Some(Instant::now());
        to_the_end(&mut dispatcher);
        assert!(started.try_recv().is_err(), "the handler runs again");
    }
    let queue = &dispatcher.queues[0];
    assert_eq!((queue.open_count(), queue.position(), dispatcher.counts.dead), (1, 0, 0));
    std::fs::remove_dir(&dead).unwrap();
    dispatcher.letters_again = Some(Instant::now());
    to_the_end(&mut dispatcher);
    let queue = &dispatcher.queues[0];
    assert_eq!((queue.open_count(), queue.position(), dispatcher.counts.dead), (0, 1, 1));
    assert_eq!((queue.totals.failed, queue.totals.dead, dispatcher.due()), (1, 1, None));
    let woof = log::open(&dead).unwrap();
    let letter = woof_local::handler::element::read(&woof, 1).unwrap();
    let letter: woof_local::handler::DeadLetter = serde_json::from_slice(&letter.data).unwrap();
    let expected = ("2-1", 1, Some("one"), "receiving on a closed channel");
    assert_eq!((&*letter.trigger, letter.attempts, letter.data.as_deref(), &*letter.reason), expected);
    assert_eq!(woof.next_seqno(), 2);
}

#[test]
fn a_log_of_triggers_that_is_removed_is_made_again_with_all_that_a_recovery_needs() {
    let (dir, mut dispatcher, started, end) = dispatcher_that_tells();
    let woof = log::open(&dir.path().join("temp")).unwrap();
    woof.appender().unwrap().append(b"two").unwrap();
    dispatcher.step().unwrap();
    assert!(matches!((started.recv(), started.recv()), (Ok(1), Ok(2)) | (Ok(2), Ok(1))));
    let path = dir.path().join(STATE_DIR).join(files::TRIGGERS);
    std::fs::remove_file(&path).unwrap();
    // One of them is done.
    end.send(()).unwrap();
    let event = dispatcher.events.1.recv().unwrap();
    dispatcher.take(event);
    dispatcher.step().unwrap();
    use woof_local::handler::What::{Claimed, Done, Position};
    let done = records(dir.path(), Done);
    assert_eq!((done.len(), records(dir.path(), Position).len()), (1, 1));
    // What was found after that is there too.
    woof.appender().unwrap().append(b"three").unwrap();
    dispatcher.step().unwrap();
    assert_eq!(started.recv(), Ok(3));
    assert_eq!(records(dir.path(), Claimed), [(1, 3, 3)]);
    // As if it was killed: another one finds what is open, and runs nothing that is done.
    let copy = std::fs::read(&path).unwrap();
    drop((dispatcher, end));
    replace(&path, copy);
    let ((tell, started), (end, told)) = (channel(), channel());
    let runner = Arc::new(Waits { started: tell, told: Mutex::new(told) });
    let mut dispatcher = Dispatcher::open(dir.path(), runner).unwrap();
    (0..2).for_each(|_| end.send(()).unwrap());
    to_the_end(&mut dispatcher);
    let mut again: Vec<u64> = started.try_iter().collect();
    again.sort_unstable();
    let left = 3 - done[0].1;
    assert_eq!((again, dispatcher.counts.done), (vec![left, 3], 2));
    assert_eq!(woof.held(), Some(4));
}

#[test]
fn a_log_of_triggers_that_cannot_be_made_again_keeps_what_it_is_to_say() {
    let (dir, mut dispatcher, end) = dispatcher();
    let path = dir.path().join(STATE_DIR).join(files::TRIGGERS);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    for _ in 0..3 {
        dispatcher.step().unwrap_err();
        assert!(!dispatcher.is_running());
    }
    std::fs::remove_dir(&path).unwrap();
    end.send(()).unwrap();
    to_the_end(&mut dispatcher);
    use woof_local::handler::What::{Claimed, Done, Put};
    let what = [Put, Claimed, Done].map(|what| records(dir.path(), what));
    assert_eq!(what, [[(1, 1, 1)], [(1, 1, 1)], [(1, 1, 1)]]);
}

/// Has somewhere to run handlers only from a moment on; tells which attempts it ran then.
struct ReadyLater {
    is_ready: AtomicBool,
    ran: Sender<(u64, u32)>,
}

impl Runner for ReadyLater {
    fn start(&self, _run: &Run<'_>, _stdin: std::os::fd::OwnedFd) -> std::result::Result<Started, Failure> {
        Err(Failure::NotReady("it has no programs".to_owned()))
    }

    fn run(&self, run: &Run<'_>, _: OnWritten<'_>) -> Outcome {
        if !self.is_ready.load(Ordering::SeqCst) {
            return Err(Failure::NotReady("no engine".to_owned()));
        }
        let attempt = run.attempt.unwrap();
        self.ran.send((attempt.seqno, attempt.number)).unwrap();
        Ok(())
    }
}

#[test]
fn one_trigger_finds_out_for_all_whether_there_is_somewhere_to_run_them_and_no_attempt_is_counted() {
    let (dir, dispatcher, _end) = dispatcher();
    drop(dispatcher);
    let woof = log::open(&dir.path().join("temp")).unwrap();
    let mut appender = woof.appender().unwrap();
    appender.extend(std::iter::repeat_n(b"more".as_slice(), 8), |_| ()).unwrap();
    let (tell, ran) = channel();
    let runner = Arc::new(ReadyLater { is_ready: AtomicBool::new(false), ran: tell });
    let mut dispatcher = Dispatcher::open(dir.path(), Arc::<ReadyLater>::clone(&runner)).unwrap();
    dispatcher.step().unwrap();
    assert_eq!(dispatcher.queues[0].running, 4, "nothing is known to be wrong");
    to_the_end(&mut dispatcher);
    for _ in 0..2 {
        let (reason, until) = dispatcher.put_off.as_mut().unwrap();
        assert_eq!(reason, "no engine");
        let now = Instant::now();
        *until = now;
        dispatcher.step().unwrap();
        assert_eq!(dispatcher.queues[0].running, 1);
        assert!(dispatcher.put_off.as_ref().unwrap().1 > now, "the next one only after a while");
        to_the_end(&mut dispatcher);
    }
    runner.is_ready.store(true, Ordering::SeqCst);
    dispatcher.put_off.as_mut().unwrap().1 = Instant::now();
    dispatcher.step().unwrap();
    assert_eq!(dispatcher.queues[0].running, 1);
    let event = dispatcher.events.1.recv().unwrap();
    dispatcher.take(event);
    dispatcher.step().unwrap();
    assert_eq!((dispatcher.queues[0].running, &dispatcher.put_off), (4, &None), "it is known that there is");
    to_the_end(&mut dispatcher);
    let mut ran: Vec<(u64, u32)> = ran.try_iter().collect();
    ran.sort_unstable();
    assert_eq!(ran, (1..=9).map(|seqno| (seqno, 1)).collect::<Vec<_>>());
    assert_eq!((dispatcher.queues[0].totals.failed, dispatcher.counts.done), (0, 9));
}

#[test]
fn dead_letters_that_are_put_back_run_as_they_died_where_there_are_groups_and_at_once_where_there_are_none() {
    for (group, at_once) in [(Some("g".to_owned()), 1), (None, 3)] {
        let (dir, mut dispatcher, _, end) = dispatcher_that_tells();
        bindings::remove(dir.path(), "temp", None).unwrap();
        let binding = Binding { group, retries: 0, at_once: 1, ..Binding::new("temp", "h") };
        bindings::add(dir.path(), &binding, Some(1)).unwrap();
        let mut appender = log::open(&dir.path().join("temp")).unwrap().appender().unwrap();
        appender.extend([b"two".as_slice(), b"three"], |_| ()).unwrap();
        dispatcher.take(Event::Reload);
        // Who is told nothing fails.
        drop(end);
        to_the_end(&mut dispatcher);
        assert_eq!(dispatcher.counts.dead, 3);
        drop(dispatcher);
        assert_eq!(woof_local::handler::retry(dir.path(), &[]).unwrap().count, 3);
        let ((tell, started), (end, told)) = (channel(), channel());
        let runner = Arc::new(Waits { started: tell, told: Mutex::new(told) });
        let mut dispatcher = Dispatcher::open(dir.path(), runner).unwrap();
        dispatcher.step().unwrap();
        let running =
            |dispatcher: &Dispatcher| dispatcher.queues.iter().map(|queue| queue.running).sum::<usize>();
        assert_eq!(at_once, running(&dispatcher));
        (0..3).for_each(|_| end.send(()).unwrap());
        to_the_end(&mut dispatcher);
        let order: Vec<u64> = started.try_iter().collect();
        assert!(at_once > 1 || order == [1, 2, 3], "{order:?}");
        assert_eq!((order.len(), dispatcher.counts.done), (3, 3));
    }
}
