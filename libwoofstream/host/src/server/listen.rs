//! The sockets of a server: listening, handshakes, who is there, and a clean stop. The only part that names tokio, with [`super::io`] and
//! [`super::scrape`].

use super::caller::is_handler;
use super::connection::{Connection, stopped};
use super::handshakes::{self, Handshakes, Origin};
use super::io::{self, Mailbox};
use super::scrape;
use super::site::Site;
use super::tls::TlsStream;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use woof_core::access::Peer;
use woof_core::error::{Code, Error, Result};
use woof_core::sys;
use woof_core::wire::Fault;
use woof_net::keys::{Admitted, ServerKeys, Us, explain_io};
use woof_net::net::{Role, Session};

/// After accepting failed, mostly for want of descriptors, it is left alone for so long.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// While many handshakes are on their way out, so long none is taken.
const CROWDED: Duration = Duration::from_millis(1);

/// When the time of a stop is over, so long is left for what is to be said of that.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a handler in a container is told that calls at the Unix socket.
const NOT_FOR_HANDLERS: &str = "this socket is not for handlers in a container: they open woofs of their namespace themselves (/namespace/NAME), \
     and call servers over TLS (wserve --listen; wattr NAMESPACE container IMAGE network)";

/// How often it is looked whether certificates of open connections were revoked.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A connection does not wait longer than this for keys to be read again: then those that were read before are in force.
const RELOAD: Duration = Duration::from_secs(1);

/// How often it is looked whether what repeats is to be logged.
const LOG_REPEATS: Duration = Duration::from_secs(10);

/// How often it is looked whether certificates of open connections expired.
const LOOK_FOR_EXPIRED: Duration = Duration::from_secs(600);

/// Where connections come from.
pub enum Listener {
    /// A Unix socket, whose peers the kernel names.
    Unix(UnixListener),
    /// TCP with TLS.
    Tls(std::net::TcpListener, Arc<ServerKeys>),
    /// TCP without TLS: nobody knows who is there. For loopback addresses.
    Plain(std::net::TcpListener),
    /// HTTP, for [`Site::render_metrics`] at `/metrics`. Whoever reaches it reads them.
    Metrics(std::net::TcpListener),
}

/// A server.
pub struct Server {
    site: Arc<Site>,
    /// True once what was accepted is to be finished, and nothing else is taken.
    stopping: watch::Sender<bool>,
    /// True once nothing is to be finished any more.
    killed: watch::Sender<bool>,
    /// How many connections each user has.
    users: Mutex<HashMap<String, usize>>,
    /// Changes when certificates may have been revoked.
    keys_changed: watch::Sender<u64>,
    /// Changes when the keys are to be read again at once.
    reload: watch::Sender<u64>,
    handshakes: Handshakes,
    /// The keys are read again by one at a time, where a slow disk harms nobody.
    reading: Arc<tokio::sync::Semaphore>,
}

/// A listening socket as the runtime waits for it.
fn tcp(listener: std::net::TcpListener) -> Result<tokio::net::TcpListener> {
    let failed = |err| Error::io("", "listen", err);
    listener.set_nonblocking(true).map_err(failed)?;
    tokio::net::TcpListener::from_std(listener).map_err(failed)
}

/// The place of a connection among those of its user.
struct Place<'a>(&'a Server, String);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.1);
            }
        }
    }
}

/// A connection in the counts, as long as it lives.
struct Counted<'a>(&'a Site);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics().connections.take(1);
    }
}

impl Server {
    /// A server of `site`.
    pub fn new(site: Arc<Site>) -> Arc<Server> {
        Arc::new(Server {
            site,
            stopping: watch::Sender::new(false),
            killed: watch::Sender::new(false),
            users: Mutex::default(),
            keys_changed: watch::Sender::new(0),
            reload: watch::Sender::new(0),
            handshakes: Handshakes::default(),
            reading: Arc::new(tokio::sync::Semaphore::new(1)),
        })
    }

    /// What is served.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Has the server stop: the first time what was accepted is finished, the second time nothing is.
    pub fn stop(&self) {
        if self.stopping.send_replace(true) {
            self.killed.send_replace(true);
        }
    }

    /// Has the keys read again now, if their files changed; otherwise that is done with the next connection, and every few seconds.
    pub fn reload_keys(&self) {
        self.reload.send_modify(|times| *times += 1);
    }

    /// Serves until it is stopped. `ready` is called once connections are taken.
    ///
    /// # Errors
    /// When the sockets cannot be used.
    pub fn run(self: &Arc<Server>, listeners: Vec<Listener>, ready: impl FnOnce()) -> Result<()> {
        let failed = |err| Error::io("", "start the server", err);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("woof-server")
            .build()
            .map_err(failed)?;
        let served = runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            let mut watched: Vec<Arc<ServerKeys>> = Vec::new();
            for listener in listeners {
                if let Listener::Tls(_, keys) = &listener
                    && !watched.iter().any(|one| Arc::ptr_eq(one, keys))
                {
                    watched.push(Arc::clone(keys));
                    let (watcher, keys) = (Arc::clone(self), Arc::clone(keys));
                    tasks.spawn(async move { watcher.watch_keys(&keys).await });
                }
                self.listen(listener, &mut tasks)?;
            }
            let logger = Arc::clone(self);
            tasks.spawn(async move { logger.log_repeats().await });
            ready();
            let (mut stopping, mut killed) = (self.stopping.subscribe(), self.killed.subscribe());
            // The senders live as long as this.
            let _ = stopping.wait_for(|stopping| *stopping).await;
            tracing::info!(connections = self.site.metrics().connections.get(), "stopping");
            let finished = async { while tasks.join_next().await.is_some() {} };
            let limit = self.site.limits().stop;
            tokio::select! {
                () = finished => {}
                _ = killed.wait_for(|killed| *killed) => {}
                () = tokio::time::sleep(limit + LAST_WORDS) => {}
            }
            let metrics = self.site.metrics();
            let cut = metrics.connections.get();
            if cut > 0 {
                let limit = limit.as_secs_f64();
                tracing::warn!(
                    connections = cut,
                    limit,
                    "connections were cut: not finished in the seconds of --stop-timeout"
                );
            }
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_millis(200));
        served
    }

    /// Writes into the log that it stopped, and what it did. For whoever has ended all else that is to end with it.
    pub fn log_stopped(&self) {
        let metrics = self.site.metrics();
        tracing::info!(
            accepted = metrics.accepted.get(),
            refused = metrics.refused.get(),
            requests = metrics.requests.get(),
            elements = metrics.elements_in.get(),
            "stopped"
        );
    }

    fn listen(self: &Arc<Server>, listener: Listener, tasks: &mut tokio::task::JoinSet<()>) -> Result<()> {
        let failed = |err| Error::io("", "listen", err);
        let server = Arc::clone(self);
        match listener {
            Listener::Unix(listener) => {
                listener.set_nonblocking(true).map_err(failed)?;
                let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
                tasks.spawn(async move {
                    server
                        .accept(
                            listener,
                            tokio::net::UnixListener::poll_accept,
                            Some(server.site.limits().connections),
                            |(stream, _), told| {
                                stream.into_std().is_ok_and(|stream| (&stream).write(told).is_ok())
                            },
                            |server, (stream, _)| async move { server.unix(stream).await },
                        )
                        .await;
                });
            }
            Listener::Tls(listener, keys) => {
                let listener = tcp(listener)?;
                tasks.spawn(async move {
                    server
                        .accept(
                            listener,
                            tokio::net::TcpListener::poll_accept,
                            // Nobody is known before the handshake, which has limits of its own.
                            None,
                            |_, _| false,
                            move |server, (stream, from)| {
                                let keys = Arc::clone(&keys);
                                // Here, so that they have their places in the order in which they came.
                                let place = server.handshakes.begin(from.ip(), server.handshakes_max());
                                async move { server.tls(stream, from, keys, place).await }
                            },
                        )
                        .await;
                });
            }
            Listener::Plain(listener) => {
                let listener = tcp(listener)?;
                tasks.spawn(async move {
                    server
                        .accept(
                            listener,
                            tokio::net::TcpListener::poll_accept,
                            Some(server.remote_max()),
                            |(stream, _), told| {
                                stream.into_std().is_ok_and(|stream| (&stream).write(told).is_ok())
                            },
                            |server, (stream, from)| async move {
                                let _ = stream.set_nodelay(true);
                                server.serve(stream, Peer::unknown(), Some(from), None, Ok(())).await;
                            },
                        )
                        .await;
                });
            }
            Listener::Metrics(listener) => {
                let listener = tcp(listener)?;
                let stopping = self.stopping.subscribe();
                tasks.spawn(scrape::serve(listener, Arc::clone(&self.site), stopping));
            }
        }
        Ok(())
    }

    /// Takes connections until the server stops, then waits for those that are open.
    async fn accept<L, S, Serve>(
        self: &Arc<Server>,
        listener: L,
        poll_accept: impl Fn(&L, &mut Context<'_>) -> Poll<std::io::Result<S>>,
        places: Option<usize>,
        turn_away: impl Fn(S, &[u8]) -> bool,
        mut serve: impl FnMut(Arc<Server>, S) -> Serve,
    ) where
        Serve: Future<Output = ()> + Send + 'static,
    {
        let mut stopping = self.stopping.subscribe();
        let mut connections = tokio::task::JoinSet::new();
        loop {
            if places.is_none() && !*stopping.borrow() && self.handshakes.is_crowded(self.handshakes_max()) {
                tokio::time::sleep(CROWDED).await;
                continue;
            }
            let accepted = tokio::select! {
                accepted = poll_fn(|context| poll_accept(&listener, context)) => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => break,
                // Those that are over are let go of.
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            match accepted {
                Ok(stream) => {
                    let metrics = self.site.metrics();
                    metrics.accepted.add(1);
                    let counted = match places.map(|places| self.count(places)).transpose() {
                        Ok(counted) => counted.is_some(),
                        Err(err) => {
                            let told = turn_away(stream, &farewell(&err));
                            if self.site.repeats.is_first("connection turned away", "", err.text()) {
                                tracing::warn!(error = err.text(), told, "connection turned away");
                            }
                            continue;
                        }
                    };
                    let server = Arc::clone(self);
                    let served = serve(Arc::clone(self), stream);
                    connections.spawn(async move {
                        let _counted = counted.then(|| Counted(&server.site));
                        served.await;
                    });
                }
                Err(err) => {
                    let err = Error::io("", "accept", err);
                    if self.site.repeats.is_first("no connection was taken", "", err.text()) {
                        tracing::warn!(error = %err, "no connection was taken");
                    }
                    // Mostly descriptors have run out: a handshake has one that who is known needs more.
                    let pause = if self.handshakes.give_way() { PAUSE / 10 } else { PAUSE };
                    tokio::time::sleep(pause).await;
                }
            }
        }
        // Who comes now is refused by the kernel, and does not wait for nothing.
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Takes one of so many places for connections.
    fn count(&self, places: usize) -> Result<()> {
        let metrics = self.site.metrics();
        metrics.connections.add(1);
        if metrics.connections.get() <= places as u64 {
            return Ok(());
        }
        metrics.connections.take(1);
        metrics.refused.add(1);
        let text = format!("{places} connections are open, the limit of this server (--max-connections)");
        Err(Error::new(Code::TooLarge, "", text))
    }

    /// How many handshakes may be under way: fewer where descriptors are short, which others need.
    fn handshakes_max(&self) -> usize {
        self.site.limits().handshakes.min(descriptors() / 4).max(1)
    }

    /// How many connections those may have who do not come over the Unix socket.
    fn remote_max(&self) -> usize {
        self.site.limits().remote().min(descriptors() / 2).max(1)
    }

    /// Logs now and then what repeats, and at the end.
    async fn log_repeats(&self) {
        let mut stopping = self.stopping.subscribe();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOG_REPEATS) => self.site.repeats.log(false),
                _ = stopping.wait_for(|stopping| *stopping) => return self.site.repeats.log(true),
            }
        }
    }

    /// Reads the keys again, if their files changed: where that harms nobody, and one at a time.
    async fn read_keys(&self, keys: &Arc<ServerKeys>) -> Result<bool> {
        let Ok(place) = Arc::clone(&self.reading).acquire_owned().await else { return Ok(false) };
        let keys = Arc::clone(keys);
        let read = tokio::task::spawn_blocking(move || {
            let _place = place;
            keys.reload()
        });
        read.await.unwrap_or(Ok(false))
    }

    /// A connection of somebody on this machine.
    async fn unix(self: Arc<Server>, stream: tokio::net::UnixStream) {
        let cred = match stream.peer_cred() {
            Ok(cred) => cred,
            Err(err) => {
                tracing::warn!(error = %err, "the kernel does not say who is there");
                return;
            }
        };
        let handler = is_handler(&stream, cred.pid());
        if !matches!(handler, Ok(false)) {
            self.site.metrics().refused.add(1);
            let error = match handler {
                Ok(_) => NOT_FOR_HANDLERS.to_owned(),
                Err(err) => {
                    format!("the server cannot find out whether this is a handler in a container: {err}")
                }
            };
            let told = stream.into_std().is_ok_and(|stream| {
                (&stream).write(&farewell(&Error::new(Code::Denied, "", &*error))).is_ok()
            });
            if self.site.repeats.is_first("connection turned away", cred.uid(), &error) {
                tracing::warn!(uid = cred.uid(), pid = cred.pid(), error, told, "connection turned away");
            }
            return;
        }
        let peer = Peer::unix(cred.uid(), sys::users::gids_of(cred.uid(), cred.gid()));
        self.serve(stream, peer, None, None, Ok(())).await;
    }

    /// A connection over TCP that begins with a TLS handshake.
    async fn tls(
        self: Arc<Server>,
        stream: tokio::net::TcpStream,
        from: SocketAddr,
        keys: Arc<ServerKeys>,
        place: handshakes::Place,
    ) {
        let metrics = self.site.metrics();
        let set_up = stream.set_nodelay(true).and_then(|()| sys::keep_alive(&stream));
        if let Err(err) = set_up {
            tracing::debug!(%from, error = %err, "connection could not be set up");
            return;
        }
        match tokio::time::timeout(RELOAD, self.read_keys(&keys)).await {
            // The open connections are looked at too, as the watcher will find nothing new any more.
            Ok(Ok(true)) => self.keys_changed.send_modify(|times| *times += 1),
            Ok(Ok(false)) => {}
            Ok(Err(err)) => self.keys_unread(err.to_string()),
            Err(_) => self.keys_unread("their disk does not answer".to_owned()),
        }
        let tls = match rustls::ServerConnection::new(keys.config()) {
            Ok(tls) => tls,
            Err(err) => return tracing::error!(%from, error = %err, "no TLS for this connection"),
        };
        let limit = self.site.limits().handshake;
        let mut stopping = self.stopping.subscribe();
        let origin = Origin::of(from.ip());
        let failed = |text: String| {
            metrics.handshakes_failed.add(1);
            if self.site.repeats.is_first("handshake failed", origin, &text) {
                tracing::warn!(%from, error = text, "handshake failed");
            }
        };
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(limit, TlsStream::accept(stream, tls)) => accepted,
            () = place.gives_way() => {
                return failed("gave way to a newer one: too many are under way (--max-handshakes)".to_owned());
            }
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        drop(place);
        let stream = match accepted {
            Err(_) => {
                let limit = limit.as_secs_f64();
                return failed(format!("not complete after {limit} s, the limit (--handshake-timeout)"));
            }
            Ok(Err(err)) => return failed(explain_io(err, "", Us::Server).to_string()),
            Ok(Ok(stream)) => stream,
        };
        match keys.admit(stream.peer_certificates()) {
            Ok(admitted) => {
                metrics.early.add(u64::from(stream.is_early()));
                let peer = admitted.peer.clone();
                let counted = self.count(self.remote_max());
                let _counted = counted.is_ok().then(|| Counted(&self.site));
                self.serve(stream, peer, Some(from), Some((keys, admitted)), counted).await;
            }
            Err(err) => failed(err.to_string()),
        }
    }

    /// Takes a place among the connections of a user.
    fn place(&self, peer: &Peer) -> Result<Place<'_>> {
        let name = peer.to_string();
        let max = self.site.limits().connections_of_user;
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = users.entry(name.clone()).or_default();
        if *count >= max {
            let text =
                format!("{name} has {max} connections, the limit of this server (--max-connections-of-user)");
            return Err(Error::new(Code::TooLarge, "", text));
        }
        *count += 1;
        Ok(Place(self, name))
    }

    /// Serves a connection to its end.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        peer: Peer,
        from: Option<SocketAddr>,
        admitted: Option<(Arc<ServerKeys>, Admitted)>,
        counted: Result<()>,
    ) {
        let place = counted.and_then(|()| self.place(&peer));
        let mailbox = Arc::new(Mailbox::default());
        let (shown, how) = (peer.to_string(), peer.how.as_str());
        let from = from.map(tracing::field::display);
        let mut connection = Connection::new(Arc::clone(&self.site), peer, mailbox.clone());
        if let Err(err) = &place {
            self.site.metrics().refused.add(1);
            if self.site.repeats.is_first("connection turned away", &shown, err.text()) {
                tracing::warn!(peer = shown, how, from, error = %err, "connection turned away");
            }
            connection.close(err);
        }
        tracing::debug!(peer = shown, how, from, "connected");
        let still_admitted = || match &admitted {
            Some((keys, admitted)) if keys.is_revoked(&admitted.serial) => {
                let text = format!("the certificate of {} is revoked", admitted.peer);
                Err(Error::new(Code::Denied, "", text))
            }
            Some((_, admitted))
                if sys::now_ns() / 1_000_000_000 > admitted.not_after.max(0).unsigned_abs() =>
            {
                let text = format!("the certificate of {} expired", admitted.peer);
                Err(Error::new(Code::Denied, "", text))
            }
            _ => Ok(()),
        };
        let mut signals = io::Signals {
            stopping: self.stopping.subscribe(),
            keys_changed: self.keys_changed.subscribe(),
            admitted: &still_admitted,
        };
        let (pool, limits) = (&self.site.pool, self.site.limits());
        let ended = io::run(stream, &mut connection, &mailbox, pool, limits, &mut signals).await;
        if let Err(err) = ended {
            self.site.metrics().refused.add(1);
            if self.site.repeats.is_first("connection ended", &shown, err.text()) {
                tracing::warn!(peer = shown, how, from, error = %err, "connection ended");
            }
        } else {
            tracing::debug!(peer = shown, how, from, "disconnected");
        }
    }

    /// Reads the keys again now and then, so that a revoked identity loses its open connections too, and an expired one later.
    async fn watch_keys(&self, keys: &Arc<ServerKeys>) {
        let (mut stopping, mut reload) = (self.stopping.subscribe(), self.reload.subscribe());
        let mut looked = tokio::time::Instant::now();
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => false,
                _ = reload.changed() => true,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            // Certificates that expired under open connections are found without a change of the keys, and without a timer for each.
            if looked.elapsed() >= LOOK_FOR_EXPIRED {
                looked = tokio::time::Instant::now();
                self.keys_changed.send_modify(|times| *times += 1);
            }
            let read = tokio::select! {
                read = self.read_keys(keys) => read,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            match read {
                Ok(true) => {
                    tracing::info!("keys were read again");
                    self.keys_changed.send_modify(|times| *times += 1);
                }
                Ok(false) if asked => tracing::info!("keys have not changed"),
                Ok(false) => {}
                Err(err) => self.keys_unread(err.to_string()),
            }
        }
    }

    fn keys_unread(&self, error: String) {
        if self.site.repeats.is_first("keys could not be read again", "", &error) {
            tracing::error!(error, "keys could not be read again; those read before stay in force");
        }
    }

    /// The error that a client sees of a server that stops.
    pub fn stopped() -> Error {
        stopped()
    }
}

/// How many descriptors may be open.
fn descriptors() -> usize {
    sys::open_files_max().map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX))
}

/// What a client that is turned away is told: a greeting, and why.
fn farewell(err: &Error) -> Vec<u8> {
    let mut session = Session::new(Role::Server, 0);
    session.goaway(&Fault::from(err));
    std::mem::take(session.output())
}
