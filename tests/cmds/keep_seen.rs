//! A kept position goes over what was looked at and not wanted: what is overwritten later was not lost.

use crate::server::{Process, Serving, ready, until};
use crate::support::{Ran, Sandbox};
use rustix::process::Signal;
use std::process::Stdio;

/// `srv/farm/m`, which keeps 10 elements, read from a position by `name`.
fn read(sandbox: &Sandbox, name: &str, more: &str) -> Ran {
    sandbox.bash(&format!("wtail --keep r --no-follow {more} {name} | wput copy > acks; exit $PIPESTATUS"))
}

fn each(test: impl Fn(&Sandbox, &str)) {
    let here = Sandbox::new();
    here.sh("wcreate -p srv/farm/m --history 10 --type i64; wcreate copy --type i64").done();
    test(&here, "srv/farm/m");
    let there = ready();
    there.sh("wcreate -p srv/farm/m --history 10 --type i64; wcreate copy --type i64").done();
    let server = Serving::tls(&there);
    let name = server.name("farm/m");
    test(&there, &name);
    server.stop();
}

fn copy(sandbox: &Sandbox) -> String {
    sandbox.sh("wget copy .. -u | tr '\\n' ' '").done().trim_end().to_owned()
}

#[test]
fn elements_that_were_looked_at_are_not_lost_when_they_are_overwritten() {
    each(|sandbox, name| {
        read(sandbox, name, "").done();
        for _ in 0..3 {
            sandbox.sh("seq 8 | wput srv/farm/m > acks").done();
            read(sandbox, name, "--where 'value > 99'").done();
        }
        // Some are wanted, and what is behind the last of them counts too.
        sandbox.sh("seq 98 105 | wput srv/farm/m > acks").done();
        read(sandbox, name, "--where 'value > 99 && value < 102'").done();
        sandbox.sh("seq 8 | wput srv/farm/m > acks").done();
        read(sandbox, name, "--where 'value > 99'").done();
        assert_eq!(copy(sandbox), "100 101");
    });
}

#[test]
fn elements_that_nobody_looked_at_are_told_to_be_gone_once() {
    each(|sandbox, name| {
        read(sandbox, name, "").done();
        sandbox.sh("seq 18 | wput srv/farm/m -q > acks").done();
        let ran = read(sandbox, name, "--where 'value > 99'");
        assert_eq!(ran.status, 1);
        assert!(
            ran.stderr.contains("elements 1 to 8 are gone: overwritten before they were read"),
            "{}",
            ran.stderr
        );
        read(sandbox, name, "--where 'value > 99'").done();
        sandbox.sh("seq 8 | wput srv/farm/m > acks").done();
        read(sandbox, name, "--where 'value > 99'").done();
    });
}

#[test]
fn a_follower_that_wants_none_of_them_goes_on_behind_them() {
    each(|sandbox, name| {
        read(sandbox, name, "").done();
        let mut wtail = sandbox.command("wtail");
        wtail
            .args(["--keep", "r", "--where", "value > 99", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut wtail = Process::start(&mut wtail);
        let mut wput = sandbox.command("wput");
        wput.arg("copy").stdin(wtail.0.stdout.take().unwrap()).stdout(Stdio::null());
        let mut wput = Process::start(&mut wput);
        let state = "cat srv/farm/.woof/positions/r $XDG_STATE_HOME/woofstream/positions/r 2> said | sed -n 's/^done *//p'";
        for last in [8, 16, 24] {
            sandbox.sh("seq 8 | wput srv/farm/m > acks").done();
            until("it has looked at them", || sandbox.sh(state).text().trim() == last.to_string());
        }
        wtail.signal(Signal::KILL);
        woof_kit::wait(&mut wput.0);
        read(sandbox, name, "").done();
        assert_eq!(copy(sandbox), "");
    });
}

#[test]
fn the_position_of_a_woof_that_is_made_by_the_first_element_moves_without_one() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p farm/m; seq 3 | wput farm/m > acks").done();
    let carry = "wtail --keep r --from 1 --no-follow --where 'value > 99' farm/m | wput --create new > acks; exit $PIPESTATUS";
    sandbox.bash(carry).done();
    assert!(sandbox.sh("cat farm/.woof/positions/r").done().contains("\ndone 3 "));
}
