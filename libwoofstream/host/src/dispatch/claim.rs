//! Claiming triggers and starting their attempts.
//!
//! Failure contract: what is claimed is in the log of triggers before it is started; the caller sees to that.

use super::attempt::{Attempt, Became};
use super::dispatcher::{Dispatcher, Event, TRY_AGAIN};
use super::queue::Queue;
use super::stream::{Setup, Stream};
use super::trigger::Trigger;
use std::sync::Arc;
use std::time::{Duration, Instant};
use woof_core::limits::ATTEMPTS_MAX;
use woof_local::handler::bindings::Binding;
use woof_local::handler::dead::DeadLetter;
use woof_local::handler::record::{Record, What};

impl Dispatcher {
    /// Claims triggers, one of each binding in turn, as long as there are places.
    pub(super) fn claim(&mut self) -> Vec<(usize, u64, Trigger)> {
        let (mut claims, now, count) = (Vec::new(), Instant::now(), self.queues.len());
        self.streams.forget_ended();
        self.refused_until = self.put_off.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
        if self.refused_until.is_some() {
            return claims;
        }
        let mut passed_over = 0;
        while self.running < ATTEMPTS_MAX && passed_over < count {
            if let Some((_, until)) = &mut self.put_off
                && !claims.is_empty()
            {
                // Whether there is somewhere to run them again, one finds out for all; if that takes long, the next one follows.
                *until = now + TRY_AGAIN;
                self.refused_until = Some(*until);
                break;
            }
            let index = self.turn % count.max(1);
            self.turn = index + 1;
            passed_over += 1;
            let Some(seqno) = self.queues.get_mut(index).and_then(|queue| queue.next(now)) else { continue };
            if self.is_kept_back(index, seqno) {
                continue;
            }
            let Some(queue) = self.queues.get_mut(index) else { continue };
            let Some(trigger) = queue.claim(seqno) else { continue };
            passed_over = 0;
            claims.push((index, seqno, trigger));
            if queue.is_stream() {
                // It takes no place, so all that it can have goes at once.
                while let Some(seqno) = queue.next(now)
                    && let Some(trigger) = queue.claim(seqno)
                {
                    claims.push((index, seqno, trigger));
                }
            } else {
                self.running += 1;
            }
        }
        for run in claims.chunk_by(|(a, first, one), (b, second, other)| {
            let stream = self.queues.get(*a).is_some_and(Queue::is_stream);
            stream
                && a == b
                && first + 1 == *second
                && one.attempts == other.attempts
                && one.cause == other.cause
        }) {
            let (Some((index, first, trigger)), Some((_, last, _))) = (run.first(), run.last()) else {
                continue;
            };
            let id = self.queues.get(*index).map_or(0, |queue| queue.binding.id);
            self.journal.add(&Record {
                to: Some(*last).filter(|last| last != first),
                attempt: Some(trigger.attempts),
                cause: Some(trigger.cause.text()),
                ..Record::new(What::Claimed, id, *first)
            });
        }
        claims
    }

    /// Whether a program of an earlier binding is still at the same elements; or another binding of the same group runs, or has an older trigger, or may have
    /// one among elements that were not looked at yet.
    fn is_kept_back(&self, index: usize, seqno: u64) -> bool {
        let Some(queue) = self.queues.get(index) else { return true };
        if self.streams.is_leaving(&queue.binding) {
            return true;
        }
        let Some(group) = &queue.binding.group else { return false };
        let put = queue.trigger(seqno).map_or(0, |trigger| trigger.put_ns);
        self.queues.iter().enumerate().any(|(other, queue)| {
            let same = other != index && queue.binding.group.as_ref() == Some(group);
            let older = || {
                !queue.binding.paused && queue.oldest().is_some_and(|oldest| (oldest, other) < (put, index))
            };
            same && (queue.running > 0 || older())
        })
    }

    /// Hands claimed triggers to a long-lived handler.
    pub(super) fn start_stream(&mut self, index: usize, seqnos: Vec<u64>) {
        let Some(queue) = self.queues.get(index) else { return };
        let Some(source) = &queue.source else { return };
        let id = queue.binding.id;
        if self.streams.get(id).is_none() {
            let setup = Setup {
                namespace: Arc::clone(&self.namespace),
                binding: Arc::new(queue.binding.clone()),
                runner: Arc::clone(&self.runner),
                woof: source.woof.clone(),
                content: source.content,
                events: self.events.0.clone(),
            };
            match Stream::start(setup) {
                Ok(stream) => self.streams.insert(id, stream),
                Err(err) => {
                    let failed = |seqno| (seqno, Became::Failed(format!("start a thread: {err}")));
                    return self.answered(id, seqnos.into_iter().map(failed).collect());
                }
            }
        }
        if let Some(stream) = self.streams.get(id) {
            stream.push(seqnos);
        }
    }

    /// Hands a claimed trigger to a thread.
    pub(super) fn start(&mut self, index: usize, seqno: u64, trigger: &Trigger) {
        let Some(queue) = self.queues.get(index) else { return };
        let Some(source) = &queue.source else { return };
        let mut attempt = Attempt {
            namespace: Arc::clone(&self.namespace),
            binding: Arc::new(queue.binding.clone()),
            trigger: format!("{}-{seqno}", queue.binding.id),
            woof: source.woof.clone(),
            content: source.content,
            seqno,
            attempt: trigger.attempts,
            cause: trigger.cause.text(),
            letter: None,
            runner: Arc::clone(&self.runner),
            over: Arc::clone(&self.over),
        };
        let id = queue.binding.id;
        let send = self.events.0.clone();
        let ended = move |became, element, took| {
            // Without a receiver the dispatcher has ended, and the trigger is run again.
            let _ = send.send(Event::Ended { binding: id, seqno, became, element, took });
        };
        if id == 0 {
            match self.put_back(&attempt) {
                Ok((binding, letter)) => {
                    attempt.trigger.clone_from(&letter.trigger);
                    attempt.content = letter.take_data().map_or(attempt.content, |(content, _)| content);
                    (attempt.binding, attempt.letter) = (Arc::new(binding), Some(letter));
                }
                Err(reason) => return ended(Became::Lost(reason), None, Duration::ZERO),
            }
        }
        let failed = ended.clone();
        let work = move || {
            let began = Instant::now();
            let (became, element) = attempt.run();
            ended(became, element, began.elapsed());
        };
        if let Err(err) = self.pool.run(work) {
            failed(Became::Failed(format!("start a thread: {err}")), None, Duration::ZERO);
        }
    }

    /// The dead letter that an element of the retries is, and the binding it was of.
    fn put_back(&self, attempt: &Attempt) -> std::result::Result<(Binding, DeadLetter), String> {
        let element = woof_local::handler::element::read(&attempt.woof, attempt.seqno)?;
        let letter: DeadLetter =
            serde_json::from_slice(&element.data).map_err(|err| format!("not a dead letter: {err}"))?;
        let binding =
            self.queues.iter().map(|queue| &queue.binding).find(|binding| binding.id == letter.binding);
        let binding = binding
            .ok_or_else(|| format!("the binding {} of {} was removed", letter.binding, letter.trigger))?;
        Ok((binding.clone(), letter))
    }
}
