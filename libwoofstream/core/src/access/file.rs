//! The access list as a file: `.woof/access` in the namespace, mode 0644, written whole.
//!
//! Failure contract: a file that cannot be read or understood gives a list with a fault, by which only the owner has rights. It
//! is never changed by a program then, so that a slip of the hand does not cost the rest of it.

use super::{AccessList, Change};
use crate::error::{Code, Error, Result};
use crate::limits::ACCESS_MAX;
use crate::name::{Namespace, STATE_DIR, StateDir};
use crate::sys;
use crate::text;
use std::path::Path;

/// The name of the file in the state directory.
pub const FILE: &str = "access";

impl AccessList {
    /// The access list of a namespace, given by its directory.
    ///
    /// # Errors
    /// When there is no such directory. A list that cannot be used is no error: see [`AccessList::fault`].
    pub fn load(namespace: &Path) -> Result<AccessList> {
        AccessList::load_from(&Namespace::of(namespace).map_err(|err| err.of(""))?)
    }

    /// As [`AccessList::load`], of a namespace that is open.
    pub fn load_from(namespace: &Namespace) -> Result<AccessList> {
        let shown = format!("{STATE_DIR}/{FILE}");
        let read = match namespace.state() {
            Err(err) if err.code() == Code::NotFound => Ok(None),
            state => state.and_then(|state| state.read(FILE, ACCESS_MAX)),
        };
        let text = read.and_then(|bytes| bytes.map(text::edited).transpose());
        let list = match text {
            Ok(None) => AccessList::default(),
            Ok(Some(text)) => AccessList::parse(&text)
                .unwrap_or_else(|err| AccessList::broken(&text, format!("{shown}: {err}"))),
            Err(err) => AccessList::broken("", err.of(shown).to_string()),
        };
        let owner = namespace.owner().map_err(|err| err.of(""))?;
        Ok(list.owned_by(Some(owner), sys::users::user_name(owner)))
    }

    /// Makes a change to the access list of a namespace, given by its directory; gives the list as it is then.
    ///
    /// # Errors
    /// When the directory is no namespace, the list that is there is not understood, or it cannot be written.
    pub fn update(namespace: &Path, change: &Change) -> Result<AccessList> {
        AccessList::update_in(&Namespace::of(namespace).map_err(|err| err.of(""))?, change)
    }

    /// As [`AccessList::update`], of a namespace that is open.
    pub fn update_in(namespace: &Namespace, change: &Change) -> Result<AccessList> {
        let state = namespace.state().map_err(|err| err.of(""))?;
        // Two who change the list at once must not lose the change of one.
        let _lock = state.lock(StateDir::LOCK_WAIT).map_err(|err| err.of(""))?;
        let mut list = AccessList::load_from(namespace)?;
        if let Some(fault) = list.fault() {
            return Err(Error::new(Code::Invalid, "", format!("not changed, mend it first: {fault}")));
        }
        list.change(change);
        let text = list.to_string();
        if text.len() as u64 > ACCESS_MAX {
            let text = format!("the access list would be {} bytes, the limit is {ACCESS_MAX}", text.len());
            return Err(Error::new(Code::TooLarge, "", text));
        }
        state.replace(FILE, text.as_bytes(), 0o644).map_err(|err| err.of(""))?;
        Ok(list)
    }
}
