//! Any file opened as a woof: changes to the golden one, with right and wrong checksums, and any bytes at all.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../shared/woof.rs"]
mod woof;

const GOLDEN: &[u8] = include_bytes!("../../golden/woof-v1.woof");

fuzz_target!(|data: &[u8]| {
    let path = std::env::temp_dir().join(format!("woof-fuzz-{}", std::process::id()));
    if data.first().is_some_and(|how| how & 0x80 != 0) {
        woof::exercise(&path, data);
    } else {
        let mut image = GOLDEN.to_vec();
        woof::forge(&mut image, data);
        woof::exercise(&path, &image);
    }
});
