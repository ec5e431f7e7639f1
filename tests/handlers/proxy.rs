//! A container engine between us and the real one, which keeps a request back as long as a test wants.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A proxy that passes on everything but requests with a word in them.
pub(crate) struct Proxy {
    path: PathBuf,
    /// Gets one for each request that is kept back.
    kept: Receiver<()>,
}

impl Proxy {
    /// A proxy with its socket at a path.
    pub(crate) fn keeping(word: &'static str, path: &Path) -> Proxy {
        let listener = UnixListener::bind(path).unwrap();
        let (send, kept) = channel();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                pass(client, word, send.clone());
            }
        });
        Proxy { path: path.to_owned(), kept }
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Waits until a request is kept back.
    pub(crate) fn wait(&self) {
        self.kept.recv_timeout(std::time::Duration::from_secs(60)).expect("a request");
    }
}

fn pass(client: UnixStream, word: &'static str, kept: Sender<()>) {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let engine = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
    let engine = UnixStream::connect(engine).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if buffer[..count].windows(word.len()).any(|part| part == word.as_bytes()) {
                let _ = kept.send(());
                continue;
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let (mut from, mut to) = (engine, client);
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
