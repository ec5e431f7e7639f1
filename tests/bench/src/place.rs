//! Where the benchmarks work: a directory of their own, the commands as links in it, and the machine they run on.

use crate::Result;
use libwoofstream::log::{self, Options, Woof};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A directory that goes away at the end, with the commands in it.
pub(crate) struct Place {
    dir: TempDir,
    /// A program that does nothing, linked as ours is; not there when the benchmarks are started by hand without one.
    pub(crate) empty_program: Option<PathBuf>,
    /// A program that writes when it started, as 16 bytes, into the file `started` where it runs; linked the same way.
    pub(crate) started_program: Option<PathBuf>,
    /// Fewer and shorter rounds: to see that all works, not to measure.
    pub(crate) quick: bool,
}

impl Place {
    /// Makes the directory under `parent` and the links to `woof` in it.
    pub(crate) fn new(
        parent: &Path,
        woof: &Path,
        [empty_program, started_program]: [Option<PathBuf>; 2],
        quick: bool,
    ) -> Result<Place> {
        let dir = tempfile::Builder::new().prefix("woofbench-").tempdir_in(parent)?;
        let links = dir.path().join("bin");
        fs::create_dir(&links)?;
        for name in ["wcreate", "wfilter", "wget", "wput", "wserve", "wtail"] {
            std::os::unix::fs::symlink(fs::canonicalize(woof)?, links.join(name))?;
        }
        Ok(Place { dir, empty_program, started_program, quick })
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `many`, or `few` when it is to be quick.
    pub(crate) fn count(&self, many: u64, few: u64) -> u64 {
        if self.quick { few } else { many }
    }

    /// How many rounds: `many`, or 3 when it is to be quick.
    pub(crate) fn rounds(&self, many: usize) -> usize {
        if self.quick { 3 } else { many }
    }

    /// One of our commands. Nothing is printed unless the caller takes it.
    pub(crate) fn command(&self, name: &str) -> Command {
        self.other(&self.path("bin").join(name))
    }

    /// A program of somebody else, in the same surroundings.
    pub(crate) fn other(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // Bytes, not characters: the fastest that grep and awk can do.
        command.env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Makes a woof, in the place of one that may be there, and opens it.
    pub(crate) fn woof(&self, name: &str, options: &Options) -> Result<Woof> {
        let path = self.path(name);
        log::reset(&path, options)?;
        Ok(log::open(&path)?)
    }
}

/// Where a program is on the path, or in the places for administrators that are not always on it.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// One line about the machine, and one about how busy it is.
pub(crate) fn machine() -> [String; 2] {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ");
    let busy =
        load.split(' ').next().and_then(|load| load.parse::<f64>().ok()).is_some_and(|load| load > 0.5);
    [
        format!("{cores} cores, {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        if busy {
            format!("*** load {load}: the machine has other work; these figures are NOT to be kept ***")
        } else {
            format!("load {load}")
        },
    ]
}
