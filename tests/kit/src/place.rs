//! Directories to work in.

use crate::watch::{Watch, watch};
use std::path::Path;

/// The longest path of a directory for temporary files that leaves room for sockets below it: the path of a Unix socket has at most
/// 107 bytes.
const PATH_MAX: usize = 40;

/// A directory that is removed with this. While it is there, its test has to come to its end in time ([`watch`]).
#[derive(Debug)]
pub struct TempDir {
    dir: tempfile::TempDir,
    _watch: Watch,
}

impl TempDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Makes a directory of a name of its own in the directory for temporary files, or in `/tmp` when that one has a long path.
pub fn tempdir() -> std::io::Result<TempDir> {
    let place = std::env::temp_dir();
    let is_long = place.as_os_str().len() > PATH_MAX;
    tempdir_in(if is_long { Path::new("/tmp") } else { &place })
}

/// Makes one in memory where there is enough of it, for tests that write or flush much.
pub fn in_memory() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    // In a container it often has 64 MB.
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= 1 << 30);
    if has_room { tempdir_in(memory).or_else(|_| tempdir()) } else { tempdir() }
}

fn tempdir_in(place: &Path) -> std::io::Result<TempDir> {
    crate::shell::as_in_a_shell();
    Ok(TempDir { dir: tempfile::tempdir_in(place)?, _watch: watch("") })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_socket_can_be_made_in_it() {
        let dir = crate::tempdir().unwrap();
        let deep = dir.path().join("srv/.woof");
        std::fs::create_dir_all(&deep).unwrap();
        assert!(deep.join("server.sock").as_os_str().len() < 80, "{}", deep.display());
    }

    #[test]
    fn also_where_the_directory_for_temporary_files_has_a_long_path() {
        let dir = crate::tempdir().unwrap();
        let long = dir.path().join("x".repeat(120));
        std::fs::create_dir(&long).unwrap();
        let mut again = crate::command(std::env::current_exe().unwrap());
        again.args(["--exact", "place::tests::a_socket_can_be_made_in_it"]).env("TMPDIR", &long);
        let run = crate::output(&mut again);
        assert!(run.status.success() && String::from_utf8_lossy(&run.stdout).contains("1 passed"), "{run:?}");
    }
}
