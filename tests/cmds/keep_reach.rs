//! Kept positions whose file the last command of a pipeline cannot reach: other homes, users, views of the files, and hosts.

use crate::server::{Serving, ready};
use crate::support::{Ran, Sandbox};
use crate::woofs::with_mounts;

/// `farm/temp` with 1 to 3, and a program `ssh HOST COMMAND...` whose host has none of our `farm`.
fn farm() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p farm/temp; wcreate -p srv/hub; seq 3 | wput farm/temp > acks; mkdir empty").done();
    // As of the real one, what it runs writes into a pipe.
    let ssh = "#!/bin/bash\n\
               set -o pipefail\n\
               shift\n\
               command=\"mount --bind empty farm && exec $*\"\n\
               env -i HOME=/nowhere PATH=\"$PATH\" unshare --mount sh -c \"$command\" | cat\n";
    std::fs::write(sandbox.dir().join("ssh"), ssh).unwrap();
    sandbox.sh("chmod +x ssh").done();
    sandbox
}

/// Runs a pipeline in which `ssh` may stand, from a kept position to its end; `None` where there can be no other host.
fn across(sandbox: &Sandbox, pipeline: &str) -> Option<Ran> {
    let script = format!("exec bash -c \"$PIPELINE\"; # {pipeline}");
    let mut wrapped = String::from("PIPELINE='");
    wrapped.push_str(&format!("PATH=$PWD:$PATH; {pipeline}; echo ${{PIPESTATUS[*]}}").replace('\'', "'\\''"));
    wrapped.push_str("'; export PIPELINE; ");
    with_mounts(sandbox, "other hosts", &(wrapped + &script))
}

fn hub(sandbox: &Sandbox) -> String {
    sandbox.sh("wget srv/hub .. -u | tr '\\n' ' '").done().trim_end().to_owned()
}

fn done(sandbox: &Sandbox) -> String {
    sandbox.sh("sed -n 's/^done *//p' farm/.woof/positions/up | tr -d ' '").done().trim_end().to_owned()
}

const UNREACHED: &str = "wtail: farm/temp: position up was not moved beyond 0, though elements up to 3 were sent: \
                         the end of the pipeline did not put them away, or cannot reach its file\n";

#[test]
fn a_put_on_another_host_is_each_element_once_and_its_answer_moves_the_position() {
    let sandbox = farm();
    let carry = "wtail --keep up --from 1 --no-follow farm/temp | ssh host wput srv/hub";
    // Nobody here hears that they are in.
    for _ in 0..2 {
        let Some(ran) = across(&sandbox, &format!("{carry} > answer")) else { return };
        assert_eq!((ran.text(), ran.stderr.as_str()), ("1 0\n", UNREACHED));
        assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3", "0"));
    }
    // Whoever reads the answer moves it.
    let ran = across(&sandbox, &format!("{carry} | wcat > answer")).unwrap();
    assert_eq!((ran.text(), ran.stderr.as_str()), ("0 0 0\n", ""));
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3", "3"));
    sandbox.sh("seq 4 5 | wput farm/temp > acks").done();
    let ran = across(&sandbox, &format!("{carry} | wcat > answer")).unwrap();
    assert_eq!((ran.text(), ran.stderr.as_str()), ("0 0 0\n", ""));
    assert_eq!(sandbox.sh("cat answer").done(), "srv/hub 4\nsrv/hub 5\n");
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3 4 5", "5"));
}

#[test]
fn a_last_command_that_cannot_reach_the_position_says_why() {
    let sandbox = farm();
    let carry = "wtail --keep up --from 1 --no-follow farm/temp";
    let path = sandbox.dir().canonicalize().unwrap().join("farm/.woof/positions/up");
    for end in ["ssh host 'wput srv/hub > /dev/null'", "ssh host 'wcat > /dev/null'"] {
        let Some(ran) = across(&sandbox, &format!("{carry} | {end}")) else { return };
        let command = if end.contains("wput") { "wput" } else { "wcat" };
        let why = format!(
            "{command}: farm/temp: position {} cannot be moved from here: no such file or directory\n",
            path.display()
        );
        assert_eq!((ran.text(), ran.stderr.clone()), ("1 0\n", why + UNREACHED), "{end}");
    }
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3", "0"));
}

#[test]
fn the_source_may_be_on_the_other_host() {
    let sandbox = farm();
    // This host has no `farm`, and the other has.
    sandbox.sh("mv farm there; mkdir farm; sed -i 's/empty farm/there farm/' ssh").done();
    let carry =
        "ssh edge wtail --keep up --from 1 --no-follow farm/temp | wput srv/hub | ssh edge 'wcat > answer'";
    for more in ["1 2 3", "1 2 3 4"] {
        let Some(ran) = across(&sandbox, carry) else { return };
        assert_eq!((ran.text(), ran.stderr.as_str()), ("0 0 0\n", ""));
        assert_eq!(hub(&sandbox), more);
        sandbox.sh("wput there/temp 4 > acks").done();
    }
}

#[test]
fn whose_home_it_is_does_not_matter() {
    let sandbox = ready();
    let server = Serving::tls(&sandbox);
    sandbox.sh("wcreate -p srv/farm/temp; seq 3 | wput srv/farm/temp > acks; wcreate c").done();
    let carry = format!(
        "unset XDG_STATE_HOME; HOME=$PWD/h1 wtail --keep p --from 1 --no-follow {} | HOME=$PWD/h2 wput --create c > acks",
        server.name("farm/temp")
    );
    for _ in 0..2 {
        assert_eq!(sandbox.bash(&format!("{carry}; echo ${{PIPESTATUS[*]}}")).done(), "0 0\n");
    }
    assert_eq!(sandbox.sh("wget c .. -u | tr '\\n' ' '").done(), "1 2 3 ");
    server.stop();
}

#[test]
fn another_user_who_may_not_write_the_position_does_not_move_it() {
    let sandbox = Sandbox::new();
    if !rustix::process::getuid().is_root() {
        return woof_kit::skip("a put by another user: needs root");
    }
    sandbox
        .sh("wcreate -p farm/temp; seq 3 | wput farm/temp > acks; wcreate -p open/hub; chmod -R a+rwX . open; chmod go-w -R farm")
        .done();
    let carry = "wtail --keep up --from 1 --no-follow farm/temp | setpriv --reuid 65534 --clear-groups wput open/hub > acks";
    let ran = sandbox.bash(&format!("{carry}; echo ${{PIPESTATUS[*]}}"));
    if ran.stderr.contains("setpriv") {
        return woof_kit::skip(&format!("a put by another user: {}", ran.stderr));
    }
    let path = sandbox.dir().canonicalize().unwrap().join("farm/.woof/positions/up");
    let why = format!(
        "wput: farm/temp: position {} cannot be moved from here: permission denied\n",
        path.display()
    );
    assert_eq!((ran.text(), ran.stderr.clone()), ("1 0\n", why + UNREACHED));
    assert_eq!(sandbox.sh("wget open/hub .. -u | tr '\\n' ' '").done(), "1 2 3 ");
}
