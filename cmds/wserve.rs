//! `wserve`: serves the namespaces under a directory.

mod log;
mod signals;
mod sockets;

use crate::support::prelude::*;
use libwoofstream::handler::container::{Docker, Engine as _, Settings};
use libwoofstream::handler::{self, Dispatchers, RunOptions, Runners};
use libwoofstream::keys::{ServerKeys, ServerOptions, own_names};
use libwoofstream::name::STATE_DIR;
use libwoofstream::server::{Limits, Listener, Server, Site};
use libwoofstream::space::Stop;
use libwoofstream::sys;
use sd_notify::NotifyState;
use signals::Signals;
use sockets::Passed;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const COMMAND: Command = Command {
    name: "wserve",
    about: "serves the namespaces under a directory",
    group: Group::Woofs,
    define,
    verb: Verb::Plain(run),
};

/// So much of a request may come with the first flight of a resumed session, in bytes.
const EARLY_DATA_MAX: u32 = 16 << 10;

/// The file in the state directory of what is served that has the newest list of what is revoked.
const NEWEST_LIST: &str = "revoked.pem";

/// So many TLS sessions are kept for resumption.
const SESSIONS: usize = 2048;

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
                .value_parser(sockets::parse_address)
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
            .value_parser(sockets::parse_metrics),
        )
        .args(limits())
        .args(log::flags())
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

fn limits_of(args: &Args) -> Result<Limits, Failure> {
    let default = Limits::default();
    let size = |id: &str| args.number(id).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let time = |id: &str, default| args.number(id).map_or(default, Duration::from_nanos);
    let element = size("max-element").unwrap_or(default.element);
    let unfinished =
        size("max-unfinished").unwrap_or_else(|| element.saturating_mul(2).max(default.unfinished));
    if unfinished < element {
        let text = format!(
            "less than the largest element, {element} bytes (--max-element): it could never come whole"
        );
        return Err(Failure::invalid(format!("--max-unfinished {unfinished}"), text));
    }
    Ok(Limits {
        connections: size("max-connections").unwrap_or(default.connections),
        handshakes: size("max-handshakes").unwrap_or(default.handshakes),
        connections_of_user: size("max-connections-of-user").unwrap_or(default.connections_of_user),
        exchanges: size("max-exchanges").unwrap_or(default.exchanges),
        element,
        unfinished,
        steps: args.number("max-steps").unwrap_or(default.steps),
        handshake: time("handshake-timeout", default.handshake),
        followed: size("max-followed").unwrap_or(default.followed),
        runs: size("max-runs").unwrap_or(default.runs),
        runs_of_user: size("max-runs-of-user").unwrap_or(default.runs_of_user),
        stop: time("stop-timeout", default.stop),
    })
}

fn run(args: &Args, env: &mut Env) -> Run {
    // Before anything is opened, as both ask for.
    let passed = sockets::passed()?;
    let signals = Signals::catch()?;
    let limits = limits_of(args)?;
    log::start(args, env.messages().color())?;
    if let Err(error) = sys::raise_open_files() {
        tracing::warn!(%error, "fewer connections fit than could");
    }
    let dir = args.text("DIR").unwrap_or_default();
    let site = Site::open(dir.as_ref(), limits)?;
    let runners = Arc::new(Runners::new(run_options(args)?, Arc::new(Docker)));
    if args.has("once") {
        let stop = Stop::default();
        let (stopped, starting, killed) = (stop.clone(), Arc::clone(&runners), Arc::clone(&runners));
        let told = move || {
            stopped.stop();
            starting.call_off();
        };
        signals.handle(told, move || killed.kill_all(), || {})?;
        let ended = handler::run_pending(site.root(), &runners, &stop, site.limits().stop);
        runners.end_all();
        let ended = ended?;
        let all = ended.dead + ended.lost == 0 && !stop.is_stopped();
        return Ok(if all { Outcome::Done } else { Outcome::No });
    }
    let socket = site.socket();
    let (mut listeners, mut tcp, mut is_there) = (Vec::new(), Vec::new(), false);
    for passed in passed {
        match passed {
            Passed::Unix(listener) => {
                is_there |= sockets::is_at(&listener, &socket);
                listeners.push(Listener::Unix(listener));
            }
            Passed::Tls(listener) => {
                if args.has("insecure") {
                    sockets::check_passed(&listener)?;
                }
                tcp.push(listener);
            }
            Passed::Metrics(listener) => listeners.push(Listener::Metrics(listener)),
        }
    }
    for address in args.texts("listen") {
        tcp.push(sockets::tcp(address, args.has("insecure"))?);
    }
    let own = if is_there { None } else { Some(sockets::unix(&socket)?) };
    let _own = own.map(|(listener, own)| {
        listeners.push(Listener::Unix(listener));
        own
    });
    let addresses = serve_tcp(tcp, site.root(), args, &mut listeners)?;
    let metrics = match args.text("metrics") {
        Some(address) => {
            let listener = sockets::tcp(&sockets::metrics_address(address), false)?;
            let address = bound(&listener)?.to_string();
            listeners.push(Listener::Metrics(listener));
            Some(address)
        }
        None => None,
    };
    site.run_handlers(Arc::clone(&runners));
    let dispatchers = Dispatchers::start(site.root(), Arc::clone(&runners), site.limits().stop)?;
    let server = Server::new(Arc::clone(&site));
    let (stopped, reloaded) = (Arc::clone(&server), Arc::clone(&server));
    let (starting, killed, stopping) = (Arc::clone(&runners), Arc::clone(&runners), dispatchers.stopping());
    let stop = move || {
        tell_manager(&[NotifyState::Stopping]);
        starting.call_off();
        // At the same time, as one limit holds for all.
        stopping.stop();
        stopped.stop();
    };
    signals.handle(stop, move || killed.kill_all(), move || reloaded.reload_keys())?;
    server.run(listeners, || {
        let tls = if args.has("insecure") { "insecure" } else { "tls" };
        let addresses = addresses.join(",");
        tracing::info!(
            dir = %site.root().display(),
            socket = %socket.display(),
            listen = (!addresses.is_empty()).then_some(&*addresses),
            how = (!addresses.is_empty()).then_some(tls),
            metrics,
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            "serving"
        );
        tell_manager(&[NotifyState::Ready]);
    })?;
    dispatchers.stop();
    runners.end_all();
    server.log_stopped();
    Ok(Outcome::Done)
}

/// How handlers run. An engine or an image that is not there is found out before anything is served.
fn run_options(args: &Args) -> Result<RunOptions, Failure> {
    let mut options = RunOptions::new(std::env::var_os("PATH").unwrap_or_default());
    let engine = crate::support::env::container_engine()?;
    if let Some(image) = args.text("container") {
        Settings::of(image).check()?;
        Docker.check(&engine, image)?;
        options.image = Some(image.to_owned());
    }
    options.engine = Some(engine);
    Ok(options)
}

/// Has TCP sockets served, with TLS unless that was declined; their addresses.
fn serve_tcp(
    tcp: Vec<TcpListener>,
    root: &Path,
    args: &Args,
    listeners: &mut Vec<Listener>,
) -> Result<Vec<String>, Failure> {
    let addresses = tcp.iter().map(bound).collect::<Result<Vec<_>, _>>()?;
    if args.has("insecure") {
        listeners.extend(tcp.into_iter().map(Listener::Plain));
    } else if !tcp.is_empty() {
        let options = ServerOptions {
            host: args.text("host").map(str::to_owned),
            names: own_names(&addresses),
            early_data_max: EARLY_DATA_MAX,
            sessions: SESSIONS,
            remember: Some(root.join(STATE_DIR).join(NEWEST_LIST)),
        };
        let keys = Arc::new(ServerKeys::new(crate::support::keys::store(args)?, options)?);
        listeners.extend(tcp.into_iter().map(|listener| Listener::Tls(listener, Arc::clone(&keys))));
    }
    Ok(addresses.iter().map(ToString::to_string).collect())
}

fn bound(listener: &TcpListener) -> Result<std::net::SocketAddr, Error> {
    listener.local_addr().map_err(|err| Error::io("", "listen", err))
}

/// Tells a service manager, where there is one.
fn tell_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
