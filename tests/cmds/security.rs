//! Who may do what, through a server with TLS on loopback.

use crate::support::Sandbox;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

/// A server of the directory `srv`, which holds the namespace `farm` with one woof, `temp`. The user boss owns both.
struct Served {
    sandbox: Sandbox,
    server: Child,
    url: String,
}

impl Served {
    fn new() -> Served {
        let sandbox = Sandbox::new();
        sandbox
            .sh("mkdir srv && wcreate --namespace srv srv/farm && wcreate srv/farm/temp && wput srv/farm/temp one > acks \
                 && wattr srv owner boss && wattr srv/farm owner boss \
                 && wkey init lab && wkey add boss && wkey add alice -g ops")
            .done();
        let mut command = sandbox.command("wserve");
        command.args(["srv", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut said = BufReader::new(server.stderr.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the server ended");
            if let Some((_, port)) = line.trim_end().rsplit_once("127.0.0.1:") {
                break port.split_whitespace().next().unwrap().to_owned();
            }
        };
        // What else it says is read, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Served { sandbox, server, url: format!("woof://localhost:{port}") }
    }

    /// Runs a script as a user; `$U` is the server.
    fn run(&self, user: &str, script: &str) -> (i32, String, String) {
        let ran = self.sandbox.sh(&format!("U={}; export WOOF_IDENTITY={user}; {script}", self.url));
        let stdout = ran.text().to_owned();
        (ran.status, stdout, ran.stderr.replace(&self.url, "$U"))
    }

    #[track_caller]
    fn done(&self, user: &str, script: &str) -> String {
        let (status, stdout, stderr) = self.run(user, script);
        assert_eq!((status, stderr.as_str()), (0, ""), "{script}");
        stdout
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        woof_kit::wait(&mut self.server);
    }
}

#[test]
fn each_right_is_needed_and_enough() {
    let served = Served::new();
    for (right, others, script) in [
        ("read", "put create remove trigger admin", "wget $U/farm/temp .. -u"),
        ("put", "read create remove trigger admin", "wput $U/farm/temp two > acks"),
        ("create", "read put remove trigger admin", "wcreate $U/farm/new"),
        ("remove", "read put create trigger admin", "wrm $U/farm/temp"),
        ("admin", "read put create remove trigger", "wattr $U/farm grant user bob read"),
    ] {
        served.done(
            "boss",
            &format!("wattr $U/farm revoke user alice; wattr $U/farm grant user alice {others}"),
        );
        let (status, stdout, stderr) = served.run("alice", script);
        let why = format!(
            "user alice has no right to {right} (rights: {others}); the owner grants it with wattr\n"
        );
        assert!(stderr.ends_with(&why), "{right}: {stderr}");
        assert_eq!((status, stdout.as_str()), (2, ""), "{right}");
        served.done(
            "boss",
            &format!("wattr $U/farm revoke user alice; wattr $U/farm grant user alice {right}"),
        );
        served.done("alice", script);
    }
}

#[test]
fn a_group_and_any_give_rights_too() {
    let served = Served::new();
    assert_eq!(served.run("alice", "wget $U/farm/temp .. -u").0, 2);
    served.done("boss", "wattr $U/farm grant group ops read");
    assert_eq!(served.done("alice", "wget $U/farm/temp .. -u"), "one\n");
    served.done("boss", "wattr $U/farm revoke group ops; wattr $U/farm grant any read");
    assert_eq!(served.done("alice", "wget $U/farm/temp .. -u"), "one\n");
    let shown = served.done("boss", "wattr $U/farm");
    assert!(shown.ends_with("any          read\n"), "{shown}");
}

#[test]
fn strangers_and_the_revoked_stay_out() {
    let served = Served::new();
    served.done("boss", "wattr $U/farm grant any all");
    served.done("alice", "wget $U/farm/temp .. -u && wkey export alice alice.pem");
    served.done("boss", "wkey --keys away import alice.pem && wkey revoke alice");
    for (keys, expected) in [
        // Here it is known at once, elsewhere the server says it.
        ("$WOOF_KEYS", "the certificate of user alice is revoked\n"),
        ("away", "the server says that our certificate is revoked\n"),
        ("none", "wkey import takes what another machine's wkey exports\n"),
    ] {
        let (status, _, stderr) = served.run("alice", &format!("WOOF_KEYS={keys} wget $U/farm/temp .. -u"));
        assert!(status == 2 && stderr.ends_with(expected), "{keys}: {stderr}");
    }
    let script =
        "wkey --keys other init && wkey --keys other add eve && WOOF_KEYS=other wget $U/farm/temp .. -u";
    let (status, _, stderr) = served.run("eve", script);
    assert!(
        status == 2 && stderr.ends_with("the authority of the certificate of the server is not ours\n"),
        "{stderr}"
    );
}

#[test]
fn a_list_with_a_mistake_gives_nobody_else_a_right_and_is_told_of() {
    let served = Served::new();
    served.done("boss", "wattr $U/farm grant any read");
    served.done("boss", "printf 'owner boss\\nany reed\\n' > srv/farm/.woof/access");
    let why =
        ".woof/access: line 2: \"reed\": not a right: read, put, create, remove, trigger, admin or all\n";
    let (status, _, stderr) = served.run("alice", "wget $U/farm/temp .. -u");
    assert_eq!(status, 2);
    assert!(
        stderr.ends_with(&format!("user alice has no right to read: only the owner has, since {why}")),
        "{stderr}"
    );
    assert_eq!(served.done("boss", "wget $U/farm/temp .. -u"), "one\n");
    let (status, _, stderr) = served.run("boss", "wattr $U/farm");
    assert_eq!((status, stderr), (2, format!("wattr: $U/farm: only the owner has rights: {why}")));
}
