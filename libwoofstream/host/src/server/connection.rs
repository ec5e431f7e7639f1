//! One client's connection, without I/O: bytes in, bytes out, and exchanges that are worked on in turn.
//!
//! What may block is handed out ([`Pumped::Apart`]), so that it is done where it harms nobody, and comes back ([`Connection::done`]). Meanwhile the
//! connection goes on with its other exchanges. So they are done side by side, and who wants one after the other waits for the answer.

use super::exchange::{Apart, Task, Wake};
use super::reading::Recent;
use super::site::Site;
use super::spare;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use woof_core::access::Peer;
use woof_core::error::{Code, Error, Result};
use woof_core::wire::Fault;
use woof_net::net::{Received, Request, Role, Session};

/// With this many bytes waiting to be sent, nothing more is made.
const OUTPUT_MAX: usize = 256 << 10;

struct Exchange {
    /// What is done; `None` while a step of it is done apart.
    task: Option<Box<Task>>,
    /// It stands in the queue.
    queued: bool,
    /// Data that came while a step was done apart, and whether the end of it did.
    came: Vec<u8>,
    got_all: bool,
    /// It was woken meanwhile.
    woken: bool,
    /// Of a step that is done apart: whether it uses data, and how much it has of it.
    takes_data: bool,
    held: usize,
    /// The step may end early once this is set.
    gone: Arc<AtomicBool>,
}

/// What is to be done next with a connection.
pub enum Pumped {
    /// Nothing until something comes.
    Idle,
    /// Send what there is to send; then there is more to do.
    Full,
    /// What is to be done next may block. Do it elsewhere, and give it to [`Connection::done`]. There is more to do here meanwhile.
    Apart(Apart),
}

/// One client's connection.
pub struct Connection {
    site: Arc<Site>,
    peer: Arc<Peer>,
    wake: Arc<dyn Wake>,
    session: Session,
    /// What came and is no whole frame yet.
    input: Vec<u8>,
    exchanges: HashMap<u32, Exchange>,
    /// Exchanges with something to do, each once.
    queue: VecDeque<u32>,
    /// What was read last.
    recent: Option<Arc<Recent>>,
    /// No more requests are taken.
    stopping: bool,
    /// Nothing more is done; what is left to send is sent.
    closed: bool,
}

impl Connection {
    /// A connection of `peer` that was just made.
    pub fn new(site: Arc<Site>, peer: Peer, wake: Arc<dyn Wake>) -> Connection {
        let session = Session::new(Role::Server, site.limits().exchanges);
        Connection {
            site,
            peer: Arc::new(peer),
            wake,
            session,
            input: Vec::new(),
            exchanges: HashMap::new(),
            queue: VecDeque::new(),
            recent: None,
            stopping: false,
            closed: false,
        }
    }

    /// What is to be sent: take bytes off its beginning as they are.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.session.output()
    }

    /// Whether the client's greeting came.
    pub fn is_greeted(&self) -> bool {
        self.session.is_greeted()
    }

    /// Whether the connection is to be closed once all of its output was sent.
    pub fn is_over(&self) -> bool {
        self.closed || (self.stopping && self.exchanges.is_empty())
    }

    /// Notes that so many bytes of output were sent.
    pub fn wrote(&self, len: usize) {
        self.site.metrics().bytes_out.add(len as u64);
    }

    /// Takes bytes that came.
    ///
    /// # Errors
    /// What the client did wrong. It is told; the connection is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        // What was kept grows in place, so that many small pieces of a large frame are not copied again each time.
        let mut kept = std::mem::take(&mut self.input);
        let joined = !kept.is_empty();
        if joined {
            kept.extend_from_slice(bytes);
        }
        let input = if joined { &kept } else { bytes };
        let mut used = 0;
        let done = loop {
            let rest = input.get(used..).unwrap_or_default();
            match self.session.receive(rest) {
                Ok((_, Received::Need(_))) => break Ok(()),
                Ok((len, received)) => {
                    used += len;
                    self.came(received);
                }
                Err(err) => break Err(err),
            }
        };
        if done.is_ok() {
            match bytes.get(used..) {
                Some(rest) if !joined && !rest.is_empty() => {
                    self.input = spare::take();
                    self.input.extend_from_slice(rest);
                }
                _ if joined && used < kept.len() => {
                    kept.drain(..used);
                    self.input = kept;
                }
                _ => spare::give(kept),
            }
        }
        done.and_then(|()| self.check_unfinished()).inspect_err(|err| self.close(err))
    }

    /// Refuses to hold more than the limit of messages that did not come whole. What waits for another writer of its woof is no fault of the
    /// client: of that the largest is given up.
    fn check_unfinished(&mut self) -> Result<()> {
        let max = self.site.limits().unfinished;
        loop {
            let held: usize = self.exchanges.values().map(Exchange::unfinished).sum();
            if held <= max {
                return Ok(());
            }
            let stuck = self.exchanges.iter().filter(|(_, exchange)| exchange.is_stuck());
            let Some((number, exchange)) = stuck.max_by_key(|(_, exchange)| exchange.unfinished()) else {
                let text = format!(
                    "{held} bytes of unfinished messages, the limit of a connection is {max} (--max-unfinished)"
                );
                return Err(Error::new(Code::TooLarge, "", text));
            };
            let (number, own) = (*number, exchange.unfinished());
            let text = format!(
                "another writer has the woof and does not go on, {own} bytes wait for it, and all that wait on this connection are over {max} (--max-unfinished)"
            );
            self.session.cancel(number, &Fault::from(&Error::new(Code::Busy, "", text)));
            self.remove(number);
        }
    }

    /// What is to be done about something that came.
    fn came(&mut self, received: Received<'_>) {
        match received {
            Received::Open { exchange, request } => {
                self.site.metrics().requests.add(1);
                if self.stopping {
                    self.session.cancel(exchange, &Fault::from(&stopped()));
                    return;
                }
                let request = Request::decode(request);
                let task = Task::new(exchange, &self.site, &self.peer, &self.wake, request);
                self.exchanges.insert(exchange, Exchange::new(task));
                self.wake(exchange);
            }
            Received::Data { exchange, bytes } => {
                let Some(open) = self.exchanges.get_mut(&exchange) else { return };
                let is_wanted = match &mut open.task {
                    Some(task) => {
                        task.data(bytes);
                        task.takes_data()
                    }
                    None => {
                        if open.takes_data {
                            open.came.extend_from_slice(bytes);
                        }
                        open.takes_data
                    }
                };
                if is_wanted {
                    self.wake(exchange);
                }
            }
            Received::End(exchange) => {
                let Some(open) = self.exchanges.get_mut(&exchange) else { return };
                match &mut open.task {
                    Some(task) => task.end(),
                    None => open.got_all = true,
                }
                self.wake(exchange);
            }
            Received::Cancel(exchange, _) => {
                let Some(open) = self.exchanges.get_mut(&exchange) else { return };
                match &mut open.task {
                    Some(task) if task.runs_program() => {
                        task.cancelled = true;
                        self.wake(exchange);
                    }
                    _ => self.remove(exchange),
                }
            }
            Received::Credit(exchange) => self.wake(exchange),
            Received::Need(_) | Received::Nothing | Received::Pong | Received::Goaway(_) => {}
        }
    }

    /// Lets go of an exchange that is over. A step of it that is done apart ends as soon as it can.
    fn remove(&mut self, exchange: u32) {
        if let Some(open) = self.exchanges.remove(&exchange) {
            open.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that an exchange was woken.
    pub fn wake(&mut self, exchange: u32) {
        if let Some(open) = self.exchanges.get_mut(&exchange)
            && !open.queued
        {
            open.queued = true;
            self.queue.push_back(exchange);
        }
    }

    /// Works on the exchanges in turn until nothing is left to do, enough waits to be sent, or something may block.
    pub fn pump(&mut self) -> Pumped {
        if self.closed {
            return Pumped::Idle;
        }
        while let Some(number) = self.queue.front().copied() {
            if self.session.output().len() >= OUTPUT_MAX {
                return Pumped::Full;
            }
            self.queue.pop_front();
            let Some(exchange) = self.exchanges.get_mut(&number) else { continue };
            exchange.queued = false;
            let Some(mut task) = exchange.task.take() else {
                exchange.woken = true;
                continue;
            };
            task.offer(self.recent.as_ref());
            if task.may_block() {
                exchange.takes_data = task.takes_data();
                exchange.held = task.unfinished();
                return Pumped::Apart(Apart(task));
            }
            task.step(false);
            self.settle(number, task);
        }
        Pumped::Idle
    }

    /// As [`Connection::pump`], and does here what may block: for who has nobody else to serve. True when there is something to send first.
    pub fn pump_all(&mut self) -> bool {
        loop {
            match self.pump() {
                Pumped::Apart(apart) => self.done(apart.run()),
                pumped => return matches!(pumped, Pumped::Full),
            }
        }
    }

    /// Takes back what was done apart.
    pub fn done(&mut self, apart: Apart) {
        let Apart(mut task) = apart;
        let number = task.exchange;
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let came = std::mem::take(&mut exchange.came);
        let is_woken = std::mem::take(&mut exchange.woken) || !came.is_empty();
        if !came.is_empty() {
            task.data(&came);
        }
        if std::mem::take(&mut exchange.got_all) {
            task.end();
        }
        self.settle(number, task);
        if is_woken {
            self.wake(number);
        }
    }

    /// Sends what a step gave, and sees to what is next.
    fn settle(&mut self, number: u32, mut task: Box<Task>) {
        if let Some(recent) = task.take_recent() {
            self.recent = recent;
        }
        let sent = task.send(&mut self.session);
        if sent || !self.session.is_open(number) {
            return self.remove(number);
        }
        if let Some(fault) = task.denied() {
            // There is no credit for what is left of the answer; this needs none.
            self.session.cancel(number, fault);
            return self.remove(number);
        }
        if self.stopping && task.ends_with_server() {
            self.session.cancel(number, &Fault::from(&stopped()));
            return self.remove(number);
        }
        let more = task.has_more();
        if !more {
            task.rest();
        }
        task.sleep();
        if let Some(exchange) = self.exchanges.get_mut(&number) {
            exchange.task = Some(task);
        }
        if more {
            self.wake(number);
        }
    }

    /// Begins to stop: no more requests are taken, follows are told and end, what came of puts is appended and answered for, and
    /// reads of what is there go on to their ends.
    pub fn stop(&mut self) {
        if self.stopping || self.closed {
            return;
        }
        self.stopping = true;
        self.session.goaway(&Fault::from(&stopped()));
        // Each has a step more, after which it is looked whether it is to end.
        let all: Vec<u32> = self.exchanges.keys().copied().collect();
        for number in all {
            let task = self.exchanges.get(&number).and_then(|exchange| exchange.task.as_ref());
            if task.is_some_and(|task| task.is_follow()) {
                self.session.cancel(number, &Fault::from(&stopped()));
                self.remove(number);
            } else {
                self.wake(number);
            }
        }
    }

    /// Whether programs run for it, so that ending it may take long.
    pub fn runs_programs(&self) -> bool {
        self.exchanges.values().any(|exchange| exchange.task.as_ref().is_some_and(|task| task.runs_program()))
    }

    /// When it stops and its time is over: kills the programs that run for it, gives up what still waits for a lock or a disk, and says so; true when there was
    /// such a thing.
    pub fn cut_off(&mut self) -> bool {
        let seconds = self.site.limits().stop.as_secs_f64();
        let mut all: Vec<u32> = self.exchanges.keys().copied().collect();
        all.retain(|number| {
            self.exchanges.get(number).is_some_and(|open| {
                open.task.as_ref().is_none_or(|task| task.runs_program() || task.is_stuck())
            })
        });
        for number in &all {
            let task = self.exchanges.get_mut(number).and_then(|exchange| exchange.task.as_mut());
            let text = match &task {
                Some(task) if task.runs_program() => format!(
                    "the server stops, and the handler was not done {seconds} s later: killed (--stop-timeout)"
                ),
                _ => format!("the server stops, and this was not done {seconds} s later (--stop-timeout)"),
            };
            let is_sent = task.is_some_and(|task| {
                task.cut_off(Error::new(Code::Stopped, "", &*text));
                task.send(&mut self.session)
            });
            if !is_sent {
                // There is no credit for what it wrote last, or it is not at hand; this needs none.
                self.session.cancel(*number, &Fault::from(&Error::new(Code::Stopped, "", text)));
            }
            self.remove(*number);
        }
        !all.is_empty()
    }

    /// Ends the connection for what went wrong.
    pub fn close(&mut self, err: &Error) {
        if !self.closed {
            self.session.goaway(&Fault::from(err));
            self.finish();
        }
    }

    /// Ends everything that is open; the client has gone.
    pub fn finish(&mut self) {
        self.closed = true;
        for exchange in std::mem::take(&mut self.exchanges).into_values() {
            exchange.gone.store(true, Ordering::Relaxed);
        }
        self.queue.clear();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Exchange {
    fn new(task: Box<Task>) -> Exchange {
        let gone = Arc::clone(task.gone());
        Exchange {
            task: Some(task),
            queued: false,
            came: Vec::new(),
            got_all: false,
            woken: false,
            takes_data: false,
            held: 0,
            gone,
        }
    }

    /// How many bytes of the client's stream are here and not used.
    fn unfinished(&self) -> usize {
        self.task.as_ref().map_or(self.held + self.came.len(), |task| task.unfinished())
    }

    /// Whether what is here waits for another writer, or for what else blocks.
    fn is_stuck(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.is_stuck())
    }
}

/// What a client is told when the server stops.
pub(super) fn stopped() -> Error {
    Error::new(Code::Stopped, "", "the server stops")
}
