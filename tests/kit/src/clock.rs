//! A woof whose newest element is of another time than the clock says.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Where a woof has the time of its newest element, in nanoseconds since 1970 (docs/format-woof.md).
const LAST_TIME: u64 = 4192;
/// Where it has the sum of that word and others.
const WORDS_SUM: u64 = 4216;

/// Has a woof that nobody is appending to believe that its newest element is of this time, in nanoseconds since 1970. Gives the time
/// that it had before.
///
/// # Errors
/// When there is no such file, or it is too short.
pub fn set_newest_time(woof: &Path, time: u64) -> io::Result<u64> {
    let file = File::options().read(true).write(true).open(woof)?;
    let word = |place| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, place).map(|()| u64::from_le_bytes(bytes))
    };
    let before = word(LAST_TIME)?;
    let sum = word(WORDS_SUM)?.wrapping_add(time).wrapping_sub(before);
    file.write_all_at(&time.to_le_bytes(), LAST_TIME)?;
    file.write_all_at(&sum.to_le_bytes(), WORDS_SUM)?;
    Ok(before)
}
