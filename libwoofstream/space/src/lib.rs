//! Name spaces: what stands behind a name, whatever keeps the elements.
//!
//! [`Space`] is the trait behind every name, and all that its engines share is here; no engine is named. Its verbs take streams in and
//! give streams out, so that no engine needs a round trip for each element: a source pushes into a [`Sink`], a [`Put`] takes elements
//! by the batch. The directories of this machine are an engine, a server on another host is one, and a replicated one is one more.
//! [`Spaces`] are all of them behind one: it knows from a name, and the name [`Table`], where to go.
//!
//! Failure contract: errors name the object as the user typed it. What concerns single elements (gone, damaged) is told to the
//! sink in its place, and the source goes on.

mod range;
pub mod renamed;
mod run;
mod selection;
mod sink;
mod spaces;
mod stop;
pub mod table;

pub use range::{Bound, SeqRange};
pub use run::{Call, Exit, Pipes, RunOptions, TOO_DEEP, told_to_stop};
pub use selection::{Follow, Selection};
pub use sink::{Collected, Counted, Each, Element, MessageRef, Sink, Tee};
pub use spaces::{Loader, Opener, Spaces};
pub use stop::Stop;
pub use table::{Resolved, Table, Target, asks_table};

use woof_core::access::{AccessList, Change};
use woof_core::content::ContentType;
use woof_core::element::{ChangedTimes, Given, Run, Stamp};
use woof_core::error::{Error, Result};
use woof_core::options::Options;
use woof_core::wire::Dir;
use woof_predicate::Predicate;

/// How a woof is made.
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// Its sizes and content type.
    pub options: Options,
    /// Replace a woof of that name.
    pub reset: bool,
    /// Make missing directories, and the last of them a namespace.
    pub parents: bool,
}

/// What elements are put with, besides their data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// The handler that they are put for.
    pub handler: Option<String>,
    /// How many handlers led to this put.
    pub depth: u8,
    /// By which the server that told a handler its depth knows that again.
    pub seal: Option<String>,
    /// How long each append waits where the woof is full of elements whose handlers are not done.
    pub wait: std::time::Duration,
}

/// What became of elements that were put.
#[derive(Debug)]
pub enum Told {
    /// They are in.
    In(Run),
    /// The next one was in already, as this seqno. A server does not tell this from [`Told::In`].
    Again(u64),
    /// The element that was put as this one, counted from 1, does not fit and was left out.
    Refused(u64, Error),
}

/// Appends elements to one woof.
pub trait Put {
    /// What the elements are, where that is known here.
    fn content(&self) -> Option<ContentType>;
    /// The largest element, in bytes, where it is known here.
    fn element_max(&self) -> Option<u64>;
    /// The oldest element that the woof keeps, where that is known here.
    fn first_kept(&self) -> Option<u64>;
    /// Says what the data of later puts is. Text, to begin with: it is made into what the elements are, whatever engine they are
    /// of, and what cannot be is told as [`Told::Refused`].
    fn data_is(&mut self, content: ContentType);
    /// Makes every later put durable before it is reported.
    fn set_sync(&mut self, sync: bool);
    /// Says how later elements are put: for which handler, how deep, and how long they may wait.
    ///
    /// # Errors
    /// When the handler cannot be named for this woof.
    fn set_trigger(&mut self, trigger: &Trigger) -> Result<()>;
    /// Appends elements in order. What became of them is reported now, by a later call, or by [`Put::settle`].
    ///
    /// # Errors
    /// An element that does not fit, a woof that is gone, a disk that refuses. What was reported is in.
    fn put(&mut self, items: &mut dyn Iterator<Item = &[u8]>, report: &mut dyn FnMut(Told)) -> Result<()>;
    /// Says that elements of a writer come, with writer sequences over `after`, of which some can be in already. Also said anew where
    /// they begin again.
    fn resume(&mut self, writer: u64, after: u64);
    /// Appends elements with stamps in order, as [`Put::put`] does. Those of a writer that [`Put::resume`] was told of are appended only
    /// where none with this stamp and this data is in.
    ///
    /// # Errors
    /// As [`Put::put`].
    fn put_stamped(
        &mut self,
        items: &mut dyn Iterator<Item = (Stamp, &[u8])>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()>;
    /// The same of elements with times of their own, and stamps or none.
    ///
    /// # Errors
    /// As [`Put::put`].
    fn put_given(
        &mut self,
        items: &mut dyn Iterator<Item = Given<'_>>,
        report: &mut dyn FnMut(Told),
    ) -> Result<()>;
    /// How many elements did not keep the time that they were put with, as far as is known.
    fn changed_times(&self) -> ChangedTimes;
    /// The time of the woof's newest element, where that was found to be over a minute ahead of the clock.
    fn clock_ahead(&self) -> Option<u64>;
    /// Looks whether the woof still has the name that it was opened by: what was put is in what has that name.
    ///
    /// # Errors
    /// [`Code::Removed`](woof_core::error::Code::Removed) when it has not.
    fn confirm(&mut self) -> Result<()>;
    /// Waits until of all that was put it is known and reported what became of it.
    ///
    /// # Errors
    /// As [`Put::put`].
    fn settle(&mut self, report: &mut dyn FnMut(Told)) -> Result<()>;
}

/// What is behind a name.
pub trait Space {
    /// Makes a woof.
    ///
    /// # Errors
    /// When it exists, or cannot be made.
    fn create(&self, name: &str, create: &Create) -> Result<()>;
    /// Makes a namespace; one that is there already stays as it is.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create_namespace(&self, name: &str) -> Result<()>;
    /// Opens a woof for putting; where there is none, it is made first if `create` says how.
    ///
    /// # Errors
    /// When there is none, or it may not be appended to; for a woof elsewhere perhaps later.
    fn put(&self, name: &str, create: Option<&Create>) -> Result<Box<dyn Put>>;
    /// Sends a `Dir` and the selected elements; with [`Selection::follow`] also those to come, after a mark.
    ///
    /// # Errors
    /// When there is no such woof or element; when it is removed or reset under a follow.
    fn read(&self, name: &str, selection: &Selection, sink: &mut dyn Sink) -> Result<()>;
    /// The attributes of a woof.
    ///
    /// # Errors
    /// When there is none.
    fn stat(&self, name: &str) -> Result<Dir>;
    /// Sends a `Dir` for each woof and namespace at and below a path that matches, and with `get` the elements of the woofs, each
    /// behind its `Dir`.
    ///
    /// # Errors
    /// When there is nothing of that name. What cannot be looked at below it is a fault in the stream.
    fn find(&self, path: &str, predicate: Option<&Predicate>, get: bool, sink: &mut dyn Sink) -> Result<()>;
    /// Runs a handler of a namespace to its end; whatever happens, once at the most.
    ///
    /// # Errors
    /// When it cannot be run, or what becomes of it is not known. A program that ran and failed is an [`Exit`].
    fn run(&self, namespace: &str, call: &Call, pipes: Pipes<'_>) -> Result<Exit>;
    /// Removes a woof.
    ///
    /// # Errors
    /// When there is none, or it may not be removed.
    fn remove(&self, name: &str) -> Result<()>;
    /// Has the times of a woof begin anew with the clock where it is, if its newest one is ahead of that; gives whether it was.
    ///
    /// # Errors
    /// When there is no such woof, or it may not be changed.
    fn reset_clock(&self, name: &str) -> Result<bool>;
    /// The access list of a namespace.
    ///
    /// # Errors
    /// When there is no such namespace, or it may not be looked at.
    fn access(&self, namespace: &str) -> Result<AccessList>;
    /// Makes a change to the access list of a namespace; gives the list as it is then.
    ///
    /// # Errors
    /// When there is no such namespace, or the list may not or cannot be changed.
    fn set_access(&self, namespace: &str, change: &Change) -> Result<AccessList>;
}
