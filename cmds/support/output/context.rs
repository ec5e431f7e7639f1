//! What the messages before say about those that come: the woof they are of, and its content type.

use libwoofstream::content::ContentType;
use libwoofstream::wire::Dir;

/// The context that the last `Dir` gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The name of the woof or file; empty where no `Dir` came.
    pub woof: String,
    /// What its elements are.
    pub content: ContentType,
}

impl Context {
    /// Takes over what `dir` says: the name in `path` (or `name`), the content type in `content`.
    pub fn enter(&mut self, dir: &Dir) {
        self.woof.clear();
        self.woof.push_str(dir.text("path").or_else(|| dir.text("name")).unwrap_or_default());
        // A content type from the future is shown as it is, like text.
        self.content = dir.text("content").and_then(|name| ContentType::parse(name).ok()).unwrap_or_default();
    }
}
