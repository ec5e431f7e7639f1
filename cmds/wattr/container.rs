//! What kind of container the handlers of a namespace run in: shown, set, taken away.

use crate::support::prelude::*;
use crate::support::units::{human_size, parse_number, parse_size};
use libwoofstream::handler::container::Settings;
use libwoofstream::name::STATE_DIR;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// `container [IMAGE [memory SIZE] [cpus NUMBER] [network] [user UID:GID]]`, `container none`, `container default`.
pub(super) fn run(name: &str, words: &[&str], args: &Args, env: &Env, out: &mut Output) -> Run {
    let namespace = namespace(name, env)?;
    match words {
        [] => return show(name, &namespace, out),
        ["default"] => Settings::remove(&namespace)?,
        ["none"] => Settings::of("").save(&namespace)?,
        ["", ..] => {
            let failure = Failure::invalid("\"\"", "the name of the image is empty");
            return Err(failure.help("wattr NAME container none has handlers run as processes"));
        }
        [image, words @ ..] => {
            let settings = parse(image, words)?;
            settings.save(&namespace)?;
            if settings.user.is_none() && namespace.metadata().is_ok_and(|meta| meta.uid() == 0) {
                env.messages().note(&format!(
                    "{name}: root owns it, so its handlers run as nobody, who may not write there: \
                     chown -R UID:GID {name}, or container {image} user UID:GID of who may"
                ));
            }
        }
    }
    if args.has("verbose") { show(name, &namespace, out) } else { Ok(Outcome::Done) }
}

fn namespace(name: &str, env: &Env) -> Result<PathBuf, Failure> {
    let text = "a container is set on the machine that has the namespace";
    let path = env.local_path(name)?.ok_or_else(|| Error::new(Code::Unsupported, name, text))?;
    if !Path::new(&path).join(STATE_DIR).is_dir() {
        let text = format!("not a namespace: it has no directory {STATE_DIR}");
        return Err(Error::new(Code::NotFound, name, text).into());
    }
    Ok(path.into())
}

fn parse(image: &str, mut words: &[&str]) -> Result<Settings, Failure> {
    let mut settings = Settings::of(image);
    let id = |text: &str| u32::try_from(parse_number(text, 0..=u64::from(u32::MAX)).ok()?).ok();
    let refuse = |word: &str, text: &str| Failure::invalid(word, text);
    while let [word, rest @ ..] = words {
        let value = rest.first().copied();
        let taken = match (*word, value) {
            ("network", _) => {
                settings.network = true;
                0
            }
            ("memory", Some(value)) => {
                settings.memory = parse_size(value)?;
                1
            }
            ("cpus", Some(value)) => {
                settings.cpus = value.parse().map_err(|_| refuse(value, "not a number of processors"))?;
                1
            }
            ("user", Some(value)) => {
                let ids = value.split_once(':').and_then(|(uid, gid)| Some((id(uid)?, id(gid)?)));
                settings.user = Some(ids.ok_or_else(|| refuse(value, "not UID:GID, two numbers"))?);
                1
            }
            ("memory" | "cpus" | "user", None) => return Err(refuse(word, "has no value")),
            _ => return Err(refuse(word, "not one of memory, cpus, network, user")),
        };
        words = rest.get(taken..).unwrap_or_default();
    }
    Ok(settings)
}

fn show(name: &str, namespace: &Path, out: &mut Output) -> Run {
    let Some(settings) = Settings::load(namespace)? else {
        if out.form() == Form::Text {
            out.bytes(b"default\n")?;
        }
        return Ok(Outcome::Done);
    };
    if out.form() != Form::Text {
        let dir = Dir::new().set("path", name).set("type", "container").set("image", settings.image.clone());
        let dir =
            dir.set("memory", settings.memory).set("cpus", settings.cpus).set("network", settings.network);
        let dir = match settings.user {
            Some((uid, gid)) => dir.set("user", format!("{uid}:{gid}")),
            None => dir,
        };
        out.dir(&dir)?;
        return Ok(Outcome::Done);
    }
    if settings.image.is_empty() {
        out.bytes(b"none\n")?;
        return Ok(Outcome::Done);
    }
    // What was typed to set it.
    let mut text = format!(
        "{}  memory {}  cpus {}",
        settings.image,
        human_size(settings.memory).replace(' ', ""),
        settings.cpus
    );
    if settings.network {
        text.push_str("  network");
    }
    if let Some((uid, gid)) = settings.user {
        text.push_str(&format!("  user {uid}:{gid}"));
    }
    out.line(&text)?;
    Ok(Outcome::Done)
}
