//! What a server counts, and what it is, in the text form that Prometheus reads.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use woof_core::sys;

/// A number that only grows, or a level that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn take(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of a server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections that are open.
    pub(super) connections: Count,
    /// Connections since the start.
    pub(super) accepted: Count,
    /// Connections that were turned away, or ended for what the client did wrong.
    pub(super) refused: Count,
    /// Handshakes that failed.
    pub(super) handshakes_failed: Count,
    /// Connections that resumed a session and began before their handshake was complete.
    pub(super) early: Count,
    /// Exchanges that are open.
    pub(super) exchanges: Count,
    /// Requests since the start.
    pub(super) requests: Count,
    /// Requests that were refused for want of a right.
    pub(super) denied: Count,
    /// Follows that are open.
    pub(super) follows: Count,
    /// Handlers that run on demand, and those since the start.
    pub(super) runs_open: Count,
    pub(super) runs: Count,
    /// Elements that were put.
    pub(super) elements_in: Count,
    /// Bytes of their data.
    pub(super) bytes_in: Count,
    /// Bytes of answers.
    pub(super) bytes_out: Count,
    /// Elements that were sent again after a lost connection and were there already.
    pub(super) resent: Count,
}

impl Metrics {
    /// The counts as text, in the exposition format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        let rows: [(&str, &str, &str, &Count); 15] = [
            ("connections", "gauge", "Connections that are open.", &self.connections),
            ("connections_accepted_total", "counter", "Connections since the start.", &self.accepted),
            (
                "connections_refused_total",
                "counter",
                "Connections that were turned away, or ended for what the client did wrong.",
                &self.refused,
            ),
            ("handshakes_failed_total", "counter", "Handshakes that failed.", &self.handshakes_failed),
            (
                "connections_early_total",
                "counter",
                "Connections that resumed a session and began before their handshake was complete.",
                &self.early,
            ),
            ("exchanges", "gauge", "Requests that are being answered.", &self.exchanges),
            ("requests_total", "counter", "Requests since the start.", &self.requests),
            ("requests_denied_total", "counter", "Requests without the right for them.", &self.denied),
            ("follows", "gauge", "Follows that are open.", &self.follows),
            ("runs", "gauge", "Handlers that run on demand.", &self.runs_open),
            ("runs_total", "counter", "Handlers that were run on demand.", &self.runs),
            ("elements_put_total", "counter", "Elements that were put.", &self.elements_in),
            ("put_bytes_total", "counter", "Bytes of data that were put.", &self.bytes_in),
            ("answer_bytes_total", "counter", "Bytes of answers that were sent.", &self.bytes_out),
            (
                "elements_resent_total",
                "counter",
                "Elements that came again after a lost connection and were there already.",
                &self.resent,
            ),
        ];
        let mut text = String::new();
        for (name, kind, help, count) in rows {
            row(&mut text, &format!("woofstream_{name}"), kind, help, "", count.get());
        }
        text
    }
}

/// What is to be known beside the counts of [`Metrics`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    /// Woofs that are followed now.
    pub(super) followed: usize,
    /// When the server started, in nanoseconds since 1970.
    pub(super) started_ns: u64,
}

impl Levels {
    /// As text of the same form. What the system does not tell is left out.
    pub(super) fn render(self, text: &mut String) {
        row(text, "woofstream_woofs_followed", "gauge", "Woofs that are followed.", "", self.followed);
        let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        row(text, "woofstream_build_info", "gauge", "The version of the server.", &version, 1);
        // The names that collectors know from other programs.
        let started =
            format!("{}.{:03}", self.started_ns / 1_000_000_000, self.started_ns / 1_000_000 % 1000);
        let name = "process_start_time_seconds";
        row(text, name, "gauge", "When the server started, in seconds since 1970.", "", started);
        if let Some(bytes) = sys::resident_bytes() {
            row(
                text,
                "process_resident_memory_bytes",
                "gauge",
                "Memory that is resident, mapped woofs included.",
                "",
                bytes,
            );
        }
        if let Some(count) = sys::open_files() {
            row(text, "process_open_fds", "gauge", "Descriptors that are open.", "", count);
        }
        if let Some(max) = sys::open_files_max() {
            row(text, "process_max_fds", "gauge", "Descriptors that may be open.", "", max);
        }
    }
}

/// A metric with its help and type. Labels come in braces.
fn row(text: &mut String, name: &str, kind: &str, help: &str, labels: &str, value: impl Display) {
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_rendered_with_help_and_type() {
        let metrics = Metrics::default();
        metrics.accepted.add(3);
        metrics.connections.add(2);
        metrics.connections.take(1);
        let text = metrics.render();
        assert!(text.starts_with(
            "# HELP woofstream_connections Connections that are open.\n# TYPE woofstream_connections gauge\nwoofstream_connections 1\n"
        ));
        assert!(text.contains("\nwoofstream_connections_accepted_total 3\n"));
        assert_eq!(text.lines().count(), 45);
    }

    #[test]
    fn the_process_is_shown_by_the_names_that_collectors_know() {
        let mut text = String::new();
        Levels { followed: 2, started_ns: 1_700_000_000_042_000_000 }.render(&mut text);
        for line in ["woofstream_woofs_followed 2", "process_start_time_seconds 1700000000.042"] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.contains("\nwoofstream_build_info{version=\""), "{text}");
        for name in ["process_resident_memory_bytes ", "process_open_fds ", "process_max_fds "] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            assert!(value.parse::<u64>().unwrap() > 2, "{name}{value}");
        }
    }
}
