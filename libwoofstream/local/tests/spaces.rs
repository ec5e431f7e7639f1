//! Tests of the router, over a space that is made of directories but stands for a server.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use woof_core::access::{AccessList, Change};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{Address, Host};
use woof_core::wire::Dir;
use woof_local::Local;
use woof_predicate::Predicate;
use woof_space::renamed::{NamedPut, Names, Renamed};
use woof_space::{
    Call, Create, Exit, MessageRef, Pipes, Put, Selection, SeqRange, Sink, Space, Spaces, Table,
};

/// A server: its names are below a directory, which never shows.
struct Server(PathBuf);

impl Server {
    fn inside<T>(&self, name: &str, verb: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let path = self.0.join(name);
        let path = path.to_str().unwrap();
        verb(path).map_err(|err| Names { given: path, typed: name }.error(err))
    }
}

impl Space for Server {
    fn create(&self, name: &str, create: &Create) -> Result<()> {
        self.inside(name, |path| Local::default().create(path, create))
    }
    fn put(&self, name: &str, create: Option<&Create>) -> Result<Box<dyn Put>> {
        let path = self.0.join(name).to_str().unwrap().to_owned();
        let put = self.inside(name, |path| Local::default().put(path, create))?;
        Ok(Box::new(NamedPut::new(put, &path, name)))
    }
    fn read(&self, name: &str, selection: &Selection, sink: &mut dyn Sink) -> Result<()> {
        self.inside(name, |path| {
            Local::default().read(
                path,
                selection,
                &mut Renamed::new(Names { given: path, typed: name }, sink),
            )
        })
    }
    fn stat(&self, name: &str) -> Result<Dir> {
        self.inside(name, |path| {
            let dir = Local::default().stat(path)?;
            Ok(Names { given: path, typed: name }.dir(&dir).unwrap())
        })
    }
    fn find(&self, name: &str, predicate: Option<&Predicate>, get: bool, sink: &mut dyn Sink) -> Result<()> {
        self.inside(name, |path| {
            Local::default().find(
                path,
                predicate,
                get,
                &mut Renamed::new(Names { given: path, typed: name }, sink),
            )
        })
    }
    fn access(&self, name: &str) -> Result<AccessList> {
        self.inside(name, |path| Local::default().access(path))
    }
    fn set_access(&self, name: &str, change: &Change) -> Result<AccessList> {
        self.inside(name, |path| Local::default().set_access(path, change))
    }
    fn create_namespace(&self, name: &str) -> Result<()> {
        self.inside(name, |path| Local::default().create_namespace(path))
    }
    fn run(&self, name: &str, call: &Call, pipes: Pipes<'_>) -> Result<Exit> {
        self.inside(name, |path| Local::default().run(path, call, pipes))
    }
    fn reset_clock(&self, name: &str) -> Result<bool> {
        self.inside(name, |path| Local::default().reset_clock(path))
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inside(name, |path| Local::default().remove(path))
    }
}

#[derive(Default)]
struct Seen {
    paths: Vec<String>,
    data: Vec<String>,
    faults: Vec<String>,
    full: bool,
}

impl Sink for Seen {
    fn message(&mut self, message: MessageRef<'_>) -> Result<()> {
        match message {
            MessageRef::Elem { data, .. } => self.data.push(String::from_utf8(data.to_vec()).unwrap()),
            MessageRef::Dir(_) if self.full => return Err(Error::new(Code::Full, "out", "no more")),
            MessageRef::Dir(dir) => self.paths.push(dir.text("path").unwrap().to_owned()),
            MessageRef::Fault(fault) => self.faults.push(fault.to_string()),
            _ => {}
        }
        Ok(())
    }

    fn before_wait(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A directory with `here` of this machine and `there` of the server `hub`; `down` does not answer.
struct World {
    dir: woof_kit::TempDir,
    spaces: Spaces,
    dialled: Arc<AtomicUsize>,
}

fn world() -> World {
    let dir = woof_kit::tempdir().unwrap();
    let root = dir.path().to_owned();
    let table = format!(
        "here {0}/here\nthere woof://hub/there\nboth {0}/here woof://hub/there\n\
         some woof://down/x woof://hub/there\nnone woof://down/x woof://down/y\n",
        root.display()
    );
    let dialled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dialled);
    let open = move |address: &Address| -> Result<Box<dyn Space + Send + Sync>> {
        count.fetch_add(1, Ordering::Relaxed);
        match &address.host {
            Host::Name(name) if name == "hub" => Ok(Box::new(Server(root.clone()))),
            _ => Err(Error::new(Code::Io, address.server(), "connect: nobody answers")),
        }
    };
    let spaces = Spaces::new(Local::default(), Box::new(move || Table::parse(&table)), Box::new(open));
    World { dir, spaces, dialled }
}

impl World {
    fn make(&self, path: &str, data: &[&str]) {
        let path = self.dir.path().join(path);
        let options = woof_log::Options { history: 4, capacity: 4096, ..Default::default() };
        let create = Create { options, parents: true, reset: false };
        Local::default().create(path.to_str().unwrap(), &create).unwrap();
        put(&Local::default(), path.to_str().unwrap(), data).unwrap();
    }

    fn path(&self, path: &str) -> String {
        self.dir.path().join(path).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> Result<Seen> {
        let mut seen = Seen::default();
        self.spaces.read(name, &Selection::default(), &mut seen).map(|()| seen)
    }

    fn find(&self, name: &str) -> Result<Seen> {
        let mut seen = Seen::default();
        self.spaces.find(name, None, false, &mut seen).map(|()| seen)
    }
}

fn put(space: &dyn Space, name: &str, data: &[&str]) -> Result<()> {
    space.put(name, None)?.put(&mut data.iter().map(|data| data.as_bytes()), &mut |_| {})
}

#[test]
fn every_verb_works_through_the_table_and_speaks_of_what_was_typed() {
    let world = world();
    std::fs::create_dir_all(world.path("here")).unwrap();
    std::fs::create_dir_all(world.path("there")).unwrap();
    for name in ["here/a", "there/b", "woof://hub/there/c"] {
        world.spaces.create(name, &Create::default()).unwrap();
        put(&world.spaces, name, &["one", "two"]).unwrap();
        let seen = world.read(name).unwrap();
        assert_eq!(
            (seen.paths, seen.data),
            (vec![name.to_owned()], vec!["one".to_owned(), "two".to_owned()])
        );
        assert_eq!(world.spaces.stat(name).unwrap().text("path"), Some(name));
        assert_eq!(world.spaces.create(name, &Create::default()).unwrap_err().object(), name);
        let long = "x".repeat(8 << 20);
        assert_eq!(put(&world.spaces, name, &[&long]).unwrap_err().object(), name);
        let selection = Selection { range: Some(SeqRange::parse("7").unwrap()), ..Selection::default() };
        assert_eq!(
            world.spaces.read(name, &selection, &mut Seen::default()).unwrap_err().to_string(),
            format!("{name}: no element 7: the oldest kept is 1, the newest 2")
        );
    }
    assert!(Path::new(&world.path("here/a")).is_file() && Path::new(&world.path("there/c")).is_file());
    assert_eq!(world.find("there").unwrap().paths, ["there/b", "there/c"]);
    assert_eq!(world.find("there/").unwrap().paths, ["there/b", "there/c"]);
    assert_eq!(world.find("woof://hub/there").unwrap().paths, ["woof://hub/there/b", "woof://hub/there/c"]);
    assert_eq!(world.find("here").unwrap().paths, ["here/a"]);
    for name in ["here/a", "there/b", "woof://hub/there/c"] {
        world.spaces.remove(name).unwrap();
        assert_eq!(world.spaces.stat(name).unwrap_err().to_string(), format!("{name}: no such woof"));
    }
    assert_eq!(world.dialled.load(Ordering::Relaxed), 1, "one connection for each server");
}

#[test]
fn plain_paths_ask_neither_the_table_nor_a_server() {
    let dir = woof_kit::tempdir().unwrap();
    let asked = || Error::new(Code::Io, "", "asked");
    let spaces =
        Spaces::new(Local::default(), Box::new(move || Err(asked())), Box::new(move |_| Err(asked())));
    let path = dir.path().join("x");
    assert_eq!(spaces.stat(path.to_str().unwrap()).unwrap_err().code(), Code::NotFound);
    assert_eq!(spaces.stat("./nosuch").unwrap_err().code(), Code::NotFound);
    assert_eq!(spaces.stat("nosuch").unwrap_err().to_string(), "asked");
    assert_eq!(spaces.stat("woof://hub/x").unwrap_err().to_string(), "asked");
}

#[test]
fn of_a_union_the_first_that_has_it_is_used() {
    let world = world();
    world.make("here/x", &["here"]);
    world.make("there/x", &["there"]);
    world.make("there/y", &["there"]);
    assert_eq!(world.read("both/x").unwrap().data, ["here"]);
    assert_eq!(world.read("both/y").unwrap().data, ["there"]);
    put(&world.spaces, "both/y", &["more"]).unwrap();
    assert_eq!(world.read("there/y").unwrap().data, ["there", "more"]);
    assert_eq!(world.spaces.stat("both/z").unwrap_err().to_string(), "both/z: no such woof");
    // An element that the first one lacks is not looked for in the second one.
    let selection = Selection { range: Some(SeqRange::parse("2").unwrap()), ..Selection::default() };
    assert_eq!(
        world.spaces.read("both/x", &selection, &mut Seen::default()).unwrap_err().to_string(),
        "both/x: no element 2: the oldest kept is 1, the newest 1"
    );
    world.spaces.create("both/new", &Create::default()).unwrap();
    assert!(Path::new(&world.path("here/new")).is_file());
    // Any other error is told: what the first one has is not known.
    assert_eq!(world.read("some/x").err().unwrap().to_string(), "woof://down:7144: connect: nobody answers");
}

#[test]
fn a_find_over_a_union_shows_each_name_once_and_goes_on_without_who_does_not_answer() {
    let world = world();
    world.make("here/x", &["here"]);
    world.make("there/x", &["there"]);
    world.make("there/y", &["there"]);
    let seen = world.find("both").unwrap();
    assert_eq!((seen.paths, seen.faults), (vec!["both/x".to_owned(), "both/y".to_owned()], vec![]));
    let seen = world.find("some").unwrap();
    assert_eq!(seen.paths, ["some/x", "some/y"]);
    assert_eq!(seen.faults, ["woof://down:7144: connect: nobody answers"]);
    let none = world.find("none").err().unwrap();
    assert_eq!(none.to_string(), "woof://down:7144: connect: nobody answers");
    assert_eq!(
        world.find("both/nosuch").err().unwrap().to_string(),
        "both/nosuch: no such file or directory"
    );
    // One of them has it.
    assert_eq!(world.find("both/y").unwrap().paths, ["both/y"]);
    // A sink that takes no more is nobody's fault.
    let mut full = Seen { full: true, ..Seen::default() };
    assert_eq!(world.spaces.find("both", None, false, &mut full).unwrap_err().to_string(), "out: no more");
    assert!(full.faults.is_empty());
}

#[test]
fn several_threads_share_a_server() {
    let world = world();
    world.make("there/x", &["there"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(world.read("there/x").unwrap().data, ["there"]));
        }
    });
    assert_eq!(world.dialled.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_about_a_server_keeps_its_name() {
    let names = Names { given: "", typed: "woof://edge7" };
    let error = |object: &str| names.error(Error::new(Code::Unreachable, object, "x")).object().to_owned();
    assert_eq!(error("woof://edge7:7144"), "woof://edge7:7144");
    assert_eq!(error("farm/temp"), "woof://edge7/farm/temp");
}
