//! One direction of a link: which packets pass, and when. It does no I/O and reads no clock, so its tests are exact.
//!
//! Nothing here fails: a packet that does not pass is counted under what became of it.

use crate::options::{LinkOptions, MTU};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most bytes under way in one direction. Only a link without a rate can come near it: two seconds at 1 Gbit/s.
const IN_FLIGHT_MAX: u64 = 256 * 1024 * 1024;

/// How many empty buffers are kept for packets to come.
const SPARE_MAX: usize = 4096;

/// Packets and their bytes, IP header included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many packets.
    pub packets: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}

/// What became of the packets of one direction. What was sent and is in none of the others is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Came out of the sender's device.
    pub sent: Count,
    /// Were handed to the receiver's device.
    pub delivered: Count,
    /// Were lost by chance.
    pub lost: Count,
    /// Did not fit into the queue.
    pub overflowed: Count,
    /// Were under way or sent while the link was cut.
    pub cut: Count,
}

/// Room for one packet.
pub(crate) type Buffer = Box<[u8; MTU]>;

/// A packet on its way.
struct Packet {
    due: Instant,
    buffer: Buffer,
    len: usize,
}

/// One direction of a link.
pub(crate) struct Lane {
    options: LinkOptions,
    /// In the order of their due times, which is the order they came in.
    under_way: VecDeque<Packet>,
    in_flight_bytes: u64,
    spare: Vec<Buffer>,
    /// When the line will have sent the last packet that it accepted; only a line with a rate uses it.
    line_free: Option<Instant>,
    /// The due time of the last accepted packet, which no later one may come before.
    last_due: Option<Instant>,
    losses: fastrand::Rng,
    cut: bool,
    counters: Counters,
}

impl Lane {
    /// `number` tells the directions of one link apart, so that they do not lose the same packets.
    pub(crate) fn new(options: LinkOptions, number: u64) -> Lane {
        let losses = fastrand::Rng::with_seed(options.seed.wrapping_mul(2).wrapping_add(number));
        Lane {
            options,
            under_way: VecDeque::new(),
            in_flight_bytes: 0,
            spare: Vec::new(),
            line_free: None,
            last_due: None,
            losses,
            cut: false,
            counters: Counters::default(),
        }
    }

    pub(crate) fn options(&self) -> &LinkOptions {
        &self.options
    }

    pub(crate) fn set_options(&mut self, options: LinkOptions) {
        self.options = options;
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// A buffer to read the next packet into.
    pub(crate) fn buffer(&mut self) -> Buffer {
        self.spare.pop().unwrap_or_else(|| Box::new([0; MTU]))
    }

    /// Takes a buffer back whose packet is not under way any more.
    pub(crate) fn give_back(&mut self, buffer: Buffer) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(buffer);
        }
    }

    /// Cuts or mends. What is under way when the link is cut is gone.
    pub(crate) fn set_cut(&mut self, cut: bool) {
        self.cut = cut;
        while cut && let Some(packet) = self.under_way.pop_front() {
            self.in_flight_bytes -= packet.len as u64;
            self.counters.cut.add(packet.len);
            self.give_back(packet.buffer);
        }
        if cut {
            self.line_free = None;
        }
    }

    /// Takes the first `len` bytes of `buffer`, a packet that was sent at `now`.
    pub(crate) fn accept(&mut self, now: Instant, buffer: Buffer, len: usize) {
        self.counters.sent.add(len);
        // Drawn for each packet, so that what else happens does not change which ones are lost.
        let is_lost = self.losses.f64() < self.options.loss;
        if self.cut {
            self.counters.cut.add(len);
        } else if is_lost {
            self.counters.lost.add(len);
        } else if let Some(left) = self.leaves_line(now, len) {
            let due = left + self.options.rtt / 2;
            let due = self.last_due.map_or(due, |last| last.max(due));
            self.last_due = Some(due);
            self.in_flight_bytes += len as u64;
            self.under_way.push_back(Packet { due, buffer, len });
            return;
        } else {
            self.counters.overflowed.add(len);
        }
        self.give_back(buffer);
    }

    /// When a packet that comes now has left the sender's end of the line, or none if the queue has no room for it.
    fn leaves_line(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.in_flight_bytes + len as u64 > IN_FLIGHT_MAX {
            return None;
        }
        let Some(rate) = self.options.rate_bytes_per_s else { return Some(now) };
        let start = self.line_free.map_or(now, |free| free.max(now));
        let waiting_bytes = (start - now).as_nanos() * u128::from(rate) / 1_000_000_000;
        if waiting_bytes + len as u128 > u128::from(self.options.queue_max(rate)) {
            return None;
        }
        let takes_ns = (len as u128 * 1_000_000_000).div_ceil(u128::from(rate));
        let left = start + Duration::from_nanos(u64::try_from(takes_ns).unwrap_or(u64::MAX));
        self.line_free = Some(left);
        Some(left)
    }

    /// When the next packet is to be delivered.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.under_way.front().map(|packet| packet.due)
    }

    /// The next packet if it is due, counted as delivered.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Buffer, usize)> {
        let packet = self.under_way.pop_front_if(|packet| packet.due <= now)?;
        self.in_flight_bytes -= packet.len as u64;
        self.counters.delivered.add(packet.len);
        Some((packet.buffer, packet.len))
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("options", &self.options).field("counters", &self.counters).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn lane(options: LinkOptions) -> Lane {
        options.check().unwrap();
        Lane::new(options, 0)
    }

    fn send(lane: &mut Lane, now: Instant, len: usize) {
        let buffer = lane.buffer();
        lane.accept(now, buffer, len);
    }

    #[test]
    fn a_packet_arrives_half_a_round_trip_later_and_not_before() {
        let (mut lane, start) =
            (lane(LinkOptions { rtt: 100 * MS, ..LinkOptions::default() }), Instant::now());
        send(&mut lane, start, 60);
        assert_eq!(lane.next_due(), Some(start + 50 * MS));
        assert!(lane.take_due(start + 50 * MS - Duration::from_nanos(1)).is_none());
        assert_eq!(lane.take_due(start + 50 * MS).unwrap().1, 60);
        assert_eq!(lane.counters().delivered, Count { packets: 1, bytes: 60 });
        assert_eq!(lane.next_due(), None);
    }

    #[test]
    fn a_shorter_round_trip_does_not_reorder() {
        let (mut lane, start) =
            (lane(LinkOptions { rtt: 100 * MS, ..LinkOptions::default() }), Instant::now());
        send(&mut lane, start, 1);
        lane.set_options(LinkOptions::default());
        send(&mut lane, start + MS, 2);
        assert!(lane.take_due(start + 49 * MS).is_none());
        assert_eq!(lane.take_due(start + 50 * MS).unwrap().1, 1);
        assert_eq!(lane.take_due(start + 50 * MS).unwrap().1, 2);
    }

    #[test]
    fn packets_follow_each_other_at_the_rate() {
        let options =
            LinkOptions { rtt: 10 * MS, rate_bytes_per_s: Some(1_000_000), ..LinkOptions::default() };
        let (mut lane, start) = (lane(options), Instant::now());
        // 1000 bytes take 1 ms at this rate: the second one waits for the first, the third finds an idle line.
        send(&mut lane, start, 1000);
        send(&mut lane, start, 1000);
        send(&mut lane, start + 8 * MS, 500);
        assert_eq!(lane.next_due(), Some(start + 6 * MS));
        assert!(lane.take_due(start + 6 * MS).is_some());
        assert_eq!(lane.next_due(), Some(start + 7 * MS));
        assert!(lane.take_due(start + 7 * MS).is_some());
        assert_eq!(lane.next_due(), Some(start + 13 * MS + MS / 2));
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_takes_again_when_it_has_drained() {
        let options = LinkOptions {
            rate_bytes_per_s: Some(1_000_000),
            queue_bytes: Some(3000),
            ..LinkOptions::default()
        };
        let (mut lane, start) = (lane(options), Instant::now());
        for _ in 0..5 {
            send(&mut lane, start, 1000);
        }
        assert_eq!(lane.counters().overflowed, Count { packets: 2, bytes: 2000 });
        send(&mut lane, start + MS, 1000);
        assert_eq!(lane.counters().overflowed.packets, 2);
    }

    #[test]
    fn the_queue_is_one_round_trip_of_the_rate_but_at_least_a_burst() {
        let options = LinkOptions { rtt: 100 * MS, ..LinkOptions::default() };
        assert_eq!(options.queue_max(12_000_000), 1_200_000);
        assert_eq!(options.queue_max(1000), 131_072);
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_and_directions_differ() {
        let lost = |seed, number| {
            let mut lane = Lane::new(LinkOptions { loss: 0.1, seed, ..LinkOptions::default() }, number);
            let now = Instant::now();
            (0..10_000)
                .filter(|_| {
                    let before = lane.counters().lost.packets;
                    send(&mut lane, now, 100);
                    lane.counters().lost.packets > before
                })
                .collect::<Vec<u32>>()
        };
        assert_eq!(lost(7, 0), lost(7, 0));
        assert_ne!(lost(7, 0), lost(7, 1));
        assert_ne!(lost(7, 0), lost(8, 0));
        assert!((800..1200).contains(&lost(7, 0).len()));
    }

    #[test]
    fn a_cut_drops_what_is_under_way_and_what_comes_until_it_is_mended() {
        let (mut lane, start) =
            (lane(LinkOptions { rtt: 100 * MS, ..LinkOptions::default() }), Instant::now());
        send(&mut lane, start, 10);
        lane.set_cut(true);
        send(&mut lane, start + MS, 20);
        lane.set_cut(false);
        send(&mut lane, start + 2 * MS, 40);
        assert_eq!(lane.take_due(start + 60 * MS).unwrap().1, 40);
        assert!(lane.take_due(start + 60 * MS).is_none());
        assert_eq!(lane.counters().cut, Count { packets: 2, bytes: 30 });
    }

    #[test]
    fn options_out_of_their_range_are_named() {
        let refusal = |options: LinkOptions| options.check().unwrap_err().to_string();
        assert_eq!(
            refusal(LinkOptions { loss: 1.5, ..LinkOptions::default() }),
            "link: a loss of 1.5 is not between 0 and 1"
        );
        assert_eq!(
            refusal(LinkOptions { loss: f64::NAN, ..LinkOptions::default() }),
            "link: a loss of NaN is not between 0 and 1"
        );
        assert_eq!(
            refusal(LinkOptions { rate_bytes_per_s: Some(0), ..LinkOptions::default() }),
            "link: a rate of 0 bytes a second carries nothing"
        );
        assert_eq!(
            refusal(LinkOptions { rtt: Duration::from_secs(61), ..LinkOptions::default() }),
            "link: a round trip of 61s is over the limit of 60s"
        );
        assert_eq!(
            refusal(LinkOptions { queue_bytes: Some(1499), ..LinkOptions::default() }),
            "link: the queue has no room for one packet of 1500 bytes"
        );
    }
}
