//! Any bytes as what a client sends to a server, and as what a server sends to a client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};

#[path = "../shared/protocol.rs"]
mod protocol;

static SITE: OnceLock<Option<Arc<libwoofstream::server::Site>>> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let site = SITE.get_or_init(|| {
        let root = std::env::temp_dir().join(format!("woof-fuzz-protocol-{}", std::process::id()));
        std::fs::create_dir_all(&root).ok()?;
        protocol::site(&root)
    });
    if let Some(site) = site {
        protocol::exercise(site, data);
    }
});
