//! Somebody who has the directory of one namespace exchanges what is in it for links, and directories for others, all the time that clients ask: none gets, or
//! changes, anything of another namespace or outside of what is served, and no other program runs.

use crate::direct::{Client, DATA, END, frame, open, site};
use crate::world::directory;
use libwoofstream::access::{AccessList, Change, Peer};
use libwoofstream::content::ContentType;
use libwoofstream::handler::container::NoEngine;
use libwoofstream::handler::{Bindings, RunOptions, Runners};
use libwoofstream::log::{self, Options};
use libwoofstream::net::{Access, Create, Find, GREETING, Named, Put, Read, Request, Run};
use libwoofstream::server::{Limits, Site};
use libwoofstream::wire::encode;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Who has all rights in the farm, and none elsewhere.
fn peer() -> Peer {
    Peer::tls("mallory", Vec::new())
}

struct World {
    dir: woof_kit::TempDir,
    site: Arc<Site>,
}

/// What is served: the namespace `farm`, and `secret` beside it, and `farm/below` in it, which are others'. Beside what is served there is more that is secret.
fn world() -> World {
    let dir = directory();
    let served = dir.path().join("served");
    fs::create_dir(&served).unwrap();
    let site = site(&served, Limits::default());
    fs::create_dir_all(served.join("farm/handlers")).unwrap();
    for (place, is_secret) in [
        ("served/farm/dir", false),
        ("served/farm/plain", false),
        ("served/farm/sub", false),
        ("served/farm/below", true),
        ("served/secret", true),
        ("outside", true),
    ] {
        let place = dir.path().join(place);
        if is_secret || place.ends_with("sub") {
            fs::create_dir_all(place.join(".woof")).unwrap();
        }
        fs::create_dir_all(place.join("handlers")).unwrap();
        // By its kind it is told from the others without a look at its elements.
        let content = if is_secret { ContentType::Json } else { ContentType::Text };
        let options = Options { history: 1 << 12, capacity: 1 << 20, content, ..Options::default() };
        log::create(&place.join("temp"), &options).unwrap();
        let data = if is_secret { br#""SECRET""#.as_slice() } else { b"mine" };
        log::open(&place.join("temp")).unwrap().appender().unwrap().append(data).unwrap();
    }
    let world = World { dir, site };
    for namespace in ["farm", "farm/sub"] {
        let change = Change::parse(["grant", "any", "all"]).unwrap();
        AccessList::update(&world.served(namespace), &change).unwrap();
    }
    for (link, target) in [
        ("farm/link", "../secret/temp"),
        ("farm/out", "../../outside/temp"),
        ("farm/way", "../secret"),
        ("farm/way-out", "../../outside"),
        ("farm/to-secret", "../secret"),
    ] {
        symlink(target, world.served(link)).unwrap();
    }
    fs::copy(world.served("farm/temp"), world.served("farm/other")).unwrap();
    world
}

/// What is exchanged for what.
const PAIRS: [(&str, &str); 6] = [
    ("farm/temp", "farm/link"),
    ("farm/other", "farm/out"),
    ("farm/dir", "farm/way"),
    ("farm/plain", "farm/below"),
    ("farm/sub", "farm/to-secret"),
    ("farm/dir", "farm/way-out"),
];

/// Names that are somebody else's half of the time.
const WOOFS: [&str; 4] = ["farm/temp", "farm/other", "farm/dir/temp", "farm/plain/temp"];

/// Of a directory: the names in it, how far its woof is and what it holds, and the access list.
type Left = (Vec<PathBuf>, u64, Option<u64>, Option<String>);

impl World {
    fn served(&self, name: &str) -> PathBuf {
        self.dir.path().join("served").join(name)
    }

    fn ask(&self, request: &Request) -> String {
        Client::ask(&self.site, peer(), request)
    }

    /// Works while these are exchanged.
    fn exchanging(&self, pairs: &[(&str, &str)], work: impl FnOnce()) {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                for (one, other) in pairs.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (one, other) = (self.served(one), self.served(other));
                    // A name that was removed has nothing to be exchanged for.
                    let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
                }
            });
            work();
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        });
    }

    /// What must be as it was: of each directory of others, the names in it, what its woof has, and who may do what.
    fn of_others(&self) -> Vec<Left> {
        let mut all = Vec::new();
        let mut dirs = vec![self.dir.path().join("outside"), self.served("secret")];
        // Wherever it is by now.
        let marked = |place: &&str| {
            log::open(&self.served(place).join("temp"))
                .is_ok_and(|woof| woof.options().content == ContentType::Json)
        };
        let below = ["farm/below", "farm/plain"]
            .into_iter()
            .filter(|place| !self.served(place).is_symlink())
            .find(marked);
        dirs.push(self.served(below.expect("nobody may remove it")));
        for dir in dirs {
            let mut names = Vec::new();
            for place in [dir.clone(), dir.join(".woof"), dir.join("handlers")] {
                names.extend(fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
            }
            let names = names.iter().map(|path| path.strip_prefix(&dir).unwrap().to_owned());
            let mut names: Vec<PathBuf> = names.collect();
            names.sort();
            let woof = log::open(&dir.join("temp")).unwrap();
            let access = fs::read_to_string(dir.join(".woof/access")).ok();
            all.push((names, woof.next_seqno(), woof.held(), access));
        }
        all
    }
}

fn named(name: &str) -> Named {
    Named { name: name.into() }
}

#[test]
fn what_is_read_followed_found_and_looked_at_is_never_anothers() {
    let world = world();
    let mut answers = [0; 2];
    world.exchanging(&PAIRS, || {
        let mut n = 0;
        while n < 4000 || answers.iter().any(|count| *count < 100) {
            let name = WOOFS[n % WOOFS.len()];
            let read = |follow| {
                Request::Read(Read {
                    name: name.into(),
                    range: true,
                    follow,
                    limit: Some(1),
                    ..Read::default()
                })
            };
            let find = |name: &str| Request::Find(Find { name: name.into(), get: true, ..Find::default() });
            let requests =
                [read(false), read(true), Request::Stat(named(name)), find(name), find("farm"), find("")];
            let answer = world.ask(&requests[n / WOOFS.len() % requests.len()]);
            let seen = answer.contains("SECRET") || answer.contains("json");
            assert!(!seen, "{:?}: {answer}", requests[n / WOOFS.len() % requests.len()]);
            answers[usize::from(answer.contains("mine") || answer.contains("21.5"))] += 1;
            n += 1;
        }
    });
}

#[test]
fn nothing_of_others_is_changed_made_or_removed() {
    let world = world();
    let before = world.of_others();
    let mut elements = Vec::new();
    encode::preamble(&mut elements);
    encode::elem(&mut elements, 1, 0, b"1");
    encode::end(&mut elements, Ok(()));
    let change =
        |text: &str, name: &str| Request::Access(Access { name: name.into(), change: Some(text.into()) });
    world.exchanging(&PAIRS, || {
        let (mut put, mut made) = (0, 0);
        let mut n = 0_usize;
        while n < 4000 || put < 50 || made < 50 {
            n += 1;
            let name = WOOFS[n % WOOFS.len()];
            let dir = ["farm/dir", "farm/plain", "farm/sub"][n % 3];
            let new = format!("{dir}/new-{}", n % 7);
            let create = |name: &str, reset| {
                Request::Create(Create {
                    name: name.into(),
                    history: 16,
                    capacity: 4096,
                    content: "text".into(),
                    parents: true,
                    reset,
                    ..Create::default()
                })
            };
            match n % 6 {
                0 => made += usize::from(!world.ask(&create(&new, false)).contains("denied")),
                1 => drop(world.ask(&Request::Remove(named(&new)))),
                2 => drop(world.ask(&create(&format!("{new}-deep/woof"), true))),
                3 => drop(world.ask(&Request::Namespace(named(&format!("{new}-space"))))),
                4 => drop(world.ask(&change("grant any read", dir))),
                _ => {
                    let mut client = Client::new(&world.site, peer());
                    let request = Request::Put(Put {
                        name: name.into(),
                        content: "text".into(),
                        create: Some("text".into()),
                        writer: n as u64 + 1,
                        ..Put::default()
                    });
                    let sent = [
                        &GREETING[..],
                        &open(1, 1 << 20, &request),
                        &frame(DATA, 1, &elements),
                        &frame(END, 1, &[]),
                    ];
                    client.send(&sent.concat()).unwrap();
                    let (answer, _) = client.answer(1);
                    put += usize::from(answer.contains("woof.in"));
                }
            }
        }
    });
    assert_eq!(world.of_others(), before);
    // And the woofs of the names themselves: removed and reset, they are those of the farm.
    world.exchanging(&PAIRS, || {
        for n in 0..3000 {
            let name = WOOFS[n % WOOFS.len()];
            drop(world.ask(&Request::Remove(named(name))));
            let options = Options { history: 16, capacity: 4096, ..Options::default() };
            let _ = log::create(&world.served(["farm/dir/temp", "farm/other"][n % 2]), &options);
        }
    });
    assert_eq!(world.of_others(), before);
}

/// Writes a program that says who it is.
fn program(path: &Path, says: &str) {
    fs::write(path, format!("#!/bin/sh\necho {says}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn no_program_runs_but_those_in_the_handlers_of_the_namespace() {
    let world = world();
    world.site.run_handlers(Arc::new(Runners::new(RunOptions::new("/usr/bin:/bin"), Arc::new(NoEngine))));
    for (path, says) in [
        ("served/farm/handlers/h", "inside"),
        ("served/farm/dir/h", "inside"),
        ("served/secret/handlers/h", "SECRET"),
        ("served/farm/below/handlers/h", "SECRET"),
        ("outside/handlers/h", "SECRET"),
        ("outside/h", "SECRET"),
    ] {
        program(&world.dir.path().join(path), says);
    }
    symlink("../../../outside/h", world.served("farm/handlers/link")).unwrap();
    symlink("../../outside/handlers", world.served("farm/other-handlers")).unwrap();
    fs::create_dir_all(world.served("farm/sub/handlers")).unwrap();
    program(&world.served("farm/sub/handlers/h"), "inside");
    let pairs = [
        ("farm/handlers/h", "farm/handlers/link"),
        ("farm/handlers", "farm/other-handlers"),
        ("farm/sub", "farm/to-secret"),
        ("farm/sub", "farm/below"),
        ("farm/sub", "farm/below"),
        ("farm/sub", "farm/to-secret"),
    ];
    world.exchanging(&pairs, || {
        let mut ran = 0;
        let mut n = 0;
        while n < 600 || ran < 30 {
            let name = ["farm", "farm/sub"][n % 2];
            let request = Request::Run(Run { name: name.into(), handler: "h".into(), ..Run::default() });
            let mut client = Client::new(&world.site, peer());
            let sent = [&GREETING[..], &open(1, 1 << 20, &request), &frame(END, 1, &[])].concat();
            client.send(&sent).unwrap();
            let mut frames = client.take();
            while !frames.iter().any(|frame| frame.kind == END) {
                std::thread::sleep(std::time::Duration::from_micros(200));
                client.server.wake(1);
                frames.extend(client.take());
            }
            let answer: String = frames.iter().map(crate::direct::text).collect();
            assert!(!answer.contains("SECRET"), "{answer}");
            ran += usize::from(answer.contains("inside"));
            n += 1;
        }
    });
}

#[test]
fn a_handler_that_is_named_in_a_put_is_bound_to_the_woof_that_it_is_put_into() {
    let world = world();
    program(&world.served("farm/handlers/h"), "inside");
    let before = world.of_others();
    world.exchanging(&PAIRS, || {
        for n in 0..2000 {
            let request = Request::Put(Put {
                name: WOOFS[n % WOOFS.len()].into(),
                content: "text".into(),
                handler: Some("h".into()),
                writer: n as u64 + 1,
                ..Put::default()
            });
            drop(world.ask(&request));
            if n % 50 == 0 {
                // So that it is bound again.
                let _ = fs::remove_file(world.served("farm/.woof/bindings"));
            }
        }
    });
    assert_eq!(world.of_others(), before);
    assert!(!Bindings::load(&world.served("farm")).unwrap().list.is_empty());
}

#[test]
fn answers_say_nothing_of_where_on_its_machine_a_server_has_what_it_serves() {
    let world = world();
    let (path, real) = (world.dir.path().to_owned(), world.dir.path().canonicalize().unwrap());
    symlink("/bin/true", world.served("farm/handlers/out")).unwrap();
    fs::write(world.served("farm/.woof/bindings"), "no bindings").unwrap();
    fs::write(world.served("farm/sub/.woof/access"), "nonsense\n").unwrap();
    fs::write(world.served("farm/handlers/h"), "").unwrap();
    fs::write(world.served("farm/file"), "").unwrap();
    let text = || "text".to_owned();
    let mut requests = Vec::new();
    for name in [
        "farm",
        "farm/link",
        "farm/way",
        "farm/way/temp",
        "farm/none/x",
        "farm/sub",
        "farm/sub/temp",
        "farm/file",
        "farm/file/x",
        "farm/.woof/triggers",
        "farm/temp/.woof/dead",
        "secret/temp",
        "none",
        "farm/handlers/x",
    ] {
        requests.extend([
            Request::Stat(named(name)),
            Request::Remove(named(name)),
            Request::Namespace(named(name)),
            Request::Read(Read { name: name.into(), ..Read::default() }),
            Request::Find(Find { name: name.into(), ..Find::default() }),
            Request::Put(Put { name: name.into(), content: text(), create: Some(text()), ..Put::default() }),
            Request::Access(Access { name: name.into(), change: Some("grant any read".into()) }),
            Request::Access(Access { name: name.into(), change: None }),
            Request::Run(Run { name: name.into(), handler: "out".into(), ..Run::default() }),
        ]);
        for (parents, reset) in [(false, false), (true, true)] {
            requests.push(Request::Create(Create {
                name: name.into(),
                history: 16,
                capacity: 4096,
                content: text(),
                parents,
                reset,
                ..Create::default()
            }));
        }
        for handler in ["h", "out", "none"] {
            let handler = Some(handler.to_owned());
            requests.push(Request::Put(Put {
                name: name.into(),
                content: text(),
                handler,
                ..Put::default()
            }));
        }
    }
    world.site.run_handlers(Arc::new(Runners::new(RunOptions::new("/usr/bin:/bin"), Arc::new(NoEngine))));
    // The owner gets further than others.
    for request in &requests {
        for peer in [peer(), crate::direct::owner(&world.served("farm"))] {
            let answer = Client::ask(&world.site, peer, request);
            for path in [&path, &real] {
                assert!(!answer.contains(path.to_str().unwrap()), "{request:?}: {answer}");
            }
            assert!(!answer.contains("/bin/true"), "{request:?}: {answer}");
        }
    }
}

#[test]
fn without_a_right_nobody_learns_what_a_namespace_keeps_for_itself() {
    let world = world();
    let options = Options { content: ContentType::Json, ..Options::default() };
    log::create(&world.served("secret/.woof/triggers"), &options).unwrap();
    let ask = |name: &str| {
        let answer = world.ask(&Request::Read(Read { name: name.into(), ..Read::default() }));
        assert!(answer.contains("denied"), "{name}: {answer}");
        answer.split_once("code").unwrap().1.replace(name, "NAME")
    };
    let like = ask("secret/temp");
    for name in [
        "secret/none",
        "secret/.woof/triggers",
        "secret/.woof/dead",
        "secret/none/.woof/triggers",
        "none/.woof/dead",
    ] {
        assert_eq!(ask(name), like, "{name}");
    }
}

#[test]
fn clients_make_nothing_where_programs_are() {
    let world = world();
    let owner = || crate::direct::owner(&world.served("farm"));
    for name in
        ["farm/handlers/x", "farm/handlers/deep/x", "farm/new/handlers", "handlers/x", "farm/handlers"]
    {
        let put =
            Put { name: name.into(), content: "text".into(), create: Some("text".into()), ..Put::default() };
        let create = Create {
            name: name.into(),
            history: 16,
            capacity: 4096,
            content: "text".into(),
            parents: true,
            reset: true,
            ..Create::default()
        };
        for request in [Request::Put(put), Request::Create(create), Request::Namespace(named(name))] {
            let answer = Client::ask(&world.site, owner(), &request);
            assert!(
                answer.contains("denied") || answer.contains("not a woof but a directory"),
                "{request:?}: {answer}"
            );
        }
    }
    assert_eq!(fs::read_dir(world.served("farm/handlers")).unwrap().count(), 0);
    assert!(!world.served("farm/new").exists() && !world.served("handlers/x").exists());
}

#[test]
fn a_tree_as_deep_as_a_name_is_long_is_looked_at_as_far_as_the_limit() {
    let world = world();
    let mut dir = rustix::fs::open(world.served("farm"), rustix::fs::OFlags::PATH, 0.into()).unwrap();
    for _ in 0..600 {
        rustix::fs::mkdirat(&dir, "d", 0o755.into()).unwrap();
        dir = rustix::fs::openat(&dir, "d", rustix::fs::OFlags::PATH, 0.into()).unwrap();
    }
    let answer = world.ask(&Request::Find(Find { name: "farm".into(), ..Find::default() }));
    assert!(answer.contains("512 directories deep: what is below is not looked at"), "{answer}");
}
