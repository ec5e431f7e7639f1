//! Puts: elements go out as they come, answers come back meanwhile, and what was not answered for is kept and sent again over
//! the next connection when one is lost.
//!
//! Failure contract: what was reported as in is in, once. After an error nothing is known of what was not reported. Memory
//! is bounded: no more than [`WINDOW`] bytes, and one batch of the caller's, wait for an answer.

use super::answer::{Answer, Step};
use super::link::{Came, Failure, Link, Wait};
use super::remote::{Remote, Target, Trying};
use crate::net::{self, Request, answer};
use std::collections::{HashMap, VecDeque};
use woof_core::content::ContentType;
use woof_core::element::{ChangedTimes, Given, Run, Stamp};
use woof_core::error::{Code, Error, Result};
use woof_core::wire::{ELEM_PREFIX, Fault};
use woof_core::wire::{HEADER_SIZE, Header, Kind, MORE, Message, encode};
use woof_space::{Put, Stop, Told, Trigger};

/// So many bytes may wait for an answer before more are taken.
const WINDOW: usize = 4 << 20;

/// Elements are kept together in pieces of about this many bytes.
const CHUNK: usize = 64 << 10;

/// Writer sequences that follow one another, of elements that were not answered for.
#[derive(Clone, Copy)]
struct Pending {
    first: u64,
    count: u64,
}

/// Elements that were not all answered for, as they go out.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// The writer sequence of the last of them.
    last: u64,
    /// How many bytes went out over this connection.
    sent: usize,
}

/// A connection with the request on its way.
struct Connected {
    link: Link,
    answer: Answer,
    /// The beginning of the stream, as far as it has not gone out.
    head: Vec<u8>,
    /// Nothing of this writer was in the woof before this request.
    fresh: bool,
}

/// A put in progress.
pub(super) struct Putting {
    remote: Remote,
    target: Target,
    create: Option<String>,
    /// What the request says of durability and of what the data is, and what is true of what is put next.
    sync: bool,
    next_sync: bool,
    trigger: Trigger,
    source: ContentType,
    next_source: ContentType,
    /// Elements have times of their own, those of this request and those that are put next.
    times: bool,
    next_times: bool,
    writer: u64,
    /// The writer id is one of the caller's stamps.
    stamped: bool,
    /// Elements of this writer can be in the woof already.
    resumes: bool,
    /// Of writers of the caller's: over which writer sequence their elements are.
    afters: HashMap<u64, u64>,
    link: Option<Link>,
    connected: Option<Connected>,
    /// Why the last connection ended.
    lost: Option<Error>,
    /// Since when and how often it was tried to get an answer.
    trying: Option<Trying>,
    /// The server has shown who it is, so that it is worth trying again.
    reached: bool,
    /// When the woof was made, once that is known.
    made: Option<u64>,
    /// From this seqno on elements of this put can be in the woof.
    from: u64,
    chunks: VecDeque<Chunk>,
    /// Which those are that were not answered for, in order.
    pending: VecDeque<Pending>,
    /// Bytes in all chunks.
    waiting: usize,
    /// The writer sequence of the last element that was put, and of the last that was answered for.
    last: u64,
    answered: u64,
    /// What the server said of times.
    changed: ChangedTimes,
    ahead: Option<u64>,
}

impl Putting {
    /// Connects. The request goes out with the first elements.
    pub(super) fn open(remote: Remote, target: Target, create: Option<String>) -> Result<Putting> {
        let writer = remote.random();
        let mut putting = Putting {
            remote,
            target,
            create,
            sync: false,
            next_sync: false,
            trigger: Trigger::default(),
            source: ContentType::Text,
            next_source: ContentType::Text,
            times: false,
            next_times: false,
            writer,
            stamped: false,
            resumes: false,
            afters: HashMap::new(),
            link: None,
            connected: None,
            lost: None,
            trying: None,
            reached: false,
            made: None,
            from: 1,
            chunks: VecDeque::new(),
            pending: VecDeque::new(),
            waiting: 0,
            last: 0,
            answered: 0,
            changed: ChangedTimes::default(),
            ahead: None,
        };
        putting.link = Some(putting.connect()?);
        Ok(putting)
    }

    /// Connects, and goes on trying as long as it should.
    fn connect(&mut self) -> Result<Link> {
        let never = Stop::default();
        let mut why = self.lost.take();
        let begun = self.remote.now();
        loop {
            if let Some(why) = &why {
                // A server that takes connections and answers nothing is tried no longer than one that is not there.
                let new = || self.remote.patience_of_put(self.reached || self.made.is_some()).since(begun);
                self.trying.get_or_insert_with(new).wait(why, &never)?;
            }
            let timeout = self.trying.as_mut().map_or_else(|| self.remote.timeout_of_put(), Trying::timeout);
            match self.remote.connect_within(&self.target, timeout) {
                Ok(link) => return Ok(link),
                Err(Failure::Lost(err)) => why = Some(err),
                Err(Failure::Final(err)) => return Err(err),
            }
        }
    }

    /// Makes the request over a new connection, and sends again what was not answered for.
    fn begin(&mut self, mut link: Link) -> Result<Connected> {
        link.open(&Request::Put(net::Put {
            name: self.target.path.clone(),
            writer: self.writer,
            content: self.source.as_str().to_owned(),
            sync: self.sync,
            create: self.create.clone(),
            resume: self.resumes.then_some(self.from),
            after: self.afters.get(&self.writer).copied(),
            made: self.made,
            handler: self.trigger.handler.clone(),
            depth: self.trigger.depth,
            seal: self.trigger.seal.clone(),
            times: self.times,
        }))?;
        // From now on something of this put can be there.
        let fresh = !std::mem::replace(&mut self.resumes, true);
        for chunk in &mut self.chunks {
            chunk.sent = skip_answered(&chunk.bytes, self.answered);
        }
        let mut head = Vec::new();
        encode::preamble(&mut head);
        Ok(Connected { link, answer: Answer::new(), head, fresh })
    }

    /// Sends and takes answers until `enough`, over as many connections as it takes. Without `wait` only what can be done at
    /// once.
    fn pump(
        &mut self,
        wait: bool,
        enough: &dyn Fn(&Putting) -> bool,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        loop {
            if self.connected.is_none() {
                let link = match self.link.take().filter(|link| !link.is_stale()) {
                    Some(link) => link,
                    None => self.connect()?,
                };
                self.connected = Some(self.begin(link)?);
            }
            match self.pump_connection(wait, enough, report) {
                Ok(()) => return Ok(()),
                Err(Failure::Lost(err)) => {
                    self.reached |=
                        self.connected.as_ref().is_some_and(|connected| connected.link.is_proven());
                    self.connected = None;
                    self.lost = Some(err);
                    if !wait {
                        // Found out before anything was to be waited for: the next call that waits connects anew. What was
                        // put is kept.
                        self.link = None;
                        if enough(self) {
                            return Ok(());
                        }
                    }
                }
                Err(Failure::Final(err)) => return Err(err),
            }
        }
    }

    fn pump_connection(
        &mut self,
        wait: bool,
        enough: &dyn Fn(&Putting) -> bool,
        report: &mut dyn FnMut(Told),
    ) -> std::result::Result<(), Failure> {
        loop {
            self.take_answers(report)?;
            self.send();
            let done = enough(self);
            let Some(Connected { link, answer, .. }) = &mut self.connected else { return Ok(()) };
            let how = if wait && !done { Wait::Yes(None) } else { Wait::No };
            match link.next(answer, how, &mut || Ok(()))? {
                Came::End => return Err(Failure::Final(answer.cut().of(&*self.target.name))),
                Came::Nothing | Came::Stopped => return Ok(()),
                Came::Bytes | Came::Credit => {}
            }
        }
    }

    /// Sends what there is credit for.
    fn send(&mut self) {
        let Some(Connected { link, head, .. }) = &mut self.connected else { return };
        let sent = link.send(head);
        head.drain(..sent);
        if !head.is_empty() {
            return;
        }
        for chunk in &mut self.chunks {
            while chunk.sent < chunk.bytes.len() {
                let sent = link.send(chunk.bytes.get(chunk.sent..).unwrap_or_default());
                chunk.sent += sent;
                if sent == 0 {
                    return;
                }
            }
        }
    }

    /// Takes the answers that came.
    fn take_answers(&mut self, report: &mut dyn FnMut(Told)) -> std::result::Result<(), Failure> {
        let Some(Connected { answer, .. }) = &mut self.connected else { return Ok(()) };
        // Taken out, so that answers can be noted while one is borrowed.
        let mut answer = std::mem::replace(answer, Answer::new());
        let done = loop {
            match answer.next() {
                Ok(Step::Need) => break Ok(()),
                Ok(Step::End(Ok(()))) => {
                    break Err(Failure::Lost(
                        self.error(Code::Unreachable, "the server ended the put early"),
                    ));
                }
                Ok(Step::End(Err(fault))) => break Err(Failure::from(self.target.told(&fault))),
                Ok(Step::Message(raw)) if raw.kind == Kind::APP => match raw.decode() {
                    Ok(Message::App { name, data }) => {
                        if let Err(err) = self.answered(name, data, report) {
                            break Err(Failure::Final(err));
                        }
                    }
                    Ok(_) => {}
                    Err(err) => break Err(Failure::Final(err.of(&*self.target.name))),
                },
                Ok(Step::Message(_)) => {}
                Err(err) => break Err(Failure::Final(err.of(&*self.target.name))),
            }
        };
        if let Some(connected) = &mut self.connected {
            connected.answer = answer;
        }
        done
    }

    /// Notes one answer.
    fn answered(&mut self, name: &str, data: &[u8], report: &mut dyn FnMut(Told)) -> Result<()> {
        let word = |at: usize| {
            data.get(at * 8..at * 8 + 8)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u64::from_le_bytes)
                .ok_or_else(|| self.error(Code::Damaged, "an answer of the server is too short"))
        };
        match name {
            answer::OPENED => {
                let (made, next) = (word(0)?, word(1)?);
                let fresh = self.connected.as_ref().is_some_and(|connected| connected.fresh);
                if self.made.is_none() {
                    self.made = Some(made);
                    self.trying = None;
                    if fresh {
                        self.from = next;
                    }
                }
                // What a power failure took away gave its numbers back.
                self.from = self.from.min(next);
            }
            answer::IN => {
                let (seq, seqno, count) = (word(0)?, word(1)?, word(2)?);
                let after = seqno.checked_add(count).ok_or_else(|| self.out_of_turn())?;
                self.settle_run(seq, count)?;
                if seqno == 0 {
                    for seq in seq..seq + count {
                        let text = "was put, and is overwritten already";
                        report(Told::Refused(seq, self.error(Code::Gone, text)));
                    }
                    return Ok(());
                }
                self.from = after;
                report(Told::In(Run { first: seqno, count }));
            }
            answer::TIMES => self.changed += ChangedTimes { behind: word(0)?, ahead: word(1)? },
            answer::AHEAD => self.ahead = Some(word(0)?),
            answer::REFUSED => {
                let seq = word(0)?;
                let fault = Fault::from_bytes(data.get(8..).unwrap_or_default())
                    .map_err(|err| err.of(&*self.target.name))?;
                self.settle_run(seq, 1)?;
                report(Told::Refused(seq, self.target.told(&fault)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes that the next `count` elements from `seq` on were answered for.
    fn settle_run(&mut self, seq: u64, count: u64) -> Result<()> {
        // Answers come in the order of the elements: what one skipped would never be known.
        let next =
            self.pending.front_mut().filter(|next| next.first == seq && (1..=next.count).contains(&count));
        let Some(next) = next else { return Err(self.out_of_turn()) };
        *next = Pending { first: seq + count, count: next.count - count };
        if next.count == 0 {
            self.pending.pop_front();
        }
        self.trying = None;
        self.answered = seq + count - 1;
        while let Some(chunk) = self.chunks.front()
            && chunk.last <= self.answered
        {
            self.waiting -= chunk.bytes.len();
            self.chunks.pop_front();
        }
        Ok(())
    }

    fn out_of_turn(&self) -> Error {
        self.error(Code::Damaged, "the server answers for what was not put, or out of turn")
    }

    /// Takes one element.
    fn take(&mut self, seq: u64, time_ns: u64, data: &[u8]) -> Result<()> {
        if seq <= self.last || seq == u64::MAX {
            let text = format!("writer sequence {seq} after {}", self.last);
            return Err(self.error(Code::Invalid, &text));
        }
        if self.chunks.back().is_none_or(|chunk| chunk.bytes.len() >= CHUNK) {
            self.chunks.push_back(Chunk::default());
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let before = chunk.bytes.len();
            encode::elem(&mut chunk.bytes, seq, time_ns, data);
            chunk.last = seq;
            self.waiting += chunk.bytes.len() - before;
            self.last = seq;
        }
        match self.pending.back_mut() {
            Some(run) if run.first + run.count == seq => run.count += 1,
            _ => self.pending.push_back(Pending { first: seq, count: 1 }),
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.waiting >= WINDOW
    }

    fn is_settled(&self) -> bool {
        self.made.is_some() && self.pending.is_empty()
    }

    /// Settles and ends the request, for one with other properties.
    fn reopen(&mut self, report: &mut dyn FnMut(Told)) -> Result<()> {
        // Also over a new connection: what was put before went with the old properties.
        if !self.pending.is_empty() {
            self.pump(true, &Putting::is_settled, report)?;
        }
        self.say_goodbye();
        Ok(())
    }

    /// Puts under another writer id from now on, of which elements can be in the woof.
    fn turn_to_writer(&mut self, writer: u64, report: &mut dyn FnMut(Told)) -> Result<()> {
        self.reopen(report)?;
        self.writer = writer;
        (self.resumes, self.from) = (true, 1);
        (self.last, self.answered) = (0, 0);
        Ok(())
    }

    /// Has what is put from now on be what it was said to be.
    fn turn_to_next(&mut self, report: &mut dyn FnMut(Told)) -> Result<()> {
        let next = (self.next_source, self.next_sync, self.next_times);
        if (self.source, self.sync, self.times) != next {
            self.reopen(report)?;
            (self.source, self.sync, self.times) = next;
        }
        Ok(())
    }

    /// Takes elements, with stamps or without, and sends what can be sent.
    fn take_all<'a>(
        &mut self,
        times: bool,
        items: &mut dyn Iterator<Item = Given<'a>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        self.next_times = times;
        self.turn_to_next(report)?;
        for Given { stamp, time_ns, data } in items {
            match stamp {
                // A stream may be put twice.
                Some(stamp) if stamp.writer != self.writer || stamp.seq <= self.last => {
                    self.turn_to_writer(stamp.writer, report)?;
                    self.stamped = true;
                }
                None if self.stamped => {
                    // A sequence of our own making could be one that the caller has for another element.
                    let writer = self.remote.random();
                    self.turn_to_writer(writer, report)?;
                    (self.stamped, self.resumes) = (false, false);
                }
                _ => {}
            }
            if self.is_full() {
                self.pump(true, &|putting| !putting.is_full(), report)?;
            }
            self.take(stamp.map_or(self.last + 1, |stamp| stamp.seq), time_ns, data)?;
        }
        self.pump(false, &|putting| !putting.is_full(), report)
    }

    /// Ends the stream of a put that is settled, as far as that can be done without waiting.
    fn say_goodbye(&mut self) {
        if let Some(mut connected) = self.connected.take() {
            let mut end = std::mem::take(&mut connected.head);
            encode::end(&mut end, Ok(()));
            connected.link.send(&end);
            connected.link.end();
            // Everything is answered for, so it does not matter whether this arrives.
            let _ = connected.link.flush();
        }
    }

    fn error(&self, code: Code, text: &str) -> Error {
        Error::new(code, &*self.target.name, text)
    }
}

impl Put for Putting {
    fn content(&self) -> Option<ContentType> {
        None
    }

    fn element_max(&self) -> Option<u64> {
        None
    }

    /// Only the server knows.
    fn first_kept(&self) -> Option<u64> {
        None
    }

    /// The server looks at each answer.
    fn confirm(&mut self) -> Result<()> {
        Ok(())
    }

    fn data_is(&mut self, content: ContentType) {
        self.next_source = content;
    }

    fn set_sync(&mut self, sync: bool) {
        self.next_sync = sync;
    }

    fn set_trigger(&mut self, trigger: &Trigger) -> Result<()> {
        if !trigger.wait.is_zero() {
            let text = "a put to a server does not wait for handlers: it is refused, and can be tried again";
            return Err(Error::new(Code::Unsupported, &*self.target.name, text));
        }
        self.trigger = trigger.clone();
        Ok(())
    }

    fn put(&mut self, items: &mut dyn Iterator<Item = &[u8]>, report: &mut dyn FnMut(Told)) -> Result<()> {
        self.take_all(false, &mut items.map(|data| Given { stamp: None, time_ns: 0, data }), report)
    }

    fn resume(&mut self, writer: u64, after: u64) {
        self.afters.insert(writer, after);
    }

    fn put_stamped(
        &mut self,
        items: &mut dyn Iterator<Item = (Stamp, &[u8])>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        let given = |(stamp, data)| Given { stamp: Some(stamp), time_ns: 0, data };
        self.take_all(false, &mut items.map(given), report)
    }

    fn put_given(
        &mut self,
        items: &mut dyn Iterator<Item = Given<'_>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()> {
        self.take_all(true, items, report)
    }

    fn changed_times(&self) -> ChangedTimes {
        self.changed
    }

    fn clock_ahead(&self) -> Option<u64> {
        self.ahead
    }

    fn settle(&mut self, report: &mut dyn FnMut(Told)) -> Result<()> {
        self.pump(true, &Putting::is_settled, report)
    }
}

impl Drop for Putting {
    fn drop(&mut self) {
        if self.is_settled() {
            self.say_goodbye();
        }
    }
}

/// How many bytes at the beginning of a chunk are elements that were answered for.
fn skip_answered(bytes: &[u8], answered: u64) -> usize {
    let (mut at, mut first) = (0, true);
    while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<HEADER_SIZE>()) {
        let header = Header::decode(*header);
        if first {
            let prefix = bytes.get(at + HEADER_SIZE..at + HEADER_SIZE + ELEM_PREFIX);
            let seq =
                prefix.and_then(|prefix| prefix.first_chunk()).map_or(0, |seq| u64::from_le_bytes(*seq));
            if seq > answered {
                break;
            }
        }
        at += HEADER_SIZE + header.len as usize;
        first = header.flags & MORE == 0;
    }
    at.min(bytes.len())
}
