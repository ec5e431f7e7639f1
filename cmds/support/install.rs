//! What goes with the binary when it is installed: links by the names of the commands, and completions.
//! Nothing that somebody else put there is overwritten.

use super::command::Command;
use super::daemon;
use clap_complete::Shell;
use libwoofstream::error::{Code, Error, Result};
use std::fs;
use std::path::Path;

/// Makes a symbolic link in `dir` for each command: to the running program, and for the server to the `woofd` beside it. The text says
/// what was made.
///
/// # Errors
/// When a file is in the way that is not a link to a `woof`, and when the directory cannot be written. What was
/// made before stays.
pub fn links(dir: &Path, commands: &[Command]) -> Result<String> {
    let shown = dir.display().to_string();
    let program = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .map_err(|err| Error::io("woof", "find this program", err))?;
    fs::create_dir_all(dir).map_err(|err| Error::io(&shown, "make the directory", err))?;
    let (mut made, mut kept) = (Vec::new(), 0u64);
    // And one of its own name, so that a directory on the path is all it needs.
    let daemon = daemon::path().ok();
    let links = commands.iter().map(|command| command.name).chain(["woof"]);
    for command in links.chain(daemon.is_some().then_some(daemon::PROGRAM)) {
        let to = match &daemon {
            Some(daemon) if [daemon::COMMAND, daemon::PROGRAM].contains(&command) => daemon,
            _ => &program,
        };
        let link = dir.join(command);
        if link == *to || dir.canonicalize().is_ok_and(|dir| dir.join(command) == *to) {
            continue;
        }
        let name = link.display().to_string();
        match link.symlink_metadata() {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(err) => return Err(Error::io(&name, "look at", err)),
            Ok(meta) if !meta.is_symlink() => return Err(in_the_way(&name, "a file that is no link")),
            Ok(_) => {
                let target = fs::read_link(&link).map_err(|err| Error::io(&name, "read the link", err))?;
                if target == *to {
                    kept += 1;
                    continue;
                }
                let names =
                    [Some(&program), daemon.as_ref()].map(|path| path.and_then(|path| path.file_name()));
                if !names.contains(&target.file_name()) {
                    return Err(in_the_way(&name, &format!("a link to {}", target.display())));
                }
                fs::remove_file(&link).map_err(|err| Error::io(&name, "replace", err))?;
            }
        }
        std::os::unix::fs::symlink(to, &link).map_err(|err| Error::io(&name, "make the link", err))?;
        made.push(command);
    }
    let made_count = super::units::counted(made.len() as u64, "link");
    let both = if daemon.is_some() { " and the woofd beside it" } else { "" };
    let mut text = format!("{shown}: made {made_count} to {}{both}", program.display());
    if !made.is_empty() {
        text.push_str(&format!(": {}", made.join(" ")));
    }
    if kept > 0 {
        text.push_str(&format!("; {kept} there already"));
    }
    text.push('\n');
    Ok(text)
}

fn in_the_way(name: &str, what: &str) -> Error {
    Error::new(Code::Exists, name, format!("not replaced: it is {what}"))
}

/// The completions for `shell` (bash, zsh, fish): of `woof` with all commands as subcommands, and of each command.
pub fn completions(shell: &str, woof: clap::Command, commands: &[Command]) -> String {
    let shell = match shell {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    // The generators go from one command to the next by these names, and need them whole.
    let subcommand = |command: &Command| {
        let name = command.subcommand();
        command.definition().name(name).bin_name(format!("woof {name}"))
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut woof.subcommands(commands.iter().map(subcommand)), "woof", &mut text);
    for command in commands {
        clap_complete::generate(shell, &mut command.definition(), command.name, &mut text);
    }
    let text = String::from_utf8(text).unwrap_or_default();
    if shell == Shell::Zsh { one_for_zsh(&text, commands) } else { text }
}

/// By custom a zsh completion is a file for each command, whose first line names it and which is the body of a function. As one
/// file it names them all, and ends with a call of the function that is meant.
fn one_for_zsh(text: &str, commands: &[Command]) -> String {
    let mut all = "#compdef woof".to_owned();
    for command in commands {
        all.push(' ');
        all.push_str(command.name);
    }
    all.push('\n');
    for line in text.lines().filter(|line| !line.starts_with("#compdef")) {
        all.push_str(line);
        all.push('\n');
    }
    // In the file of `woof` itself the script calls that function already.
    all.push_str("if [ \"$funcstack[1]\" = \"_woof\" ] && [ \"$service\" != woof ]; then\n    \"_$service\" \"$@\"\nfi\n");
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::COMMANDS;

    #[test]
    fn links_are_made_once_and_kept() {
        let dir = woof_kit::tempdir().unwrap();
        let dir = dir.path().join("w");
        let first = links(&dir, COMMANDS).unwrap();
        assert!(first.contains(": made ") && first.contains("wcat"), "{first}");
        let program = std::env::current_exe().unwrap().canonicalize().unwrap();
        assert_eq!(fs::read_link(dir.join("wcat")).unwrap(), program);
        assert_eq!(fs::read_link(dir.join("woof")).unwrap(), program);
        let again = links(&dir, COMMANDS).unwrap();
        assert!(again.contains(": made 0 links to ") && again.ends_with(" there already\n"), "{again}");
    }

    #[test]
    fn what_is_not_ours_is_not_replaced() {
        let dir = woof_kit::tempdir().unwrap();
        fs::write(dir.path().join("wcat"), "mine").unwrap();
        let err = links(dir.path(), COMMANDS).unwrap_err();
        assert_eq!(err.text(), "not replaced: it is a file that is no link");
        assert_eq!(fs::read(dir.path().join("wcat")).unwrap(), b"mine");
        fs::remove_file(dir.path().join("wcat")).unwrap();
        std::os::unix::fs::symlink("/usr/bin/wcat", dir.path().join("wcat")).unwrap();
        let err = links(dir.path(), COMMANDS).unwrap_err();
        assert_eq!(err.text(), "not replaced: it is a link to /usr/bin/wcat");
    }

    #[test]
    fn a_link_to_a_program_of_our_name_that_moved_is_renewed() {
        let dir = woof_kit::tempdir().unwrap();
        let program = std::env::current_exe().unwrap().canonicalize().unwrap();
        let gone = Path::new("/gone").join(program.file_name().unwrap());
        std::os::unix::fs::symlink(gone, dir.path().join("wcat")).unwrap();
        links(dir.path(), COMMANDS).unwrap();
        assert_eq!(fs::read_link(dir.path().join("wcat")).unwrap(), program);
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in ["bash", "zsh", "fish"] {
            let text = completions(shell, clap::Command::new("woof"), COMMANDS);
            for command in COMMANDS {
                assert!(text.contains(command.name), "{shell}: {}", command.name);
            }
            let types = match shell {
                "bash" => "\"text json msgpack i64 f64 bytes\"",
                "zsh" => "(text json msgpack i64 f64 bytes)",
                _ => "msgpack\\t''",
            };
            assert!(text.contains(types), "{shell}: no content types");
        }
        assert_eq!(completions("zsh", clap::Command::new("woof"), COMMANDS).matches("#compdef").count(), 1);
    }
}
