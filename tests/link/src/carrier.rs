//! The thread that carries packets between two TUN devices, and the handle to it.
//!
//! Failure contract: a packet that a device refuses is dropped, as a wire would. A device that cannot be read any more ends
//! the carrying, and [`State::failure`] says why. Dropping the handle ends the thread.

use crate::lane::Lane;
use crate::options::LinkOptions;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tun_rs::SyncDevice;

/// How many packets are read from one device before the other one has its turn and due ones go out.
const BATCH: usize = 64;

/// What a link carries now, and how. The thread holds it while it handles packets, so what changes it takes hold at once.
#[derive(Debug)]
pub(crate) struct State {
    /// From the first device to the second, and back.
    pub(crate) lanes: [Lane; 2],
    /// Why nothing is carried any more.
    pub(crate) failure: Option<String>,
    stop: bool,
}

impl State {
    pub(crate) fn set_cut(&mut self, cut: bool) {
        for lane in &mut self.lanes {
            lane.set_cut(cut);
        }
    }
}

/// What the thread and its handle share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// How many wait for `state` besides the thread, which lets them go first: under load it would have the lock again before they run.
    waiting: AtomicUsize,
    /// Ends the thread's wait.
    wake: OwnedFd,
}

/// The handle to the thread.
#[derive(Debug)]
pub(crate) struct Carrier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Carrier {
    /// # Errors
    /// When the system refuses a descriptor or a thread.
    pub(crate) fn start(devices: [SyncDevice; 2], options: &LinkOptions) -> io::Result<Carrier> {
        let lanes = [Lane::new(options.clone(), 0), Lane::new(options.clone(), 1)];
        let shared = Arc::new(Shared {
            state: Mutex::new(State { lanes, failure: None, stop: false }),
            waiting: AtomicUsize::new(0),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let thread = std::thread::Builder::new().name("link".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                hurry();
                if let Err(err) = carry(&devices, &shared) {
                    lock(&shared.state).failure = Some(format!("link: TUN device: {err}"));
                }
            }
        })?;
        Ok(Carrier { shared, thread: Some(thread) })
    }

    /// Looks at or changes what is carried, between two packets.
    pub(crate) fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        let mut state = lock(&self.shared.state);
        self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
        what(&mut state)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.with(|state| state.stop = true);
        // It can only fail when the count is full, and then the thread is awake.
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A panic elsewhere leaves at worst one packet half counted.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A wire is never busy with something else, so the thread goes before what it carries for. Without the right to it, packets
/// may be later under load; they are never early.
fn hurry() {
    const BEFORE_OTHERS: i32 = -10;
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), BEFORE_OTHERS);
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Carries packets until it is told to stop.
fn carry(devices: &[SyncDevice; 2], shared: &Shared) -> io::Result<()> {
    let mut next_due: Option<Instant> = None;
    loop {
        wait(devices, shared, next_due)?;
        while shared.waiting.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        let mut state = lock(&shared.state);
        if state.stop {
            return Ok(());
        }
        for (lane, device) in state.lanes.iter_mut().zip(devices) {
            take_in(lane, device)?;
        }
        // The first lane ends at the second device.
        for (lane, device) in state.lanes.iter_mut().zip(devices.iter().rev()) {
            hand_out(lane, device);
        }
        next_due = state.lanes.iter().filter_map(Lane::next_due).min();
    }
}

/// Waits for a packet, for the time of the next delivery, or to be woken.
fn wait(devices: &[SyncDevice; 2], shared: &Shared, next_due: Option<Instant>) -> io::Result<()> {
    let mut fds = [
        PollFd::new(&devices[0], PollFlags::IN),
        PollFd::new(&devices[1], PollFlags::IN),
        PollFd::new(&shared.wake, PollFlags::IN),
    ];
    let timeout =
        next_due.and_then(|due| Timespec::try_from(due.saturating_duration_since(Instant::now())).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(err) => Err(err.into()),
    }
}

fn take_in(lane: &mut Lane, device: &SyncDevice) -> io::Result<()> {
    const IPV4: u8 = 4;
    for _ in 0..BATCH {
        let mut buffer = lane.buffer();
        match device.recv(buffer.as_mut_slice()) {
            // The kernel speaks some IPv6 on each device by itself; here it would only be noise in the counters.
            Ok(len) if len > 0 && buffer[0] >> 4 == IPV4 => lane.accept(Instant::now(), buffer, len),
            Ok(_) => lane.give_back(buffer),
            Err(err) => {
                lane.give_back(buffer);
                return match err.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
                    _ => Err(err),
                };
            }
        }
    }
    Ok(())
}

fn hand_out(lane: &mut Lane, device: &SyncDevice) {
    let now = Instant::now();
    while let Some((buffer, len)) = lane.take_due(now) {
        // What the device refuses is gone, as it is at the end of a real wire.
        let _ = device.send(&buffer[..len]);
        lane.give_back(buffer);
    }
}
