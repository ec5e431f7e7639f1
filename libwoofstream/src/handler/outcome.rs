//! What becomes of attempts: done, tried again, given up, lost.

use super::attempt::Became;
use super::dead::DeadLetter;
use super::dispatch::{Dispatcher, TRY_AGAIN};
use super::element::Element;
use super::queue::Queue;
use super::record::{Record, What};
use super::trigger::Trigger;
use std::time::{Duration, Instant};

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
        let Some(queue) = self.queues.get_mut(index) else { return };
        let Some(trigger) = queue.trigger(seqno).cloned() else { return };
        if !matches!(became, Became::NotReady(_) | Became::Returned) {
            self.put_off = None;
        }
        let record = |what| Record { attempt: Some(trigger.attempts), ..Record::new(what, id, seqno) };
        let mut add = |queue: &mut Queue, record: Record| {
            queue.totals.count(&record);
            self.journal.add(&record);
        };
        let shown = format!("{id}-{seqno}");
        match became {
            Became::Done => {
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
                tracing::error!(trigger = shown, reason, "trigger lost");
                queue.close(seqno);
                self.counts.lost += 1;
                add(queue, Record { reason: Some(reason), ..record(What::Lost) });
            }
            Became::Failed(reason) if queue.fail(seqno, &reason) <= queue.binding.retries => {
                let pause = PAUSE.saturating_mul(1 << trigger.failures.min(16)).min(PAUSE_MAX);
                tracing::warn!(
                    trigger = shown,
                    handler = queue.binding.handler,
                    reason,
                    ?pause,
                    "attempt failed, trying again"
                );
                queue.wait(seqno, Instant::now() + pause);
                let again_ms = u64::try_from(pause.as_millis()).ok();
                add(queue, Record { reason: Some(reason), again_ms, ..record(What::Failed) });
            }
            Became::Failed(reason) | Became::Hopeless(reason) => {
                let letter = self.letter(index, seqno, &trigger, &reason, element.as_ref());
                let Some(queue) = self.queues.get_mut(index) else { return };
                if let Err(err) = letter.append(&self.namespace) {
                    tracing::error!(trigger = shown, error = %err, "the dead-letter woof cannot be written: trying again");
                    queue.wait(seqno, Instant::now() + TRY_AGAIN);
                    return;
                }
                tracing::error!(trigger = shown, handler = letter.handler, reason, "trigger given up");
                queue.close(seqno);
                self.counts.dead += 1;
                let dead = Record { reason: Some(reason), ..record(What::Dead) };
                queue.totals.count(&dead);
                self.journal.add(&dead);
            }
        }
    }

    /// Begins no attempt for a while, as there is nowhere to run one.
    fn put_off(&mut self, reason: String) {
        if self.put_off.as_ref().is_none_or(|(before, _)| *before != reason) {
            tracing::error!(namespace = %self.namespace.display(), reason, "handlers cannot run: trying again");
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
        if let (Some(source), Some(0)) = (source, queue.map(|queue| queue.binding.id))
            && let Ok(element) = super::element::read(&source.woof, seqno)
            && let Ok(letter) = serde_json::from_slice::<DeadLetter>(&element.data)
        {
            let attempts = letter.attempts + trigger.attempts;
            return DeadLetter { attempts, reason: reason.to_owned(), ..letter };
        }
        // A long-lived handler's element was not kept.
        let read = element.is_none().then(|| super::element::read(&source?.woof, seqno).ok()).flatten();
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
            data_base64: None,
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
