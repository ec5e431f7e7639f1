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
    watch_until(note, Instant::now() + TEST_LIMIT)
}

fn watch_until(note: &str, end: Instant) -> Watch {
    static ONCE: Once = Once::new();
    static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    ONCE.call_once(|| {
        std::thread::spawn(look);
    });
    let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("{} {note}", name_of_test());
    RUNNING.lock().unwrap().push((number, name, end));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    /// Said to this program when it is started again to hang.
    const HANG: &str = "WOOF_KIT_HANG";

    #[test]
    fn hangs_when_it_is_told_to() {
        if std::env::var_os(HANG).is_some() {
            let mut child = crate::command("sleep").arg("1000").spawn().unwrap();
            let _watch = watch_until("with a note", Instant::now());
            crate::wait(&mut child);
        }
    }

    #[test]
    fn a_test_that_hangs_is_named_and_ends_with_what_it_has_started() {
        let mut again = crate::command(std::env::current_exe().unwrap());
        again.args(["--exact", "watch::tests::hangs_when_it_is_told_to"]).env(HANG, "yes");
        let run = crate::output(&mut again);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.signal(), Some(6), "{said}");
        assert!(
            said.contains("no end of woof_kit watch::tests::hangs_when_it_is_told_to with a note"),
            "{said}"
        );
        let (_, killed) = said.split_once("*** killed: ").unwrap();
        let (pid, words) = killed.split_once(' ').unwrap();
        assert!(words.starts_with("sleep 1000"), "{said}");
        crate::until("what it has started is gone", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z"))
        });
    }
}
