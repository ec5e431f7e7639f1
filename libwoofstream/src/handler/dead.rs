//! Dead letters: triggers that were given up, with all that is needed to put them back.
//!
//! `.woof/dead` has one for each, and keeps the newest. `.woof/retries` has copies of those that were put back; the dispatcher handles its elements
//! as it handles those of any woof.

use super::bindings::Binding;
use super::files;
use super::journal::{make_state_woof, open_state_woof, state_woof_options};
use crate::content::ContentType;
use crate::error::{Code, Error, Result};
use crate::log::{self, Item, Mark};
use crate::name::{STATE_DIR, StateDir};
use crate::sys::base64;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A trigger that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id.
    pub trigger: String,
    /// The binding.
    pub binding: u32,
    /// The woof, by its name in the namespace.
    pub woof: String,
    /// The handler.
    pub handler: String,
    /// The element.
    pub seqno: u64,
    /// When it was put, in nanoseconds since 1970.
    pub time: u64,
    /// The depth of the element.
    #[serde(default)]
    pub depth: u8,
    /// Attempts that were made.
    pub attempts: u32,
    /// Why it was given up.
    pub reason: String,
    /// What its data is.
    pub content: String,
    /// Its data, in its text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Data that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// Of one that was put back: its seqno in the dead-letter woof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<u64>,
}

impl DeadLetter {
    /// Takes the data of the element.
    pub(super) fn put_data(&mut self, content: ContentType, data: &[u8]) {
        let mut text = Vec::new();
        content.write_text(data, &mut text);
        content.as_str().clone_into(&mut self.content);
        match String::from_utf8(text) {
            Ok(text) => self.data = Some(text),
            Err(_) => {
                let mut text = Vec::new();
                base64::encode(data, &mut text);
                self.data_base64 = String::from_utf8(text).ok();
            }
        }
    }

    /// What the data is, and the data.
    pub(super) fn take_data(&self) -> Option<(ContentType, Vec<u8>)> {
        let content = ContentType::parse(&self.content).ok()?;
        if let Some(text) = &self.data_base64 {
            return Some((content, base64::decode(text)?));
        }
        let mut data = Vec::new();
        content.encode_text(self.data.as_ref()?.as_bytes(), &mut data).ok()?;
        Some((content, data))
    }

    /// Appends it to the dead-letter woof of a namespace.
    pub(super) fn append(&self, state: &StateDir) -> Result<()> {
        let woof = make_state_woof(state, files::DEAD, &state_woof_options())?;
        let mut appender = woof.appender()?;
        // The hold on its element is raised next, and may reach the disk before anything that is not synced.
        appender.set_sync(true);
        // A handler of dead letters that puts what becomes a dead letter again goes round only so often.
        appender.set_mark(Mark::new(0, self.depth));
        let json = serde_json::to_vec(self).unwrap_or_default();
        if json.len() as u64 <= appender.element_max() {
            appender.append(&json)?;
            return Ok(());
        }
        // Too long to be kept with its data: it cannot be put back, but is told of.
        let without = DeadLetter { data: None, data_base64: None, ..self.clone() };
        appender.append(&serde_json::to_vec(&without).unwrap_or_default()).map(|_| ())
    }
}

/// The binding of the dead letters that were put back, where any ever was. They run in order where any binding has a group.
pub(super) fn retries(namespace: &Path, bindings: &[Binding]) -> Option<Binding> {
    let name = format!("{STATE_DIR}/{}", files::RETRIES);
    let group = bindings.iter().any(|binding| binding.group.is_some()).then(|| name.clone());
    namespace.join(&name).exists().then(|| Binding { group, ..Binding::new(&name, "") })
}

/// Puts dead letters of a namespace back: those with these ids, or all that were not put back before. Gives how many.
///
/// # Errors
/// When an id is not among those that are kept, or nothing can be written.
pub fn retry(namespace: &Path, triggers: &[&str]) -> Result<usize> {
    let state = StateDir::of(namespace)?;
    let _lock = super::bindings::lock(&state)?;
    let dead = match open_state_woof(&state, files::DEAD) {
        Err(err) if err.code() == Code::NotFound => return none(triggers),
        dead => dead?,
    };
    let retries = make_state_woof(&state, files::RETRIES, &state_woof_options())?;
    if retries.held().is_none() {
        retries.hold(Some(retries.next_seqno()))?;
    }
    let read = |woof: &log::Woof| {
        let (mut letters, mut cursor) = (Vec::new(), woof.cursor(1));
        while let Some(item) = cursor.next() {
            if let Item::Elem { seqno, data, .. } = item
                && let Ok(letter) = serde_json::from_slice::<DeadLetter>(data)
            {
                letters.push((seqno, letter));
            }
        }
        letters
    };
    // One that died after it was put back can be put back again. By its seqno, as a clock may have been set back meanwhile.
    let back = read(&retries);
    let letters = read(&dead);
    let mut asked: Vec<DeadLetter> = Vec::new();
    for (seqno, letter) in letters {
        let is_same = |other: &DeadLetter| other.trigger == letter.trigger;
        let wanted = if triggers.is_empty() {
            !back.iter().any(|(_, other)| is_same(other) && other.letter >= Some(seqno))
        } else {
            triggers.contains(&&*letter.trigger)
        };
        if wanted {
            asked.retain(|other| !is_same(other));
            asked.push(DeadLetter { letter: Some(seqno), ..letter });
        }
    }
    if let Some(missing) = triggers.iter().find(|id| !asked.iter().any(|letter| letter.trigger == **id)) {
        return none(&[missing]);
    }
    if let Some(letter) = asked.iter().find(|letter| letter.take_data().is_none()) {
        let text = "its data was too long to be kept, so it cannot be put back";
        return Err(Error::new(Code::Unsupported, &*letter.trigger, text));
    }
    let mut appender = retries.appender()?;
    for letter in &asked {
        appender.append(&serde_json::to_vec(letter).unwrap_or_default())?;
    }
    Ok(asked.len())
}

fn none(triggers: &[&str]) -> Result<usize> {
    match triggers.first() {
        None => Ok(0),
        Some(trigger) => Err(Error::new(Code::NotFound, *trigger, "no such dead letter")),
    }
}
