//! The commands of woofstream: one file each, and the table that names them.
//!
//! A command is names, options and one verb; what is more than that belongs in the library. [`support`] holds
//! what commands share, and shows in its documentation how a whole command is written.
//!
//! Below [`main`] nobody exits or panics over what a user, a peer or a disk can cause: a command returns how it
//! ended, and the frame turns that into messages, the end of its stream, and a status.

use support::command::Command;

mod multicall;
pub mod support;

mod wattr;
mod wbind;
mod wcat;
mod wcount;
mod wcreate;
mod wecho;
mod wfilter;
mod wfind;
mod wget;
mod whead;
mod wkey;
mod wmerge;
mod wns;
mod wput;
mod wrm;
mod wrun;
pub mod wserve;
mod wsplit;
mod wstat;
mod wtail;
mod wtee;

/// The table of commands, in the order of the names. A new command is a file, a `mod` line and a line here. The shell, `wsh`, will be
/// the one line that names another crate, `woofshell`.
#[rustfmt::skip] // One line each, so that two new commands do not meet in one line.
pub const COMMANDS: &[Command] = &[
    wattr::COMMAND,
    wbind::COMMAND,
    wcat::COMMAND,
    wcount::COMMAND,
    wcreate::COMMAND,
    wecho::COMMAND,
    wfilter::COMMAND,
    wfind::COMMAND,
    wget::COMMAND,
    whead::COMMAND,
    wkey::COMMAND,
    wmerge::COMMAND,
    wns::COMMAND,
    wput::COMMAND,
    wrm::COMMAND,
    wrun::COMMAND,
    wserve::COMMAND,
    wsplit::COMMAND,
    wstat::COMMAND,
    wtail::COMMAND,
    wtee::COMMAND,
];

/// Runs a command with its arguments, of which the first is its name; the value is the exit status.
pub fn run(command: &Command, arguments: Vec<std::ffi::OsString>) -> u8 {
    support::signals::have_long_files_fail();
    multicall::start(command, arguments)
}

/// Parses the arguments of a program that takes none of these, for its help, its version or what is wrong; the value is the exit status.
pub fn unparsed(name: &'static str, definition: clap::Command, arguments: Vec<std::ffi::OsString>) -> u8 {
    definition.try_get_matches_from(arguments).map_or_else(|err| multicall::unparsed(name, &err), |_| 0)
}

/// Runs the command that the arguments of the process name.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(multicall::run(std::env::args_os().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_definition_holds() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        for command in COMMANDS {
            assert!(command.name.starts_with('w'), "{}", command.name);
            command.definition().debug_assert();
        }
    }

    #[test]
    fn every_command_has_examples_and_ends_no_help_with_a_full_stop() {
        for command in COMMANDS {
            let definition = command.definition();
            let examples = definition.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("EXAMPLES\n"), "{}: no examples", command.name);
            assert!(examples.contains(command.name), "{}: examples of something else", command.name);
            assert!(!command.about.ends_with('.'), "{}", command.name);
            for arg in definition.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() && !help.ends_with('.'), "{}: {}", command.name, arg.get_id());
            }
        }
    }
}
