//! Dead letters: triggers that were given up, with all that is needed to put them back.
//!
//! `.woof/dead` has one for each, and keeps the newest. `.woof/retries` has copies of those that were put back; the dispatcher handles its elements
//! as it handles those of any woof.

use super::bindings::Binding;
use super::own::{make_state_woof, open_state_woof, state_woof_options};
use crate::handler::files;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use woof_core::content::{ContentType, json_line};
use woof_core::error::{Code, Error, Result};
use woof_core::name::{STATE_DIR, StateDir};
use woof_core::sys::base64;
use woof_log::{self as log, Item, Mark};

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
    /// Its data where that is JSON, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_json")]
    pub value: Option<String>,
    /// Other data, in its text form.
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
    pub fn put_data(&mut self, content: ContentType, data: &[u8]) {
        content.as_str().clone_into(&mut self.content);
        // With blanks around it, it would not come back as it was.
        if content == ContentType::Json
            && let Some(json) = json_line(data).filter(|json| json.as_bytes() == data)
        {
            self.value = Some(json.into_owned());
            return;
        }
        let mut text = Vec::new();
        content.write_text(data, &mut text);
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
    pub fn take_data(&self) -> Option<(ContentType, Vec<u8>)> {
        let content = ContentType::parse(&self.content).ok()?;
        if let Some(json) = &self.value {
            return Some((content, json.as_bytes().to_vec()));
        }
        if let Some(text) = &self.data_base64 {
            return Some((content, base64::decode(text)?));
        }
        let mut data = Vec::new();
        content.encode_text(self.data.as_ref()?.as_bytes(), &mut data).ok()?;
        Some((content, data))
    }

    /// Appends it to the dead-letter woof of a namespace.
    pub fn append(&self, state: &StateDir) -> Result<()> {
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
        let without = DeadLetter { value: None, data: None, data_base64: None, ..self.clone() };
        appender.append(&serde_json::to_vec(&without).unwrap_or_default()).map(|_| ())
    }
}

/// JSON within JSON, as it is written.
mod as_json {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::value::RawValue;

    pub(super) fn serialize<S: Serializer>(json: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        let raw = json.clone().map(RawValue::from_string).transpose().map_err(serde::ser::Error::custom)?;
        raw.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        // Not as an option: null is JSON too.
        Ok(Some(Box::<RawValue>::deserialize(from)?.get().to_owned()))
    }
}

/// The binding of the dead letters that were put back, where any ever was. They run in order where any binding has a group.
pub fn retries(namespace: &Path, bindings: &[Binding]) -> Option<Binding> {
    let name = format!("{STATE_DIR}/{}", files::RETRIES);
    let group = bindings.iter().any(|binding| binding.group.is_some()).then(|| name.clone());
    namespace.join(&name).exists().then(|| Binding { group, ..Binding::new(&name, "") })
}

/// What was done with dead letters that were to be put back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// How many were put back.
    pub count: usize,
    /// The ids of those that were put back before and have not died again since: they are left as they are.
    pub already: Vec<String>,
}

/// Puts dead letters of a namespace back, each once unless it died again: those with these ids, or all.
///
/// # Errors
/// When an id is not among those that are kept, or nothing can be written; then none is put back.
pub fn retry(namespace: &Path, triggers: &[&str]) -> Result<Retried> {
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
    let back = put_back(&retries);
    // The newest of each trigger, in the order in which they died.
    let mut seen = HashSet::new();
    let (mut asked, mut already): (Vec<DeadLetter>, Vec<String>) = Default::default();
    for (seqno, letter) in read::<DeadLetter>(&dead).into_iter().rev() {
        let wanted = triggers.is_empty() || triggers.contains(&&*letter.trigger);
        if !wanted || !seen.insert(letter.trigger.clone()) {
            continue;
        }
        if is_dead(&back, &letter.trigger, seqno) {
            asked.push(DeadLetter { letter: Some(seqno), ..letter });
        } else if !triggers.is_empty() {
            already.push(letter.trigger);
        }
    }
    asked.reverse();
    already.reverse();
    if let Some(missing) = triggers.iter().find(|id| !seen.contains(**id)) {
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
    Ok(Retried { count: asked.len(), already })
}

/// How many dead letters of each binding are still dead: those that were not put back, or died again.
///
/// # Errors
/// When they cannot be read.
pub fn still_dead(namespace: &Path) -> Result<HashMap<u32, u64>> {
    /// What is counted of a letter.
    #[derive(Deserialize)]
    struct Letter {
        trigger: String,
        binding: u32,
    }

    let open = |name: &str| {
        let path = namespace.join(STATE_DIR).join(name);
        match log::open(&path) {
            Ok(woof) => Ok(Some(woof)),
            Err(err) if err.code() == Code::NotFound => Ok(None),
            Err(err) => Err(err.of(path.display().to_string())),
        }
    };
    let mut counts = HashMap::new();
    let Some(dead) = open(files::DEAD)? else { return Ok(counts) };
    let back = open(files::RETRIES)?.map(|retries| put_back(&retries)).unwrap_or_default();
    let mut seen = HashSet::new();
    for (seqno, Letter { trigger, binding }) in read::<Letter>(&dead).into_iter().rev() {
        if is_dead(&back, &trigger, seqno) && seen.insert(trigger) {
            *counts.entry(binding).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Which letter of each trigger was put back last, by its seqno, as a clock may have been set back meanwhile.
fn put_back(retries: &log::Woof) -> HashMap<String, Option<u64>> {
    #[derive(Deserialize)]
    struct Back {
        trigger: String,
        #[serde(default)]
        letter: Option<u64>,
    }

    let mut back = HashMap::new();
    for (_, Back { trigger, letter }) in read::<Back>(retries) {
        let last = back.entry(trigger).or_default();
        *last = letter.max(*last);
    }
    back
}

/// Whether a letter is still dead. One that died after it was put back can be put back again.
fn is_dead(back: &HashMap<String, Option<u64>>, trigger: &str, seqno: u64) -> bool {
    back.get(trigger).is_none_or(|last| *last < Some(seqno))
}

/// All elements of a woof that can be read as this.
fn read<T: DeserializeOwned>(woof: &log::Woof) -> Vec<(u64, T)> {
    let (mut letters, mut cursor) = (Vec::new(), woof.cursor(1));
    while let Some(item) = cursor.next() {
        if let Item::Elem { seqno, data, .. } = item
            && let Ok(letter) = serde_json::from_slice(data)
        {
            letters.push((seqno, letter));
        }
    }
    letters
}

fn none(triggers: &[&str]) -> Result<Retried> {
    match triggers.first() {
        None => Ok(Retried::default()),
        Some(trigger) => Err(Error::new(Code::NotFound, *trigger, "no such dead letter")),
    }
}
