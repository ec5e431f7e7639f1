//! A limit for a whole test. It is for what cannot be waited for with a limit: a lock, a thread, a system call that never returns.

use crate::process::{descendants, kill_all};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// Far more than any test needs on a slow, busy machine, and less than what CI has for all of them.
const TEST_LIMIT: Duration = Duration::from_secs(1200);

/// The tests that run: a number, a name, and when each has to be over.
static RUNNING: Mutex<Vec<(u64, String, Instant)>> = Mutex::new(Vec::new());

/// While this lives, the test has to come to its end in time.
#[derive(Debug)]
pub struct Watch(u64);

/// Watches the test that calls this. When it hangs, it is named, with `note`, and the whole test program ends, with all that it has
/// started.
#[must_use]
pub fn watch(note: &str) -> Watch {
    static ONCE: Once = Once::new();
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    ONCE.call_once(|| {
        std::thread::spawn(look);
    });
    let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("{} {note}", name_of_test());
    RUNNING.lock().unwrap().push((number, name, Instant::now() + TEST_LIMIT));
    Watch(number)
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Ok(mut running) = RUNNING.lock() {
            running.retain(|(number, ..)| *number != self.0);
        }
    }
}

fn look() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = Instant::now();
        let hangs: Vec<String> = {
            let running = RUNNING.lock().unwrap();
            running.iter().filter(|(.., end)| *end < now).map(|(_, name, _)| name.clone()).collect()
        };
        if hangs.is_empty() {
            continue;
        }
        crate::say(&format!("*** after {TEST_LIMIT:?} there is still no end of {} ***", hangs.join(", ")));
        let started = descendants(std::process::id());
        for pid in &started {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            crate::say(&format!(
                "*** killed: {pid} {} ***",
                String::from_utf8_lossy(&words).replace('\0', " ")
            ));
        }
        kill_all(&started);
        std::process::abort();
    }
}

/// The program and the test in it, as far as its thread has its name.
pub(crate) fn name_of_test() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    // Cargo puts a hash behind the name.
    let program = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let program = program.rsplit_once('-').map_or(program.as_str(), |(name, _)| name);
    let thread = std::thread::current();
    format!("{program} {}", thread.name().unwrap_or("(a thread)"))
}
