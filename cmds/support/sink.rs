//! An output as the place where a source of the library pushes its messages.

use super::output::Output;
use libwoofstream::error::Result;
use libwoofstream::space::Sink;
use libwoofstream::wire::{Dir, Fault};

impl Sink for Output {
    #[inline]
    fn elem(&mut self, seqno: u64, time_ns: u64, data: &[u8]) -> Result<()> {
        Output::elem(self, seqno, time_ns, data)
    }

    fn dir(&mut self, dir: &Dir) -> Result<()> {
        Output::dir(self, dir)
    }

    fn mark(&mut self, name: &str) -> Result<()> {
        Output::mark(self, name)
    }

    fn fault(&mut self, fault: &Fault) -> Result<()> {
        Output::own_fault(self, fault)
    }

    fn before_wait(&mut self) -> Result<()> {
        self.flush()
    }
}
