//! Whole transfers over a link that loses packets.

use crate::farm::{Farm, is_sequence};
use std::time::Duration;
use woof_link::LinkOptions;

#[test]
fn what_is_put_and_got_over_a_link_with_losses_is_whole() {
    let options =
        LinkOptions { rtt: Duration::from_millis(40), loss: 0.02, seed: 5, ..LinkOptions::default() };
    let Some(farm) = Farm::new(options) else { return };
    farm.there("wcreate srv/farm/n --type i64 --history 50000");
    farm.sh("set -o pipefail; seq 20000 | wput $U/n | cat > acks").done();
    farm.has_sequence("n", 20_000);
    // Each was told its number.
    is_sequence(farm.sandbox.sh("wcat -l acks | awk '{print $3}'").done(), 1, 20_000);
    is_sequence(farm.sh("wget $U/n .. -u").done(), 1, 20_000);
    is_sequence(farm.sh("wget $U/n 5000..14999 -u").done(), 5_000, 14_999);
    is_sequence(farm.sh("wfind $U --get | wcat -l | awk '/^elem/ {print $NF}'").done(), 1, 20_000);
    assert!(farm.link.a_to_b().lost.packets > 0 && farm.link.b_to_a().lost.packets > 0);
}
