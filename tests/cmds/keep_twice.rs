//! A target of a kept position that has two names. What is left of a pipeline that was killed is put under one of them while the next
//! pipeline puts under the other: each element is there once, in order.

use crate::server::{Process, Serving, ready, until};
use crate::support::Sandbox;
use std::io::Write as _;
use std::process::Stdio;

/// So many elements are carried.
const COUNT: usize = 3000;

/// All that is in the target.
fn hub(sandbox: &Sandbox) -> Vec<String> {
    sandbox.sh("wget srv/farm/hub .. -u").done().lines().map(str::to_owned).collect()
}

/// Puts the first part of an old stream under `old`, then carries all under `new`, then puts the rest of the old stream; and the same with
/// parts of both in turns.
fn each_is_there_once(sandbox: &Sandbox, old: &str, new: &str) {
    let here = sandbox.dir().canonicalize().unwrap();
    let names = here.join("names");
    std::fs::write(&names, format!("union {0}/nothing {0}/srv/farm\n", here.display())).unwrap();
    sandbox
        .sh("mkdir -p srv/farm links nothing; rm -rf farm srv/farm/hub links/* dir; wcreate -p farm/temp; wcreate srv/farm/hub; \
             ln -s ../srv/farm/hub links/soft; ln srv/farm/hub links/hard; ln -s srv/farm dir")
        .done();
    sandbox.sh(&format!("seq {COUNT} | wput farm/temp > acks")).done();
    sandbox.bash("wtail --keep up --from 1 --no-follow farm/temp 2> said | true").done();
    sandbox.sh("cp farm/.woof/positions/up before; wtail --keep up --no-follow farm/temp > stream; cp before farm/.woof/positions/up").done();
    let stream = std::fs::read(sandbox.dir().join("stream")).unwrap();
    let start = |name: &str| {
        let mut wput = sandbox.command("wput");
        wput.args([name, "-q"])
            .env("WOOF_NAMES", &names)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let mut process = Process::start(&mut wput);
        let stdin = process.0.stdin.take().unwrap();
        (process, stdin)
    };
    let is_in = |part: usize| until("a part is in", || hub(sandbox).len() >= part);
    // The old one has put a part.
    let (mut first, mut its_input) = start(old);
    its_input.write_all(&stream[..stream.len() / 3]).unwrap();
    is_in(COUNT / 4);
    // Another one that is left over from before.
    let (mut second, mut other_input) = start(new);
    other_input.write_all(&stream[..stream.len() / 2]).unwrap();
    is_in(COUNT / 3);
    its_input.write_all(&stream[stream.len() / 3..stream.len() * 2 / 3]).unwrap();
    is_in(COUNT / 2);
    sandbox
        .sh(&format!(
            "export WOOF_NAMES=$PWD/names; wtail --keep up --no-follow farm/temp | wput {new} > acks"
        ))
        .done();
    is_in(COUNT);
    its_input.write_all(&stream[stream.len() * 2 / 3..]).unwrap();
    drop(its_input);
    assert!(woof_kit::wait(&mut first.0).success());
    other_input.write_all(&stream[stream.len() / 2..]).unwrap();
    drop(other_input);
    assert!(woof_kit::wait(&mut second.0).success());
    let all: Vec<String> = (1..=COUNT).map(|number| number.to_string()).collect();
    assert!(hub(sandbox) == all, "{old} and {new}: {:?}", hub(sandbox));
    assert!(sandbox.sh("cat farm/.woof/positions/up").done().contains(&format!("\ndone {COUNT} ")));
}

#[test]
fn names_of_one_file_are_one_target() {
    let sandbox = Sandbox::new();
    for (old, new) in [
        ("srv/farm/hub", "links/soft"),
        ("links/soft", "srv/farm/hub"),
        ("links/hard", "srv/farm/hub"),
        ("srv/farm/hub", "links/hard"),
        ("links/hard", "union/hub"),
        ("union/hub", "dir/hub"),
        ("srv/farm/hub", "./srv/../srv/farm/hub"),
        ("srv/farm/hub", "srv/farm/hub"),
    ] {
        each_is_there_once(&sandbox, old, new);
    }
}

#[test]
fn a_server_and_a_path_and_two_hosts_are_one_target() {
    let sandbox = ready();
    let server = Serving::tls(&sandbox);
    let by_address = server.name("farm/hub");
    let by_name = by_address.replace("127.0.0.1", "localhost");
    let by_socket = format!("woof://{}/srv/farm/hub", sandbox.dir().canonicalize().unwrap().display());
    for (old, new) in [
        (by_address.as_str(), "srv/farm/hub"),
        ("srv/farm/hub", &by_address),
        (&by_address, &by_name),
        (&by_socket, &by_address),
        (&by_socket, "srv/farm/hub"),
        (&by_address, &by_address),
    ] {
        each_is_there_once(&sandbox, old, new);
    }
    server.stop();
}
