//! `woofd` beside `woof`: it is found, it is of the same version, and without it all but the server works.

use crate::support::{Sandbox, finish, woof};
use std::fs;
use std::path::{Path, PathBuf};

const WOOFD: &str = env!("CARGO_BIN_EXE_woofd");

/// A directory with copies of the programs of these names, as after an installation.
fn installed(sandbox: &Sandbox, programs: &[(&str, &str)]) -> PathBuf {
    let bin = sandbox.dir().join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (program, name) in programs {
        fs::copy(program, bin.join(name)).unwrap();
    }
    bin
}

fn run(program: &Path, args: &[&str]) -> crate::support::Ran {
    finish(woof_kit::command(program).args(args), b"")
}

#[test]
fn woof_serve_is_the_woofd_beside_it_and_so_is_a_link() {
    let sandbox = Sandbox::new();
    let bin = installed(&sandbox, &[(woof(), "woof"), (WOOFD, "woofd")]);
    let farm = sandbox.dir().join("farm");
    sandbox.sh("wcreate -p farm/temp").done();
    let links = sandbox.dir().join("links");
    let made = run(&bin.join("woof"), &["--install-links", links.to_str().unwrap()]);
    assert_eq!((made.status, &*made.stderr), (0, ""));
    let woofd = bin.join("woofd").canonicalize().unwrap();
    for link in ["wserve", "woofd"] {
        assert_eq!(fs::read_link(links.join(link)).unwrap(), woofd, "{link}");
    }
    let farm = farm.to_str().unwrap();
    for (program, args) in [
        ("bin/woof", &["serve", farm, "--once"][..]),
        ("bin/woof", &["wserve", "--once", farm]),
        ("bin/woofd", &["serve", farm, "--once"]),
        ("links/wserve", &["--once", farm]),
    ] {
        let ran = run(&sandbox.dir().join(program), args);
        assert_eq!((ran.status, &*ran.stderr), (0, ""), "{program} {args:?}");
    }
    let ran = run(&bin.join("woof"), &["serve", "/nowhere", "--once"]);
    assert_eq!((ran.status, &*ran.stderr), (2, "wserve: /nowhere: no such file or directory\n"));
}

#[test]
fn without_woofd_it_is_said_where_it_belongs_and_all_else_works() {
    let sandbox = Sandbox::new();
    let bin = installed(&sandbox, &[(woof(), "woof")]).canonicalize().unwrap();
    let ran = run(&bin.join("woof"), &["serve", "."]);
    let text = format!(
        "wserve: {}/woofd: not there: the server is a program of its own, and belongs beside woof\n",
        bin.display()
    );
    assert_eq!((ran.status, ran.stderr), (2, text));
    let woof = |args: &[&str]| {
        finish(woof_kit::command(bin.join("woof")).args(args).current_dir(sandbox.dir()), b"")
    };
    assert_eq!(woof(&["put", "--create", "x", "21.5"]).status, 0);
    assert_eq!(woof(&["get", "x", "-u"]).text(), "21.5\n");
    let help = woof(&["serve", "--help"]);
    assert!(help.status == 0 && help.text().contains("--listen"), "{help:?}");
}

#[test]
fn a_woofd_of_another_version_does_nothing_and_says_so() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(WOOFD, &["--called-by", "0.0.9", "wserve", "."], b"");
    let text = format!(
        "woofd: is of version {}, and the woof that calls it of 0.0.9: install both from one build\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!((ran.status, ran.stderr), (2, text));
}

#[test]
fn woofd_alone_says_what_it_is() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(WOOFD, &["--help"], b"");
    assert!(help.status == 0 && help.text().contains("woofd serve DIR"), "{help:?}");
    let version = sandbox.run(WOOFD, &["--version"], b"");
    assert_eq!(version.text(), format!("woofd {}\n", env!("CARGO_PKG_VERSION")));
    for args in [&[][..], &["dance"], &["--dance"]] {
        let ran = sandbox.run(WOOFD, args, b"");
        assert_eq!((ran.status, ran.stderr.lines().count() > 0), (2, true), "{args:?} {ran:?}");
    }
}
