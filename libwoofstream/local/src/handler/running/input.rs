//! What a handler of one element reads: its data, or a stream with it, in a file in memory.

use super::run::{Attempt, Run};
use crate::handler::bindings::Input;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use woof_core::attrs::context;
use woof_core::content::ContentType;
use woof_core::wire::encode;

/// A file without a name with the input of a run, to be read from its beginning: nobody has to feed a program that reads slowly or not at all.
pub fn in_memory(run: &Run<'_>) -> std::io::Result<OwnedFd> {
    let data = run.attempt.map_or_else(Vec::new, |attempt| input(run.binding.input, &attempt));
    let mut file = File::from(memfd_create("element", MemfdFlags::CLOEXEC)?);
    file.write_all(&data)?;
    file.rewind()?;
    Ok(file.into())
}

fn input(form: Input, attempt: &Attempt<'_>) -> Vec<u8> {
    let mut input = Vec::new();
    match form {
        Input::Raw => {
            attempt.content.write_text(attempt.data, &mut input);
            if !matches!(attempt.content, ContentType::Bytes | ContentType::Msgpack) {
                input.push(b'\n');
            }
        }
        Input::Framed | Input::Stream => {
            encode::preamble(&mut input);
            // A context is far from every limit.
            drop(encode::dir(&mut input, &context(attempt.woof, attempt.content)));
            encode::elem(&mut input, attempt.seqno, attempt.time_ns, attempt.data);
            encode::end(&mut input, Ok(()));
        }
    }
    input
}
