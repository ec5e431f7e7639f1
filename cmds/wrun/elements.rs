//! A program for each element of a woof, in order, at least once.
//!
//! Failure contract: the kept position moves past an element only after the program succeeded for it and its output was handed
//! on, or after the element was told to be gone or damaged. So a kill at any moment repeats one element at most, and the
//! program it leaves behind still has the whole of its element.

use super::program::{About, Job};
use super::stop::Stop;
use crate::support::position::{Place, Position};
use crate::support::prelude::*;
use libwoofstream::log::{self, Item, Waker, Woken, Woof};
use libwoofstream::sys::{Names, Watched};
use std::path::Path;
use std::time::Duration;

/// How often a failing program is tried again when `--retries` does not say.
pub(super) const RETRIES: u64 = 3;
/// How long it is left alone after its first failure, and at most. It doubles in between.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What became of the work on one element.
pub(super) enum Worked {
    Done,
    GivenUp,
    Stopped,
}

/// Follows the woof of `--on`.
pub(super) fn run(job: &Job<'_>, args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let name = args.text("on").unwrap_or_default();
    let Some(path) = env.local_path(name)? else { return super::follow::run(job, args, env, out) };
    let path = Path::new(&path);
    let woof = log::open(path).map_err(|err| err.of(name))?;
    let content = woof.options().content;
    let about_woof = |err: Error| if err.object().is_empty() { err.of(name) } else { err };
    let made_ns = woof.status().created_ns;
    // A new position is kept at once: what is put from now on is not missed when this process ends before it comes to it.
    let begin = args.number("from").unwrap_or_else(|| woof.next_seqno()) - 1;
    let keep = position_name(args, path, job);
    let mut position = Position::take(&Place::beside(path), made_ns, &keep, begin).map_err(about_woof)?;
    let first = position.go_on(woof.next_seqno(), name, env)?;
    let mut cursor = woof.cursor(first);
    let waker = cursor.waker();
    let stop = {
        let waker = waker.clone();
        Stop::on_signals(move || waker.stop())
    };
    let retries = args.number("retries").unwrap_or(RETRIES);
    let mut left = args.number("count").unwrap_or(u64::MAX);
    let mut text = Vec::new();
    // Told when the woof loses its name, once it is waited for: nobody writes into it then.
    let mut names = None;
    while left > 0 {
        if let Some(signal) = stop.signal() {
            return Ok(stopped(signal));
        }
        match cursor.next() {
            Some(Item::Elem { seqno, time_ns, data, .. }) => {
                text.clear();
                content.write_text(data, &mut text);
                text.extend_from_slice(job.delimiter);
                let about = About { woof: name, seqno, time_ns, ..About::default() };
                match element(job, &about, &text, retries, &stop, env, out)? {
                    Worked::Done => position.keep(seqno, Some(time_ns))?,
                    Worked::GivenUp => return Ok(Outcome::Done),
                    Worked::Stopped => continue,
                }
                left -= 1;
            }
            Some(Item::Gone { from, to }) => {
                let what = if from == to {
                    format!("element {from} is")
                } else {
                    format!("elements {from} to {to} are")
                };
                let text = format!("{what} gone: overwritten before {} was run", job.program.name());
                env.error(&Error::new(Code::Gone, name, text));
                position.keep(to, None)?;
            }
            Some(Item::Damaged { seqno }) => {
                env.error(&Error::new(
                    Code::Damaged,
                    name,
                    format!("element {seqno} is damaged, and passed over"),
                ));
                position.keep(seqno, None)?;
            }
            None => {
                out.flush()?;
                let (_, named) = &*names.get_or_insert_with(|| watch_name(path, &woof, &waker));
                let became = || named.as_ref().and_then(Watched::became);
                let woken = if became().is_some() { Woken::Stopped } else { cursor.wait(&waker) };
                let what = match woken {
                    Woken::Stopped => match became() {
                        None => continue,
                        Some(became) => woof.how_lost(became),
                    },
                    Woken::More | Woken::Late => continue,
                    Woken::Removed => "removed",
                    Woken::Reset => "reset",
                };
                let text = format!("woof was {what} after element {}", cursor.seqno().saturating_sub(1));
                return Err(Error::new(Code::Removed, name, text).into());
            }
        }
    }
    Ok(Outcome::Done)
}

/// Has a wait for elements end when the name of their woof leads elsewhere.
fn watch_name(path: &Path, woof: &Woof, waker: &Waker) -> (Option<Names>, Option<Watched>) {
    let names = Names::new().ok();
    let waker = waker.clone();
    let watch = |names: &Names| Some(names.watch(path, woof.identity().ok()?, move || waker.stop()));
    let watched = names.as_ref().and_then(watch);
    (names, watched)
}

/// `--keep`, or the file names of the woof and of the program.
pub(super) fn position_name(args: &Args, path: &Path, job: &Job<'_>) -> String {
    let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = || format!("{}-{}", file(path), file(Path::new(job.program.name())));
    args.text("keep").map_or_else(own, str::to_owned)
}

/// Runs the program for one element until it succeeds, a signal comes, or it failed too often.
pub(super) fn element(
    job: &Job<'_>,
    about: &About<'_>,
    text: &[u8],
    retries: u64,
    stop: &Stop,
    env: &Env,
    out: &mut Output,
) -> Result<Worked, Failure> {
    let mut pause = PAUSE;
    for tried in 0..=retries {
        let why = match job.once(about, text, out) {
            // Nobody knows how far it came, and at least once is what is promised here.
            Err(Failure { error, .. }) if matches!(error.code(), Code::Unreachable | Code::Stopped) => {
                Some(error.to_string())
            }
            exit => exit?.why,
        };
        let Some(why) = why else {
            // What the program wrote is out of our hands before the position moves.
            out.flush()?;
            return Ok(Worked::Done);
        };
        let what = format!("element {}: {}: {why}", about.seqno, job.program.name());
        if stop.signal().is_some() {
            return Ok(Worked::Stopped);
        }
        if tried == retries {
            let times = if tried == 0 { String::new() } else { format!(", tried {} times", tried + 1) };
            out.error(&Error::new(
                Code::Failed,
                about.woof,
                format!("{what}{times}; the next run begins with it"),
            ))?;
            return Ok(Worked::GivenUp);
        }
        env.messages().note(&format!("{}: {what}; trying again in {pause:?}", about.woof));
        out.flush()?;
        if stop.wait(pause).is_some() {
            return Ok(Worked::Stopped);
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Ok(Worked::GivenUp)
}

/// Whoever sends a TERM asked for an end between two elements and got it; a ^C ends the script around us too. The stream is cut
/// by both: of what the woof gets there is more to come.
pub(super) fn stopped(signal: i32) -> Outcome {
    Outcome::Stopped(if signal == signal_hook::consts::SIGINT { 130 } else { 0 })
}
