//! What the messages before say about those that come: the woof they are of, and its content type.

use libwoofstream::content::ContentType;
use libwoofstream::name::shown;
use libwoofstream::wire::Dir;

/// The context that the last `Dir` gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The name of the woof or file; empty where no `Dir` came. Of a name that is not UTF-8 it is the form for people.
    pub woof: String,
    /// The bytes of a name that is not UTF-8.
    pub(super) raw: Option<Vec<u8>>,
    /// What its elements are.
    pub content: ContentType,
}

impl Context {
    /// Takes over what `dir` says: the name in `path` (or `name`), the content type in `content`.
    pub fn enter(&mut self, dir: &Dir) {
        let name = dir.name("path").or_else(|| dir.name("name")).unwrap_or_default();
        self.woof.clear();
        self.raw = None;
        match std::str::from_utf8(name) {
            Ok(name) => self.woof.push_str(name),
            Err(_) => {
                self.woof.push_str(&shown(name));
                self.raw = Some(name.to_owned());
            }
        }
        // A content type from the future is shown as it is, like text.
        self.content = dir.text("content").and_then(|name| ContentType::parse(name).ok()).unwrap_or_default();
    }

    /// The name of the woof, byte for byte.
    pub fn name(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.woof.as_bytes())
    }

    /// The bytes of the name where it is not UTF-8.
    pub fn raw_name(&self) -> Option<&[u8]> {
        self.raw.as_deref()
    }
}
