//! One binary, many names: which command runs is the name it was called by (`wput`), or the first argument of
//! `woof` (`woof put`, `woof wput`). Only the definition of the command that runs is built.

use crate::COMMANDS;
use crate::support::args::Args;
use crate::support::command::{Command, Group};
use crate::support::messages::{Color, FAILED, Messages};
use crate::support::{flags, install, man, signals, usage};
use clap::error::ErrorKind;
use libwoofstream::chan::Channels;
use libwoofstream::error::{Code, Error};
use libwoofstream::handler::container::{self, AGENT_FLAG};
use libwoofstream::name::shown;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// The command of a name, with or without its `w`.
fn find(name: &OsStr) -> Option<&'static Command> {
    let name = name.to_str()?;
    COMMANDS.iter().find(|command| command.name == name || command.subcommand() == name)
}

/// Runs what the arguments say; the value is the exit status.
pub(crate) fn run(mut arguments: Vec<OsString>) -> u8 {
    signals::have_long_files_fail();
    let called = arguments.first().map(|path| Path::new(path).file_name().unwrap_or_default().to_owned());
    // By its own name a command is called in full: a program called `put` is not ours.
    let own = called
        .as_deref()
        .and_then(find)
        .filter(|command| called.as_deref() == Some(OsStr::new(command.name)));
    if let Some(command) = own {
        return start(command, arguments);
    }
    match arguments.get(1) {
        None => print(&list()),
        Some(first) if first == "help" => help(arguments.get(2)),
        // What a server starts in the container of a namespace; nobody types it.
        Some(first) if first == AGENT_FLAG => agent(),
        Some(first) if !first.as_encoded_bytes().starts_with(b"-") => match find(first) {
            Some(command) => {
                arguments.remove(0);
                start(command, arguments)
            }
            None => no_such(first),
        },
        Some(_) => woof(arguments),
    }
}

/// Parses the arguments of a command and runs it.
pub(crate) fn start(command: &Command, arguments: Vec<OsString>) -> u8 {
    if command.name == "wget"
        && let Some(failure) = crate::wget::download(&arguments)
    {
        return Messages::new(command.name, Color::Auto).failed(&failure);
    }
    match command.definition().try_get_matches_from(arguments) {
        Ok(matches) => command.run(matches),
        Err(err) => unparsed(command.name, &err),
    }
}

/// What clap answers instead of parsed arguments: help, the version, or what is wrong.
pub(crate) fn unparsed(name: &'static str, err: &clap::Error) -> u8 {
    match err.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = err.render();
            let color = Color::Auto.on(std::io::stdout().is_terminal());
            print(&if color { text.ansi().to_string() } else { text.to_string() })
        }
        _ => {
            let (mut text, tip) = usage::describe(err);
            // Which argument it is clap does not say.
            if err.kind() == ErrorKind::InvalidUtf8
                && let Some(arg) = std::env::args_os().skip(1).find(|arg| arg.to_str().is_none())
            {
                text = format!("{}: not UTF-8, which names and options are", shown(arg.as_encoded_bytes()));
            }
            Messages::new(name, Color::Auto).usage(&text, tip.as_deref())
        }
    }
}

/// Writes text to standard output; a reader that has gone is no failure.
fn print(text: &str) -> u8 {
    let written = Channels::standard().take_output("out").and_then(|out| {
        let written = std::fs::File::from(out).write_all(text.as_bytes());
        written.map_err(|err| Error::io("out", "write", err))
    });
    match written {
        Err(err) if !err.is_broken_pipe() => failed(err),
        _ => 0,
    }
}

fn failed(error: Error) -> u8 {
    Messages::new("woof", Color::Auto).failed(&error.into())
}

fn no_such(name: &OsStr) -> u8 {
    let error = Error::new(Code::NotFound, shown(name.as_encoded_bytes()), "no such command");
    Messages::new("woof", Color::Auto)
        .failed(&crate::support::command::Failure::from(error).help("woof lists all commands"))
}

/// `woof help`, `woof help put`.
fn help(of: Option<&OsString>) -> u8 {
    let Some(name) = of else {
        return print(&list());
    };
    match find(name) {
        Some(command) => start(command, vec![command.name.into(), "--help".into()]),
        None => no_such(name),
    }
}

/// All commands, under their headings.
fn list() -> String {
    let mut text =
        format!("woof {}: typed message streams around append-only logs\n", env!("CARGO_PKG_VERSION"));
    for group in Group::ALL {
        let mut members = COMMANDS.iter().filter(|command| command.group == group).peekable();
        if members.peek().is_some() {
            text.push_str(&format!("\n{}\n", group.heading()));
        }
        for command in members {
            text.push_str(&format!("  {:<9} {}\n", command.name, command.about));
        }
    }
    text.push_str(
        "\nEach is called by its name or as a subcommand: wput, woof put. More: woof --help, wput --help\n",
    );
    text
}

/// The definition of `woof` itself, without its commands.
pub(crate) fn definition() -> clap::Command {
    clap::Command::new("woof")
        .about("all commands of woofstream in one program")
        .long_about(
            "Runs a command of woofstream: woof put is wput. Alone it lists all commands. It also makes the links, \
             completions and man pages that go with it.",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("woof COMMAND [ARGUMENTS]\n       woof [OPTIONS]")
        .arg(flags::option("install-links", '\0', "DIR", "Make a link to this program in DIR for every command"))
        .arg(
            flags::option("completions", '\0', "SHELL", "Write completions for bash, zsh or fish")
                .value_parser(clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]))
                .hide_possible_values(true),
        )
        .arg(flags::option("man-pages", '\0', "DIR", "Write the man page of every command into DIR"))
        .after_long_help(
            "EXAMPLES\n  woof --install-links ~/w && PATH=~/w:$PATH\n  woof put --create farm/temp 21.5\n  \
             woof --completions bash > ~/.local/share/bash-completion/completions/woof",
        )
}

/// The agent in a container.
fn agent() -> u8 {
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).chain(["woof"]).collect();
    container::run_agent(&names, &std::env::var_os("PATH").unwrap_or_default()).unwrap_or_else(failed)
}

/// `woof` with options of its own.
fn woof(arguments: Vec<OsString>) -> u8 {
    let args = match definition().try_get_matches_from(arguments) {
        Ok(matches) => Args::new(matches),
        Err(err) => return unparsed("woof", &err),
    };
    let done = if let Some(shell) = args.text("completions") {
        Ok(install::completions(shell, definition(), COMMANDS))
    } else if let Some(dir) = args.text("man-pages") {
        man::write_all(&PathBuf::from(dir), definition(), COMMANDS)
    } else if let Some(dir) = args.text("install-links") {
        install::links(&PathBuf::from(dir), COMMANDS)
    } else {
        return FAILED;
    };
    match done {
        Ok(text) => print(&text),
        Err(error) => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_both_its_names() {
        assert_eq!(find(OsStr::new("wcat")).unwrap().name, "wcat");
        assert_eq!(find(OsStr::new("cat")).unwrap().name, "wcat");
        assert!(find(OsStr::new("wwcat")).is_none());
        assert!(find(OsStr::new("")).is_none());
    }

    #[test]
    fn the_list_names_every_command() {
        let list = list();
        for command in COMMANDS {
            assert!(list.contains(&format!("  {:<9} {}\n", command.name, command.about)));
        }
        definition().debug_assert();
    }
}
