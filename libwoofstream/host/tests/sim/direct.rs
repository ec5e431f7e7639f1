//! A client that hands a server's connection whatever bytes it likes, and looks at what comes back frame by frame.

use crate::world::AllAwake;
use libwoofstream::access::Peer;
use libwoofstream::error::Result;
use libwoofstream::log::{self, Options};
use libwoofstream::net::{FRAME_HEADER, GREETING, Request};
use libwoofstream::server::{Connection, Limits, Site};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

pub(crate) const OPEN: u8 = 1;
pub(crate) const DATA: u8 = 2;
pub(crate) const END: u8 = 3;
pub(crate) const CANCEL: u8 = 4;
pub(crate) const CREDIT: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 8;

/// What came: its kind, its exchange and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) exchange: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, exchange: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_le_bytes();
    [&[len[0], len[1], len[2], kind][..], &exchange.to_le_bytes(), payload].concat()
}

pub(crate) fn open(exchange: u32, credit: u32, request: &Request) -> Vec<u8> {
    frame(OPEN, exchange, &[&credit.to_le_bytes()[..], &request.encode().unwrap()].concat())
}

/// A client without manners.
pub(crate) struct Client {
    pub(crate) server: Connection,
    greeted: bool,
}

impl Client {
    pub(crate) fn new(site: &Arc<Site>, peer: Peer) -> Client {
        Client { server: Connection::new(Arc::clone(site), peer, Arc::new(AllAwake)), greeted: false }
    }

    /// One that has greeted.
    pub(crate) fn greeted(site: &Arc<Site>) -> Client {
        let mut client = Client::new(site, owner(site.root()));
        client.send(&GREETING).unwrap();
        client
    }

    /// Hands bytes over, and has the server do all it can.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let received = self.server.receive(bytes);
        self.server.pump_all();
        received
    }

    /// Takes what came.
    pub(crate) fn take(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let output = std::mem::take(self.server.output());
            let mut rest = &output[..];
            if !self.greeted && !rest.is_empty() {
                assert!(rest.starts_with(&GREETING));
                rest = &rest[GREETING.len()..];
                self.greeted = true;
            }
            while let Some((header, behind)) = rest.split_first_chunk::<FRAME_HEADER>() {
                let [a, b, c, kind, e, f, g, h] = *header;
                let len = u32::from_le_bytes([a, b, c, 0]) as usize;
                let exchange = u32::from_le_bytes([e, f, g, h]);
                frames.push(Frame { kind, exchange, payload: behind[..len].to_vec() });
                rest = &behind[len..];
            }
            assert!(rest.is_empty(), "half a frame");
            let is_full = self.server.pump_all();
            if !is_full && self.server.output().is_empty() {
                return frames;
            }
        }
    }

    /// All that came of the answer of an exchange, as text, and whether it is complete.
    pub(crate) fn answer(&mut self, exchange: u32) -> (String, bool) {
        let frames = self.take();
        let of = |kind| frames.iter().filter(move |frame| frame.kind == kind && frame.exchange == exchange);
        let bytes: Vec<u8> = of(DATA).flat_map(|frame| frame.payload.clone()).collect();
        (String::from_utf8_lossy(&bytes).into_owned(), of(END).count() == 1)
    }

    /// Makes a request with nothing behind it, as exchange 1 of a connection; the whole answer as text.
    pub(crate) fn ask(site: &Arc<Site>, peer: Peer, request: &Request) -> String {
        let mut client = Client::new(site, peer);
        let sent = [&GREETING[..], &open(1, 1 << 20, request), &frame(END, 1, &[])].concat();
        client.send(&sent).unwrap();
        let (answer, complete) = client.answer(1);
        assert!(complete, "{answer}");
        answer
    }
}

/// The text of a frame.
pub(crate) fn text(frame: &Frame) -> String {
    String::from_utf8_lossy(&frame.payload).into_owned()
}

/// The owner of a directory.
pub(crate) fn owner(dir: &Path) -> Peer {
    Peer::unix(std::fs::metadata(dir).unwrap().uid(), Vec::new())
}

/// A site with a woof `farm/temp` in a namespace, and one element in it.
pub(crate) fn site(dir: &Path, limits: Limits) -> Arc<Site> {
    let site = Site::open(dir, limits).unwrap();
    std::fs::create_dir_all(dir.join("farm/.woof")).unwrap();
    let path = dir.join("farm/temp");
    log::create(&path, &Options { history: 1 << 12, capacity: 1 << 20, ..Options::default() }).unwrap();
    log::open(&path).unwrap().appender().unwrap().append(b"21.5").unwrap();
    site
}
