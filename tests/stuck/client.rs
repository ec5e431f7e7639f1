//! A server in this process, and clients that speak the protocol and nothing more.

use libwoofstream::net::{Received, Request, Role, Session};
use libwoofstream::server::{Limits, Listener, Server, Site};
use libwoofstream::wire::{Decoder, Fault, Step, encode};
use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// A server.
pub(crate) struct Running {
    server: Arc<Server>,
    done: mpsc::Receiver<()>,
    dir: woof_kit::TempDir,
}

impl Running {
    pub(crate) fn new() -> Running {
        let dir = woof_kit::tempdir().unwrap();
        let limits = Limits { stop: Duration::from_secs(1), ..Limits::default() };
        let server = Server::new(Site::open(dir.path(), limits).unwrap());
        let listener = UnixListener::bind(dir.path().join(".woof/server.sock")).unwrap();
        let (ready, is_ready) = mpsc::channel();
        let (ended, done) = mpsc::channel();
        let own = Arc::clone(&server);
        std::thread::spawn(move || {
            own.run(vec![Listener::Unix(listener)], || ready.send(()).unwrap()).unwrap();
            let _ = ended.send(());
        });
        is_ready.recv().unwrap();
        Running { server, done, dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = UnixStream::connect(self.dir.path().join(".woof/server.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Client {
            stream,
            session: Session::new(Role::Client, usize::MAX),
            input: Vec::new(),
            answers: HashMap::new(),
            ended: HashMap::new(),
        }
    }

    pub(crate) fn stops_within(&self, time: Duration) {
        self.server.stop();
        self.done.recv_timeout(time).expect("the server does not stop");
    }
}

/// A stream of these elements, with its end.
pub(crate) fn elements(all: &[&str]) -> Vec<u8> {
    let mut stream = Vec::new();
    encode::preamble(&mut stream);
    for (seqno, data) in (1..).zip(all) {
        encode::elem(&mut stream, seqno, 0, data.as_bytes());
    }
    encode::end(&mut stream, Ok(()));
    stream
}

/// A client.
pub(crate) struct Client {
    stream: UnixStream,
    session: Session,
    input: Vec<u8>,
    answers: HashMap<u32, Vec<u8>>,
    ended: HashMap<u32, Option<Fault>>,
}

impl Client {
    /// Makes a request, with all of what it sends.
    pub(crate) fn open(&mut self, request: &Request, data: &[u8]) -> u32 {
        let exchange = self.session.open(&request.encode().unwrap(), 1 << 20).unwrap();
        if matches!(request, Request::Put(_)) {
            self.session.send(exchange, data);
        }
        self.session.end(exchange);
        let out = std::mem::take(self.session.output());
        self.stream.write_all(&out).unwrap();
        exchange
    }

    /// Waits for the end of an exchange; why it was cancelled, if it was.
    pub(crate) fn ended(&mut self, exchange: u32, time: Duration) -> Option<Fault> {
        let end = Instant::now() + time;
        while !self.ended.contains_key(&exchange) {
            assert!(Instant::now() < end, "no answer in {time:?}");
            self.receive();
        }
        self.ended.remove(&exchange).unwrap()
    }

    /// The status of an answer.
    pub(crate) fn answer(&mut self, exchange: u32, time: Duration) -> Result<(), Fault> {
        if let Some(fault) = self.ended(exchange, time) {
            return Err(fault);
        }
        let stream = self.answers.remove(&exchange).unwrap_or_default();
        let (mut decoder, mut rest) = (Decoder::new(1 << 20), &stream[..]);
        loop {
            let (used, step) = decoder.step(rest).unwrap();
            rest = &rest[used..];
            match step {
                Step::End(status) => return status,
                Step::Need(_) => panic!("an answer without an end"),
                _ => {}
            }
        }
    }

    fn receive(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(len) => self.input.extend_from_slice(&buffer[..len]),
            Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            Err(err) => panic!("{err}"),
        }
        let mut used = 0;
        loop {
            let (more, received) = self.session.receive(&self.input[used..]).unwrap();
            match received {
                Received::Need(_) => break,
                Received::Data { exchange, bytes } => {
                    self.answers.entry(exchange).or_default().extend_from_slice(bytes);
                }
                Received::End(exchange) => drop(self.ended.insert(exchange, None)),
                Received::Cancel(exchange, fault) => drop(self.ended.insert(exchange, Some(fault))),
                // It stops, and says so.
                _ => {}
            }
            used += more;
        }
        self.input.drain(..used);
    }
}
