//! Tests of a dispatcher step by step.

use super::super::bindings::{self, Binding, Input};
use super::super::{Failure, OnWritten, Outcome, Run, Started};
use super::*;
use crate::log::{self, Options};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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
fn dispatcher() -> (tempfile::TempDir, Dispatcher, Sender<()>) {
    let (dir, dispatcher, _, end) = dispatcher_that_tells();
    (dir, dispatcher, end)
}

/// The same, and the elements that attempts began with.
pub(in super::super) fn dispatcher_that_tells() -> (tempfile::TempDir, Dispatcher, Receiver<u64>, Sender<()>)
{
    let dir = tempfile::tempdir().unwrap();
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
    crate::sys::replace(&file, b"{}\n", 0o644).unwrap();
    end.send(()).unwrap();
    dispatcher.step().unwrap();
    let mut reloads = 0;
    while dispatcher.is_running() || reloads == 0 {
        let event = dispatcher.events.1.recv().unwrap();
        reloads += u32::from(matches!(event, Event::Reload));
        dispatcher.take(event);
        dispatcher.step().unwrap();
    }
    for _ in 0..3 {
        while let Ok(event) = dispatcher.events.1.try_recv() {
            assert!(!matches!(event, Event::Reload), "it would be read for ever");
            dispatcher.take(event);
        }
        dispatcher.step().unwrap();
    }
    let held = || log::open(&dir.path().join("temp")).unwrap().held();
    assert_eq!((reloads, held()), (1, Some(1)));
    crate::sys::replace(&file, &good, 0o644).unwrap();
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
    dispatcher.take(Event::Woken(1));
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
    use super::super::What::{Claimed, Done, Position, Put};
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
    let dir = tempfile::tempdir().unwrap();
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
