//! Where the name table of this user is, and all names as this user has them.
//!
//! Failure contract: a table that is not there is an empty one; one that cannot be read or is wrong is an error of every name
//! that asks for it, and says where it is.

use super::daemon;
use super::messages::Messages;
use super::remote::{self, RemoteOptions};
use libwoofstream::error::{Error, Result};
use libwoofstream::limits::NAME_TABLE_MAX;
use libwoofstream::name::Address;
use libwoofstream::space::{Local, Spaces, Table};
use libwoofstream::text;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of the name table: `$WOOF_NAMES`, else `woofstream/names` in the user's configuration. `None` where there is no place
/// for one, or `WOOF_NAMES` is empty.
pub fn table_path() -> Option<PathBuf> {
    match std::env::var_os("WOOF_NAMES") {
        Some(path) => (!path.is_empty()).then(|| PathBuf::from(path)),
        None => Some(user_dir("XDG_CONFIG_HOME", ".config")?.join("woofstream/names")),
    }
}

/// A directory of this user: what `variable` names, else `default` in the home directory.
pub(crate) fn user_dir(variable: &str, default: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(default)))
}

/// The text of a name table; empty when it is not there.
///
/// # Errors
/// When it cannot be read, is no text, or is too large.
pub fn text(path: &Path) -> Result<String> {
    let shown = path.display().to_string();
    let file = match File::open(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(String::new()),
        file => file.map_err(|err| Error::io(&*shown, "", err))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(NAME_TABLE_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|err| Error::io(&*shown, "", err))?;
    text::edited(bytes).map_err(|err| err.of(shown))
}

/// Reads the table at `path`.
///
/// # Errors
/// As [`text()`], and when it is no table.
pub fn table(path: &Path) -> Result<Table> {
    Table::parse(&text(path)?).map_err(|err| err.of(path.display().to_string()))
}

/// All names, with servers dialled as `options` say. Nothing is read before a name asks for it.
pub(super) fn spaces(options: RemoteOptions, messages: Messages) -> Spaces {
    let load = || table_path().map_or_else(|| Ok(Table::default()), |path| table(&path));
    let open = move |address: &Address| remote::open(address, &options, messages);
    Spaces::new(Local::new(Arc::new(daemon::containers())), Box::new(load), Box::new(open))
}
