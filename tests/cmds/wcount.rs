//! `wcount`.

use crate::streams::{fault, number, open, others, stream, woof_dir};
use crate::support::Sandbox;
use libwoofstream::wire::encode;

fn farm() -> Vec<u8> {
    stream(|out| {
        woof_dir(out, "farm/temp", "f64");
        number(out, 1, 0, 1.0);
        number(out, 2, 0, 2.0);
        encode::bytes(out, b"three\n");
        encode::mark(out, "here");
        encode::ign(out, &libwoofstream::wire::Raw::bytes(b"four"));
    })
}

#[test]
fn alone_it_is_the_number_of_data_messages() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("wcount", &[], &farm()).done(), "3\n");
    assert_eq!(sandbox.run("wcount", &["-c"], &farm()).done(), "22\n");
    assert_eq!(sandbox.run("wcount", &[], b"").done(), "0\n");
    assert_eq!(sandbox.run("wcount", &[], b"a\0\n\nno newline").done(), "3\n");
    assert_eq!(sandbox.run("wcount", &["-c"], b"a\0\n\nno newline").done(), "14\n");
    assert_eq!(sandbox.run("wcount", &["--split", "nul"], b"a\0b").done(), "2\n");
    assert_eq!(sandbox.sh("n=$(seq 100000 | wcount); echo \"<$n>\"").done(), "<100000>\n");
    assert_eq!(sandbox.terminal("seq 5 | wcount"), "5\n");
}

#[test]
fn all_counts_each_kind_with_its_bytes() {
    let sandbox = Sandbox::new();
    let expected = "\
kind             messages            bytes
bytes                   1                6
elem                    2               16
dir                     1               28
mark                    1                4
ign                     1                6
data                    3               22
all                     6               60
";
    assert_eq!(sandbox.run("wcount", &["-a"], &farm()).done(), expected);
}

#[test]
fn json_is_one_object() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.run("wcount", &["--json"], &farm()).done(),
        "{\"data\":3,\"bytes\":22,\"elements\":2,\"messages\":6,\"kinds\":{\"bytes\":{\"messages\":1,\"bytes\":6},\
         \"dir\":{\"messages\":1,\"bytes\":28},\"elem\":{\"messages\":2,\"bytes\":16},\
         \"ign\":{\"messages\":1,\"bytes\":6},\"mark\":{\"messages\":1,\"bytes\":4}}}\n"
    );
    let ran = sandbox.run("wcount", &["--json", "-a"], b"");
    assert_eq!(ran.status, 2);
}

#[test]
fn a_cut_stream_has_no_count() {
    let sandbox = Sandbox::new();
    let cut = open(|out| number(out, 1, 0, 1.0));
    let ran = sandbox.run("wcount", &[], &cut);
    assert_eq!(
        (ran.status, ran.text(), ran.stderr.as_str()),
        (2, "", "wcount: in: stream cut after 1 message\n")
    );
    let mut failed = cut;
    encode::end(&mut failed, Err(&fault()));
    let ran = sandbox.run("wcount", &[], &failed);
    assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (2, "", "wget: farm/temp: no element 1\n"));
}

#[test]
fn an_error_in_its_place_is_told_and_the_rest_is_counted() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(
        "wcount",
        &[],
        &stream(|out| {
            others(out);
            encode::bytes(out, b"x");
        }),
    );
    assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (1, "1\n", "wget: farm/temp: no element 1\n"));
}

#[test]
fn the_count_goes_where_it_is_sent() {
    let sandbox = Sandbox::new();
    let ran = sandbox.sh("seq 3 | WOOF_CHANNELS='in=<0,out=>1,n=>5' wcount -o n 5> n; cat n");
    assert_eq!(ran.done(), "3\n");
    assert_eq!(
        sandbox.sh("seq 3 | wcount > /dev/full").stderr,
        "wcount: out: write: no space left on device\n"
    );
}
