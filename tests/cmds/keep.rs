//! `wtail --keep`: positions that move when what was sent has arrived. That nothing is lost or comes twice when somebody is killed
//! is tested in `tests/crash/kept.rs`.

use crate::server::{Process, until};
use crate::support::Sandbox;
use crate::woofs::start;
use rustix::process::Signal;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;

/// A sandbox with `farm/temp` that has 1 to 5, and an empty `hub`.
fn farm() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .sh("wcreate -p farm/temp --type i64; wcreate hub --type i64; seq 5 | wput farm/temp > acks")
        .done();
    sandbox
}

fn position(sandbox: &Sandbox) -> PathBuf {
    sandbox.dir().join("farm/.woof/positions/up")
}

/// The last element that the position says has arrived.
fn done(sandbox: &Sandbox) -> String {
    let text = fs::read_to_string(position(sandbox)).unwrap();
    text.lines().find_map(|line| line.strip_prefix("done ")).unwrap().trim_end().to_owned()
}

/// Takes a new position before all elements, and gives its file.
fn taken(sandbox: &Sandbox) -> Vec<u8> {
    sandbox.sh("wtail --keep up --from 1 farm/temp --no-follow 2> said | true").done();
    fs::read(position(sandbox)).unwrap()
}

/// What `wtail` says of a position that is still behind element `done`.
fn not_moved(done: &str, sent: &str) -> String {
    format!(
        "wtail: farm/temp: position up was not moved beyond {done}, though elements up to {sent} were sent: \
         the end of the pipeline did not put them away, or cannot reach its file\n"
    )
}

fn hub(sandbox: &Sandbox) -> String {
    sandbox.sh("wget hub .. -u | tr '\\n' ' '").done().trim_end().to_owned()
}

const CARRY: &str = "wtail --keep up farm/temp --no-follow | wput hub > acks";

#[test]
fn the_next_one_goes_on_behind_what_has_arrived() {
    let sandbox = farm();
    sandbox.sh("wtail --keep up --from 2 farm/temp --no-follow | wput hub > acks").done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("2 3 4 5", "5"));
    sandbox.sh(CARRY).done();
    sandbox.sh("seq 6 7 | wput farm/temp > acks").done();
    sandbox.sh(CARRY).done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("2 3 4 5 6 7", "7"));
    // Another position is another reader, and begins with what is new.
    sandbox.sh("wtail --keep other farm/temp --no-follow | wput hub > acks").done();
    assert_eq!(hub(&sandbox), "2 3 4 5 6 7");
    // From is for the first time.
    sandbox.sh("wtail --keep up --from 1 farm/temp --no-follow | wput hub > acks").done();
    assert_eq!(hub(&sandbox), "2 3 4 5 6 7");
}

#[test]
fn what_is_sent_again_is_put_once_also_behind_filters() {
    let sandbox = farm();
    let carry = "wtail --keep up --from 1 farm/temp --no-follow | wfilter 'value != 2' | wput hub > acks";
    sandbox.sh(&format!("wtail --keep up --from 1 farm/temp -n 0 2> said || true; {carry}")).done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 3 4 5", "5"));
    let after_five = fs::read(position(&sandbox)).unwrap();
    sandbox.sh("seq 6 9 | wput farm/temp > acks").done();
    sandbox.sh(carry).done();
    // As if wput had been killed before it could keep the position.
    fs::write(position(&sandbox), &after_five).unwrap();
    sandbox.sh("seq 10 11 | wput farm/temp > acks").done();
    sandbox.sh(carry).done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 3 4 5 6 7 8 9 10 11", "11"));
    // What was not put by this position is not taken for it.
    fs::write(position(&sandbox), &after_five).unwrap();
    sandbox.sh("wcreate other --type i64; wtail --keep up farm/temp --no-follow | wput other > acks").done();
    assert_eq!(sandbox.sh("wget other .. -u | wc -l").done().trim(), "6");
}

#[test]
fn several_elements_made_of_one_are_each_put_once() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p farm/temp; wcreate hub; wput farm/temp 'a b c' 'a' 'b c' > acks").done();
    let carry = "wtail --keep up --from 1 farm/temp --no-follow | wsplit --by word | wput hub > acks";
    let first = taken(&sandbox);
    for _ in 0..2 {
        sandbox.sh(carry).done();
        assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("a b c a b c", "3"));
        fs::write(position(&sandbox), &first).unwrap();
    }
}

#[test]
fn any_last_command_moves_the_position_when_it_has_written() {
    let sandbox = farm();
    for (number, end) in [
        "-u > file",
        "--json > file",
        "> file",
        "| wcat > file",
        "| wcat --json > file",
        "| cat | wcat -u > file",
    ]
    .iter()
    .enumerate()
    {
        sandbox.sh(&format!("wtail --keep up --from 5 farm/temp --no-follow {end}")).done();
        assert_eq!(done(&sandbox), (5 + number).to_string(), "{end}");
        assert!(
            fs::read_to_string(sandbox.dir().join("file")).is_ok_and(|text| !text.contains("position"))
                || *end == "> file"
        );
        sandbox.sh(&format!("wput farm/temp {} > acks", 6 + number)).done();
    }
}

#[test]
fn a_position_that_no_last_command_moves_is_told_by_name_and_fails() {
    let sandbox = farm();
    for (end, done_after) in [
        ("| wcount > file", "0"),
        ("| cat > file", "0"),
        // In the middle as text, its elements are in nobody's hands that could tell.
        ("-u | cat > file", "0"),
        ("| wcat | cat > file", "0"),
        ("| wcat -u | cat > file", "0"),
        ("| wcat -l | wput other > file", "0"),
        ("| wfilter 'value > 0' | wcat -u | cat > file", "0"),
        ("| whead -n 2 > file", "0"),
    ] {
        let carry = format!(
            "wcreate --reset other; rm -f {}; wtail --keep up --from 1 farm/temp --no-follow {end}; exit $PIPESTATUS",
            position(&sandbox).display()
        );
        let ran = sandbox.bash(&carry);
        assert_eq!((ran.status, ran.stderr), (1, not_moved(done_after, "5")), "{end}");
        assert_eq!(done(&sandbox), done_after, "{end}");
    }
    // What there is nothing of has arrived.
    sandbox.sh(CARRY).done();
    assert_eq!(sandbox.bash("wtail --keep up farm/temp --no-follow | true; exit $PIPESTATUS").done(), "");
}

#[test]
fn a_command_between_wtail_and_wput_may_end_before_wput_begins() {
    let sandbox = farm();
    let ran = sandbox.bash(
        "wtail --keep up --from 1 farm/temp --no-follow | cat | (until [ -e go ]; do sleep 0.01; done; wput hub > acks) & \
         sleep 1; touch go; wait $!; wget hub .. -u | tr '\\n' ' '",
    );
    assert_eq!((ran.text(), ran.stderr.as_str()), ("1 2 3 4 5 ", ""));
    assert_eq!(done(&sandbox), "5");
}

#[test]
fn a_copy_is_not_the_end_that_the_position_waits_for() {
    let sandbox = farm();
    sandbox.bash("wtail --keep up --from 1 farm/temp --no-follow 2> said | wtee copy | wcount > file").done();
    assert_eq!(done(&sandbox), "0");
    sandbox.bash("wtail --keep up farm/temp --no-follow | wtee copy > file").done();
    assert_eq!(done(&sandbox), "5");
    assert_eq!(
        sandbox.sh("wcat copy -l | grep -c position; wcat file -l | grep -c position").text(),
        "0\n2\n"
    );
}

#[test]
fn through_a_program_the_position_moves_when_it_is_sure() {
    let sandbox = farm();
    sandbox.sh("wtail --keep up --from 1 farm/temp --no-follow | wrun -e cat | wput hub > acks").done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3 4 5", "5"));
    sandbox.sh("seq 6 9 | wput farm/temp > acks").done();
    let ran =
        sandbox.sh("wtail --keep up farm/temp --no-follow | wrun sh -c 'cat; exit 3' | wput hub > acks");
    let not_moved = not_moved("5", "9");
    assert_eq!(ran.stderr, format!("wrun: sh: exit status 3\n{not_moved}"));
    assert_eq!(done(&sandbox), "5");
    sandbox.sh("wtail --keep up farm/temp --no-follow | wrun sed s/$/0/ | wput hub > acks").done();
    assert_eq!(done(&sandbox), "9");
}

#[test]
fn an_old_stream_and_a_strangers_move_nothing() {
    let sandbox = farm();
    sandbox.sh("wtail --keep up --from 1 farm/temp --no-follow > saved").done();
    let kept = fs::read(position(&sandbox)).unwrap();
    assert_eq!(done(&sandbox), "5");
    // The same stream, once more: what it says is known already.
    fs::write(position(&sandbox), &kept).unwrap();
    sandbox
        .sh("seq 6 7 | wput farm/temp > acks; wtail --keep up farm/temp --no-follow | wput hub > acks")
        .done();
    let kept = fs::read(position(&sandbox)).unwrap();
    // Its token is not the one in the file any more. What is not there yet is put, and known the next time.
    sandbox.sh("wput -q hub < saved > acks; wput hub < saved > acks").done();
    assert_eq!(hub(&sandbox), "6 7 1 2 3 4 5");
    assert_eq!(fs::read(position(&sandbox)).unwrap(), kept);
    // A stream that names another file than a position in its place: the file is not even opened for what it is.
    let path = fs::canonicalize(position(&sandbox)).unwrap();
    let path = path.to_str().unwrap();
    for target in ["farm/temp", "elsewhere"] {
        fs::copy(path, sandbox.dir().join("elsewhere")).unwrap();
        let before = fs::read(sandbox.dir().join(target)).unwrap();
        let record = String::from_utf8(kept.clone()).unwrap();
        let value =
            |name: &str| record.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let token = u128::from_str_radix(&value("token "), 16).unwrap();
        let position = libwoofstream::wire::Position {
            seqno: 99,
            made_ns: value("made ").parse().unwrap(),
            last: (0, 0),
            token: token.to_be_bytes(),
            path: sandbox.dir().join(target).to_str().unwrap().to_owned(),
            woof: "farm/temp".to_owned(),
        };
        let payload = position.encode().unwrap();
        let mut stream = Vec::new();
        libwoofstream::wire::encode::preamble(&mut stream);
        let raw = libwoofstream::wire::Raw::bytes(&payload);
        let raw = libwoofstream::wire::Raw { kind: libwoofstream::wire::Kind::POSITION, ..raw };
        libwoofstream::wire::encode::raw(&mut stream, &raw);
        libwoofstream::wire::encode::elem(&mut stream, 1, 1, b"8");
        libwoofstream::wire::encode::end(&mut stream, Ok(()));
        assert_eq!(sandbox.run("wput", &["hub"], &stream).status, 0);
        assert_eq!(fs::read(sandbox.dir().join(target)).unwrap(), before, "{target}");
    }
    assert_eq!(fs::read(position(&sandbox)).unwrap(), kept);
}

#[test]
fn what_is_left_of_a_stream_is_put_once_though_a_newer_one_came_first() {
    let sandbox = farm();
    let first = taken(&sandbox);
    let old = |count: u32| {
        sandbox.sh(&format!("wtail --keep up farm/temp --no-follow > old{count}")).done();
        fs::write(position(&sandbox), &first).unwrap();
    };
    old(1);
    // As if its wtail was killed, and its wput begins only after another pipeline has done all.
    sandbox.sh(CARRY).done();
    sandbox.sh("wput hub < old1 > acks").done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3 4 5", "5"));
    // The other way round.
    let before = fs::read(position(&sandbox)).unwrap();
    sandbox.sh("seq 6 9 | wput farm/temp > acks; wtail --keep up farm/temp --no-follow > old2").done();
    fs::write(position(&sandbox), &before).unwrap();
    sandbox.sh("wtail --keep up farm/temp -n 0 2> said | true; wput hub < old2 > acks").done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3 4 5 6 7 8 9", "5"));
    sandbox.sh("wput farm/temp 10 > acks").done();
    sandbox.sh(CARRY).done();
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3 4 5 6 7 8 9 10", "10"));
    // While a newer one is put there, neither waits for the other.
    let mut wtail = sandbox.command("wtail");
    wtail.args(["--keep", "up", "farm/temp"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut wtail = Process::start(&mut wtail);
    let mut wput = sandbox.command("wput");
    wput.arg("hub").stdin(wtail.0.stdout.take().unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut wput = Process::start(&mut wput);
    sandbox.sh("wput farm/temp 11 > acks").done();
    until("it is carried", || hub(&sandbox).ends_with(" 11"));
    sandbox.sh("wput hub < old1 > acks").done();
    sandbox.sh("wput farm/temp 12 > acks").done();
    until("it goes on", || hub(&sandbox).ends_with(" 12"));
    wtail.signal(Signal::KILL);
    woof_kit::wait(&mut wput.0);
    // Nobody is at it any more.
    sandbox.sh("wput hub < old1 > acks").done();
    assert_eq!(hub(&sandbox), "1 2 3 4 5 6 7 8 9 10 11 12");
}

#[test]
fn two_at_once_are_refused_and_what_makes_no_sense_is_too() {
    let sandbox = farm();
    let mut first = start(&sandbox, "wtail", &["--keep", "up", "--from", "1", "farm/temp", "-u"]);
    // Its position is locked before it writes anything.
    first.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
    let refused = sandbox.run("wtail", &["--keep", "up", "farm/temp", "-u", "--no-follow"], b"");
    assert_eq!(refused.status, 2);
    assert_eq!(
        refused.stderr,
        "wtail: farm/temp: position up is in use by another program (--keep names another one)\n"
    );
    first.kill().unwrap();
    woof_kit::wait(&mut first);
    for (args, said) in [
        (&["--keep", "up", "farm/temp", "hub"][..], "hub: a position is of one woof (--keep)"),
        (
            &["--keep", "a/b", "farm/temp"],
            "a/b: cannot be the name of a position: up to 200 bytes without / and control characters, no dot first (--keep)",
        ),
        (&["--keep", "up", "nosuch"], "nosuch: no such woof"),
        (&["--keep", "up", "farm/temp", "-n", "3"], "--keep: cannot be given together with --last"),
    ] {
        let ran = sandbox.run("wtail", &[&["-u"], args].concat(), b"");
        assert_eq!((ran.status, ran.stderr), (2, format!("wtail: {said}\n")), "{args:?}");
    }
}

#[test]
fn what_was_overwritten_while_nobody_was_there_is_told_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p farm/temp --type i64 --history 4; wcreate hub --type i64; seq 2 | wput farm/temp > acks").done();
    sandbox.sh("wtail --keep up --from 1 farm/temp --no-follow | wput hub > acks; seq 3 10 | wput -q farm/temp > acks").done();
    let ran = sandbox.sh(CARRY);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (1, "wtail: farm/temp: elements 3 to 6 are gone: overwritten before they were read\n")
    );
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 7 8 9 10", "10"));
}

#[test]
fn a_woof_that_was_made_anew_is_carried_from_its_beginning() {
    let sandbox = farm();
    sandbox.sh("wtail --keep up --from 1 farm/temp --no-follow | wput hub > acks").done();
    sandbox.sh("wcreate --reset farm/temp --type i64; seq 7 8 | wput farm/temp > acks").done();
    let ran = sandbox.sh(CARRY);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (0, "wtail: farm/temp: woof was made anew since: beginning with its first element\n")
    );
    assert_eq!((hub(&sandbox).as_str(), done(&sandbox).as_str()), ("1 2 3 4 5 7 8", "2"));
}

#[test]
fn what_is_sent_again_to_a_server_is_there_once_too() {
    let sandbox = farm();
    sandbox.sh("wcreate -p srv/farm/hub --type i64").done();
    let server = start(&sandbox, "wserve", &["srv"]);
    woof_kit::until("it serves", || sandbox.dir().join("srv/.woof/server.sock").exists());
    let carry = "wtail --keep up --from 1 farm/temp --no-follow | wput woof://$PWD/srv/farm/hub > acks";
    sandbox.sh(carry).done();
    let after_five = fs::read(position(&sandbox)).unwrap();
    sandbox.sh("seq 6 9 | wput farm/temp > acks").done();
    sandbox.sh(carry).done();
    // As if wput had been killed when all was there, and before it could keep the position.
    fs::write(position(&sandbox), &after_five).unwrap();
    sandbox.sh("seq 10 11 | wput farm/temp > acks").done();
    sandbox.sh(carry).done();
    assert_eq!(sandbox.sh("wget srv/farm/hub .. -u | tr '\\n' ' '").done(), "1 2 3 4 5 6 7 8 9 10 11 ");
    assert_eq!(done(&sandbox), "11");
    // Of a woof that is there, the position is kept here.
    let back = "wtail --keep back --from 10 woof://$PWD/srv/farm/hub --no-follow | wput hub > acks";
    sandbox.sh(back).done();
    sandbox.sh(&format!("wput srv/farm/hub 12 > acks; {back}")).done();
    assert_eq!(hub(&sandbox), "10 11 12");
    assert_eq!(
        sandbox.sh("grep -h done $XDG_STATE_HOME/woofstream/positions/back | tr -d ' '").done(),
        "done12\n"
    );
    crate::woofs::signal(&server, rustix::process::Signal::TERM);
    crate::woofs::end(server);
}
