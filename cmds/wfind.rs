//! `wfind`: finds woofs by their attributes.

use crate::support::prelude::*;
use crate::support::select::predicate;
use libwoofstream::predicate::Predicate;
use libwoofstream::space::{FOUND_NAMES, MessageRef, Space as _};

pub(crate) const COMMAND: Command = Command {
    name: "wfind",
    about: "finds woofs by their attributes",
    group: Group::Woofs,
    define,
    verb: Verb::Stream(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Walks directories for woofs and sends the attributes of those that match, one message each, a directory before what \
             is in it. The last operand is a predicate over the attributes if there is no file of that name. \
             Without one, all woofs match; namespaces are found too when it asks for them (type == \"namespace\").",
        )
        .arg(flags::operands("PATH", "Where to look, and a predicate [default: .]"))
        .arg(flags::filter())
        .arg(flags::option("name", '\0', "GLOB", "The last part of the name matches this pattern"))
        .arg(
            flags::option("type", '\0', "TYPE", "What it is: woof or namespace")
                .value_parser(clap::builder::PossibleValuesParser::new(["woof", "namespace"]))
                .hide_possible_values(true),
        )
        .arg(flags::number("depth", '\0', "COUNT", "At most so many levels below PATH"))
        .arg(flags::option("newer", '\0', "TIME", "Appended to after this time").value_parser(flags::parse_time).allow_negative_numbers(true))
        .arg(flags::flag("get", '\0', "Send the elements too"))
        .arg(flags::timeout())
        .arg(flags::quiet())
        .after_long_help(
            "EXAMPLES\n  wfind farm\n  wfind farm -u --delimiter nul | xargs -0 wstat\n  wfind farm 'elements > 1000 && content == \"f64\"'\n  wfind . --name 'temp*' --newer 10m\n  \
             wfind farm --get | wfilter 'value > 70'",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let mut paths: Vec<&str> = args.texts("PATH").collect();
    let compiled = |text: &str| predicate(text, &FOUND_NAMES, "a woof", args, env);
    let mut predicate = args.text("where").map(compiled).transpose()?;
    if let Some(last) = paths.last()
        && looks_like_expression(last)
    {
        let found = compiled(last)?;
        predicate = Some(and(predicate, found));
        paths.pop();
    }
    if paths.is_empty() {
        paths.push(".");
    }
    if let Some(glob) = args.text("name") {
        predicate = Some(and(predicate, Predicate::name_glob(glob)?));
    }
    if let Some(kind) = args.text("type") {
        predicate = Some(and(predicate, Predicate::kind(kind)?));
    }
    if let Some(depth) = args.number("depth") {
        predicate = Some(and(predicate, Predicate::depth_max(depth)?));
    }
    if let Some(time) = args.number("newer") {
        predicate = Some(and(predicate, Predicate::newer_than_ns(time)?));
    }
    let woofs_only = predicate.is_some() && args.text("type").is_none() && !mentions_type(args, &paths);
    if woofs_only {
        predicate = Some(and(predicate, Predicate::kind("woof")?));
    }
    let get = args.has("get");
    if get {
        out.show_progress();
    }
    let mut found = Found { out, get };
    let spaces = env.spaces();
    let (mut done, mut failed) = (0, 0);
    for path in paths {
        match spaces.find(path, predicate.as_ref(), get, &mut found) {
            Ok(()) => done += 1,
            Err(error) if error.is_broken_pipe() => return Err(error.into()),
            Err(error) => {
                found.out.error(&error)?;
                failed += 1;
            }
        }
    }
    Ok(Outcome::of_items(done, failed))
}

/// True for the operand that is no path but a predicate: nothing has this name, and it has what no plain name has.
fn looks_like_expression(text: &str) -> bool {
    std::path::Path::new(text).symlink_metadata().is_err()
        && text.contains(['<', '>', '=', '!', '&', '|', '(', '"', '\''])
}

/// True when the predicate itself speaks of the type.
fn mentions_type(args: &Args, _paths: &[&str]) -> bool {
    let speaks = |text: &str| text.contains("type");
    args.text("where").is_some_and(speaks)
        || args.texts("PATH").last().is_some_and(|last| looks_like_expression(last) && speaks(last))
}

fn and(left: Option<Predicate>, right: Predicate) -> Predicate {
    match left {
        Some(left) => left.and(right),
        None => right,
    }
}

/// Passes on what is found.
struct Found<'a> {
    out: &'a mut Output,
    /// The elements are wanted, and the names of the woofs are not.
    get: bool,
}

impl libwoofstream::space::Sink for Found<'_> {
    #[inline]
    fn message(&mut self, message: MessageRef<'_>) -> libwoofstream::error::Result<()> {
        let MessageRef::Dir(dir) = message else {
            return libwoofstream::space::Sink::message(self.out, message);
        };
        match (dir.name("path"), self.out.form()) {
            // Raw, what was found is its name, for xargs and its like.
            (Some(path), Form::Raw(delimiter)) if !(self.get && dir.text("type") == Some("woof")) => {
                let mut name = path.to_vec();
                name.extend_from_slice(delimiter.bytes());
                self.out.bytes(&name)
            }
            _ => self.out.dir(dir),
        }
    }

    fn before_wait(&mut self) -> libwoofstream::error::Result<()> {
        self.out.flush()
    }
}
