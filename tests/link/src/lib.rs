//! A long link to test on, for a machine whose kernel has no `netem`: two network namespaces, a TUN device in each, and
//! one thread that carries packets from one device to the other, half a round trip later.
//!
//! ```no_run
//! use std::time::Duration;
//! use woof_link::{Link, LinkOptions};
//!
//! let link = Link::new(LinkOptions { rtt: Duration::from_millis(100), ..LinkOptions::default() })?;
//! let listener = link.b().enter(|| std::net::TcpListener::bind((link.b().address(), 7144)))??;
//! let stream = link.a().enter(|| std::net::TcpStream::connect((link.b().address(), 7144)))??;
//! link.cut(); // both ends still think that they are connected
//! # drop((listener, stream));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is real
//!
//! - TCP, UDP and ICMP are those of the kernel: handshakes, slow start, retransmission, resets, half-open connections. Nothing is
//!   terminated on the way; what goes over the link is IPv4 packets of at most 1500 bytes, without offloading.
//! - No packet arrives before half a round trip is over. How much later it arrives is up to the machine's timers and
//!   processors: some tens of microseconds on a machine of its own, 0.1 to 0.2 ms on a virtual one, more where no processor is
//!   free. The thread asks for a higher priority. Without a delay no timer is waited for.
//! - Without a rate it carries what one thread can: measured, 2 Gbit/s of TCP data on two virtual processors.
//! - With a rate, packets follow each other as they would on a line of that rate, and wait before it in a queue that
//!   drops what does not fit.
//! - Packets are lost independently, by a seeded generator for each direction: the same seed loses the same packets by their
//!   number. Which data they carry is up to the kernel and so not the same each time.
//! - Packets are never reordered, doubled or damaged; a shorter round trip applies to those behind the ones under way.
//! - While the link is cut nothing enters or leaves it, and what was under way is gone. Nobody is told.
//!
//! # What is not
//!
//! Both ends share the processors, the clock and the memory of one machine. A namespace starts with empty TCP metrics, and the
//! kernel remembers in it what it learned of the other side: a second connection may start faster than the first, as
//! on any host. One connection is no faster than the kernel's largest window in a round trip. IPv6 is not carried.
//! What is under way when the link is dropped is gone: whoever still waits for it at the other end is told nothing.
//!
//! # Failure contract
//!
//! It needs root, or `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, and `/dev/net/tun`: [`Link::new`] says which of it is missing, and tests
//! get their link from [`Link::for_test`]. The namespaces have no names: the kernel removes them with the last process in them and the
//! [`Link`], whichever ends last, even where it was killed. No external program is needed, but for [`Side::command`].

mod carrier;
mod lane;
mod namespace;
mod options;
mod side;

pub use lane::{Count, Counters};
pub use options::LinkOptions;
pub use side::Side;

use carrier::Carrier;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Two sides and the line between them. Dropping it ends the thread and takes the devices away.
#[derive(Debug)]
pub struct Link {
    // Before the sides, so that the devices are closed before the namespaces are left.
    carrier: Carrier,
    a: Side,
    b: Side,
    /// A test that has a link has to come to its end in time.
    _watch: Option<woof_kit::Watch>,
}

impl Link {
    /// The addresses are the same in every link, since nothing else is in its namespaces.
    const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 89, 0, 1), Ipv4Addr::new(10, 89, 0, 2)];

    /// Makes both namespaces and starts to carry.
    ///
    /// # Errors
    /// When an option is out of its range, and when the system refuses a namespace or a device, in one line that says which.
    pub fn new(options: LinkOptions) -> io::Result<Link> {
        options.check()?;
        let [address_a, address_b] = Self::ADDRESSES;
        let (namespace_a, device_a) = namespace::create(address_a)?;
        let (namespace_b, device_b) = namespace::create(address_b)?;
        let carrier = Carrier::start([device_a, device_b], &options)?;
        let (a, b) = (Side::new(namespace_a, address_a), Side::new(namespace_b, address_b));
        Ok(Link { carrier, a, b, _watch: None })
    }

    /// A link for a test, or none where the machine cannot have one, which is skipped aloud.
    ///
    /// # Panics
    /// With `CI=true` in the environment when there can be no link ([`woof_kit::skip`]), and when the link fails for another reason
    /// than a missing right or a missing device.
    pub fn for_test(options: LinkOptions) -> Option<Link> {
        match Link::new(options) {
            Ok(link) => Some(Link { _watch: Some(woof_kit::watch("")), ..link }),
            Err(err) if matches!(err.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
                woof_kit::skip(&format!("needs root and /dev/net/tun: {err}"));
                None
            }
            Err(err) => panic!("{err}"),
        }
    }

    /// The side that usually is the client's.
    pub fn a(&self) -> &Side {
        &self.a
    }

    /// The side that usually is the server's.
    pub fn b(&self) -> &Side {
        &self.b
    }

    /// Drops what is under way, and every packet from now on, silently. When it returns, nothing more arrives.
    pub fn cut(&self) {
        self.carrier.with(|state| state.set_cut(true));
    }

    /// Carries packets again after [`cut`](Link::cut). What was dropped stays dropped; TCP sends it anew.
    pub fn mend(&self) {
        self.carrier.with(|state| state.set_cut(false));
    }

    /// Changes which part of the packets is lost: 0 for none, 1 for all.
    ///
    /// # Errors
    /// When it is not between 0 and 1.
    pub fn set_loss(&self, loss: f64) -> io::Result<()> {
        self.change(|options| options.loss = loss)
    }

    /// Changes the round trip for packets sent from now on. Those under way keep theirs.
    ///
    /// # Errors
    /// When it is over a minute.
    pub fn set_rtt(&self, rtt: Duration) -> io::Result<()> {
        self.change(|options| options.rtt = rtt)
    }

    /// Changes the rate of each direction, in bytes a second; `None` is as fast as the machine can.
    ///
    /// # Errors
    /// When it is 0.
    pub fn set_rate(&self, rate_bytes_per_s: Option<u64>) -> io::Result<()> {
        self.change(|options| options.rate_bytes_per_s = rate_bytes_per_s)
    }

    /// What went from side A to side B so far.
    pub fn a_to_b(&self) -> Counters {
        self.carrier.with(|state| state.lanes[0].counters())
    }

    /// What went from side B to side A so far.
    pub fn b_to_a(&self) -> Counters {
        self.carrier.with(|state| state.lanes[1].counters())
    }

    /// Why the link carries nothing any more, if it does not: a device that somebody took down.
    ///
    /// # Errors
    /// What the device answered, once it has failed.
    pub fn check(&self) -> io::Result<()> {
        match self.carrier.with(|state| state.failure.clone()) {
            None => Ok(()),
            Some(why) => Err(io::Error::other(why)),
        }
    }

    fn change(&self, change: impl Fn(&mut LinkOptions)) -> io::Result<()> {
        self.carrier.with(|state| {
            let mut options = state.lanes[0].options().clone();
            change(&mut options);
            options.check()?;
            for lane in &mut state.lanes {
                lane.set_options(options.clone());
            }
            Ok(())
        })
    }
}
