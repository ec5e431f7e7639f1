//! What is to be done for one binding: elements are looked at in order, those that match become triggers, and triggers are taken out when they
//! are done. The position follows: it is before the oldest trigger that is open.
//!
//! Failure contract: a trigger leaves only as done, dead or lost. The position never passes one that is open.

use super::journal::Journal;
use super::trigger::{Cause, State, Trigger};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use woof_core::attrs::context;
use woof_core::content::ContentType;
use woof_core::error::{Code, Result};
use woof_core::limits::TRIGGERS_OPEN_MAX;
use woof_core::name::Namespace;
use woof_core::wire::Dir;
use woof_local::handler::bindings::{Binding, Input};
use woof_local::handler::dead::DeadLetter;
use woof_local::handler::left::{Left, is_trigger, subject};
use woof_local::handler::own::open_woof;
use woof_local::handler::record::{Record, Totals, What};
use woof_log::{Cursor, Item, Woken, Woof};
use woof_predicate::Predicate;

/// So many elements are looked at before others have their turn.
const TURN: usize = 4096;

/// The woof of a binding.
pub(super) struct Source {
    pub(super) woof: Woof,
    pub(super) content: ContentType,
    dir: Dir,
    cursor: Cursor,
    /// When the woof was made.
    pub(super) made: u64,
    recoveries: u64,
    /// Which file it is.
    file: (u64, u64),
    /// It does not have its name any more: it was moved or removed as any file can be, or another one was put in its place.
    has_no_name: bool,
}

impl Source {
    /// Whether it came to its end for whoever goes by its name.
    pub(super) fn has_ended(&self) -> bool {
        self.has_no_name || self.woof.ended().is_some()
    }

    /// Whether this is the same woof, in the same file.
    pub(super) fn is(&self, other: &Source) -> bool {
        (self.made, self.file) == (other.made, other.file)
    }
}

/// Why what is left in a woof that came to its end is lost.
const REMOVED: &str = "the woof was removed";
const MADE_ANEW: &str = "the woof was made anew";

/// What an element is.
enum Looked {
    /// A trigger, with the time at which it was put.
    Trigger(u64, u64),
    /// None, or lost.
    Other,
    /// All that are there were looked at.
    End,
}

/// How a look at further elements ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// There are more.
    More,
    /// There is no room for more triggers.
    Full,
    /// All that are there were looked at, or there is no woof.
    Idle,
}

/// So long a dispatcher waits for the writer of one woof, before it looks after the others and comes back.
const HOLD_PATIENCE: Duration = Duration::from_millis(100);

/// What is to be done for one binding.
pub(super) struct Queue {
    pub(super) binding: Binding,
    predicate: Option<Predicate>,
    namespace: PathBuf,
    pub(super) source: Option<Source>,
    /// All elements up to this one were looked at.
    upto: u64,
    open: BTreeMap<u64, Trigger>,
    ready: BTreeSet<u64>,
    waiting: BTreeSet<(Instant, u64)>,
    /// Triggers that are given up and whose dead letters could not be written yet, each with its record for then.
    dying: BTreeMap<u64, Record>,
    pub(super) running: usize,
    pub(super) totals: Totals,
    /// The elements are dead letters that were put back.
    retries: bool,
    /// The woof is there and could not be opened: nobody knows what is in it.
    unread: bool,
}

impl Queue {
    /// The queue of a binding, with what was left of it.
    pub(super) fn new(
        namespace: &Path,
        binding: Binding,
        left: Option<Left>,
        journal: &mut Journal,
    ) -> Result<Queue> {
        let predicate = binding.filter.as_deref().map(Predicate::compile).transpose()?;
        let mut queue = Queue {
            predicate,
            namespace: namespace.to_owned(),
            source: None,
            upto: binding.from.saturating_sub(1),
            open: BTreeMap::new(),
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            dying: BTreeMap::new(),
            running: 0,
            totals: Totals::default(),
            retries: binding.id == 0,
            unread: false,
            binding,
        };
        let left = left.unwrap_or_default();
        let made = left.made.unwrap_or(queue.binding.made);
        queue.upto = left.upto.unwrap_or(queue.upto);
        queue.totals = left.totals;
        for (seqno, (attempts, failures)) in left.open {
            queue.insert(seqno, Trigger::left(attempts, failures));
        }
        match queue.open_woof(journal, Some(made), left.recoveries, None) {
            Err(err) if err.code() == Code::Busy => queue.unread = true,
            opened => opened?,
        }
        Ok(queue)
    }

    /// Opens the woof, if it is there. `made`, `recoveries` and `file` are those of when it was known last.
    fn open_woof(
        &mut self,
        journal: &mut Journal,
        made: Option<u64>,
        recoveries: Option<u64>,
        file: Option<(u64, u64)>,
    ) -> Result<()> {
        // By now it may be a link: handlers can make some.
        let woof = Namespace::exactly(&self.namespace)
            .and_then(|namespace| open_woof(&namespace, &self.binding.woof));
        let woof = match woof {
            Ok(woof) => woof,
            Err(err) if err.code() == Code::NotFound => {
                self.lose_all(journal, REMOVED);
                // The next one of this name begins with its first element.
                self.upto = 0;
                journal.add(&self.record());
                return Ok(());
            }
            Err(err) => return Err(err.of(&*self.binding.woof)),
        };
        let (status, found) = (woof.status(), woof.identity().map_err(|err| err.of(&*self.binding.woof))?);
        let held = match woof.held() {
            Some(held) if !woof.is_hold_copied() => held,
            // What came along with a copy holds it in this file from now on. A writer that is stopped in the middle must not keep the woofs of other
            // bindings waiting.
            held => woof.hold_within(Some(held.unwrap_or(0)), Some(HOLD_PATIENCE))?,
        };
        let anew = made != Some(status.created_ns);
        let after_loss = recoveries.is_some_and(|before| before != status.recoveries);
        let is_copy =
            file.is_some_and(|file| file != found) || (!after_loss && self.upto >= woof.next_seqno());
        let lost = after_loss || is_copy;
        if anew {
            self.lose_all(journal, MADE_ANEW);
            // The one that was bound may have been away; what it holds is what was not done.
            let is_back = self.binding.made == status.created_ns;
            self.upto = if is_back { held.max(self.binding.from) - 1 } else { 0 };
        } else if lost {
            if is_copy {
                tracing::warn!(
                    woof = self.binding.woof,
                    from = held,
                    "a copy of the woof is in its place: handling again what it holds"
                );
                self.lose_from(
                    journal,
                    woof.next_seqno(),
                    "not in the copy of the woof that is in its place",
                );
            }
            // Numbers from the hold on may belong to other elements now.
            self.upto = held - 1;
            self.open.retain(|seqno, _| *seqno < held);
            self.ready.retain(|seqno| *seqno < held);
            self.waiting.retain(|(_, seqno)| *seqno < held);
            self.dying.retain(|seqno, _| *seqno < held);
        } else {
            // All before the hold is done.
            self.upto = self.upto.max(held - 1);
        }
        if self.upto >= woof.next_seqno() {
            self.upto = woof.next_seqno() - 1;
        }
        for (seqno, trigger) in self.open.iter_mut().filter(|(_, trigger)| trigger.put_ns == 0) {
            // In a group it says whose turn it is.
            trigger.put_ns = woof.time_of(*seqno).unwrap_or(0);
        }
        self.source = Some(Source {
            content: woof.options().content,
            dir: context(&self.binding.woof, woof.options().content),
            cursor: woof.cursor(self.upto + 1),
            made: status.created_ns,
            recoveries: status.recoveries,
            file: found,
            has_no_name: false,
            woof,
        });
        if anew || lost || recoveries.is_none() {
            // What the log says before this is of other elements; or it does not say yet of which, and they could not be told
            // from those that get their numbers after a power loss.
            journal.add(&self.record());
        }
        Ok(())
    }

    /// Whether its woof came to its end and nothing of it runs any more.
    pub(super) fn is_over(&self) -> bool {
        self.running == 0 && self.source.as_ref().is_some_and(Source::has_ended)
    }

    /// Whether a copy of the woof is in its place: what it has is handled, and not lost.
    fn is_copied(&self) -> bool {
        let is_copy = |source: &Source| {
            let woof = Namespace::exactly(&self.namespace)
                .and_then(|namespace| open_woof(&namespace, &self.binding.woof));
            woof.is_ok_and(|woof| woof.status().created_ns == source.made)
        };
        self.source.as_ref().is_some_and(|source| source.has_no_name && is_copy(source))
    }

    /// Opens the woof again where there was none, or the one that is over is known to be lost to its end. True when there may be more in
    /// that: then this is to be called again.
    pub(super) fn look_for_woof(&mut self, journal: &mut Journal) -> Result<bool> {
        if (self.source.is_some() && !self.is_over()) || self.running > 0 {
            return Ok(false);
        }
        if !self.is_copied() && self.lose_with_woof(journal) {
            return Ok(true);
        }
        let (made, file) = self.source.take().map(|source| (source.made, source.file)).unzip();
        let opened = self.open_woof(journal, made.or(Some(0)), None, file);
        self.unread = opened.is_err();
        opened.map(|()| false)
    }

    /// Whether its woof is there and could not be opened.
    pub(super) fn is_unread(&self) -> bool {
        self.unread
    }

    /// Loses what is open, and what further elements are triggers, with a woof that is over. True when there may be more.
    fn lose_with_woof(&mut self, journal: &mut Journal) -> bool {
        let Some(mut source) = self.source.take() else { return false };
        let reason = if source.woof.ended() == Some(Woken::Reset) { MADE_ANEW } else { REMOVED };
        self.lose_all(journal, reason);
        let (mut runs, mut more): (Vec<(u64, u64)>, _) = (Vec::new(), true);
        for _ in 0..TURN {
            match self.look(&mut source, journal) {
                Looked::Trigger(seqno, _) => match runs.last_mut() {
                    Some((_, last)) if *last + 1 == seqno => *last = seqno,
                    _ => runs.push((seqno, seqno)),
                },
                Looked::Other => {}
                Looked::End => {
                    more = false;
                    break;
                }
            }
        }
        runs.into_iter().for_each(|(from, to)| self.lose(journal, from, to, reason));
        self.source = Some(source);
        more
    }

    /// Looks whether the woof still has its name.
    pub(super) fn look_at_name(&mut self) {
        let Some(source) = self.source.as_mut().filter(|source| !source.has_ended()) else { return };
        // A namespace that is not there is another's to notice.
        let Ok(namespace) = Namespace::exactly(&self.namespace) else { return };
        let found = namespace.at(&self.binding.woof, |spot| spot.look()).and_then(|found| found);
        source.has_no_name = match found {
            Ok(stat) => (stat.st_dev, stat.st_ino) != source.file,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => true,
            // Nobody knows.
            Err(_) => false,
        };
        if source.has_no_name {
            tracing::warn!(
                woof = self.binding.woof,
                handler = self.binding.handler,
                open = self.open.len(),
                "the woof was moved or removed, or another file is in its place"
            );
        }
    }

    fn lose_all(&mut self, journal: &mut Journal, reason: &str) {
        self.lose_from(journal, 0, reason);
    }

    /// Notes that all triggers from this element on that are open are lost.
    fn lose_from(&mut self, journal: &mut Journal, from: u64, reason: &str) {
        for seqno in self.open.split_off(&from).into_keys() {
            self.lose(journal, seqno, seqno, reason);
        }
        self.ready.retain(|seqno| *seqno < from);
        self.waiting.retain(|(_, seqno)| *seqno < from);
        self.dying.retain(|seqno, _| *seqno < from);
    }

    fn insert(&mut self, seqno: u64, trigger: Trigger) {
        self.ready.insert(seqno);
        self.open.insert(seqno, trigger);
    }

    /// Looks at further elements, as long as there is room for triggers.
    pub(super) fn scan(&mut self, journal: &mut Journal) -> Scan {
        let Some(mut source) = self.source.take() else { return Scan::Idle };
        let (mut scan, mut found) = (Scan::Idle, Vec::new());
        for turn in 0.. {
            if self.open.len() >= TRIGGERS_OPEN_MAX {
                scan = Scan::Full;
                break;
            }
            if turn == TURN {
                scan = Scan::More;
                break;
            }
            match self.look(&mut source, journal) {
                Looked::Trigger(seqno, time_ns) => {
                    let cause = if self.retries { Cause::Asked } else { Cause::Put };
                    self.insert(seqno, Trigger::found(time_ns, cause));
                    found.push((seqno, time_ns));
                }
                Looked::Other => {}
                Looked::End => break,
            }
        }
        self.source = Some(source);
        let streams = self.is_stream();
        for run in found.chunk_by(|(a, _), (b, _)| streams && a + 1 == *b) {
            let (Some((first, put_ns)), Some((last, _))) = (run.first(), run.last()) else { continue };
            let letter = if self.retries { self.dead_letter(*first) } else { None };
            let (handler, trigger) = letter.map(|letter| (letter.handler, letter.trigger)).unzip();
            journal.add(&Record {
                to: Some(*last).filter(|last| last != first),
                woof: Some(self.binding.woof.clone()),
                handler: Some(handler.unwrap_or_else(|| self.binding.handler.clone())),
                trigger,
                put: Some(*put_ns),
                ..Record::new(What::Put, self.binding.id, *first)
            });
        }
        scan
    }

    /// Looks at the next element.
    fn look(&mut self, source: &mut Source, journal: &mut Journal) -> Looked {
        match source.cursor.next() {
            Some(Item::Elem { seqno, time_ns, mark, data, .. }) => {
                self.upto = seqno;
                let subject = subject(source.content, &source.dir, seqno, time_ns, data);
                let matches = is_trigger(self.binding.named, self.predicate.as_ref(), mark, &subject);
                return if matches { Looked::Trigger(seqno, time_ns) } else { Looked::Other };
            }
            Some(Item::Gone { from, to }) => {
                self.upto = to;
                self.lost(journal, from, to, "overwritten before they were looked at");
            }
            Some(Item::Damaged { seqno }) => {
                self.upto = seqno;
                self.lost(journal, seqno, seqno, "damaged");
            }
            None => return Looked::End,
        }
        Looked::Other
    }

    /// The dead letter that an element of those that were put back is.
    pub(super) fn dead_letter(&self, seqno: u64) -> Option<DeadLetter> {
        let element = woof_local::handler::element::read(&self.source.as_ref()?.woof, seqno).ok()?;
        serde_json::from_slice(&element.data).ok()
    }

    fn lost(&mut self, journal: &mut Journal, from: u64, to: u64, reason: &str) {
        tracing::error!(woof = self.binding.woof, from, to, reason, "elements lost to their handler");
        self.lose(journal, from, to, reason);
    }

    /// Notes that elements are lost.
    fn lose(&mut self, journal: &mut Journal, from: u64, to: u64, reason: &str) {
        let record = Record {
            to: Some(to).filter(|to| *to != from),
            woof: Some(self.binding.woof.clone()),
            handler: Some(self.binding.handler.clone()),
            reason: Some(reason.to_owned()),
            ..Record::new(What::Lost, self.binding.id, from)
        };
        self.totals.count(&record);
        journal.add(&record);
    }

    /// The next trigger that can be run now. In a group only the oldest can be.
    pub(super) fn next(&mut self, now: Instant) -> Option<u64> {
        while let Some((until, seqno)) = self.waiting.first().copied().filter(|(until, _)| *until <= now) {
            self.waiting.remove(&(until, seqno));
            self.ready.insert(seqno);
            if let Some(trigger) = self.open.get_mut(&seqno) {
                trigger.state = State::Ready;
            }
        }
        if self.source.is_none() || self.binding.paused {
            return None;
        }
        let next = self.ready.first().copied()?;
        if self.binding.group.is_some() {
            return self
                .open
                .first_key_value()
                .map(|(seqno, _)| *seqno)
                .filter(|oldest| *oldest == next && self.running == 0);
        }
        let places = if self.is_stream() { TRIGGERS_OPEN_MAX } else { self.binding.at_once as usize };
        (self.running < places).then_some(next)
    }

    /// Whether one program gets all elements.
    pub(super) fn is_stream(&self) -> bool {
        self.binding.input == Input::Stream
    }

    /// When the next trigger that waits is to be tried again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Claims a trigger: its next attempt begins.
    pub(super) fn claim(&mut self, seqno: u64) -> Option<Trigger> {
        let trigger = self.open.get_mut(&seqno)?;
        self.ready.remove(&seqno);
        trigger.state = State::Running;
        trigger.attempts += 1;
        self.running += 1;
        Some(trigger.clone())
    }

    /// Takes back a claim whose attempt did not begin.
    pub(super) fn unclaim(&mut self, seqno: u64) {
        if let Some(trigger) = self.open.get_mut(&seqno) {
            trigger.state = State::Ready;
            trigger.attempts -= 1;
            self.running -= 1;
            self.ready.insert(seqno);
        }
    }

    /// Notes that nothing more is to be done for a trigger: its attempt ended, or its dead letter is written.
    pub(super) fn close(&mut self, seqno: u64) {
        self.dying.remove(&seqno);
        if self.open.remove(&seqno).is_some_and(|trigger| trigger.state == State::Running) {
            self.running -= 1;
        }
    }

    /// Notes that the trigger of this record is given up, and that its dead letter is still to be written. No attempt begins any more.
    pub(super) fn give_up_later(&mut self, dead: Record) {
        let Some(trigger) = self.open.get_mut(&dead.seqno) else { return };
        if std::mem::replace(&mut trigger.state, State::Dying) == State::Running {
            self.running -= 1;
        }
        self.dying.insert(dead.seqno, dead);
    }

    /// The records of the triggers whose dead letters are still to be written.
    pub(super) fn dying(&self) -> Vec<Record> {
        self.dying.values().cloned().collect()
    }

    /// Notes that an attempt failed; the next one begins at `until`, if the trigger is not given up. Gives how many failed.
    pub(super) fn fail(&mut self, seqno: u64, reason: &str) -> u32 {
        let Some(trigger) = self.open.get_mut(&seqno) else { return 0 };
        trigger.failures += 1;
        trigger.cause = Cause::Retry(reason.to_owned());
        trigger.failures
    }

    /// Has the next attempt wait.
    pub(super) fn wait(&mut self, seqno: u64, until: Instant) {
        if let Some(trigger) = self.open.get_mut(&seqno) {
            trigger.state = State::Waiting(until);
            self.running -= 1;
            self.waiting.insert((until, seqno));
        }
    }

    /// A trigger that is open.
    pub(super) fn trigger(&self, seqno: u64) -> Option<&Trigger> {
        self.open.get(&seqno)
    }

    /// No trigger that is open, or is among the elements that were not looked at yet, is of an element that was put before this time; `None` when there
    /// can be none at all.
    pub(super) fn oldest(&self) -> Option<u64> {
        if self.unread {
            return Some(0);
        }
        if let Some((_, trigger)) = self.open.first_key_value() {
            return Some(trigger.put_ns);
        }
        let woof = &self.source.as_ref()?.woof;
        let next = self.looks_at();
        // Times never go back in a woof. Of one that is damaged or overwritten nobody knows.
        (next < woof.next_seqno()).then(|| woof.time_of(next).unwrap_or(0))
    }

    /// How many are open.
    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// All triggers up to this seqno are done.
    pub(super) fn position(&self) -> u64 {
        self.open.first_key_value().map_or(self.upto, |(seqno, _)| self.upto.min(seqno - 1))
    }

    /// The element that is looked at next.
    pub(super) fn looks_at(&self) -> u64 {
        self.upto + 1
    }

    /// The checkpoint.
    pub(super) fn record(&self) -> Record {
        let source = self.source.as_ref();
        Record {
            woof: Some(self.binding.woof.clone()),
            handler: Some(self.binding.handler.clone()),
            done: Some(self.position()),
            upto: Some(self.upto),
            open: Some(
                self.open
                    .iter()
                    .map(|(seqno, trigger)| (*seqno, trigger.attempts, trigger.failures))
                    .collect(),
            ),
            totals: Some(self.totals),
            made: Some(source.map_or(0, |source| source.made)),
            recoveries: source.map(|source| source.recoveries),
            ..Record::new(What::Position, self.binding.id, 0)
        }
    }
}
