//! What is going on with the triggers of a namespace, for people.
//!
//! Failure contract: it takes no lock that a dispatcher needs, and changes nothing. While one works, the numbers are of one moment or another.

use super::bindings::{Binding, Bindings};
use super::dead::{retries, still_dead};
use super::left::{Left, is_trigger, subject};
use super::record::{Record, Totals};
use crate::handler::files;
use std::collections::HashMap;
use std::path::Path;
use woof_core::attrs::context;
use woof_core::error::{Code, Result};
use woof_core::name::STATE_DIR;
use woof_log::{self as log, Item};
use woof_predicate::Predicate;

/// The triggers of one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingSummary {
    /// The binding; the one with the id 0 is that of dead letters that were put back, whatever binding they were of.
    pub binding: Binding,
    /// Triggers that wait for an attempt.
    pub pending: u64,
    /// Attempts that run.
    pub running: u64,
    /// What was done until now.
    pub totals: Totals,
    /// Dead letters that were not put back, or died again.
    pub still_dead: u64,
    /// The oldest trigger that is not done: its seqno, and when it was put, in nanoseconds since 1970.
    pub oldest: Option<(u64, u64)>,
    /// There is no such woof.
    pub missing: bool,
}

/// The triggers of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// A dispatcher runs its handlers.
    pub served: bool,
    /// Each binding.
    pub bindings: Vec<BindingSummary>,
}

impl Summary {
    /// Looks at a namespace, given by its directory.
    ///
    /// # Errors
    /// When its bindings or its log of triggers cannot be read.
    pub fn of(namespace: &Path) -> Result<Summary> {
        let bindings = Bindings::load(namespace)?;
        let served = is_served(namespace);
        let mut left = read_log(namespace)?;
        let still_dead = still_dead(namespace)?;
        let mut list = bindings.list;
        if let Some(retries) = retries(namespace, &list) {
            list.push(retries);
        }
        let bindings = list.into_iter().map(|binding| {
            let left = left.remove(&binding.id).unwrap_or_default();
            let still_dead = still_dead.get(&binding.id).copied().unwrap_or(0);
            let (summary, _) = summary(namespace, binding, &left, served)?;
            Ok(BindingSummary { still_dead, ..summary })
        });
        Ok(Summary { served, bindings: bindings.collect::<Result<_>>()? })
    }
}

/// Triggers of a binding that are not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The handler.
    pub handler: String,
    /// How many.
    pub count: u64,
    /// The oldest.
    pub first: u64,
    /// The newest.
    pub last: u64,
}

/// What is not done of some bindings of a namespace, each with its binding; of those that have all done, nothing.
pub fn not_done<'a>(
    namespace: &Path,
    bindings: impl IntoIterator<Item = &'a Binding>,
) -> Result<Vec<(&'a Binding, Open)>> {
    let mut left = read_log(namespace)?;
    let mut open = Vec::new();
    for binding in bindings {
        let left = left.remove(&binding.id).unwrap_or_default();
        let (summary, ends) = summary(namespace, binding.clone(), &left, false)?;
        if let Some((first, last)) = ends {
            let handler = binding.handler.clone();
            open.push((binding, Open { handler, count: summary.pending, first, last }));
        }
    }
    Ok(open)
}

/// What the log of triggers says.
fn read_log(namespace: &Path) -> Result<HashMap<u32, Left>> {
    let mut left: HashMap<u32, Left> = HashMap::new();
    let path = namespace.join(STATE_DIR).join(files::TRIGGERS);
    let woof = match log::open(&path) {
        Ok(woof) => woof,
        Err(err) if err.code() == Code::NotFound => return Ok(left),
        Err(err) => return Err(err.of(path.display().to_string())),
    };
    let mut cursor = woof.cursor(woof.held().unwrap_or(1));
    while let Some(item) = cursor.next() {
        if let Item::Elem { data, .. } = item
            && let Some(record) = Record::parse(data)
        {
            left.entry(record.binding).or_default().take(record);
        }
    }
    Ok(left)
}

/// The triggers of one binding, and the oldest and the newest that are not done.
fn summary(
    namespace: &Path,
    binding: Binding,
    left: &Left,
    served: bool,
) -> Result<(BindingSummary, Option<(u64, u64)>)> {
    let mut summary = BindingSummary {
        pending: 0,
        running: 0,
        totals: left.totals,
        still_dead: 0,
        oldest: None,
        missing: false,
        binding,
    };
    let binding = &summary.binding;
    let woof = match log::open(&namespace.join(&binding.woof)) {
        Ok(woof) => woof,
        Err(err) if err.code() == Code::NotFound => {
            summary.missing = true;
            return Ok((summary, None));
        }
        Err(err) => return Err(err.of(&*binding.woof)),
    };
    let same = left.made.unwrap_or(binding.made) == woof.status().created_ns;
    let mut open: Vec<u64> = Vec::new();
    let mut upto = 0;
    if same {
        open = left.open.keys().copied().collect();
        let claimed = left.open.values().filter(|(attempts, failures)| attempts > failures).count();
        summary.running = if served { claimed as u64 } else { 0 };
        let seen = left.upto.unwrap_or(binding.from.saturating_sub(1));
        upto = seen.max(woof.held().unwrap_or(1).saturating_sub(1));
    }
    let predicate = binding.filter.as_deref().map(Predicate::compile).transpose()?;
    let content = woof.options().content;
    let dir = context(&binding.woof, content);
    let mut cursor = woof.cursor(upto + 1);
    let (mut oldest, mut newest) = (open.first().copied(), open.last().copied());
    let mut pending = open.len() as u64;
    while let Some(item) = cursor.next() {
        if let Item::Elem { seqno, time_ns, mark, data, .. } = item
            && is_trigger(
                binding.named,
                predicate.as_ref(),
                mark,
                &subject(content, &dir, seqno, time_ns, data),
            )
        {
            pending += 1;
            newest = newest.max(Some(seqno));
            oldest = Some(oldest.map_or(seqno, |before| before.min(seqno)));
        }
    }
    summary.pending = pending - summary.running.min(pending);
    summary.oldest = oldest.and_then(|seqno| {
        let element = super::element::read(&woof, seqno).ok()?;
        Some((seqno, element.time_ns))
    });
    Ok((summary, oldest.zip(newest)))
}

/// Whether a dispatcher has the namespace.
fn is_served(namespace: &Path) -> bool {
    let Ok(file) = std::fs::File::open(namespace.join(STATE_DIR).join(files::LOCK)) else { return false };
    // Shared, and given back at once: a dispatcher that starts right now would be refused otherwise only for that moment.
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
}
