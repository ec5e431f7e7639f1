//! Programs as a shell would start them. Tests may run in the background of a script, under `nohup`, as a service, or in a shell with
//! many settings; what they start is to know nothing of that.

use rustix::fs::Mode;
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::AtomicBool;

/// Names of the environment that change what programs do or say.
const NAMES: [&str; 27] = [
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "DOCKER_CONTENT_TRUST",
    "ENV",
    "FORCE_COLOR",
    "GLOBIGNORE",
    "GREP_COLORS",
    "GREP_OPTIONS",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "JQ_COLORS",
    "LANGUAGE",
    "LINES",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "POSIXLY_CORRECT",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SHELLOPTS",
    "TAR_OPTIONS",
];

/// Beginnings of such names.
const PREFIXES: [&str; 4] = ["BASH_FUNC_", "LC_", "WOOF", "XDG_"];

/// A program that is to be started, with standard input empty until it is set. It gets its signals, its environment and its umask
/// as it would from a shell that nobody has set up, with English texts and the time zone UTC.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    as_in_a_shell();
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_proxy = text.to_lowercase().ends_with("_proxy");
        if is_proxy || NAMES.contains(&&*text) || PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.env("LANG", "C.UTF-8").env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// Has this process hand on what a shell hands on. (No signal is blocked in what it starts: the standard library sees to that.)
pub(crate) fn as_in_a_shell() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustix::process::umask(Mode::from_bits_truncate(0o022));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        for signal in ignored(&status) {
            // What is ignored stays so in a program that is started, and what is caught does not. To catch it and do nothing keeps
            // the tests from ending at a signal that they were told to ignore.
            let nobody = std::sync::Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, nobody).unwrap();
        }
    });
}

/// The signals that are ignored, by the text of `/proc/PID/status`, without those that cannot be caught and without SIGPIPE, which
/// the standard library ignores and resets by itself.
fn ignored(status: &str) -> Vec<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let mask = u64::from_str_radix(line.trim(), 16).unwrap();
    let is_ours = |signal: &i32| {
        !signal_hook::consts::FORBIDDEN.contains(signal) && *signal != signal_hook::consts::SIGPIPE
    };
    (1..32).filter(|signal| mask & 1 << (signal - 1) != 0).filter(is_ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_known_by_their_bits() {
        // SIGHUP, SIGINT, SIGKILL, SIGSEGV and SIGPIPE, and the bit of a real-time signal.
        assert_eq!(ignored("Name:\tx\nSigIgn:\t8000000000001503\n"), [1, 2]);
    }

    #[test]
    fn what_is_started_ignores_and_blocks_nothing() {
        let run = crate::output(command("grep").args(["-E", "^Sig(Blk|Ign):", "/proc/self/status"]));
        let text = String::from_utf8(run.stdout).unwrap();
        // The upper half are real-time signals, two of which the C library has for itself.
        let masks: Vec<&str> = text.lines().map(|line| &line[line.len() - 8..]).collect();
        assert!(masks[0] == "00000000" && ignored(&text).is_empty(), "{text}");
    }

    #[test]
    fn nothing_of_how_the_tests_were_started_is_handed_on() {
        let script = "trap '' HUP INT QUIT TERM USR1 CHLD; umask 077; exec \"$0\" --exact \"$1\"";
        let this = std::env::current_exe().unwrap();
        let mut nohup = command("sh");
        nohup.args(["-c", script]).arg(this).arg("shell::tests::what_is_started_ignores_and_blocks_nothing");
        let run = crate::output(&mut nohup);
        assert!(run.status.success() && String::from_utf8_lossy(&run.stdout).contains("1 passed"), "{run:?}");
    }

    #[test]
    fn settings_of_the_user_are_not_handed_on() {
        let is_ours =
            |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name);
        assert!(is_ours("WOOF_KEYS") && is_ours("XDG_STATE_HOME") && is_ours("LC_ALL") && is_ours("COLUMNS"));
        assert!(!is_ours("HOME") && !is_ours("PATH") && !is_ours("TMPDIR"));
        let run = crate::output(&mut command("env"));
        let names = String::from_utf8(run.stdout).unwrap();
        assert!(names.lines().all(|line| !is_ours(line.split('=').next().unwrap())), "{names}");
    }
}
