//! The environment of a handler: all of it but `PATH`, which the place where it runs has.

use super::run::Run;
use super::seals::Seals;

/// The variables of a run; `namespace` is where the handler finds its namespace.
pub fn variables(run: &Run<'_>, namespace: &str, seals: &Seals) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("WOOF_NAMESPACE", namespace.to_owned()),
        ("WOOF_DEPTH", run.depth.to_string()),
        ("WOOF_DEPTH_SEAL", seals.of(run.depth)),
        ("WOOF_TRIGGER", run.trigger.to_owned()),
    ];
    if !run.binding.woof.is_empty() && run.attempt.is_none() {
        variables.push(("WOOF_NAME", run.binding.woof.clone()));
    }
    if let Some(attempt) = &run.attempt {
        variables.extend([
            ("WOOF_NAME", attempt.woof.to_owned()),
            ("WOOF_SEQNO", attempt.seqno.to_string()),
            ("WOOF_TIME", time(attempt.time_ns)),
            ("WOOF_ATTEMPT", attempt.number.to_string()),
            ("WOOF_CAUSE", clean(attempt.cause)),
        ]);
    }
    if let Some(asked) = &run.asked {
        variables.push(("WOOF_CAUSE", clean(&format!("asked by {}", asked.user))));
        variables.push(("WOOF_USER", clean(asked.user)));
        variables.extend(asked.woof.map(|woof| ("WOOF_NAME", clean(woof))));
        variables.extend(asked.seqno.map(|seqno| ("WOOF_SEQNO", seqno.to_string())));
        variables.extend(asked.time_ns.map(|time_ns| ("WOOF_TIME", time(time_ns))));
    }
    variables
}

fn time(time_ns: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.9}")
}

/// No environment has a zero in it.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
