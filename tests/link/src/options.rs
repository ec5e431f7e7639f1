//! What a link is like: round trip, rate, loss. Each value has a range, and [`LinkOptions::check`] names the one that
//! is out of it.

use std::io;
use std::time::Duration;

/// The most bytes of one IPv4 packet on the link.
pub(crate) const MTU: usize = 1500;

/// The longest round trip. More would be a mistake in a unit.
const RTT_MAX: Duration = Duration::from_secs(60);

/// The shortest queue that a rate gets unless it is asked for, in bytes: what one burst of a sender needs.
const QUEUE_MIN: u64 = 128 * 1024;

/// What a link is like. The default is one that delays nothing, loses nothing, and is as fast as the machine.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// The time a packet and its answer take on the link, half of it in each direction. At most a minute.
    pub rtt: Duration,
    /// Bytes of IP packets a second in each direction; `None` for as many as the machine can carry.
    pub rate_bytes_per_s: Option<u64>,
    /// Which part of the packets is lost in each direction, from 0 to 1.
    pub loss: f64,
    /// What the losses are drawn from.
    pub seed: u64,
    /// How many bytes may wait before a line with a rate, in each direction; what comes then is dropped. `None` is what the line
    /// carries in one round trip, but at least 128 KiB.
    pub queue_bytes: Option<u64>,
}

impl Default for LinkOptions {
    fn default() -> LinkOptions {
        LinkOptions { rtt: Duration::ZERO, rate_bytes_per_s: None, loss: 0.0, seed: 1, queue_bytes: None }
    }
}

impl LinkOptions {
    /// # Errors
    /// When a value is out of its range.
    pub(crate) fn check(&self) -> io::Result<()> {
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("link: {why}")));
        if self.rtt > RTT_MAX {
            refuse(format!("a round trip of {:?} is over the limit of {RTT_MAX:?}", self.rtt))
        } else if self.rate_bytes_per_s == Some(0) {
            refuse("a rate of 0 bytes a second carries nothing".to_owned())
        } else if !(0.0..=1.0).contains(&self.loss) {
            refuse(format!("a loss of {} is not between 0 and 1", self.loss))
        } else if self.queue_bytes.is_some_and(|bytes| bytes < MTU as u64) {
            refuse(format!("the queue has no room for one packet of {MTU} bytes"))
        } else {
            Ok(())
        }
    }

    /// How many bytes may wait before a line of this rate.
    pub(crate) fn queue_max(&self, rate: u64) -> u64 {
        self.queue_bytes.unwrap_or_else(|| {
            let in_one_rtt = u128::from(rate) * self.rtt.as_nanos() / 1_000_000_000;
            u64::try_from(in_one_rtt).unwrap_or(u64::MAX).max(QUEUE_MIN)
        })
    }
}
