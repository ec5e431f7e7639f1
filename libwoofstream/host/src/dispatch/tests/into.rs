//! Output into a woof that is full of elements whose handlers are not done.

use super::*;
use woof_local::handler::Channel;
use woof_local::handler::written::Written;

/// Writes five lines for each element of `temp`, and does what it is given for one of `more` only once that is full.
struct Writes {
    more: PathBuf,
    room: u64,
}

impl Runner for Writes {
    fn start(&self, _run: &Run<'_>, _stdin: std::os::fd::OwnedFd) -> Result<Started, Failure> {
        Err(Failure::NotReady("it has no programs".to_owned()))
    }

    fn run(&self, run: &Run<'_>, on_written: OnWritten<'_>) -> Outcome {
        if run.binding.woof == "temp" {
            for _ in 0..5 {
                on_written(Channel::Out, Written::Line(b"line"))?;
            }
            return Ok(());
        }
        let woof = log::open(&self.more).unwrap();
        while woof.next_seqno() <= self.room {
            std::thread::yield_now();
        }
        if run.attempt.is_some_and(|attempt| attempt.seqno == 1) {
            // Longer than is waited at a time.
            std::thread::sleep(super::super::output::LOOK_AGAIN * 3);
        }
        Ok(())
    }
}

/// A namespace whose `temp` has one element and goes into `more`, which has room for two and is bound too.
fn full(timeout_ms: u64, paused: bool) -> (woof_kit::TempDir, PathBuf, Arc<Writes>) {
    let (dir, farm) = namespace(&Options::default());
    let more = farm.join("more");
    log::create(&more, &Options { history: 2, ..Options::default() }).unwrap();
    let into = Some("more".to_owned());
    let writes = Binding { into, timeout_ms, retries: 0, ..Binding::new("temp", "h") };
    bindings::add(&farm, &writes, None).unwrap();
    bindings::add(&farm, &Binding { paused, ..Binding::new("more", "h") }, None).unwrap();
    put(&farm, 1..=1);
    (dir, farm, Arc::new(Writes { more, room: 2 }))
}

#[test]
fn output_waits_for_room_and_its_handler_runs_once() {
    let (_dir, farm, runner) = full(60_000, false);
    let ended = Dispatcher::open(&farm, runner).unwrap().run_pending().unwrap();
    assert_eq!(ended, Ended { done: 6, dead: 0, lost: 0 });
    assert_eq!(Summary::of(&farm).unwrap().bindings[0].totals.failed, 0);
    assert_eq!(log::open(&farm.join("more")).unwrap().next_seqno(), 6);
}

#[test]
fn output_waits_no_longer_than_the_time_limit_and_says_what_for() {
    let (_dir, farm, runner) = full(50, true);
    let ended = Dispatcher::open(&farm, runner).unwrap().run_pending().unwrap();
    assert_eq!(ended, Ended { done: 0, dead: 1, lost: 0 });
    let dead = log::open(&farm.join(".woof/dead")).unwrap();
    let letter = woof_local::handler::element::read(&dead, 1).unwrap();
    let letter: woof_local::handler::DeadLetter = serde_json::from_slice(&letter.data).unwrap();
    let expected = "output: more: woof is full of elements whose handlers are not done: the oldest is 1";
    assert_eq!(letter.reason, expected);
}

#[test]
fn a_dispatcher_that_ends_has_no_output_wait_any_more() {
    use super::super::output::{Output, Patience};
    use std::sync::atomic::AtomicBool;
    let (_dir, farm, _) = full(60_000, true);
    let binding = bindings::Bindings::load(&farm).unwrap().list.remove(0);
    let over = AtomicBool::new(true);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(3600);
    let patience = Patience { until, over: &over };
    let mut output = Output::open(&farm, &binding, 1).unwrap();
    let mut line = || output.take("1-1", "h", Channel::Out, Written::Line(b"line"), patience);
    assert!(line().is_ok() && line().is_ok() && line().is_err());
}
