//! Which process something belongs to, in a text that is kept where that process cannot take it away when it is killed.
//!
//! Failure contract: one is gone only if that is sure. Of one in another container, or of a text that is not understood, nobody knows.

use super::boot_id;
use rustix::process::{Pid, getpid, test_kill_process};

/// Says which process this is: the boot, what gives processes their numbers, the number, and when it started.
pub fn own_identity() -> String {
    let pid = getpid();
    format!("{} {} {} {}", boot(), numbers(), pid.as_raw_nonzero(), started(pid).unwrap_or_default())
}

/// Whether the process of an identity is not there any more.
pub fn is_gone(identity: &str) -> bool {
    let mut words = identity.split(' ');
    let (Some(of_boot), Some(of_numbers), Some(pid), Some(start), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let (Ok(start), Some(pid)) = (start.parse::<u64>(), pid.parse().ok().and_then(Pid::from_raw)) else {
        return false;
    };
    let (boot, numbers) = (boot(), numbers());
    if boot.is_empty() || of_boot.len() != boot.len() || numbers.is_empty() {
        return false;
    }
    if of_boot != boot {
        return true;
    }
    of_numbers == numbers
        && (test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
            || started(pid).is_some_and(|started| started != start))
}

/// Empty where it is not known.
fn boot() -> String {
    boot_id().map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect()).unwrap_or_default()
}

/// Empty where it is not known.
fn numbers() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid");
    link.ok().and_then(|link| link.to_str().map(str::to_owned)).unwrap_or_default()
}

/// When a process started, in ticks since the boot.
fn started(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The second field is a name in parentheses, whatever is in it; this is the 22nd.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_when_it_has_ended_and_not_before() {
        let own = own_identity();
        assert_eq!(own.split(' ').count(), 4, "{own}");
        assert!(!is_gone(&own));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let words: Vec<&str> = own.split(' ').collect();
        let of = |boot: &str, numbers: &str, pid: Pid, start: u64| {
            format!("{boot} {numbers} {} {start}", pid.as_raw_nonzero())
        };
        let start = started(pid).unwrap();
        let childs = of(words[0], words[1], pid, start);
        assert!(!is_gone(&childs));
        // Its number is another's now.
        assert!(is_gone(&of(words[0], words[1], pid, start - 1)));
        // Where it cannot be seen.
        assert!(!is_gone(&of(words[0], "pid:[1]", pid, start - 1)));
        assert!(is_gone(&of(&"0".repeat(32), "pid:[1]", pid, start)), "it was before this boot");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&childs));
        for text in ["", "x", "a b c d", &own[1..], &format!("{own} 1")] {
            assert!(!is_gone(text), "{text}");
        }
    }
}
