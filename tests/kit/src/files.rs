//! Many open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of files that this process may have open to what the system allows. False, which is said, when that is less
/// than `count`: the test is to end then.
#[must_use]
#[track_caller]
pub fn many_files(count: u64) -> bool {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let is_enough = maximum.is_none_or(|maximum| maximum >= count);
    if !is_enough {
        crate::skip(&format!(
            "needs {count} open files, and the hard limit here is {}",
            maximum.unwrap_or(0)
        ));
    }
    is_enough
}
