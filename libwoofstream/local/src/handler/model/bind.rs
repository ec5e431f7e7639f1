//! Changes of the bindings: binding a handler to a woof, removing and pausing. What a woof holds changes with them.
//!
//! Failure contract: elements are held before the binding that they are for is written, and let go of before the last one is removed; when the file
//! cannot be written, the woof holds what it held before.

use super::bindings::{Binding, Bindings, lock};
use super::holder::is_bound;
use super::own::{make_state_woof, note, open_woof, state_woof_options};
use super::record::{Record, What};
use super::summary::{Open, not_done};
use crate::handler::files;
use std::path::Path;
use std::time::Duration;
use woof_core::attrs::ELEMENT_NAMES;
use woof_core::error::{Code, Error, Result};
use woof_core::name::{Namespace, STATE_DIR, StateDir};
use woof_log::{self as log, Mark, Woof};
use woof_predicate::Predicate;

/// Looks whether handlers may be bound to a woof: of the namespace's own only dead letters are for them. A log that is written
/// for each of its elements would never come to its end.
fn check_own(woof: &str) -> Result<()> {
    if woof != dead_letters() && woof.split('/').any(|part| part == STATE_DIR) {
        let text = format!(
            "what is in {STATE_DIR} is the namespace's own: handlers can be bound to {} only",
            dead_letters()
        );
        return Err(Error::new(Code::Denied, woof, text));
    }
    Ok(())
}

/// The name of the dead-letter woof in its namespace.
pub fn dead_letters() -> String {
    format!("{STATE_DIR}/{}", files::DEAD)
}

/// Who changes bindings waits no longer than this for a writer of their woof: meanwhile nobody else can change or look at those of the namespace.
const HOLD_PATIENCE: Duration = Duration::from_secs(3);

/// Has a woof hold its elements from `from` on, unless it holds more already; gives the first that can be a trigger.
fn hold(woof: &Woof, from: u64) -> Result<u64> {
    match woof.held() {
        Some(held) if held <= from => Ok(from),
        _ => woof.hold_within(Some(from), Some(HOLD_PATIENCE)),
    }
}

/// Has a woof hold what it held before a change of the bindings that failed, unless another binding holds its elements by now.
fn hold_as_before(namespace: &Namespace, name: &str, woof: &Woof, before: Option<u64>) -> Result<()> {
    let state = namespace.state()?;
    let _lock = lock(&state)?;
    if before.is_some() || !Bindings::load_from(&state)?.list.iter().any(|binding| binding.woof == name) {
        woof.hold_within(before, Some(HOLD_PATIENCE))?;
    }
    Ok(())
}

/// Adds a binding: of the elements from `from` on, or of those to come. Gives it as it is in the file. Whether there is such a handler is
/// looked at by who asks for it ([`crate::handler::check_program`]).
///
/// # Errors
/// When there is no such woof, the woof has a binding to this handler, or it cannot be.
pub fn add(namespace: &Path, binding: &Binding, from: Option<u64>) -> Result<Binding> {
    add_in(&Namespace::of(namespace)?, binding, None, from)
}

/// As [`add`]; the woof may be open already.
fn add_in(
    namespace: &Namespace,
    binding: &Binding,
    woof: Option<&Woof>,
    from: Option<u64>,
) -> Result<Binding> {
    binding.check()?;
    check_own(&binding.woof)?;
    // A binding that is there may have one: before this was looked at, or from a version that knows more.
    if let Some(filter) = &binding.filter
        && let Some(unknown) = Predicate::compile(filter)?.unknown(&ELEMENT_NAMES, "an element")
    {
        return Err(unknown);
    }
    let woof = match woof {
        Some(woof) => woof.clone(),
        // It is there from the first dead letter on, or from now on.
        None if binding.woof == dead_letters() => {
            make_state_woof(&namespace.state()?, files::DEAD, &state_woof_options())?
        }
        None => open_woof(namespace, &binding.woof)?,
    };
    let before = woof.held();
    let added = add_to(namespace, binding, &woof, from);
    if added.is_err() && woof.held() != before {
        // Nobody would ever let go of what no binding is for.
        hold_as_before(namespace, &binding.woof, &woof, before)?;
    }
    added
}

fn add_to(namespace: &Namespace, binding: &Binding, woof: &Woof, from: Option<u64>) -> Result<Binding> {
    Bindings::update_in(&namespace.state()?, |bindings| {
        let same = |other: &&Binding| {
            other.is_of(&binding.woof, Some(&binding.handler))
                && other.named.is_some() == binding.named.is_some()
        };
        if bindings.list.iter().any(|other| same(&other)) {
            let text = format!("{} is bound to it already (wbind remove ends that)", binding.handler);
            return Err(Error::new(Code::Exists, &*binding.woof, text));
        }
        let named = match binding.named {
            None => None,
            Some(_) => Some(free_number(bindings, binding)?),
        };
        let from = from.unwrap_or_else(|| woof.next_seqno()).min(woof.next_seqno());
        let from = hold(woof, from).map_err(|err| err.of(&*binding.woof))?;
        let id = bindings.next;
        let binding = Binding { id, named, from, made: woof.status().created_ns, ..binding.clone() };
        bindings.next += 1;
        bindings.list.push(binding.clone());
        Ok(binding)
    })
}

/// A number for a named handler that no other of the woof has; not one that was given back just now, where there are others.
fn free_number(bindings: &Bindings, binding: &Binding) -> Result<u8> {
    let used: Vec<u8> = bindings
        .list
        .iter()
        .filter(|other| other.woof == binding.woof)
        .filter_map(|other| other.named)
        .collect();
    let max = u32::from(Mark::HANDLER_MAX);
    (0..max)
        .filter_map(|step| u8::try_from((bindings.next - 1 + step) % max + 1).ok())
        .find(|number| !used.contains(number))
        .ok_or_else(|| {
            let text = format!(
                "{max} handlers are named in puts of this woof already, the limit (wbind removes them)"
            );
            Error::new(Code::TooLarge, &*binding.woof, text)
        })
}

/// The number with which elements of a woof are marked that are put for `handler`; its binding is made first if it is not there.
///
/// # Errors
/// As [`add`], and when there is no such handler.
pub fn named(namespace: &Path, woof: &str, handler: &str) -> Result<u8> {
    named_in(&Namespace::of(namespace)?, woof, None, handler)
}

/// As [`named`], of a namespace and a woof in it that are open.
pub fn named_of(namespace: &Namespace, name: &str, woof: &Woof, handler: &str) -> Result<u8> {
    named_in(namespace, name, Some(woof), handler)
}

fn named_in(namespace: &Namespace, woof: &str, open: Option<&Woof>, handler: &str) -> Result<u8> {
    crate::handler::program::check_program_in(namespace, handler)?;
    let state = namespace.state()?;
    let find = |bindings: &Bindings| {
        bindings
            .list
            .iter()
            .filter(|binding| binding.is_of(woof, Some(handler)))
            .find_map(|binding| binding.named)
    };
    if let Some(number) = find(&Bindings::load_from(&state)?) {
        return Ok(number);
    }
    let binding = Binding { named: Some(1), ..Binding::new(woof, handler) };
    match add_in(namespace, &binding, open, None) {
        Ok(added) => Ok(added.named.unwrap_or_default()),
        // Somebody else was first.
        Err(err) if err.code() == Code::Exists => find(&Bindings::load_from(&state)?).ok_or(err),
        Err(err) => Err(err),
    }
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Removed {
    /// How many bindings.
    pub count: usize,
    /// Their triggers that were not done, which are dropped. Where a server worked meanwhile, it may have done some of them.
    pub dropped: Vec<Open>,
    /// Why it is not known which were not done, or why the log of triggers does not say so.
    pub unsaid: Option<Error>,
}

/// Removes the bindings of a woof to a handler, or all of it. Their triggers that are not done are dropped, and in the log of triggers as lost. A woof that is
/// held without a binding, as who bound one was killed in the middle of it, is let go of; that is none.
///
/// # Errors
/// [`Code::NotFound`] when there is none.
pub fn remove(namespace: &Path, woof: &str, handler: Option<&str>) -> Result<Removed> {
    let mut removed = Removed::default();
    let mut records = Vec::new();
    let (mut let_go, unsaid) = (None, &mut removed.unsaid);
    let dropped = &mut removed.dropped;
    let count = Bindings::update(namespace, |bindings| {
        let (gone, left) =
            std::mem::take(&mut bindings.list).into_iter().partition(|binding| binding.is_of(woof, handler));
        let gone: Vec<Binding> = gone;
        bindings.list = left;
        if gone.is_empty() {
            let left = || log::open(&namespace.join(woof)).ok().filter(|open| open.held().is_some());
            return match left() {
                Some(open)
                    if handler.is_none()
                        && !is_bound(bindings, namespace, &open)
                        && check_own(woof).is_ok() =>
                {
                    open.hold_within(None, Some(HOLD_PATIENCE)).map(|_| 0)
                }
                _ => Err(not_bound(woof, handler)),
            };
        }
        match not_done(namespace, &gone) {
            Ok(open) => {
                records.extend(open.iter().map(|(binding, open)| dropped_record(binding, open)));
                dropped.extend(open.into_iter().map(|(_, open)| open));
            }
            Err(err) => *unsaid = Some(err),
        }
        if let Ok(open) = log::open(&namespace.join(woof))
            && !is_bound(bindings, namespace, &open)
        {
            let (open, _) = let_go.insert((open.clone(), open.held()));
            open.hold_within(None, Some(HOLD_PATIENCE)).map_err(|err| err.of(&*shown(namespace)))?;
        }
        Ok(gone.len())
    });
    if let (Err(_), Some((open, before))) = (&count, &let_go) {
        let held =
            Namespace::of(namespace).and_then(|namespace| hold_as_before(&namespace, woof, open, *before));
        held.map_err(|err| err.of(woof))?;
    }
    removed.count = count?;
    if !records.is_empty()
        && let Err(err) = StateDir::of(namespace).and_then(|state| note(&state, &records))
    {
        removed.unsaid = Some(err);
    }
    Ok(removed)
}

/// The record of triggers that are dropped with their binding: one, however many they are.
fn dropped_record(binding: &Binding, open: &Open) -> Record {
    Record {
        to: Some(open.last).filter(|last| *last != open.first),
        woof: Some(binding.woof.clone()),
        handler: Some(binding.handler.clone()),
        reason: Some(format!("the binding was removed with {} of these not done", open.count)),
        ..Record::new(What::Lost, binding.id, open.first)
    }
}

fn shown(namespace: &Path) -> String {
    namespace.display().to_string()
}

/// Pauses the bindings of a woof to a handler, or all of it, or has them go on; gives how many there are.
///
/// # Errors
/// [`Code::NotFound`] when there is none.
pub fn pause(namespace: &Path, woof: &str, handler: Option<&str>, paused: bool) -> Result<usize> {
    Bindings::update(namespace, |bindings| {
        let mut count = 0;
        for binding in bindings.list.iter_mut().filter(|binding| binding.is_of(woof, handler)) {
            binding.paused = paused;
            count += 1;
        }
        if count == 0 { Err(not_bound(woof, handler)) } else { Ok(count) }
    })
}

fn not_bound(woof: &str, handler: Option<&str>) -> Error {
    let text = match handler {
        Some(handler) => format!("no binding to {handler}"),
        None => "no handler is bound to it".to_owned(),
    };
    Error::new(Code::NotFound, woof, text)
}
