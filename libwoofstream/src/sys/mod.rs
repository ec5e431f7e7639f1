//! What the library asks of the system: the time, which boot this is, names of users, and files written whole.

pub mod base64;
mod replace;
pub mod users;

pub use replace::replace;

use crate::error::{Error, Result};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since 1970-01-01T00:00:00Z, as the system's clock tells it; 0 for a clock set before that.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// The identity of the running boot of this machine: another value after each boot, one value for all its
/// processes and containers.
///
/// # Errors
/// When `/proc` is not there to read it from.
pub fn boot_id() -> Result<[u8; 16]> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(PATH).map_err(|err| Error::io(PATH, "read", err))?;
    let mut id = [0u8; 16];
    let mut digits = text.bytes().filter_map(|b| char::from(b).to_digit(16));
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
