//! Where the short runs of the fuzz targets keep their woofs.

/// A directory in memory where there is enough of it, since thousands of woofs are made.
pub(crate) fn dir() -> std::io::Result<tempfile::TempDir> {
    let memory = "/dev/shm";
    // In a container it often has 64 MB.
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|disk| disk.f_bavail * disk.f_frsize >= 1 << 30);
    let dir = if has_room { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.or_else(|_| tempfile::tempdir())
}
