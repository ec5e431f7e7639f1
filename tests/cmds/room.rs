//! Room on the disk: woofs take it as they fill, and a full disk or a limit on file sizes is an error of a put.

use crate::support::Sandbox;
use crate::woofs::with_mounts;
use libwoofstream::log::{self, Options};
use std::os::unix::fs::MetadataExt as _;

/// Small disks that can be filled, and what the scripts share. A command that a signal ends has a status over 128.
const START: &str = r#"
die() { echo "$1" >&2; exit 9; }
fill() { cat /dev/zero > $1/fill 2>/dev/null; }
# What is to be refused for want of room, and is: what it says.
refused() { status=0; "$@" > acks 2> said || status=$?; [ $status = 2 ] || die "status $status of $*: $(cat said)"
  grep -q 'no space left on device' said || die "$*: $(cat said)"; }
acknowledged() { grep -c '"type":"seqno"' acks; }
until_so() { n=0; until eval "$1" 2>/dev/null; do n=$((n + 1)); [ $n -lt 2400 ] || die "never: $1"; sleep 0.05; done; }
# With its source, or mount gives it the numbers of users that it has outside of a user namespace. The kernel gives the pages of what was
# removed back a moment later.
resize() { until_so "mount -t tmpfs -o remount,size=$1 none disk"; }
mkdir disk && mount -t tmpfs -o size=2m none disk || exit 9
"#;

fn on_a_small_disk(what: &str, script: &str) {
    let sandbox = Sandbox::new();
    let Some(ran) = with_mounts(&sandbox, what, &format!("{START}{script}")) else { return };
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(ran.text(), "ok\n");
}

#[test]
fn an_empty_woof_takes_little_room_and_more_as_it_fills() {
    let sandbox = Sandbox::new();
    for (name, options) in [
        ("plain", &[][..]),
        ("sync", &["--sync"]),
        ("large", &["--history", "1000000000", "--capacity", "1TiB"]),
        ("fixed", &["--history", "100000", "--element-size", "1000"]),
    ] {
        let ran = sandbox.run("wcreate", &[&[name], options].concat(), b"");
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        let blocks = || sandbox.dir().join(name).metadata().unwrap().blocks() * 512;
        assert!(blocks() <= 64 << 10, "{name} takes {}", blocks());
        let ran = sandbox.run("wput", &[name, "one"], b"");
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        assert!(blocks() <= 256 << 10, "{name} takes {}", blocks());
    }
    let lines: String = (0..20_000).map(|n| format!("{n} {}\n", "x".repeat(100))).collect();
    assert_eq!(sandbox.run("wput", &["plain", "-q"], lines.as_bytes()).status, 0);
    let table = sandbox.run("wstat", &["plain"], b"");
    let json = sandbox.run("wstat", &["plain", "--json"], b"");
    let number = |name: &str| {
        let (_, rest) = json.text().split_once(&format!("\"{name}\":")).unwrap();
        rest.split(|byte: char| !byte.is_ascii_digit()).next().unwrap().parse::<u64>().unwrap()
    };
    let (taken, most) = (number("disk_size"), number("disk_size_max"));
    assert!(number("size") < taken && taken < number("size") * 2 && taken < most, "{}", json.text());
    assert!(most <= number("file_size"));
    let row = table.text().lines().find(|line| line.starts_with("size")).unwrap().to_owned();
    assert!(row.contains(" used, ") && row.contains(" on disk, at most "), "{row}");
}

#[test]
fn a_put_into_a_full_disk_is_an_error_and_what_was_acknowledged_is_there() {
    on_a_small_disk(
        "a put into a full disk",
        "for sync in '' --sync; do
           wcreate -p $sync disk/ns/w || die create
           seq -f '%0100.0f' 100000 > lines
           refused wput --json disk/ns/w < lines
           kept=$(acknowledged)
           [ $kept -gt 1000 ] || die \"only $kept are in\"
           grep -q \"append after element $kept: no space left on device\" said || die \"$kept: $(cat said)\"
           wget disk/ns/w .. -u > got || die 'read'
           head -n $kept lines | cmp - got || die 'not what was put'
           wtail --from 1 --no-follow disk/ns/w -u | cmp - got || die 'not what was put, in the tail'
           printf '%03000000d' 1 > long
           refused wput disk/ns/w < long
           resize 8m
           wput disk/ns/w again > acks || die 'no put where there is room again'
           [ $(wget disk/ns/w -u) = again ] || die 'not there'
           [ \"$(wget disk/ns/w .. -u | wc -l)\" = $((kept + 1)) ] || die 'not all'
           wrm disk/ns/w || die remove
           resize 2m
         done
         echo ok",
    );
}

#[test]
fn a_copy_with_holes_on_a_full_disk_can_be_read_and_puts_are_errors() {
    on_a_small_disk(
        "a copy with holes",
        "mkdir src disk/ns && wcreate -p src/ns/w && wcreate src/ns/never && wcreate --type bytes src/ns/zeros || die create
         wcreate --sync src/ns/sync || die create
         seq 3000 | wput src/ns/w > acks && seq 3000 | wput src/ns/sync > acks || die put
         head -c 100000 /dev/zero | wput --split all src/ns/zeros > acks || die put
         # The entry of its only element is 0, as most of its record is.
         for w in w never zeros sync; do cp --sparse=always src/ns/$w disk/ns/$w || die copy; done
         fill disk
         for w in w zeros sync; do
           wget src/ns/$w .. -u > want && wget disk/ns/$w .. -u > got || die \"read $w\"
           cmp want got || die \"$w is not the same\"
           wtail --from 1 --no-follow disk/ns/$w -u | cmp - want || die \"tail $w\"
         done
         for w in w zeros sync never; do
           for n in 1 2; do wstat disk/ns/$w > stat || die \"stat $w\"; done
           seq -f '%01000.0f' 10000 > lines
           refused wput disk/ns/$w < lines
           refused wput --sync disk/ns/$w < lines
         done
         [ \"$(wget disk/ns/never .. -u 2>/dev/null | wc -l)\" = 0 ] || die 'something is there'
         # One of another boot, which has to be recovered first, is read as it is.
         cp --sparse=always src/ns/w boot && printf otherboototherbo | dd of=boot bs=1 seek=4352 conv=notrunc 2> dd
         rm disk/fill disk/ns/w && cp --sparse=always boot disk/ns/w && fill disk
         seq 3000 > want; wget disk/ns/w .. -u > got || die 'read another boot'
         cmp want got || die 'not the same after a boot'
         refused wput disk/ns/w < lines
         wrm disk/ns/never || die 'remove on a full disk'
         rm disk/fill
         for w in w zeros sync; do wput disk/ns/$w more > acks || die \"no put into $w\"; [ $(wget disk/ns/$w -u) = more ] || die \"not in $w\"; done
         echo ok",
    );
}

#[test]
fn a_server_lives_on_when_a_disk_is_full_and_serves_the_rest() {
    on_a_small_disk(
        "a server on a full disk",
        "mkdir src large && mount -t tmpfs -o size=64m none large || exit 9
         mkdir serve serve/small serve/other && mount --bind disk serve/small && mount --bind large serve/other || exit 9
         wcreate src/w && seq 3000 | wput src/w > acks || die create
         wcreate --namespace serve/small && wcreate --namespace serve/other && wcreate serve/other/x || die create
         cp --sparse=always src/w serve/small/w
         wcreate serve/small/fresh && wcreate --sync serve/small/sync && wcreate serve/small/never || die create
         cp --sparse=always serve/small/never copy && rm serve/small/never && cp --sparse=always copy serve/small/never
         wserve serve 2> log & server=$!
         trap 'kill $server 2>/dev/null; wait' EXIT
         at=woof://$PWD/serve
         until_so 'wget $at/small/w -u > got'
         fill disk
         seq -f '%01000.0f' 10000 > lines
         for w in w fresh sync never; do
           refused wput $at/small/$w < lines
           refused wput --sync $at/small/$w < lines
           [ $(wget $at/small/w 3000 -u) = 3000 ] || die \"it does not serve w: $(cat log)\"
           wput $at/other/x $w > acks || die \"it does not take more: $(cat log)\"
         done
         [ \"$(wget $at/other/x .. -u | paste -s -d ' ')\" = 'w fresh sync never' ] || die 'not what was put'
         rm disk/fill
         for w in w fresh sync never; do wput $at/small/$w more > acks || die \"no put into $w\"; done
         kill -0 $server || die 'it is dead'
         echo ok",
    );
}

/// Where no file may be longer than 1,000 blocks of 512 bytes.
fn with_short_files(sandbox: &Sandbox, script: &str) -> crate::support::Ran {
    sandbox.run("sh", &["-c", &format!("ulimit -f 1000; {script}")], b"")
}

#[test]
fn files_over_the_limit_of_their_size_are_errors_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let said = "create: file too large (the limit here is 512000 bytes: ulimit -f, LimitFSIZE): it would be 20467712 bytes long";
    for command in ["wcreate large", "wput --create large x > /dev/null"] {
        let ran = with_short_files(&sandbox, command);
        let name = command.split(' ').next().unwrap();
        assert_eq!((ran.status, ran.stderr), (2, format!("{name}: large: {said}\n")), "{command}");
        assert_eq!(std::fs::read_dir(sandbox.dir()).unwrap().count(), 0);
    }
    // One that is there already is stored to as before, and with sync, which writes, up to the limit.
    log::create(&sandbox.dir().join("there"), &Options::default()).unwrap();
    log::create(&sandbox.dir().join("sync"), &Options { sync: true, ..Options::default() }).unwrap();
    let ran = with_short_files(&sandbox, "wput there one > /dev/null && wget there -u");
    assert_eq!((ran.status, ran.text(), ran.stderr.as_str()), (0, "one\n", ""));
    let ran = with_short_files(&sandbox, "wput sync one > /dev/null");
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr.contains("sync: append after element 0: file too large (the limit here is"),
        "{ran:?}"
    );
    // What goes to standard output is a file too.
    let ran = with_short_files(&sandbox, "yes | head -c 1000000 | wcat -u > out");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("file too large"), "{ran:?}");
    let ran = with_short_files(
        &sandbox,
        "wget there -u > /dev/null; wrun -- sh -c 'head -c 1000000 /dev/zero > out'",
    );
    assert_ne!(ran.status, 0);
    let ran = with_short_files(
        &sandbox,
        "wrun -- sh -c 'grep SigIgn /proc/self/status; grep SigCgt /proc/self/status' | wcat -u",
    );
    // Bit 24 is SIGXFSZ: programs have it as it was.
    for line in ran.text().lines() {
        let bits = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(bits >> 24 & 1, 0, "{line}");
    }
    assert_eq!(ran.text().lines().count(), 2, "{ran:?}");
}

#[test]
fn a_server_with_a_limit_on_file_sizes_lives_on() {
    let sandbox = Sandbox::new();
    let script = "die() { echo \"$1\" >&2; exit 9; }
         mkdir d && wcreate --namespace d/ns && wcreate d/ns/small --history 100 --capacity 64KiB || die create
         (ulimit -f 1000; exec wserve d) 2> log & server=$!
         trap 'kill $server 2>/dev/null; wait' EXIT
         at=woof://$PWD/d
         n=0; until wput $at/ns/small one > acks 2>/dev/null; do n=$((n + 1)); [ $n -lt 2400 ] || die \"never: $(cat log)\"; sleep 0.05; done
         wcreate $at/ns/large 2> said && die 'made'
         grep -q 'file too large (the limit here is 512000 bytes' said || die \"$(cat said)\"
         wput --create $at/ns/large x > acks 2> said && die 'made'
         grep -q 'file too large (the limit here is 512000 bytes' said || die \"$(cat said)\"
         [ \"$(ls -A d/ns)\" = \"$(printf '.woof\\nhandlers\\nsmall')\" ] || die \"left: $(ls -A d/ns)\"
         [ $(wget $at/ns/small -u) = one ] || die 'not served'
         kill -0 $server || die dead
         echo ok";
    let ran = sandbox.run("sh", &["-c", script], b"");
    assert_eq!((ran.status, ran.stderr.as_str(), ran.text()), (0, "", "ok\n"));
}
