//! `wserve`: what it is called and what it takes. The server itself is in `woofd`, the program of what stays, which runs in its place.

use crate::support::daemon;
use crate::support::prelude::*;
use clap::builder::PossibleValuesParser;

/// `wserve` in `woof`.
pub const COMMAND: Command = Command {
    name: "wserve",
    about: "serves the namespaces under a directory",
    group: Group::Woofs,
    define,
    verb: Verb::Plain(|_, _| Err(daemon::run_instead().into())),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Serves the namespaces under DIR to other programs and hosts: always on a Unix socket, .woof/server.sock in DIR, and with \
             --listen on TCP with TLS 1.3, for clients with a certificate of our authority (wkey). Who may do what, each namespace says \
             (wattr). Programs on this machine need no server: they and the server use the same woofs at once.\n\n\
             On the machine of the authority the server makes itself a certificate for localhost, the host name and the addresses it \
             listens on; elsewhere it needs one of wkey host.\n\n\
             SIGTERM and SIGINT end it cleanly, with status 0: what was accepted is finished, handlers that run are waited for, followers \
             are told, and --stop-timeout bounds how long that takes. A second one kills the handlers and ends it at once, by that signal. SIGHUP has it read the keys again; so does every new \
             connection when they changed.\n\n\
             The log goes to standard error, a line for each event. With a service manager that hands over sockets (LISTEN_FDS) it serves \
             those too: Unix sockets, TCP with TLS, and what is called metrics; it says when it is ready (NOTIFY_SOCKET).",
        )
        .arg(flags::operand("DIR", "What to serve"))
        .arg(
            flags::option("listen", '\0', "HOST:PORT", "Listen here too, with TLS; may be given several times. Port 0 is any free one")
                .value_parser(parse_address)
                .action(clap::ArgAction::Append),
        )
        .arg(flags::flag("once", '\0', "Serve nobody: run the handlers of what is pending, and end; 1 if a trigger was given up or lost"))
        .arg(flags::option(
            "container",
            '\0',
            "IMAGE",
            "Run the handlers of each namespace in a container of this image, where it names none itself (wattr)",
        ))
        .arg(crate::support::keys::flag())
        .arg(flags::option("host", '\0', "NAME", "Use the certificate of this host, where the store has several"))
        .arg(flags::flag("insecure", '\0', "Listen without TLS; on loopback addresses only"))
        .arg(
            flags::option(
                "metrics",
                '\0',
                "[HOST:]PORT",
                "Give metrics for Prometheus at http://HOST:PORT/metrics; without HOST to this machine only",
            )
            .value_parser(parse_metrics),
        )
        .args(limits())
        .args(log_flags())
        .after_long_help(
            "EXAMPLES\n  wserve /srv/woofs\n  wkey init && wkey add $USER && wserve /srv/woofs --listen 0.0.0.0:7144\n  \
             wserve /srv/woofs --listen [::]:7144 --metrics 9144 --log json --max-connections 500",
        )
}

/// A flag for each limit.
fn limits() -> [clap::Arg; 12] {
    let count = |id, help| flags::number_in(id, '\0', "COUNT", help, 1..=1 << 20);
    [
        count(
            "max-connections",
            "Connections at once, an eighth of them for the Unix socket alone [default: 4096]",
        ),
        count("max-handshakes", "TLS handshakes at once, which are no connections yet [default: 512]"),
        count("max-connections-of-user", "Connections at once of one user [default: 1024]"),
        count("max-exchanges", "Requests at once on one connection [default: 256]"),
        flags::size_of_some(
            "max-element",
            '\0',
            "The largest element that clients may put [default: 64 MiB]",
        ),
        flags::size_of_some(
            "max-unfinished",
            '\0',
            "Data of a connection that has not come whole yet [default: twice the largest element]",
        ),
        flags::number_in(
            "max-steps",
            '\0',
            "COUNT",
            "Steps, of about 0.1 us, that a predicate may take for one element [default: 1000000]",
            1000..=1 << 40,
        ),
        flags::duration_of_some("handshake-timeout", '\0', "How long a handshake may take [default: 10s]"),
        count("max-followed", "Woofs that are followed at once [default: 1024]"),
        count("max-runs", "Handlers that run on demand at once [default: 64]"),
        count("max-runs-of-user", "Handlers that run on demand at once for one user [default: 16]"),
        flags::duration(
            "stop-timeout",
            '\0',
            "How long what is going on, also handlers, may take when the server stops [default: 10s]",
        ),
    ]
}

/// `--log`, `--log-level`, `-v` and `-q`.
fn log_flags() -> [clap::Arg; 4] {
    [
        flags::option("log", '\0', "FORM", "Form of the log: text or json [default: text]")
            .value_parser(PossibleValuesParser::new(["text", "json"]))
            .hide_possible_values(true),
        flags::option("log-level", '\0', "LEVEL", "Log error, warn, info or debug and above [default: info]")
            .value_parser(PossibleValuesParser::new(["error", "warn", "info", "debug"]))
            .hide_possible_values(true)
            .conflicts_with_all(["verbose", "quiet"]),
        flags::flag("verbose", 'v', "Log each request and connection too (--log-level debug)"),
        flags::flag("quiet", 'q', "Log only what was refused or went wrong (--log-level warn)")
            .conflicts_with("verbose"),
    ]
}

/// The address of `--metrics`: a port alone is one of this machine only.
pub fn metrics_address(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{}:{text}", std::net::Ipv4Addr::LOCALHOST)
    } else {
        text.to_owned()
    }
}

/// Reads `HOST:PORT`, and gives it back as it is.
///
/// # Errors
/// When it is none.
pub fn parse_address(text: &str) -> Result<String, Error> {
    let is_port = |port: &str| crate::support::units::parse_number(port, 0..=u64::from(u16::MAX)).is_ok();
    if text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && is_port(port)) {
        return Ok(text.to_owned());
    }
    Err(Error::new(Code::Invalid, text, "not HOST:PORT; 0.0.0.0 or [::] is every address"))
}

/// Reads `[HOST:]PORT`.
///
/// # Errors
/// When it is none.
pub fn parse_metrics(text: &str) -> Result<String, Error> {
    parse_address(&metrics_address(text)).map(|_| text.to_owned()).map_err(|err| err.of(text))
}
