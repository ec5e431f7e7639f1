//! The one error type of the library: what it is about, what went wrong, and a code that stays the same
//! everywhere (in exit messages, in streams, in documents).

use std::fmt;
use std::io;

/// The result of everything in the library that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it was. The text form ([`Code::as_str`]) travels in streams and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// There is no such woof, file, namespace or channel.
    NotFound,
    /// It is there already.
    Exists,
    /// The system or an access list does not allow it.
    Denied,
    /// A name, number, expression or option that is not valid.
    Invalid,
    /// Larger than a limit allows.
    TooLarge,
    /// No space is left.
    Full,
    /// Elements that were kept once and are not kept any more.
    Gone,
    /// Data whose checksum or structure is wrong.
    Damaged,
    /// A stream that stopped before its end.
    Cut,
    /// A woof that was removed or reset while it was in use.
    Removed,
    /// A format, version or file system that this program cannot work with.
    Unsupported,
    /// Data that does not fit the content type.
    Mismatch,
    /// A program that was run and failed.
    Failed,
    /// A server that stops; it may be back soon.
    Stopped,
    /// Another program has it and does not go on: it may be free later.
    Busy,
    /// Nobody could be reached, or not any more.
    Unreachable,
    /// The system refused an operation for another reason.
    Io,
}

impl Code {
    /// All codes with their text forms.
    const TABLE: [(Code, &'static str); 17] = [
        (Code::NotFound, "not-found"),
        (Code::Exists, "exists"),
        (Code::Denied, "denied"),
        (Code::Invalid, "invalid"),
        (Code::TooLarge, "too-large"),
        (Code::Full, "full"),
        (Code::Gone, "gone"),
        (Code::Damaged, "damaged"),
        (Code::Cut, "cut"),
        (Code::Removed, "removed"),
        (Code::Unsupported, "unsupported"),
        (Code::Mismatch, "mismatch"),
        (Code::Failed, "failed"),
        (Code::Stopped, "stopped"),
        (Code::Busy, "busy"),
        (Code::Unreachable, "unreachable"),
        (Code::Io, "io"),
    ];

    /// The text form that travels in streams.
    ///
    /// ```
    /// assert_eq!(woof_core::error::Code::NotFound.as_str(), "not-found");
    /// ```
    pub fn as_str(self) -> &'static str {
        Self::TABLE.iter().find(|(code, _)| *code == self).map_or("io", |(_, text)| text)
    }

    /// The code of a text form; [`Code::Io`] for one this version does not know.
    pub fn parse(text: &str) -> Code {
        Self::TABLE.iter().find(|(_, known)| *known == text).map_or(Code::Io, |(code, _)| *code)
    }
}

/// A failure: on which object, and why, in one line a person can act on.
///
/// `Display` gives `object: text`, or the text alone where there is no object.
#[derive(Debug)]
pub struct Error {
    code: Code,
    object: String,
    text: String,
    source: Option<io::Error>,
}

impl Error {
    /// A failure of `code` about `object`, said by `text` (lower case, no full stop).
    pub fn new(code: Code, object: impl Into<String>, text: impl Into<String>) -> Error {
        Error { code, object: object.into(), text: text.into(), source: None }
    }

    /// A failed system call about `object`: `doing` says what did not work.
    ///
    /// ```
    /// use woof_core::error::{Code, Error};
    /// let err = Error::io("farm/temp", "open", std::io::Error::from_raw_os_error(2));
    /// assert_eq!(err.to_string(), "farm/temp: open: no such file or directory");
    /// assert_eq!(err.code(), Code::NotFound);
    /// ```
    pub fn io(object: impl Into<String>, doing: &str, source: impl Into<io::Error>) -> Error {
        let source = source.into();
        let code = match source.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::AlreadyExists => Code::Exists,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::Full,
            io::ErrorKind::FileTooLarge => Code::TooLarge,
            _ => Code::Io,
        };
        let mut reason = system_reason(&source);
        if source.raw_os_error() == Some(rustix::io::Errno::FBIG.raw_os_error())
            && let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Fsize).current
        {
            reason = format!("{reason} (the limit here is {limit} bytes: ulimit -f, LimitFSIZE)");
        }
        let text = if doing.is_empty() { reason } else { format!("{doing}: {reason}") };
        Error { code, object: object.into(), text, source: Some(source) }
    }

    /// The kind of failure.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What it is about: a name as the user typed it, or empty.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// What went wrong, without the object.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same failure, told of another object (a name as the user typed it instead of a path, say).
    pub fn of(mut self, object: impl Into<String>) -> Error {
        self.object = object.into();
        self
    }

    /// True for a failed system call that gave this error.
    pub fn is_errno(&self, errno: rustix::io::Errno) -> bool {
        self.source.as_ref().is_some_and(|source| source.raw_os_error() == Some(errno.raw_os_error()))
    }

    /// True for a write to a pipe that nobody reads any more, which ends a program without being a failure.
    pub fn is_broken_pipe(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The system's words for an error number, in the case our messages are written in, without the number.
fn system_reason(err: &io::Error) -> String {
    let text = err.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.object, self.text)
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_text() {
        for (code, text) in Code::TABLE {
            assert_eq!(code.as_str(), text);
            assert_eq!(Code::parse(text), code);
        }
        assert_eq!(Code::parse("from-the-future"), Code::Io);
    }

    #[test]
    fn the_display_is_one_line_with_the_object_first() {
        let err =
            Error::new(Code::Gone, "farm/temp", "no element 77: the oldest kept is 120, the newest 4031");
        assert_eq!(err.to_string(), "farm/temp: no element 77: the oldest kept is 120, the newest 4031");
        assert_eq!(Error::new(Code::Invalid, "", "no name").to_string(), "no name");
    }

    #[test]
    fn system_errors_keep_their_words_and_lose_their_number() {
        let full = Error::io("w", "create", io::Error::from_raw_os_error(28));
        assert_eq!(full.to_string(), "w: create: no space left on device");
        assert_eq!(full.code(), Code::Full);
        assert!(Error::io("", "write", io::Error::from_raw_os_error(32)).is_broken_pipe());
    }
}
