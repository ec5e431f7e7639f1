//! The woofs of this machine: files in directories, without a server.

use super::selection::{Span, subject};
use super::{Create, Put, Selection, Sink, Space, attrs, find};
use crate::content::ContentType;
use crate::error::{Code, Error, Result};
use crate::log::{self, Appender, Item, Run, Stamp, Woken, Woof};
use crate::name::{self, STATE_DIR};
use crate::predicate::Predicate;
use crate::wire::{Dir, Fault, mark};
use std::path::Path;

/// Woofs in the directories of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Local {
    fn open(name: &str) -> Result<Woof> {
        let path = name::local_woof(name)?;
        log::open(&path).map_err(|err| err.of(name))
    }
}

impl Space for Local {
    fn create(&self, name: &str, create: &Create) -> Result<()> {
        let path = name::local_woof(name)?;
        let named = |err: Error| err.of(name);
        create.options.check().map_err(named)?;
        let missing = match path.parent() {
            Some(dir) if create.parents && !dir.as_os_str().is_empty() && !dir.is_dir() => Some(dir),
            _ => None,
        };
        let above = missing.map(existing_above);
        if let Some(dir) = missing {
            make_namespace(dir).map_err(named)?;
        }
        let made = if create.reset {
            log::reset(&path, &create.options)
        } else {
            log::create(&path, &create.options)
        };
        if let (Err(_), Some(dir), Some(above)) = (&made, missing, above) {
            unmake_namespace(dir, above);
        }
        made.map_err(named)
    }

    fn create_namespace(&self, name: &str) -> Result<()> {
        make_namespace(name::local(name)?).map_err(|err| err.of(name))
    }

    fn put(&self, name: &str) -> Result<Box<dyn Put>> {
        let woof = Local::open(name)?;
        let content = woof.options().content;
        let appender = woof.appender().map_err(|err| err.of(name))?;
        Ok(Box::new(LocalPut { name: name.to_owned(), content, woof, appender }))
    }

    fn read(&self, name: &str, selection: &Selection, sink: &mut dyn Sink) -> Result<()> {
        let woof = Local::open(name)?;
        let dir = attrs::context(name, woof.options().content);
        let span = selection.span(&woof, &dir).map_err(|err| err.of(name))?;
        sink.dir(&dir)?;
        send(name, &woof, &dir, selection, span, sink)
    }

    fn stat(&self, name: &str) -> Result<Dir> {
        let woof = Local::open(name)?;
        let metadata = std::fs::metadata(name).ok();
        Ok(attrs::of_woof(name, &woof.status(), metadata.as_ref()))
    }

    fn find(&self, path: &str, predicate: Option<&Predicate>, sink: &mut dyn Sink) -> Result<()> {
        find::walk(path, predicate, sink)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = name::local_woof(name)?;
        log::remove(&path).map_err(|err| err.of(name))
    }
}

/// Sends the elements of a span.
fn send(
    name: &str,
    woof: &Woof,
    dir: &Dir,
    selection: &Selection,
    span: Span,
    sink: &mut dyn Sink,
) -> Result<()> {
    let fault = |code, text: String| Fault::from(&Error::new(code, name, text));
    let mut cursor = woof.cursor(span.from);
    let mut left = selection.limit.unwrap_or(u64::MAX);
    let mut marked = selection.follow.is_none();
    let waker = cursor.waker();
    if let Some(follow) = &selection.follow {
        follow.stop.register(waker.clone());
    }
    while left > 0 && cursor.seqno() <= span.to {
        match cursor.next() {
            Some(Item::Elem { seqno, time_ns, data, .. }) => {
                if seqno > span.to {
                    // What lay between was gone.
                    break;
                }
                if selection.follow.is_some() && selection.until_ns.is_some_and(|until| time_ns > until) {
                    break;
                }
                let matches = selection
                    .predicate
                    .as_ref()
                    .is_none_or(|predicate| predicate.matches(&subject(woof, dir, seqno, time_ns, data)));
                if matches {
                    sink.elem(seqno, time_ns, data)?;
                    left -= 1;
                }
            }
            Some(Item::Gone { from, to }) => {
                let what = if from == to {
                    format!("element {from} is gone: overwritten before it was read")
                } else {
                    format!("elements {from} to {to} are gone: overwritten before they were read")
                };
                sink.fault(&fault(Code::Gone, what))?;
            }
            Some(Item::Damaged { seqno }) => {
                sink.fault(&fault(Code::Damaged, format!("element {seqno} is damaged")))?;
            }
            None => {
                if selection.follow.is_none() {
                    break;
                }
                if !marked {
                    marked = true;
                    sink.mark(mark::CAUGHT_UP)?;
                }
                sink.before_wait()?;
                match cursor.wait(&waker) {
                    Woken::More => {}
                    Woken::Stopped => break,
                    Woken::Removed => return Err(gone(name, "removed")),
                    Woken::Reset => return Err(gone(name, "reset")),
                }
            }
        }
    }
    Ok(())
}

fn gone(name: &str, how: &str) -> Error {
    Error::new(Code::Removed, name, format!("the woof was {how} meanwhile"))
}

/// Makes a directory and all above it, with the state directory in it.
fn make_namespace(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir.join(STATE_DIR)).map_err(|err| Error::io("", "create", err))
}

/// The nearest directory above `dir` that is there.
fn existing_above(dir: &Path) -> &Path {
    dir.ancestors().skip(1).find(|above| above.is_dir()).unwrap_or(Path::new(""))
}

/// Takes back a namespace that was made for a woof that then could not be, and what was made above it up to `above`. A
/// directory that somebody has put something into meanwhile is not empty, and stays.
fn unmake_namespace(dir: &Path, above: &Path) {
    let mut made = std::iter::once(dir.join(STATE_DIR))
        .chain(dir.ancestors().take_while(|dir| *dir != above).map(Path::to_owned));
    let _ = made.try_for_each(std::fs::remove_dir);
}

/// So many of the newest elements are looked at first for those of a writer.
const STAMPS_LOOKED_AT: u64 = 4096;

/// An open woof to put into.
struct LocalPut {
    name: String,
    content: ContentType,
    woof: Woof,
    appender: Appender,
}

impl Put for LocalPut {
    fn content(&self) -> ContentType {
        self.content
    }

    fn element_max(&self) -> u64 {
        self.appender.element_max()
    }

    fn set_sync(&mut self, sync: bool) {
        self.appender.set_sync(sync);
    }

    fn put(&mut self, items: &mut dyn Iterator<Item = &[u8]>, report: &mut dyn FnMut(Run)) -> Result<()> {
        self.appender.extend(items, report).map_err(|err| err.of(&*self.name))
    }

    fn put_stamped(
        &mut self,
        items: &mut dyn Iterator<Item = (Stamp, &[u8])>,
        report: &mut dyn FnMut(Run),
    ) -> Result<()> {
        self.appender.extend_stamped(items, report).map_err(|err| err.of(&*self.name))
    }

    fn stamped_after(&mut self, writer: u64, seq: u64) -> Result<Vec<u64>> {
        let (first, next) = (self.woof.first_seqno(), self.woof.next_seqno());
        let mut count = STAMPS_LOOKED_AT;
        loop {
            // From the newest back. What a writer has put before `seq` says that all behind it was looked at.
            let from = next.saturating_sub(count).max(first);
            let runs = self.woof.stamps_of(writer, from);
            if from > first && !runs.iter().any(|run| run.seq <= seq) {
                count = count.saturating_mul(16);
                continue;
            }
            let seqs = runs.iter().flat_map(|run| (0..run.count).map(|n| run.seq.wrapping_add(n)));
            let mut seqs: Vec<u64> = seqs.filter(|found| *found > seq).collect();
            seqs.sort_unstable();
            return Ok(seqs);
        }
    }
}
