//! `wserve`: serves the namespaces under a directory.

use crate::signals::Signals;
use crate::sockets::Passed;
use crate::{log, sockets};
use libwoofstream::handler::container::{Docker, Settings};
use libwoofstream::handler::{self, Dispatchers, RunOptions, Runners};
use libwoofstream::keys::{ServerKeys, ServerOptions, own_names};
use libwoofstream::name::STATE_DIR;
use libwoofstream::server::{Limits, Listener, Server, Site};
use libwoofstream::space::Stop;
use libwoofstream::sys;
use sd_notify::NotifyState;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use woofcmds::support::prelude::*;
use woofcmds::wserve::{self, metrics_address};

/// `wserve` in `woofd`.
pub(crate) const COMMAND: Command = Command { verb: Verb::Plain(run), ..wserve::COMMAND };

/// So much of a request may come with the first flight of a resumed session, in bytes.
const EARLY_DATA_MAX: u32 = 16 << 10;

/// The file in the state directory of what is served that has the newest list of what is revoked.
const NEWEST_LIST: &str = "revoked.pem";

/// So many TLS sessions are kept for resumption.
const SESSIONS: usize = 2048;

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
            let listener = sockets::tcp(&metrics_address(address), false)?;
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
    let engine = woofcmds::support::env::container_engine()?;
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
        let keys = Arc::new(ServerKeys::new(woofcmds::support::keys::store(args)?, options)?);
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
