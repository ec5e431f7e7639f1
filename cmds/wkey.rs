//! `wkey`: keys and certificates: an authority, identities of users, certificates of hosts.

use crate::support::keys;
use crate::support::prelude::*;
use crate::support::time;
use libwoofstream::keys::{Certificate, Entry, Kind as Role, Store};
use libwoofstream::sys;
use libwoofstream::wire::Value;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(crate) const COMMAND: Command = Command {
    name: "wkey",
    about: "makes and shows keys and certificates",
    group: Group::Security,
    define,
    verb: Verb::Show(run),
};

/// How long an identity or a host certificate is valid.
const DAYS: u64 = 365;

fn define(command: clap::Command) -> clap::Command {
    let days = || {
        let most = u64::from(libwoofstream::limits::DAYS_MAX);
        flags::number_in("days", '\0', "DAYS", "How long it is valid [default: 365]", 1..=most)
    };
    let replace = || flags::flag("replace", '\0', "Revoke the one that is there, and make a new one");
    let sub = |name: &'static str, about: &'static str| clap::Command::new(name).about(about);
    command
        .long_about(
            "Makes the keys by which servers and users know each other. One authority signs all of them: wkey init makes it, once. \
             Where it is, wkey add makes identities of users and wkey host certificates of servers. wkey export and wkey import \
             carry them to other machines. A server on the machine of the authority makes its own certificate and needs no wkey \
             host.\n\n\
             Keys are files that nobody else can read. They are in the directory that --keys or WOOF_KEYS names, else in \
             woofstream/keys in $XDG_CONFIG_HOME or ~/.config. Without a subcommand all of them are shown.",
        )
        .arg(keys::flag().global(true))
        .arg(flags::verbose().global(true))
        .disable_help_subcommand(true)
        .subcommands([
            sub("init", "makes an authority, valid for ten years")
                .arg(clap::Arg::new("NAME").help("Its name [default: login@host]")),
            sub("add", "makes the identity of a user")
                .arg(flags::operand("USER", "The name of the user"))
                .arg(
                    flags::option("group", 'g', "GROUP", "A group that the user is in; may be given several times")
                        .action(clap::ArgAction::Append),
                )
                .arg(days())
                .arg(replace()),
            sub("host", "makes the certificate of a server")
                .arg(
                    flags::operands("NAME", "The names and addresses by which clients reach it; it is kept by the first")
                        .required(true),
                )
                .arg(days())
                .arg(replace()),
            sub("show", "shows what there is").arg(flags::operands("NAME", "Only these")),
            sub("revoke", "takes back a certificate").arg(flags::operand(
                "NAME",
                "A user or host (user/NAME or host/NAME where there are both), or a serial number",
            )),
            sub("export", "writes a certificate and its key, to carry it to another machine")
                .arg(clap::Arg::new("NAME").help(
                    "A user or host; without it only the authority and what is revoked are written, which is no secret",
                ))
                .arg(clap::Arg::new("FILE").help("Where to, readable by you alone [default: standard output]")),
            sub("import", "takes in what wkey export wrote")
                .arg(flags::operand("FILE", "What to take in; - is standard input")),
        ])
        .after_long_help(
            "EXAMPLES\n  wkey init && wkey add $USER\n  wkey add alice --group ops --days 30\n  wkey host edge7.lan 10.0.0.7\n  \
             wkey\n  wkey export alice alice.pem          # then, on alice's machine: wkey import alice.pem\n  \
             wkey revoke alice && wkey export > revoked.pem   # then, on each server: wkey import revoked.pem",
        )
}

fn run(args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let store = keys::store(args)?;
    let name = args.text("NAME");
    let done = match args.subcommand() {
        Some("init") => {
            store.init(&name.map_or_else(authority_name, str::to_owned))?;
            "made an authority".to_owned()
        }
        Some("add") => {
            let (user, groups) = (args.text("USER").unwrap_or_default(), args.texts("group"));
            let groups: Vec<String> = groups.map(str::to_owned).collect();
            store.add(user, &groups, days(args), args.has("replace"))?;
            format!("made the identity of user {user}")
        }
        Some("host") => {
            let names: Vec<String> = args.texts("NAME").map(str::to_owned).collect();
            store.host(&names, days(args), args.has("replace"))?;
            format!("made the certificate of host {}", names.join(" "))
        }
        Some("revoke") => format!("revoked {}", store.revoke(name.unwrap_or_default())?),
        Some("export") => return export(&store, args, env, out),
        Some("import") => {
            let file = args.text("FILE").unwrap_or_default();
            match import(&store, file, env)? {
                Some(certificate) => {
                    warn_of_open_key(env, file);
                    format!("took in {} {}", certificate.kind.as_str(), certificate.name)
                }
                None => "took in what is revoked".to_owned(),
            }
        }
        _ => return show(&store, args, out),
    };
    note(args, env, &store, &done);
    Ok(Outcome::Done)
}

fn note(args: &Args, env: &Env, store: &Store, done: &str) {
    if args.has("verbose") {
        env.messages().note(&format!("{}: {done}", store.dir().display()));
    }
}

fn days(args: &Args) -> u32 {
    u32::try_from(args.number("days").unwrap_or(DAYS)).unwrap_or(u32::MAX)
}

/// Who makes the authority, and where: what its certificate is shown by.
fn authority_name() -> String {
    let login = keys::login().unwrap_or_else(|| "woof".to_owned());
    let uname = rustix::system::uname();
    let name = format!("{login}@{}", uname.nodename().to_string_lossy());
    name.chars().filter(|char| !char.is_control()).take(40).collect()
}

fn export(store: &Store, args: &Args, env: &mut Env, out: &mut Output) -> Run {
    let name = args.text("NAME");
    let text = store.export(name)?;
    match args.text("FILE") {
        Some(file) => {
            sys::replace(Path::new(file), text.as_bytes(), 0o600).map_err(|error| error.of(file))?;
            note(args, env, store, &format!("wrote {} to {file}", name.unwrap_or_default()));
        }
        None => out.bytes(text.as_bytes())?,
    }
    Ok(Outcome::Done)
}

fn import(store: &Store, file: &str, env: &mut Env) -> Result<Option<Certificate>, Error> {
    let named = |error: Error| if error.object().is_empty() { error.of(file) } else { error };
    if file == "-" {
        return store.import(File::from(env.channels().take_input("in")?)).map_err(named);
    }
    store.import(File::open(file).map_err(|err| Error::io(file, "", err))?).map_err(named)
}

/// A key that was carried in a file that others can read may have been read.
fn warn_of_open_key(env: &Env, file: &str) {
    let meta = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file);
    if let Some(mode) = meta.map(|meta| meta.permissions().mode() & 0o7777).filter(|mode| mode & 0o044 != 0) {
        let text = format!("{file}: holds a key and is readable by others (mode {mode:04o}): remove it");
        env.messages().note(&text);
    }
}

fn show(store: &Store, args: &Args, out: &mut Output) -> Run {
    let names: Vec<&str> = args.texts("NAME").collect();
    let wanted = |certificate: &Certificate| {
        let full = format!("{}/{}", certificate.kind.as_str(), certificate.name);
        names.is_empty() || names.iter().any(|name| *name == certificate.name || *name == full)
    };
    let (mut entries, mut failed) = (Vec::new(), 0);
    for entry in store.list()? {
        match entry {
            Ok(entry) if wanted(&entry.certificate) => entries.push(entry),
            Ok(_) => {}
            Err(error) => {
                out.error(&error)?;
                failed += 1;
            }
        }
    }
    if out.form() == Form::Text {
        page(&entries, out)?
    } else {
        dirs(&entries, out)?
    }
    for name in names {
        let is_shown = |entry: &Entry| {
            let certificate = &entry.certificate;
            name == certificate.name || name == format!("{}/{}", certificate.kind.as_str(), certificate.name)
        };
        if !entries.iter().any(is_shown) {
            out.error(&Error::new(Code::NotFound, name, "no such user or host here"))?;
            failed += 1;
        }
    }
    Ok(Outcome::of_items(entries.len(), failed))
}

/// A line for each certificate: what it is, its name, until when, its groups or further names.
fn page(entries: &[Entry], out: &mut Output) -> Result<(), Error> {
    let now_ns = sys::now_ns();
    let now = i64::try_from(now_ns / 1_000_000_000).unwrap_or(i64::MAX);
    let width = entries.iter().map(|entry| entry.certificate.name.chars().count()).max().unwrap_or(0);
    for entry in entries {
        let Certificate { kind, name, groups, hosts, .. } = &entry.certificate;
        let state = match entry.state(now) {
            "valid" => format!(
                "until {}",
                time::local(ns(entry.certificate.not_after)).get(..10).unwrap_or_default()
            ),
            other => other.to_owned(),
        };
        let more = match kind {
            Role::Authority if entry.has_key => "with its key".to_owned(),
            Role::Authority => "without its key".to_owned(),
            Role::User => groups.join(" "),
            Role::Host => hosts.get(1..).unwrap_or_default().join(" "),
        };
        out.line(&format!("{:<9}  {name:<width$}  {state:<16}  {more}", kind.as_str()))?;
    }
    Ok(())
}

fn dirs(entries: &[Entry], out: &mut Output) -> Result<(), Error> {
    let now = i64::try_from(sys::now_ns() / 1_000_000_000).unwrap_or(i64::MAX);
    let list =
        |texts: &[String]| -> Vec<Value> { texts.iter().map(|text| Value::from(text.as_str())).collect() };
    for entry in entries {
        let certificate = &entry.certificate;
        let dir = Dir::new()
            .set("type", certificate.kind.as_str())
            .set("name", certificate.name.clone())
            .set("state", entry.state(now))
            .set("serial", certificate.serial.to_string())
            .set("not_before", ns(certificate.not_before))
            .set("not_after", ns(certificate.not_after))
            .set("has_key", entry.has_key);
        out.dir(&match certificate.kind {
            Role::Authority => dir,
            Role::User => dir.set("groups", list(&certificate.groups)),
            Role::Host => dir.set("names", list(&certificate.hosts)),
        })?;
    }
    Ok(())
}

/// A second since 1970 in nanoseconds.
fn ns(secs: i64) -> u64 {
    u64::try_from(secs).unwrap_or(0).saturating_mul(1_000_000_000)
}
