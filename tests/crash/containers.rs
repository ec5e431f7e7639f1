//! Writers in two PID namespaces, and in two Docker containers, on one woof: killed there, followed from here. In both the
//! processes have the same low numbers, so nothing may depend on those.
//!
//! Where this machine does not allow it, that is skipped aloud.

use crate::books::{Told, element};
use crate::child::{ROLE, Style, again};
use crate::follower::{follow, read};
use crate::keeper::keep;
use crate::random::{Random, seed};
use libwoofstream::log::{self, Item, Options, Woken};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use woof_kit::{say, works};

const CONTAINERS: u64 = 2;
const PLACES: u64 = 3;
const ROUNDS: u64 = 30;
const STYLES: [Style; 3] =
    [Style { batch: 1, sync: false }, Style { batch: 1, sync: true }, Style { batch: 100, sync: false }];
/// Said by a container that was given another directory than ours.
const NOT_HERE: &str = "the woof is not here";

fn life(container: u64, place: u64) -> u64 {
    container << 48 | place << 32
}

/// Where a container notes what its writers were told; the first line is its own process number.
fn notes(dir: &Path, container: u64) -> PathBuf {
    dir.join(format!("told-{container}"))
}

/// The first process of a container: meets the other one, and keeps writers that it kills.
pub(crate) fn keep_writers(container: u64, rounds: u64, seed: u64) {
    let here = Path::new(".");
    assert!(here.join("w").exists(), "{NOT_HERE}");
    let woof = log::open(&here.join("w")).unwrap();
    let mut told = vec![meet(&woof, container)];
    std::thread::scope(|scope| {
        let (waker_out, waker) = std::sync::mpsc::channel();
        let follower = scope.spawn(|| follow(&woof, &{ waker_out }));
        let keepers: Vec<_> = (1..=PLACES)
            .map(|place| {
                let survivor = woof.appender().unwrap();
                let mut random = Random::new(seed ^ life(container, place));
                let first = life(container, place) + 1;
                scope.spawn(move || keep(here, first, rounds, 2_000, survivor, &STYLES, &mut random))
            })
            .collect();
        let kept: Vec<_> = keepers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        waker.recv().unwrap().stop();
        told.extend(kept.into_iter().flat_map(|kept| kept.unwrap().told));
        assert!(follower.join().unwrap().count() > 0);
    });
    let mut text = format!("{}\n", std::process::id());
    for Told { life, acks } in told {
        writeln!(text, "{life}").unwrap();
        for (number, seqno) in acks {
            writeln!(text, " {number} {seqno}").unwrap();
        }
    }
    fs::write(notes(here, container), text).unwrap();
}

/// Appends an element and sleeps until the other container's is there: one of the two is woken by the other.
fn meet(woof: &log::Woof, container: u64) -> Told {
    let mut data = Vec::new();
    element(life(container, 0), 0, &mut data);
    let seqno = woof.appender().unwrap().append(&data).unwrap();
    let mut cursor = woof.cursor(1);
    let waker = cursor.waker();
    loop {
        match cursor.next() {
            Some(Item::Elem { data, .. }) => {
                let writer = u64::from_le_bytes(data[..8].try_into().unwrap());
                if writer >> 48 != container {
                    return Told { life: life(container, 0), acks: vec![(0, seqno)] };
                }
            }
            Some(item) => panic!("{item:?}"),
            None => assert_eq!(cursor.wait(&waker), Woken::More),
        }
    }
}

/// What the writers of a container were told, and the number that its first process had.
fn told(dir: &Path, container: u64) -> (Vec<Told>, String) {
    let text = fs::read_to_string(notes(dir, container)).unwrap();
    let mut lines = text.lines();
    let process = lines.next().unwrap().to_owned();
    let mut told: Vec<Told> = Vec::new();
    for line in lines {
        let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        match numbers[..] {
            [life] => told.push(Told { life, acks: Vec::new() }),
            [number, seqno] => told.last_mut().unwrap().acks.push((number, seqno)),
            _ => panic!("{line}"),
        }
    }
    (told, process)
}

/// Runs two containers at once, each made by `container` for a directory and a role, and checks all. `None`, when they
/// cannot see our directory.
fn share(name: &'static str, container: impl Fn(&Path, u64, &str) -> Command + Sync) -> Option<()> {
    let seed = seed();
    let _watch = woof_kit::watch(&format!("{name} WOOF_TEST_SEED={seed}"));
    let dir = woof_kit::tempdir().unwrap();
    let path = dir.path().join("w");
    log::create(&path, &Options { history: 1 << 21, capacity: 128 << 20, ..Options::default() }).unwrap();
    let woof = log::open(&path).unwrap();
    let (ended, seen) = std::thread::scope(|scope| {
        let (waker_out, waker) = std::sync::mpsc::channel();
        let follower = scope.spawn(|| follow(&woof, &{ waker_out }));
        let running: Vec<_> = (1..=CONTAINERS)
            .map(|number| {
                let mut command =
                    container(dir.path(), number, &format!("keeper {number} {ROUNDS} {}", seed % (1 << 40)));
                scope.spawn(move || woof_kit::output(&mut command))
            })
            .collect();
        let ended: Vec<Output> = running.into_iter().map(|running| running.join().unwrap()).collect();
        waker.recv().unwrap().stop();
        (ended, follower.join().unwrap())
    });
    let said: Vec<_> = ended.iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
    if said.iter().any(|said| said.contains(NOT_HERE)) {
        return None;
    }
    assert!(ended.iter().all(|output| output.status.success()), "{name}: {said:#?}");
    let mut all = Vec::new();
    for number in 1..=CONTAINERS {
        let (told, process) = told(dir.path(), number);
        assert_eq!(process, "1", "{name}: each container has processes of its own");
        all.extend(told);
    }
    assert_eq!(all.len() as u64, CONTAINERS * (1 + PLACES * (ROUNDS + 1)));
    seen.agrees_with(&all, 100);
    let kept = read(&log::open(&path).unwrap());
    kept.agrees_with(&all, 100);
    assert_eq!(kept.count(), seen.count());
    say(&format!(
        "crash: {name}: {} kills, {} elements seen from outside",
        CONTAINERS * PLACES * ROUNDS,
        seen.count()
    ));
    Some(())
}

#[test]
fn two_pid_namespaces_share_a_woof() {
    const PID: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    // Whoever is not root becomes so in a user namespace, where the system lets him.
    const USER: [&str; 7] =
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let flags =
        [&PID[..], &USER].into_iter().find(|flags| works(flags[0], &[&flags[1..], &["true"]].concat()));
    let Some(flags) = flags else {
        return woof_kit::skip("needs unshare --pid: root, or user namespaces");
    };
    share("PID namespaces", |dir, _, role| again(flags, role, dir)).unwrap();
}

/// The image and the containers of this test, removed when it ends.
struct Docker {
    image: String,
    containers: Vec<String>,
}

impl Drop for Docker {
    fn drop(&mut self) {
        for container in &self.containers {
            works("docker", &["rm", "-f", container]);
        }
        works("docker", &["image", "rm", "-f", &self.image]);
    }
}

impl Docker {
    /// Makes an image from nothing but this test program and the libraries it needs.
    fn new() -> Docker {
        let root = woof_kit::tempdir().unwrap();
        let this = std::env::current_exe().unwrap();
        fs::copy(&this, root.path().join("test")).unwrap();
        let needed = woof_kit::output(woof_kit::command("ldd").arg(&this));
        // "libc.so.6 => /lib/libc.so.6 (0x...)" and "/lib64/ld-linux-x86-64.so.2 (0x...)"; a static program needs none.
        for word in String::from_utf8_lossy(&needed.stdout).split_whitespace() {
            if let Some(inside) = word.strip_prefix('/') {
                let copy = root.path().join(inside);
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::copy(word, copy).unwrap();
            }
        }
        let tag = format!("woofstream-test-{}", std::process::id());
        let docker = Docker {
            containers: (1..=CONTAINERS).map(|number| format!("{tag}-{number}")).collect(),
            image: format!("{tag}:latest"),
        };
        let script = "tar -c -C \"$1\" . | docker import - \"$2\"";
        let mut command = woof_kit::command("sh");
        let imported = woof_kit::output(command.args([
            "-c",
            script,
            "sh",
            root.path().to_str().unwrap(),
            &docker.image,
        ]));
        assert!(imported.status.success(), "{imported:?}");
        docker
    }

    fn run(&self, dir: &Path, number: u64, role: &str) -> Command {
        let user = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let container = &self.containers[usize::try_from(number - 1).unwrap()];
        let mut command = woof_kit::command("docker");
        command
            .args(["run", "--rm", "--network", "none", "--user", &user, "--name", container])
            .args([
                "-v",
                &format!("{}:/woofs", dir.display()),
                "-w",
                "/woofs",
                "-e",
                &format!("{ROLE}={role}"),
            ])
            .args([&self.image, "/test", "--exact", "child::does_what_it_was_started_for", "--nocapture"])
            .stdin(Stdio::null());
        command
    }
}

#[test]
fn two_docker_containers_share_a_woof() {
    if !works("docker", &["info"]) || !works("ldd", &["--version"]) {
        return woof_kit::skip("needs Docker");
    }
    let docker = Docker::new();
    if share("Docker containers", |dir, number, role| docker.run(dir, number, role)).is_none() {
        woof_kit::skip("needs a Docker that sees the directories of this machine");
    }
}
