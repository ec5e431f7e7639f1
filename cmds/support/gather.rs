//! Reads many streams at once: a thread for each, and a queue between them and the command.
//!
//! Each source may run ahead by so many bytes and waits then, so memory is bounded and no source waits for another before
//! that. What was read goes into the queue when the source has to wait for more, or when it is a batch.
//!
//! Failure contract: a source that fails gives its error in its place and is over; the others go on. Threads end when the
//! queue is dropped, at their next message.

use super::output::Watch;
use libwoofstream::chan::{BeforeWait, Input, Reader};
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::wire::{Fault, Kind, Raw};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes go into the queue at once.
const BATCH: usize = 64 << 10;

/// Bytes of stack of a thread that only reads and queues.
const STACK: usize = 256 << 10;

/// Opens a source, in its own thread: a FIFO may have to wait there for who writes to it.
pub type Open = Box<dyn FnOnce() -> Result<Reader> + Send>;

/// Messages of a source, one after another, and how what came after them ended.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    messages: Vec<Place>,
    /// The next message that was not taken.
    at: usize,
    /// What is after the messages.
    end: Option<End>,
}

/// How a source goes on after the messages of a batch.
#[derive(Debug)]
pub enum End {
    /// A stream of it ended with this status; further ones may follow.
    Stream(std::result::Result<(), Fault>),
    /// It cannot be read further.
    Failed(Error),
}

/// A message in the bytes of a batch.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: Kind,
    flags: u8,
    reserved: u16,
    start: usize,
    len: usize,
}

impl Batch {
    fn push(&mut self, raw: &Raw<'_>) {
        let Raw { kind, flags, reserved, payload } = *raw;
        self.messages.push(Place { kind, flags, reserved, start: self.bytes.len(), len: payload.len() });
        self.bytes.extend_from_slice(payload);
    }

    /// The first message that was not taken.
    #[inline]
    pub fn first(&self) -> Option<Raw<'_>> {
        let Place { kind, flags, reserved, start, len } = *self.messages.get(self.at)?;
        let payload = self.bytes.get(start..start + len).unwrap_or_default();
        Some(Raw { kind, flags, reserved, payload })
    }

    /// Takes the first message.
    #[inline]
    pub fn take(&mut self) {
        self.at += 1;
    }

    /// What is after the messages, once.
    pub fn end(&mut self) -> Option<End> {
        self.end.take()
    }

    /// What it takes of the memory that a source may take.
    fn size(&self) -> usize {
        self.bytes.len() + self.messages.len() * size_of::<Place>()
    }
}

/// Many sources that are read at once.
#[derive(Debug)]
pub struct Gather {
    shared: Arc<Shared>,
    /// The source whose turn it is, so that none waits for ever behind another.
    turn: usize,
}

#[derive(Debug)]
struct Shared {
    lanes: Mutex<Lanes>,
    /// Something came, or a source is over.
    came: Condvar,
    /// Something was taken.
    room: Condvar,
    /// How many bytes a source may be ahead.
    ahead: usize,
}

#[derive(Debug)]
struct Lanes {
    lanes: Vec<Lane>,
    /// Nobody will take anything any more.
    closed: bool,
}

/// What came from one source and was not taken.
#[derive(Debug, Default)]
struct Lane {
    batches: VecDeque<Batch>,
    size: usize,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // What is behind the lock is right after every statement, so a panic elsewhere did no harm to it.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
        self.came.notify_all();
    }

    /// Queues a batch; waits for room. False when nobody will take it.
    fn put(&self, source: usize, batch: Batch) -> bool {
        let mut lanes = self.lock();
        loop {
            if lanes.closed {
                return false;
            }
            let Some(lane) = lanes.lanes.get_mut(source) else { return false };
            // A single batch always has room, however large its one message is.
            if lane.batches.is_empty() || lane.size + batch.size() <= self.ahead {
                lane.size += batch.size();
                lane.batches.push_back(batch);
                drop(lanes);
                self.came.notify_one();
                return true;
            }
            lanes = self.room.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Gather {
    /// Begins to read all sources; each may be `ahead` bytes before what was taken of it.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(sources: Vec<Open>, ahead: usize) -> Result<Gather> {
        let lanes = Lanes { lanes: sources.iter().map(|_| Lane::default()).collect(), closed: false };
        let shared = Shared { lanes: Mutex::new(lanes), came: Condvar::new(), room: Condvar::new(), ahead };
        let gather = Gather { shared: Arc::new(shared), turn: 0 };
        for (source, open) in sources.into_iter().enumerate() {
            let feed = Feed { shared: Arc::clone(&gather.shared), source, batch: Batch::default() };
            let thread = std::thread::Builder::new().stack_size(STACK);
            thread.spawn(move || feed.run(open)).map_err(|err| Error::io("", "start a thread", err))?;
        }
        Ok(gather)
    }

    /// Ends all sources once nobody reads the output any more, also while they are silent.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn end_with(&self, watch: Watch) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        // The thread ends with the process; it holds nothing but its descriptor.
        let watched = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            watch.until_unread();
            shared.close();
        });
        watched.map(drop).map_err(|err| Error::io("", "start a thread", err))
    }

    /// The next batch of the source whose turn it is, of those that have one; waits for one, and tells `idle` before it does. `None`
    /// when all are over.
    ///
    /// # Errors
    /// Those of `idle`.
    pub fn any(&mut self, idle: &mut dyn BeforeWait) -> Result<Option<(usize, Batch)>> {
        let turn = self.turn;
        let found = self.wait(idle, |lanes| {
            let count = lanes.lanes.len();
            let mut order = (turn..count).chain(0..turn.min(count));
            let found = order.find_map(|source| Some((source, lanes.take(source)?)));
            let over = found.is_none() && (lanes.closed || lanes.lanes.iter().all(|lane| lane.over));
            if over { Some(None) } else { found.map(Some) }
        })?;
        if let Some((source, _)) = &found {
            self.turn = source + 1;
        }
        Ok(found)
    }

    /// The next batch of this source; waits for it, and tells `idle` before it does. `None` when it is over.
    ///
    /// # Errors
    /// Those of `idle`.
    pub fn of(&mut self, source: usize, idle: &mut dyn BeforeWait) -> Result<Option<Batch>> {
        self.wait(idle, |lanes| match lanes.take(source) {
            Some(batch) => Some(Some(batch)),
            None => {
                let over = lanes.closed || lanes.lanes.get(source).is_none_or(|lane| lane.over);
                over.then_some(None)
            }
        })
    }

    fn wait<T>(&self, idle: &mut dyn BeforeWait, mut look: impl FnMut(&mut Lanes) -> Option<T>) -> Result<T> {
        let mut lanes = self.shared.lock();
        loop {
            if let Some(found) = look(&mut lanes) {
                drop(lanes);
                self.shared.room.notify_all();
                return Ok(found);
            }
            if idle.pending() {
                drop(lanes);
                idle.before_wait()?;
                lanes = self.shared.lock();
                // Something may have come meanwhile.
                if let Some(found) = look(&mut lanes) {
                    drop(lanes);
                    self.shared.room.notify_all();
                    return Ok(found);
                }
            }
            lanes = self.shared.came.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Lanes {
    fn take(&mut self, source: usize) -> Option<Batch> {
        let lane = self.lanes.get_mut(source)?;
        let batch = lane.batches.pop_front()?;
        lane.size -= batch.size();
        Some(batch)
    }
}

/// The thread's side of a source.
struct Feed {
    shared: Arc<Shared>,
    source: usize,
    batch: Batch,
}

impl Feed {
    fn run(mut self, open: Open) {
        let mut reader = match open() {
            Ok(reader) => reader,
            Err(error) => return self.failed(error),
        };
        loop {
            // The batch is ours to fill and `self` is what is told before a wait, so one message is looked at a time.
            let full = match reader.next(&mut self) {
                Ok(Input::Message(raw)) => {
                    self.batch.push(&raw);
                    self.batch.size() >= BATCH
                }
                Ok(Input::End(status)) => {
                    self.batch.end = Some(End::Stream(status));
                    true
                }
                Ok(Input::Eof) => return,
                // Nobody takes it any more.
                Err(_) if self.shared.lock().closed => return,
                Err(error) => return self.failed(error),
            };
            if full && !self.send() {
                return;
            }
        }
    }

    fn failed(&mut self, error: Error) {
        self.batch.end = Some(End::Failed(error));
        self.send();
    }

    fn send(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        self.shared.put(self.source, batch)
    }
}

impl BeforeWait for Feed {
    fn before_wait(&mut self) -> Result<()> {
        // The error only stops the reader: there is nobody to tell it to.
        if self.send() { Ok(()) } else { Err(Error::new(Code::Io, "", "nobody takes what is read")) }
    }

    fn pending(&self) -> bool {
        !self.batch.messages.is_empty()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(lane) = self.shared.lock().lanes.get_mut(self.source) {
            lane.over = true;
        }
        self.shared.came.notify_one();
    }
}
