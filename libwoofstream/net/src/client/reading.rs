//! Reads: a range or a follow, through as many connections as it takes.

use super::answer::{Answer, Step};
use super::link::{Came, Failure, Wait};
use super::remote::{Remote, Target};
use crate::net::{self, Request};
use std::time::Duration;
use woof_core::attrs::context;
use woof_core::content::ContentType;
use woof_core::error::{Code, Error, Result};
use woof_core::wire::{Dir, Fault, Kind, Message, Raw, mark};
use woof_predicate::Predicate;
use woof_space::{Bound, Selection, SeqRange, Sink, Stop};

/// How far a read has come.
struct State {
    request: net::Read,
    stop: Stop,
    /// The first answer came.
    begun: bool,
    /// The answer of this connection says what it is of.
    named: bool,
    /// The follower was told that it has seen all there was.
    marked: bool,
    /// The next seqno to be asked for.
    next: u64,
    /// The request goes over a connection that was idle.
    reused: bool,
}

/// Reads what the selection asks for into `sink`.
pub(super) fn read(remote: &Remote, name: &str, selection: &Selection, sink: &mut dyn Sink) -> Result<()> {
    let target = remote.target(name)?;
    let stop = selection.follow.as_ref().map(|follow| follow.stop.clone()).unwrap_or_default();
    let request = request(&target, selection)?;
    let mut state =
        State { request, stop, begun: false, named: false, marked: false, next: 0, reused: false };
    let until_ns = selection.until_ns.filter(|_| selection.follow.is_some());
    let mut patience = remote.patience(selection.follow.is_some()).until(until_ns);
    let mut timeout = remote.timeout();
    loop {
        let before = state.next;
        match once(remote, (&target, timeout), &mut state, sink) {
            Ok(()) => return Ok(()),
            // It was dead already, and nothing of it is known: asked anew, over one that is not idle.
            Err(Failure::Lost(_)) if state.reused && !state.begun => {}
            Err(Failure::Lost(err)) if state.begun => {
                if state.next > before {
                    patience.is_rewarded();
                }
                sink.before_wait()?;
                if !patience.wait(&err, &state.stop)? {
                    return Ok(());
                }
                timeout = patience.timeout();
                state.go_on();
            }
            Err(failure) => return Err(failure.into_error()),
        }
    }
}

impl State {
    /// Asks for what is left.
    fn go_on(&mut self) {
        let request = &mut self.request;
        request.from = Some(i64::try_from(self.next).unwrap_or(i64::MAX));
        request.range = true;
        request.last = None;
        request.since = None;
    }

    /// Notes that everything up to `seqno` was seen.
    fn saw(&mut self, seqno: u64) {
        self.next = self.next.max(seqno.saturating_add(1));
    }
}

/// Reads over one connection, to the end of the answer or of the connection; a new one may take so long to be made.
fn once(
    remote: &Remote,
    (target, timeout): (&Target, Duration),
    state: &mut State,
    sink: &mut dyn Sink,
) -> std::result::Result<(), Failure> {
    if state.request.limit == Some(0) || (state.begun && state.is_complete()) {
        return Ok(());
    }
    state.named = false;
    // Once only: a second one that is idle may be as dead as the first.
    let idle = if state.reused || state.begun { None } else { remote.take_idle(target) };
    state.reused = false;
    let mut link = match idle {
        Some(link) => link,
        None => remote.connect_within(target, timeout)?,
    };
    link.open(&Request::Read(state.request.clone()))?;
    state.reused = link.is_reused();
    link.end();
    let mut answer = Answer::new();
    loop {
        match answer.next()? {
            Step::Message(raw) => {
                message(target, state, &raw, sink)?;
                continue;
            }
            Step::End(status) => {
                remote.keep_idle(target, link);
                return status.map_err(|fault| Failure::from(target.told(&fault)));
            }
            Step::Need => {}
        }
        let stop = state.request.follow.then(|| state.stop.clone());
        match link.next(&mut answer, Wait::Yes(stop.as_ref()), &mut || sink.before_wait())? {
            Came::Stopped => {
                link.cancel(&Error::new(Code::Cut, "", "the reader wants no more"));
                // The server sees the end of the connection if this does not arrive.
                let _ = link.flush();
                return Ok(());
            }
            Came::End => return Err(Failure::Final(answer.cut().of(&*target.name))),
            Came::Bytes | Came::Credit | Came::Nothing => {}
        }
    }
}

impl State {
    /// Whether all of a bounded range was seen.
    fn is_complete(&self) -> bool {
        self.request.to.and_then(|to| u64::try_from(to).ok()).is_some_and(|to| self.next > to)
    }
}

/// Passes one message of an answer on.
fn message(target: &Target, state: &mut State, raw: &Raw<'_>, sink: &mut dyn Sink) -> Result<()> {
    if raw.kind == Kind::ELEM {
        let elem = raw.elem()?;
        if !state.named || elem.seqno < state.next {
            let text =
                format!("the server sends element {} after {}", elem.seqno, state.next.saturating_sub(1));
            return Err(Error::new(Code::Damaged, &*target.name, text));
        }
        state.saw(elem.seqno);
        if let Some(limit) = &mut state.request.limit {
            *limit = limit.saturating_sub(1);
        }
        return sink.elem(elem.seqno, elem.time_ns, elem.data);
    }
    match raw.decode()? {
        Message::Dir(dir) => begin(target, state, &dir, sink),
        Message::SeqNo { seqno, .. } => {
            state.saw(seqno);
            sink.seen(seqno)
        }
        Message::Mark(name) => {
            if name == mark::CAUGHT_UP && std::mem::replace(&mut state.marked, true) {
                return Ok(());
            }
            sink.mark(name)
        }
        Message::Err(fault) => sink.fault(&Fault::from(&target.told(&fault))),
        // Of a later version, and none that this side asked for.
        _ => Ok(()),
    }
}

/// Takes the first message of an answer.
fn begin(target: &Target, state: &mut State, dir: &Dir, sink: &mut dyn Sink) -> Result<()> {
    let missing = || Error::new(Code::Damaged, &*target.name, "the answer does not say what it is of");
    let made = dir.uint("created").ok_or_else(missing)?;
    let from = dir.uint("from").ok_or_else(missing)?;
    if std::mem::replace(&mut state.named, true) {
        return Err(Error::new(Code::Damaged, &*target.name, "the answer says twice what it is of"));
    }
    // Before what was seen already if those elements were lost, and their numbers are given out again.
    state.next = from;
    // What was counted from the newest is what it was when the answer began.
    if let Some(to) = dir.uint("to") {
        state.request.to = i64::try_from(to).ok();
    }
    state.request.made = Some(made);
    if std::mem::replace(&mut state.begun, true) {
        return Ok(());
    }
    let content = dir.text("content").map_or(Ok(ContentType::Text), ContentType::parse)?;
    sink.dir(&context(&target.name, content))
}

/// The request of a selection.
fn request(target: &Target, selection: &Selection) -> Result<net::Read> {
    let bound = |bound: Bound| match bound {
        Bound::Open => None,
        Bound::Seqno(seqno) => i64::try_from(seqno).ok(),
        Bound::FromEnd(count) => i64::try_from(count).ok().map(|count| -count),
    };
    let range = selection.range.unwrap_or(SeqRange::ALL);
    let (filter, now) = filter(selection.predicate.as_ref());
    Ok(net::Read {
        name: target.path.clone(),
        from: bound(range.from),
        to: bound(range.to),
        range: selection.range.is_some(),
        since: selection.since_ns,
        until: selection.until_ns,
        filter,
        now,
        last: selection.last,
        limit: selection.limit,
        follow: selection.follow.is_some(),
        made: None,
    })
}

/// A predicate as it travels, with what `now` is in it.
pub(super) fn filter(predicate: Option<&Predicate>) -> (Option<String>, u64) {
    match predicate {
        Some(predicate) => (Some(predicate.text().to_owned()), predicate.now_ns()),
        None => (None, 0),
    }
}
