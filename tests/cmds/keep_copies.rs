//! Kept positions whose files are copied, moved and put back: what two copies of a woof get from then on is different, and what they
//! have in common is the same.

use crate::server::{Serving, local, ready};
use crate::support::Sandbox;

/// `img` with a woof and a position behind its first element, which is in `hub/all`.
fn image(hub: &str) -> String {
    format!(
        "set -e; wcreate -p img/temp; wcreate -p srv/farm/all; wput img/temp boot > acks; \
         wtail --keep up --from 1 --no-follow img/temp | wput {hub} > acks; "
    )
}

/// Carries what is in a copy.
fn carry(dir: &str, hub: &str) -> String {
    format!("wtail --keep up --no-follow {dir}/temp | wput {hub} > acks; ")
}

fn all(sandbox: &Sandbox) -> String {
    sandbox.sh("wget srv/farm/all .. -u | tr '\\n' ' '").done().trim_end().to_owned()
}

/// Does the same with the hub as a path and through a server.
fn each(script: impl Fn(&str) -> String, expected: &str) {
    let here = Sandbox::new();
    here.bash(&script("srv/farm/all")).done();
    assert_eq!(all(&here), expected);
    let there = ready();
    let server = Serving::tls(&there);
    let name = server.name("farm/all");
    there.bash(&script(&name)).done();
    assert_eq!(all(&there), expected, "through a server");
    server.stop();
}

#[test]
fn what_copies_of_a_woof_get_is_put_from_each_of_them() {
    let edges = |hub: &str| {
        let put = |edge: &str, data: &str| format!("wput {edge}/temp {data} > acks; {}", carry(edge, hub));
        [
            image(hub),
            "cp -a img edgeA; cp -a img edgeB; ".to_owned(),
            put("edgeA", "A1 A2 A3"),
            put("edgeB", "B1 B2 B3 B4"),
            put("img", "I1"),
            put("edgeA", "A4"),
        ]
        .concat()
    };
    each(edges, "boot A1 A2 A3 B1 B2 B3 B4 I1 A4");
}

#[test]
fn equal_data_in_two_copies_is_put_from_each_of_them() {
    let edges = |hub: &str| {
        let put = |edge: &str| format!("wput {edge}/temp 21.5 21.5 22 > acks; {}", carry(edge, hub));
        [image(hub), "cp -a img edgeA; cp -a img edgeB; ".to_owned(), put("edgeA"), put("edgeB")].concat()
    };
    each(edges, "boot 21.5 21.5 22 21.5 21.5 22");
}

#[test]
fn what_two_copies_have_in_common_is_put_once() {
    let edges = |hub: &str| {
        let before =
            "wput img/temp C1 C2 > acks; cp -a img edgeA; cp -a img edgeB; wput edgeB/temp B1 > acks; ";
        [image(hub), before.to_owned(), carry("edgeA", hub), carry("edgeB", hub)].concat()
    };
    each(edges, "boot C1 C2 B1");
}

#[test]
fn a_backup_of_woof_and_position_goes_on_with_what_it_gets() {
    let restored = |hub: &str| {
        [
            image(hub),
            "cp -a img backup; wput img/temp lost1 lost2 lost3 > acks; ".to_owned(),
            carry("img", hub),
            "rm -r img; cp -a backup img; wput img/temp new1 new2 > acks; ".to_owned(),
            carry("img", hub),
            "wput img/temp new3 new4 > acks; ".to_owned(),
            carry("img", hub),
        ]
        .concat()
    };
    each(restored, "boot lost1 lost2 lost3 new1 new2 new3 new4");
}

#[test]
fn an_older_position_that_is_put_back_alone_repeats_nothing() {
    let restored = |hub: &str| {
        [
            image(hub),
            "cp -a img/.woof/positions/up backup; wput img/temp a b > acks; ".to_owned(),
            carry("img", hub),
            "cp -a backup img/.woof/positions/up; wput img/temp c > acks; ".to_owned(),
            carry("img", hub),
        ]
        .concat()
    };
    each(restored, "boot a b c");
}

#[test]
fn a_directory_that_is_moved_or_copied_elsewhere_repeats_nothing_and_loses_nothing() {
    // What was under way when it was moved is known as well: the position is put back to before it.
    let moved = |hub: &str| {
        [
            image(hub),
            "cp -a img/.woof/positions/up before; wput img/temp a b > acks; ".to_owned(),
            carry("img", hub),
            "cp before img/.woof/positions/up; mv img moved; wput moved/temp c > acks; ".to_owned(),
            carry("moved", hub),
            "mkdir other; (cd moved && tar cf - .) | (cd other && tar xf -); rm -r moved; ".to_owned(),
            "cp before other/.woof/positions/up; wput other/temp d > acks; ".to_owned(),
            carry("other", hub),
        ]
        .concat()
    };
    each(moved, "boot a b c d");
}

#[test]
fn a_filter_that_was_changed_after_a_kill_loses_nothing() {
    let sandbox = Sandbox::new();
    let hub = "srv/farm/all";
    let script = [
        image(hub),
        "wput img/temp 'a b' > acks; cp img/.woof/positions/up before; ".to_owned(),
        carry("img", hub),
        "cp before img/.woof/positions/up; ".to_owned(),
        format!("wtail --keep up --no-follow img/temp | wsplit --by word | wput {hub} > acks"),
    ]
    .concat();
    sandbox.bash(&script).done();
    assert_eq!(all(&sandbox), "boot a b a b", "other data is another element");
}

#[test]
fn the_seqnos_that_are_reported_are_of_the_elements_that_were_put() {
    let sandbox = Sandbox::new();
    let hub = "srv/farm/all";
    let script = [
        image(hub),
        "cp -a img edgeA; cp -a img edgeB; wput edgeA/temp A1 A2 > acks; wput edgeB/temp B1 B2 > acks; "
            .to_owned(),
        carry("edgeA", hub),
        format!("wtail --keep up --no-follow edgeB/temp | wput {hub} | wcat --json"),
    ]
    .concat();
    let told = |seqno: u64| format!("{{\"type\":\"seqno\",\"woof\":\"{hub}\",\"seqno\":{seqno}}}\n");
    assert_eq!(sandbox.bash(&script).done(), told(4) + &told(5));
}

#[test]
fn elements_that_got_the_numbers_of_others_are_sent_and_that_is_said() {
    for over_a_server in [false, true] {
        for (then, begin) in [
            // Past the old number, up to it, and not as far.
            ("seq 21 27 | wput srv/farm/temp", 3),
            ("seq 21 23 | wput srv/farm/temp", 3),
            ("wput srv/farm/temp 21", 3),
        ] {
            let sandbox = ready();
            let _server = over_a_server.then(|| Serving::start(&sandbox, &[]));
            let name = if over_a_server { local(&sandbox, "farm/temp") } else { "srv/farm/temp".to_owned() };
            let carry = format!("wtail --keep up --from 1 --no-follow {name} | wput --create hub > acks");
            sandbox
                .sh("wcreate srv/farm/temp; seq 2 | wput srv/farm/temp > acks; cp srv/farm/temp backup")
                .done();
            sandbox.sh(&format!("seq 3 5 | wput srv/farm/temp > acks; {carry}")).done();
            let ran =
                sandbox.sh(&format!("cp backup restored; mv restored srv/farm/temp; {then} > acks; {carry}"));
            let said = format!(
                "wtail: {name}: elements from {begin} on are others than those that were done with, as an older copy of the woof was put back, \
                 or a power failure took some: going on with {begin}\n"
            );
            assert_eq!((ran.status, ran.stderr), (0, said), "{then}");
            let new = sandbox.sh("wget srv/farm/temp 3.. -u").done().to_owned();
            assert_eq!(sandbox.sh("wget hub .. -u").done(), format!("1\n2\n3\n4\n5\n{new}"), "{then}");
            // And that is all.
            sandbox.sh(&carry).done();
            assert_eq!(sandbox.sh("wget hub .. -u").done(), format!("1\n2\n3\n4\n5\n{new}"), "{then}");
        }
    }
}
