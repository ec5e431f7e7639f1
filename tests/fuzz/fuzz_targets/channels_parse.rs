//! Any text as the names of channels: read or refused. Nothing is taken, so no descriptor is touched.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libwoofstream::chan::{Channels, Split, argument};

fuzz_target!(|text: &str| {
    let _ = (argument(text), Split::parse(text));
    if let Ok(channels) = Channels::parse(text) {
        assert!(channels.names().all(|name| channels.has(name)));
    }
});
