//! `wstat --triggers`: what is going on with the triggers of namespaces.

use crate::support::prelude::*;
use crate::support::time;
use libwoofstream::handler::{BindingSummary, Summary};
use std::path::Path;

pub(super) fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let (mut done, mut failed) = (0, 0);
    for name in args.texts("NAME") {
        let summary = env.local_path(name).and_then(|path| {
            let text = "the triggers of a namespace are looked at on its machine";
            let path = path.ok_or_else(|| Error::new(Code::Unsupported, name, text))?;
            if !Path::new(&path).is_dir() {
                return Err(Error::new(Code::NotFound, name, "no such namespace"));
            }
            Summary::of(Path::new(&path))
        });
        match summary {
            Ok(summary) => show(&summary, out)?,
            Err(error) => {
                out.error(&error)?;
                failed += 1;
                continue;
            }
        }
        done += 1;
    }
    Ok(Outcome::of_items(done, failed))
}

fn show(summary: &Summary, out: &mut Output) -> Result<(), Error> {
    if out.form() != Form::Text {
        return summary.bindings.iter().try_for_each(|binding| out.dir(&dir(binding, summary.served)));
    }
    let names = [
        "id",
        "woof",
        "handler",
        "pending",
        "running",
        "done",
        "failed attempts",
        "given up",
        "still dead",
        "lost",
        "oldest",
    ];
    let mut rows = vec![names.map(str::to_owned)];
    let now = libwoofstream::sys::now_ns();
    for BindingSummary { binding, pending, running, totals, still_dead, oldest, missing } in &summary.bindings
    {
        let oldest = match (missing, oldest) {
            (true, _) => "no such woof".to_owned(),
            (_, Some((seqno, time_ns))) => format!("{seqno} ({})", time::in_words(*time_ns, now)),
            (_, None) if binding.paused => "paused".to_owned(),
            _ => "-".to_owned(),
        };
        rows.push([
            binding.id.to_string(),
            binding.woof.clone(),
            if binding.id == 0 { "(put back)".to_owned() } else { binding.handler.clone() },
            pending.to_string(),
            running.to_string(),
            totals.done.to_string(),
            totals.failed.to_string(),
            totals.dead.to_string(),
            still_dead.to_string(),
            totals.lost.to_string(),
            oldest,
        ]);
    }
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.line(&cells.join("  "))?;
    }
    if !summary.served && summary.bindings.iter().any(|binding| binding.pending > 0) {
        out.bytes(b"no server runs these handlers\n")?;
    }
    Ok(())
}

fn dir(summary: &BindingSummary, served: bool) -> Dir {
    let BindingSummary { binding, pending, running, totals, still_dead, oldest, missing } = summary;
    let dir = Dir::new()
        .set("path", binding.woof.clone())
        .set("type", "triggers")
        .set("id", u64::from(binding.id))
        .set("handler", binding.handler.clone())
        .set("pending", *pending)
        .set("running", *running)
        .set("done", totals.done)
        .set("failed", totals.failed)
        .set("dead", totals.dead)
        .set("still_dead", *still_dead)
        .set("lost", totals.lost)
        .set("missing", *missing)
        .set("paused", binding.paused)
        .set("served", served);
    match oldest {
        Some((seqno, time_ns)) => dir.set("oldest", *seqno).set("oldest_time", time::rfc3339(*time_ns)),
        None => dir,
    }
}
