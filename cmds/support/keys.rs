//! Where the keys of the user are, and who the user is to this machine.
//!
//! Failure contract: an environment that names no place is an error that says which variable to set.

use super::args::Args;
use super::command::Failure;
use libwoofstream::keys::Store;
use libwoofstream::sys::users;
use std::ffi::OsString;
use std::path::PathBuf;

/// `--keys`: the directory of the keys.
pub fn flag() -> clap::Arg {
    super::flags::option(
        "keys",
        '\0',
        "DIR",
        "The directory of the keys [default: $WOOF_KEYS, or ~/.config/woofstream/keys]",
    )
}

/// The store of keys: `--keys`, else `$WOOF_KEYS`, else `woofstream/keys` in `$XDG_CONFIG_HOME` or `~/.config`.
///
/// # Errors
/// When none of these is there.
pub fn store(args: &Args) -> Result<Store, Failure> {
    match place(args.text("keys"), |name| std::env::var_os(name)) {
        Some(dir) => Ok(Store::open(dir)),
        None => Err(Failure::invalid("", "no place for keys: neither WOOF_KEYS nor HOME is set")),
    }
}

/// The directory of the keys, as [`store`] finds it without a flag.
pub(crate) fn dir() -> Option<PathBuf> {
    place(None, |name| std::env::var_os(name))
}

fn place(flag: Option<&str>, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = || set("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    flag.map(PathBuf::from).or_else(|| set("WOOF_KEYS")).or_else(|| {
        let config = config().or_else(|| set("HOME").map(|home| home.join(".config")))?;
        Some(config.join("woofstream/keys"))
    })
}

/// The login name of who runs this.
pub fn login() -> Option<String> {
    users::user_name(rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_that_is_set_is_taken() {
        let of = |flag: Option<&str>, vars: &[(&str, &str)]| {
            let env = |name: &str| {
                vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            };
            place(flag, env).map(|dir| dir.display().to_string())
        };
        let all = [("WOOF_KEYS", "k"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(of(Some("f"), &all).as_deref(), Some("f"));
        assert_eq!(of(None, &all).as_deref(), Some("k"));
        assert_eq!(of(None, &all[1..]).as_deref(), Some("/x/woofstream/keys"));
        assert_eq!(of(None, &all[2..]).as_deref(), Some("/h/.config/woofstream/keys"));
        // A relative one does not count, as its rules say.
        assert_eq!(
            of(None, &[("XDG_CONFIG_HOME", "x"), ("HOME", "/h")]).as_deref(),
            Some("/h/.config/woofstream/keys")
        );
        assert_eq!(of(None, &[("WOOF_KEYS", ""), ("HOME", "")]), None);
    }
}
