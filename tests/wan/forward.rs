//! Store and forward by a handler (examples/handlers/forward.sh): a woof of side A goes to side B element by element, while the link is cut and
//! mended and the servers of both sides are killed. In the end all are there, in order, and none was given up.

use crate::farm::{Farm, Running, until};
use std::time::Duration;
use woof_link::LinkOptions;

/// How many elements are put in each round.
const ROUND: u64 = 40;

/// What is done to the link and the servers in each round, while its elements are forwarded.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Cut,
    CutAndKillEdge,
    KillHub,
    CutAndKillHub,
}

/// The server of side A, whose dispatcher runs the handler.
fn edge(farm: &Farm) -> Running {
    farm.spawn(&mut farm.command("wserve", &["edge", "--log-level", "error"]))
}

/// A column of what is going on with the triggers of side A.
fn count(farm: &Farm, column: &str) -> u64 {
    let shown = farm.there("wstat --triggers edge --json");
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    json[column].as_u64().unwrap()
}

#[test]
fn a_handler_forwards_a_woof_whole_and_in_order_whatever_is_cut_or_killed() {
    let rtt = Duration::from_millis(10);
    let Some(mut farm) = Farm::new(LinkOptions { rtt, ..LinkOptions::default() }) else { return };
    let handler = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/handlers/forward.sh");
    farm.there(&format!(
        "wcreate srv/farm/temp --type f64 && wcreate -p edge/temp --type f64 && cp '{handler}' edge/handlers \
         && echo woof://10.89.0.2:7144/farm > edge/hub && cp -R \"$WOOF_KEYS\" edge/keys \
         && wbind edge/temp forward.sh --stream --group hub --retries 1000000 --limit 20s"
    ));
    let mut server = edge(&farm);
    let mut put = 0;
    for fault in [Fault::Cut, Fault::CutAndKillEdge, Fault::KillHub, Fault::CutAndKillHub, Fault::Cut] {
        let (first, half, last) = (put + 1, put + ROUND / 2, put + ROUND);
        farm.there(&format!("seq {first} {half} | wput edge/temp > acks"));
        // In the middle of forwarding.
        until("some of them are there", || count(&farm, "done") > put);
        let failed = count(&farm, "failed");
        if !matches!(fault, Fault::KillHub) {
            farm.link.cut();
        }
        if matches!(fault, Fault::KillHub | Fault::CutAndKillHub) {
            farm.kill();
        }
        // What is put now is stored.
        farm.there(&format!("seq {} {last} | wput edge/temp > acks", half + 1));
        until("an attempt fails", || count(&farm, "failed") > failed);
        assert!(count(&farm, "done") < last, "{fault:?}");
        if matches!(fault, Fault::CutAndKillEdge) {
            server.kill();
            server = edge(&farm);
        }
        farm.link.mend();
        if farm.is_dead() {
            farm.start("10.89.0.2");
        }
        until("all are forwarded", || count(&farm, "done") == last);
        put = last;
    }
    server.kill();
    assert_eq!((count(&farm, "dead"), count(&farm, "lost"), count(&farm, "pending")), (0, 0, 0));
    let mut there: Vec<u64> =
        farm.there("wget srv/farm/temp .. -u").lines().map(|line| line.parse().unwrap()).collect();
    // At least once: what was under way when something was killed may be there twice, and then the two are next to each other.
    there.dedup();
    assert_eq!(there, (1..=put).collect::<Vec<_>>());
}
