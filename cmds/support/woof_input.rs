//! A woof where a stream could stand: its elements come through a pipe from a thread of our own, so that every command
//! that reads streams reads woofs too.

use libwoofstream::chan::Writer;
use libwoofstream::error::{Error, Result};
use libwoofstream::log;
use libwoofstream::space::{Selection, Space as _, Spaces};
use libwoofstream::wire::Fault;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// True for an open woof. Nothing is read off `file`.
pub(super) fn is_woof(file: &File) -> bool {
    let mut start = [0; 8];
    file.metadata().is_ok_and(|meta| meta.is_file())
        && file.read_exact_at(&mut start, 0).is_ok()
        && log::is_woof(&start)
}

/// The elements that the woof `name` keeps, as a stream to read.
pub(super) fn elements(name: &str, spaces: Arc<Spaces>) -> Result<OwnedFd> {
    let (from, to) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|err| Error::io(name, "pipe", std::io::Error::from(err)))?;
    let name = name.to_owned();
    std::thread::spawn(move || {
        let mut sink = Writer::new(to, &*name);
        let done = spaces.read(&name, &Selection::default(), &mut sink);
        let fault = done.as_ref().err().map(Fault::from);
        // A reader that has had enough is no failure, and there is nobody else to tell.
        let _ = sink.end(fault.as_ref().map_or(Ok(()), Err));
    });
    Ok(from)
}
