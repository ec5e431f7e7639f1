//! The sockets of the server: its own Unix socket, the addresses it is told to listen on, and those that a service manager hands over.
//!
//! Failure contract: what cannot be listened on is refused by its name before anything is served. A socket file is removed only
//! when this server made it, and replaced only when it is a socket: the lock of the directory says that its server is gone.

use libwoofstream::chan::Channels;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use woofcmds::support::prelude::*;
use woofcmds::wserve::parse_address;

/// The longest path of a socket, in bytes: that of the system, without the byte that ends it.
const PATH_MAX: usize = 107;

/// So many connections wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// The Unix socket at which programs on this machine find the server, with its file as long as this lives.
#[derive(Debug)]
pub(crate) struct OwnSocket(PathBuf);

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // There is nobody left to tell, and the next server replaces it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens on the Unix socket at `path`.
///
/// # Errors
/// When the path is too long, or something that is no socket is in its place.
pub(crate) fn unix(path: &Path) -> Result<(UnixListener, OwnSocket), Error> {
    let shown = path.display().to_string();
    let len = path.as_os_str().as_bytes().len();
    if len > PATH_MAX {
        let text =
            format!("the path of the server's socket is {len} bytes, the limit of the system is {PATH_MAX}");
        return Err(Error::new(Code::TooLarge, shown, text));
    }
    let failed = |doing: &'static str| {
        let shown = shown.clone();
        move |err: std::io::Error| Error::io(shown.clone(), doing, err)
    };
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => {
            fs::remove_file(path).map_err(failed("remove the socket of a server that is gone"))?;
        }
        Ok(_) => {
            return Err(Error::new(Code::Exists, shown, "is where the server's socket belongs, and is none"));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed("listen"))?;
    let socket = OwnSocket(path.to_owned());
    // Everybody who can reach the directory may connect: the kernel says who it is, and the access lists decide what that one may do.
    // A stricter mode would only keep out those to whom the owner gave a right with wattr.
    fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(failed("let others connect"))?;
    Ok((longer_backlog(listener), socket))
}

/// Listens on a TCP address, which names what errors are about.
///
/// # Errors
/// When it is no address, or cannot be listened on.
pub(crate) fn tcp(address: &str, only_loopback: bool) -> Result<TcpListener, Error> {
    let addresses = resolve(address)?;
    if only_loopback {
        addresses.iter().try_for_each(|one| check_loopback(address, one))?;
    }
    let listener = TcpListener::bind(&addresses[..]).map_err(|err| Error::io(address, "listen", err))?;
    Ok(longer_backlog(listener))
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, Error> {
    parse_address(address)?;
    let found = address.to_socket_addrs().map_err(|err| {
        let why = err.to_string();
        let why = why.trim_start_matches("failed to lookup address information: ");
        Error::new(Code::Unreachable, address, format!("no address of it was found: {why}"))
    })?;
    Ok(found.collect())
}

fn check_loopback(shown: &str, address: &SocketAddr) -> Result<(), Error> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let text = "with --insecure everybody there could listen in: only loopback addresses are allowed";
    Err(Error::new(Code::Denied, shown, text))
}

/// Room for clients that come all at once: what the standard library asks for is 128 on some systems.
fn longer_backlog<L: AsFd>(listener: L) -> L {
    // Listening already; with a shorter queue when this is refused.
    let _ = rustix::net::listen(&listener, BACKLOG);
    listener
}

/// A socket that was handed over.
#[derive(Debug)]
pub(crate) enum Passed {
    /// A Unix socket for clients of this machine.
    Unix(UnixListener),
    /// A TCP socket for clients with TLS.
    Tls(TcpListener),
    /// A TCP socket for who collects metrics.
    Metrics(TcpListener),
}

/// Takes what a service manager hands over (`LISTEN_FDS`). To be called before anything is opened. Of what is called `unix`, `tls` or
/// `metrics` the name decides, of others the kind.
///
/// # Errors
/// What is no listening socket, or not of the kind that its name says.
pub(crate) fn passed() -> Result<Vec<Passed>, Error> {
    let failed = |err| Error::io("LISTEN_FDS", "take the sockets", err);
    let named: Vec<_> = sd_notify::listen_fds_with_names().map_err(failed)?.collect();
    let entries: Vec<String> = named.iter().map(|(number, _)| format!("passed{number}=<{number}")).collect();
    // Channels are descriptors that the program was started with, as these are.
    let mut channels = Channels::parse(&entries.join(",")).map_err(|err| err.of("LISTEN_FDS"))?;
    let mut sockets = Vec::new();
    for (number, name) in named {
        let object = format!("LISTEN_FDS: {name} (descriptor {number})");
        let fd = channels.take_input(&format!("passed{number}")).map_err(|err| err.of(&*object))?;
        sockets.push(kind_of(&name, fd).map_err(|err| err.of(&*object))?);
    }
    Ok(sockets)
}

fn kind_of(name: &str, fd: OwnedFd) -> Result<Passed, Error> {
    let is_listening = sockopt::socket_type(&fd) == Ok(SocketType::STREAM)
        && sockopt::socket_acceptconn(&fd).unwrap_or(false);
    let family = if is_listening { sockopt::socket_domain(&fd).ok() } else { None };
    match (family, name) {
        (Some(AddressFamily::UNIX), "tls" | "metrics") => {
            Err(Error::new(Code::Invalid, "", "is a Unix socket, and its name says TCP"))
        }
        (Some(AddressFamily::UNIX), _) => Ok(Passed::Unix(UnixListener::from(fd))),
        (Some(AddressFamily::INET | AddressFamily::INET6), "unix") => {
            Err(Error::new(Code::Invalid, "", "is a TCP socket, and its name says unix"))
        }
        (Some(AddressFamily::INET | AddressFamily::INET6), "metrics") => {
            Ok(Passed::Metrics(TcpListener::from(fd)))
        }
        (Some(AddressFamily::INET | AddressFamily::INET6), _) => Ok(Passed::Tls(TcpListener::from(fd))),
        _ => Err(Error::new(Code::Invalid, "", "is no socket that listens")),
    }
}

/// Refuses an address that is not this machine's own, for a socket that was handed over.
///
/// # Errors
/// [`Code::Denied`].
pub(crate) fn check_passed(listener: &TcpListener) -> Result<(), Error> {
    let address = listener.local_addr().map_err(|err| Error::io("LISTEN_FDS", "", err))?;
    check_loopback(&address.to_string(), &address)
}

/// Whether a Unix socket is the one at `path`.
pub(crate) fn is_at(listener: &UnixListener, path: &Path) -> bool {
    let own = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
    own.is_some_and(|own| own.canonicalize().is_ok_and(|own| own == path))
}
