//! A short run of what the fuzz targets in `tests/fuzz` do for as long as one likes: mutations of the golden stream, from
//! a fixed seed, into every decoder. Nothing may panic, no message may be larger than its input, and what decodes must survive
//! being written and read again.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap here fails the test")]

use libwoofstream::chan::Channels;
use libwoofstream::wire::{Addr, Decoder, Dir, Kind, Message, Raw, Step, Value, encode};

/// Runs from this seed; to look for more, change it.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Marsaglia's xorshift: enough to pick bytes with, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Changes a few bytes, lengths among them: sets, flips, cuts, doubles, takes out.
fn mutate(input: &[u8], random: &mut Random) -> Vec<u8> {
    const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xc1, 0xdd, 0xdf, 0xff];
    let mut out = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len());
        let to = (at + 1 + random.below(16)).min(out.len());
        match random.below(6) {
            _ if out.is_empty() => {}
            0 => out[at] = EDGES[random.below(EDGES.len())],
            1 => out[at] ^= 1 << random.below(8),
            2 => out.truncate(at),
            3 => out.extend_from_within(at..to),
            4 => drop(out.drain(at..to)),
            _ => out[at] = random.next() as u8,
        }
    }
    out
}

/// Decodes all of it, in pieces of `size`; checks what holds for every message.
fn decode(input: &[u8], size: usize) {
    let mut decoder = Decoder::new(1 << 16);
    let (mut start, mut end, mut messages) = (0, 0, 0);
    while let Ok((used, step)) = decoder.step(&input[start..end]) {
        start += used;
        assert!(start <= end, "more bytes were used than there were");
        match step {
            Step::Need(need) => {
                assert!(need > 0);
                if end == input.len() {
                    let _ = decoder.finish(end - start);
                    break;
                }
                end = input.len().min(end + size);
            }
            Step::Message(raw) => {
                assert!(raw.payload.len() <= input.len() && raw.payload.len() <= 1 << 16);
                assert!(raw.kind != Kind(0) && raw.kind != Kind::END);
                look_at(&raw);
                messages += 1;
            }
            Step::Preamble | Step::End(_) => {}
        }
    }
    assert!(decoder.messages() >= messages);
}

/// Takes a message apart; one that can be taken apart is written and taken apart again.
fn look_at(raw: &Raw<'_>) {
    let _ = (raw.data(), raw.elem(), raw.set_aside());
    let mut out = Vec::new();
    match raw.decode() {
        Ok(Message::Dir(dir)) => encode::dir(&mut out, &dir).unwrap(),
        Ok(Message::Addr(addr)) => encode::addr(&mut out, &addr).unwrap(),
        Ok(Message::Err(fault)) => encode::err(&mut out, &fault),
        _ => return,
    }
    let again = Raw { kind: raw.kind, flags: 0, reserved: 0, payload: &out[8..] };
    let (first, second) = (raw.decode().unwrap(), again.decode().unwrap());
    // A number that is none (NaN) is not equal to itself.
    assert!(first == second || format!("{first:?}") == format!("{second:?}"));
}

/// Runs `check` on its inputs; on a panic, says which seed to start from.
fn run(count: usize, mut check: impl FnMut(&mut Random)) {
    let mut random = Random(SEED);
    for round in 0..count {
        let seed = random.0;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&mut random)));
        assert!(result.is_ok(), "round {round} failed, seed {seed:#x}");
    }
}

#[test]
fn mutated_streams_are_decoded_or_refused() {
    let golden = std::fs::read("tests/golden/stream-v1.woofs").unwrap();
    run(120_000, |random| {
        let input = mutate(&golden, random);
        decode(&input, 1 + random.below(2 * input.len()));
    });
}

#[test]
fn mutated_structured_messages_are_decoded_or_refused() {
    let mut dir = Vec::new();
    encode::dir(
        &mut dir,
        &Dir::new().set("a", 1u64).set("b", vec![Value::from("x"), Value::from(2.5)]).set("c", "text"),
    )
    .unwrap();
    let mut addr = Vec::new();
    let whole = Addr { name: "f".into(), lines: Some((1, 2)), bytes: Some((3, 4)), seqnos: Some((5, 600)) };
    encode::addr(&mut addr, &whole).unwrap();
    run(60_000, |random| {
        let seed = if random.below(2) == 0 { &dir[8..] } else { &addr[8..] };
        let payload = mutate(seed, random);
        for kind in [Kind::DIR, Kind::ADDR, Kind::ERR] {
            look_at(&Raw { kind, flags: 0, reserved: 0, payload: &payload });
        }
    });
}

#[test]
fn mutated_channel_texts_are_read_or_refused() {
    run(20_000, |random| {
        let text = mutate(b"in=<0,out=>1,err=>2,left=<5,right=>66", random);
        if let Ok(channels) = Channels::parse(&String::from_utf8_lossy(&text)) {
            assert!(channels.names().all(|name| channels.has(name)));
        }
    });
}
