//! `wattr`: shows and changes what holds in a namespace: who may do what, and where its handlers run.

mod container;

use crate::support::prelude::*;
use libwoofstream::access::{AccessList, Change, Rights};
use libwoofstream::space::Space as _;
use libwoofstream::wire::Value;

pub(crate) const COMMAND: Command = Command {
    name: "wattr",
    about: "shows and changes who may do what in a namespace, and where its handlers run",
    group: Group::Security,
    define,
    verb: Verb::Show(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Shows or changes the access list of a namespace: who of those that come through a server may do what. Without a \
             CHANGE the list is shown. A CHANGE is one of\n\n\
             grant user NAME RIGHT..., grant group NAME RIGHT..., grant any RIGHT...: gives rights besides those that are there; \
             any is everybody of whom the server knows who they are, anonymous (in the place of any) those who come without TLS.\n\n\
             revoke user NAME [RIGHT...], revoke group NAME [RIGHT...], revoke any [RIGHT...]: takes rights away, without RIGHT \
             all of them.\n\n\
             owner NAME: makes a user the owner for those who come over TLS; owner alone goes back to the user who owns the \
             directory.\n\n\
             A RIGHT is read, put, create, remove, trigger (have handlers run), admin (change this list, reset clocks) or all. The owner has \
             all of them; without a list nobody else has any. The list is the file .woof/access in the namespace. On this \
             machine, without a server, the permissions of the files decide.\n\n\
             container IMAGE [memory SIZE] [cpus NUMBER] [network] [user UID:GID]: has the handlers of the namespace run in a \
             container of this image, by the container engine of the machine: 1 GiB of memory and one processor if nothing else is \
             said, without a network unless allowed, as the owner of the directory. Where that is root it is nobody, who can write to none \
             of root's files: chown -R UID:GID NAME first. container none has them run as processes even where wserve --container says \
             otherwise, container default leaves it to wserve, container alone shows \
             what is set. This is the file .woof/container, and is set on the machine that has the namespace.\n\n\
             clock reset, of a woof: when an element was put under a clock that was ahead, all later ones get its time until the clock is \
             there. This ends that: what is put from then on gets the time of the clock. Elements with times ahead keep them, and are found \
             by time (--since, --until) as if they had that of the last one before them that is right.",
        )
        .arg(flags::operand("NAME", "The namespace, or for clock reset the woof"))
        .arg(flags::operands("CHANGE", "What to change; without it the list is shown"))
        .arg(flags::verbose().help("Show the list after a change"))
        .arg(flags::timeout())
        .after_long_help(
            "EXAMPLES\n  wattr farm\n  wattr farm grant user alice read put\n  wattr farm grant group ops all\n  \
             wattr farm grant any read\n  wattr farm revoke user alice put\n  wattr farm owner carol\n  \
             wattr farm container alpine:3 memory 256MiB\n  wattr farm/temp clock reset\n  \
             wattr farm --json | jq 'select(.who == \"user\") | .name'",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let name = args.text("NAME").unwrap_or_default();
    let words: Vec<&str> = args.texts("CHANGE").collect();
    let list = match words.as_slice() {
        [] | ["access"] => env.spaces().access(name)?,
        ["container", words @ ..] => return container::run(name, words, args, env, out),
        ["clock", "reset"] => {
            let note = if env.spaces().reset_clock(name)? {
                "its clock is reset: elements get the time at which they are put"
            } else {
                "nothing to reset: no element is ahead of the clock"
            };
            if args.has("verbose") {
                env.messages().note(&format!("{name}: {note}"));
            }
            return Ok(Outcome::Done);
        }
        ["clock", ..] => {
            return Err(Failure::invalid("clock", "of a woof can be reset: wattr NAME clock reset"));
        }
        words => {
            let change = Change::parse(words.iter().copied())
                .map_err(|error| Failure::from(error).help("wattr NAME grant user alice read put"))?;
            let list = env.spaces().set_access(name, &change)?;
            if !args.has("verbose") {
                return Ok(Outcome::Done);
            }
            list
        }
    };
    let rows = rows(&list);
    if out.form() == Form::Text {
        let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let kind = rows.iter().map(|row| row.who.len()).max().unwrap_or(0);
        for Row { who, name, rights } in &rows {
            out.line(&format!("{who:<kind$}  {name:<width$}  {rights}"))?;
        }
    } else {
        for row in &rows {
            out.dir(&row.dir(name))?;
        }
    }
    if let Some(fault) = list.fault() {
        out.error(&Error::new(Code::Invalid, name, format!("only the owner has rights: {fault}")))?;
    }
    Ok(Outcome::Done)
}

/// A line of what is shown.
struct Row {
    who: &'static str,
    name: String,
    rights: Rights,
}

impl Row {
    fn dir(&self, namespace: &str) -> Dir {
        let rights: Vec<Value> = self.rights.iter().map(|right| Value::from(right.as_str())).collect();
        let dir = Dir::new().set("path", namespace).set("type", "access").set("who", self.who);
        let dir = if self.name.is_empty() { dir } else { dir.set("name", self.name.clone()) };
        dir.set("rights", rights)
    }
}

/// The owner first, then the rules.
fn rows(list: &AccessList) -> Vec<Row> {
    let (uid, login) = list.directory_owner();
    let owner = list.owner().or(login).map(str::to_owned);
    let owner = owner.or_else(|| uid.map(|uid| format!("uid {uid}"))).unwrap_or_default();
    // Of a namespace elsewhere it may not be known who owns the directory.
    let owner = Some(owner).filter(|name| !name.is_empty());
    let row = |name| Row { who: "owner", name, rights: Rights::all() };
    let mut rows: Vec<Row> = owner.map(row).into_iter().collect();
    for rule in list.rules() {
        let name = rule.who.name().unwrap_or_default().to_owned();
        rows.push(Row { who: rule.who.kind(), name, rights: rule.rights });
    }
    rows
}
