//! `wget`: elements of a woof.

use crate::support::prelude::*;
use crate::support::select::selection;
use libwoofstream::space::Space as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

pub(crate) const COMMAND: Command = Command {
    name: "wget",
    about: "gets elements of a woof",
    group: Group::Woofs,
    define,
    verb: Verb::Stream(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Sends elements of a woof: of a range, or the newest one. Ranges have both ends in them and may count from the newest \
             (-10.. are the last ten). An address that begins with http://, https:// or ftp:// is given to the next \
             wget on the path, the one that downloads.",
        )
        .arg(flags::operand("NAME", "Which woof"))
        .arg(flags::range())
        .args(flags::bounds())
        .arg(flags::filter())
        .arg(flags::count().help("Of what is selected, only the newest so many"))
        .arg(flags::timeout())
        .arg(flags::quiet())
        .after_long_help(
            "EXAMPLES\n  wget farm/temp\n  wget farm/temp 98..100 -u\n  wget farm/temp -10.. --json\n  \
             wget farm/temp .. --since 1h --where 'value > 70' | wcount",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let name = args.text("NAME").unwrap_or_default();
    let (mut selection, count) = selection(args, env)?;
    out.show_progress();
    let bounded =
        selection.since_ns.is_some() || selection.until_ns.is_some() || selection.predicate.is_some();
    if selection.range.is_none() && count.is_none() && !bounded {
        selection.range = Some(SeqRange::NEWEST);
    }
    selection.last = count;
    env.spaces().read(name, &selection, out)?;
    Ok(Outcome::Done)
}

/// Runs the wget that downloads in our place, when an argument is an address for it.
pub(crate) fn download(args: &[std::ffi::OsString]) -> Option<Failure> {
    const SCHEMES: [&str; 3] = ["http://", "https://", "ftp://"];
    let address = args
        .iter()
        .skip(1)
        .find_map(|arg| arg.to_str().filter(|arg| SCHEMES.iter().any(|scheme| arg.starts_with(scheme))))?;
    let Some(program) = next_on_path() else {
        return Some(Failure::invalid(address, "no other wget is on the path to download it"));
    };
    let error = std::process::Command::new(&program).args(&args[1..]).exec();
    Some(Error::io(program.display().to_string(), "run", error).into())
}

/// The first wget on the path that is not this program.
fn next_on_path() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?.canonicalize().ok()?;
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join("wget"))
        .find(|path| path.canonicalize().is_ok_and(|real| real != own))
}
