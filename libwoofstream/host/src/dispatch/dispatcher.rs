//! The dispatcher of a namespace: finds triggers, claims them, has them run, and notes what became of them.
//!
//! One thread at a time does all of that ([`super::shared`]); attempts run in threads of their own, and one thread for each binding sleeps until its
//! woof has more. So claims are exclusive in memory, and a lock on a file keeps other dispatchers away.
//!
//! Failure contract: what is claimed is in the log before it runs. What cannot be written is not claimed, and is tried again. See
//! [`super::queue`] for what is never skipped.

use super::attempt::Became;
use super::journal::Journal;
use super::pool::Pool;
use super::queue::{Queue, Scan, Source};
use super::shared::{self, Place};
use super::streams::Streams;
use super::watch::Watch;
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use woof_core::error::{Code, Error, Result};
use woof_core::limits::ATTEMPTS_MAX;
use woof_core::name::{STATE_DIR, StateDir};
use woof_local::handler::bindings::Bindings;
use woof_local::handler::dead::retries;
use woof_local::handler::element::Element;
use woof_local::handler::files;
use woof_local::handler::left::Left;
use woof_local::handler::process::kill_left;
use woof_local::handler::record::Record;
use woof_local::handler::runner::Runner;

/// After something could not be written, it is tried again.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How often, and how long apart, it is looked whether processes that were killed are gone.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub(super) enum Event {
    /// A woof has more, or came to its end.
    Woken(u32),
    /// There is more to do.
    More,
    /// The bindings, or woofs, may be others.
    Reload,
    /// It is to end, and waits for so long for attempts that run.
    Stop(Duration),
    /// The directory that it is of has another place, or none.
    Abandon,
    /// What a long-lived handler answered.
    Answers {
        binding: u32,
        answers: Vec<(u64, Became)>,
    },
    Ended {
        binding: u32,
        seqno: u64,
        became: Became,
        element: Option<Element>,
        took: Duration,
    },
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Triggers that are done.
    pub done: u64,
    /// Triggers that were given up.
    pub dead: u64,
    /// Elements that could not be handled.
    pub lost: u64,
}

/// Tells a dispatcher, from any thread, what it is to do.
#[derive(Clone)]
pub struct Stopper(Sender<Event>);

impl Stopper {
    /// Has it begin no more attempts, and end once what runs has ended, or after this time.
    pub fn stop(&self, within: Duration) {
        // Without a receiver it has ended.
        let _ = self.0.send(Event::Stop(within));
    }

    /// Has it end at once, with what runs: its directory was moved, removed or replaced, so all that it would do under that name is another's.
    pub(super) fn abandon(&self) {
        let _ = self.0.send(Event::Abandon);
    }

    /// Has it look for bindings, and for woofs that were missing.
    pub fn reload(&self) {
        let _ = self.0.send(Event::Reload);
    }
}

/// Which file the bindings were read from.
type Seen = Option<(u64, i64, i64, u64)>;

/// The dispatcher of one namespace.
pub struct Dispatcher {
    pub(super) namespace: Arc<PathBuf>,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) journal: Journal,
    pub(super) queues: Vec<Queue>,
    watches: HashMap<u32, Watch>,
    pub(super) streams: Streams,
    seen: Seen,
    /// The file that was not understood.
    refused: Option<Seen>,
    /// When bindings and woofs are looked at again, after that failed for a reason that may pass.
    look_again: Option<Instant>,
    /// When dead letters that could not be written are tried again.
    pub(super) letters_again: Option<Instant>,
    pub(super) pool: Pool,
    pub(super) events: (Sender<Event>, Receiver<Event>),
    /// Where it is found while it serves.
    pub(super) place: Place,
    pub(super) running: usize,
    /// Whose turn it is.
    pub(super) turn: usize,
    pub(super) counts: Ended,
    /// Until when it waits for attempts that run, once it is to end.
    stopping: Option<Instant>,
    /// Its directory is not at its place any more.
    is_abandoned: bool,
    /// Set when it ends, for the attempts that still run.
    pub(super) over: Arc<AtomicBool>,
    /// It ends when nothing is pending, or there is nowhere to run it.
    pub(super) once: bool,
    /// Why there is nowhere to run handlers, and until when it is not tried again.
    pub(super) put_off: Option<(String, Instant)>,
    /// Until when nothing was claimed for that reason, the last time it was tried.
    pub(super) refused_until: Option<Instant>,
    /// Locked as long as this lives.
    lock: File,
}

impl Dispatcher {
    /// The dispatcher of a namespace, given by its directory, with what runs its handlers. What attempts before left running is killed, whether
    /// their dispatcher was killed or they were done and had left their process group.
    ///
    /// # Errors
    /// When another one has the namespace, its bindings are not understood, or its log of triggers cannot be written.
    pub fn open(namespace: &Path, runner: Arc<dyn Runner>) -> Result<Dispatcher> {
        let shown = namespace.display().to_string();
        let real = namespace.canonicalize().map_err(|err| Error::io(&*shown, "", err))?;
        Dispatcher::open_exactly(&real, runner)
            .map_err(|err| if err.object() == real.display().to_string() { err.of(shown) } else { err })
    }

    /// As [`Dispatcher::open`], of a namespace whose path has no links in it.
    pub(super) fn open_exactly(namespace: &Path, runner: Arc<dyn Runner>) -> Result<Dispatcher> {
        let shown = namespace.display().to_string();
        let namespace = namespace.to_owned();
        let state = StateDir::exactly(&namespace).map_err(|err| err.of(&*shown))?;
        let lock = lock(&state).map_err(|err| err.of(&*shown))?;
        let left_running = end_left(&namespace);
        if left_running > 0 {
            tracing::warn!(
                namespace = shown,
                processes = left_running,
                "killed what attempts before had left running"
            );
        }
        let mut journal = Journal::open(&state)?;
        let mut left: HashMap<u32, Left> = HashMap::new();
        journal.read(|record| left.entry(record.binding).or_default().take(record));
        let mut dispatcher = Dispatcher {
            namespace: Arc::new(namespace),
            runner,
            journal,
            queues: Vec::new(),
            watches: HashMap::new(),
            streams: Streams::default(),
            seen: None,
            refused: None,
            look_again: None,
            letters_again: None,
            pool: Pool::new(),
            events: channel(),
            place: Place::default(),
            running: 0,
            turn: 0,
            counts: Ended::default(),
            stopping: None,
            is_abandoned: false,
            over: Arc::default(),
            once: false,
            put_off: None,
            refused_until: None,
            lock,
        };
        dispatcher.reload(&mut left)?;
        Ok(dispatcher)
    }

    /// Which file it has locked: the numbers of the device and of the file on it.
    pub(super) fn locked_file(&self) -> Result<(u64, u64)> {
        let failed = |err| Error::io(self.namespace.display().to_string(), "look at its lock", err);
        self.lock.metadata().map(|meta| (meta.dev(), meta.ino())).map_err(failed)
    }

    /// A handle to stop it with.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.events.0.clone())
    }

    /// Runs what is pending, and ends.
    ///
    /// # Errors
    /// When the log of triggers cannot be written, or there is nowhere to run handlers.
    pub fn run_pending(mut self) -> Result<Ended> {
        self.once = true;
        loop {
            let more = self.step()?;
            let idle =
                |queue: &Queue| queue.open_count() == 0 || queue.binding.paused || queue.source.is_none();
            if self.is_abandoned {
                let object = self.namespace.display().to_string();
                self.end();
                return Err(Error::new(Code::NotFound, object, "it was moved, removed or replaced"));
            }
            if let Some(until) = self.stopping {
                if !self.is_running() {
                    self.checkpoint()?;
                    return Ok(self.counts);
                }
                if Instant::now() >= until {
                    return Ok(self.end());
                }
            }
            if let (Some((reason, _)), false) = (&self.put_off, self.is_running()) {
                let err = Error::new(Code::Failed, self.namespace.display().to_string(), reason);
                self.checkpoint()?;
                return Err(err);
            }
            if !more && !self.is_running() && self.queues.iter().all(idle) {
                self.write_down()?;
                self.raise_holds();
                self.checkpoint()?;
                return Ok(self.counts);
            }
            self.wait(more, self.stopping.is_some());
        }
    }

    /// Runs what is pending and what comes, until it is stopped.
    pub fn serve(self) -> Ended {
        shared::serve(self)
    }

    /// Does what can be done now; gives for how long there is nothing more, if it goes on.
    pub(super) fn turn(&mut self) -> ControlFlow<(), Option<Duration>> {
        if self.is_abandoned {
            return ControlFlow::Break(());
        }
        let stepped = self.step();
        if self.is_abandoned {
            return ControlFlow::Break(());
        }
        if let Err(err) = &stepped {
            tracing::error!(error = %err, "the log of triggers cannot be written: trying again");
        }
        if self.stopping.is_some_and(|until| !self.is_running() || Instant::now() >= until) {
            return ControlFlow::Break(());
        }
        let soon = stepped.is_err() || self.stopping.is_some();
        ControlFlow::Continue(self.time_to_wait(stepped.unwrap_or(false), soon))
    }

    /// Ends it, whatever runs.
    pub(super) fn end(mut self) -> Ended {
        self.over.store(true, Ordering::Release);
        if self.is_abandoned {
            self.runner.abandon();
            // What is known goes where the log went, and nothing to where it was.
            if let Err(err) = self.journal.flush() {
                tracing::error!(error = %err, "the log of triggers cannot be written");
            }
            return self.counts;
        }
        if self.is_running() {
            tracing::warn!(
                namespace = %self.namespace.display(),
                attempts = self.attempts(),
                "stopped in the middle of attempts: they will be made again"
            );
            self.runner.end_all();
        }
        // Nobody else can read any more what is in a woof that was removed.
        while self.look_for_ended() && self.checkpoint().is_ok() {}
        if let Err(err) = self.checkpoint() {
            tracing::error!(error = %err, "the log of triggers cannot be written");
        }
        self.counts
    }

    /// Does all that can be done now. True when there is more.
    pub(super) fn step(&mut self) -> Result<bool> {
        if self.look_again.take_if(|at| *at <= Instant::now()).is_some() {
            self.take(Event::Reload);
        }
        if self.letters_again.take_if(|at| *at <= Instant::now()).is_some() {
            self.write_letters();
        }
        let (mut more, mut idle) = (self.look_for_ended(), Vec::new());
        for queue in &mut self.queues {
            if queue.is_over() {
                // What is left in it is lost, and not found.
                more = true;
                continue;
            }
            if self.journal.is_due() {
                // What all of them find at once may be more than the log has room for behind its hold.
                more = true;
                break;
            }
            let scan = queue.scan(&mut self.journal);
            more |= scan == Scan::More;
            // A woof that came to its end wakes at once whoever waits for it; what runs of it tells when it has ended.
            let is_last = queue.running > 0 && queue.source.as_ref().is_some_and(Source::has_ended);
            if scan == Scan::Idle && !is_last {
                idle.push((queue.binding.id, queue.looks_at()));
            }
        }
        // Who was told that a binding is paused or removed, or how it is, need not wait until that is heard of here.
        if self.queues.iter().any(|queue| queue.open_count() > 0) && self.has_other_bindings() {
            self.take(Event::Reload);
            return Ok(true);
        }
        let before = self.journal.waiting();
        let claims = if self.stopping.is_some() { Vec::new() } else { self.claim() };
        let noted = self.journal.waiting() - before;
        if let Err(err) = self.write_down() {
            // They are claimed anew, however often that fails.
            self.journal.take_back(noted);
            for (index, seqno, _) in claims {
                if let Some(queue) = self.queues.get_mut(index) {
                    queue.unclaim(seqno);
                    self.running -= usize::from(!queue.is_stream());
                }
            }
            return Err(err);
        }
        if self.is_abandoned {
            // They are claimed in its own log, for who has that next.
            return Ok(false);
        }
        for run in claims.chunk_by(|(a, ..), (b, ..)| a == b) {
            let Some(index) = run.first().map(|(index, ..)| *index) else { continue };
            if self.queues.get(index).is_some_and(Queue::is_stream) {
                self.start_stream(index, run.iter().map(|(_, seqno, _)| *seqno).collect());
            } else {
                run.iter().for_each(|(index, seqno, trigger)| self.start(*index, *seqno, trigger));
            }
        }
        // What runs has begun: the rest holds up no trigger that is there.
        for (id, seqno) in idle {
            if let Some(watch) = self.watches.get_mut(&id) {
                watch.arm(seqno);
            }
        }
        self.raise_holds();
        if self.journal.is_due() {
            self.checkpoint()?;
        }
        Ok(more)
    }

    /// Whether any attempt runs.
    fn is_running(&self) -> bool {
        self.queues.iter().any(|queue| queue.running > 0)
    }

    /// How many run.
    fn attempts(&self) -> usize {
        self.queues.iter().map(|queue| queue.running).sum()
    }

    /// Waits for something to do.
    fn wait(&mut self, more: bool, soon: bool) {
        let time = self.time_to_wait(more, soon);
        let Some(first) = shared::next(&self.events.1, time) else { return };
        self.take(first);
        while let Ok(event) = self.events.1.try_recv() {
            self.take(event);
        }
    }

    /// For how long there is nothing to do but what events ask for.
    fn time_to_wait(&self, more: bool, soon: bool) -> Option<Duration> {
        match (more, soon) {
            (true, _) => Some(Duration::ZERO),
            (_, true) => {
                let left = self.stopping.map(|until| until.saturating_duration_since(Instant::now()));
                Some(TRY_AGAIN.min(left.unwrap_or(TRY_AGAIN)))
            }
            _ => self.due().map(|due| due.saturating_duration_since(Instant::now())),
        }
    }

    /// When something is to be done, whatever happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let queues = self.queues.iter().filter(|queue| !queue.binding.paused).filter_map(Queue::due);
        // What is due while nothing is claimed is looked at when something is again.
        let due = self.refused_until.or_else(|| queues.min()).filter(|_| self.running < ATTEMPTS_MAX);
        due.into_iter().chain(self.look_again).chain(self.letters_again).min()
    }

    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Woken(id) => {
                if let Some(watch) = self.watches.get_mut(&id) {
                    watch.woke();
                }
            }
            Event::More => {}
            Event::Reload => {
                let found = seen(&self.namespace);
                if let Err(err) = self.reload(&mut HashMap::new()) {
                    self.refused = Some(found);
                    if !matches!(err.code(), Code::Damaged | Code::Unsupported | Code::TooLarge) {
                        self.look_again = Some(Instant::now() + TRY_AGAIN);
                    }
                    tracing::error!(error = %err, "bindings cannot be read: those read before stay in force");
                }
                // Those that are not done with yet are looked for again with the next step.
                let _ = self.look_for_woofs();
            }
            Event::Stop(within) => self.stop(within),
            Event::Abandon => self.is_abandoned = true,
            Event::Ended { binding, seqno, became, element, took } => {
                self.running -= 1;
                self.ended(binding, seqno, became, element, took);
            }
            Event::Answers { binding, answers } => self.answered(binding, answers),
        }
    }

    /// Begins no more attempts, and waits for those that run.
    fn stop(&mut self, within: Duration) {
        if self.stopping.replace(Instant::now() + within).is_none() && self.is_running() {
            tracing::info!(
                namespace = %self.namespace.display(),
                attempts = self.attempts(),
                limit = within.as_secs_f64(),
                "stopping: waiting for attempts"
            );
        }
    }

    /// Looks for new woofs where one came to its end and nothing of it runs any more. True when that is to go on.
    fn look_for_ended(&mut self) -> bool {
        self.queues.iter().any(Queue::is_over) && self.look_for_woofs()
    }

    /// Has each woof hold only what its bindings have not done, if the bindings are still those that were read.
    fn raise_holds(&mut self) {
        let positions: Vec<(u64, &Source)> = self
            .positions()
            .into_values()
            .flatten()
            .filter(|(position, source)| source.woof.held().is_some_and(|held| held <= *position))
            .collect();
        if positions.is_empty() {
            return;
        }
        // Nobody binds a handler to elements that are let go of meanwhile.
        let state = StateDir::exactly(&self.namespace);
        let Ok(_lock) = state.and_then(|state| state.lock(Duration::ZERO)) else {
            // More is held than need be for a moment.
            self.look_again.get_or_insert(Instant::now() + TRY_AGAIN);
            return;
        };
        if seen(&self.namespace) != self.seen {
            // What was not understood is not read again before it is another file; till then more is held than need be.
            if self.has_other_bindings() {
                let _ = self.events.0.send(Event::Reload);
            }
            return;
        }
        for (position, source) in positions {
            source.woof.raise_hold(position + 1);
        }
    }

    /// Whether the file of the bindings is another than the one that was read, or was not understood.
    fn has_other_bindings(&self) -> bool {
        let now = seen(&self.namespace);
        now != self.seen && self.refused != Some(now)
    }

    /// Up to which seqno all bindings of a woof are done, by its name. None where one of them does not have it open, or has another that had
    /// its name before: it will look at elements that the others are done with.
    fn positions(&self) -> HashMap<&str, Option<(u64, &Source)>> {
        let mut positions: HashMap<&str, Option<(u64, &Source)>> = HashMap::new();
        for queue in &self.queues {
            let found = queue.source.as_ref().map(|source| (queue.position(), source));
            let entry = positions.entry(&queue.binding.woof).or_insert(found);
            *entry = match (*entry, found) {
                (Some((a, one)), Some((b, other))) if one.is(other) => Some((a.min(b), one)),
                _ => None,
            };
        }
        positions
    }

    /// Writes what was noted into the log of triggers, which is made again if somebody removed it.
    fn write_down(&mut self) -> Result<()> {
        if self.journal.waiting() > 0 && self.journal.is_gone() {
            if self.is_in_place() {
                return self.checkpoint();
            }
            // Not the log was removed, but all that is here. Another's log has no place for it.
            self.is_abandoned = true;
        }
        self.journal.flush()
    }

    /// Whether what it has locked is still found under its name.
    fn is_in_place(&self) -> bool {
        let found = self.namespace.join(STATE_DIR).join(files::LOCK).symlink_metadata();
        found.is_ok_and(|meta| self.locked_file().is_ok_and(|locked| locked == (meta.dev(), meta.ino())))
    }

    fn checkpoint(&mut self) -> Result<()> {
        if self.journal.is_gone() && self.is_in_place() {
            self.journal.open_again(&self.namespace)?;
            tracing::error!(namespace = %self.namespace.display(), "the log of triggers was removed: made again, with all positions");
        }
        let positions: Vec<Record> = self.queues.iter().map(Queue::record).collect();
        self.journal.checkpoint(positions)
    }

    /// Reads the bindings.
    fn reload(&mut self, left: &mut HashMap<u32, Left>) -> Result<()> {
        let state = StateDir::exactly(&self.namespace)?;
        let lock = state.lock(TRY_AGAIN)?;
        let (seen, bindings) = (seen(&self.namespace), Bindings::load_from(&state)?);
        drop(lock);
        let mut wanted = bindings.list;
        wanted.extend(retries(&self.namespace, &wanted));
        self.queues.retain(|queue| wanted.iter().any(|binding| binding.id == queue.binding.id));
        self.watches.retain(|id, _| wanted.iter().any(|binding| binding.id == *id));
        self.streams.keep(|id| wanted.iter().any(|binding| binding.id == id));
        for binding in wanted {
            if let Some(queue) = self.queues.iter_mut().find(|queue| queue.binding.id == binding.id) {
                queue.binding = binding;
                continue;
            }
            let id = binding.id;
            let queue = Queue::new(&self.namespace, binding, left.remove(&id), &mut self.journal)?;
            if queue.is_unread() {
                self.look_again.get_or_insert(Instant::now() + TRY_AGAIN);
            }
            self.queues.push(queue);
        }
        self.seen = seen;
        self.watch()
    }

    /// Starts to wait for elements of woofs that nobody waits for.
    fn watch(&mut self) -> Result<()> {
        for queue in &self.queues {
            let id = queue.binding.id;
            let Some(source) = &queue.source else {
                self.watches.remove(&id);
                continue;
            };
            if !self.watches.contains_key(&id) {
                let (events, place) = (self.events.0.clone(), Arc::clone(&self.place));
                let watch = Watch::start(&source.woof, move || shared::woken(id, &place, &events))?;
                self.watches.insert(id, watch);
            }
        }
        Ok(())
    }

    /// Opens woofs that were missing or came to their end. True when more is to be looked at in one that did, before it is given up.
    fn look_for_woofs(&mut self) -> bool {
        let mut more = false;
        for queue in &mut self.queues {
            queue.look_at_name();
            if (queue.source.is_some() && !queue.is_over()) || queue.running > 0 {
                continue;
            }
            if queue.source.is_some() && self.journal.is_due() {
                // The log has room for what is lost after a checkpoint.
                more = true;
                continue;
            }
            match queue.look_for_woof(&mut self.journal) {
                Ok(true) => {
                    more = true;
                    continue;
                }
                Ok(false) => {}
                Err(err) => {
                    tracing::error!(woof = queue.binding.woof, error = %err, "the woof of a binding cannot be opened: trying again");
                    self.look_again = Some(Instant::now() + TRY_AGAIN);
                }
            }
            self.watches.remove(&queue.binding.id);
            self.streams.end(queue.binding.id);
        }
        if let Err(err) = self.watch() {
            tracing::error!(error = %err, "elements are not waited for: trying again");
            self.look_again = Some(Instant::now() + TRY_AGAIN);
        }
        more
    }
}

fn lock(state: &StateDir) -> Result<File> {
    let failed = |err: std::io::Error| Error::io("", "lock", err);
    let file = state.open(files::LOCK, OFlags::WRONLY | OFlags::CREATE).map_err(|err| failed(err.into()))?;
    let file = File::from(file);
    if !woof_core::sys::lock_alone(&file).map_err(failed)? {
        return Err(Error::new(Code::Exists, "", "another server runs its handlers"));
    }
    Ok(file)
}

/// Ends what attempts of an earlier dispatcher left running, so that no trigger runs twice at once; gives how many processes there were.
fn end_left(namespace: &Path) -> usize {
    let first = kill_left(namespace, None);
    let mut left = first;
    for _ in 0..LOOKS {
        if left == 0 {
            break;
        }
        std::thread::sleep(LOOK_AGAIN);
        left = kill_left(namespace, None);
    }
    first
}

/// The file of the bindings, as it is now.
fn seen(namespace: &Path) -> Seen {
    let meta = std::fs::metadata(namespace.join(STATE_DIR).join(files::BINDINGS)).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
}

#[cfg(test)]
pub(super) mod tests;
