//! The woofs that a namespace keeps for itself, in its state directory: the log of triggers, dead letters.

use super::record::Record;
use rustix::io::Errno;
use woof_core::content::ContentType;
use woof_core::error::{Code, Error, Result};
use woof_core::name::{Namespace, StateDir};
use woof_core::sys;
use woof_log::{self as log, Options, Woof};

/// How many elements the log of triggers keeps.
pub const HISTORY: u64 = 65_536;
/// How many bytes of them.
pub const CAPACITY: u64 = 32 << 20;

/// Opens a woof in the state directory.
pub fn open_state_woof(state: &StateDir, file: &str) -> Result<Woof> {
    log::open_at(state.spot(file)).map_err(|err| err.of(state.shown(file)))
}

/// As [`open_state_woof`], of JSON elements; it is made if it is not there.
pub fn make_state_woof(state: &StateDir, file: &str, options: &Options) -> Result<Woof> {
    match open_state_woof(state, file) {
        Err(err) if err.code() == Code::NotFound => match log::create_at(state.spot(file), options) {
            Err(err) if err.code() != Code::Exists => Err(err.of(state.shown(file))),
            _ => open_state_woof(state, file),
        },
        opened => opened,
    }
}

/// Opens a woof of a namespace that handlers may have exchanged for a link by now.
pub fn open_woof(namespace: &Namespace, name: &str) -> Result<Woof> {
    let opened = namespace.at(name, log::open_at).unwrap_or_else(|err| {
        Err(match err {
            Errno::XDEV => Error::new(Code::Denied, "", "lies in another namespace, below this one"),
            Errno::LOOP => sys::no_link(),
            Errno::NOENT => Error::new(Code::NotFound, "", "no such woof"),
            err => Error::io("", "open", err),
        })
    });
    opened.map_err(|err| err.of(name))
}

/// How woofs in the state directory are made.
pub fn state_woof_options() -> Options {
    Options { content: ContentType::Json, ..Options::default() }
}

/// How the log of triggers is made.
pub fn log_options() -> Options {
    Options { history: HISTORY, capacity: CAPACITY, ..state_woof_options() }
}

/// Opens the log of triggers; it is made if it is not there.
pub fn open_log(state: &StateDir) -> Result<Woof> {
    make_state_woof(state, crate::handler::files::TRIGGERS, &log_options())
}

/// Appends records that are not the dispatcher's own, whether or not there is one.
pub fn note(state: &StateDir, records: &[Record]) -> Result<()> {
    let named = |err: Error| err.of(state.shown(crate::handler::files::TRIGGERS));
    let mut appender = open_log(state)?.appender().map_err(named)?;
    for record in records {
        appender.append(&serde_json::to_vec(record).unwrap_or_default()).map_err(named)?;
    }
    Ok(())
}
