//! Lines of a handler in the server's log.

use super::run::Channel;
use crate::limits::HANDLER_LOGGED_MAX;

/// What a line takes in the log besides its text, in bytes.
const LINE_COST: u64 = 64;

/// Writes the lines of one run to the log, up to [`HANDLER_LOGGED_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Logged {
    bytes: u64,
}

impl Logged {
    pub(crate) fn line(&mut self, trigger: &str, handler: &str, channel: Channel, line: &[u8]) {
        let before = self.bytes;
        // Each line has its time and its trigger in the log too.
        self.bytes = before.saturating_add(line.len() as u64 + LINE_COST);
        if self.bytes <= HANDLER_LOGGED_MAX {
            // As text that cannot do harm to who reads the log.
            let text = String::from_utf8_lossy(line);
            match channel {
                Channel::Out => tracing::info!(trigger, handler, "{}", text.escape_debug()),
                Channel::Err => tracing::warn!(trigger, handler, "{}", text.escape_debug()),
            }
        } else if before <= HANDLER_LOGGED_MAX {
            tracing::warn!(trigger, handler, limit = HANDLER_LOGGED_MAX, "more output is not logged");
        }
    }
}
