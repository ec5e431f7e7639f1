//! A handler that tells when it started: the time in nanoseconds since 1970, as 16 bytes, into the FIFO `started` of its namespace.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    // Open for reading too: it does not wait for who reads. Whoever reads waits for ever if this fails, which is seen.
    let fifo = std::fs::File::options().read(true).write(true).open("started");
    if fifo.and_then(|mut fifo| fifo.write_all(&time.to_ne_bytes())).is_err() {
        std::process::exit(1);
    }
}
