//! A right that is taken away ends what is open, with the reason, however the list came to be another; what was acknowledged stays.

use crate::direct::{CANCEL, Client, DATA, END, frame, open, site};
use crate::world::directory;
use libwoofstream::access::{AccessList, Change, FILE, Peer};
use libwoofstream::log;
use libwoofstream::net::{Find, GREETING, Put, Read, Request};
use libwoofstream::server::{Limits, Site};
use libwoofstream::wire::encode;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Far longer than it takes.
const LONG: Duration = Duration::from_secs(60);

/// How the list of a namespace becomes another one, by which bob has no rights.
type Taken = fn(&Path);

fn change(namespace: &Path, text: &str) {
    AccessList::update(namespace, &Change::parse(text.split(' ')).unwrap()).unwrap();
}

fn list(namespace: &Path) -> PathBuf {
    namespace.join(".woof").join(FILE)
}

const TAKEN: [(&str, Taken, &str); 7] = [
    ("revoked", |farm| change(farm, "revoke user bob"), "no right to"),
    ("edited", |farm| std::fs::write(list(farm), "group other all\n").unwrap(), "no right to"),
    (
        "replaced",
        |farm| {
            std::fs::write(farm.join("new"), "any trigger\n").unwrap();
            std::fs::rename(farm.join("new"), list(farm)).unwrap();
        },
        "no right to",
    ),
    ("removed", |farm| std::fs::remove_file(list(farm)).unwrap(), "no right to"),
    ("damaged", |farm| std::fs::write(list(farm), "user bob raed\n").unwrap(), "only the owner has, since"),
    (
        "a link",
        |farm| {
            std::fs::remove_file(list(farm)).unwrap();
            std::os::unix::fs::symlink("/dev/null", list(farm)).unwrap();
        },
        "no right to",
    ),
    ("a namespace between", |farm| std::fs::create_dir(farm.join("deep/.woof")).unwrap(), "no right to"),
];

/// What bob has open: a follow that sleeps, a read and a search whose answers nobody takes, and a put that waits for more.
fn open_all(site: &Arc<Site>, peer: Peer) -> (Client, Vec<u32>) {
    let name = || "farm/deep/many".to_owned();
    let read = |follow| Request::Read(Read { name: name(), range: true, follow, ..Read::default() });
    let find = Request::Find(Find { name: "farm/deep".to_owned(), get: true, ..Find::default() });
    let put = Request::Put(Put { name: name(), writer: 7, content: "text".to_owned(), ..Put::default() });
    let mut elements = Vec::new();
    encode::preamble(&mut elements);
    encode::elem(&mut elements, 1, 0, b"before");
    let mut client = Client::new(site, peer);
    let sent = [
        &GREETING[..],
        &open(1, 1 << 30, &read(true)),
        &open(2, 100, &read(false)),
        &open(3, 100, &find),
        &open(4, 1 << 20, &put),
        &frame(DATA, 4, &elements),
    ];
    client.send(&sent.concat()).unwrap();
    let frames = client.take();
    assert!(!frames.iter().any(|frame| frame.kind == END || frame.kind == CANCEL), "{frames:?}");
    (client, vec![1, 2, 3, 4])
}

#[test]
fn a_right_that_is_taken_away_ends_what_is_open_and_says_why() {
    for (how, take, why) in TAKEN {
        for tls in [true, false] {
            let dir = directory();
            let site = site(dir.path(), Limits::default());
            let farm = dir.path().join("farm");
            std::fs::create_dir(farm.join("deep")).unwrap();
            log::create(&farm.join("deep/many"), &log::Options::default()).unwrap();
            let woof = log::open(&farm.join("deep/many")).unwrap();
            woof.appender().unwrap().extend(vec![&b"an element"[..]; 5000], |_| {}).unwrap();
            change(&farm, "grant user bob read put");
            change(&farm, "grant group lost read put");
            // On the Unix socket it is who is known there by a group.
            let peer = if tls {
                Peer::tls("bob", vec![])
            } else {
                Peer { groups: vec!["lost".into()], ..Peer::unix(54321, vec![]) }
            };
            let (mut client, mut left) = open_all(&site, peer);
            assert_eq!(woof.next_seqno() - 1, 5001, "what was put before");
            if how == "revoked" {
                change(&farm, "revoke group lost");
            }
            take(&farm);
            let end = Instant::now() + LONG;
            while !left.is_empty() {
                assert!(Instant::now() < end, "{how}: {left:?} go on");
                for exchange in left.clone() {
                    // Nobody wakes exchanges here; so they look at each turn.
                    client.server.wake(exchange);
                }
                client.server.pump_all();
                for frame in client.take() {
                    let text = String::from_utf8_lossy(&frame.payload).into_owned();
                    if frame.kind == CANCEL || (frame.kind == DATA && text.contains("denied")) {
                        assert!(text.contains(why), "{how}: {text}");
                        left.retain(|number| *number != frame.exchange);
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let mut more = Vec::new();
            encode::elem(&mut more, 2, 0, b"after");
            client.send(&frame(DATA, 4, &more)).unwrap();
            assert_eq!(woof.next_seqno() - 1, 5001, "{how}: nothing is put after");
        }
    }
}

#[test]
fn a_list_that_changes_for_others_ends_nothing() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let farm = dir.path().join("farm");
    std::fs::create_dir(farm.join("deep")).unwrap();
    log::create(&farm.join("deep/many"), &log::Options::default()).unwrap();
    log::open(&farm.join("deep/many"))
        .unwrap()
        .appender()
        .unwrap()
        .extend(vec![&b"x"[..]; 5000], |_| {})
        .unwrap();
    change(&farm, "grant user bob read put");
    let (mut client, all) = open_all(&site, Peer::tls("bob", vec![]));
    for text in ["user bob all\n", "user eve read\nuser bob read put\n", "owner carol\nany read put\n"] {
        std::fs::write(list(&farm), text).unwrap();
        std::fs::set_permissions(list(&farm), std::fs::Permissions::from_mode(0o600)).unwrap();
        let end = Instant::now() + Duration::from_millis(2500);
        while Instant::now() < end {
            all.iter().for_each(|exchange| client.server.wake(*exchange));
            client.server.pump_all();
            let frames = client.take();
            assert!(!frames.iter().any(|frame| frame.kind == CANCEL || frame.kind == END), "{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
