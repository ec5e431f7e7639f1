//! `wns`: the name table.

use crate::support::names;
use crate::support::prelude::*;
use clap::builder::PossibleValuesParser;
use libwoofstream::error;
use libwoofstream::name::{Place, place};
use libwoofstream::space::{Resolved, Target, table};
use libwoofstream::sys::{Spot, Temporary};
use libwoofstream::wire::Value;
use rustix::fs::Mode;
use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

pub(crate) const COMMAND: Command = Command {
    name: "wns",
    about: "shows and changes the name table",
    group: Group::Woofs,
    define,
    verb: Verb::Show(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "The name table says what prefixes of names stand for, so that a pipeline is written once and its woofs are moved later. \
             It is the file that $WOOF_NAMES names, else $XDG_CONFIG_HOME/woofstream/names or ~/.config/woofstream/names.\n\n\
             list, the default, shows it. add PREFIX TARGET... gives a prefix its targets: paths of this machine and woof:// \
             addresses; with more than one a name is looked for in all of them, in this order. remove PREFIX... takes \
             prefixes out. resolve NAME... shows where names lead, and asks no server.\n\n\
             The longest prefix wins, on whole parts: edge is a prefix of edge and of edge/temp, not of edges. What a prefix stands for \
             is not looked up again. Names that begin with / or ./ or ../ are never looked up.",
        )
        .arg(
            flags::operand("ACTION", "list, add, remove or resolve")
                .required(false)
                .value_parser(PossibleValuesParser::new(["list", "add", "remove", "resolve"]))
                .hide_possible_values(true),
        )
        .arg(flags::operands("WORD", "A prefix and its targets, prefixes, or names"))
        .after_long_help(
            "EXAMPLES\n  wns add edge woof://edge7/greenhouse\n  wns add archive /srv/woofs woof://hub/archive\n  \
             wns resolve edge/temp\n  wns list --json\n  wns remove edge",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let words: Vec<&str> = args.texts("WORD").collect();
    match (args.text("ACTION").unwrap_or("list"), words.as_slice()) {
        ("list", []) => list(out),
        ("list", [word, ..]) => {
            Err(Failure::invalid(*word, "list takes no operand").help("wns resolve NAME"))
        }
        ("add", [prefix, targets @ ..]) if !targets.is_empty() => add(prefix, targets),
        ("add", _) => Err(Failure::invalid("add", "takes a prefix and at least one target")),
        ("remove", []) => Err(Failure::invalid("remove", "takes a prefix")),
        ("remove", prefixes) => remove(prefixes, env),
        (_, []) => Err(Failure::invalid("resolve", "takes a name")),
        (_, names) => resolve(names, env, out),
    }
}

fn list(out: &mut Output) -> Run {
    let Some(path) = names::table_path() else { return Ok(Outcome::Done) };
    let table = names::table(&path)?;
    let width = table.entries().iter().map(|entry| entry.prefix.chars().count()).max().unwrap_or(0);
    for entry in table.entries() {
        show(out, &entry.prefix, &entry.targets, width, "prefix")?;
    }
    Ok(Outcome::Done)
}

/// One line: what was asked about, and where it leads.
fn show(out: &mut Output, name: &str, targets: &[String], width: usize, kind: &str) -> error::Result<()> {
    match out.form() {
        Form::Text => out.line(&format!("{name:<width$}  {}", targets.join("  "))),
        Form::Raw(_) => out.bytes(format!("{name:<width$}  {}\n", targets.join("  ")).as_bytes()),
        _ => {
            let targets = targets.iter().map(|target| Value::Text(target.clone())).collect();
            out.dir(&Dir::new().set("path", name).set("type", kind).set("targets", Value::List(targets)))
        }
    }
}

fn resolve(names: &[&str], env: &Env, out: &mut Output) -> Run {
    let spaces = env.spaces();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let (mut done, mut failed) = (0, 0);
    for name in names {
        match spaces.resolve(name) {
            Ok(Resolved { targets, .. }) => {
                let shown = targets.iter().map(|target| match target {
                    Target::Local(path) => path.clone(),
                    Target::Remote(address) => address.to_string(),
                });
                show(out, name, &shown.collect::<Vec<_>>(), width, "name")?;
                done += 1;
            }
            Err(error) => {
                out.error(&error)?;
                failed += 1;
            }
        }
    }
    Ok(Outcome::of_items(done, failed))
}

fn add(prefix: &str, targets: &[&str]) -> Run {
    let targets = targets.iter().map(|target| absolute(target)).collect::<Result<Vec<_>, _>>()?;
    edit(|text| table::set(text, prefix, &targets).map(Some))?;
    Ok(Outcome::Done)
}

fn remove(prefixes: &[&str], env: &mut Env) -> Run {
    let (mut done, mut failed) = (0, 0);
    for prefix in prefixes {
        if edit(|text| table::unset(text, prefix))? {
            done += 1;
        } else {
            env.error(&Error::new(Code::NotFound, *prefix, "no such prefix in the name table"));
            failed += 1;
        }
    }
    Ok(Outcome::of_items(done, failed))
}

/// A path of this machine from the root on: the table means the same wherever it is read.
fn absolute(target: &str) -> Result<String, Error> {
    match place(target)? {
        Place::Remote(_) => Ok(target.to_owned()),
        Place::Local(path) => {
            let path = std::path::absolute(path).map_err(|err| Error::io(target, "", err))?;
            path.into_os_string()
                .into_string()
                .map_err(|_| Error::new(Code::Invalid, target, "the path of this directory is not UTF-8"))
        }
    }
}

/// Changes the table's file: it is there as it was or as it is to be, whoever reads it when. False when there is nothing to
/// change.
fn edit(change: impl FnOnce(&str) -> error::Result<Option<String>>) -> Result<bool, Error> {
    let path = names::table_path().ok_or_else(|| {
        let text = "no place for a name table: set WOOF_NAMES to the path of a file, or HOME";
        Error::new(Code::NotFound, "", text)
    })?;
    let shown = path.display().to_string();
    let of_file = |err: Error| if err.object().is_empty() { err.of(&*shown) } else { err };
    // A link is kept: what it leads to is changed.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    // Keys may come to lie in it, which nobody else is to exchange.
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&dir)
        .map_err(|err| Error::io(dir.display().to_string(), "make the directory", err))?;
    // The directory is locked, so that of two who change the table none undoes what the other did.
    let locked = File::open(&dir)
        .and_then(|dir| {
            rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive)
                .map(|()| dir)
                .map_err(Into::into)
        })
        .map_err(|err| Error::io(dir.display().to_string(), "lock", err))?;
    let Some(text) = change(&names::text(&path)?).map_err(of_file)? else { return Ok(false) };
    replace(&path, &dir, &text).map_err(|err| Error::io(&*shown, "write", err))?;
    drop(locked);
    Ok(true)
}

/// Puts a whole file into the place of `path`.
fn replace(path: &Path, dir: &Path, text: &str) -> std::io::Result<()> {
    let mode = fs::metadata(path).ok().map(|meta| meta.permissions());
    let fresh = Temporary::make(Spot::at(path), Mode::from_raw_mode(0o666))?;
    let mut file = fresh.file();
    file.write_all(text.as_bytes())?;
    if let Some(mode) = mode {
        file.set_permissions(mode)?;
    }
    file.sync_all()?;
    fresh.take_name(true)?;
    File::open(dir)?.sync_all()
}
