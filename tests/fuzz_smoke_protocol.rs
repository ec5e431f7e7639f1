//! A short run of what the fuzz target `protocol` does for as long as one likes: frames and bytes from a fixed seed, to a server and
//! to a client. Nothing may panic or hang, and nothing may be held or sent out of proportion.

#[path = "fuzz/shared/memory.rs"]
mod memory;
#[path = "fuzz/shared/protocol.rs"]
mod protocol;

/// Runs from this seed; to look for more, change it.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const ROUNDS: usize = 15_000;

/// Marsaglia's xorshift: enough to pick bytes with, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn any_frames_are_served_or_refused() {
    let dir = memory::dir().unwrap();
    let site = protocol::site(dir.path()).unwrap();
    let mut random = Random(SEED);
    let mut right = 0;
    for round in 0..ROUNDS {
        let seed = random.0;
        let mut input: Vec<u8> = (0..=random.next() % 40).flat_map(|_| random.next().to_le_bytes()).collect();
        // Requests come in order, or few would be taken.
        let mut exchange = 1;
        let mut at = 1;
        while !random.next().is_multiple_of(8) && at + 3 <= input.len() {
            if input[at].is_multiple_of(4) {
                input[at] = 1;
                input[at + 1] = exchange;
                exchange += 1;
            } else {
                input[at] = 2 + input[at] % 6;
                input[at + 1] = 1 + input[at + 1] % exchange;
            }
            at += 3 + usize::from(input[at + 2] % 32);
        }
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| protocol::exercise(&site, &input)));
        match result {
            Ok(was_right) => right += usize::from(was_right),
            Err(_) => panic!("round {round} failed, seed {seed:#x}"),
        }
    }
    assert!(right > ROUNDS / 20, "only {right} of {ROUNDS} were right, so this looked at little");
}
