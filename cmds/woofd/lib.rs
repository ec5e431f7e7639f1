//! The program `woofd`: what stays. It is the server of namespaces (`wserve`), and keeps the containers that commands of `woof` run
//! programs in. All that needs a runtime or the container engine is here, so that `woof` starts fast and is small.

mod log;
mod serve;
mod signals;
mod sockets;

use libwoofstream::error::{Code, Error};
use libwoofstream::handler::container::{self, Docker};
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::path::Path;
use woofcmds::support::daemon::{CALLED_BY, KEEP_CONTAINER, PROGRAM};
use woofcmds::support::messages::{Color, Messages};

/// Runs what the arguments of the process say.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(run(std::env::args_os().collect()))
}

fn run(mut arguments: Vec<OsString>) -> u8 {
    let called = arguments.first().and_then(|path| Path::new(path).file_name()).map(OsStr::to_owned);
    if called.as_deref() == Some(OsStr::new(serve::COMMAND.name)) {
        return woofcmds::run(&serve::COMMAND, arguments);
    }
    if arguments.get(1).is_some_and(|first| first == CALLED_BY) {
        let version = arguments.get(2).cloned().unwrap_or_default();
        if version != env!("CARGO_PKG_VERSION") {
            return failed(other_version(&version));
        }
        arguments.drain(1..3);
    }
    match arguments.get(1) {
        Some(first) if first == KEEP_CONTAINER => keep_container().map_or_else(failed, |()| 0),
        Some(first) if first == serve::COMMAND.name || first == serve::COMMAND.subcommand() => {
            arguments.remove(0);
            woofcmds::run(&serve::COMMAND, arguments)
        }
        _ => woofcmds::unparsed(PROGRAM, definition(), arguments),
    }
}

/// What is said where it is called by its own name.
fn definition() -> clap::Command {
    clap::Command::new(PROGRAM)
        .about("what stays of woofstream: the server of namespaces")
        .long_about(
            "Is the server of namespaces: woofd serve is wserve, and woof serve runs it. It also keeps the containers that \
             wrun --in runs programs in. It belongs beside woof, of the same version.",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("woofd serve DIR [OPTIONS]")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .after_long_help("EXAMPLES\n  woofd serve /srv/woofs --listen 0.0.0.0:7144\n  woofd serve --help")
}

/// Keeps a container for the program at the other end of standard input.
fn keep_container() -> Result<(), Error> {
    let connection = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|err| Error::io(KEEP_CONTAINER, "standard input", err))?;
    container::keep(&Docker, connection)
}

fn other_version(version: &OsStr) -> Error {
    let text = format!(
        "is of version {}, and the woof that calls it of {}: install both from one build",
        env!("CARGO_PKG_VERSION"),
        version.display()
    );
    Error::new(Code::Unsupported, "", text)
}

fn failed(error: Error) -> u8 {
    Messages::new(PROGRAM, Color::Auto).failed(&error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_definition_and_that_of_its_command_hold() {
        definition().debug_assert();
        serve::COMMAND.definition().debug_assert();
    }
}
