//! `wserve`: serves the namespaces under a directory.

use crate::support::prelude::*;
use libwoofstream::handler::{self, Dispatchers};
use libwoofstream::keys::{ServerKeys, ServerOptions, own_names};
use libwoofstream::server::{Limits, Listener, Server, Site};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

pub(crate) const COMMAND: Command = Command {
    name: "wserve",
    about: "serves the namespaces under a directory",
    group: Group::Woofs,
    define,
    verb: Verb::Plain(run),
};

fn define(command: clap::Command) -> clap::Command {
    command
        .long_about(
            "Serves the namespaces under DIR to other programs and hosts: always on a Unix socket, .woof/server.sock in DIR, and with \
             --listen on TCP with TLS 1.3, for clients with a certificate of our authority (wkey). Who may do what, each namespace says \
             (wattr). Programs on this machine need no server: they and the server use the same woofs at once.\n\n\
             SIGTERM and SIGINT end it cleanly: what was accepted is finished, followers are told. A second one ends it at once.",
        )
        .arg(flags::operand("DIR", "What to serve"))
        .arg(flags::option("listen", '\0', "HOST:PORT", "Listen here too, with TLS").action(clap::ArgAction::Append))
        .arg(flags::flag("once", '\0', "Serve nobody: run the handlers of what is pending, and end; 1 if a trigger was given up"))
        .arg(crate::support::keys::flag())
        .arg(flags::flag("insecure", '\0', "Listen without TLS; on loopback addresses only"))
        .after_long_help("EXAMPLES\n  wserve /srv/woofs\n  wkey init && wkey add $USER && wserve /srv/woofs --listen 0.0.0.0:7144")
}

fn run(args: &Args, env: &mut Env) -> Run {
    let dir = args.text("DIR").unwrap_or_default();
    let site = Site::open(dir.as_ref(), Limits::default())?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    if args.has("once") {
        let ended = handler::run_pending(site.root(), &path)?;
        return Ok(if ended.dead + ended.lost > 0 { Outcome::No } else { Outcome::Done });
    }
    let socket = site.root().join(".woof/server.sock");
    // The lock of the site is ours, so a socket that is there is one of a server that is gone.
    let _ = std::fs::remove_file(&socket);
    let failed = |err| Error::io(socket.display().to_string(), "listen", err);
    let mut listeners = vec![Listener::Unix(UnixListener::bind(&socket).map_err(failed)?)];
    for address in args.texts("listen") {
        let failed = |err| Error::io(address, "listen", err);
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound: SocketAddr = listener.local_addr().map_err(failed)?;
        env.messages().note(&format!("listening on {bound}"));
        if args.has("insecure") {
            listeners.push(Listener::Plain(listener));
            continue;
        }
        let store = crate::support::keys::store(args)?;
        let options = ServerOptions {
            host: None,
            names: own_names(&[bound]),
            early_data_max: 16 << 10,
            sessions: 2048,
        };
        listeners.push(Listener::Tls(listener, Arc::new(ServerKeys::new(store, options)?)));
    }
    let dispatchers = Dispatchers::start(site.root(), &path)?;
    let server = Server::new(site);
    server.run(listeners, || {})?;
    dispatchers.stop();
    let _ = std::fs::remove_file(&socket);
    Ok(Outcome::Done)
}
