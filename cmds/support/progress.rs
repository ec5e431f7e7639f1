//! How far a transfer has come, on standard error while it is a terminal: elements and bytes, and how many a second.
//!
//! The line is shown by a thread of its own, so that nothing waits for it: after two seconds, and while something moves. It is wiped
//! before the command ends, and before a signal ends it. Where standard error is no terminal there is neither thread nor line.
//!
//! Failure contract: a terminal that cannot be written to is left alone.

use super::units;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Shorter transfers need no line.
const AFTER: Duration = Duration::from_secs(2);
/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(250);
/// A transfer that has not moved for so long is at rest, and its line goes.
const REST: Duration = Duration::from_secs(2);

/// What a transfer has moved.
#[derive(Debug, Default)]
struct Moved {
    elements: AtomicU64,
    bytes: AtomicU64,
}

/// Counts a transfer, and shows it where there is somebody to see it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    moved: Arc<Moved>,
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Of the command `name`, if standard error is a terminal.
    pub(crate) fn start(name: &'static str) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress::default();
        }
        let moved = Arc::new(Moved::default());
        let (over, ended) = channel();
        watch_signals(over.clone());
        let counted = Arc::clone(&moved);
        let thread = std::thread::Builder::new().spawn(move || draw(name, &counted, &ended));
        Progress { shown: thread.ok().map(|thread| Shown { moved, over: Some(over), thread: Some(thread) }) }
    }

    /// So much was moved.
    #[inline]
    pub(crate) fn add(&self, elements: u64, bytes: u64) {
        if let Some(Shown { moved, .. }) = &self.shown {
            moved.elements.fetch_add(elements, Ordering::Relaxed);
            moved.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Wipes the line; nothing is shown any more.
    pub(crate) fn end(&mut self) {
        let Some(mut shown) = self.shown.take() else { return };
        if let Some(over) = shown.over.take() {
            let _ = over.send(());
        }
        if let Some(thread) = shown.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// The line is on the terminal.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// What is to be written to the terminal before anything else is: it wipes the line if there is one.
pub(crate) fn wiping() -> &'static str {
    if DRAWN.swap(false, Ordering::Relaxed) { "\r\x1b[K" } else { "" }
}

fn wipe() {
    let _ = std::io::stderr().lock().write_all(wiping().as_bytes());
}

/// Has the signals that end a program come to us first, so that the line is wiped.
fn watch_signals(over: Sender<()>) {
    // Where they cannot be caught they end the program at once.
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    let handle = signals.handle();
    let waiting = std::thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            let _ = over.send(());
            // Wiped by then, or nobody wipes it any more.
            std::thread::sleep(Duration::from_millis(50));
            let _ = emulate_default_handler(signal);
        }
    });
    if waiting.is_err() {
        handle.close();
    }
}

/// Draws the line until it is over.
fn draw(name: &str, moved: &Moved, ended: &Receiver<()>) {
    let start = Instant::now();
    // Since when it has moved without a rest, and when it moved last.
    let (mut last, mut since, mut moved_at) = ((0, 0), start, start);
    let mut rate = Rate::default();
    loop {
        let over = ended.recv_timeout(EVERY);
        if over != Err(RecvTimeoutError::Timeout) {
            wipe();
            return;
        }
        let now = (moved.elements.load(Ordering::Relaxed), moved.bytes.load(Ordering::Relaxed));
        rate.note(start.elapsed(), now);
        if now != last {
            last = now;
            if moved_at.elapsed() > REST {
                since = Instant::now();
            }
            moved_at = Instant::now();
        }
        if moved_at.elapsed() > REST {
            wipe();
        } else if since.elapsed() >= AFTER && now.0 > 0 {
            let size = rustix::termios::tcgetwinsize(std::io::stderr());
            // A terminal that does not know its width says 0.
            let width = size.ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
            let text = text(name, now, rate.a_second(), width.unwrap_or(80));
            let _ = write!(std::io::stderr().lock(), "\r{text}\x1b[K");
            DRAWN.store(true, Ordering::Relaxed);
        }
    }
}

/// How fast it was over the last few seconds.
#[derive(Debug, Default)]
struct Rate {
    points: std::collections::VecDeque<(Duration, (u64, u64))>,
}

impl Rate {
    const POINTS: usize = 16;

    fn note(&mut self, at: Duration, moved: (u64, u64)) {
        if self.points.len() == Self::POINTS {
            self.points.pop_front();
        }
        self.points.push_back((at, moved));
    }

    fn a_second(&self) -> (u64, u64) {
        let (Some((from, before)), Some((to, after))) = (self.points.front(), self.points.back()) else {
            return (0, 0);
        };
        let millis = to.saturating_sub(*from).as_millis().max(1);
        let rate = |before: u64, after: u64| {
            u64::try_from(u128::from(after.saturating_sub(before)) * 1000 / millis).unwrap_or(u64::MAX)
        };
        (rate(before.0, after.0), rate(before.1, after.1))
    }
}

/// The line, no wider than the terminal.
fn text(name: &str, moved: (u64, u64), a_second: (u64, u64), width: usize) -> String {
    let size = units::human_size;
    let text = format!(
        "{name}: {}, {}; {} and {} a second",
        units::counted(moved.0, "element"),
        size(moved.1),
        units::counted(a_second.0, "element"),
        size(a_second.1)
    );
    text.chars().take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_and_how_fast_and_fits() {
        let whole = "wput: 5000 elements, 1.5 KiB; 100 elements and 64 B a second";
        assert_eq!(text("wput", (5000, 1536), (100, 64), 80), whole);
        assert_eq!(text("wput", (5000, 1536), (100, 64), 11), "wput: 5000");
        assert_eq!(text("wput", (1, 1), (1, 1), 0), "");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.a_second(), (0, 0));
        for second in 0..20 {
            rate.note(Duration::from_secs(second), (second * second, second * 10));
        }
        // From the fourth to the nineteenth second.
        assert_eq!(rate.a_second(), ((361 - 16) / 15, 10));
    }
}
