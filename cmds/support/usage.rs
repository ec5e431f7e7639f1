//! What clap finds wrong with a command line, in the one-line form of all our messages.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;

/// The message, and a tip where clap has one.
pub fn describe(err: &clap::Error) -> (String, Option<String>) {
    let arg = text(err, ContextKind::InvalidArg).map(|arg| name_of(&arg));
    let value = text(err, ContextKind::InvalidValue).unwrap_or_default();
    let message = match (err.kind(), arg) {
        (ErrorKind::MissingRequiredArgument, Some(arg)) => format!("missing {arg}"),
        (ErrorKind::UnknownArgument, Some(arg)) => format!("{arg}: no such option or operand"),
        // An operand that may begin with a hyphen (a range) takes in options that do not exist.
        (ErrorKind::ValueValidation, _) if is_option(&value) => format!("{value}: no such option or operand"),
        (ErrorKind::ValueValidation, Some(arg)) => match err.source() {
            // Our own parsers name the value themselves; those of the standard library do not.
            Some(why) if why.is::<libwoofstream::error::Error>() => format!("{arg}: {why}"),
            Some(why) => format!("{arg}: {value}: {}", lower(&why.to_string())),
            None => format!("{arg}: {value}: not a valid value"),
        },
        (ErrorKind::InvalidValue, Some(arg)) if value.is_empty() => format!("{arg}: missing value"),
        (ErrorKind::InvalidValue, Some(arg)) => {
            let known = text(err, ContextKind::ValidValue).unwrap_or_default();
            format!("{arg}: {value}: not one of {known}")
        }
        (ErrorKind::ArgumentConflict, Some(arg)) => match text(err, ContextKind::PriorArg) {
            Some(prior) if name_of(&prior) == arg => format!("{arg}: given more than once"),
            Some(prior) => format!("{arg}: cannot be given together with {}", name_of(&prior)),
            None => format!("{arg}: cannot be given together with the rest"),
        },
        (ErrorKind::InvalidSubcommand, _) => {
            let name = text(err, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("{name}: no such command")
        }
        (ErrorKind::TooManyValues, Some(arg)) => format!("{arg}: {value}: one value too many"),
        (ErrorKind::InvalidUtf8, _) => "an argument is not UTF-8".to_owned(),
        _ => first_paragraph(&err.to_string()),
    };
    let tip = [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand]
        .into_iter()
        .find_map(|kind| text(err, kind))
        .map(|similar| format!("did you mean {similar}"));
    (message, tip)
}

fn text(err: &clap::Error, kind: ContextKind) -> Option<String> {
    match err.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

fn is_option(value: &str) -> bool {
    value
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|first: char| first == '-' || first.is_ascii_alphabetic()))
}

/// `--from` of `--from <SEQNO>`, `NAME` of `<NAME>` and `[NAME]...`.
fn name_of(arg: &str) -> String {
    let names = arg.split(", ").map(|arg| {
        let first = arg.split([' ', '=']).next().unwrap_or(arg);
        if first.starts_with('-') { first.to_owned() } else { first.replace(['<', '>', '[', ']', '.'], "") }
    });
    names.collect::<Vec<_>>().join(", ")
}

fn first_paragraph(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::flags;

    fn message(line: &[&str]) -> (String, Option<String>) {
        let command = clap::Command::new("wget")
            .no_binary_name(true)
            .arg(flags::operand("NAME", ""))
            .arg(flags::range())
            .args(flags::bounds())
            .args(flags::output())
            .arg(flags::count());
        super::describe(&command.try_get_matches_from(line).unwrap_err())
    }

    #[test]
    fn each_kind_of_mistake_is_one_line() {
        for (line, expected) in [
            (&[][..], "missing NAME"),
            (&["--rwa", "w"], "--rwa: no such option or operand"),
            (&["w", "--rwa"], "--rwa: no such option or operand"),
            (&["w", "-z"], "-z: no such option or operand"),
            (&["w", "5", "6"], "6: no such option or operand"),
            (&["w", "--from", "x"], "--from: x: not a whole number from 1 to 18446744073709551615"),
            (&["w", "-n", "x"], "--count: x: not a whole number from 0 to 18446744073709551615"),
            (&["w", "--from"], "--from: missing value"),
            (&["w", "--delimiter", "comma"], "--delimiter: comma: not one of newline, nul, none"),
            (&["w", "-u", "--json"], "--raw: cannot be given together with --json"),
            (&["w", "--json", "--json"], "--json: given more than once"),
            (&["w", "5...6"], "RANGE: 5...6: not a range: 5, 5..10, 5.., ..10, -10.. (the last ten) or .."),
        ] {
            assert_eq!(message(line).0, expected, "{line:?}");
        }
    }

    #[test]
    fn a_near_miss_gets_a_tip() {
        assert_eq!(message(&["--jsno", "w"]).1.as_deref(), Some("did you mean --json"));
    }
}
