//! `wrun --in`, and `wrun --at` of a namespace with a container: programs of a stream in a container.

use crate::farm::Farm;
use crate::image::Image;
use crate::proxy::Proxy;
use crate::support::Sandbox;

#[test]
fn a_program_in_a_container_is_a_filter_like_any() {
    let Some(image) = Image::for_test("wrun --in") else { return };
    let (sandbox, image_name) = (Sandbox::new(), &image.name);
    std::fs::write(sandbox.dir().join("secret"), "x").unwrap();
    let run = |args: &str, input: &[u8]| {
        sandbox.run("sh", &["-c", &format!("wrun --in {image_name} {args} | wcat -u")], input)
    };
    let numbers: String = (1..=2000).map(|number| format!("{number}\n")).collect();
    let doubled: String = (1..=2000).map(|number| format!("{number}{number}\n")).collect();
    assert_eq!(run("sed 's/.*/&&/'", numbers.as_bytes()).done(), doubled);
    let seen =
        run("sh -c 'id -u; cat /proc/net/dev | sed -n \"3,\\$s/:.*//p\"; ls; cat secret; echo $PATH'", b"");
    let uid = rustix::process::geteuid().as_raw();
    let uid = if uid == 0 { 65534 } else { uid };
    let mut lines = seen.text().lines().map(str::trim);
    assert_eq!(lines.next(), Some(&*uid.to_string()), "{seen:?}");
    assert_eq!(lines.next(), Some("lo"), "{seen:?}");
    assert!(lines.next().unwrap().starts_with("/woofstream/bin:"), "{seen:?}");
    assert!(seen.stderr.contains("secret"), "its standard error is ours: {seen:?}");
    // Messages go past it, and the next stage of a pipeline reads on.
    sandbox.sh("wput --create --type i64 w 1 2 3 > /dev/null").done();
    let each = sandbox.sh(&format!(
        "wget w .. | wrun --in {image_name} -e sh -c 'read v; echo $WOOF_NAME $WOOF_SEQNO $v' | wcat -u"
    ));
    assert_eq!(each.done(), "w 1 1\nw 2 2\nw 3 3\n");
    assert_eq!(image.containers(), [""; 0]);
}

#[test]
fn how_a_program_in_a_container_ends_is_told_as_of_any() {
    let Some(image) = Image::for_test("wrun --in, its end") else { return };
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| {
        let mut all = vec!["--in", &*image.name, "--"];
        all.extend(args);
        sandbox.run("wrun", &all, b"")
    };
    assert_eq!(run(&["sh", "-c", "exit 3"]).status, 3);
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).status, 137);
    let ran = run(&["no-such-program"]);
    // Its output is a pipe, so the error is in the stream.
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status == 2 && said.contains("in the container: no such file or directory"), "{ran:?}");
    let ran = sandbox.run("wrun", &["--in", "woofstream-none:1", "--", "cat"], b"");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status == 2 && said.contains("the container engine has no such image"), "{ran:?}");
}

#[test]
fn a_container_goes_with_the_wrun_that_is_killed() {
    let Some(image) = Image::for_test("wrun --in that is killed") else { return };
    let sandbox = Sandbox::new();
    let mut wrun = sandbox.command("wrun");
    wrun.args(["--in", &image.name, "--", "sleep", "1000"]).stdin(std::process::Stdio::null());
    let mut child = wrun.spawn().unwrap();
    // One that was made and never started has nobody in it who could notice.
    woof_kit::until("it runs", || !image.running().is_empty());
    child.kill().unwrap();
    woof_kit::wait(&mut child);
    woof_kit::until("it is gone", || image.containers().is_empty());
}

#[test]
fn a_container_whose_wrun_was_killed_before_it_started_goes_with_the_next_and_none_that_has_one() {
    let Some(image) = Image::for_test("wrun --in that is killed early") else { return };
    let farm = Farm::with("--type i64");
    farm.handler("note", "echo x > /namespace/note");
    farm.sh(&format!(
        "wattr farm container {} 2> warned; wbind farm/temp note; wput farm/temp 1",
        image.name
    ))
    .done();
    let sandbox = &farm.sandbox;
    let proxy = Proxy::keeping("/start", &sandbox.dir().join("engine.sock"));
    let made = || {
        let mut wrun = sandbox.command("wrun");
        wrun.args(["--in", &image.name, "--", "cat"]).env("DOCKER_HOST", proxy.address());
        wrun.env("TMPDIR", sandbox.dir());
        let child = wrun.stdin(std::process::Stdio::null()).spawn().unwrap();
        proxy.wait();
        child
    };
    // Killed alone, it leaves the woofd that keeps its container, and that takes back what it began.
    let mut child = made();
    child.kill().unwrap();
    woof_kit::wait(&mut child);
    woof_kit::until("its keeper removed it", || image.containers().is_empty());
    // Its keeper killed too: `wrun` ends with that, as nobody makes its container any more.
    let killed = |mut child: std::process::Child| {
        rustix::process::kill_process(child_of(child.id()), rustix::process::Signal::KILL).unwrap();
        assert_eq!(woof_kit::wait(&mut child).code(), Some(2));
    };
    killed(made());
    let first = image.containers();
    assert_eq!((first.len(), image.running().len()), (1, 0));
    let second_maker = made();
    let second = image.containers();
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    // One more beside it, which leaves it alone.
    sandbox.sh(&format!("echo x | wrun --in {} cat | wcat > /dev/null", image.name)).done();
    assert_eq!(image.containers(), second);
    farm.sh("chmod 777 farm; wserve --once --log-level error farm").done();
    assert_eq!(image.containers(), second);
    killed(second_maker);
    // A server does it too.
    farm.sh("wput farm/temp 2; wserve --once --log-level error farm").done();
    assert_eq!(image.containers(), [""; 0]);
    assert_eq!(sockets(sandbox), 0);
}

/// The child that a process has.
fn child_of(parent: u32) -> rustix::process::Pid {
    let is_of_it = |status: &str| status.lines().any(|line| line == format!("PPid:\t{parent}"));
    let mut all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let number: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{number}/status")).ok()?;
        is_of_it(&status).then(|| rustix::process::Pid::from_raw(number)).flatten()
    });
    all.next().unwrap()
}

/// How many sockets of agents there are in a sandbox.
fn sockets(sandbox: &Sandbox) -> usize {
    let entries = std::fs::read_dir(sandbox.dir()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("agent-")).count()
}

#[test]
fn a_wrun_that_is_told_to_end_while_its_container_starts_leaves_nothing() {
    let Some(image) = Image::for_test("wrun --in that is told to end early") else { return };
    let sandbox = Sandbox::new();
    let proxy = Proxy::keeping("/start", &sandbox.dir().join("engine.sock"));
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut wrun = sandbox.command("wrun");
        wrun.args(["--in", &image.name, "--", "cat"]).env("DOCKER_HOST", proxy.address());
        let child = wrun.env("TMPDIR", sandbox.dir()).stdin(std::process::Stdio::null()).spawn().unwrap();
        proxy.wait();
        assert_eq!((image.containers().len(), sockets(&sandbox)), (1, 1));
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let status = woof_kit::ended(child).status;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal.as_raw()));
        assert_eq!((image.containers().len(), sockets(&sandbox)), (0, 0));
    }
}

#[test]
fn a_handler_on_demand_runs_in_the_container_of_its_namespace() {
    let Some(image) = Image::for_test("wrun --at in a container") else { return };
    let farm = Farm::with("--type i64");
    farm.handler(
        "double",
        "echo \"$1 $WOOF_NAMESPACE $WOOF_CAUSE\" | sed 's/by .*/by somebody/'; sed 's/.*/&&/'; exit 3",
    );
    // Of root's namespace it says that the handler may not write there; it does not.
    farm.sh(&format!("wattr farm container {} 2> /dev/null", image.name)).done();
    let expected = "arg /namespace asked by somebody\n11\n22\n";
    let run = |name: &str| {
        farm.sandbox
            .sh(&format!("printf '1\\n2\\n' | wrun --at {name} double arg > out; echo $?; wcat -u out; true"))
    };
    // Here, without a server; and at a server, whose container stays for the next one.
    assert_eq!(run("farm").text(), format!("3\n{expected}"));
    assert_eq!(image.containers(), [""; 0]);
    let server = farm.serve();
    farm.until("it serves", || farm.sandbox.dir().join(".woof/server.sock").exists());
    let name = format!("woof://{}/farm", farm.sandbox.dir().display());
    assert_eq!(run(&name).text(), format!("3\n{expected}"));
    assert_eq!(run(&name).text(), format!("3\n{expected}"));
    assert_eq!(image.containers().len(), 1);
    server.stop();
    assert_eq!(image.containers(), [""; 0]);
}
