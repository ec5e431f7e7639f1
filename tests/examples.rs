//! The examples that are shell scripts, run with the built binary. Each checks itself and cleans up.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs an example with a directory of its own for what is temporary, and looks whether anything was left there.
fn run(name: &str, with: impl FnOnce(&mut Command)) -> Output {
    let temporary = woof_kit::tempdir().unwrap();
    let mut command = woof_kit::command("sh");
    command
        .arg(examples().join(name))
        .env("WOOF", env!("CARGO_BIN_EXE_woof"))
        .env("TMPDIR", temporary.path());
    with(&mut command);
    // From a directory that has a farm of its own, which is none of its business.
    let elsewhere = woof_kit::tempdir().unwrap();
    fs::create_dir(elsewhere.path().join("farm")).unwrap();
    fs::write(elsewhere.path().join("farm/precious"), "stays").unwrap();
    let output = woof_kit::output(command.current_dir(elsewhere.path()));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "{name}: left something behind");
    assert_eq!(
        fs::read_dir(elsewhere.path().join("farm")).unwrap().count(),
        1,
        "{name}: a file where it was called"
    );
    output
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The text of an example that went well.
#[track_caller]
fn done(name: &str) -> String {
    done_with(name, |_| {})
}

#[track_caller]
fn done_with(name: &str, with: impl FnOnce(&mut Command)) -> String {
    let output = run(name, with);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success() && stderr.is_empty(), "{name}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

#[test]
fn every_short_example_holds() {
    let mut names: Vec<String> = fs::read_dir(examples())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.ends_with(".sh") && !["setup.sh", "demo.sh", "wan.sh"].contains(&&**name));
    names.sort();
    assert_eq!(
        names,
        [
            "alerts.sh",
            "carry.sh",
            "handlers.sh",
            "merge.sh",
            "raw-tools.sh",
            "restart.sh",
            "store-and-forward.sh"
        ]
    );
    for name in names {
        let said = done(&name);
        assert!(
            said.lines().count() >= 3 && said.lines().all(|line| line.starts_with("ok: ")),
            "{name}: {said}"
        );
    }
}

#[test]
fn the_demo_counts_what_awk_counts() {
    let said = done("demo.sh");
    let lines: Vec<&str> = said.lines().collect();
    for line in [
        "8759",
        "452",
        "farm/temp  8759 values  min 37.5  max 75.9  last 39.6",
        "awk counts 452 readings over 70 in the file, and 452 alerts came through the stream: the same.",
    ] {
        assert!(lines.contains(&line), "no line {line:?} in:\n{said}");
    }
}

#[test]
fn what_came_over_the_long_link_is_what_was_sent() {
    // It is built with the workspace, beside the binary.
    let link = Path::new(env!("CARGO_BIN_EXE_woof")).with_file_name("woof-link");
    let is_root = rustix::process::geteuid().is_root();
    let has_tun = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").is_ok();
    if !is_root || !has_tun || !link.exists() {
        let missing = "root, /dev/net/tun and woof-link (cargo build -p woof-link)";
        return woof_kit::skip(&format!("needs {missing}"));
    }
    let said = done_with("wan.sh", |command| {
        command.env("WOOF_LINK", &link).env("COUNT", "1000").env("WITH_SSH", "no").arg("20");
    });
    let starts: Vec<&str> = said.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "A round trip of 20 ms; 1000 elements of 100 bytes are 100000 bytes. Seconds from start to end of each command:",
            "what",
            "one element, till its first byte",
            "put 1000 elements, one a line",
            "get all of them",
            "one in a hundred of them, found here by grep",
        ]
    );
}

#[test]
fn an_example_without_a_binary_says_what_to_do() {
    let mut command = woof_kit::command("sh");
    let output = woof_kit::output(command.arg(examples().join("alerts.sh")).env("WOOF", "/nosuch/woof"));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("no woof: build it and say WOOF=path/to/woof, or put it on the path\n"), "{said}");
}

/// Runs the runs test, with its handlers as they were built.
fn runs_test(args: &[&str]) -> String {
    // Not built where only this test was asked for.
    let build = [env!("CARGO"), "build", "--quiet", "--example", "runs-test"];
    let mut cargo = woof_kit::command(build[0]);
    let built = woof_kit::output(cargo.args(&build[1..]).current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(built.status.success(), "{built:?}");
    let target = Path::new(env!("CARGO_BIN_EXE_woof")).parent().unwrap();
    let temporary = woof_kit::tempdir().unwrap();
    let mut command = woof_kit::command("sh");
    command
        .arg(examples().join("runs-test/run.sh"))
        .args(args)
        .env("WOOF", env!("CARGO_BIN_EXE_woof"))
        .env("RUNS_TEST", target.join("examples/runs-test"))
        .env("TMPDIR", temporary.path());
    let output = woof_kit::output(&mut command);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success() && stderr.is_empty(), "{args:?}: {}\n{stdout}\n{stderr}", output.status);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "left something behind");
    stdout
}

#[test]
fn the_runs_test_says_the_same_in_one_namespace_and_on_three_servers() {
    let one = runs_test(&["--count", "10", "--size", "12", "--seed", "1"]);
    assert!(
        one.starts_with("D 0.")
            && one.contains(" critical 0.607361 alpha 0.05 the numbers are not rejected\n"),
        "{one}"
    );
    assert_eq!(runs_test(&["--count", "10", "--size", "12", "--seed", "1"]), one);
    assert_eq!(runs_test(&["--count", "10", "--size", "12", "--seed", "1", "--servers"]), one);
    let other = runs_test(&["--count", "30", "--size", "6", "--seed", "2"]);
    assert!(other.contains(" critical 0.350660 "), "{other}");
}
