//! The environment of a handler: all of it but `PATH`, which the place where it runs has.

use super::run::Run;

/// The variables of a run; `namespace` is where the handler finds its namespace.
pub(super) fn variables(run: &Run<'_>, namespace: &str) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("WOOF_NAMESPACE", namespace.to_owned()),
        ("WOOF_DEPTH", run.depth.to_string()),
        ("WOOF_TRIGGER", run.trigger.to_owned()),
    ];
    if !run.binding.woof.is_empty() && run.attempt.is_none() {
        variables.push(("WOOF_NAME", run.binding.woof.clone()));
    }
    if let Some(attempt) = &run.attempt {
        let time =
            jiff::Timestamp::from_nanosecond(i128::from(attempt.time_ns)).unwrap_or(jiff::Timestamp::MAX);
        variables.extend([
            ("WOOF_NAME", attempt.woof.to_owned()),
            ("WOOF_SEQNO", attempt.seqno.to_string()),
            ("WOOF_TIME", format!("{time:.9}")),
            ("WOOF_ATTEMPT", attempt.number.to_string()),
            // No environment has a zero in it.
            ("WOOF_CAUSE", attempt.cause.replace('\0', "\u{fffd}")),
        ]);
    }
    variables
}
