//! Woofs to run commands on, good ones and bad ones, and places to keep them in that only the system's administrator can make.

use crate::support::{Ran, Sandbox};
use libwoofstream::log::{self, Item, Options};
use std::fs;
use std::process::{Child, Stdio};

/// All that a woof of the sandbox keeps, as text.
pub(crate) fn elements(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let woof = log::open(&sandbox.dir().join(name)).unwrap();
    let content = woof.options().content;
    let mut cursor = woof.cursor(woof.first_seqno());
    let mut all = Vec::new();
    while let Some(item) = cursor.next() {
        let Item::Elem { data, .. } = item else { panic!("{item:?}") };
        let mut text = Vec::new();
        content.write_text(data, &mut text);
        all.push(String::from_utf8_lossy(&text).into_owned());
    }
    all
}

/// Makes a woof with these elements.
pub(crate) fn woof(sandbox: &Sandbox, name: &str, options: &Options, elements: &[&str]) {
    let path = sandbox.dir().join(name);
    log::create(&path, options).unwrap();
    let mut appender = log::open(&path).unwrap().appender().unwrap();
    for element in elements {
        let mut data = Vec::new();
        options.content.encode_text(element.as_bytes(), &mut data).unwrap();
        appender.append(&data).unwrap();
    }
}

/// Runs `wput`, which must go well; its acknowledgements are of no interest.
#[track_caller]
pub(crate) fn put(sandbox: &Sandbox, args: &[&str], input: &[u8]) {
    let ran = sandbox.run("wput", args, input);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
}

/// Names of what is no woof, or not any more, and what is said of each.
pub(crate) fn bad(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let dir = sandbox.dir();
    fs::write(dir.join("text"), "date,temp\n").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::create_dir(dir.join("dir")).unwrap();
    assert!(woof_kit::output(woof_kit::command("mkfifo").arg(dir.join("fifo"))).status.success());
    woof(sandbox, "good", &Options { history: 10, capacity: 4096, ..Options::default() }, &["one"]);
    let image = fs::read(dir.join("good")).unwrap();
    let changed = |name: &str, at: usize, by: u8| {
        let mut image = image.clone();
        image[at] ^= by;
        fs::write(dir.join(name), image).unwrap();
    };
    fs::write(dir.join("cut"), &image[..5000]).unwrap();
    fs::write(dir.join("stub"), &image[..100]).unwrap();
    changed("future", 8, 1 ^ 9);
    changed("torn", 33, 1);
    let len = image.len();
    [
        ("none", "no such woof".to_owned()),
        ("text", "not a woof".to_owned()),
        ("empty", "not a woof".to_owned()),
        ("dir", "not a woof but a directory".to_owned()),
        ("/dev/null", "not a woof but a device".to_owned()),
        ("fifo", "not a woof but a FIFO".to_owned()),
        ("cut", format!("truncated file: it is 5000 bytes long and should be {len}")),
        ("stub", "truncated file: 100 bytes are left".to_owned()),
        ("future", "woof format version 9, this program reads version 1".to_owned()),
        ("torn", "damaged header: its checksum does not match".to_owned()),
        ("..", "a directory, and not the name of a woof".to_owned()),
        ("good/x", "open: not a directory".to_owned()),
        ("farm/", "a woof's name does not end in \"/\"".to_owned()),
        ("woof:///nowhere/x", "no server on this machine serves it (wserve DIR)".to_owned()),
    ]
    .into()
}

/// What `wrm` says of a damaged woof besides what is wrong with it.
const RM_ADVICE: &str = ": it stays, as programs that have it open cannot be told; rm removes it";

/// Runs a command on everything that is no woof: each time one line that names it, and status 2.
pub(crate) fn refuses_what_is_no_woof(sandbox: &Sandbox, command: &str, more: &[&str]) {
    for (name, text) in bad(sandbox) {
        let ran = sandbox.run(command, &[&[name], more].concat(), b"");
        let is_damaged = text.starts_with("truncated") || text.starts_with("damaged");
        let advice = if command == "wrm" && is_damaged { RM_ADVICE } else { "" };
        // Where the output is a stream, it is said at its end.
        let seen = sandbox.run("wcat", &["-u"], &ran.stdout);
        assert_eq!(
            (ran.status, format!("{}{}", ran.stderr, seen.stderr), seen.text()),
            (2, format!("{command}: {name}: {text}{advice}\n"), ""),
            "{command} {name}"
        );
    }
    assert_eq!(fs::read(sandbox.dir().join("text")).unwrap(), b"date,temp\n");
    assert!(elements(sandbox, "good").starts_with(&["one".to_owned()]));
}

/// Whether a program is here.
pub(crate) fn installed(program: &str) -> bool {
    woof_kit::works("sh", &["-c", &format!("command -v {program}")])
}

/// Runs a script with `sh` where it may mount file systems that nobody else sees and that go away with it. `None`, said loudly,
/// where that is not possible.
pub(crate) fn with_mounts(sandbox: &Sandbox, what: &str, script: &str) -> Option<Ran> {
    const ROOT: [&str; 1] = ["--mount"];
    const USER: [&str; 3] = ["--user", "--map-root-user", "--mount"];
    let probe = "mkdir -p probe && mount -t tmpfs none probe";
    for flags in [&ROOT[..], &USER] {
        let run = |script| sandbox.run("unshare", &[flags, &["sh", "-c", script]].concat(), b"");
        if installed("unshare") && run(probe).status == 0 {
            return Some(run(script));
        }
    }
    woof_kit::skip(&format!("{what}: needs root or user namespaces, to mount file systems"));
    None
}

/// Starts a command whose input and output are ours.
pub(crate) fn start(sandbox: &Sandbox, program: &str, args: &[&str]) -> Child {
    let mut command = sandbox.command(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits for its end; a command that does not come to it is a failure, and not a test that hangs.
pub(crate) fn end(child: Child) -> Ran {
    Ran::from(woof_kit::ended(child))
}

/// Sends a signal.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// Waits until a process sleeps in a system call whose name in `/proc/PID/wchan` or state says that it waits.
pub(crate) fn asleep(child: &Child) {
    let status = || fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let switches = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let mut before = String::new();
    // Asleep, and not woken since we looked the last time, a while ago.
    woof_kit::until("it sleeps", || {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let now = status();
        let is_asleep = now.contains("State:\tS") && switches(&now) == before;
        before = switches(&now);
        is_asleep
    });
}
