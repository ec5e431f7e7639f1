//! Man pages from the definitions of the commands. The same definitions give the same bytes: there is no date in them.

use super::command::Command;
use clap_mangen::Man;
use libwoofstream::error::{Error, Result};
use std::fs;
use std::path::Path;

const STATUS: &str = "\
.TP
\\fB0\\fR
It is done; a reader of the output that went away is no failure.
.TP
\\fB1\\fR
The answer is no, or some items failed and the others are done.
.TP
\\fB2\\fR
It could not be done; standard error says why, or, where the output is a stream, its end does for the command that reads it.
";

/// How clap_mangen begins each part: an apostrophe that is one wherever the page is shown.
const APOSTROPHES: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Writes `woof.1` and the page of each command into `dir`; the text says what was written.
///
/// # Errors
/// When the directory or a page cannot be written.
pub fn write_all(dir: &Path, woof: clap::Command, commands: &[Command]) -> Result<String> {
    let shown = dir.display().to_string();
    fs::create_dir_all(dir).map_err(|err| Error::io(&shown, "make the directory", err))?;
    let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
    let mut pages = vec![("woof", page(woof, &names)?)];
    for command in commands {
        pages.push((command.name, page(command.definition(), &see_also(command, commands))?));
    }
    for (name, text) in &pages {
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, text).map_err(|err| Error::io(path.display().to_string(), "write", err))?;
    }
    Ok(format!("{shown}: wrote {} man pages\n", pages.len()))
}

/// The commands of the same group.
fn see_also(of: &Command, commands: &[Command]) -> Vec<&'static str> {
    let others = commands.iter().filter(|other| other.group == of.group && other.name != of.name);
    others.map(|other| other.name).collect()
}

/// One page: NAME SYNOPSIS DESCRIPTION (COMMANDS) OPTIONS EXAMPLES EXIT STATUS SEE ALSO.
fn page(mut definition: clap::Command, see_also: &[&str]) -> Result<String> {
    let name = definition.get_name().to_owned();
    let examples = definition.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let usage = definition.render_usage().to_string();
    let subcommands = subcommands(&definition);
    let man = Man::new(definition);
    let mut out = Vec::new();
    man.render_name_section(&mut out).map_err(|err| unwritten(&name, err))?;
    out.extend_from_slice(b".SH SYNOPSIS\n.nf\n");
    for line in usage.trim_start_matches("Usage:").lines() {
        let line = line.trim();
        let rest = line.strip_prefix(&name).unwrap_or(line);
        out.extend_from_slice(format!("\\fB{name}\\fR{}", literal(rest)).as_bytes());
    }
    out.extend_from_slice(b".fi\n");
    man.render_description_section(&mut out).map_err(|err| unwritten(&name, err))?;
    out.extend_from_slice(subcommands.as_bytes());
    man.render_options_section(&mut out).map_err(|err| unwritten(&name, err))?;
    // Each section brings the same two lines about apostrophes along; once is enough.
    let sections = String::from_utf8_lossy(&out).replace(APOSTROPHES, "");
    let mut text = format!(
        "{APOSTROPHES}.TH {} 1 \"\" \"woofstream {}\" \"woofstream\"\n{sections}",
        name.to_uppercase(),
        env!("CARGO_PKG_VERSION")
    );
    text.push_str(".SH EXAMPLES\n.nf\n");
    for line in examples.lines().skip_while(|line| *line == "EXAMPLES") {
        text.push_str(&literal(line.strip_prefix("  ").unwrap_or(line)));
    }
    text.push_str(".fi\n.SH \"EXIT STATUS\"\n");
    text.push_str(STATUS);
    text.push_str(".SH \"SEE ALSO\"\n");
    for name in see_also {
        text.push_str(&format!(".BR {name} (1),\n"));
    }
    text.push_str(".BR woofstream (7)\n");
    let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
    Ok(lines.collect())
}

/// COMMANDS: the subcommands of a command, with what each takes besides the shared flags.
fn subcommands(definition: &clap::Command) -> String {
    let mut text = String::new();
    for command in definition.get_subcommands() {
        if text.is_empty() {
            text.push_str(".SH COMMANDS\n");
        }
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!(".SS {}\n{}", command.get_name(), literal(&about)));
        for arg in command.get_arguments().filter(|arg| !arg.is_global_set()) {
            let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
            let value = value.unwrap_or_else(|| arg.get_id().to_string());
            let short = arg.get_short().map(|short| format!("\\fB-{short}\\fR, ")).unwrap_or_default();
            let shown = match arg.get_long() {
                Some(long) if arg.get_action().takes_values() => {
                    format!("{short}\\fB--{long}\\fR \\fI{value}\\fR")
                }
                Some(long) => format!("{short}\\fB--{long}\\fR"),
                None => format!("\\fI{value}\\fR"),
            };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!(".TP\n{}\n{}", shown.replace('-', "\\-"), literal(&help)));
        }
    }
    text
}

fn unwritten(name: &str, err: std::io::Error) -> Error {
    Error::io(format!("{name}.1"), "write", err)
}

/// A line as it stands, for roff.
fn literal(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    let guard = if escaped.starts_with('.') { "\\&" } else { "" };
    format!("{guard}{escaped}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::COMMANDS;

    #[test]
    fn a_page_has_its_sections_in_order() {
        let command = &COMMANDS[0];
        let text = page(command.definition(), &["wtail"]).unwrap();
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with(".SH")).collect();
        assert_eq!(
            headings,
            [
                ".SH NAME",
                ".SH SYNOPSIS",
                ".SH DESCRIPTION",
                ".SH OPTIONS",
                ".SH EXAMPLES",
                ".SH \"EXIT STATUS\"",
                ".SH \"SEE ALSO\""
            ]
        );
        assert!(text.ends_with(".BR wtail (1),\n.BR woofstream (7)\n"));
        assert_eq!(text, page(command.definition(), &["wtail"]).unwrap());
    }

    #[test]
    fn examples_stand_as_they_are() {
        assert_eq!(literal(".a 'b' \\n -u"), "\\&.a \\(aqb\\(aq \\en \\-u\n");
    }
}
