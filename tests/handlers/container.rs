//! Handlers in containers: what they see, that they end with whatever ends, and that no trigger is lost by it.

use crate::farm::Farm;
use crate::image::{Image, works};
use std::path::Path;

/// A namespace whose handlers run in containers of an image. Root's is given to another user, since no handler runs as root there.
fn farm(image: &Image, options: &str) -> Farm {
    let farm = Farm::with(options);
    give_away(&farm);
    farm.sh(&format!("wattr farm container {}", image.name)).done();
    farm
}

/// Who handlers run as where the namespace is root's.
const USER: u32 = 4242;

fn give_away(farm: &Farm) {
    if rustix::process::geteuid().is_root() {
        farm.sh(&format!("chown -R {USER}:{USER} farm")).done();
    }
}

#[test]
fn a_handler_in_a_container_sees_its_namespace_and_nothing_else() {
    let Some(image) = Image::for_test("a handler in a container") else { return };
    let farm = farm(&image, "--type f64");
    std::fs::write(farm.sandbox.dir().join("secret"), "x").unwrap();
    // Of a server that was killed while its container started.
    std::fs::write(farm.path(".woof/agent-00c0ffee.sock"), "").unwrap();
    farm.handler(
        "look",
        "read v; { echo \"$v $WOOF_NAME $WOOF_SEQNO $WOOF_TRIGGER $WOOF_NAMESPACE\"; pwd; id -u; \
         cat /proc/net/dev | sed -n '3,$s/:.*//p' | tr -d ' '; } > /namespace/seen; \
         echo x > /namespace/.woof/bindings && echo 'state can be written' >> seen; \
         echo x > /open/x && echo 'root can be written' >> seen; \
         cat \"$HOST_SECRET\" && echo 'the machine can be read' >> seen; \
         wput /namespace/out \"$v\" && echo 'put' >> seen; sed -n 's/^NoNewPrivs:.//p; s/^CapBnd:.//p' /proc/self/status >> seen"
            .replace("| tr -d ' '", "| sed 's/ //g'")
            .replace("$HOST_SECRET", farm.sandbox.dir().join("secret").to_str().unwrap())
            .as_str(),
    );
    farm.sh("wcreate farm/out --type f64; wbind farm/temp look; wput farm/temp 71.5").done();
    give_away(&farm);
    let ran = farm.once();
    ran.done();
    let uid = if rustix::process::geteuid().is_root() { USER } else { rustix::process::geteuid().as_raw() };
    let uid = uid.to_string();
    let expected = ["71.5 temp 1 1-1 /namespace", "/namespace", &uid, "lo", "put", "0000000000000000", "1"];
    assert_eq!(farm.lines("seen"), expected, "{ran:?}");
    assert_eq!(farm.sh("wget farm/out .. -u").done(), "71.5\n");
    assert_eq!(image.containers(), [""; 0], "it ends with the command");
    assert!(
        std::fs::read_dir(farm.path(".woof"))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().ends_with(".sock") })
    );
}

#[test]
fn one_container_serves_all_attempts_and_goes_with_its_server_also_when_that_is_killed() {
    let Some(image) = Image::for_test("one container for all attempts") else { return };
    let farm = Farm::with("--type i64");
    // Each process sees how its container is called.
    farm.handler("note", "read v; echo \"$v $(cat /proc/sys/kernel/hostname)\" >> /namespace/notes");
    farm.sh("wbind farm/temp note").done();
    give_away(&farm);
    let server = farm.serve_with(&["--container", &image.name]);
    assert_eq!(image.containers(), [""; 0], "it is started when it is first needed");
    farm.sh("seq 20 | wput farm/temp").done();
    farm.until("twenty are done", || farm.count(0, "done") == 20);
    let hosts = |lines: Vec<String>| -> std::collections::HashSet<String> {
        lines.iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(hosts(farm.lines("notes")).len(), 1);
    assert_eq!(image.containers().len(), 1);
    assert!(image.containers()[0].starts_with("woof-farm-"), "{:?}", image.containers());
    server.kill();
    farm.until("the container has gone", || image.containers().is_empty());

    let server = farm.serve_with(&["--container", &image.name]);
    farm.sh("seq 21 30 | wput farm/temp").done();
    farm.until("thirty are done", || farm.count(0, "done") == 30);
    assert_eq!(hosts(farm.lines("notes")).len(), 2);
    server.stop();
    assert_eq!(image.containers(), [""; 0], "it is gone when the server has ended");
    assert_eq!(farm.lines("notes").len(), 30);
}

#[test]
fn containers_and_agents_that_are_killed_lose_no_trigger() {
    const TRIGGERS: u64 = 10_000;
    const ROUNDS: u64 = 30;
    let Some(image) = Image::for_test("containers that are killed") else { return };
    let farm = farm(&image, "--type i64");
    farm.handler("note", "read v; echo $v >> /namespace/notes");
    farm.sh(&format!("wbind farm/temp note --retries 100; seq {TRIGGERS} | wput farm/temp")).done();
    give_away(&farm);
    let mut server = farm.serve_with(&[]);
    let mut kills = 0;
    let done = || farm.lines("notes").iter().collect::<std::collections::HashSet<_>>().len() as u64;
    for round in 0..ROUNDS {
        // However long a container takes to start here, something is done before the next is killed.
        let next = (TRIGGERS * round / ROUNDS).max(done() + 1).min(TRIGGERS);
        farm.until("more is done", || done() >= next);
        if next == TRIGGERS {
            break;
        }
        match (round % 5, image.containers().first()) {
            (0 | 1, Some(container)) => drop(works(&["kill", container])),
            // The agent alone: the first process then ends by itself.
            (2, Some(container)) => kill_agent(container),
            _ => {
                server.kill();
                server = farm.serve_with(&[]);
            }
        }
        kills += 1;
        // Once more in the middle of the start.
        if matches!(round % 5, 1 | 4) {
            farm.until("a container is there", || !image.containers().is_empty());
            if round % 5 == 1 {
                let _ = works(&["kill", &image.containers().concat()]);
            } else {
                server.kill();
                server = farm.serve_with(&[]);
            }
            kills += 1;
        }
    }
    farm.until("all are done", || done() == TRIGGERS && farm.count(0, "pending") == 0);
    server.stop();
    assert!(kills >= ROUNDS / 3, "all was done before {kills} kills");
    let again = farm.lines("notes").len() as u64 - TRIGGERS;
    assert!(again <= 4 * kills, "{again} were done again after {kills} kills, with 4 at once");
    assert_eq!((farm.count(0, "dead"), image.containers().len()), (0, 0));
}

/// Kills the agent of a container, by its number here: it is the child of the container's first process.
fn kill_agent(container: &str) {
    let args = ["inspect", "--format", "{{.State.Pid}}", container];
    let output = woof_kit::output(woof_kit::command("docker").args(args));
    let first = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let children = format!("/proc/{first}/task/{first}/children");
    let Ok(children) = std::fs::read_to_string(children) else { return };
    for child in children.split_whitespace().take(1) {
        let pid = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
        // Whoever may not leaves that to the next kill.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[test]
fn a_long_lived_handler_runs_in_the_container_too() {
    let Some(image) = Image::for_test("a long-lived handler in a container") else { return };
    let farm = farm(&image, "--type i64");
    farm.handler("stream", "wcat -u | tee -a /namespace/notes | sed -u 's/.*/ok/'");
    farm.sh("wbind farm/temp stream --stream; seq 2000 | wput farm/temp").done();
    give_away(&farm);
    farm.once().done();
    assert_eq!((farm.count(0, "done"), farm.lines("notes").len()), (2000, 2000));
}

#[test]
fn a_time_limit_ends_a_handler_with_its_children_and_the_container_stays() {
    let Some(image) = Image::for_test("a time limit in a container") else { return };
    let farm = farm(&image, "--type i64");
    farm.handler(
        "hang",
        "read v; [ $v = 2 ] && echo two > /namespace/two && exit; sleep 777 & exec sleep 777",
    );
    farm.sh("wbind farm/temp hang --limit 5s --retries 0; wput farm/temp 1").done();
    give_away(&farm);
    let server = farm.serve_with(&[]);
    farm.until("it is given up", || farm.count(0, "dead") == 1);
    let reason = farm.log("dead")[0]["reason"].as_str().unwrap().to_owned();
    assert_eq!(reason, "not done after 5s, the time limit: killed");
    let before = image.containers();
    let left = works(&["exec", &before[0], "/woofstream/woof", "help"]);
    assert!(left, "the container is there");
    let output = woof_kit::output(woof_kit::command("docker").args(["top", &before[0]]));
    let processes = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!processes.contains("sleep 777"), "{processes}");
    farm.sh("wput farm/temp 2").done();
    farm.until("the next is done", || farm.path("two").exists());
    assert_eq!(image.containers(), before);
    server.stop();
}

#[test]
fn memory_and_processes_in_a_container_have_limits() {
    let Some(image) = Image::for_test("limits of a container") else { return };
    let farm = Farm::with("--type i64");
    give_away(&farm);
    farm.sh(&format!("wattr farm container {} memory 64MiB cpus 0.5", image.name)).done();
    // One block of 200 MB, which is touched whole.
    farm.handler("eat", "dd if=/dev/zero of=/dev/null bs=200000000 count=1");
    farm.sh("wbind farm/temp eat --retries 0; wput farm/temp 1").done();
    give_away(&farm);
    let server = farm.serve_with(&[]);
    farm.until("it is given up", || farm.count(0, "dead") == 1);
    // What the kernel makes of them is the engine's part.
    let host = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
    let args = ["inspect", "--format", host, &image.containers()[0]];
    let output = woof_kit::output(woof_kit::command("docker").args(args));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "67108864 67108864 500000000 4096\n");
    server.stop();
    assert_eq!((farm.count(0, "dead"), farm.count(0, "done")), (1, 0));
}

#[test]
fn settings_say_what_runs_where() {
    let Some(image) = Image::for_test("settings of containers") else { return };
    let farm = Farm::with("--type i64");
    farm.handler("where", "read v; echo $v $WOOF_NAMESPACE >> \"$WOOF_NAMESPACE/notes\"");
    farm.sh("wbind farm/temp where; wattr farm container none; touch farm/notes").done();
    // Processes and containers run as different users, if this is root.
    farm.sh("chmod 666 farm/notes").done();
    give_away(&farm);
    let server = farm.serve_with(&["--container", &image.name]);
    farm.sh("wput farm/temp 1").done();
    farm.until("one is done", || farm.count(0, "done") == 1);
    // A server that runs goes by what is said now.
    farm.sh("wattr farm container default; wput farm/temp 2").done();
    farm.until("two are done", || farm.count(0, "done") == 2);
    farm.sh("wattr farm container none; wput farm/temp 3").done();
    farm.until("three are done", || farm.count(0, "done") == 3);
    let here = farm.sandbox.dir().join("farm").canonicalize().unwrap().display().to_string();
    let expected = [format!("1 {here}"), "2 /namespace".to_owned(), format!("3 {here}")];
    assert_eq!(farm.lines("notes"), expected);
    farm.until("a container that is not wanted has gone", || image.containers().is_empty());
    server.stop();
}

#[test]
fn an_image_without_libraries_is_told_of_a_program_that_needs_some() {
    let Some(image) = Image::for_test("an image without libraries") else { return };
    drop(image);
    let image = Image::empty();
    let farm = farm(&image, "--type i64");
    farm.handler("note", "true");
    farm.sh("wbind farm/temp note; wput farm/temp 1").done();
    give_away(&farm);
    let ran = farm.once();
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("shared libraries"), "{ran:?}");
    assert_eq!((farm.count(0, "pending"), farm.count(0, "dead"), image.containers().len()), (1, 0, 0));
}

#[test]
fn an_interpreter_that_the_image_does_not_have_is_said() {
    let Some(image) = Image::for_test("an interpreter that the image does not have") else { return };
    let farm = farm(&image, "--type i64");
    farm.handler("h", "true");
    std::fs::write(farm.path("handlers/h"), "#!/usr/bin/env sh\ntrue\n").unwrap();
    farm.sh("wbind farm/temp h --retries 0; wput farm/temp 1").done();
    give_away(&farm);
    assert_eq!(farm.once().status, 1);
    let reason = "start: the interpreter that its #! line names is not there: /usr/bin/env";
    assert_eq!(farm.log("dead")[0]["reason"], reason);
}

#[test]
fn an_image_that_is_not_there_is_said_at_once() {
    let Some(_image) = Image::for_test("an image that is not there") else { return };
    let farm = Farm::new();
    let ran = farm.sh("wserve farm --container woofstream-none:1");
    let text =
        "wserve: woofstream-none:1: the container engine has no such image: docker pull or docker build it\n";
    assert_eq!((ran.status, &*ran.stderr), (2, text));
}

#[test]
fn an_image_whose_name_is_empty_is_refused_and_changes_nothing() {
    let farm = Farm::new();
    give_away(&farm);
    farm.sh("wattr farm container alpine:3").done();
    for (command, name) in [
        ("wserve farm --container ''", "wserve"),
        ("wrun --in '' true | wcat", "wrun"),
        ("wattr farm container ''", "wattr"),
        ("wattr farm container '' network", "wattr"),
    ] {
        let ran = farm.sh(&format!("export DOCKER_HOST=unix:///nowhere/docker.sock; {command}"));
        let said = format!("{name}: \"\": the name of the image is empty\n");
        assert!(ran.status > 0 && ran.stderr == said, "{command}: {ran:?}");
    }
    assert!(farm.sh("wattr farm container").done().starts_with("alpine:3  "));
}

#[test]
fn a_namespace_of_root_whose_handlers_may_not_write_is_told_of() {
    let farm = Farm::new();
    let ran = farm.sh("wattr farm container alpine:3");
    let said = if rustix::process::geteuid().is_root() {
        "wattr: farm: root owns it, so its handlers run as nobody, who may not write there: \
         chown -R UID:GID farm, or container alpine:3 user UID:GID of who may\n"
    } else {
        ""
    };
    assert_eq!((ran.status, &*ran.stderr), (0, said));
    farm.sh("wattr farm container alpine:3 user 4242:4242; wattr farm container none").done();
    give_away(&farm);
    farm.sh("wattr farm container alpine:3").done();
}

#[test]
fn without_an_engine_handlers_that_need_one_wait_and_that_is_said() {
    let farm = Farm::with("--type i64");
    farm.handler("note", "read v; echo $v >> notes");
    give_away(&farm);
    farm.sh("wattr farm container alpine:3; wbind farm/temp note --retries 0; wput farm/temp 1 2").done();
    let engine = "DOCKER_HOST=unix:///nowhere/docker.sock";
    let ran = farm.sh(&format!("{engine} wserve --once --log-level error farm"));
    assert_eq!(ran.status, 2);
    let said = "no container engine answers at unix:///nowhere/docker.sock: ";
    assert!(ran.stderr.contains(said), "{ran:?}");
    assert!(
        ran.stderr.contains("handlers cannot run: their triggers wait"),
        "it ends, and tries nothing again: {ran:?}"
    );
    assert_eq!((farm.count(0, "pending"), farm.count(0, "dead"), farm.count(0, "failed")), (2, 0, 0));
    let again = farm.sh(&format!("{engine} wserve --once --log-level error farm"));
    assert_eq!((again.status, farm.log("done").len()), (2, 0));
    assert!(!Path::new(&farm.path("notes")).exists(), "nothing runs outside of the container instead");
    let ran = farm.sh(&format!("{engine} wserve farm --container alpine:3"));
    assert!(ran.status == 2 && ran.stderr.contains(said), "{ran:?}");
    let ran = farm.sh("DOCKER_HOST=tcp://127.0.0.1:1 wserve farm --container alpine:3");
    let text = "wserve: DOCKER_HOST tcp://127.0.0.1:1: not a container engine of this machine: its address begins with unix://\n";
    assert_eq!((ran.status, &*ran.stderr), (2, text));
    // Where the namespace wants none again, they run.
    farm.sh("wattr farm container default").done();
    farm.once().done();
    let mut lines = farm.lines("notes");
    lines.sort();
    assert_eq!(lines, ["1", "2"]);
}

#[test]
fn a_namespace_in_one_with_a_container_does_not_leave_it() {
    // As a handler in the container can make one that wants no container.
    let farm = Farm::with("--type i64");
    farm.handler("note", "echo $WOOF_SEQNO >> \"$WOOF_NAMESPACE/notes\"");
    farm.sh(
        "wcreate -p farm/sub/temp --type i64; cp -r farm/handlers farm/sub/; wattr farm/sub container none",
    )
    .done();
    farm.sh("wbind farm/sub/temp note; wput farm/sub/temp 1").done();
    give_away(&farm);
    farm.sh("wattr farm container alpine:3").done();
    let nowhere = "DOCKER_HOST=unix:///nowhere/docker.sock wserve --once --log-level error";
    for ran in [farm.sh(&format!("{nowhere} farm")), farm.sh(&format!("{nowhere} farm/sub"))] {
        assert!(ran.status == 2 && ran.stderr.contains("no container engine answers at"), "{ran:?}");
        assert!(!farm.path("sub/notes").exists(), "it ran outside of the container");
    }
    // With a container for all that do not say, the one above has handlers in it once it has bindings.
    farm.sh("wattr farm container default; wbind farm/temp note").done();
    let Some(image) = Image::for_test("a namespace in one with a container") else { return };
    give_away(&farm);
    let server = farm.serve_with(&["--container", &image.name]);
    farm.until("it is done", || farm.path("sub/notes").exists());
    farm.handler(
        "../sub/handlers/note",
        "echo $WOOF_SEQNO $WOOF_NAMESPACE >> \"$WOOF_NAMESPACE/notes\"; pwd >> notes",
    );
    farm.sh("wput farm/sub/temp 2; wput farm/temp 3").done();
    farm.until("both are done", || farm.lines("sub/notes").len() == 3 && farm.lines("notes").len() == 1);
    assert_eq!(farm.lines("sub/notes"), ["1", "2 /namespace/sub", "/namespace/sub"]);
    assert_eq!(image.containers().len(), 1, "they share the container");
    server.stop();
}

#[test]
fn a_container_whose_agent_was_stopped_by_a_handler_ends_with_its_server_too() {
    let Some(image) = Image::for_test("an agent that was stopped") else { return };
    let farm = farm(&image, "--type i64");
    farm.handler(
        "stop",
        "echo x > /namespace/stopped; cat /proc/$PPID/environ > /namespace/read; kill -STOP $PPID; sleep 777",
    );
    farm.sh("wbind farm/temp stop; wput farm/temp 1").done();
    give_away(&farm);
    let server = farm.serve_with(&[]);
    farm.until("it runs", || farm.path("read").exists());
    assert_eq!(image.containers().len(), 1);
    server.kill();
    farm.until("the container has gone", || image.containers().is_empty());
    assert_eq!(farm.lines("read"), [""; 0], "a handler looked into the agent");
}

#[test]
fn a_handler_does_not_reach_a_server_that_started_after_its_container() {
    let Some(image) = Image::for_test("the socket of another server") else { return };
    let farm = farm(&image, "--type i64");
    farm.handler(
        "call",
        "read v; wput woof:///namespace/out $v > /dev/null 2>> /namespace/said; wput /namespace/out $v > /dev/null",
    );
    farm.sh("wcreate farm/out --type i64; wcreate -p farm/sub/out --type i64; wbind farm/temp call; wput farm/temp 1").done();
    give_away(&farm);
    // The container is that of a server of the directory above, so its socket is not in there.
    let server = farm.serve_with(&[]);
    farm.until("the container is there", || farm.count(0, "done") == 1);
    let second = farm.serve_at("farm");
    farm.until("the second one serves", || farm.path(".woof/server.sock").exists());
    farm.sh("wput farm/temp 2").done();
    farm.until("the next is done", || farm.count(0, "done") == 2);
    let said = farm.lines("said");
    assert_eq!(said.len(), 2, "{said:?}");
    let text =
        "wput: woof://: this socket is not for handlers in a container: they open woofs of their namespace";
    assert!(said[1].starts_with(text), "{said:?}");
    assert_eq!(farm.sh("wget farm/out .. -u").done(), "1\n2\n", "nothing was put through the server");
    // Everybody else does.
    farm.sandbox.sh("wput woof://$PWD/farm/out 3 | wcat > /dev/null; wget farm/out 3 -u").done();
    drop(second);
    server.stop();
}
