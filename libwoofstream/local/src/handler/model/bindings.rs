//! Bindings: which elements of a woof go to which handler, and the file of a namespace that has them.
//!
//! `.woof/bindings` is JSON lines, replaced as a whole under a lock on the directory `.woof`.
//!
//! Failure contract: a file with anything that is not understood is refused as a whole, with the number of the line, and is never
//! changed by a program then. When a binding is in the file, the elements it begins with are held in their woof already.

pub use super::bind::named_of;
pub use super::bind::{add, named, pause, remove};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{BINDINGS_FILE_MAX, BINDINGS_MAX, HANDLER_MEMORY, NAME_MAX};
use woof_core::name::{STATE_DIR, StateDir};
use woof_core::text;
use woof_log::Mark;
use woof_predicate::Predicate;

/// How a handler gets its elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// The data on standard input.
    #[default]
    Raw,
    /// A framed stream of a `Dir` and an `Elem` on standard input.
    Framed,
    /// One program gets many elements in a framed stream and answers each with a line.
    Stream,
}

/// Says that elements of a woof go to a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Its number in the namespace, never used twice.
    pub id: u32,
    /// The woof, by its name in the namespace.
    pub woof: String,
    /// The file name of the program.
    pub handler: String,
    /// Only elements with this number in their mark: those that were put with the handler's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<u8>,
    /// Only elements that match.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Triggers of one group run one at a time, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many attempts follow one that failed.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// How long an attempt may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How many attempts run at once.
    #[serde(default = "default_at_once")]
    pub at_once: u32,
    /// How much memory a handler may map, in bytes.
    #[serde(default = "default_memory")]
    pub memory: u64,
    /// Append lines of output to this woof of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// How the handler gets its elements.
    #[serde(default)]
    pub input: Input,
    /// Handle elements however many handlers led to them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub chain: bool,
    /// Begin no attempt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// The first seqno that can be a trigger.
    pub from: u64,
    /// When the woof was made, in nanoseconds since 1970.
    pub made: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_false(value: &bool) -> bool {
    !value
}

fn default_retries() -> u32 {
    3
}

fn default_timeout_ms() -> u64 {
    60_000
}

fn default_at_once() -> u32 {
    4
}

fn default_memory() -> u64 {
    HANDLER_MEMORY
}

impl Binding {
    /// A binding of all elements of a woof to a handler, with the defaults.
    pub fn new(woof: &str, handler: &str) -> Binding {
        Binding {
            id: 0,
            woof: woof.to_owned(),
            handler: handler.to_owned(),
            named: None,
            filter: None,
            group: None,
            retries: default_retries(),
            timeout_ms: default_timeout_ms(),
            at_once: default_at_once(),
            memory: default_memory(),
            into: None,
            input: Input::Raw,
            chain: false,
            paused: false,
            from: 1,
            made: 0,
        }
    }

    /// How long an attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Looks whether it can be one.
    ///
    /// # Errors
    /// [`Code::Invalid`], saying what cannot be.
    pub fn check(&self) -> Result<()> {
        let refuse = |object: &str, text: &str| Err(Error::new(Code::Invalid, object, text));
        check_handler(&self.handler)?;
        for name in std::iter::once(&self.woof).chain(&self.into) {
            if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return refuse(name, "not the name of a woof in this namespace");
            }
        }
        if let Some(into) = self.into.as_deref().filter(|into| into.split('/').any(|part| part == STATE_DIR))
        {
            return refuse(into, "output does not go to what the namespace keeps for itself");
        }
        if let Some(filter) = &self.filter {
            Predicate::compile(filter)?;
        }
        if self.named.is_some_and(|number| number == 0 || number > Mark::HANDLER_MAX) {
            return refuse(&self.handler, "its number is not one from 1 to 7");
        }
        if self.at_once == 0 || self.timeout_ms == 0 {
            return refuse(&self.handler, "a time limit and a number at once of 0 would run nothing");
        }
        if let Some(group) = &self.group {
            woof_core::access::check_name("group", group)?;
        }
        Ok(())
    }

    /// Whether this is the binding of a woof and a handler, or of a woof and any.
    pub fn is_of(&self, woof: &str, handler: Option<&str>) -> bool {
        self.woof == woof && handler.is_none_or(|handler| self.handler == handler)
    }
}

/// Looks whether `name` can be the name of a handler.
///
/// ```
/// use woof_local::handler::bindings::check_handler;
/// assert!(check_handler("alarm.sh").is_ok());
/// let err = check_handler("../outside.sh").unwrap_err();
/// assert_eq!(err.to_string(), "\"../outside.sh\": a handler is a file in the directory handlers: its name has no \"/\"");
/// assert!(check_handler("-").is_err());
/// ```
///
/// # Errors
/// [`Code::Invalid`], saying what is wrong with it.
pub fn check_handler(name: &str) -> Result<()> {
    if name.len() > NAME_MAX {
        let text = format!("the name of a handler is {} bytes long, the limit is {NAME_MAX}", name.len());
        return Err(Error::new(Code::Invalid, "", text));
    }
    let refuse = |text: &str| Err(Error::new(Code::Invalid, format!("\"{}\"", name.escape_debug()), text));
    if name.contains('/') {
        return refuse("a handler is a file in the directory handlers: its name has no \"/\"");
    }
    if name.is_empty() || name.starts_with(['.', '-']) || name.chars().any(char::is_control) {
        let text =
            "not the name of a handler: it is empty, begins with \".\" or \"-\", or has control characters";
        return refuse(text);
    }
    Ok(())
}

/// The namespace that a woof lies in, and its name there. Links are followed here, where they were typed: bindings are to what they lead to, as
/// no link is followed for handlers.
///
/// # Errors
/// When it lies in none.
pub fn place_in(woof: &Path) -> Result<(PathBuf, String)> {
    let shown = woof.display().to_string();
    let path = std::path::absolute(woof).map_err(|err| Error::io(&*shown, "", err))?;
    let split = |path: &Path| {
        let namespace = woof_core::name::namespace_of(path).ok_or_else(|| {
            let text =
                "lies in no namespace, which handlers need (wcreate --namespace makes one of a directory)";
            Error::new(Code::NotFound, &*shown, text)
        })?;
        let name = path.strip_prefix(namespace).ok().and_then(Path::to_str).unwrap_or_default();
        Ok((namespace.to_owned(), name.to_owned()))
    };
    let (namespace, name) = split(&path)?;
    if let (Ok(real), Ok(above)) = (path.canonicalize(), namespace.canonicalize())
        && real.strip_prefix(&above).is_ok_and(|inside| inside != Path::new(&name))
    {
        return split(&real);
    }
    Ok((namespace, name))
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Head {
    woofstream: String,
    version: u32,
    next: u32,
}

/// The bindings of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bindings {
    /// The id of the next binding.
    pub next: u32,
    /// In the order of their ids.
    pub list: Vec<Binding>,
}

impl Default for Bindings {
    fn default() -> Bindings {
        Bindings { next: 1, list: Vec::new() }
    }
}

impl Bindings {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// [`Code::Damaged`] or [`Code::Unsupported`], with the number of the line.
    pub fn parse(text: &str) -> Result<Bindings> {
        let wrong = |line: usize, why: &dyn std::fmt::Display| {
            Error::new(Code::Damaged, "", format!("line {line}: {why}"))
        };
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let Some((number, line)) = lines.next() else { return Ok(Bindings::default()) };
        let head: Head = serde_json::from_str(line).map_err(|err| wrong(number, &err))?;
        if head.woofstream != "bindings" || head.version != 1 {
            return Err(Error::new(Code::Unsupported, "", "not bindings of version 1"));
        }
        let mut bindings = Bindings { next: head.next.max(1), list: Vec::new() };
        for (number, line) in lines {
            let binding: Binding = serde_json::from_str(line).map_err(|err| wrong(number, &err))?;
            binding.check().map_err(|err| wrong(number, &err))?;
            let again = bindings.list.iter().any(|other| other.id == binding.id);
            let Some(next) = binding.id.checked_add(1).filter(|next| *next > 1 && !again) else {
                let text = format!("the id {} is 0, the last there is, or there twice", binding.id);
                return Err(wrong(number, &text));
            };
            bindings.next = bindings.next.max(next);
            bindings.list.push(binding);
        }
        Ok(bindings)
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let head = Head { woofstream: "bindings".to_owned(), version: 1, next: self.next };
        // Neither has anything that JSON cannot say.
        let mut text = serde_json::to_string(&head).unwrap_or_default();
        text.push('\n');
        for binding in &self.list {
            text.push_str(&serde_json::to_string(binding).unwrap_or_default());
            text.push('\n');
        }
        text
    }

    /// Reads the bindings of a namespace, given by its directory; none when it has no file.
    ///
    /// # Errors
    /// When the file cannot be read or understood; the object is the file.
    pub fn load(namespace: &Path) -> Result<Bindings> {
        match StateDir::of(namespace) {
            Err(err) if err.code() == Code::NotFound => Ok(Bindings::default()),
            state => Bindings::load_from(&state?),
        }
    }

    /// As [`Bindings::load`], of a namespace that is open.
    pub fn load_from(state: &StateDir) -> Result<Bindings> {
        let file = crate::handler::files::BINDINGS;
        let Some(bytes) = state.read(file, BINDINGS_FILE_MAX)? else { return Ok(Bindings::default()) };
        let text = text::edited(bytes).map_err(|err| err.of(state.shown(file)))?;
        Bindings::parse(&text).map_err(|err| err.of(state.shown(file)))
    }

    /// Changes the bindings of a namespace under the lock. Nothing is written when `change` fails or leaves them as they are.
    ///
    /// # Errors
    /// What `change` returns; when the directory is no namespace or cannot be written.
    pub fn update<T>(namespace: &Path, change: impl FnOnce(&mut Bindings) -> Result<T>) -> Result<T> {
        Bindings::update_in(&StateDir::of(namespace)?, change)
    }

    /// As [`Bindings::update`], of a namespace that is open.
    pub fn update_in<T>(state: &StateDir, change: impl FnOnce(&mut Bindings) -> Result<T>) -> Result<T> {
        let _lock = lock(state)?;
        let before = Bindings::load_from(state)?;
        let mut after = before.clone();
        let done = change(&mut after)?;
        if after != before {
            if after.list.len() > BINDINGS_MAX {
                let text = format!("{BINDINGS_MAX} bindings are there already, the limit of a namespace");
                return Err(Error::new(Code::TooLarge, "", text));
            }
            state.replace(crate::handler::files::BINDINGS, after.to_text().as_bytes(), 0o644)?;
        }
        Ok(done)
    }
}

/// Locks the bindings of a namespace, as long as the file is open.
///
/// # Errors
/// When somebody else has them locked for too long.
pub fn lock(state: &StateDir) -> Result<File> {
    lock_for(state, StateDir::LOCK_WAIT)
}

/// As [`lock`], for who does not wait as long.
pub fn lock_for(state: &StateDir, wait: Duration) -> Result<File> {
    state.lock(wait)
}
