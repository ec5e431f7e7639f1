//! Connections whose bytes are counted, as they are inside TLS.

use libwoofstream::client::{Dial, Transport, Waited};
use libwoofstream::error;
use libwoofstream::name::Address;
use libwoofstream::space::Stop;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Makes connections as another does, and counts what comes over all of them.
pub(crate) struct Counted {
    pub(crate) dial: Arc<dyn Dial>,
    /// Bytes that came.
    pub(crate) bytes: Arc<AtomicU64>,
}

impl Dial for Counted {
    fn dial(&self, address: &Address, timeout: Duration) -> error::Result<Box<dyn Transport>> {
        let inner = self.dial.dial(address, timeout)?;
        Ok(Box::new(Counting { inner, bytes: Arc::clone(&self.bytes) }))
    }

    fn now(&self) -> Duration {
        self.dial.now()
    }

    fn pause(&self, time: Duration, stop: &Stop) -> bool {
        self.dial.pause(time, stop)
    }

    fn random(&self) -> u64 {
        self.dial.random()
    }
}

struct Counting {
    inner: Box<dyn Transport>,
    bytes: Arc<AtomicU64>,
}

impl Transport for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn write_early(&mut self, bytes: &[u8]) -> usize {
        self.inner.write_early(bytes)
    }

    fn wait(&mut self, write: bool, timeout: Option<Duration>, stop: Option<&Stop>) -> io::Result<Waited> {
        self.inner.wait(write, timeout, stop)
    }

    fn explain(&self, error: &io::Error) -> Option<error::Error> {
        self.inner.explain(error)
    }
}
