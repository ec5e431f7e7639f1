//! Any bytes, in reads of any size: the decoder gives messages, an end, a request for more, or an error. What it gives does not
//! depend on the sizes of the reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libwoofstream::wire::{Decoder, Step};

/// The messages of `input` that comes in pieces of `size`, and whether it ended as it should.
fn read(input: &[u8], size: usize) -> (Vec<(u8, u8, u16, Vec<u8>)>, bool) {
    let mut decoder = Decoder::new(1 << 16);
    let (mut messages, mut start, mut end) = (Vec::new(), 0, 0);
    while let Ok((used, step)) = decoder.step(&input[start..end]) {
        start += used;
        match step {
            Step::Need(_) if end == input.len() => return (messages, decoder.finish(end - start).is_ok()),
            Step::Need(need) => {
                assert!(need > 0);
                end = input.len().min(end + size);
            }
            Step::Message(raw) => {
                let _ = (raw.decode(), raw.data(), raw.elem(), raw.set_aside());
                messages.push((raw.kind.0, raw.flags, raw.reserved, raw.payload.to_vec()));
            }
            Step::Preamble | Step::End(_) => {}
        }
    }
    (messages, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, input)) = data.split_first() else { return };
    assert_eq!(read(input, usize::from(*size) + 1), read(input, input.len().max(1)));
});
