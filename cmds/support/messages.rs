//! What a command says on standard error: `command: object: text`, one line each; on a terminal a `help:` line where
//! there is one, and colour. A standard error that cannot be written is passed over: there is nobody left to tell.

use super::command::Failure;
use libwoofstream::error::Error;
use libwoofstream::wire::Fault;
use std::io::{IsTerminal as _, Write as _};

/// The exit status of a command that could not do its work.
pub const FAILED: u8 = 2;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// The setting of `--color`; what is not known there is `auto`.
    pub fn parse(text: &str) -> Color {
        match text {
            "always" => Color::Always,
            "never" => Color::Never,
            _ => Color::Auto,
        }
    }

    /// Whether to colour what goes to a terminal, or to something else.
    pub fn on(self, terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
            }
        }
    }
}

/// Where a command says what went wrong.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    command: &'static str,
    color: Color,
}

impl Messages {
    /// Messages of the command of this name.
    pub fn new(command: &'static str, color: Color) -> Messages {
        Messages { command, color }
    }

    /// The name of the command.
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// The setting of `--color`.
    pub fn color(&self) -> Color {
        self.color
    }

    /// Says why the command could not do its work; returns its exit status.
    pub fn failed(&self, failure: &Failure) -> u8 {
        self.line(self.command, &failure.error.to_string(), failure.help.as_deref());
        FAILED
    }

    /// Says what went wrong with one item.
    pub fn error(&self, error: &Error) {
        self.line(self.command, &error.to_string(), None);
    }

    /// Says an error that came in a stream, under the name of the command it came from.
    pub fn fault(&self, fault: &Fault) {
        let origin = if fault.origin.is_empty() { self.command } else { &fault.origin };
        self.line(origin, &fault.to_string(), None);
    }

    /// Says something that is no error.
    pub fn note(&self, text: &str) {
        self.line(self.command, text, None);
    }

    /// Says that the command line is wrong; returns the exit status.
    pub fn usage(&self, text: &str, tip: Option<&str>) -> u8 {
        let help = match tip {
            Some(tip) => format!("{tip}; {} --help", self.command),
            None => format!("{} --help", self.command),
        };
        self.line(self.command, text, Some(&help));
        FAILED
    }

    fn line(&self, origin: &str, text: &str, help: Option<&str>) {
        let mut stderr = std::io::stderr().lock();
        let terminal = stderr.is_terminal();
        let wiping = super::progress::wiping();
        let line = compose(origin, text, help.filter(|_| terminal), self.color.on(terminal));
        // One write, so that the lines of a whole pipeline do not mix.
        let _ = stderr.write_all(format!("{wiping}{line}").as_bytes());
    }
}

fn compose(origin: &str, text: &str, help: Option<&str>, color: bool) -> String {
    let text = one_line(text);
    let (red, green, off) = if color { ("\x1b[1;31m", "\x1b[32m", "\x1b[0m") } else { ("", "", "") };
    let mut line = format!("{red}{}:{off} {text}\n", one_line(origin));
    if let Some(help) = help {
        line.push_str(&format!("{green}help:{off} {}\n", one_line(help)));
    }
    line
}

/// Names and data may hold anything; a message stays one line and cannot steer the terminal.
fn one_line(text: &str) -> String {
    libwoofstream::name::shown(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        assert_eq!(
            compose("wget", "a\nb\x1b[2J: no such woof", None, false),
            "wget: a\\nb\\u{1b}[2J: no such woof\n"
        );
    }

    #[test]
    fn colour_and_help_are_for_terminals() {
        assert_eq!(
            compose("wget", "missing NAME", Some("wget --help"), true),
            "\x1b[1;31mwget:\x1b[0m missing NAME\n\x1b[32mhelp:\x1b[0m wget --help\n"
        );
        assert!(Color::Always.on(false));
        assert!(!Color::Never.on(true));
        assert!(!Color::Auto.on(false));
    }
}
