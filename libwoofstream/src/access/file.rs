//! The access list as a file: `.woof/access` in the namespace, mode 0644, written whole.
//!
//! Failure contract: a file that cannot be read or understood gives a list with a fault, by which only the owner has rights. It
//! is never changed by a program then, so that a slip of the hand does not cost the rest of it.

use super::{AccessList, Change};
use crate::error::{Code, Error, Result};
use crate::limits::ACCESS_MAX;
use crate::name::STATE_DIR;
use crate::sys;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The name of the file in the state directory.
pub const FILE: &str = "access";

impl AccessList {
    /// The access list of a namespace, given by its directory.
    ///
    /// # Errors
    /// When there is no such directory. A list that cannot be used is no error: see [`AccessList::fault`].
    pub fn load(namespace: &Path) -> Result<AccessList> {
        let meta = std::fs::metadata(namespace).map_err(|err| Error::io("", "", err))?;
        if !meta.is_dir() {
            return Err(Error::new(Code::Invalid, "", "not a namespace: it is no directory"));
        }
        let shown = format!("{STATE_DIR}/{FILE}");
        let list = match read(&namespace.join(STATE_DIR).join(FILE)) {
            Ok(None) => AccessList::default(),
            Ok(Some(text)) => AccessList::parse(&text)
                .unwrap_or_else(|err| AccessList::broken(&text, format!("{shown}: {err}"))),
            Err(err) => AccessList::broken("", err.of(shown).to_string()),
        };
        Ok(list.owned_by(Some(meta.uid()), sys::users::user_name(meta.uid())))
    }

    /// Makes a change to the access list of a namespace, given by its directory; gives the list as it is then.
    ///
    /// # Errors
    /// When the directory is no namespace, the list that is there is not understood, or it cannot be written.
    pub fn update(namespace: &Path, change: &Change) -> Result<AccessList> {
        let state = namespace.join(STATE_DIR);
        if !state.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            let text = format!("not a namespace: it has no directory {STATE_DIR}");
            return Err(Error::new(Code::NotFound, "", text));
        }
        // Two who change the list at once must not lose the change of one.
        let lock = File::open(&state).map_err(|err| Error::io("", "open", err))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|err| Error::io("", "lock", err))?;
        let mut list = AccessList::load(namespace)?;
        if let Some(fault) = list.fault() {
            return Err(Error::new(Code::Invalid, "", format!("not changed, mend it first: {fault}")));
        }
        list.change(change);
        let text = list.to_string();
        if text.len() as u64 > ACCESS_MAX {
            let text = format!("the access list would be {} bytes, the limit is {ACCESS_MAX}", text.len());
            return Err(Error::new(Code::TooLarge, "", text));
        }
        sys::replace(&state.join(FILE), text.as_bytes(), 0o644).map_err(|err| err.of(""))?;
        Ok(list)
    }
}

/// The text of the file; `None` when there is none. A link is not followed, and what is no file is not waited for.
fn read(path: &Path) -> Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            return Err(Error::new(Code::Invalid, "", "a symbolic link, and not a file"));
        }
        Err(err) => return Err(Error::io("", "read", err)),
    };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err(Error::new(Code::Invalid, "", "not a file"));
    }
    let mut bytes = Vec::new();
    file.take(ACCESS_MAX + 1).read_to_end(&mut bytes).map_err(|err| Error::io("", "read", err))?;
    if bytes.len() as u64 > ACCESS_MAX {
        return Err(Error::new(Code::TooLarge, "", format!("larger than {ACCESS_MAX} bytes")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::new(Code::Invalid, "", "not UTF-8")),
    }
}
