//! Nowhere to run handlers: one attempt finds out for all whether there is again.

use super::*;
use std::time::{Duration, Instant};

/// Takes what happens until nothing runs, without starting more.
fn settle(dispatcher: &mut Dispatcher) {
    while dispatcher.queues[0].running > 0 {
        let event = dispatcher.events.1.recv().unwrap();
        dispatcher.take(event);
    }
}

/// Has the time be over for which nothing is tried.
fn let_time_pass(dispatcher: &mut Dispatcher) {
    let (_, until) = dispatcher.put_off.as_mut().unwrap();
    assert!(*until > Instant::now() + Duration::from_millis(1), "it is tried again at once");
    *until = Instant::now();
}

#[test]
fn when_there_was_nowhere_to_run_one_attempt_finds_out_for_all() {
    let (_dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding { at_once: 4, retries: 0, ..Binding::new("temp", "h") }, None).unwrap();
    put(&farm, 1..=10);
    let counts = Arc::new(Counts::default());
    let mut dispatcher = Dispatcher::open(&farm, counts.clone()).unwrap();
    dispatcher.step().unwrap();
    settle(&mut dispatcher);
    assert_eq!(counts.take(), 4, "nobody knew");
    dispatcher.step().unwrap();
    assert_eq!(dispatcher.queues[0].running, 0);
    for _ in 0..2 {
        let_time_pass(&mut dispatcher);
        dispatcher.step().unwrap();
        assert_eq!(dispatcher.queues[0].running, 1);
        // It takes as long as it takes: meanwhile no other begins.
        dispatcher.step().unwrap();
        assert_eq!(dispatcher.queues[0].running, 1);
        settle(&mut dispatcher);
        assert_eq!(counts.take(), 1);
    }
    *counts.ready.lock().unwrap() = true;
    let_time_pass(&mut dispatcher);
    dispatcher.step().unwrap();
    settle(&mut dispatcher);
    assert_eq!((counts.take(), dispatcher.counts.done), (1, 1));
    dispatcher.step().unwrap();
    assert_eq!(dispatcher.queues[0].running, 4, "the others follow");
    settle(&mut dispatcher);
    assert_eq!(dispatcher.run_pending().unwrap().done, 10);
    assert_eq!(counts.take(), 9);
}

/// Counts what it is told to run.
#[derive(Default)]
struct Counts {
    runs: Mutex<u32>,
    ready: Mutex<bool>,
}

impl Counts {
    fn take(&self) -> u32 {
        std::mem::take(&mut *self.runs.lock().unwrap())
    }
}

impl Runner for Counts {
    fn start(&self, _run: &Run<'_>, _stdin: std::os::fd::OwnedFd) -> Result<Started, Failure> {
        Err(Failure::NotReady("it has no programs".to_owned()))
    }

    fn run(&self, _run: &Run<'_>, _: OnWritten<'_>) -> Outcome {
        *self.runs.lock().unwrap() += 1;
        if *self.ready.lock().unwrap() { Ok(()) } else { Err(Failure::NotReady("nowhere".to_owned())) }
    }
}
