//! What the fuzz target `protocol` and the smoke test do with bytes that may be anything: they come to a server over a directory
//! with one woof, and to a client. Whatever they are, what is held for them and sent for them is in proportion to them.

use libwoofstream::access::Peer;
use libwoofstream::log::{self, Options};
use libwoofstream::net::{Access, Find, GREETING, Named, Put, Read, Received, Request, Role, Run, Session};
use libwoofstream::server::{Connection, Limits, Site, Wake};
use libwoofstream::wire::encode;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

struct AllAwake;

impl Wake for AllAwake {
    fn wake(&self, _exchange: u32) {}
}

/// A directory to be served, with one woof in it.
pub(crate) fn site(root: &Path) -> Option<Arc<Site>> {
    let site = Site::open(root, Limits { exchanges: 4, followed: 4, ..Limits::default() }).ok()?;
    let path = root.join("w");
    let _ = std::fs::remove_file(&path);
    log::create(&path, &Options { history: 64, capacity: 16 << 10, ..Options::default() }).ok()?;
    log::open(&path).ok()?.appender().ok()?.append(b"21.5").ok()?;
    Some(site)
}

/// Requests that make nothing new: sizes of woofs are not to be made up here.
fn requests() -> Vec<Vec<u8>> {
    let name = || "w".to_owned();
    let requests = [
        Request::Stat(Named { name: name() }),
        Request::Put(Put {
            name: name(),
            writer: 1,
            content: "text".into(),
            resume: Some(1),
            ..Put::default()
        }),
        Request::Read(Read { name: name(), from: Some(1), limit: Some(3), follow: true, ..Read::default() }),
        Request::Read(Read {
            name: name(),
            range: true,
            filter: Some("value > 3".into()),
            ..Read::default()
        }),
        Request::Find(Find { get: true, ..Find::default() }),
        Request::Access(Access { name: String::new(), change: None }),
        // Nothing is there that would run.
        Request::Run(Run { handler: "none".into(), ..Run::default() }),
    ];
    requests.iter().filter_map(|request| request.encode().ok()).collect()
}

/// Frames made of `input`: a byte for the kind, one for the exchange, one for what is in it and how long that is.
fn frames(input: &[u8]) -> Vec<u8> {
    let requests = requests();
    let mut out = GREETING.to_vec();
    let mut rest = input;
    while let Some((&[kind, exchange, what], behind)) = rest.split_first_chunk::<3>() {
        let own = behind.get(..usize::from(what % 32)).unwrap_or(behind);
        rest = behind.get(own.len()..).unwrap_or_default();
        let mut payload = match kind % 12 {
            1 => {
                [&u32::from(what).to_le_bytes()[..], requests.get(usize::from(what) % 8).map_or(own, |it| it)]
                    .concat()
            }
            5 => vec![what, exchange, 0, 0],
            6 | 7 => vec![what; 8],
            3 => Vec::new(),
            4 | 8 if what & 128 == 0 => vec![0x80],
            2 => {
                let mut stream = Vec::new();
                if what & 64 != 0 {
                    encode::preamble(&mut stream);
                }
                if what & 128 != 0 {
                    encode::elem(&mut stream, u64::from(what % 16), 0, own);
                } else {
                    stream.extend_from_slice(own);
                }
                stream
            }
            _ => own.to_vec(),
        };
        // Now and then a byte of it is another.
        if exchange & 0x80 != 0
            && let Some(byte) = payload.get_mut(usize::from(what))
        {
            *byte ^= kind;
        }
        // Frames for the connection as a whole, and for an exchange.
        let number = match kind % 12 {
            6..=8 if exchange & 0x40 == 0 => 0,
            _ => exchange % 8,
        };
        let len = payload.len().to_le_bytes();
        out.extend_from_slice(&[len[0], len[1], len[2], kind % 12, number, 0, 0, 0]);
        out.extend_from_slice(&payload);
    }
    out
}

/// Hands the bytes, or the frames made of them, to a server and to a client, in pieces. Says whether the server took them all.
pub(crate) fn exercise(site: &Arc<Site>, input: &[u8]) -> bool {
    let Some((how, rest)) = input.split_first() else { return false };
    let bytes = if how & 1 == 0 { frames(rest) } else { rest.to_vec() };
    let step = usize::from(how >> 1) + 1;
    let uid = std::fs::metadata(site.root()).map_or(0, |meta| meta.uid());
    let mut server = Connection::new(Arc::clone(site), Peer::unix(uid, Vec::new()), Arc::new(AllAwake));
    let mut right = true;
    for piece in bytes.chunks(step) {
        right &= server.receive(piece).is_ok();
        (0..8).for_each(|exchange| server.wake(exchange));
        server.pump_all();
        assert!(server.output().len() < 1 << 20, "{} bytes wait to be sent", server.output().len());
        if how & 2 == 0 {
            server.output().clear();
        }
    }
    let mut client = Session::new(Role::Client, 1);
    let _ = client.open(b"request", 1 << 10);
    let mut start = 0;
    while let Ok((used, received)) = client.receive(bytes.get(start..).unwrap_or_default()) {
        if matches!(received, Received::Need(_)) {
            break;
        }
        assert!(used > 0);
        start += used;
    }
    right
}
