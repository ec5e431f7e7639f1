//! What every command gets from the frame: names, help, usage errors, channels, exit status.

use crate::support::{Ran, Sandbox, woof};

#[test]
fn a_command_runs_by_its_name_and_as_a_subcommand() {
    let sandbox = Sandbox::new();
    for program in [&["wecho", "-u", "hi"][..], &[woof(), "wecho", "-u", "hi"], &[woof(), "echo", "-u", "hi"]]
    {
        assert_eq!(sandbox.run(program[0], &program[1..], b"").done(), "hi\n");
    }
}

#[test]
fn woof_alone_lists_the_commands() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(woof(), &[], b"");
    assert!(list.done().contains("  wecho     sends its arguments as messages\n"), "{list:?}");
    let unknown = sandbox.run(woof(), &["nosuch"], b"");
    assert_eq!((unknown.status, unknown.stderr.as_str()), (2, "woof: nosuch: no such command\n"));
    let bare = sandbox.run(woof(), &["put\nx"], b"");
    assert_eq!(bare.stderr, "woof: put\\nx: no such command\n");
}

#[test]
fn help_is_short_or_long_and_goes_to_standard_output() {
    let sandbox = Sandbox::new();
    let short = sandbox.run("wcat", &["-h"], b"");
    assert!(
        short.done().starts_with("shows streams, files and channels\n\nUsage: wcat [OPTIONS] [NAME]...\n")
    );
    assert!(!short.text().contains("EXAMPLES"));
    let long = sandbox.run("wcat", &["--help"], b"");
    assert!(long.done().contains("\nEXAMPLES\n"));
    assert_eq!(sandbox.run(woof(), &["help", "cat"], b"").done(), long.text());
    assert_eq!(
        sandbox.run("wcat", &["--version"], b"").done(),
        concat!("wcat ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_wrong_command_line_is_one_line_and_status_2() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("wcat", &["--lnog"], b"");
    assert_eq!(
        (ran.status, ran.stderr.as_str(), ran.text()),
        (2, "wcat: --lnog: no such option or operand\n", "")
    );
    let ran = sandbox.run("wcat", &["--split", "word"], b"");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.starts_with("wcat: --split: ") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
    let seen = sandbox.terminal("wcat --lnog --color never || true");
    assert_eq!(
        seen,
        "\x1b[1;31mwcat:\x1b[0m --lnog: no such option or operand\n\x1b[32mhelp:\x1b[0m did you mean --long; wcat --help\n"
    );
}

#[test]
fn channels_are_what_the_environment_says() {
    let sandbox = Sandbox::new();
    let script = "wecho left > left; wecho right > right;
        WOOF_CHANNELS='in=<5,out=>1,other=<6' wcat -u 5<left 6<right;
        WOOF_CHANNELS='in=<5,out=>1,other=<6' wcat -u -i other 5<left 6<right;
        WOOF_CHANNELS='in=<5,out=>1,other=<6' wcat -u @other - 5<left 6<right;
        WOOF_CHANNELS='in=<0,out=>1,aside=>7' wecho -u -o aside moved 7>moved; cat moved";
    assert_eq!(sandbox.sh(script).done(), "left\nright\nright\nleft\nmoved\n");
    // What the list does not name is where it is without one.
    let script = "seq 3 | wput --create x > /dev/null; wget x .. > s;
        WOOF_CHANNELS='x=<7' dash -c 'wcat @x -u' 7<s; wput x 4 > f; WOOF_CHANNELS='y=>8' wput x 5 > f 8> y; cat f y";
    assert_eq!(sandbox.sh(script).done(), "1\n2\n3\n");
    let ran = sandbox.run("wcat", &["@nosuch"], b"");
    assert_eq!((ran.status, ran.stderr.as_str()), (2, "wcat: nosuch: no such channel\n"));
    let ran = sandbox.sh("WOOF_CHANNELS='in=0' wcat");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.starts_with("wcat: WOOF_CHANNELS: "), "{}", ran.stderr);
}

#[test]
fn process_substitution_and_fifos_are_inputs_like_any_other() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.bash("wcat <(wecho one) <(echo two)").done(), "one\ntwo\n");
    assert_eq!(sandbox.sh("mkfifo f; wecho three > f & wcat f; wait").done(), "three\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::new();
    for script in [
        "yes | wcat | head -n 1",
        "yes | wcat --framed | wcat -u | head -n 1",
        "yes | wcat --json | head -n 1",
    ] {
        let ran = sandbox.bash(&format!("{script}; echo ${{PIPESTATUS[@]:1}}"));
        let statuses = ran.done().lines().nth(1).unwrap();
        assert!(statuses.split(' ').all(|status| status == "0"), "{script}: {ran:?}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let sandbox = Sandbox::new();
    for args in [&["x"][..], &["-u", "x"], &["--json", "x"]] {
        let ran = sandbox.sh(&format!("wecho {} > /dev/full", args.join(" ")));
        assert_eq!(
            (ran.status, ran.stderr.as_str()),
            (2, "wecho: out: write: no space left on device\n"),
            "{args:?}"
        );
    }
}

#[test]
fn an_interrupt_ends_a_command_as_a_signal() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::process::Stdio;
    let sandbox = Sandbox::new();
    let mut child = sandbox.command("wcat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let feed = child.stdin.take();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(woof_kit::ended(child));
    assert_eq!((ran.status, ran.stdout.as_slice()), (130, &b""[..]));
    drop(feed);
}

#[test]
fn links_are_made_and_nothing_else_is_replaced() {
    let sandbox = Sandbox::new();
    let made = sandbox.run(woof(), &["--install-links", "bin"], b"");
    assert!(made.done().starts_with("bin: made "), "{made:?}");
    assert!(sandbox.dir().join("bin/wcat").is_symlink());
    let ran = sandbox.sh(&format!("mkdir other; echo mine > other/wcat; {} --install-links other", woof()));
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "woof: other/wcat: not replaced: it is a file that is no link\n")
    );
}

#[test]
fn completions_are_scripts_that_the_shell_takes() {
    let sandbox = Sandbox::new();
    let ran =
        sandbox.sh(&format!("{} --completions bash > c && bash -n c && grep -c 'complete -F _w' c", woof()));
    assert!(ran.done().trim().parse::<u32>().unwrap() >= 3);
}
