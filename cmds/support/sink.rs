//! An output as the place where a source of the library pushes its messages.

use super::output::Output;
use libwoofstream::error::Result;
use libwoofstream::space::{MessageRef, Sink};

impl Sink for Output {
    #[inline]
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        match message {
            MessageRef::Elem { seqno, time_ns, data } => Output::elem(self, seqno, time_ns, data),
            MessageRef::Bytes(data) => Output::bytes(self, data),
            MessageRef::Dir(dir) => Output::dir(self, dir),
            MessageRef::FileEnd { len, crc32c } => Output::file_end(self, len, crc32c),
            MessageRef::Addr(addr) => Output::addr(self, addr),
            MessageRef::Mark(name) => Output::mark(self, name),
            MessageRef::Fault(fault) => Output::own_fault(self, fault),
            MessageRef::Other(raw) => Output::message(self, raw),
        }
    }

    fn before_wait(&mut self) -> Result<()> {
        self.flush()
    }
}
