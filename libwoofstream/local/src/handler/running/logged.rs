//! What a handler writes, in the server's log.

use super::run::Channel;
use super::written::{Written, text};
use std::borrow::Cow;
use woof_core::limits::HANDLER_LOGGED_MAX;

/// What a line takes in the log besides its text, in bytes.
const LINE_COST: u64 = 64;

/// Writes the lines of one run to the log, up to [`HANDLER_LOGGED_MAX`].
#[derive(Debug, Default)]
pub struct Logged {
    bytes: u64,
}

impl Logged {
    /// Logs what a handler wrote on a channel.
    pub fn written(&mut self, trigger: &str, handler: &str, channel: Channel, written: Written<'_>) {
        let mut is_error = channel == Channel::Err;
        let line = match written {
            Written::Line(line) | Written::Bytes(line) => {
                Cow::Borrowed(line.strip_suffix(b"\n").unwrap_or(line))
            }
            Written::Data(content, data) => {
                let mut line = Vec::new();
                content.write_text(data, &mut line);
                Cow::Owned(line)
            }
            Written::Error(fault) => {
                is_error = true;
                Cow::Owned(text(fault).into_bytes())
            }
            Written::Broken(why) => {
                is_error = true;
                Cow::Borrowed(why.as_bytes())
            }
        };
        let before = self.bytes;
        // Each line has its time and its trigger in the log too.
        self.bytes = before.saturating_add(line.len() as u64 + LINE_COST);
        if self.bytes <= HANDLER_LOGGED_MAX {
            // Whoever writes the log sees to it that it is one line and does no harm to who reads it.
            let text = String::from_utf8_lossy(&line);
            if is_error {
                tracing::warn!(trigger, handler, "{text}");
            } else {
                tracing::info!(trigger, handler, "{text}");
            }
        } else if before <= HANDLER_LOGGED_MAX {
            tracing::warn!(trigger, handler, limit = HANDLER_LOGGED_MAX, "more output is not logged");
        }
    }
}
