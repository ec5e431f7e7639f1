//! Handlers: how soon one starts after a put, how many start in a burst, and how soon after the start of the server; against starting a
//! program that does nothing.

mod burst;
mod contained;
mod farm;
mod restart;
mod soon;
pub(crate) mod stream;

use crate::Result;
use crate::place::Place;
use crate::report::Report;
use std::path::Path;

/// The programs that handlers are, linked as ours is.
#[derive(Clone, Copy)]
struct Programs<'a> {
    /// Does nothing.
    empty: &'a Path,
    /// Tells when it started.
    started: &'a Path,
}

pub(crate) fn rows(place: &Place, report: &mut Report) -> Result<()> {
    let (Some(empty), Some(started)) = (&place.empty_program, &place.started_program) else {
        return report.note("*** no programs were given (--empty, --started): handlers are NOT measured ***");
    };
    let programs = Programs { empty, started };
    soon::rows(place, report, programs)?;
    contained::rows(place, report, programs)?;
    burst::rows(place, report, programs)?;
    restart::rows(place, report, programs)
}
