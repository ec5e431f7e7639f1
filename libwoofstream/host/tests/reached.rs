//! When a put is worth trying again: once the server has shown who it is, also before it has answered anything.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use libwoofstream::client::{Dial, Patience, Remote, Transport, Waited};
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::name::Address;
use libwoofstream::space::{Space as _, Stop};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The first connection takes what comes and ends, the second is refused for good.
struct Once {
    proven: bool,
    dialled: AtomicU64,
}

struct Ending(bool);

impl Transport for Ending {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn wait(&mut self, _: bool, _: Option<Duration>, _: Option<&Stop>) -> io::Result<Waited> {
        Ok(Waited::Ready)
    }
    fn is_proven(&self) -> bool {
        self.0
    }
}

impl Dial for Once {
    fn dial(&self, _: &Address, _: Duration) -> Result<Box<dyn Transport>> {
        match self.dialled.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(Box::new(Ending(self.proven))),
            _ => Err(Error::new(Code::Denied, "", "not a second time")),
        }
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn pause(&self, _: Duration, _: &Stop) -> bool {
        true
    }
    fn random(&self) -> u64 {
        7
    }
}

/// How a put ends whose only connection is lost before any answer, and how often it connected.
fn ends(proven: bool) -> (String, u64) {
    let dial = Arc::new(Once { proven, dialled: AtomicU64::new(0) });
    let patience = Patience { timeout: Duration::from_secs(1), wait: None, notify: Arc::new(|_| {}) };
    let remote = Remote::new(Arc::clone(&dial) as _, Address::parse("hub").unwrap(), patience);
    let mut put = remote.put("temp", None).unwrap();
    let err = put.settle(&mut |_| {}).unwrap_err();
    (err.text().to_owned(), dial.dialled.load(Ordering::Relaxed))
}

#[test]
fn a_server_that_has_shown_who_it_is_is_tried_again_and_no_other() {
    assert_eq!(ends(true), ("not a second time".to_owned(), 2));
    assert_eq!(ends(false), ("the connection was closed before the server answered".to_owned(), 1));
}
