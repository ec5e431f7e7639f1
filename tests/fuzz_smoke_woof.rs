//! A short run of what the fuzz target `woof_open` does for as long as one likes: changes to the golden woof, from a fixed
//! seed, with right and wrong checksums, of this boot and of another. Nothing may panic, hang, or be returned that was not
//! appended.

#[path = "fuzz/shared/memory.rs"]
mod memory;
#[path = "fuzz/shared/woof.rs"]
mod woof;

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
fn changed_woofs_are_used_or_refused() {
    let golden = std::fs::read("tests/golden/woof-v1.woof").unwrap();
    let dir = memory::dir().unwrap();
    let path = dir.path().join("w");
    let mut random = Random(SEED);
    let mut opened = 0;
    for round in 0..ROUNDS {
        let seed = random.0;
        let mut input = vec![random.next() as u8];
        for _ in 0..=random.next() % 5 {
            input.extend_from_slice(&random.next().to_le_bytes()[..4]);
        }
        let result = std::panic::catch_unwind(|| {
            let mut image = golden.clone();
            woof::forge(&mut image, &input);
            woof::exercise(&path, &image)
        });
        match result {
            Ok(was_one) => opened += usize::from(was_one),
            Err(_) => panic!("round {round} failed, seed {seed:#x}"),
        }
    }
    assert!(opened > ROUNDS / 3, "only {opened} of {ROUNDS} could be opened, so this looked at little");
}
