//! What went wrong with some data and is to be told once: a number that does not fit 64 bits is no match, but nobody expects that.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use woof_core::error::{Code, Error};

/// The first trouble of a predicate, for all who evaluate it.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    text: OnceLock<Box<str>>,
    told: AtomicBool,
}

impl Trouble {
    /// Takes note of a trouble, if it is the first.
    pub(super) fn note(&self, text: &str) {
        // Whatever came before is what is told.
        let _ = self.text.set(text.into());
    }

    /// The error to tell, once.
    pub(super) fn take(&self) -> Option<Error> {
        let text = self.text.get()?;
        if self.told.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(Error::new(Code::Invalid, "expression", format!("{text}: no match (told once)")))
    }
}
