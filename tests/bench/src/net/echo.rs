//! A ping-pong inside TLS over blocking sockets, to another process and back: what the round trips of the server are held
//! against. The same certificates, the same cipher, the same library for TLS.

use super::server::Keys;
use crate::Result;
use crate::append::LEN;
use crate::child;
use crate::place::Place;
use rustls::{ClientConnection, ServerConnection, StreamOwned};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;

/// Bytes of the file that is written to.
const FILE_LEN: u64 = 16 << 20;

/// The other process, and the connection to it.
pub(crate) struct Echo {
    stream: StreamOwned<ClientConnection, TcpStream>,
    process: Child,
    message: [u8; LEN],
}

impl Echo {
    /// Starts one. With a file it writes each message there and makes it durable before it answers.
    pub(crate) fn start(place: &Place, keys: &Keys, dir: &Path, file: Option<&Path>) -> Result<Echo> {
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("path is not UTF-8");
        let (dir, file) = (text(dir)?, file.map(text).transpose()?);
        let mut role = vec!["tls-echo", &*dir];
        role.extend(file.as_deref());
        let mut process = child::start(place, &role)?;
        let mut port = [0; 2];
        let mut stdout = process.stdout.take().ok_or("no pipe")?;
        stdout.read_exact(&mut port)?;
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, u16::from_le_bytes(port)))?;
        socket.set_nodelay(true)?;
        let name = rustls::pki_types::ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        let tls = ClientConnection::new(keys.client().config()?, name)?;
        Ok(Echo { stream: StreamOwned::new(tls, socket), process, message: [7; LEN] })
    }

    /// There and back.
    pub(crate) fn round_trip(&mut self) -> Result<()> {
        self.stream.write_all(&self.message)?;
        self.stream.flush()?;
        Ok(self.stream.read_exact(&mut self.message)?)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It ends when the connection does, and may have gone already.
        let _ = self.stream.sock.shutdown(std::net::Shutdown::Both);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other process: answers each message with itself until the connection ends.
pub(crate) fn run(dir: &Path, file: Option<&Path>) -> Result<()> {
    let file = file.map(written).transpose()?;
    let config = Keys::new(dir)?.server(Ipv4Addr::LOCALHOST)?.config();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut stdout = std::io::stdout();
    stdout.write_all(&listener.local_addr()?.port().to_le_bytes())?;
    stdout.flush()?;
    let (socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, socket);
    let (mut message, mut at) = ([0; LEN], 0);
    while stream.read_exact(&mut message).is_ok() {
        if let Some(file) = &file {
            file.write_all_at(&message, at)?;
            file.sync_data()?;
            at = (at + LEN as u64) % (FILE_LEN - LEN as u64);
        }
        stream.write_all(&message)?;
        stream.flush()?;
    }
    Ok(())
}

/// A file whose blocks were all written and are durable.
fn written(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(true).write(true).open(path)?;
    for at in (0..FILE_LEN).step_by(1 << 20) {
        file.write_all_at(&[0; 1 << 20], at)?;
    }
    file.sync_all()?;
    Ok(file)
}
