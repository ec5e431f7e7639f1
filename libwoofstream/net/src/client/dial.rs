//! Sockets: the Unix socket of a server of this machine, and TCP with TLS, or without it to loopback addresses when that was
//! asked for.
//!
//! Failure contract: which step failed is said: finding the address, connecting, TLS. Whoever refuses for good is told from what may work
//! later ([`Code::Unreachable`]).

use super::remote::SOCKET;
use super::transport::{Dial, Transport, Waited};
use crate::keys::{ClientKeys, Us, explain, server_name};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{Address, Host, STATE_DIR};
use woof_core::sys::{self, poll_for};
use woof_space::Stop;

/// A pause looks so often whether it was stopped.
const SLICE: Duration = Duration::from_millis(200);

/// Bytes of the first flight that may travel before the handshake is over.
const EARLY_MAX: usize = 16 << 10;

/// Makes connections to servers.
pub struct Dialer {
    keys: Option<Arc<ClientKeys>>,
    insecure: bool,
    begun: Instant,
}

impl Dialer {
    /// With the keys for TLS, where there are any. `insecure` connections have no TLS, and go to loopback addresses only.
    pub fn new(keys: Option<Arc<ClientKeys>>, insecure: bool) -> Dialer {
        Dialer { keys, insecure, begun: Instant::now() }
    }

    fn connect(&self, address: &Address, timeout: Duration) -> Result<Socket> {
        if address.host == Host::ThisMachine {
            let path = Path::new(&address.path).join(STATE_DIR).join(SOCKET);
            let stream = UnixStream::connect(&path).map_err(|err| {
                let told = Error::io("", "connect", err);
                let code = if told.code() == Code::Denied { Code::Denied } else { Code::Unreachable };
                Error::new(code, "", format!("{} (is wserve running)", told.text()))
            })?;
            return Socket::new(Stream::Unix(stream), None);
        }
        // What is wrong with the keys is wrong before anything is sent.
        let (config, host) = if self.insecure {
            (None, None)
        } else {
            let keys = self.keys.as_ref().ok_or_else(|| {
                Error::new(
                    Code::Denied,
                    "",
                    "there are no keys here: wkey makes them, or wkey import takes them in",
                )
            })?;
            (Some(keys.config()?), Some(server_name(&address.host.to_string())?))
        };
        let addresses = find(address)?;
        if self.insecure && !addresses.iter().all(|address| address.ip().is_loopback()) {
            return Err(Error::new(Code::Denied, "", "without TLS only loopback addresses are connected to"));
        }
        let stream = connect_to(&addresses, timeout)?;
        let tls = match (config, host) {
            (Some(config), Some(host)) => {
                let tls = ClientConnection::new(config, host).map_err(|err| explain(&err, Us::Client))?;
                Some(Box::new(tls))
            }
            _ => None,
        };
        Socket::new(Stream::Tcp(stream), tls)
    }
}

/// The addresses of a server.
fn find(address: &Address) -> Result<Vec<SocketAddr>> {
    let port = address.port;
    let name = match &address.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, port)]),
        Host::ThisMachine => return Ok(Vec::new()),
        // Known without asking anybody, which a program in an empty container could not.
        Host::Name(name) if name == "localhost" => {
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return Ok(both.map(|ip| SocketAddr::new(ip, port)).to_vec());
        }
        Host::Name(name) => name,
    };
    let failed =
        |why: String| Error::new(Code::Unreachable, "", format!("no address of {name} was found: {why}"));
    let found: Vec<SocketAddr> = (name.as_str(), port)
        .to_socket_addrs()
        .map_err(|err| {
            failed(err.to_string().trim_start_matches("failed to lookup address information: ").to_owned())
        })?
        .collect();
    if found.is_empty() { Err(failed("it has none".to_owned())) } else { Ok(found) }
}

/// Connects to the first address that answers.
fn connect_to(addresses: &[SocketAddr], timeout: Duration) -> Result<TcpStream> {
    let end = Instant::now() + timeout;
    let mut last = None;
    for (number, address) in addresses.iter().enumerate() {
        // Each gets its share of what is left of the time.
        let left = end.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - number).unwrap_or(1);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(err) => {
                let why = match err.kind() {
                    ErrorKind::TimedOut => format!("no answer in {} s (--timeout)", share.as_secs().max(1)),
                    _ => Error::io("", "", err).text().to_owned(),
                };
                last.get_or_insert(format!("connect to {address}: {why}"));
            }
        }
    }
    Err(Error::new(Code::Unreachable, "", last.unwrap_or_else(|| "it has no address".to_owned())))
}

impl Dial for Dialer {
    fn dial(&self, address: &Address, timeout: Duration) -> Result<Box<dyn Transport>> {
        Ok(Box::new(self.connect(address, timeout)?))
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn pause(&self, time: Duration, stop: &Stop) -> bool {
        let end = Instant::now() + time;
        while !stop.is_stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(SLICE));
        }
        false
    }

    fn random(&self) -> u64 {
        sys::random_u64()
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connected socket.
struct Socket {
    stream: Stream,
    tls: Option<Box<ClientConnection>>,
    /// What was sent as early data, until it is known whether the server took it.
    early: Vec<u8>,
    /// What a stop wakes the wait with.
    stopped: Option<Arc<OwnedFd>>,
}

impl Socket {
    fn new(stream: Stream, tls: Option<Box<ClientConnection>>) -> Result<Socket> {
        let failed = |err: io::Error| Error::io("", "set up the connection", err);
        match &stream {
            Stream::Tcp(stream) => {
                stream.set_nonblocking(true).map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                sys::keep_alive(stream).map_err(failed)?;
            }
            Stream::Unix(stream) => stream.set_nonblocking(true).map_err(failed)?,
        }
        Ok(Socket { stream, tls, early: Vec::new(), stopped: None })
    }

    /// Sends what TLS has to send.
    fn push(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// What is waited for.
    fn events(&self, write: bool) -> PollFlags {
        let pending = match &self.tls {
            // While it is not known whether early data was taken, there is nothing to be written.
            Some(tls) => tls.wants_write() || (write && self.early.is_empty() && !tls.is_handshaking()),
            None => write,
        };
        if pending { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN }
    }

    /// Sends early data again that the server did not take. False while that is not known.
    fn settle_early(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        if self.early.is_empty() {
            return Ok(true);
        }
        if tls.is_handshaking() {
            return Ok(false);
        }
        let early = std::mem::take(&mut self.early);
        if !tls.is_early_data_accepted() {
            // Less than what TLS buffers.
            tls.writer().write_all(&early)?;
        }
        Ok(true)
    }
}

impl Transport for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
            match tls.reader().read(buffer) {
                Err(err) if err.kind() == ErrorKind::WouldBlock => {}
                // Whether an answer is complete, its own end says.
                Err(err) if err.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            match tls.read_tls(&mut self.stream) {
                Ok(_) => {}
                Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                Err(err) => return Err(err),
            }
            if let Err(err) = tls.process_new_packets() {
                // The other side is told why, if that still can be done.
                let _ = self.push();
                return Err(io::Error::new(ErrorKind::InvalidData, err));
            }
            self.settle_early()?;
            self.push()?;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.settle_early()? {
            self.push()?;
            return Err(ErrorKind::WouldBlock.into());
        }
        let Some(tls) = &mut self.tls else { return self.stream.write(bytes) };
        let taken = tls.writer().write(bytes)?;
        self.push()?;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn write_early(&mut self, bytes: &[u8]) -> usize {
        let Some(tls) = &mut self.tls else { return 0 };
        let Some(mut early) = tls.early_data() else { return 0 };
        // All or nothing: what is cut in two could not be put together again.
        if bytes.len() > EARLY_MAX || bytes.len() > early.bytes_left() {
            return 0;
        }
        match early.write_all(bytes) {
            Ok(()) => {
                self.early = bytes.to_vec();
                bytes.len()
            }
            Err(_) => 0,
        }
    }

    fn wait(&mut self, write: bool, timeout: Option<Duration>, stop: Option<&Stop>) -> io::Result<Waited> {
        self.push()?;
        if let Some(stop) = stop
            && self.stopped.is_none()
        {
            let fd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
            let weak = Arc::downgrade(&fd);
            self.stopped = Some(fd);
            stop.on_stop(move || {
                if let Some(fd) = weak.upgrade() {
                    // Only a counter that is full would refuse, and that wakes as well.
                    let _ = rustix::io::write(&*fd, &1u64.to_le_bytes());
                }
            });
        }
        let mut fds = vec![PollFd::from_borrowed_fd(self.stream.as_fd(), self.events(write))];
        if let Some(stopped) = &self.stopped {
            fds.push(PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN));
        }
        let count = poll_for(&mut fds, timeout)?;
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            return Ok(Waited::Stopped);
        }
        Ok(if count == 0 { Waited::TimedOut } else { Waited::Ready })
    }

    fn wait_with(&mut self, write: bool, timeout: Duration, others: &[PollFd<'_>]) -> io::Result<Waited> {
        self.push()?;
        let own = PollFd::from_borrowed_fd(self.stream.as_fd(), self.events(write));
        let mut fds = vec![own];
        fds.extend(others.iter().cloned());
        Ok(if poll_for(&mut fds, Some(timeout))? == 0 { Waited::TimedOut } else { Waited::Ready })
    }

    fn is_proven(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking())
    }

    fn explain(&self, error: &io::Error) -> Option<Error> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(explain(inner, Us::Client))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        // The server sees the connection close in any case.
        let _ = self.push();
    }
}
