//! The log of the server on standard error: a line for each event, for people (`time LEVEL message name=value`), in colour on a
//! terminal, or as JSON.
//!
//! Failure contract: an event is one line whatever a client put into it: values with blanks or anything that is not plain are
//! quoted and escaped, so nobody forges a line or steers a terminal. A standard error that cannot be written is passed over.

use serde_json::{Map, Value};
use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use woofcmds::support::messages::Color;
use woofcmds::support::prelude::*;

/// Sends what is logged from here on to standard error.
///
/// # Errors
/// When something else was set up to take it.
pub(crate) fn start(args: &Args, color: Color) -> Result<(), Failure> {
    let form = match args.text("log") {
        Some("json") => Form::Json,
        _ => Form::Text { color: color.on(std::io::stderr().is_terminal()) },
    };
    tracing_subscriber::fmt()
        .with_max_level(level(args))
        .with_writer(|| PassedOver(std::io::stderr()))
        .log_internal_errors(false)
        .event_format(form)
        .try_init()
        .map_err(|err| Error::new(Code::Failed, "--log", err.to_string()).into())
}

/// Standard error; what it does not take is gone, and everything goes on.
struct PassedOver(std::io::Stderr);

impl std::io::Write for PassedOver {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // As a whole, so that lines of two threads do not mix.
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn level(args: &Args) -> LevelFilter {
    match args.text("log-level") {
        Some("error") => LevelFilter::ERROR,
        Some("warn") => LevelFilter::WARN,
        Some("debug") => LevelFilter::DEBUG,
        _ if args.has("verbose") => LevelFilter::DEBUG,
        _ if args.has("quiet") => LevelFilter::WARN,
        _ => LevelFilter::INFO,
    }
}

/// How an event is written.
#[derive(Clone, Copy)]
enum Form {
    Text { color: bool },
    Json,
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = format!("{:.3}", jiff::Timestamp::now());
        writer.write_str(&self.line(&time, *event.metadata().level(), |visit| event.record(visit)))
    }
}

impl Form {
    /// The line of an event, whose fields `record` shows.
    fn line(self, time: &str, level: Level, record: impl Fn(&mut dyn Visit)) -> String {
        match self {
            Form::Text { color } => {
                let mut text = Text::default();
                record(&mut text);
                let (dim, bold, off) = match (color, level) {
                    (false, _) => ("", "", ""),
                    (true, Level::ERROR) => ("\x1b[2m", "\x1b[1;31m", "\x1b[0m"),
                    (true, Level::WARN) => ("\x1b[2m", "\x1b[1;33m", "\x1b[0m"),
                    (true, Level::INFO) => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
                    (true, _) => ("\x1b[2m", "\x1b[34m", "\x1b[0m"),
                };
                let Text { message, fields } = text;
                format!("{dim}{time}{off} {bold}{level:<5}{off} {message}{fields}\n")
            }
            Form::Json => {
                let mut json = Json(Map::new());
                json.0.insert("time".to_owned(), time.into());
                json.0.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
                record(&mut json);
                format!("{}\n", Value::Object(json.0))
            }
        }
    }
}

/// The fields of an event for people.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn put(&mut self, field: &Field, value: &str) {
        let quoted = format!("{value:?}");
        if field.name() == "message" {
            // What handlers write is read as they wrote it, as long as it is text and a line.
            let is_text =
                |c: char| matches!(c, '"' | '\'' | '\\' | '\t') || c.escape_debug().eq(std::iter::once(c));
            self.message = if value.chars().all(is_text) { value.to_owned() } else { quoted };
            return;
        }
        // Quoting changes nothing but adds the quotes: nothing in it needs to be escaped.
        let plain = quoted.get(1..quoted.len() - 1) == Some(value);
        let bare = plain && !value.is_empty() && !value.contains([' ', '=']);
        // Writing to a string does not fail.
        let _ = write!(self.fields, " {}={}", field.name(), if bare { value } else { &quoted });
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// The fields of an event as JSON.
struct Json(Map<String, Value>);

impl Json {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Json {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Collects the lines of events in one form.
    struct Lines(Form, Arc<Mutex<String>>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let line = self.0.line("T", *event.metadata().level(), |visit| event.record(visit));
            self.1.lock().unwrap().push_str(&line);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    fn logged(form: Form, events: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        tracing::subscriber::with_default(Lines(form, lines.clone()), events);
        lines.lock().unwrap().clone()
    }

    const FORGED: &str = "farm/x\n2026-01-01T00:00:00Z INFO  all is well\x1b[2J";

    #[test]
    fn an_event_is_one_line_whatever_a_client_put_into_it() {
        let events = || {
            tracing::warn!(peer = %"user alice", name = FORGED, limit = 3, "request refused");
            tracing::info!(name = %FORGED, error = "", how = "tls", says = "a\"b c=d", "{FORGED}");
        };
        assert_eq!(
            logged(Form::Text { color: false }, events),
            "T WARN  request refused peer=\"user alice\" \
             name=\"farm/x\\n2026-01-01T00:00:00Z INFO  all is well\\u{1b}[2J\" limit=3\n\
             T INFO  \"farm/x\\n2026-01-01T00:00:00Z INFO  all is well\\u{1b}[2J\" \
             name=\"farm/x\\n2026-01-01T00:00:00Z INFO  all is well\\u{1b}[2J\" error=\"\" how=tls says=\"a\\\"b c=d\"\n"
        );
        let json = logged(Form::Json, events);
        let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines[0],
            serde_json::json!({"time": "T", "level": "warn", "message": "request refused", "peer": "user alice",
                "name": FORGED, "limit": 3})
        );
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn what_a_handler_wrote_is_read_as_it_wrote_it() {
        let written = "{\"a\":\"b\tc\",'d':\"\\\\n é\"}";
        let event = || tracing::info!(trigger = "1-1", "{written}");
        assert_eq!(logged(Form::Text { color: false }, event), format!("T INFO  {written} trigger=1-1\n"));
        let json: Value = serde_json::from_str(&logged(Form::Json, event)).unwrap();
        assert_eq!(json["message"], written);
    }

    #[test]
    fn colour_is_around_the_time_and_the_level_only() {
        let line = logged(Form::Text { color: true }, || tracing::error!(name = "a\x1bb", "it failed"));
        assert_eq!(line, "\x1b[2mT\x1b[0m \x1b[1;31mERROR\x1b[0m it failed name=\"a\\u{1b}b\"\n");
    }
}
