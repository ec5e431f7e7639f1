//! How many round trips commands take: three to the first byte of an answer (TCP, TLS 1.3, the request), whatever is asked for, and then
//! what TCP's slow start needs.

use crate::farm::Farm;
use std::time::{Duration, Instant};

/// Long, so that the time that a busy machine takes is less than one.
const RTT: Duration = Duration::from_millis(500);

/// The longest on a slow machine: TCP sends its first packet again after a second without an answer.
const RTT_MAX: Duration = Duration::from_millis(900);

/// The most often a command is run for its best time.
const TRIES: u32 = 10;

/// How long a command takes on the server's side of the link, without its round trips.
fn own_time(farm: &Farm, before: &str, script: &str) -> Duration {
    farm.there(before);
    let mut command = farm.command("bash", &["-c", script]);
    let start = Instant::now();
    let ran = farm.link.b().enter(|| woof_kit::output(&mut command)).unwrap();
    let time = start.elapsed();
    assert!(ran.status.success(), "{script}: {ran:?}");
    time
}

/// Asserts that a command takes at least three round trips and less than one more than `most`. `before` makes ready for each.
#[track_caller]
fn takes(farm: &Farm, before: &str, script: &str, most: u32, expected: &str) {
    let rtt = (4 * own_time(farm, before, script)).clamp(RTT, RTT_MAX);
    farm.link.set_rtt(rtt).unwrap();
    let mut times = Vec::new();
    for _ in 0..TRIES {
        farm.there(before);
        let start = Instant::now();
        let ran = farm.sh(script);
        let time = start.elapsed();
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{script}");
        assert!(ran.text().contains(expected), "{script}: {}", ran.text());
        assert!(time >= 3 * rtt, "{script}: {time:?} is less than three round trips");
        times.push(time);
        if time < (most + 1) * rtt {
            eprintln!("{script}: {:.2} round trips", time.as_secs_f64() / rtt.as_secs_f64());
            return;
        }
    }
    panic!("{script}: more than {most} round trips of {rtt:?} each time: {times:?}");
}

/// How many flights TCP needs for so many bytes when the first is ten packets and each is twice the one before; one goes with the
/// request.
fn slow_start(bytes: u64) -> u32 {
    let (mut sent, mut flight, mut more) = (14_480, 14_480, 0);
    while sent < bytes {
        flight *= 2;
        sent += flight;
        more += 1;
    }
    more
}

#[test]
fn short_requests_take_three_round_trips() {
    let Some(farm) = Farm::at_ms(500) else { return };
    farm.there("wcreate srv/farm/temp --type i64; seq 100 | wput srv/farm/temp > acks");
    takes(&farm, "true", "wget $U/temp 50 -u", 3, "50\n");
    takes(&farm, "true", "wget $U/temp -3.. -u", 3, "98\n99\n100\n");
    takes(&farm, "true", "wtail -n 2 --no-follow $U/temp -u", 3, "99\n100\n");
    takes(&farm, "true", "wstat $U/temp --json", 3, "\"i64\"");
    takes(&farm, "true", "wput $U/temp 7 --json", 3, "\"seqno\":");
    takes(&farm, "rm -f srv/farm/new", "wput --create $U/new one --json", 3, "\"seqno\":1");
    takes(&farm, "rm -f srv/farm/made", "wcreate $U/made", 3, "");
    takes(&farm, "wcreate --reset srv/farm/gone", "wrm $U/gone", 3, "");
}

#[test]
fn long_answers_and_puts_take_no_more_than_slow_start_does() {
    let Some(farm) = Farm::at_ms(500) else { return };
    farm.there("wcreate srv/farm/temp --type i64 --history 20000; seq 20000 | wput srv/farm/temp > acks");
    // An element has 8 bytes, and as many times five around them at the most.
    for count in [10u64, 1_000, 10_000] {
        let most = 3 + slow_start(count * 48);
        takes(&farm, "true", &format!("wget $U/temp 1..{count} -u | tail -n 1"), most, &format!("{count}\n"));
    }
    let put = "seq 1000 | wput $U/put --json | tail -n 1";
    takes(&farm, "wcreate --reset srv/farm/put --type i64", put, 3 + slow_start(48_000), "\"seqno\":1000}");
    // What a handler gets goes with the request, and what it makes of it comes as it does: each way has a slow start of its own.
    for (handler, program) in [("last", "tail -n 1"), ("some", "seq $1")] {
        let script = format!("printf '#!/bin/sh\\nexec {program}\\n' > $H/{handler}; chmod +x $H/{handler}");
        farm.there(&format!("H=srv/farm/handlers; mkdir -p $H; {script}"));
    }
    for count in [1u64, 1_000, 10_000] {
        let most = 3 + slow_start(count * 5);
        takes(&farm, "true", &format!("seq {count} | wrun -u --at $U last"), most, &format!("{count}\n"));
        let script = format!("wrun -u --at $U some {count} < /dev/null | tail -n 1");
        takes(&farm, "true", &script, most, &format!("{count}\n"));
    }
    // An answer that stands between them goes on its way before the rest has come.
    farm.there("mkdir -p srv/farm/many; for n in $(seq 200); do wcreate srv/farm/many/w$n; done");
    let most = 3 + slow_start(200 * 400);
    takes(&farm, "true", "wfind $U/many --json | wc -l", most, "200\n");
}
