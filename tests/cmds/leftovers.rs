//! What killed commands left half made: the next one in the same directory removes it.

use crate::support::Sandbox;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The files of a tree that were not whole.
fn left(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(left(&entry.path()));
        } else if entry.file_name().to_string_lossy().contains("new-") {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn what_a_killed_command_left_is_removed_by_the_next_one() {
    let sandbox = Sandbox::new();
    let set_up = "export WOOF_KEYS=keys WOOF_NAMES=table/names XDG_STATE_HOME=$PWD/state; mkdir table; wcreate -p ns/x; wkey init; \
                  wkey add alice; wns add a /a; wattr ns grant any read; wtail --keep k --no-follow ns/x > /dev/null";
    sandbox.sh(set_up).done();
    let positions = "ns/.woof/positions";
    for (dir, command) in [
        ("ns", "wcreate --reset ns/x"),
        ("ns/.woof", "wattr ns grant any read put"),
        ("ns/.woof", "mkdir -p ns/handlers; cp /bin/true ns/handlers/h; wbind ns/x h"),
        (positions, "wtail --keep other --no-follow ns/x > /dev/null"),
        ("keys", "wkey revoke alice"),
        ("keys/users", "wkey add bob"),
        ("table", "wns add b /b"),
    ] {
        let dir = sandbox.dir().join(dir);
        assert!(dir.is_dir(), "{}", dir.display());
        fs::write(dir.join(".woof-new-00000000000000ff"), "half").unwrap();
        // Somebody works on this one.
        let held = dir.join(".woof-new-0000000000000001");
        let file = File::create(&held).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let env = "export WOOF_KEYS=keys WOOF_NAMES=table/names XDG_STATE_HOME=$PWD/state";
        sandbox.sh(&format!("{env}; {command}")).done();
        assert_eq!(left(sandbox.dir()), std::slice::from_ref(&held), "{command}");
        drop(file);
        fs::remove_file(held).unwrap();
    }
}

#[test]
fn killed_at_any_time_commands_leave_nothing_behind_the_next_one() {
    let sandbox = Sandbox::new();
    sandbox.sh("wcreate -p ns/x").done();
    for n in 0..40 {
        let delay = f64::from(n) / 4000.0;
        let script = format!(
            "timeout -s KILL {delay} wcreate --reset ns/x; timeout -s KILL {delay} wattr ns grant any read put"
        );
        sandbox.sh(&script);
    }
    sandbox.sh("wcreate --reset ns/x && wattr ns grant any read").done();
    assert_eq!(left(sandbox.dir()), [""; 0].map(PathBuf::from));
}
