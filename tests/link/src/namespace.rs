//! A network namespace without a name, with its loopback and one TUN device up.
//!
//! Failure contract: each step that the system refuses is an error that names it, of the kind the system gave. Nothing is
//! left behind: the kernel removes a namespace with its last descriptor and process.

use crate::options::MTU;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use tun_rs::{DeviceBuilder, SyncDevice};

/// The namespace of the thread that opens it.
const OWN: &str = "/proc/thread-self/ns/net";

/// How many packets the kernel keeps for the thread that reads the device. Its default of 500 is less than one window
/// of a fast connection, and what does not fit is lost.
const DEVICE_QUEUE: u32 = 20_000;

/// Makes a namespace with this address on a device that leads out of it.
///
/// # Errors
/// When the system refuses: `PermissionDenied` without root, `NotFound` without `/dev/net/tun`.
pub(crate) fn create(address: Ipv4Addr) -> io::Result<(File, SyncDevice)> {
    // A thread of its own leaves the namespace it was born in, and ends.
    on_a_thread(|| {
        let done = |what: &'static str| move |err: io::Error| explain(what, err);
        unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from).map_err(done("new network namespace"))?;
        let namespace = File::open(OWN).map_err(done(OWN))?;
        loopback_up().map_err(done("loopback of the new namespace"))?;
        let device = DeviceBuilder::new()
            .name("woof0")
            .ipv4(address, 30u8, None)
            .mtu(MTU as u16)
            .with(|device| {
                device.tx_queue_len(DEVICE_QUEUE);
            })
            .build_sync()
            .map_err(done("/dev/net/tun"))?;
        device.set_nonblocking(true).map_err(done("/dev/net/tun"))?;
        Ok((namespace, device))
    })?
}

/// Runs `what` on a new thread inside `namespace`.
///
/// # Errors
/// When the thread cannot be started, or cannot go into the namespace.
pub(crate) fn enter<T: Send>(namespace: &File, what: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_a_thread(|| {
        setns(namespace, CloneFlags::CLONE_NEWNET)
            .map_err(|err| explain("enter network namespace", err.into()))?;
        Ok(what())
    })?
}

/// Runs `what` on a new thread, since a thread that changed its namespace is of no other use. A panic goes on in the caller.
fn on_a_thread<T: Send>(what: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("link namespace".to_owned()).spawn_scoped(scope, what)?;
        thread.join().map_or_else(|panic| std::panic::resume_unwind(panic), Ok)
    })
}

fn explain(what: &str, err: io::Error) -> io::Error {
    io::Error::new(err.kind(), format!("link: {what}: {err}"))
}

/// Takes the loopback up, without which a namespace does not reach its own addresses. One message to the kernel, as
/// rtnetlink(7) has it, does it.
fn loopback_up() -> io::Result<()> {
    const LEN: u32 = 32;
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_AND_ACK: u16 = 5;
    const LOOPBACK_INDEX: i32 = 1;
    const IFF_UP: u32 = 1;
    let mut request = Vec::with_capacity(LEN as usize);
    // nlmsghdr: length, type, flags, sequence, port.
    request.extend_from_slice(&LEN.to_ne_bytes());
    request.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    request.extend_from_slice(&NLM_F_REQUEST_AND_ACK.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    // ifinfomsg: family, padding and type; index; flags; which flags change.
    request.extend_from_slice(&[0; 4]);
    request.extend_from_slice(&LOOPBACK_INDEX.to_ne_bytes());
    request.extend_from_slice(&IFF_UP.to_ne_bytes());
    request.extend_from_slice(&IFF_UP.to_ne_bytes());

    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // No protocol is number 0, which is that of routes and devices.
        None,
    )?;
    rustix::net::send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0u8; 256];
    let (len, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // The answer is a header of 16 bytes and a number: 0, or an error below it.
    let status =
        answer.get(..len).and_then(|answer| answer.get(16..20)).and_then(|status| status.try_into().ok());
    match status.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(error.wrapping_neg())),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}
