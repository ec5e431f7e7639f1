//! Woofs that are renamed, removed and replaced under the commands that have them open, as any file can be.

use crate::server::{Process, Serving, local, ready, until};
use crate::support::Sandbox;
use std::io::Write as _;
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

/// What takes the name of `srv/farm/w` away, and what is said then.
const TAKEN: [(&str, &str); 7] = [
    ("mv srv/farm/w srv/farm/elsewhere", "moved"),
    ("rm srv/farm/w", "removed"),
    ("mv srv/farm/other srv/farm/w", "reset"),
    ("cp srv/farm/w backup && mv backup srv/farm/w", "reset"),
    ("wrm srv/farm/w", "removed"),
    ("wcreate --reset srv/farm/w", "reset"),
    ("mv srv/farm srv/away", "moved"),
];

fn sandbox() -> Sandbox {
    let sandbox = ready();
    sandbox.sh("wcreate srv/farm/w && wcreate srv/farm/other && wput srv/farm/w zero > acks").done();
    sandbox
}

/// A command whose errors go to a file.
struct Running {
    process: Process,
    errors: std::path::PathBuf,
}

impl Running {
    fn start(sandbox: &Sandbox, program: &str, args: &[&str], name: &str) -> Running {
        let errors = sandbox.dir().join(name);
        let open = |end: &str| std::fs::File::create(sandbox.dir().join(format!("{name}{end}"))).unwrap();
        let mut command = sandbox.command(program);
        command.args(args).stdin(Stdio::piped()).stdout(open(".out")).stderr(open(""));
        Running { process: Process::start(&mut command), errors }
    }

    fn input(&mut self) -> ChildStdin {
        self.process.0.stdin.take().unwrap()
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let mut status = None;
        until("it ends", || {
            status = self.process.0.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap().code(), std::fs::read_to_string(&self.errors).unwrap())
    }
}

/// How many elements are in what a command wrote.
fn lines(sandbox: &Sandbox, file: &str) -> usize {
    std::fs::read_to_string(sandbox.dir().join(file)).map_or(0, |text| text.lines().count())
}

#[test]
fn a_follower_ends_when_its_woof_loses_its_name() {
    for (taken, how) in TAKEN {
        for remote in [false, true] {
            let sandbox = sandbox();
            let _serving = remote.then(|| Serving::start(&sandbox, &[]));
            let name = if remote { local(&sandbox, "farm/w") } else { "srv/farm/w".to_owned() };
            let mut follower = Running::start(&sandbox, "wtail", &[&name, "-n", "1", "-u"], "tail");
            until("it follows", || lines(&sandbox, "tail.out") == 1);
            sandbox.sh("wput srv/farm/w one > acks").done();
            until("it has that", || lines(&sandbox, "tail.out") == 2);
            let before = Instant::now();
            sandbox.sh(taken).done();
            let said = format!("wtail: {name}: the woof was {how} meanwhile\n");
            assert_eq!(follower.end(), (Some(2), said), "{taken}");
            assert!(before.elapsed() < Duration::from_secs(30), "{taken}");
        }
    }
}

#[test]
fn a_put_fails_when_its_woof_loses_its_name_and_says_where_its_elements_are() {
    for (taken, how) in TAKEN {
        for remote in [false, true] {
            let sandbox = sandbox();
            let _serving = remote.then(|| Serving::start(&sandbox, &[]));
            let name = if remote { local(&sandbox, "farm/w") } else { "srv/farm/w".to_owned() };
            let mut put = Running::start(&sandbox, "wput", &[&name], "put");
            let mut input = put.input();
            input.write_all(b"one\n").unwrap();
            until("it is in", || sandbox.sh("wget srv/farm/w -u").text() == "one\n");
            sandbox.sh(taken).done();
            until("it notices", || {
                std::thread::sleep(Duration::from_millis(50));
                // It has ended when nobody reads this any more.
                input.write_all(b"more\n").is_err() || put.process.0.try_wait().unwrap().is_some()
            });
            let (status, said) = put.end();
            let how = format!("wput: {name}: the woof was {how} meanwhile");
            assert!(status == Some(2) && said.starts_with(&how), "{taken}: {status:?} {said}");
            // Those who took it away by our commands have told it: nothing more was appended.
            if !remote && !taken.starts_with('w') {
                assert!(
                    said.contains(": what was put up to element ")
                        && said.ends_with(" is in the file that had its name\n"),
                    "{said}"
                );
            }
        }
    }
}

#[test]
fn a_put_of_which_the_last_element_went_into_a_file_without_a_name_fails_at_its_end() {
    let sandbox = sandbox();
    let mut put = Running::start(&sandbox, "wput", &["srv/farm/w"], "put");
    let mut input = put.input();
    input.write_all(b"one\n").unwrap();
    until("it is in", || sandbox.sh("wget srv/farm/w -u").text() == "one\n");
    sandbox.sh("mv srv/farm/w moved").done();
    input.write_all(b"two\n").unwrap();
    drop(input);
    let (status, said) = put.end();
    assert_eq!(status, Some(2));
    let up_to = |last| {
        format!(
            "wput: srv/farm/w: the woof was moved meanwhile: what was put up to element {last} is in the file that had its name\n"
        )
    };
    let there = sandbox.sh("wget moved -u").text().to_owned();
    assert_eq!(said, up_to(if there == "two\n" { 3 } else { 2 }));
}

#[test]
fn what_leads_to_the_same_woof_as_before_goes_on() {
    let sandbox = sandbox();
    sandbox.sh("ln -s farm srv/link && ln -s ../farm/w srv/farm/alias").done();
    let name = "srv/link/alias";
    let mut follower = Running::start(&sandbox, "wtail", &[name, "-n", "1", "-u"], "tail");
    let mut put = Running::start(&sandbox, "wput", &[name], "put");
    let mut input = put.input();
    until("it follows", || lines(&sandbox, "tail.out") == 1);
    for (count, harmless) in (2..).zip([
        "touch srv/farm/w && chmod 600 srv/farm/w",
        "ln srv/farm/w second && rm second",
        "ln -sfn $PWD/srv/farm srv/new && mv -T srv/new srv/link",
        "mv srv/farm/other srv/farm/third && rm srv/farm/third",
    ]) {
        sandbox.sh(harmless).done();
        std::thread::sleep(Duration::from_millis(150));
        input.write_all(b"more\n").unwrap();
        until("it goes on", || lines(&sandbox, "tail.out") == count);
    }
    sandbox.sh("ln -sfn other srv/new && mv -T srv/new srv/link").done();
    assert_eq!(follower.end(), (Some(2), format!("wtail: {name}: the woof was moved meanwhile\n")));
    drop(input);
    assert_eq!(put.end().0, Some(0), "all of it was there when it had its name");
}

#[test]
fn a_kept_position_does_not_move_for_elements_that_nobody_finds() {
    let sandbox = sandbox();
    sandbox.sh("wcreate hub").done();
    let mut tail = sandbox.command("bash");
    let script = "wtail --keep up --from 1 srv/farm/w | wput hub; exit $((PIPESTATUS[1] * 10))";
    tail.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut pipeline = Process::start(&mut tail);
    until("zero is carried", || sandbox.sh("wget hub -u").text() == "zero\n");
    let done = || sandbox.sh("sed -n 's/^done //p' srv/farm/.woof/positions/up").text().trim().to_owned();
    until("that is known", || done() == "1");
    sandbox.sh("mv hub moved && wcreate hub && wput srv/farm/w one > acks").done();
    until("it ends", || {
        sandbox.sh("wput srv/farm/w more > acks").done();
        pipeline.0.try_wait().unwrap().is_some()
    });
    assert_eq!(done(), "1");
    sandbox.sh("wtail --keep up --no-follow srv/farm/w | wput hub > acks").done();
    assert!(sandbox.sh("wget hub .. -u").done().starts_with("one\nmore\n"));
}

#[test]
fn a_program_that_is_run_for_each_element_ends_when_its_woof_loses_its_name() {
    let sandbox = sandbox();
    let args = ["--on", "srv/farm/w", "--from", "1", "--", "cat"];
    let mut run = Running::start(&sandbox, "wrun", &args, "run");
    let done = || sandbox.sh("grep -h ^done srv/farm/.woof/positions/*").text().trim().to_owned();
    until("it has run", || done() == "done 1");
    sandbox.sh("mv srv/farm/other srv/farm/w").done();
    assert_eq!(run.end(), (Some(2), "wrun: srv/farm/w: woof was reset after element 1\n".to_owned()));
}
