//! What the benchmark does as a long-lived handler: it reads elements from a framed stream and answers each.

use super::farm;
use crate::Result;
use libwoofstream::chan::{Input, Reader};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;

/// Elements in a stream on standard input.
fn elements() -> Result<Reader> {
    Ok(Reader::new(std::io::stdin().as_fd().try_clone_to_owned()?, "in"))
}

/// Tells of each element when it was seen.
pub(crate) fn seen() -> Result<()> {
    let (mut reader, mut fifo, mut stdout) = (elements()?, farm::fifo(Path::new("."))?, std::io::stdout());
    loop {
        match reader.next(&mut ())? {
            Input::Message(raw) if raw.data().is_some() => {
                farm::tell(&mut fifo, farm::now_ns()?)?;
                stdout.write_all(b"ok\n")?;
                stdout.flush()?;
            }
            Input::Message(_) | Input::End(_) => {}
            Input::Eof => return Ok(()),
        }
    }
}

/// Answers all that is there at once, and tells of the first when it was seen.
pub(crate) fn answers() -> Result<()> {
    let (mut reader, mut stdout) = (elements()?, std::io::stdout());
    let (mut answers, mut is_first) = (Vec::new(), true);
    loop {
        let input = match reader.next_buffered()? {
            Some(input) => input,
            None => {
                stdout.write_all(&answers)?;
                stdout.flush()?;
                answers.clear();
                reader.next(&mut ())?
            }
        };
        match input {
            Input::Message(raw) if raw.data().is_some() => {
                if std::mem::take(&mut is_first) {
                    farm::tell(&mut farm::fifo(Path::new("."))?, farm::now_ns()?)?;
                }
                answers.extend_from_slice(b"ok\n");
            }
            Input::Message(_) | Input::End(_) => {}
            Input::Eof => break,
        }
    }
    Ok(stdout.write_all(&answers)?)
}
