//! `wcreate`.

use crate::support::Sandbox;
use crate::woofs::{elements, end, put, signal, start, with_mounts};
use libwoofstream::log;
use std::fs;

/// What is in the directory of the sandbox.
fn left(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.dir()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_woof_is_what_the_flags_say() {
    let sandbox = Sandbox::new();
    let args = ["-p", "farm/temp", "--type", "f64", "--history", "100", "--element-size", "8", "--sync"];
    sandbox.run("wcreate", &args, b"").done();
    let woof = log::open(&sandbox.dir().join("farm/temp")).unwrap();
    let options = woof.options();
    assert_eq!((options.history, options.element_size, options.sync), (100, Some(8), true));
    assert_eq!(options.content.as_str(), "f64");
    assert!(sandbox.dir().join("farm/.woof").is_dir());
    sandbox.run("wcreate", &["plain", "--capacity", "1MiB"], b"").done();
    let options = log::open(&sandbox.dir().join("plain")).unwrap().options().clone();
    assert_eq!((options.history, options.capacity, options.element_size), (65_536, 1 << 20, None));
    assert_eq!((options.content.as_str(), options.sync), ("text", false));
}

#[test]
fn several_are_made_and_what_cannot_be_is_said() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wcreate", &["-v", "a", "b", "--history", "5"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (0, "wcreate: a: made\nwcreate: b: made\n"));
    let ran = sandbox.run("wcreate", &["a", "..", "c"], b"");
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (1, "wcreate: a: it exists already\nwcreate: ..: a directory, and not the name of a woof\n")
    );
    assert_eq!(left(&sandbox), ["a", "b", "c"]);
}

#[test]
fn a_namespace_is_a_directory_and_takes_no_sizes() {
    let sandbox = Sandbox::new();
    sandbox.run("wcreate", &["--namespace", "a/b"], b"").done();
    sandbox.run("wcreate", &["--namespace", "a/b"], b"").done();
    assert!(sandbox.dir().join("a/b/.woof").is_dir());
    assert!(sandbox.dir().join("a/b/handlers").is_dir(), "programs can be put there");
    let ran = sandbox.run("wcreate", &["--namespace", "c", "--history", "5"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wcreate: --namespace: takes no flags of woofs\n"));
    assert_eq!(left(&sandbox), ["a"]);
}

#[test]
fn sizes_that_cannot_be_are_refused_and_nothing_is_left_behind() {
    let sandbox = Sandbox::new();
    for (flags, text) in [
        ("--history 0", "farm/w: a history of 0 elements: it must be from 1 to 68719476736"),
        (
            "--history 99999999999",
            "farm/w: a history of 99999999999 elements: it must be from 1 to 68719476736",
        ),
        ("--history -1", ""),
        (
            "--history 99999999999999999999",
            "--history: 99999999999999999999: not a whole number from 0 to 18446744073709551615",
        ),
        ("--capacity 0", "farm/w: a capacity of 0 bytes: it must be from 4096 to 17592186044416"),
        (
            "--capacity 17TiB",
            "farm/w: a capacity of 18691697672192 bytes: it must be from 4096 to 17592186044416",
        ),
        ("--capacity 99999999TiB", "--capacity: 99999999TiB: size is over 16 EiB"),
        ("--capacity much", ""),
        ("--element-size 0", "farm/w: an element size of 0 bytes: it must be from 1 to 1073741824"),
        (
            "--element-size 2GiB",
            "farm/w: an element size of 2147483648 bytes: it must be from 1 to 1073741824",
        ),
        (
            "--element-size 1GiB --history 68719476736",
            "farm/w: history times element size is over the limit of a woof",
        ),
        (
            "--element-size 8 --capacity 4KiB",
            "--capacity: is --element-size times --history when that is given",
        ),
        ("--element-size 9 --type f64", "farm/w: an element size of 9 bytes: elements of type f64 are 8"),
        (
            "--type f65",
            "--type: f65: no such content type: text, json, msgpack, i64, f64 and bytes are known",
        ),
    ] {
        let args: Vec<&str> = ["-p", "farm/w"].into_iter().chain(flags.split(' ')).collect();
        let ran = sandbox.run("wcreate", &args, b"");
        assert_eq!(ran.status, 2, "{flags}");
        assert!(ran.stderr.starts_with("wcreate: ") && ran.stderr.lines().count() == 1, "{flags}: {ran:?}");
        assert!(text.is_empty() || ran.stderr == format!("wcreate: {text}\n"), "{flags}: {}", ran.stderr);
        assert!(left(&sandbox).is_empty(), "{flags}: {:?}", left(&sandbox));
    }
}

#[test]
fn nothing_is_made_over_what_is_there_or_where_there_is_no_directory() {
    let sandbox = Sandbox::new();
    let script = "echo precious > text; mkdir dir; ln -s nowhere dangling";
    sandbox.sh(script).done();
    for (name, text) in [
        ("text", "it exists already"),
        ("dir", "it exists already"),
        ("dangling", "it exists already"),
        ("/dev/null", "it exists already"),
        ("text/w", "create: not a directory"),
        ("nodir/w", "create: no directory nodir (wcreate -p makes it)"),
    ] {
        let ran = sandbox.run("wcreate", &[name], b"");
        assert_eq!((ran.status, ran.stderr), (2, format!("wcreate: {name}: {text}\n")));
    }
    let ran = sandbox.run("wcreate", &["--reset", "text"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wcreate: text: not a woof\n"));
    assert_eq!(fs::read(sandbox.dir().join("text")).unwrap(), b"precious\n");
    assert_eq!(left(&sandbox), ["dangling", "dir", "text"]);
}

#[test]
fn of_many_that_make_one_woof_at_once_exactly_one_does() {
    let sandbox = Sandbox::new();
    for round in 0..8 {
        let name = format!("w{round}");
        let running: Vec<_> =
            (0..12).map(|_| start(&sandbox, "wcreate", &[&name, "--capacity", "64KiB"])).collect();
        let ended: Vec<_> = running.into_iter().map(end).collect();
        let lost = format!("wcreate: {name}: it exists already\n");
        assert_eq!(
            ended.iter().filter(|ran| ran.status == 0 && ran.stderr.is_empty()).count(),
            1,
            "{ended:?}"
        );
        assert_eq!(ended.iter().filter(|ran| ran.status == 2 && ran.stderr == lost).count(), 11, "{ended:?}");
        put(&sandbox, &[&name, "x"], b"");
    }
    assert_eq!(left(&sandbox).len(), 8);
}

#[test]
fn a_reset_puts_a_new_woof_in_the_place_of_the_old_one() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate w --history 5; seq 3 | wput w > /dev/null; wcreate --reset w --type i64; wput w 7 > /dev/null").done();
    assert_eq!(elements(&sandbox, "w"), ["7"]);
    sandbox.run("wcreate", &["--reset", "new"], b"").done();
    assert_eq!(left(&sandbox), ["new", "w"]);
}

#[test]
fn a_full_disk_is_an_error_at_creation_and_nothing_is_left_behind() {
    let sandbox = Sandbox::new();
    let script = "mkdir disk && mount -t tmpfs -o size=2m none disk && cd disk || exit 9
        cat /dev/zero > fill 2> /dev/null
        wcreate big; echo $?; wcreate -p farm/deep/big; echo $?; wcreate big --sync; echo $?; ls -A; rm fill
        wcreate small --capacity 64KiB --history 100; seq 100 | wput small >/dev/null; wget small -n 1 -u; ls -A";
    let Some(ran) = with_mounts(&sandbox, "wcreate on a full disk", script) else { return };
    assert_eq!(ran.text(), "2\n2\n2\nfill\n100\nsmall\n");
    let said = ["big", "farm/deep/big", "big"]
        .map(|name| format!("wcreate: {name}: create: no space left on device\n"));
    assert_eq!(ran.stderr, said.concat());
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_nothing_is_left_behind() {
    let sandbox = Sandbox::new();
    for how in ["ulimit -f 100", "trap '' XFSZ; ulimit -f 100"] {
        let ran = sandbox.sh(&format!("{how}; wcreate -p farm/w"));
        assert_eq!(ran.status, 2);
        let said = "wcreate: farm/w: create: file too large (the limit here is 51200 bytes: ulimit -f, LimitFSIZE): it would be ";
        assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
        assert!(left(&sandbox).is_empty(), "{:?}", left(&sandbox));
    }
}

#[test]
fn a_read_only_file_system_is_named() {
    let sandbox = Sandbox::new();
    let script = "mkdir disk && mount -t tmpfs none disk && { mount -o remount,ro disk || mount -o remount,bind,ro disk; } 2>said || exit 9
        wcreate disk/w; echo $?; wcreate -p disk/farm/w; echo $?; ls -A disk";
    let Some(ran) = with_mounts(&sandbox, "wcreate on a read-only file system", script) else { return };
    assert_eq!(ran.text(), "2\n2\n");
    assert_eq!(
        ran.stderr,
        "wcreate: disk/w: create: read-only file system\n\
         wcreate: disk/farm/w: create: no directory can be made in disk: read-only file system\n"
    );
}

#[test]
fn interrupted_in_the_middle_it_leaves_a_whole_woof_or_nothing() {
    let sandbox = Sandbox::new();
    let mut interrupted = 0;
    for delay_us in [0, 500, 1_000, 2_000, 3_000, 5_000, 8_000, 12_000, 20_000, 30_000] {
        let child = start(&sandbox, "wcreate", &["-p", "farm/w", "--sync", "--capacity", "64MiB"]);
        std::thread::sleep(std::time::Duration::from_micros(delay_us));
        signal(&child, rustix::process::Signal::INT);
        let ran = end(child);
        interrupted += u32::from(ran.status == 130);
        let farm = sandbox.dir().join("farm");
        let names: Vec<_> = match fs::read_dir(&farm) {
            Ok(entries) => entries.map(|entry| entry.unwrap().file_name()).collect(),
            Err(_) => Vec::new(),
        };
        assert!(names.iter().all(|name| name == "w" || name == ".woof" || name == "handlers"), "{names:?}");
        if farm.join("w").exists() {
            log::open(&farm.join("w")).unwrap();
            sandbox.run("wrm", &["farm/w"], b"").done();
        }
    }
    assert!(interrupted > 0, "it was always faster than the interrupt");
}

#[test]
fn names_may_have_blanks_and_what_breaks_lines_or_leads_out_is_refused() {
    let sandbox = Sandbox::new();
    let name = "my farm/Größe ☺";
    sandbox.run("wcreate", &["-p", name], b"").done();
    put(&sandbox, &[name, "x"], b"");
    assert_eq!(sandbox.run("wget", &[name, "-u"], b"").done(), "x\n");
    let long = "x".repeat(300);
    for (name, said) in [
        ("a\nb", "\"a\\nb\": a name has no newlines or other control characters".to_owned()),
        ("a\x1b[2J", "\"a\\u{1b}[2J\": a name has no newlines or other control characters".to_owned()),
        ("", "an empty name".to_owned()),
        (&long, format!("\"{0}\": \"{0}...\" is 300 bytes long, the limit is 255", "x".repeat(40))),
        (".woof", ".woof: names that begin with .woof are the namespace's own".to_owned()),
    ] {
        let ran = sandbox.run("wcreate", &[name], b"");
        assert_eq!((ran.status, ran.stderr), (2, format!("wcreate: {said}\n")));
    }
    assert_eq!(left(&sandbox), ["my farm"]);
}

#[test]
fn a_symbolic_link_does_not_lead_out_of_a_namespace() {
    let sandbox = Sandbox::new();
    let script = "wcreate -p farm/temp && wcreate outside && wput outside secret > /dev/null
        ln -s ../outside farm/out; ln -s .. farm/up; ln -s temp farm/inside";
    sandbox.sh(script).done();
    for (name, to) in [("farm/out", "/outside"), ("farm/up/outside", "/outside"), ("farm/up/new", "")] {
        let real = sandbox.dir().canonicalize().unwrap();
        let said = format!("a symbolic link leads out of the namespace farm, to {}{to}", real.display());
        for command in
            [&["wget", "-u"][..], &["wput", "-u"], &["wtail", "-u"], &["wstat"], &["wrm"], &["wcreate"]]
        {
            let ran = sandbox.run(command[0], &[&command[1..], &[name]].concat(), b"");
            assert_eq!((ran.status, ran.stderr), (2, format!("{}: {name}: {said}\n", command[0])));
        }
    }
    put(&sandbox, &["farm/inside", "x"], b"");
    // To say ".." is to go there on purpose.
    assert_eq!(sandbox.run("wget", &["farm/../outside", "-u"], b"").done(), "secret\n");
    assert_eq!(elements(&sandbox, "outside"), ["secret"]);
    assert_eq!(left(&sandbox), ["farm", "outside"]);
}

#[test]
fn where_nothing_can_be_made_no_advice_is_given_that_does_not_help() {
    let sandbox = Sandbox::new();
    for (args, text) in [
        (&["/proc/x/y"][..], "create: no directory /proc/x"),
        (&["-p", "/proc/x/y"], "create: no directory can be made in /proc: no such file or directory"),
        (
            &["--namespace", "/proc/x/y"],
            "create: no directory can be made in /proc: no such file or directory",
        ),
    ] {
        let ran = sandbox.run("wcreate", args, b"");
        assert_eq!((ran.status, ran.stderr), (2, format!("wcreate: /proc/x/y: {text}\n")), "{args:?}");
    }
}
