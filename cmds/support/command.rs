//! What a command is: its entry in the table, how it ends, and how it fails.

use super::args::Args;
use super::env::Env;
use super::flags;
use super::messages::FAILED;
use super::output::{Default, Output};
use clap::ArgMatches;
use libwoofstream::error::{Code, Error};

/// How the work of a command ended when nothing kept it from being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done: status 0, or 1 where errors about single items were told on the way.
    Done,
    /// The answer is an honest no (nothing matched, the two differ): status 1.
    No,
    /// The status of a program that was run in the command's place.
    Status(u8),
    /// A signal told it to end before its work was done, and this is its status. Its stream gets no end, so that its reader
    /// knows that more would have come.
    Stopped(u8),
}

impl Outcome {
    /// How work on single items ended of which so many were done: where all that was asked for failed, it could not be done.
    pub fn of_items(done: usize, failed: usize) -> Outcome {
        if done == 0 && failed > 0 { Outcome::Status(FAILED) } else { Outcome::Done }
    }
}

/// Why a command could not do its work: one line, and where there is one, a hint for a person.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, about which object.
    pub error: Error,
    /// What to try, shown on a terminal only.
    pub help: Option<String>,
}

impl Failure {
    /// A failure that is the user's to mend: `text` says what is wrong with `object`.
    pub fn invalid(object: impl Into<String>, text: impl Into<String>) -> Failure {
        Failure::from(Error::new(Code::Invalid, object, text))
    }

    /// The same failure with a hint.
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, help: None }
    }
}

/// What the verb of a command returns.
pub type Run = Result<Outcome, Failure>;

/// Under which heading a command is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Commands on woofs and namespaces.
    Woofs,
    /// Commands on the messages of a stream.
    Streams,
    /// Commands that connect streams and programs.
    Plumbing,
    /// Commands about who may do what.
    Security,
}

impl Group {
    /// All groups, in the order of the list.
    pub const ALL: [Group; 4] = [Group::Woofs, Group::Streams, Group::Plumbing, Group::Security];

    /// The heading.
    pub fn heading(self) -> &'static str {
        match self {
            Group::Woofs => "Woofs",
            Group::Streams => "Streams",
            Group::Plumbing => "Connecting",
            Group::Security => "Who may what",
        }
    }
}

/// The verb of a command.
#[derive(Clone, Copy)]
pub enum Verb {
    /// Writes no messages.
    Plain(fn(&Args, &mut Env) -> Run),
    /// Writes messages to `out`: framed into a pipe or file, for people on a terminal.
    Stream(fn(&Args, &mut Env, &mut Output) -> Run),
    /// Shows messages: for people wherever `out` goes, unless a flag asks for another form.
    Show(fn(&Args, &mut Env, &mut Output) -> Run),
    /// Does something and reports it to `out` only where somebody listens: a pipe, a channel that `WOOF_CHANNELS` names, or
    /// a form that a flag asks for.
    Report(fn(&Args, &mut Env, &mut Output) -> Run),
}

/// An entry of the command table.
#[derive(Clone, Copy)]
pub struct Command {
    /// The name it is called by: `wput`.
    pub name: &'static str,
    /// What it does in one line: `appends elements to a woof`.
    pub about: &'static str,
    /// Its heading in the list of commands.
    pub group: Group,
    /// Adds its own flags, operands, long description and examples.
    pub define: fn(clap::Command) -> clap::Command,
    /// What it does.
    pub verb: Verb,
}

impl Command {
    /// The name as a subcommand of `woof`: `put` for `wput`.
    pub fn subcommand(&self) -> &'static str {
        self.name.strip_prefix('w').unwrap_or(self.name)
    }

    /// The whole definition: the command's own, and the shared flags that its verb brings with it.
    pub fn definition(&self) -> clap::Command {
        let command = clap::Command::new(self.name)
            .bin_name(self.name)
            .about(self.about)
            .version(env!("CARGO_PKG_VERSION"));
        let command = (self.define)(command);
        // Shared flags may stand after a subcommand too.
        let global = command.has_subcommands();
        match self.verb {
            Verb::Plain(_) => command,
            Verb::Stream(_) | Verb::Show(_) | Verb::Report(_) => {
                command.args(flags::output().map(|flag| flag.global(global)))
            }
        }
        .arg(flags::color().global(global))
    }

    /// Runs the command with arguments that its definition parsed; the value is the exit status.
    pub fn run(&self, matches: ArgMatches) -> u8 {
        let args = Args::new(matches);
        let mut env = match Env::new(self.name, &args) {
            Ok(env) => env,
            Err((messages, failure)) => return messages.failed(&failure),
        };
        let (verb, default) = match self.verb {
            Verb::Plain(verb) => {
                let run = verb(&args, &mut env);
                return Output::nowhere(env.messages()).finish(run, &env);
            }
            Verb::Stream(verb) => (verb, Default::Stream),
            Verb::Show(verb) => (verb, Default::Show),
            Verb::Report(verb) => (verb, Default::Report),
        };
        match env.output(&args, default) {
            Ok(mut out) => {
                let run = verb(&args, &mut env, &mut out);
                out.finish(run, &env)
            }
            Err(failure) => env.messages().failed(&failure),
        }
    }
}
