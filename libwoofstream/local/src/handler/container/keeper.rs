//! A container that another program keeps, for one that has no engine and comes and goes.
//!
//! Both have an end of a connection of packets. The one that wants a container sends the [`Spec`] of it, as JSON. The other has its
//! engine make it, and sends one packet: a 1 and the name of the container, with the connection to its agent as a descriptor; or a 0
//! and why there is none. As long as the first has its end, the container is kept.
//!
//! Failure contract: if the first is killed, the keeper removes the container. If the keeper is, the container ends when the first lets go of
//! the agent; one that was made and not started yet stays until the next is started.

use super::order::pair;
use super::{Engine, Made, Spec};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown, recv, recvmsg, send, sendmsg, shutdown,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::ORDER_MAX;
use woof_core::sys::poll_for;
use woof_core::wire::Fault;

/// How often it is looked whether a container that is being made is not wanted any more.
const LOOK: Duration = Duration::from_millis(100);

/// How a packet with the name of a container begins, and one with an error.
const MADE: u8 = 1;
const NONE: u8 = 0;

/// Makes containers by starting a program for each, which keeps it.
pub struct Keeper {
    start: Box<dyn Fn(OwnedFd) -> Result<Child> + Send + Sync>,
}

impl Keeper {
    /// With what starts the program: it is given its end of the connection, and calls [`keep`] with that.
    pub fn new(start: impl Fn(OwnedFd) -> Result<Child> + Send + Sync + 'static) -> Keeper {
        Keeper { start: Box::new(start) }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// A container that a program keeps.
struct Kept {
    connection: OwnedFd,
    keeper: Mutex<Option<Child>>,
    name: String,
}

impl Made for Kept {
    fn name(&self) -> &str {
        &self.name
    }

    fn remove(&self) {
        let _ = shutdown(&self.connection, Shutdown::Both);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut keeper) = keeper {
            let _ = keeper.wait();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Engine for Keeper {
    fn start(&self, spec: &Spec) -> Result<(Box<dyn Made>, OwnedFd)> {
        let image = &*spec.settings.image;
        let failed = |err: std::io::Error| Error::io(image, "have it started in a container", err);
        let (own, theirs) = pair().map_err(failed)?;
        let keeper = Mutex::new(Some((self.start)(theirs)?));
        let mut kept = Kept { connection: own, keeper, name: String::new() };
        let text = serde_json::to_vec(spec).map_err(|err| failed(err.into()))?;
        send(&kept.connection, &text, SendFlags::NOSIGNAL).map_err(|err| failed(err.into()))?;
        let (packet, control) = loop {
            let mut polled = [PollFd::new(&kept.connection, PollFlags::IN)];
            let ready = poll_for(&mut polled, Some(LOOK)).map_err(|err| failed(err.into()))?;
            if spec.stop.load(Ordering::Relaxed) {
                return Err(Error::new(Code::Failed, image, "not started: told to end"));
            }
            if ready > 0 {
                break receive(&kept.connection).map_err(failed)?;
            }
        };
        match (packet.split_first(), control) {
            (Some((&MADE, name)), Some(control)) => {
                kept.name = String::from_utf8_lossy(name).into_owned();
                Ok((Box::new(kept), control))
            }
            (Some((&NONE, fault)), _) => {
                Err(Fault::from_bytes(fault).map_or_else(|err| err, |fault| fault.to_error()))
            }
            _ => Err(Error::new(
                Code::Failed,
                image,
                "what was to keep its container ended and did not say why",
            )),
        }
    }

    /// There is none: only servers leave containers, and they have an engine.
    fn remove_left(&self, _address: &str, _namespace: &Path) {}
}

/// Makes the container that whoever has the other end of the connection asks for, and keeps it until that end is closed.
///
/// # Errors
/// When nothing that can be understood comes. That there is no container is told to the other end.
pub fn keep(engine: &dyn Engine, connection: OwnedFd) -> Result<()> {
    let failed = |err: std::io::Error| Error::io("", "take what is asked for", err);
    let mut text = vec![0; ORDER_MAX];
    let (count, _) = rustix::io::retry_on_intr(|| recv(&connection, &mut text[..], RecvFlags::empty()))
        .map_err(|err| failed(err.into()))?;
    let text = text.get(..count).unwrap_or_default();
    let spec: Spec = serde_json::from_slice(text).map_err(|err| failed(err.into()))?;
    let connection = Arc::new(connection);
    let (stop, watched) = (Arc::clone(&spec.stop), Arc::clone(&connection));
    // It ends with the other end, at the latest with this process.
    std::thread::spawn(move || {
        wait_for_end(watched.as_fd());
        stop.store(true, Ordering::Relaxed);
    });
    match engine.start(&spec) {
        Ok((made, control)) => {
            let packet = [&[MADE], made.name().as_bytes()].concat();
            let sent = send_with(connection.as_fd(), &packet, control.as_fd());
            // From here on the container ends when the other side lets go of this.
            drop(control);
            if sent.is_ok() {
                wait_for_end(connection.as_fd());
            }
            made.remove();
        }
        Err(err) => {
            let packet = [&[NONE], &*Fault::from(&err).to_bytes()].concat();
            let _ = send(&*connection, &packet, SendFlags::NOSIGNAL);
        }
    }
    Ok(())
}

/// Waits until the other end of a connection is closed.
fn wait_for_end(connection: BorrowedFd<'_>) {
    let mut polled = [PollFd::from_borrowed_fd(connection, PollFlags::empty())];
    while matches!(poll_for(&mut polled, None), Ok(0) | Err(rustix::io::Errno::INTR)) {}
}

/// Sends a packet with a descriptor.
fn send_with(to: BorrowedFd<'_>, packet: &[u8], descriptor: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut data = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    data.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::io::retry_on_intr(|| sendmsg(to, &[IoSlice::new(packet)], &mut data, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Takes a packet, with a descriptor if there is one. It is empty when the other end is closed.
fn receive(from: &OwnedFd) -> std::io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut packet = vec![0; ORDER_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut data = RecvAncillaryBuffer::new(&mut space);
    let count = loop {
        let mut slices = [IoSliceMut::new(&mut packet)];
        match recvmsg(from, &mut slices, &mut data, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?.bytes,
        }
    };
    packet.truncate(count);
    let descriptor = data.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    Ok((packet, descriptor))
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// An engine without containers: it says what is done.
    struct Pretended {
        told: Sender<String>,
        agent: Mutex<Option<OwnedFd>>,
    }

    struct Nothing(Sender<String>);

    impl Made for Nothing {
        fn name(&self) -> &str {
            "woof-run-1"
        }
        fn remove(&self) {
            let _ = self.0.send("removed".to_owned());
        }
    }

    impl Engine for Pretended {
        fn start(&self, spec: &Spec) -> Result<(Box<dyn Made>, OwnedFd)> {
            let image = spec.settings.image.clone();
            let _ = self.told.send(format!("start {image}"));
            while image == "slow" && !spec.stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            match self.agent.lock().unwrap().take() {
                Some(agent) if image == "good" => Ok((Box::new(Nothing(self.told.clone())), agent)),
                _ => Err(Error::new(Code::NotFound, image, "no such image")),
            }
        }
        fn remove_left(&self, _address: &str, _namespace: &Path) {}
    }

    /// A keeper whose program is a thread, besides a process that ends at once.
    fn keeper() -> (Keeper, Receiver<String>, UnixStream) {
        let (told, heard) = channel();
        let (agent, other) = UnixStream::pair().unwrap();
        let engine = Arc::new(Pretended { told, agent: Mutex::new(Some(agent.into())) });
        let keeper = Keeper::new(move |connection| {
            let engine = Arc::clone(&engine);
            std::thread::spawn(move || keep(&*engine, connection));
            woof_kit::command("true").spawn().map_err(|err| Error::io("true", "run", err))
        });
        (keeper, heard, other)
    }

    fn spec(image: &str) -> Spec {
        Spec::alone(Settings::of(image), "unix:///nowhere", Path::new("/tmp"))
    }

    #[test]
    fn a_container_is_kept_until_it_is_let_go_of_and_its_agent_is_reached() {
        let (keeper, heard, mut agent) = keeper();
        let (made, control) = keeper.start(&spec("good")).unwrap();
        assert_eq!((heard.recv().unwrap(), made.name()), ("start good".to_owned(), "woof-run-1"));
        UnixStream::from(control).write_all(b"order").unwrap();
        let mut order = String::new();
        agent.read_to_string(&mut order).unwrap();
        assert_eq!(order, "order", "and nobody else holds the connection to the agent");
        assert!(heard.try_recv().is_err(), "it is kept");
        drop(made);
        assert_eq!(heard.recv().unwrap(), "removed");
    }

    #[test]
    fn why_there_is_none_is_told_as_the_engine_says_it() {
        let (keeper, _heard, _agent) = keeper();
        let err = keeper.start(&spec("bad")).err().unwrap();
        assert_eq!((err.code(), err.to_string()), (Code::NotFound, "bad: no such image".to_owned()));
    }

    #[test]
    fn one_that_is_not_wanted_any_more_is_called_off() {
        let (keeper, heard, _agent) = keeper();
        let spec = spec("slow");
        let stop = Arc::clone(&spec.stop);
        let starting = std::thread::spawn(move || keeper.start(&spec).err());
        assert_eq!(heard.recv().unwrap(), "start slow");
        stop.store(true, Ordering::Relaxed);
        let err = starting.join().unwrap().unwrap();
        assert_eq!(err.to_string(), "slow: not started: told to end");
        // The keeper's engine has come back from its start by then, or it would go on for ever.
        assert!(heard.recv().is_err());
    }

    #[test]
    fn a_keeper_that_ends_without_a_word_is_an_error() {
        let keeper = Keeper::new(|connection| {
            drop(connection);
            woof_kit::command("true").spawn().map_err(|err| Error::io("true", "run", err))
        });
        let err = keeper.start(&spec("any")).err().unwrap();
        assert!(err.to_string().starts_with("any: "), "{err}");
    }
}
