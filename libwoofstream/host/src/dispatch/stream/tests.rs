//! Tests of how triggers are handed to a long-lived handler.

use super::*;
use std::io::Read as _;
use std::sync::mpsc::channel;
use woof_local::handler::run::{OnWritten, Outcome};
use woof_log::{self as log, Options};

struct Nowhere;

impl Runner for Nowhere {
    fn start(&self, _: &Run<'_>, _: OwnedFd) -> Result<Started, Failure> {
        Err(Failure::NotReady("it has no programs".to_owned()))
    }

    fn run(&self, _: &Run<'_>, _: OnWritten<'_>) -> Outcome {
        Ok(())
    }
}

/// The way to a program that is there, of a woof with many elements, without a thread; and what the program reads.
fn without_a_thread() -> (woof_kit::TempDir, Stream, File) {
    let dir = woof_kit::tempdir().unwrap();
    let path = dir.path().join("temp");
    log::create(&path, &Options::default()).unwrap();
    let woof = log::open(&path).unwrap();
    let mut appender = woof.appender().unwrap();
    for _ in 0..100 {
        appender.append(b"x").unwrap();
    }
    let (stdin, feed) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let deadline = Instant::now();
    let fed = Fed {
        stdin: Some(Arc::new(feed.into())),
        waiting: Vec::new(),
        given: VecDeque::new(),
        depth: 1,
        deadline,
    };
    let feed = Feed { cursor: woof.cursor(1), program: Some(fed), asleep: false };
    let setup = Setup {
        namespace: Arc::new(dir.path().to_owned()),
        binding: Arc::new(Binding::new("temp", "h")),
        runner: Arc::new(Nowhere),
        content: ContentType::Text,
        events: channel().0,
        woof,
    };
    let shared = Shared {
        setup,
        jobs: Mutex::default(),
        feed: Mutex::new(feed),
        wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap(),
        closed: AtomicBool::new(false),
        ended: AtomicBool::new(false),
    };
    (dir, Stream { shared: Arc::new(shared), thread: None }, stdin.into())
}

fn is_woken(stream: &Stream) -> bool {
    rustix::io::read(&stream.shared.wake, &mut [0; 8]).is_ok()
}

#[test]
fn a_few_elements_for_a_program_that_is_there_wait_for_no_thread() {
    let (_dir, stream, mut stdin) = without_a_thread();
    stream.push(vec![1, 2]);
    let mut read = vec![0; 1024];
    let count = stdin.read(&mut read).unwrap();
    let mut expected = Vec::new();
    for (seqno, element) in [1, 2].map(|seqno| (seqno, stream.shared.setup.woof.cursor(seqno))) {
        let mut element = element;
        let Some(Item::Elem { time_ns, .. }) = element.next() else { panic!("no element") };
        encode::elem(&mut expected, seqno, time_ns, b"x");
    }
    assert_eq!(read.get(..count), Some(&*expected));
    assert!(!is_woken(&stream), "it sees to the deadline when it sleeps next");
    let feed = locked(&stream.shared.feed);
    assert_eq!(feed.program.as_ref().unwrap().given, [1, 2]);
    assert!(feed.program.as_ref().unwrap().deadline > Instant::now());
}

#[test]
fn a_thread_that_sleeps_without_a_deadline_is_told_of_one() {
    let (_dir, stream, _stdin) = without_a_thread();
    locked(&stream.shared.feed).asleep = true;
    stream.push(vec![1]);
    assert!(is_woken(&stream));
}

#[test]
fn while_elements_come_the_thread_need_not_be_told_of_deadlines() {
    let (_dir, mut stream, _stdin) = without_a_thread();
    let shared = Arc::get_mut(&mut stream.shared).unwrap();
    let limit = Duration::from_millis(20);
    Arc::get_mut(&mut shared.setup.binding).unwrap().timeout_ms = 20;
    let shared = Arc::clone(&stream.shared);
    let mut worker =
        Worker { shared: Arc::clone(&shared), program: None, answers: Vec::new(), is_idle: false };
    assert_eq!(worker.time_to_sleep(&locked(&shared.feed)), Some(limit));
    // Nothing comes for that long.
    worker.wait();
    assert!(worker.is_idle);
    assert_eq!(worker.time_to_sleep(&locked(&shared.feed)), None);
    shared.wake();
    worker.wait();
    assert!(!worker.is_idle);
    stream.push(vec![1]);
    let time = worker.time_to_sleep(&locked(&shared.feed)).unwrap();
    assert!(time <= limit, "{time:?}");
    assert!(!is_woken(&stream));
}

#[test]
fn many_elements_and_those_of_another_depth_are_left_to_the_thread() {
    let (_dir, stream, _stdin) = without_a_thread();
    stream.push((1..=50).collect());
    assert!(is_woken(&stream));
    assert_eq!(locked(&stream.shared.jobs).len(), 50);
    locked(&stream.shared.jobs).clear();
    locked(&stream.shared.feed).program.as_mut().unwrap().depth = 2;
    stream.push(vec![51]);
    assert!(is_woken(&stream));
    assert_eq!(*locked(&stream.shared.jobs), [51]);
}

#[test]
fn what_was_looked_at_is_answered_whatever_would_be_given_next_by_then() {
    let (_dir, stream, _stdin) = without_a_thread();
    let mut worker =
        Worker { shared: Arc::clone(&stream.shared), program: None, answers: Vec::new(), is_idle: false };
    // There is no such element.
    stream.push(vec![200]);
    let Next::Answer(seqno, became) = locked(&stream.shared.feed).give(&stream.shared) else {
        panic!("it cannot be given")
    };
    locked(&stream.shared.jobs).push_front(1);
    worker.answer(seqno, became);
    assert!(matches!(&*worker.answers, [(200, Became::Lost(_))]), "{:?}", worker.answers);
    assert_eq!(*locked(&stream.shared.jobs), [1]);
    // One that a program has got meanwhile is answered by that alone.
    stream.push(Vec::new());
    worker.answer(1, Became::Failed("start: no".to_owned()));
    assert_eq!((worker.answers.len(), locked(&stream.shared.jobs).len()), (1, 0));
    assert_eq!(locked(&stream.shared.feed).program.as_ref().unwrap().given, [1]);
}
