//! What goes between a server and the agent in a container: orders with descriptors, and how what was ordered has ended.
//!
//! One connection of packets (`SOCK_SEQPACKET`). An order is one packet, JSON, with four descriptors: standard input, output and error of the program,
//! and one end of a pair of sockets of its own. On that the agent answers with one packet; when the server closes or shuts its end down before, the program is killed.
//! So a program writes into the server's pipes itself, and each side finds out at once that the other has gone.
//!
//! Failure contract: an order that is not understood, or comes without its descriptors, is answered with [`Ended::NotStarted`] where it can be answered.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use std::io::{Error, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use woof_core::limits::ORDER_MAX;

/// How many descriptors come with an order.
const DESCRIPTORS: usize = 4;

/// The longest answer, in bytes.
const ANSWER_MAX: usize = 4096;

/// A program to be started in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables besides those of the image.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub dir: String,
    /// Its address space, in bytes.
    pub memory: u64,
    /// What its processes have in `WOOF_TRIGGER`, when they have.
    pub trigger: Option<String>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It could not be started.
    NotStarted(String),
    /// The container ended under it, or was removed.
    Gone,
}

impl Ended {
    /// The exit status as a shell has it, where there is one.
    pub fn status(&self) -> Option<u8> {
        match self {
            Ended::Exited(status) => u8::try_from(*status).ok(),
            Ended::Killed(signal) => u8::try_from(128 + signal).ok(),
            Ended::NotStarted(_) | Ended::Gone => None,
        }
    }

    /// What is wrong with that; `None` when all is well.
    pub fn failure(&self) -> Option<String> {
        match self {
            Ended::Exited(0) => None,
            Ended::Exited(status) => Some(format!("exit status {status}")),
            Ended::Killed(signal) => Some(format!("killed by signal {signal}")),
            Ended::NotStarted(why) => Some(format!("start: {why}")),
            Ended::Gone => Some("its container ended under it".to_owned()),
        }
    }
}

/// What came as an order, or why it is none, with its descriptors.
pub(super) type Received = (Result<Order, String>, Vec<OwnedFd>);

/// Two ends of a connection for packets.
pub(super) fn pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends an order.
///
/// # Errors
/// When it is too long, or nobody is there.
pub(super) fn send_order(
    control: &OwnedFd,
    order: &Order,
    descriptors: &[OwnedFd; DESCRIPTORS],
) -> std::io::Result<()> {
    let text = serde_json::to_vec(order)?;
    if text.len() > ORDER_MAX {
        let text = format!("arguments and environment of {} bytes, the limit is {ORDER_MAX}", text.len());
        return Err(Error::new(std::io::ErrorKind::InvalidInput, text));
    }
    let borrowed = descriptors.each_ref().map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control_data = SendAncillaryBuffer::new(&mut space);
    control_data.push(SendAncillaryMessage::ScmRights(&borrowed));
    rustix::io::retry_on_intr(|| {
        sendmsg(control, &[IoSlice::new(&text)], &mut control_data, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Waits for an order. `None` when the other side has gone.
///
/// # Errors
/// When the connection fails.
pub(super) fn take_order(control: &OwnedFd, buffer: &mut [u8]) -> std::io::Result<Option<Received>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control_data = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match recvmsg(control, &mut slices, &mut control_data, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?.bytes,
        }
    };
    let mut descriptors = Vec::new();
    for message in control_data.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received == 0 {
        return Ok(None);
    }
    let order = serde_json::from_slice(buffer.get(..received).unwrap_or_default());
    Ok(Some((order.map_err(|err| format!("not an order: {err}")), descriptors)))
}

/// Answers an order. Whoever has gone needs no answer.
pub(super) fn answer(to: &OwnedFd, ended: &Ended) {
    if let Ok(text) = serde_json::to_vec(ended) {
        let _ = send(to, text.get(..ANSWER_MAX).unwrap_or(&text), SendFlags::NOSIGNAL);
    }
}

/// Takes the answer to an order. It is there once the descriptor is readable.
pub(super) fn take_answer(from: &OwnedFd) -> Ended {
    let mut buffer = [0; ANSWER_MAX];
    let received = rustix::io::retry_on_intr(|| recv(from, &mut buffer, RecvFlags::empty()));
    match received {
        Ok((count, _)) if count > 0 => {
            let text = buffer.get(..count).unwrap_or_default();
            serde_json::from_slice(text).unwrap_or_else(|err| Ended::NotStarted(format!("its answer: {err}")))
        }
        _ => Ended::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    fn order() -> Order {
        Order {
            argv: vec!["handlers/alarm.sh".to_owned()],
            env: vec![("WOOF_SEQNO".to_owned(), "5".to_owned())],
            dir: "/namespace".to_owned(),
            memory: 1 << 30,
            trigger: Some("1-5".to_owned()),
        }
    }

    #[test]
    fn an_order_comes_with_its_descriptors_and_is_answered() {
        let (server, agent) = pair().unwrap();
        let (own, theirs) = pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        let other = || File::open("/dev/null").unwrap().into();
        send_order(&server, &order(), &[other(), write, other(), theirs]).unwrap();
        let mut buffer = vec![0; ORDER_MAX];
        let (taken, descriptors) = take_order(&agent, &mut buffer).unwrap().unwrap();
        assert_eq!(taken.unwrap(), order());
        let [_, out, _, end] = <[OwnedFd; 4]>::try_from(descriptors).unwrap();
        File::from(out).write_all(b"line\n").unwrap();
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line\n");
        answer(&end, &Ended::Killed(9));
        assert_eq!(take_answer(&own), Ended::Killed(9));
        drop(end);
        assert_eq!(take_answer(&own), Ended::Gone);
        drop(server);
        assert!(take_order(&agent, &mut buffer).unwrap().is_none());
    }

    #[test]
    fn an_order_that_is_too_long_is_not_sent() {
        let (server, _agent) = pair().unwrap();
        let null = || File::open("/dev/null").unwrap().into();
        let long = Order { argv: vec!["x".repeat(ORDER_MAX)], ..order() };
        let err = send_order(&server, &long, &[null(), null(), null(), null()]).unwrap_err();
        assert!(err.to_string().contains("the limit is"), "{err}");
    }

    #[test]
    fn what_is_no_order_is_told_apart_from_one() {
        let (server, agent) = pair().unwrap();
        send(&server, b"{}", SendFlags::NOSIGNAL).unwrap();
        let (order, descriptors) = take_order(&agent, &mut vec![0; ORDER_MAX]).unwrap().unwrap();
        assert!(order.unwrap_err().starts_with("not an order: missing field"));
        assert!(descriptors.is_empty());
    }
}
