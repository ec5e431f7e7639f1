//! A simulated world: servers over a directory, links to them that delay, cut and lose bytes, and a clock that only moves when
//! somebody waits. One thread does everything in turn, so the same seed gives the same run.

use libwoofstream::access::Peer;
use libwoofstream::client::{Dial, Patience, Remote, Transport, Waited};
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::log;
use libwoofstream::name::Address;
use libwoofstream::server::{Connection, Limits, Site, Wake};
use libwoofstream::space::Stop;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Marsaglia's xorshift: the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        // Neighbouring seeds are to have nothing in common.
        let mut random = Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..8 {
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A number below `end`, small ones as likely as large ones.
    pub(crate) fn scaled(&mut self, end: u64) -> u64 {
        let bits = self.below(u64::from(end.max(1).ilog2()) + 1) + 1;
        self.below(end.min(1 << bits))
    }
}

/// Nothing is woken by threads here: all exchanges are, at every step.
pub(crate) struct AllAwake;

impl Wake for AllAwake {
    fn wake(&self, _exchange: u32) {}
}

/// How a link comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both sides are told.
    Reset,
    /// Bytes vanish in both directions, and nobody is told.
    Silent,
    /// Bytes vanish in this direction, and nobody is told.
    OneWay,
    /// The client is told; what it sent arrives, but only after it had time to come back.
    Late,
    /// The server is killed, and another one starts over the same directory.
    Kill,
}

pub(crate) const FAULTS: [Fault; 5] = [Fault::Reset, Fault::Silent, Fault::OneWay, Fault::Late, Fault::Kill];

/// Towards the server, and away from it.
pub(crate) const UP: usize = 0;
pub(crate) const DOWN: usize = 1;

/// After so many bytes in this direction something happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) way: usize,
    pub(crate) after: u64,
    pub(crate) fault: Fault,
}

#[derive(Default)]
struct Pipe {
    queue: VecDeque<(Duration, Vec<u8>)>,
    in_flight: usize,
    carried: u64,
    /// What is sent vanishes.
    lost: bool,
}

struct Link {
    server: Option<Connection>,
    pipes: [Pipe; 2],
    cut: Option<Cut>,
    /// The client finds the connection reset once it has read what arrived.
    reset: bool,
    /// The server closed it.
    closed: bool,
    client_gone: bool,
}

type Event = Box<dyn FnOnce(&mut Inner) + Send>;

pub(crate) struct Inner {
    pub(crate) now: Duration,
    pub(crate) random: Random,
    /// How many faults are still to come; afterwards all goes well.
    pub(crate) faults: u64,
    /// What happens to the connections, the next one first; then it is left to chance.
    pub(crate) script: VecDeque<Option<Cut>>,
    pub(crate) delay: Duration,
    /// Bytes that may be under way in one direction.
    window: usize,
    root: PathBuf,
    site: Option<Arc<Site>>,
    links: Vec<Link>,
    events: Vec<(Duration, Event)>,
    down_until: Duration,
    trace: u64,
    steps: u64,
    /// How many connections there were, and bytes each way on the last of them.
    pub(crate) dials: u64,
}

/// A world. Clones are the same one.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
}

fn peer(root: &Path) -> Peer {
    Peer::unix(std::fs::metadata(root).unwrap().uid(), Vec::new())
}

impl World {
    /// A world with a server over `root`, in which so many things go wrong.
    pub(crate) fn new(root: &Path, seed: u64, faults: u64) -> World {
        let mut random = Random::new(seed);
        let delay = Duration::from_millis(random.below(100));
        let window = 2048 + random.scaled(1 << 20) as usize;
        let site = Some(Site::open(root, Limits::default()).unwrap());
        let inner = Inner {
            now: Duration::from_secs(1),
            random,
            faults,
            script: VecDeque::new(),
            delay,
            window,
            root: root.to_owned(),
            site,
            links: Vec::new(),
            events: Vec::new(),
            down_until: Duration::ZERO,
            steps: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            dials: 0,
        };
        World { inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server as clients see it.
    pub(crate) fn remote(&self, patience: Patience) -> Remote {
        Remote::new(Arc::new(self.clone()), Address::parse("server/").unwrap(), patience)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let mut inner = self.lock();
        let to = inner.now + time;
        inner.advance(to);
    }

    /// What happened, in one number.
    pub(crate) fn trace(&self) -> u64 {
        let inner = self.lock();
        inner.trace ^ inner.now.as_nanos() as u64
    }

    /// Bytes that the last connection carried.
    pub(crate) fn carried(&self) -> [u64; 2] {
        self.lock().links.last().map_or([0; 2], |link| [link.pipes[UP].carried, link.pipes[DOWN].carried])
    }
}

impl Inner {
    /// Has something done at a time.
    pub(crate) fn at(&mut self, time: Duration, event: impl FnOnce(&mut Inner) + Send + 'static) {
        self.events.push((time, Box::new(event)));
    }

    fn note(&mut self, what: u64, number: u64) {
        for word in [what, number, self.now.as_nanos() as u64] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Kills the server, and starts another one.
    pub(crate) fn kill_server(&mut self, told: bool) {
        for link in &mut self.links {
            if link.server.take().is_some() {
                link.reset |= told;
                link.pipes[UP].lost = true;
                link.pipes[DOWN].lost = true;
            }
        }
        self.site = None;
        self.site = Some(Site::open(&self.root, Limits::default()).unwrap());
        self.down_until = self.now + Duration::from_millis(self.random.scaled(20_000));
        self.note(1, self.down_until.as_nanos() as u64);
    }

    /// Hands bytes to a link; how many it takes.
    fn carry(&mut self, link: usize, way: usize, bytes: &[u8]) -> usize {
        let (window, arrives) = (self.window, self.now + self.delay);
        let link_number = link;
        let link = &mut self.links[link];
        let room = window.saturating_sub(link.pipes[way].in_flight);
        let mut taken = bytes.len().min(room);
        let mut fault = None;
        if let Some(cut) = link.cut.filter(|cut| cut.way == way) {
            let left = cut.after - link.pipes[way].carried;
            if taken as u64 >= left && !bytes.is_empty() {
                taken = left as usize;
                fault = Some(cut.fault);
                link.cut = None;
            }
        }
        let pipe = &mut link.pipes[way];
        pipe.carried += taken as u64;
        if !pipe.lost && taken > 0 {
            pipe.in_flight += taken;
            pipe.queue.push_back((arrives, bytes[..taken].to_vec()));
        }
        self.note(2 + way as u64, taken as u64);
        if let Some(fault) = fault {
            self.strike(link_number, way, fault);
            // What stands behind it vanishes.
            return taken + (bytes.len() - taken).min(room);
        }
        taken
    }

    fn strike(&mut self, number: usize, way: usize, fault: Fault) {
        self.note(4, number as u64);
        let keep = self.random.once_in(2);
        let late = self.now + Duration::from_millis(self.random.below(3000));
        let link = &mut self.links[number];
        match fault {
            Fault::Reset => {
                link.reset = true;
                for pipe in &mut link.pipes {
                    pipe.lost = true;
                }
                if !keep {
                    link.pipes[DOWN].queue.clear();
                }
            }
            Fault::Late => {
                link.reset = true;
                link.pipes.iter_mut().for_each(|pipe| pipe.lost = true);
                link.pipes[UP].queue.iter_mut().for_each(|(arrives, _)| *arrives = late.max(*arrives));
            }
            Fault::Silent => {
                for pipe in &mut link.pipes {
                    pipe.lost = true;
                }
            }
            Fault::OneWay => link.pipes[way].lost = true,
            Fault::Kill => self.kill_server(keep),
        }
    }

    /// Has the servers do all they can now.
    fn serve(&mut self) {
        for number in 0..self.links.len() {
            loop {
                let now = self.now;
                let link = &mut self.links[number];
                let Some(server) = &mut link.server else { break };
                let pipe = &mut link.pipes[UP];
                let came = pipe.queue.front().is_some_and(|(arrives, _)| *arrives <= now);
                if came && let Some((_, bytes)) = pipe.queue.pop_front() {
                    pipe.in_flight -= bytes.len();
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let piece = match self.random.once_in(2) {
                            true => rest.len(),
                            false => 1 + self.random.below(rest.len() as u64) as usize,
                        };
                        let _ = server.receive(&rest[..piece]);
                        rest = &rest[piece..];
                        server.pump_all();
                    }
                }
                server.wake(1);
                server.pump_all();
                let mut output = std::mem::take(server.output());
                let over = server.is_over();
                let gone = link.pipes[UP].queue.is_empty() && (link.client_gone || link.reset);
                let taken = if output.is_empty() { 0 } else { self.carry(number, DOWN, &output) };
                output.drain(..taken);
                let link = &mut self.links[number];
                // It may have been killed by this.
                let Some(server) = &mut link.server else { break };
                let empty = output.is_empty();
                *server.output() = output;
                if gone && !came || (over && empty) {
                    link.server = None;
                    link.closed = true;
                    break;
                }
                if !came && taken == 0 {
                    break;
                }
            }
        }
    }

    /// When something happens next.
    fn next_time(&self) -> Option<Duration> {
        let arrivals = self
            .links
            .iter()
            .filter(|link| !link.client_gone || link.server.is_some())
            .flat_map(|link| &link.pipes)
            .filter_map(|pipe| pipe.queue.iter().map(|(arrives, _)| *arrives).find(|time| *time > self.now));
        arrivals.chain(self.events.iter().map(|(time, _)| *time)).min()
    }

    fn fire(&mut self) {
        self.steps += 1;
        assert!(self.steps < 100_000, "it gets nowhere: {:?}, {} connections", self.now, self.dials);
        while let Some(at) = self.events.iter().position(|(time, _)| *time <= self.now) {
            let (_, event) = self.events.remove(at);
            event(self);
        }
        self.serve();
    }

    fn advance(&mut self, to: Duration) {
        self.fire();
        while let Some(next) = self.next_time().filter(|next| *next <= to) {
            self.now = next.max(self.now);
            self.fire();
        }
        self.now = self.now.max(to);
        self.fire();
    }
}

impl Dial for World {
    fn dial(&self, _address: &Address, _timeout: Duration) -> Result<Box<dyn Transport>> {
        let mut inner = self.lock();
        let takes = inner.now + inner.delay * 2 + Duration::from_micros(100);
        inner.advance(takes);
        let refuse = |why: &str| Err(Error::new(Code::Unreachable, "", format!("connect: {why}")));
        if inner.now < inner.down_until {
            inner.note(5, 0);
            return refuse("connection refused");
        }
        let cut = match inner.script.pop_front() {
            Some(cut) => cut,
            None if inner.faults > 0 && !inner.random.once_in(8) => {
                inner.faults -= 1;
                if inner.random.once_in(6) {
                    return refuse("no route to host");
                }
                Some(Cut {
                    way: inner.random.below(2) as usize,
                    after: inner.random.scaled(1 << 22),
                    fault: FAULTS[inner.random.below(5) as usize],
                })
            }
            None => None,
        };
        inner.dials += 1;
        let number = inner.links.len() as u64;
        inner.note(6, number);
        let site = Arc::clone(inner.site.as_ref().unwrap());
        let connection = Connection::new(site, peer(&inner.root), Arc::new(AllAwake));
        inner.links.push(Link {
            server: Some(connection),
            pipes: Default::default(),
            cut,
            reset: false,
            closed: false,
            client_gone: false,
        });
        let link = inner.links.len() - 1;
        drop(inner);
        Ok(Box::new(Wire { world: self.clone(), link }))
    }

    fn now(&self) -> Duration {
        self.lock().now
    }

    fn pause(&self, time: Duration, stop: &Stop) -> bool {
        let mut inner = self.lock();
        let to = inner.now + time;
        inner.advance(to);
        drop(inner);
        !stop.is_stopped()
    }

    fn random(&self) -> u64 {
        self.lock().random.next()
    }
}

/// The client's end of a link.
struct Wire {
    world: World,
    link: usize,
}

impl Transport for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.world.lock();
        inner.serve();
        let (now, few) = (inner.now, inner.random.once_in(3));
        let piece = inner.random.scaled(buffer.len() as u64 - 1) as usize + 1;
        let link = &mut inner.links[self.link];
        let pipe = &mut link.pipes[DOWN];
        let Some((_, bytes)) = pipe.queue.front_mut().filter(|(arrives, _)| *arrives <= now) else {
            return match (pipe.queue.is_empty(), link.reset, link.closed) {
                (true, true, _) => Err(ErrorKind::ConnectionReset.into()),
                (true, _, true) if !pipe.lost => Ok(0),
                _ => Err(ErrorKind::WouldBlock.into()),
            };
        };
        let len = bytes.len().min(if few { piece } else { buffer.len() });
        buffer[..len].copy_from_slice(&bytes[..len]);
        bytes.drain(..len);
        if bytes.is_empty() {
            pipe.queue.pop_front();
        }
        pipe.in_flight -= len;
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.world.lock();
        let link = &inner.links[self.link];
        if link.reset || (link.closed && !link.pipes[UP].lost) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        match inner.carry(self.link, UP, bytes) {
            0 if inner.links[self.link].reset => Err(ErrorKind::ConnectionReset.into()),
            0 => Err(ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn wait(&mut self, write: bool, timeout: Option<Duration>, stop: Option<&Stop>) -> io::Result<Waited> {
        let mut inner = self.world.lock();
        let end = timeout.map(|timeout| inner.now + timeout);
        loop {
            inner.fire();
            if stop.is_some_and(Stop::is_stopped) {
                return Ok(Waited::Stopped);
            }
            let (now, window) = (inner.now, inner.window);
            let link = &inner.links[self.link];
            let down = &link.pipes[DOWN];
            let readable = down.queue.front().is_some_and(|(arrives, _)| *arrives <= now)
                || (down.queue.is_empty() && (link.reset || (link.closed && !down.lost)));
            if readable || (write && link.pipes[UP].in_flight < window) {
                return Ok(Waited::Ready);
            }
            let next = inner.next_time();
            match (next, end) {
                (Some(next), Some(end)) if next <= end => inner.now = next.max(now),
                (Some(next), None) => inner.now = next.max(now),
                (_, Some(end)) => {
                    inner.now = end.max(now);
                    inner.fire();
                    return Ok(Waited::TimedOut);
                }
                (None, None) => panic!("it would wait for ever"),
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut inner = self.world.lock();
        let link = &mut inner.links[self.link];
        // Of a link that is silent the server does not learn that the client has gone.
        if !link.pipes[UP].lost {
            link.client_gone = true;
        }
    }
}

/// A patient client that tells nobody.
pub(crate) fn patient() -> Patience {
    Patience {
        timeout: Duration::from_secs(600),
        wait: Some(libwoofstream::client::Limit::Time(Duration::from_secs(3600))),
        notify: Arc::new(|_| {}),
    }
}

/// In memory, since thousands of woofs are made.
pub(crate) fn directory() -> woof_kit::TempDir {
    woof_kit::in_memory().unwrap()
}

/// All that is kept in a woof, with its seqno.
pub(crate) fn elements(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let woof = log::open(path).unwrap();
    let mut cursor = woof.cursor(woof.first_seqno());
    let mut found = Vec::new();
    while let Some(item) = cursor.next() {
        match item {
            log::Item::Elem { seqno, data, .. } => found.push((seqno, data.to_vec())),
            other => panic!("{other:?}"),
        }
    }
    found
}

/// Runs `check` for so many seeds; a failure names its seed.
pub(crate) fn for_seeds(count: u64, check: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in 0..count {
        let done = std::panic::catch_unwind(|| check(seed));
        assert!(done.is_ok(), "seed {seed} failed");
    }
}
