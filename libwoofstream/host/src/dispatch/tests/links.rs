//! Links that handlers in a container put where the server opens files: it is not led to other namespaces, whenever they come.

use super::super::output::{Output, Patience};
use super::super::serve;
use super::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use woof_core::error::Code;
use woof_core::limits::HANDLER_MEMORY;
use woof_local::handler::Runners;
use woof_local::handler::container::NoEngine;
use woof_local::handler::written::Written;
use woof_space::RunOptions;

/// How many elements a woof has.
fn count(woof: &Path) -> u64 {
    log::open(woof).unwrap().next_seqno() - 1
}

#[test]
fn a_woof_that_is_exchanged_for_a_link_all_the_time_is_never_another_ones() {
    let (dir, farm) = namespace(&Options::default());
    let farm = farm.canonicalize().unwrap();
    let secret = dir.path().join("secret");
    log::create(&secret, &Options::default()).unwrap();
    log::open(&secret).unwrap().appender().unwrap().append(b"x").unwrap();
    symlink("../secret", farm.join("link")).unwrap();
    let binding = Binding { into: Some("temp".into()), memory: HANDLER_MEMORY, ..Binding::new("other", "h") };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, farm.join("temp"), CWD, farm.join("link"), RenameFlags::EXCHANGE).unwrap();
            }
        });
        let (mut opened, mut refused) = (0, 0);
        while opened < 300 || refused < 300 {
            match Output::open(&farm, &binding, 1) {
                Ok(mut output) => {
                    let patience = Patience { until: std::time::Instant::now(), over: &stop };
                    let channel = woof_local::handler::Channel::Out;
                    output.take("1-1", "h", channel, Written::Line(b"line"), patience).unwrap();
                    opened += 1;
                }
                Err(reason) => {
                    assert_eq!(reason, "output: temp: a symbolic link, which is not followed here");
                    refused += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(count(&secret), 1);
}

#[test]
fn what_a_namespace_keeps_for_itself_is_not_that_of_another_where_there_are_links() {
    let (dir, farm) = namespace(&Options::default());
    let other = dir.path().join("other");
    std::fs::create_dir_all(other.join(".woof")).unwrap();
    log::create(&other.join("temp"), &Options::default()).unwrap();
    bindings::add(&other, &Binding { retries: 0, ..Binding::new("temp", "h") }, None).unwrap();
    let notes = Arc::new(Notes::default());
    put(&other, 1..=2);
    notes.fails.lock().unwrap().extend([1, 2]);
    assert_eq!(run(&other, &notes).0.dead, 2);
    let before = |file: &str| count(&other.join(".woof").join(file));
    let counts = (before("triggers"), before("dead"));

    for (file, said) in [
        ("dispatcher.lock", "lock: "),
        ("triggers", "a symbolic link, which is not followed here"),
        ("bindings", "a symbolic link, and not a file"),
    ] {
        let path = farm.join(".woof").join(file);
        let _ = std::fs::remove_file(&path);
        symlink(other.join(".woof").join(file), &path).unwrap();
        let err = Dispatcher::open(&farm, notes.clone()).map(drop).unwrap_err();
        assert!(err.text().starts_with(said), "{file}: {err}");
        std::fs::remove_file(&path).unwrap();
    }
    // Where the last attempt fails and its dead letter would be another one's, it stays open.
    bindings::add(&farm, &Binding { retries: 0, ..Binding::new("temp", "h") }, None).unwrap();
    symlink(other.join(".woof/dead"), farm.join(".woof/dead")).unwrap();
    put(&farm, 1..=1);
    let mut dispatcher = Dispatcher::open(&farm, notes.clone()).unwrap();
    dispatcher.step().unwrap();
    while dispatcher.queues[0].running > 0 {
        let event = dispatcher.events.1.recv().unwrap();
        dispatcher.take(event);
    }
    assert_eq!(dispatcher.counts, Ended::default());
    drop(dispatcher);
    assert_eq!((before("triggers"), before("dead")), counts);
}

#[test]
fn a_directory_that_became_a_link_is_not_the_namespace_that_was_found() {
    let (dir, farm) = namespace(&Options::default());
    bindings::add(&farm, &Binding::new("temp", "h"), None).unwrap();
    put(&farm, 1..=1);
    let root = dir.path().canonicalize().unwrap();
    let found = root.join("found");
    symlink("farm", &found).unwrap();
    let runners = Runners::new(RunOptions::new(""), Arc::new(NoEngine));
    let err = serve::open(&found, &runners).map(drop).unwrap_err();
    assert_eq!((err.code(), err.text()), (Code::Denied, "by now a symbolic link leads to another directory"));
    assert!(!farm.join(".woof/triggers").exists());
    // One that runs already writes and opens nothing behind a link.
    let mut dispatcher = serve::open(&root.join("farm"), &runners).unwrap();
    std::fs::rename(&farm, root.join("moved")).unwrap();
    std::fs::create_dir_all(root.join("other/.woof")).unwrap();
    log::create(&root.join("other/temp"), &Options::default()).unwrap();
    symlink("other", &farm).unwrap();
    log::remove(&root.join("moved/temp")).unwrap();
    dispatcher.take(super::super::dispatcher::Event::Reload);
    assert!(dispatcher.queues[0].source.is_none(), "it has the other one's");
    assert_eq!(log::open(&root.join("other/temp")).unwrap().held(), None);
}

#[test]
fn a_woof_is_that_of_its_namespace_and_not_of_one_below() {
    let (_dir, farm) = namespace(&Options::default());
    std::fs::create_dir_all(farm.join("plain")).unwrap();
    std::fs::create_dir_all(farm.join("below/.woof")).unwrap();
    std::fs::copy(farm.join("temp"), farm.join("plain/temp")).unwrap();
    std::fs::copy(farm.join("temp"), farm.join("below/temp")).unwrap();
    symlink("plain", farm.join("link")).unwrap();
    symlink("temp", farm.join("alias")).unwrap();
    let bound = |woof: &str| bindings::add(&farm, &Binding::new(woof, "h"), None);
    assert_eq!(bound("plain/temp").unwrap().woof, "plain/temp");
    for (woof, why) in [
        ("below/temp", "lies in another namespace, below this one"),
        ("link/temp", "a symbolic link, which is not followed here"),
        ("alias", "a symbolic link, which is not followed here"),
        ("nowhere/temp", "no such woof"),
    ] {
        assert_eq!(bound(woof).unwrap_err().text(), why, "{woof}");
    }
}
