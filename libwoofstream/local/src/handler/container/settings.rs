//! What kind of container a namespace wants for its handlers: the file `.woof/container` in it, JSON, written whole.
//!
//! Failure contract: a file that is not understood is an error by its name, and no handler of the namespace runs until it is mended: what was to run apart from
//! this machine is never run on it instead.

use serde::{Deserialize, Serialize};
use std::path::Path;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::CONTAINER_FILE_MAX;
use woof_core::name::{STATE_DIR, StateDir};
use woof_core::text;

/// The name of the file in the state directory.
pub const FILE: &str = "container";

/// The image, and what its container may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The image; empty: no container, handlers are processes of this machine.
    pub image: String,
    /// It may use the network.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// All that runs in it may have so much memory, in bytes.
    #[serde(default = "default_memory")]
    pub memory: u64,
    /// All that runs in it may use so many processors.
    #[serde(default = "default_cpus")]
    pub cpus: f64,
    /// The user and group it runs as; without, the owner of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<(u32, u32)>,
}

fn default_memory() -> u64 {
    1 << 30
}

fn default_cpus() -> f64 {
    1.0
}

impl Settings {
    /// A container of an image, with the defaults.
    pub fn of(image: &str) -> Settings {
        Settings {
            image: image.to_owned(),
            network: false,
            memory: default_memory(),
            cpus: default_cpus(),
            user: None,
        }
    }

    /// The settings of a namespace, given by its directory; `None` where it has none.
    ///
    /// # Errors
    /// When they cannot be read or understood. The object of the error is the file.
    pub fn load(namespace: &Path) -> Result<Option<Settings>> {
        match StateDir::of(namespace) {
            Err(err) if err.code() == Code::NotFound => Ok(None),
            state => Settings::load_from(&state?),
        }
    }

    /// As [`Settings::load`], of a namespace that is open.
    pub(in crate::handler) fn load_from(state: &StateDir) -> Result<Option<Settings>> {
        let Some(text) = state.read(FILE, CONTAINER_FILE_MAX)? else { return Ok(None) };
        let text = text::unmarked(&text).map_err(|err| err.of(state.shown(FILE)))?;
        let settings: Settings = serde_json::from_slice(text)
            .map_err(|err| Error::new(Code::Invalid, state.shown(FILE), err.to_string()))?;
        settings.check().map_err(|err| err.of(state.shown(FILE)))?;
        Ok(Some(settings))
    }

    /// Writes the settings of a namespace, given by its directory.
    ///
    /// # Errors
    /// When they cannot be, or cannot be written.
    pub fn save(&self, namespace: &Path) -> Result<()> {
        self.check()?;
        let text =
            serde_json::to_string(self).map_err(|err| Error::new(Code::Invalid, "", err.to_string()))?;
        StateDir::of(namespace)?.replace(FILE, format!("{text}\n").as_bytes(), 0o644)
    }

    /// Takes the settings of a namespace away.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(namespace: &Path) -> Result<()> {
        let path = namespace.join(STATE_DIR).join(FILE);
        match std::fs::remove_file(&path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(path.display().to_string(), "remove", err))
            }
            _ => Ok(()),
        }
    }

    /// Looks whether they can be.
    ///
    /// # Errors
    /// [`Code::Invalid`], saying what cannot be.
    pub fn check(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::new(Code::Invalid, &*self.image, text));
        if self.image.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
            || self.image.starts_with('-')
        {
            return refuse("not the name of an image".to_owned());
        }
        if self.memory < MEMORY_MIN {
            return refuse(format!("memory of {} bytes: a container needs {MEMORY_MIN}", self.memory));
        }
        if !(0.01..=1024.0).contains(&self.cpus) {
            return refuse(format!("{} processors: from 0.01 to 1024", self.cpus));
        }
        if self.user.is_some_and(|(uid, _)| uid == 0) {
            return refuse("user 0: handlers in a container do not run as root".to_owned());
        }
        Ok(())
    }
}

/// Docker refuses less.
const MEMORY_MIN: u64 = 6 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> woof_kit::TempDir {
        let dir = woof_kit::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(STATE_DIR)).unwrap();
        dir
    }

    #[test]
    fn settings_are_kept_and_taken_away() {
        let dir = namespace();
        assert_eq!(Settings::load(dir.path()).unwrap(), None);
        let settings =
            Settings { network: true, user: Some((1000, 100)), cpus: 0.5, ..Settings::of("alarm:3") };
        settings.save(dir.path()).unwrap();
        assert_eq!(Settings::load(dir.path()).unwrap(), Some(settings));
        std::fs::write(dir.path().join(".woof/container"), r#"{"image":"x"}"#).unwrap();
        assert_eq!(Settings::load(dir.path()).unwrap(), Some(Settings::of("x")));
        Settings::remove(dir.path()).unwrap();
        Settings::remove(dir.path()).unwrap();
        assert_eq!(Settings::load(dir.path()).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let dir = namespace();
        for (settings, text) in [
            (
                Settings { memory: 1000, ..Settings::of("i") },
                "i: memory of 1000 bytes: a container needs 6291456",
            ),
            (Settings { cpus: 0.0, ..Settings::of("i") }, "i: 0 processors: from 0.01 to 1024"),
            (Settings { cpus: f64::NAN, ..Settings::of("i") }, "i: NaN processors: from 0.01 to 1024"),
            (
                Settings { user: Some((0, 0)), ..Settings::of("i") },
                "i: user 0: handlers in a container do not run as root",
            ),
            (Settings::of("a b"), "a b: not the name of an image"),
            (Settings::of("--privileged"), "--privileged: not the name of an image"),
        ] {
            assert_eq!(settings.save(dir.path()).unwrap_err().to_string(), text);
        }
        let file = dir.path().join(".woof/container");
        for bad in ["", "{}", r#"{"image":"x","privileged":true}"#, r#"{"image":"x","user":[0,0]}"#] {
            std::fs::write(&file, bad).unwrap();
            let err = Settings::load(dir.path()).unwrap_err().to_string();
            assert!(err.starts_with(&format!("{}: ", file.display())), "{err}");
        }
    }
}
