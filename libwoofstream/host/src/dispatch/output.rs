//! Where what a handler writes goes: into the log of the server, or into a woof.
//!
//! Failure contract: what cannot be appended fails the attempt, with the reason. What is over a limit costs nothing but the reading.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use woof_core::content::{ContentType, convert};
use woof_core::error::Code;
use woof_core::limits::HANDLER_OUTPUT_MAX;
use woof_core::name::Namespace;
use woof_core::sys::Named;
use woof_local::handler::bindings::Binding;
use woof_local::handler::logged::Logged;
use woof_local::handler::own::open_woof;
use woof_local::handler::run::Channel;
use woof_local::handler::written::Written;
use woof_log::{Appender, Mark};

/// After so long, who waits for room in a woof looks whether it is to end.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long output waits for room in a woof that is full of elements whose handlers are not done. Meanwhile nobody reads what the handler writes, so
/// that it waits too.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) until: Instant,
    /// Set when there is to be no more waiting.
    pub(super) over: &'a AtomicBool,
}

/// Where the output of an attempt goes.
pub(super) struct Output {
    logged: Logged,
    into: Option<Into>,
}

/// A woof that output is appended to.
struct Into {
    name: String,
    appender: Appender,
    named: Named,
    content: ContentType,
    bytes: u64,
}

impl Output {
    /// That of a binding; what goes into its woof has this depth.
    pub(super) fn open(namespace: &Path, binding: &Binding, depth: u8) -> Result<Output, String> {
        let into = binding.into.as_deref().map(|name| {
            let failed = |err: woof_core::error::Error| format!("output: {}", err.of(name));
            let namespace = Namespace::exactly(namespace).map_err(failed)?;
            let woof = open_woof(&namespace, name).map_err(failed)?;
            let mut appender = woof.appender().map_err(failed)?;
            appender.set_mark(Mark::new(0, depth));
            let path = namespace.path().join(name);
            woof_local::handler::asked_by(&mut appender, &woof, &path, name);
            Ok::<_, String>(Into {
                name: name.to_owned(),
                appender,
                named: Named::new(&path, woof.identity().map_err(failed)?),
                content: woof.options().content,
                bytes: 0,
            })
        });
        Ok(Output { logged: Logged::default(), into: into.transpose()? })
    }

    /// What comes from here on is of another attempt: all limits begin anew.
    pub(super) fn of_the_next(&mut self) {
        self.logged = Logged::default();
        if let Some(into) = &mut self.into {
            into.bytes = 0;
        }
    }

    /// Takes what a handler wrote in an attempt for a trigger.
    pub(super) fn take(
        &mut self,
        trigger: &str,
        handler: &str,
        channel: Channel,
        written: Written<'_>,
        patience: Patience<'_>,
    ) -> Result<(), String> {
        if let (Channel::Out, Some(into)) = (channel, &mut self.into) {
            match written {
                Written::Line(line) => return into.append(ContentType::Text, line, patience),
                Written::Data(content, data) => return into.append(content, data, patience),
                // As `wput` does it: the newline is not the line's, but of bytes nobody knows.
                Written::Bytes(data) if into.content == ContentType::Bytes => {
                    return into.append(ContentType::Bytes, data, patience);
                }
                Written::Bytes(data) => {
                    let line = data.strip_suffix(b"\n").unwrap_or(data);
                    return into.append(ContentType::Text, line, patience);
                }
                Written::Broken(why) => return Err(format!("output: {why}")),
                // Where it belongs is the log.
                Written::Error(_) => {}
            }
        }
        self.logged.written(trigger, handler, channel, written);
        Ok(())
    }
}

impl Into {
    fn append(&mut self, content: ContentType, data: &[u8], patience: Patience<'_>) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(data.len() as u64 + 1);
        if self.bytes > HANDLER_OUTPUT_MAX {
            return Err(format!(
                "output of more than {HANDLER_OUTPUT_MAX} bytes, the limit of what goes into a woof"
            ));
        }
        if let Some(became) = self.named.look_again() {
            return Err(format!("output: {}", self.appender.lost(became).of(&*self.name)));
        }
        let mut element = Vec::with_capacity(data.len());
        convert(data, content, self.content, &mut element)
            .and_then(|()| self.append_in_time(&element, patience))
            .map_err(|err| format!("output: {}", err.of(&*self.name)))
    }

    fn append_in_time(&mut self, element: &[u8], patience: Patience<'_>) -> woof_core::error::Result<()> {
        loop {
            let left = patience.until.saturating_duration_since(Instant::now());
            let left = if patience.over.load(Ordering::Acquire) { Duration::ZERO } else { left };
            self.appender.set_wait(left.min(LOOK_AGAIN));
            match self.appender.append(element) {
                // A disk that is full says so at the next try, in other words.
                Err(err) if err.code() == Code::Full && !left.is_zero() => {}
                appended => return appended.map(|_| ()),
            }
        }
    }
}
