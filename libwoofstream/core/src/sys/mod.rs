//! What the library asks of the system: the time, which boot this is, names of users, files written whole, files locked, files that no link leads away from, and who is
//! still there.

mod alive;
pub mod base64;
mod inside;
mod lock;
mod named;
mod poll;
mod replace;
mod spot;
mod temporary;
pub mod users;

pub use alive::{is_gone, own_identity};
pub use inside::{link_to, open_beneath, open_exactly, open_step, path_of};
pub use lock::lock_alone;
pub use named::{Became, Named, Names, Watched};
pub use poll::{poll_for, timespec};
pub use replace::{replace, replace_at};
pub use spot::Spot;
pub use temporary::Temporary;

use crate::error::{Code, Error, Result};
use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};

/// The error of a symbolic link that is not followed.
pub fn no_link() -> Error {
    Error::new(Code::Denied, "", "a symbolic link, which is not followed here")
}

/// Nanoseconds since 1970-01-01T00:00:00Z, as the system's clock tells it; 0 for a clock set before that.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// The error of what is missing in `/proc`: whoever asked for something else has that, and is not told that it is not there.
pub fn not_in_proc(path: &str, err: &std::io::Error) -> Error {
    let text = match err.kind() {
        std::io::ErrorKind::NotFound => format!("{path} is not there: /proc is to be mounted"),
        _ => format!("{path}: {}", Error::io("", "", std::io::Error::from(err.kind())).text()),
    };
    Error::new(Code::Unsupported, "", text)
}

/// The identity of the running boot of this machine: another value after each boot, one value for all its
/// processes and containers.
///
/// # Errors
/// When `/proc` is not there to read it from.
pub fn boot_id() -> Result<[u8; 16]> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let failed = |err: rustix::io::Errno| not_in_proc(PATH, &err.into());
    // Each woof that is opened asks for it, so it is read with as few system calls as there can be.
    let file = rustix::fs::open(PATH, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let mut text = [0u8; 64];
    let len = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut text)).map_err(failed)?;
    let mut id = [0u8; 16];
    let mut digits = text[..len].iter().filter_map(|byte| char::from(*byte).to_digit(16));
    for byte in &mut id {
        let (high, low) = (digits.next().unwrap_or(0), digits.next().unwrap_or(0));
        *byte = u8::try_from(high * 16 + low).unwrap_or(0);
    }
    Ok(id)
}

/// Has the kernel find out that the other end of a TCP connection has gone: it asks after 30 s of silence, and gives up what was sent and
/// not acknowledged for 60 s.
///
/// # Errors
/// When the system refuses.
pub fn keep_alive(socket: impl std::os::fd::AsFd) -> std::io::Result<()> {
    use rustix::net::sockopt;
    let seconds = std::time::Duration::from_secs;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, seconds(30))?;
    sockopt::set_tcp_keepintvl(&socket, seconds(10))?;
    sockopt::set_tcp_keepcnt(&socket, 3)?;
    sockopt::set_tcp_user_timeout(&socket, 60_000)?;
    Ok(())
}

/// The memory of this process that is resident, in bytes; `None` where `/proc` does not say.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib * 1024)
}

/// How many descriptors this process has open; `None` where `/proc` does not say.
pub fn open_files() -> Option<u64> {
    // One of them is the directory's own.
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some((count as u64).saturating_sub(1))
}

/// How many descriptors this process may have open; `None` without a limit.
pub fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Raises the number of descriptors that may be open to what the system allows this process; how many that are.
///
/// # Errors
/// When the system refuses; what was allowed before still is.
pub fn raise_open_files() -> Result<Option<u64>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
            .map_err(|err| Error::io("", "raise the limit of open descriptors", err))?;
    }
    Ok(maximum)
}

/// A random number of 64 bits from the system.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // The kernel's pool is ready on every system that has come up; a short read leaves zeros, which are only a
    // worse choice of a name or a slot and never wrong.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_2020_and_the_boot_has_an_identity() {
        assert!(now_ns() > 1_577_836_800_000_000_000);
        assert_ne!(boot_id().unwrap(), [0; 16]);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
    }
}
