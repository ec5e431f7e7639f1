//! What every engine behind names does, word for word: one suite over the directories of this machine, a server on a Unix socket and
//! one over TLS, a prefix of the name table, and a union. A later engine is one more line in [`ENGINES`], and passes or is none.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

mod engines;
mod names;
mod puts;
mod reads;
mod runs;

use engines::Engine;

/// An engine, made anew in a directory of its own.
type Make = fn() -> Engine;

/// All engines.
const ENGINES: [(&str, Make); 5] = [
    ("local", engines::local),
    ("unix", engines::unix),
    ("tls", engines::tls),
    ("prefix", engines::prefix),
    ("union", engines::union),
];

/// Runs a part of the suite over each engine, in a place of its own.
fn each(part: fn(&Engine)) {
    for (name, make) in ENGINES {
        let engine = make();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| part(&engine)));
        assert!(done.is_ok(), "the engine {name}");
    }
}
