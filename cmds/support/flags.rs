//! The flags that mean the same in every command, each defined once. Functions named after a flag give its
//! definition; [`Selection::of`] and its like give what the user asked for. What does not parse is refused by
//! clap before the command runs, in one line that names the flag.

use super::args::Args;
use super::command::Failure;
use super::range::{Bound, SeqRange};
use super::{time, units};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, value_parser};
use libwoofstream::chan::Split;
use libwoofstream::content::ContentType;
use libwoofstream::error::{Code, Error};
use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;

/// A flag without a value. `short` may be 0 for none.
pub fn flag(id: &'static str, short: char, help: &'static str) -> Arg {
    option(id, short, "", help).action(ArgAction::SetTrue)
}

/// An option `--id VALUE` whose value is text. `short` may be 0 for none.
pub fn option(id: &'static str, short: char, value: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(id).long(id).help(help);
    let arg = if short == '\0' { arg } else { arg.short(short) };
    if value.is_empty() { arg } else { arg.value_name(value) }
}

/// An option whose value is a whole number (see [`Args::number`]).
pub fn number(id: &'static str, short: char, value: &'static str, help: &'static str) -> Arg {
    number_in(id, short, value, help, 0..=u64::MAX)
}

/// As [`number`], with bounds.
pub fn number_in(
    id: &'static str,
    short: char,
    value: &'static str,
    help: &'static str,
    bounds: RangeInclusive<u64>,
) -> Arg {
    of_number(option(id, short, value, help))
        .value_parser(move |text: &str| units::parse_number(text, bounds.clone()))
}

/// An option whose value begins with a digit, so that a negative number is refused as what it is and not as an unknown flag.
fn of_number(arg: Arg) -> Arg {
    arg.allow_negative_numbers(true)
}

/// An option whose value is a size in bytes: `64KiB` (see [`Args::number`]).
pub fn size(id: &'static str, short: char, help: &'static str) -> Arg {
    of_number(option(id, short, "SIZE", help)).value_parser(units::parse_size)
}

/// As [`size`], of at least one byte.
pub fn size_of_some(id: &'static str, short: char, help: &'static str) -> Arg {
    size(id, short, help).value_parser(|text: &str| match units::parse_size(text)? {
        0 => Err(Error::new(Code::Invalid, text, "a size of 0 bytes leaves no room")),
        size => Ok(size),
    })
}

/// An option whose value is a length of time: `10s` (see [`Args::number`], in nanoseconds).
pub fn duration(id: &'static str, short: char, help: &'static str) -> Arg {
    of_number(option(id, short, "DURATION", help)).value_parser(time::parse_duration)
}

/// As [`duration`], longer than nothing.
pub fn duration_of_some(id: &'static str, short: char, help: &'static str) -> Arg {
    duration(id, short, help).value_parser(|text: &str| match time::parse_duration(text)? {
        0 => Err(Error::new(Code::Invalid, text, "no time at all is too short")),
        time_ns => Ok(time_ns),
    })
}

/// A required operand that is text.
pub fn operand(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).help(help).required(true)
}

/// Any number of operands that are text.
pub fn operands(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).help(help).num_args(0..).action(ArgAction::Append)
}

/// Operands that are data or paths: any bytes, negative numbers included (see [`Args::bytes`]).
pub fn data(id: &'static str, help: &'static str) -> Arg {
    operands(id, help).value_parser(value_parser!(OsString)).allow_negative_numbers(true)
}

/// The operand `RANGE`; `-10..` needs no `--` before it.
pub fn range() -> Arg {
    Arg::new("RANGE")
        .help("Elements 5, 5..10, 5.., ..10, -10.. (the last ten) or .. (all)")
        .value_parser(SeqRange::parse)
        .allow_hyphen_values(true)
}

/// `-u`, `--delimiter`, `--json`, `--marks`, `--end` and `-o`: in which form messages go out, and where to.
pub fn output() -> [Arg; 6] {
    [
        flag("raw", 'u', "Write the data alone, as raw bytes").conflicts_with("json"),
        option(
            "delimiter",
            '\0',
            "WHAT",
            "Write the data alone, with this after each element: newline, nul or none",
        )
        .value_parser(PossibleValuesParser::new(["newline", "nul", "none"]))
        .hide_possible_values(true),
        flag("json", '\0', "Write one JSON object a line"),
        flag("marks", '\0', "With --json, write the marks in the stream too"),
        flag("end", '\0', "With --json, say in a last line how the stream ended"),
        option("output", 'o', "CHANNEL", "Write to this channel instead of out"),
    ]
}

/// `-i` and `--split`: where messages come from, and how raw bytes are cut into messages.
pub fn input() -> [Arg; 2] {
    [option("input", 'i', "CHANNEL", "Read this channel instead of in"), split()]
}

/// `--split`.
pub fn split() -> Arg {
    option(
        "split",
        '\0',
        "HOW",
        "Cut raw input by line, nul, not at all (all), or every so many bytes (64KiB)",
    )
    .value_parser(parse_split)
    .allow_negative_numbers(true)
}

/// The words of [`Split::parse`], and any size that other flags take.
fn parse_split(text: &str) -> Result<Split, Error> {
    match units::parse_size(text) {
        Ok(size) if size > 0 => Ok(Split::Bytes(usize::try_from(size).unwrap_or(usize::MAX))),
        Err(error) if error.code() == Code::TooLarge => Err(error),
        _ => Split::parse(text),
    }
}

/// `--from`, `--to`, `--since` and `--until`: a range of elements by number or by time.
pub fn bounds() -> [Arg; 4] {
    [
        seqno("from", "From this element on, itself included"),
        seqno("to", "Up to this element, itself included"),
        option("since", '\0', "TIME", "Not before this time: RFC 3339, or an age like 10m")
            .value_parser(parse_time),
        option("until", '\0', "TIME", "Not after this time").value_parser(parse_time),
    ]
}

/// An option whose value is a sequence number.
pub fn seqno(id: &'static str, help: &'static str) -> Arg {
    number_in(id, '\0', "SEQNO", help, 1..=u64::MAX)
}

/// A time, or an age, in nanoseconds since 1970.
///
/// # Errors
/// When the text is neither.
pub(crate) fn parse_time(text: &str) -> Result<u64, Error> {
    time::parse_time(text, libwoofstream::sys::now_ns())
}

/// `-n`: at most so many.
pub fn count() -> Arg {
    number("count", 'n', "COUNT", "At most this many")
}

/// `--where`: a predicate.
pub fn filter() -> Arg {
    option("where", '\0', "EXPR", "Only what matches this predicate")
}

/// `--type`: a content type.
pub fn content_type() -> Arg {
    option("type", '\0', "TYPE", "Content type: text, json, msgpack, i64, f64 or bytes")
        .value_parser(ContentTypes)
        .hide_possible_values(true)
}

/// Reads a content type, and knows them all, so that shells can complete one.
#[derive(Clone, Copy, Debug)]
struct ContentTypes;

impl TypedValueParser for ContentTypes {
    type Value = ContentType;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<ContentType, clap::Error> {
        ContentType::parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(ContentType::ALL.into_iter().map(|content| PossibleValue::new(content.as_str()))))
    }
}

/// `--timeout`: how long a server may take.
pub fn timeout() -> Arg {
    duration("timeout", '\0', "How long connecting to a server may take [default: 30s]")
}

/// `--wait`: how long a server that was lost is tried again.
pub fn wait() -> Arg {
    option(
        "wait",
        '\0',
        "HOW",
        "How long to try when a server is lost: a time, or so many tries [default: 1h]",
    )
    .value_parser(super::remote::parse_wait)
    .allow_negative_numbers(true)
}

/// `-q`: say less.
pub fn quiet() -> Arg {
    flag("quiet", 'q', "Say only what went wrong")
}

/// `-v`: say more.
pub fn verbose() -> Arg {
    flag("verbose", 'v', "Say what is done")
}

/// `--color`, which every command has.
pub fn color() -> Arg {
    option("color", '\0', "WHEN", "Colour of text: auto, always or never")
        .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
        .hide_possible_values(true)
}

/// Which elements of a woof were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// By sequence number: the operand `RANGE`, or `--from` and `--to`; `None` when none of them was given.
    pub range: Option<SeqRange>,
    /// `--since`, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// `--until`, in nanoseconds since 1970.
    pub until_ns: Option<u64>,
    /// `--where`.
    pub filter: Option<String>,
    /// `-n`.
    pub count: Option<u64>,
}

impl Selection {
    /// Reads [`range`], [`bounds`], [`filter`] and [`count`], whichever of them the command has.
    ///
    /// # Errors
    /// When a range is given twice, or one ends before it begins.
    pub fn of(args: &Args) -> Result<Selection, Failure> {
        let (from, to) = (args.number("from"), args.number("to"));
        let bound = |seqno: Option<u64>| seqno.map_or(Bound::Open, Bound::Seqno);
        let range = match args.get::<SeqRange>("RANGE") {
            Some(_) if from.is_some() || to.is_some() => {
                return Err(Failure::invalid("RANGE", "cannot be given together with --from or --to"));
            }
            Some(range) => Some(*range),
            None if from.is_none() && to.is_none() => None,
            None => Some(SeqRange { from: bound(from), to: bound(to) }),
        };
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(Failure::invalid(
                format!("--from {from} --to {to}"),
                "the range ends before it begins",
            ));
        }
        let (since_ns, until_ns) = (args.number("since"), args.number("until"));
        if let (Some(since_ns), Some(until_ns)) = (since_ns, until_ns)
            && since_ns > until_ns
        {
            return Err(Failure::invalid("--since", "is later than --until"));
        }
        let filter = args.text("where").map(str::to_owned);
        Ok(Selection { range, since_ns, until_ns, filter, count: args.number("count") })
    }
}

/// How raw input is cut: `--split`, else by line.
pub fn split_of(args: &Args) -> Split {
    args.get::<Split>("split").copied().unwrap_or(Split::Line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        let command = clap::Command::new("wget")
            .no_binary_name(true)
            .arg(operand("NAME", ""))
            .arg(range())
            .args(bounds())
            .args(output())
            .args([count(), filter(), content_type(), split()]);
        command.try_get_matches_from(line).map(Args::new)
    }

    fn range_of(line: &[&str]) -> Option<SeqRange> {
        Selection::of(&parse(line).unwrap()).unwrap().range
    }

    #[test]
    fn a_range_from_the_end_needs_no_double_dash() {
        let last_ten = Some(SeqRange { from: Bound::FromEnd(10), to: Bound::Open });
        assert_eq!(range_of(&["farm/temp", "-10.."]), last_ten);
        assert_eq!(range_of(&["farm/temp", "--", "-10.."]), last_ten);
        assert_eq!(range_of(&["-u", "farm/temp", "-10..", "-n1"]), last_ten);
        assert_eq!(
            range_of(&["farm/temp", "..10"]),
            Some(SeqRange { from: Bound::Open, to: Bound::Seqno(10) })
        );
        assert_eq!(range_of(&["farm/temp"]), None);
    }

    #[test]
    fn flags_after_a_range_are_still_flags() {
        let args = parse(&["farm/temp", "98..100", "-u"]).unwrap();
        assert!(args.has("raw"));
        assert_eq!(
            Selection::of(&args).unwrap().range,
            Some(SeqRange { from: Bound::Seqno(98), to: Bound::Seqno(100) })
        );
        let args = parse(&["farm/temp", "-u"]).unwrap();
        assert!(args.has("raw"));
        assert_eq!(Selection::of(&args).unwrap().range, None);
    }

    #[test]
    fn from_and_to_are_a_range_of_their_own() {
        assert_eq!(
            range_of(&["w", "--from", "5"]),
            Some(SeqRange { from: Bound::Seqno(5), to: Bound::Open })
        );
        assert_eq!(range_of(&["w", "--to=5"]), Some(SeqRange { from: Bound::Open, to: Bound::Seqno(5) }));
        for line in [&["w", "5", "--from", "3"][..], &["w", "--from=5", "--to=4"]] {
            assert!(Selection::of(&parse(line).unwrap()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn values_are_checked_before_the_command_runs() {
        for line in [
            &["w", "--from", "0"][..],
            &["w", "--from", "1..2"],
            &["w", "--since", "yesterday"],
            &["w", "--type", "float"],
            &["w", "--split", "word"],
            &["w", "-n", "-1"],
            &["w", "--delimiter", "comma"],
            &["w", "-u", "--json"],
            &["w", "5...6"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
        assert_eq!(
            parse(&["w", "--type", "f64"]).unwrap().get::<ContentType>("type"),
            Some(&ContentType::F64)
        );
        assert_eq!(split_of(&parse(&["w", "--split", "nul"]).unwrap()), Split::Nul);
        assert_eq!(split_of(&parse(&["w"]).unwrap()), Split::Line);
    }
}
