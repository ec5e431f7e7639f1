//! Handlers on demand: a program of a namespace that runs because somebody asks, with a stream of bytes in and one out.
//!
//! What is asked for is a [`Call`]. A server starts it for its clients ([`start`]); on this machine [`run_here`] carries it to its end.
//!
//! Failure contract: a program that fails is an [`Exit`] that says how; one that cannot be started is an error. It is never run twice by
//! itself, and does not outlive whoever asked.

use super::follow::DRAIN;
use super::program::check_program_in;
use super::run::{Asked, Failure, ON_DEMAND, Run, Started};
use super::runner::Runner;
use super::runners::Runners;
use crate::handler::bindings::Binding;
use crate::handler::container::Engine;
use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use woof_core::access::Peer;
use woof_core::error::{Code, Error, Result};
use woof_core::name::Namespace;
use woof_core::sys::timespec;
use woof_space::{Call, Exit, Pipes, told_to_stop};

/// So much is read of a pipe at once.
const READ: usize = 64 << 10;

/// The binding of a handler that none is bound by: all options are the default ones.
pub fn binding(call: &Call) -> Binding {
    Binding::new("", &call.handler)
}

/// Starts the handler of a call in a namespace, and gives it an id.
pub fn start(
    runner: &dyn Runner,
    namespace: &Namespace,
    call: &Call,
    user: &str,
    stdin: OwnedFd,
) -> Result<(String, Started)> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    call.check()?;
    if namespace.state().is_err() {
        return Err(Error::new(Code::NotFound, "", "is no namespace"));
    }
    let of_handler = |code, why: &str| Error::new(code, "", format!("{}: {why}", call.handler));
    check_program_in(namespace, &call.handler).map_err(|err| of_handler(err.code(), err.text()))?;
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let id = format!("{ON_DEMAND}{}-{number}", std::process::id());
    let run = Run {
        namespace: namespace.path(),
        binding: &binding(call),
        trigger: &id,
        depth: call.depth + 1,
        attempt: None,
        asked: Some(Asked { user, woof: call.woof.as_deref(), seqno: call.seqno, time_ns: call.time_ns }),
        args: &call.args,
        open: Some(namespace),
    };
    let started = runner.start(&run, stdin).map_err(|failure| match &failure {
        Failure::Failed(why) => of_handler(Code::Failed, why),
        Failure::NotReady(why) => of_handler(Code::Unreachable, why),
    })?;
    Ok((id, started))
}

/// What a user is called in the environment of a handler.
pub fn user_of(peer: &Peer) -> String {
    match (&peer.user, peer.uid) {
        (Some(user), _) => user.clone(),
        (None, Some(uid)) => uid.to_string(),
        (None, None) => "anonymous".to_owned(),
    }
}

/// Runs a handler of a namespace on this machine to its end.
///
/// # Errors
/// When it cannot be started, or what it writes has nowhere to go any more.
pub fn run_here(namespace: &Path, call: &Call, pipes: Pipes<'_>, engine: Arc<dyn Engine>) -> Result<Exit> {
    let namespace = namespace.canonicalize().map_err(|err| Error::io("", "", err))?;
    let open = Namespace::exactly(&namespace).map_err(|err| err.of(""))?;
    let user = user_of(&Peer::unix(rustix::process::getuid().as_raw(), Vec::new()));
    let Pipes { stdin, stdout, stderr, stop } = pipes;
    let runner = Runners::new(call.here.clone(), engine).of(&namespace)?;
    let (_, Started { mut running, stdout: out, stderr: err }) = start(&*runner, &open, call, &user, stdin)?;
    let (mut to, mut out, mut err) = (File::from(stdout), Some(File::from(out)), Some(File::from(err)));
    let failed = |doing: &'static str| move |err: std::io::Error| Error::io("", doing, err);
    let mut buffer = vec![0; READ];
    let mut ended = None;
    while ended.is_none() || out.is_some() || err.is_some() {
        let end = running.ended();
        let mut polled = vec![PollFd::new(stop, PollFlags::IN), PollFd::new(&to, PollFlags::empty())];
        let files = [&out, &err];
        polled.extend(
            files.iter().filter_map(|file| file.as_ref()).map(|file| PollFd::new(file, PollFlags::IN)),
        );
        if ended.is_none() {
            polled.push(PollFd::from_borrowed_fd(end, PollFlags::IN));
        }
        let drain = timespec(DRAIN);
        match poll(&mut polled, ended.is_some().then_some(&drain)) {
            // Somebody who left the group has the pipes; what it writes is nobody's output.
            Ok(0) => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(err) => return Err(Error::io("", "wait for it", err)),
        }
        let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
        let stop = ready.next() == Some(true);
        let gone = ready.next() == Some(true);
        let of_out = out.is_some() && ready.next() == Some(true);
        let of_err = err.is_some() && ready.next() == Some(true);
        let exited = ended.is_none() && ready.next() == Some(true);
        drop(ready);
        drop(polled);
        if stop {
            return Err(told_to_stop());
        }
        if of_err {
            let count = read(&mut err, &mut buffer).map_err(failed("read from it"))?;
            stderr(buffer.get(..count).unwrap_or_default());
        }
        if of_out {
            let count = read(&mut out, &mut buffer).map_err(failed("read from it"))?;
            to.write_all(buffer.get(..count).unwrap_or_default()).map_err(failed("write its output"))?;
        } else if gone && out.is_some() {
            return Err(Error::io(
                "",
                "write its output",
                std::io::Error::from(std::io::ErrorKind::BrokenPipe),
            ));
        }
        if exited {
            let outcome = running.end();
            ended = Some(Exit {
                status: running.status().unwrap_or(u8::from(outcome.is_err())),
                why: outcome.err().map(|failure| failure.reason().to_owned()),
            });
        }
    }
    Ok(ended.unwrap_or(Exit::DONE))
}

/// Reads what is there; after the end there is no file any more.
fn read(file: &mut Option<File>, buffer: &mut [u8]) -> std::io::Result<usize> {
    let Some(open) = file else { return Ok(0) };
    match open.read(buffer) {
        Ok(0) => {
            *file = None;
            Ok(0)
        }
        Err(err) if err.kind() == std::io::ErrorKind::Interrupted => Ok(0),
        read => read,
    }
}
