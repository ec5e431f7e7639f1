//! Who may do what: a right that is missing is named, and what may not be read is not told of.

use crate::direct::{Client, DATA, END, frame, open, owner, site};
use crate::world::directory;
use libwoofstream::access::{AccessList, Change, Peer};
use libwoofstream::handler::container::NoEngine;
use libwoofstream::handler::{RunOptions, Runners};
use libwoofstream::log;
use libwoofstream::net::{Access, Create, Find, GREETING, Named, Put, Read, Request, Run};
use libwoofstream::server::{Limits, Site};
use libwoofstream::wire::encode;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

/// Somebody who is not the owner.
fn stranger() -> Peer {
    Peer::tls("mallory", Vec::new())
}

fn grant(dir: &std::path::Path, text: &str) {
    AccessList::update(dir, &Change::parse(text.split(' ')).unwrap()).unwrap();
}

/// The requests, and the right that each needs.
fn requests() -> Vec<(&'static str, Request)> {
    let name = || "farm/temp".to_owned();
    let text = || "text".to_owned();
    let create = |name: &str, reset| {
        Request::Create(Create {
            name: name.into(),
            history: 9,
            capacity: 4096,
            content: text(),
            reset,
            ..Create::default()
        })
    };
    vec![
        ("read", Request::Stat(Named { name: name() })),
        ("read", Request::Read(Read { name: name(), range: true, ..Read::default() })),
        ("read", Request::Read(Read { name: name(), follow: true, limit: Some(0), ..Read::default() })),
        ("read", Request::Find(Find { name: "farm".into(), ..Find::default() })),
        ("read", Request::Access(Access { name: "farm".into(), change: None })),
        ("put", Request::Put(Put { name: name(), content: text(), ..Put::default() })),
        ("trigger", Request::Run(Run { name: "farm".into(), handler: "none".into(), ..Run::default() })),
        ("create", create("farm/new", false)),
        ("create", Request::Namespace(Named { name: "farm/below".into() })),
        ("remove", Request::Remove(Named { name: name() })),
        ("admin", Request::Access(Access { name: "farm".into(), change: Some("grant any read".into()) })),
    ]
}

#[test]
fn each_right_that_is_missing_is_named_and_no_other_stands_in_for_it() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let farm = dir.path().join("farm");
    for (right, request) in requests() {
        let others: Vec<_> = ["read", "put", "create", "remove", "trigger", "admin"]
            .into_iter()
            .filter(|other| *other != right)
            .collect();
        for have in [String::new(), others.join(" ")] {
            let _ = std::fs::remove_file(farm.join(".woof").join(libwoofstream::access::FILE));
            if !have.is_empty() {
                grant(&farm, &format!("grant user mallory {have}"));
            }
            let answer = Client::ask(&site, stranger(), &request);
            assert!(answer.contains("denied"), "{request:?} with {have:?}: {answer}");
            assert!(answer.contains(right), "{request:?} with {have:?}: {answer}");
        }
    }
    assert!(site.metrics().render().contains("\nwoofstream_requests_denied_total 22\n"));
    assert_eq!(log::open(&farm.join("temp")).unwrap().next_seqno(), 2);
    // With the right alone it works; the last of them removes the woof.
    for (right, request) in requests() {
        let _ = std::fs::remove_file(farm.join(".woof").join(libwoofstream::access::FILE));
        grant(&farm, &format!("grant user mallory {right}"));
        let answer = Client::ask(&site, stranger(), &request);
        assert!(!answer.contains("denied"), "{request:?}: {answer}");
    }
}

#[test]
fn making_a_woof_by_a_put_needs_create_and_replacing_one_needs_remove() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let farm = dir.path().join("farm");
    let put = |name: &str| {
        Request::Put(Put {
            name: name.into(),
            content: "text".into(),
            create: Some("text".into()),
            ..Put::default()
        })
    };
    let reset = || {
        Request::Create(Create {
            name: "farm/temp".into(),
            history: 9,
            capacity: 4096,
            content: "text".into(),
            reset: true,
            ..Create::default()
        })
    };
    grant(&farm, "grant user mallory put");
    let answer = Client::ask(&site, stranger(), &put("farm/new"));
    assert!(answer.contains("denied") && answer.contains("create"), "{answer}");
    assert!(!farm.join("new").exists());
    grant(&farm, "grant user mallory create");
    let answer = Client::ask(&site, stranger(), &reset());
    assert!(answer.contains("denied") && answer.contains("remove"), "{answer}");
    assert_eq!(log::open(&farm.join("temp")).unwrap().next_seqno(), 2);
    let answer = Client::ask(&site, stranger(), &put("farm/new"));
    assert!(!answer.contains("denied"), "{answer}");
    assert!(farm.join("new").exists());
}

#[test]
fn a_find_passes_over_what_may_not_be_read() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    for place in ["secret", "secret/plain", "open", "plain", "plain/open"] {
        let state = if place.ends_with("plain") {
            dir.path().join(place)
        } else {
            dir.path().join(place).join(".woof")
        };
        std::fs::create_dir_all(state).unwrap();
        log::create(&dir.path().join(place).join("temp"), &log::Options::default()).unwrap();
    }
    grant(&dir.path().join("open"), "grant any read");
    grant(&dir.path().join("plain/open"), "grant any read");
    let find = |name: &str, get| Request::Find(Find { name: name.into(), get, ..Find::default() });
    for get in [false, true] {
        let answer = Client::ask(&site, stranger(), &find("", get));
        assert!(answer.contains("open/temp"), "{answer}");
        assert!(
            !answer.contains("secret") && !answer.contains("farm") && !answer.contains("denied"),
            "{answer}"
        );
    }
    // What lies at the top itself, in a directory that is no namespace, is no more to be read than the top.
    let answer = Client::ask(&site, stranger(), &find("plain", true));
    assert!(answer.contains("plain/open/temp") && !answer.contains("plain/temp"), "{answer}");
    for name in ["secret", "secret/plain", "plain/temp", "secret/temp", "secret/plain/temp"] {
        let answer = Client::ask(&site, stranger(), &find(name, true));
        assert!(answer.contains("denied") && answer.contains("read"), "{name}: {answer}");
    }
}

#[test]
fn a_symbolic_link_gives_no_rights_where_it_leads_to() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    std::fs::create_dir_all(dir.path().join("farm/plain")).unwrap();
    log::create(&dir.path().join("farm/plain/secret"), &log::Options::default()).unwrap();
    std::os::unix::fs::symlink("farm/plain", dir.path().join("link")).unwrap();
    // All may be done in the namespace at the top, and nothing in the farm.
    grant(dir.path(), "grant any read put create remove");
    for request in [
        Request::Stat(Named { name: "link/secret".into() }),
        Request::Remove(Named { name: "link/secret".into() }),
        Request::Namespace(Named { name: "link/new".into() }),
        Request::Find(Find { name: "link/secret".into(), get: true, ..Find::default() }),
    ] {
        let answer = Client::ask(&site, stranger(), &request);
        assert!(answer.contains("denied"), "{request:?}: {answer}");
    }
    assert!(dir.path().join("farm/plain/secret").exists());
}

/// Puts an element that claims to be so deep; the depth that it got.
fn depth_of(site: &Arc<Site>, dir: &std::path::Path, depth: u8, seal: Option<&str>, writer: u64) -> u8 {
    let mut elements = Vec::new();
    encode::preamble(&mut elements);
    encode::elem(&mut elements, 1, 0, b"1");
    encode::end(&mut elements, Ok(()));
    let put = Request::Put(Put {
        name: "farm/temp".into(),
        content: "text".into(),
        writer,
        depth,
        seal: seal.map(str::to_owned),
        ..Put::default()
    });
    let mut client = Client::new(site, stranger());
    let sent = [&GREETING[..], &open(1, 1 << 20, &put), &frame(DATA, 1, &elements), &frame(END, 1, &[])];
    client.send(&sent.concat()).unwrap();
    let (answer, _) = client.answer(1);
    assert!(answer.contains("woof.in"), "{answer}");
    let woof = log::open(&dir.join("farm/temp")).unwrap();
    match woof.cursor(woof.next_seqno() - 1).next() {
        Some(log::Item::Elem { mark, .. }) => mark.depth(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn depth_is_believed_of_handlers_of_the_server_and_of_who_may_have_some_run() {
    let dir = directory();
    let site = site(dir.path(), Limits::default());
    let farm = dir.path().join("farm");
    std::fs::create_dir(farm.join("handlers")).unwrap();
    std::fs::write(farm.join("handlers/seal"), "#!/bin/sh\necho \"seal-$WOOF_DEPTH-$WOOF_DEPTH_SEAL-\"\n")
        .unwrap();
    std::fs::set_permissions(farm.join("handlers/seal"), std::fs::Permissions::from_mode(0o755)).unwrap();
    grant(&farm, "grant user mallory put read");
    let mut writer = 0;
    let mut depth_of = |depth, seal: Option<&str>| {
        writer += 1;
        depth_of(&site, dir.path(), depth, seal, writer)
    };
    // Before there are any handlers, and after.
    assert_eq!(depth_of(15, Some("")), 0);
    site.run_handlers(Arc::new(Runners::new(RunOptions::new("/usr/bin:/bin"), Arc::new(NoEngine))));
    for depth in [1, 14, 15, 16, 255] {
        for seal in [None, Some(""), Some("0"), Some("00000000000000000000000000000000")] {
            assert_eq!(depth_of(depth, seal), 0, "{depth} {seal:?}");
        }
    }
    let run = Request::Run(Run { name: "farm".into(), handler: "seal".into(), depth: 2, ..Run::default() });
    let mut client = Client::new(&site, owner(dir.path()));
    client.send(&[&GREETING[..], &open(1, 1 << 20, &run), &frame(END, 1, &[])].concat()).unwrap();
    let mut frames = client.take();
    while !frames.iter().any(|frame| frame.kind == END) {
        std::thread::sleep(std::time::Duration::from_millis(1));
        client.server.wake(1);
        frames.extend(client.take());
    }
    let said: String = frames.iter().map(crate::direct::text).collect();
    let seal = said.split_once("seal-3-").unwrap().1.split('-').next().unwrap().to_owned();
    assert_eq!(depth_of(3, Some(&seal)), 3);
    // It is of that depth, and of this server.
    assert_eq!((depth_of(15, Some(&seal)), depth_of(2, Some(&seal)), depth_of(3, None)), (0, 0, 0));
    grant(&farm, "grant user mallory trigger");
    assert_eq!((depth_of(15, None), depth_of(255, None), depth_of(1, Some("x"))), (15, 15, 1));
}
