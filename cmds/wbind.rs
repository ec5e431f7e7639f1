//! `wbind`: which handlers run for the elements of a woof.

use crate::support::prelude::*;
use crate::support::{time, units};
use libwoofstream::handler::bindings::{self, place_in};
use libwoofstream::handler::{self, Binding, Bindings, Input as HandlerInput, Open};
use libwoofstream::name::{STATE_DIR, namespace_of};
use std::path::{Path, PathBuf};

pub(crate) const COMMAND: Command = Command {
    name: "wbind",
    about: "binds handlers to woofs",
    group: Group::Woofs,
    define,
    verb: Verb::Show(run),
};

/// The largest count that a binding holds.
const U32_MAX: u64 = u32::MAX as u64;

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Has a handler run for the elements of a woof that are put from now on, or for those of them that match --where. A handler is \
             a program in the directory handlers of the woof's namespace; a server (wserve) runs it. No element is lost, whatever is \
             killed when; the handler may see one twice. While its handlers are not done, an element is not overwritten: a woof that is \
             full of such elements refuses others.\n\n\
             NAME HANDLER binds. NAME shows the bindings of a woof or namespace, list [NAMESPACE] those of a namespace. remove, pause and \
             resume NAME [HANDLER] end a binding, or have it wait and go on; remove drops triggers that are not done, and says how many. \
             Of a woof that holds elements though \
             no handler is bound to it, as a copy of one that had bindings does, remove lets go of them. retry NAMESPACE [TRIGGER...] puts back triggers that were given up, all of them or those with these ids (wtail \
             NAMESPACE/.woof/dead, to which handlers can be bound too), each once unless it was given up again.\n\n\
             The handler gets the element on its standard input, and in its environment WOOF_NAMESPACE, WOOF_NAME, WOOF_SEQNO, WOOF_TIME, \
             WOOF_ATTEMPT, WOOF_CAUSE, WOOF_DEPTH and WOOF_TRIGGER. It is done when it exits with 0. What it writes goes to the log of the server.",
        )
        .arg(flags::operands("WORD", "A woof and a handler, or what to do and with what").required(true))
        .arg(flags::filter())
        .arg(flags::option("group", 'g', "GROUP", "Run one at a time and in order, with all that is bound in this group"))
        .arg(flags::number_in("retries", '\0', "COUNT", "How often a handler that failed is tried again [default: 3]", 0..=U32_MAX))
        .arg(flags::duration_of_some("limit", '\0', "How long a handler may take [default: 1m]"))
        .arg(flags::size_of_some("memory", '\0', "How much memory a handler may map [default: 4GiB]"))
        .arg(flags::number_in("at-once", '\0', "COUNT", "How many run at once [default: 4]", 1..=U32_MAX))
        .arg(flags::option("into", '\0', "WOOF", "Append what it writes to this woof of the namespace, each line or message an element"))
        .arg(flags::flag("framed", '\0', "Give it each element as a framed stream").conflicts_with("stream"))
        .arg(flags::flag("stream", '\0', "Start it once: it gets all elements in one framed stream and answers each with a line"))
        .arg(flags::flag("named", '\0', "Only for elements that are put with wput --handler HANDLER").conflicts_with("where"))
        .arg(flags::flag("chain", '\0', "However many handlers led to an element, handle it"))
        .arg(flags::seqno("start", "Begin with this element instead of the next one").long("from"))
        .arg(flags::verbose())
        .after_long_help(
            "EXAMPLES\n  wbind farm/temp alarm.sh --where 'value > 70'\n  wbind farm/orders book.py --group books --retries 10\n  \
             wbind farm/temp mean --stream --into means\n  wbind list farm\n  wbind pause farm/temp\n  wbind remove farm/temp alarm.sh\n  wbind retry farm",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let words: Vec<&str> = args.texts("WORD").collect();
    match words.as_slice() {
        ["list"] => list(".", env, out),
        ["list", name] => list(name, env, out),
        ["remove", name, handlers @ ..] if handlers.len() < 2 => {
            let place = match Place::of(name, env) {
                // No handler can be bound to it there; what a copy or a woof that was moved brought along may hold its elements.
                Err(_)
                    if handlers.is_empty()
                        && handler::let_go(Path::new(&local(name, env)?)).is_ok_and(|held| held) =>
                {
                    return told(args, env, name, "removed", 0);
                }
                place => place?,
            };
            let removed = bindings::remove(&place.namespace, &place.woof, handlers.first().copied())
                .map_err(|err| place.named(err))?;
            for open in &removed.dropped {
                env.messages().note(&format!("{name}: {}", dropped(open)));
            }
            if let Some(err) = removed.unsaid {
                env.error(&err);
            }
            told(args, env, name, "removed", removed.count)
        }
        [how @ ("pause" | "resume"), name, handlers @ ..] if handlers.len() < 2 => {
            let place = Place::of(name, env)?;
            let count =
                bindings::pause(&place.namespace, &place.woof, handlers.first().copied(), *how == "pause");
            told(
                args,
                env,
                name,
                if *how == "pause" { "paused" } else { "resumed" },
                count.map_err(|err| place.named(err))?,
            )
        }
        ["retry", name, triggers @ ..] => {
            let namespace = namespace(name, env)?;
            let retried = handler::retry(&namespace, triggers)?;
            for trigger in retried.already {
                let text = "put back already, and has not died again since: left as it is";
                env.error(&Error::new(Code::Exists, trigger, text));
            }
            told(args, env, name, "put back", retried.count)
        }
        ["retry"] => Err(Failure::invalid("retry", "takes a namespace, and ids of triggers")),
        [name @ ("remove" | "pause" | "resume"), ..] => {
            Err(Failure::invalid(*name, "takes a name, and at most one handler"))
        }
        [name] => list(name, env, out),
        [name, handler] => bind(name, handler, args, env),
        _ => Err(Failure::invalid("", "too many words").help("wbind NAME HANDLER")),
    }
}

/// A woof on this machine, by its namespace.
struct Place {
    /// As the user named it.
    typed: String,
    namespace: PathBuf,
    woof: String,
}

impl Place {
    fn of(name: &str, env: &Env) -> Result<Place, Failure> {
        let (namespace, woof) = place_in(Path::new(&local(name, env)?)).map_err(|err| err.of(name))?;
        Ok(Place { typed: name.to_owned(), namespace, woof })
    }

    /// An error about the woof, under the name that the user knows.
    fn named(&self, err: Error) -> Error {
        if err.object() == self.woof { err.of(&*self.typed) } else { err }
    }
}

fn local(name: &str, env: &Env) -> Result<String, Failure> {
    env.local_path(name)?.ok_or_else(|| {
        Failure::from(Error::new(
            Code::Unsupported,
            name,
            "handlers are bound on the machine that has the woof",
        ))
    })
}

/// The namespace that a name is, or lies in.
fn namespace(name: &str, env: &Env) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(local(name, env)?).map_err(|err| Error::io(name, "", err))?;
    if path.join(STATE_DIR).is_dir() {
        return Ok(path);
    }
    if !path.exists() {
        return Err(Error::new(Code::NotFound, name, "no such namespace or woof").into());
    }
    let found = namespace_of(&path).map(Path::to_owned);
    found.ok_or_else(|| Failure::from(Error::new(Code::NotFound, name, "no namespace")))
}

fn told(args: &Args, env: &Env, name: &str, what: &str, count: usize) -> Run {
    if args.has("verbose") {
        env.messages().note(&format!("{name}: {count} {what}"));
    }
    Ok(Outcome::Done)
}

/// What goes with a binding that is removed.
fn dropped(Open { handler, count, first, last }: &Open) -> String {
    match count {
        1 => format!("{handler} removed with a trigger that was not done: element {first}"),
        _ => format!(
            "{handler} removed with {count} triggers that were not done: from element {first} to {last}"
        ),
    }
}

fn bind(name: &str, handler: &str, args: &Args, env: &Env) -> Run {
    let place = Place::of(name, env)?;
    handler::check_program(&place.namespace, handler).map_err(|err| {
        // Of a name that cannot be one, no program can be installed.
        let help = format!("install -m 755 PROGRAM {}", shown_handler(&place.namespace, handler));
        let failure = Failure::from(err);
        if bindings::check_handler(handler).is_ok() { failure.help(help) } else { failure }
    })?;
    let mut binding = Binding::new(&place.woof, handler);
    binding.filter = args.text("where").map(str::to_owned);
    binding.group = args.text("group").map(str::to_owned);
    let count = |id: &str, default: u32| match args.number(id).map(u32::try_from) {
        None => Ok(default),
        Some(Ok(count)) => Ok(count),
        Some(Err(_)) => Err(Failure::invalid(format!("--{id}"), format!("is over {}", u32::MAX))),
    };
    binding.retries = count("retries", binding.retries)?;
    binding.at_once = count("at-once", binding.at_once)?;
    binding.timeout_ms = args.number("limit").map_or(binding.timeout_ms, |ns| (ns / 1_000_000).max(1));
    binding.memory = args.number("memory").unwrap_or(binding.memory);
    binding.into = args.text("into").map(str::to_owned);
    binding.named = args.has("named").then_some(1);
    binding.chain = args.has("chain");
    binding.input = match (args.has("framed"), args.has("stream")) {
        (true, _) => HandlerInput::Framed,
        (_, true) => HandlerInput::Stream,
        _ => HandlerInput::Raw,
    };
    let added =
        bindings::add(&place.namespace, &binding, args.number("start")).map_err(|err| place.named(err))?;
    if args.has("verbose") {
        env.messages().note(&format!("{name}: bound to {handler} from element {} on", added.from));
    }
    Ok(Outcome::Done)
}

/// Where a handler's program belongs, from here if it is below.
fn shown_handler(namespace: &Path, handler: &str) -> String {
    let path = namespace.join(handler::HANDLERS_DIR).join(handler);
    let below = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok());
    below.unwrap_or(&path).display().to_string()
}

fn list(name: &str, env: &Env, out: &mut Output) -> Run {
    let namespace = namespace(name, env)?;
    let woof = std::path::absolute(local(name, env)?).ok();
    let woof = woof
        .as_deref()
        .and_then(|path| path.strip_prefix(&namespace).ok())
        .and_then(Path::to_str)
        .unwrap_or_default();
    let bindings = Bindings::load(&namespace)?;
    for binding in bindings.list.iter().filter(|binding| woof.is_empty() || binding.woof == woof) {
        if out.form() == Form::Text {
            out.line(&format!("{}  {}  {}{}", binding.id, binding.woof, binding.handler, options(binding)))?;
        } else {
            out.dir(&dir(binding))?;
        }
    }
    Ok(Outcome::Done)
}

/// What is not as it is by itself, in the flags that ask for it.
fn options(binding: &Binding) -> String {
    let plain = Binding::new(&binding.woof, &binding.handler);
    let mut text = String::new();
    let mut add = |flag: &str| {
        text.push_str("  ");
        text.push_str(flag);
    };
    if let Some(filter) = &binding.filter {
        add(&format!("--where '{filter}'"));
    }
    if binding.named.is_some() {
        add("--named");
    }
    if let Some(group) = &binding.group {
        add(&format!("--group {group}"));
    }
    if binding.retries != plain.retries {
        add(&format!("--retries {}", binding.retries));
    }
    if binding.timeout_ms != plain.timeout_ms {
        add(&format!("--limit {}ms", binding.timeout_ms));
    }
    if binding.memory != plain.memory {
        add(&format!("--memory {}", units::human_size(binding.memory)));
    }
    if binding.at_once != plain.at_once {
        add(&format!("--at-once {}", binding.at_once));
    }
    if let Some(into) = &binding.into {
        add(&format!("--into {into}"));
    }
    match binding.input {
        HandlerInput::Raw => {}
        HandlerInput::Framed => add("--framed"),
        HandlerInput::Stream => add("--stream"),
    }
    if binding.chain {
        add("--chain");
    }
    if binding.paused {
        add("paused");
    }
    text
}

fn dir(binding: &Binding) -> Dir {
    let mut dir = Dir::new()
        .set("path", binding.woof.clone())
        .set("type", "binding")
        .set("id", u64::from(binding.id))
        .set("handler", binding.handler.clone())
        .set("retries", u64::from(binding.retries))
        .set("timeout_ms", binding.timeout_ms)
        .set("at_once", u64::from(binding.at_once))
        .set("memory", binding.memory)
        .set("named", binding.named.is_some())
        .set("chain", binding.chain)
        .set("paused", binding.paused)
        .set("from", binding.from);
    for (name, value) in [("where", &binding.filter), ("group", &binding.group), ("into", &binding.into)] {
        if let Some(value) = value {
            dir = dir.set(name, value.clone());
        }
    }
    let input = match binding.input {
        HandlerInput::Raw => "raw",
        HandlerInput::Framed => "framed",
        HandlerInput::Stream => "stream",
    };
    dir.set("input", input).set("made", time::rfc3339(binding.made))
}
