//! A server that is at another address after a restart: behind the same host name, and behind a changed name table.

use crate::farm::{Farm, Running};
use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;
use woof_link::{LinkOptions, Side};

const FIRST: &str = "10.89.0.2";
const SECOND: &str = "10.89.0.9";

/// Gives side B its second address. False, said loudly, where there is no `ip`.
fn second_address(farm: &Farm) -> bool {
    let ip = |side: &Side, arguments: &str| {
        let arguments = arguments.replace("SECOND", SECOND);
        woof_kit::output(side.command("ip").args(arguments.split(' '))).status.success()
    };
    let done = ip(farm.link.b(), "address add SECOND/32 dev woof0")
        && ip(farm.link.a(), "route add SECOND dev woof0");
    if !done {
        woof_kit::skip("needs iproute2");
    }
    done
}

/// Has the host `edge7` be at an address.
fn set_host(farm: &Farm, address: &str) {
    // In its place, since it is mounted.
    fs::write(farm.path("hosts"), format!("127.0.0.1 localhost\n{address} edge7\n")).unwrap();
}

/// Starts a script on side A for which `edge7` is what `hosts` says.
fn with_hosts(farm: &Farm, script: &str, out: &str) -> Running {
    let script = format!("mount --bind hosts /etc/hosts && {script}");
    let mut command = farm.command("unshare", &["--mount", "bash", "-c", &script]);
    command.stdout(File::create(farm.path(out)).unwrap()).stderr(Stdio::piped());
    farm.spawn(&mut command)
}

#[test]
fn puts_and_follows_go_on_with_a_server_that_moved() {
    let rtt = Duration::from_millis(20);
    let Some(mut farm) =
        Farm::without_server(LinkOptions { rtt, rate_bytes_per_s: Some(500_000), ..LinkOptions::default() })
    else {
        return;
    };
    if !second_address(&farm) {
        return;
    }
    farm.there(
        "wkey host edge7; wcreate srv/farm/n --type i64 --history 50000; wcreate srv/farm/temp --type i64",
    );
    farm.start_with(FIRST, &["--host", "edge7"]);
    set_host(&farm, FIRST);
    let put = with_hosts(&farm, "seq 10000 | wput --wait 5m woof://edge7/farm/n > acks", "nothing");
    let tail = with_hosts(&farm, "exec wtail --from 1 --count 3 woof://edge7/farm/temp -u", "tail");
    farm.there("wput srv/farm/temp 1 > acks2");
    farm.wait_lines("tail", 1);
    let before = farm.link.a_to_b().delivered.bytes;
    crate::farm::until("some of the put", || farm.link.a_to_b().delivered.bytes > before.min(50_000));
    farm.kill();
    farm.there("wput srv/farm/temp 2 > acks2");
    set_host(&farm, SECOND);
    farm.start_with(SECOND, &["--host", "edge7"]);
    farm.there("wput srv/farm/temp 3 > acks2");
    let (put, tail) = (put.end(), tail.end());
    assert_eq!((put.status, tail.status), (0, 0), "{} {}", put.stderr, tail.stderr);
    farm.has_sequence("n", 10_000);
    assert_eq!(farm.text("tail"), "1\n2\n3\n");
}

#[test]
fn the_next_command_goes_where_the_name_table_says_now() {
    let Some(mut farm) = Farm::at_ms(10) else { return };
    if !second_address(&farm) {
        return;
    }
    farm.sh("wns add edge woof://10.89.0.2/farm && wput --create edge/temp one > acks").done();
    assert_eq!(farm.sh("wget edge/temp .. -u").done(), "one\n");
    farm.kill();
    farm.start(SECOND);
    let ran = farm.sh("wget edge/temp .. -u --timeout 5s");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "wget: woof://10.89.0.2:7144: connect to 10.89.0.2:7144: connection refused\n")
    );
    farm.sh("wns remove edge && wns add edge woof://10.89.0.9/farm").done();
    assert_eq!(farm.sh("wput edge/temp two > acks && wget edge/temp .. -u").done(), "one\ntwo\n");
}
