//! What becomes of attempts: done, tried again, given up, lost.

use super::attempt::Became;
use super::dispatcher::{Dispatcher, TRY_AGAIN};
use super::queue::Queue;
use super::trigger::Trigger;
use std::time::{Duration, Instant};
use woof_core::name::StateDir;
use woof_local::handler::bind::dead_letters;
use woof_local::handler::dead::DeadLetter;
use woof_local::handler::element::Element;
use woof_local::handler::record::{Record, What};

/// The first pause after a failure, and the longest. It doubles in between.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

impl Dispatcher {
    /// Notes what became of an attempt.
    pub(super) fn ended(
        &mut self,
        id: u32,
        seqno: u64,
        became: Became,
        element: Option<Element>,
        took: Duration,
    ) {
        let Some(index) = self.queues.iter().position(|queue| queue.binding.id == id) else { return };
        // What a dead letter was of that was put back: it is tried as often as its binding says, and its log lines and records name it.
        let letter = self.queues.get(index).filter(|_| id == 0).and_then(|queue| queue.dead_letter(seqno));
        let own = letter.as_ref().map_or(id, |letter| letter.binding);
        let own = self.queues.iter().find(|queue| queue.binding.id == own);
        let own_retries = own.map(|queue| queue.binding.retries);
        let Some(queue) = self.queues.get_mut(index) else { return };
        let retries = own_retries.unwrap_or(queue.binding.retries);
        let Some(trigger) = queue.trigger(seqno).cloned() else { return };
        if !matches!(became, Became::NotReady(_) | Became::Returned) {
            self.put_off = None;
        }
        let handler = letter.as_ref().map_or(&queue.binding.handler, |letter| &letter.handler).clone();
        let record = |what| Record {
            attempt: Some(trigger.attempts),
            handler: letter.as_ref().map(|letter| letter.handler.clone()),
            trigger: letter.as_ref().map(|letter| letter.trigger.clone()),
            ..Record::new(what, id, seqno)
        };
        let mut add = |queue: &mut Queue, record: Record| {
            queue.totals.count(&record);
            self.journal.add(&record);
        };
        let shown = letter.as_ref().map_or_else(|| format!("{id}-{seqno}"), |letter| letter.trigger.clone());
        match became {
            Became::Done => {
                if id == 0 {
                    tracing::info!(trigger = shown, handler, "a dead letter that was put back is done");
                }
                queue.close(seqno);
                self.counts.done += 1;
                let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                add(queue, Record { ms: Some(ms), ..record(What::Done) });
            }
            Became::Returned => queue.unclaim(seqno),
            Became::NotReady(reason) => {
                queue.unclaim(seqno);
                self.put_off(reason);
            }
            Became::Lost(reason) => {
                tracing::error!(trigger = shown, handler, reason, "trigger lost");
                queue.close(seqno);
                self.counts.lost += 1;
                add(queue, Record { reason: Some(reason), ..record(What::Lost) });
            }
            Became::Failed(reason) if queue.fail(seqno, &reason) <= retries => {
                let pause = PAUSE.saturating_mul(1 << trigger.failures.min(16)).min(PAUSE_MAX);
                tracing::warn!(trigger = shown, handler, reason, ?pause, "attempt failed, trying again");
                queue.wait(seqno, Instant::now() + pause);
                let again_ms = u64::try_from(pause.as_millis()).ok();
                add(queue, Record { reason: Some(reason), again_ms, ..record(What::Failed) });
            }
            Became::Failed(reason) | Became::Hopeless(reason) => {
                let dead = Record { reason: Some(reason), ..record(What::Dead) };
                self.give_up(index, dead, element.as_ref());
            }
        }
    }

    /// Gives up the trigger of a record. False when its dead letter cannot be written: that is tried again, and no attempt is made for it.
    fn give_up(&mut self, index: usize, dead: Record, element: Option<&Element>) -> bool {
        let seqno = dead.seqno;
        let trigger = self.queues.get(index).and_then(|queue| queue.trigger(seqno)).cloned();
        let Some(trigger) = trigger else { return true };
        let reason = dead.reason.clone().unwrap_or_default();
        let letter = self.letter(index, seqno, &trigger, &reason, element);
        let Some(queue) = self.queues.get_mut(index) else { return true };
        let (shown, handler) = (&letter.trigger, &letter.handler);
        // A dead letter whose handler is given up stays what it is: another one would go to the same handler, without end.
        let is_kept = letter.woof == dead_letters();
        if !is_kept
            && let Err(err) = StateDir::exactly(&self.namespace).and_then(|state| letter.append(&state))
        {
            tracing::error!(trigger = shown, handler, error = %err, "the dead-letter woof cannot be written: trying again");
            queue.give_up_later(dead);
            self.letters_again = Some(Instant::now() + TRY_AGAIN);
            return false;
        }
        tracing::error!(trigger = shown, handler, reason, "trigger given up");
        queue.close(seqno);
        self.counts.dead += 1;
        queue.totals.count(&dead);
        self.journal.add(&dead);
        true
    }

    /// Writes the dead letters that could not be written, as far as that goes.
    pub(super) fn write_letters(&mut self) {
        let of = |(index, queue): (usize, &Queue)| queue.dying().into_iter().map(move |dead| (index, dead));
        let dying: Vec<(usize, Record)> = self.queues.iter().enumerate().flat_map(of).collect();
        // What one has no room for the others have none for either.
        let _ = dying.into_iter().all(|(index, dead)| self.give_up(index, dead, None));
    }

    /// Begins no attempt for a while, as there is nowhere to run one.
    fn put_off(&mut self, reason: String) {
        if self.put_off.as_ref().is_none_or(|(before, _)| *before != reason) {
            let then = if self.once { "their triggers wait" } else { "trying again" };
            tracing::error!(namespace = %self.namespace.display(), reason, "handlers cannot run: {then}");
        }
        self.put_off = Some((reason, Instant::now() + TRY_AGAIN));
    }

    /// The dead letter of a trigger.
    fn letter(
        &self,
        index: usize,
        seqno: u64,
        trigger: &Trigger,
        reason: &str,
        element: Option<&Element>,
    ) -> DeadLetter {
        let queue = self.queues.get(index);
        let source = queue.and_then(|queue| queue.source.as_ref());
        if let Some(letter) =
            queue.filter(|queue| queue.binding.id == 0).and_then(|queue| queue.dead_letter(seqno))
        {
            let attempts = letter.attempts + trigger.attempts;
            return DeadLetter { attempts, reason: reason.to_owned(), letter: None, ..letter };
        }
        // A long-lived handler's element was not kept.
        let read = element
            .is_none()
            .then(|| woof_local::handler::element::read(&source?.woof, seqno).ok())
            .flatten();
        let element = element.or(read.as_ref());
        let binding = queue.map(|queue| queue.binding.clone());
        let mut letter = DeadLetter {
            trigger: format!("{}-{seqno}", binding.as_ref().map_or(0, |binding| binding.id)),
            binding: binding.as_ref().map_or(0, |binding| binding.id),
            woof: binding.as_ref().map_or_else(String::new, |binding| binding.woof.clone()),
            handler: binding.map_or_else(String::new, |binding| binding.handler),
            seqno,
            time: element.map_or(trigger.put_ns, |element| element.time_ns),
            depth: element.map_or(0, |element| element.mark.depth()),
            attempts: trigger.attempts,
            reason: reason.to_owned(),
            content: String::new(),
            data: None,
            value: None,
            data_base64: None,
            letter: None,
        };
        if let (Some(source), Some(element)) = (source, element) {
            letter.put_data(source.content, &element.data);
        }
        letter
    }

    /// Notes what a long-lived handler answered. Elements in a row that are done are one record.
    pub(super) fn answered(&mut self, id: u32, answers: Vec<(u64, Became)>) {
        let mut done: Option<(u64, u64)> = None;
        for (seqno, became) in answers {
            if matches!(became, Became::Done) {
                match &mut done {
                    Some((_, last)) if *last + 1 == seqno => *last = seqno,
                    _ => {
                        self.done(id, done);
                        done = Some((seqno, seqno));
                    }
                }
                continue;
            }
            self.done(id, done.take());
            self.ended(id, seqno, became, None, Duration::ZERO);
        }
        self.done(id, done);
    }

    fn done(&mut self, id: u32, run: Option<(u64, u64)>) {
        let (Some((first, last)), Some(queue)) =
            (run, self.queues.iter_mut().find(|queue| queue.binding.id == id))
        else {
            return;
        };
        (first..=last).for_each(|seqno| queue.close(seqno));
        let record =
            Record { to: Some(last).filter(|last| *last != first), ..Record::new(What::Done, id, first) };
        queue.totals.count(&record);
        self.counts.done += record.count();
        self.journal.add(&record);
    }
}
