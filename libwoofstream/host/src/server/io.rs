//! Bytes between a socket and a [`Connection`], in one task: whatever can be done is done, then the task sleeps.

use super::Limits;
use super::connection::{Connection, Pumped};
use super::exchange::{Apart, Wake};
use super::pool::Pool;
use super::spare;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Instant;
use woof_core::error::{Code, Error, Result};

/// So much is read at once.
const READ: usize = 128 << 10;

/// With so much waiting to be sent nothing is read: who does not read answers gets no more of them.
const OUTPUT_MAX: usize = 1 << 20;

/// How long a client may take for the last bytes of a connection.
const GOODBYE: Duration = Duration::from_secs(1);

thread_local! {
    // One for each thread and none for each connection: nothing is kept in it between two polls.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Which exchanges were woken, what was done apart, and how to wake the task of their connection.
#[derive(Default)]
pub(super) struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    woken: Vec<u32>,
    done: Vec<Apart>,
    waker: Option<Waker>,
    /// Nobody looks any more.
    closed: bool,
}

impl Wake for Mailbox {
    fn wake(&self, exchange: u32) {
        let waker = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.woken.push(exchange);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Mailbox {
    /// Gives back what was done apart. After the connection has gone it is let go of.
    fn done(&self, apart: Apart) {
        let waker = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.closed {
                drop(inner);
                return drop(apart);
            }
            inner.done.push(apart);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nobody looks any more.
    fn close(&self) {
        let left = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.closed = true;
            std::mem::take(&mut inner.done)
        };
        drop(left);
    }

    /// Takes what was woken, and what was done; when nothing was, the task is woken by the next.
    fn take(&self, context: &Context<'_>) -> (Vec<u32>, Vec<Apart>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.woken.is_empty()
            && inner.done.is_empty()
            && inner.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker()))
        {
            inner.waker = Some(context.waker().clone());
        }
        (std::mem::take(&mut inner.woken), std::mem::take(&mut inner.done))
    }
}

/// What happened that is worth a look at the connection.
enum Happened {
    /// Bytes came or went, or an exchange was woken.
    Something,
    /// The client has gone.
    Closed,
}

/// What concerns a connection and does not come over it.
pub(super) struct Signals<'a> {
    /// True once the server stops.
    pub(super) stopping: watch::Receiver<bool>,
    /// Changes when certificates may have been revoked.
    pub(super) keys_changed: watch::Receiver<u64>,
    /// Whether the client may still be served.
    pub(super) admitted: &'a (dyn Fn() -> Result<()> + Sync),
}

/// Why the task woke.
enum Event {
    Io(Happened),
    Stop,
    KeysChanged,
    Deadline,
}

/// Carries bytes until the connection is over.
///
/// # Errors
/// What the client did wrong, or a limit that it was over.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    connection: &mut Connection,
    mailbox: &Arc<Mailbox>,
    pool: &Pool,
    limits: &Limits,
    signals: &mut Signals<'_>,
) -> Result<()> {
    let (mut wrong, mut sent, mut stopped, mut gone) = (None, 0, false, false);
    let mut deadline = Some(Instant::now() + limits.handshake);
    loop {
        if connection.output().capacity() == 0 {
            *connection.output() = spare::take();
        }
        while let Pumped::Apart(apart) = connection.pump() {
            let mailbox = Arc::clone(mailbox);
            pool.run(apart.lane(), move || mailbox.done(apart.run()));
        }
        if connection.is_over() && connection.output().len() == sent {
            break;
        }
        if connection.is_over() {
            // Who does not take what is left keeps no place.
            deadline.get_or_insert_with(|| Instant::now() + limits.stop);
        } else if connection.is_greeted() && !stopped {
            deadline = None;
        }
        // Looked at each time: what comes and goes without a pause must not keep them waiting.
        let told = if !stopped && *signals.stopping.borrow() {
            Some(Event::Stop)
        } else if signals.keys_changed.has_changed().is_ok_and(|changed| changed) {
            signals.keys_changed.mark_unchanged();
            Some(Event::KeysChanged)
        } else {
            None
        };
        let event = match told {
            Some(told) => told,
            None => tokio::select! {
                biased;
                happened = poll_fn(|context| {
                    poll(&mut stream, connection, mailbox, &mut sent, &mut wrong, context)
                }) => Event::Io(happened),
                _ = signals.stopping.wait_for(|stopping| *stopping), if !stopped => Event::Stop,
                _ = signals.keys_changed.changed() => Event::KeysChanged,
                () = sleep_until(deadline) => Event::Deadline,
            },
        };
        match event {
            Event::Io(Happened::Something) => {}
            Event::Io(Happened::Closed) => {
                gone = true;
                break;
            }
            Event::Stop => {
                stopped = true;
                deadline = Some(Instant::now() + limits.stop);
                connection.stop();
            }
            Event::KeysChanged => {
                if let Err(err) = (signals.admitted)() {
                    apart(connection, |connection| connection.close(&err));
                    wrong.get_or_insert(err);
                }
            }
            // What is said of that is to arrive.
            Event::Deadline if stopped && tokio::task::block_in_place(|| connection.cut_off()) => {
                deadline = Some(Instant::now() + GOODBYE);
            }
            Event::Deadline if connection.is_greeted() || wrong.is_some() || stopped => break,
            Event::Deadline => {
                let limit = limits.handshake.as_secs_f64();
                let text = format!("no greeting in {limit} s, the limit (--handshake-timeout)");
                let err = Error::new(Code::Denied, "", text);
                connection.close(&err);
                wrong = Some(err);
                deadline = Some(Instant::now() + GOODBYE);
            }
        }
    }
    apart(connection, Connection::finish);
    mailbox.close();
    // What TLS has to say last goes out if the client takes it. What still comes is read and dropped: a socket that is closed with
    // something unread takes back what it was to send, and that says what was wrong.
    let goodbye = async {
        let shut = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
        if shut.is_ok() && !gone {
            poll_fn(|context| drop_input(&mut stream, context)).await;
        }
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    wrong.map_or(Ok(()), Err)
}

/// Ends a connection where it harms nobody if that takes long, as it may where programs run for it.
fn apart(connection: &mut Connection, end: impl FnOnce(&mut Connection)) {
    if connection.runs_programs() {
        tokio::task::block_in_place(|| end(connection));
    } else {
        end(connection);
    }
}

/// Reads to the end of what the client sends.
fn drop_input<S: AsyncRead + Unpin>(stream: &mut S, context: &mut Context<'_>) -> Poll<()> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        loop {
            buffer.clear();
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Does what can be done now: takes what was woken, writes, reads.
fn poll<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    connection: &mut Connection,
    mailbox: &Mailbox,
    sent: &mut usize,
    wrong: &mut Option<Error>,
    context: &mut Context<'_>,
) -> Poll<Happened> {
    let mut something = false;
    let (woken, done) = mailbox.take(context);
    something |= !woken.is_empty() || !done.is_empty();
    done.into_iter().for_each(|apart| connection.done(apart));
    woken.into_iter().for_each(|exchange| connection.wake(exchange));
    // Written first, so that a client that only reads is served.
    let mut wrote = false;
    while *sent < connection.output().len() {
        let rest = connection.output().get(*sent..).unwrap_or_default();
        match Pin::new(&mut *stream).poll_write(context, rest) {
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Happened::Closed),
            Poll::Ready(Ok(len)) => {
                *sent += len;
                wrote = true;
            }
            Poll::Pending => break,
        }
    }
    if *sent > 0 && *sent == connection.output().len() {
        connection.wrote(*sent);
        *sent = 0;
        connection.output().clear();
    }
    if wrote || *sent == 0 {
        match Pin::new(&mut *stream).poll_flush(context) {
            Poll::Ready(Err(_)) => return Poll::Ready(Happened::Closed),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
    something |= wrote;
    if connection.output().len() - *sent < OUTPUT_MAX && !connection.is_over() {
        let read = BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => Some(Happened::Closed),
                Poll::Ready(Ok(())) => {
                    // The client was told, and what was said goes out before the end.
                    if let Err(err) = connection.receive(buffer.filled()) {
                        wrong.get_or_insert(err);
                    }
                    Some(Happened::Something)
                }
                Poll::Ready(Err(_)) => Some(Happened::Closed),
                Poll::Pending => None,
            }
        });
        match read {
            Some(Happened::Closed) => return Poll::Ready(Happened::Closed),
            Some(Happened::Something) => something = true,
            None => {}
        }
    }
    if something {
        return Poll::Ready(Happened::Something);
    }
    // Now it sleeps.
    if connection.output().is_empty() {
        spare::give(std::mem::take(connection.output()));
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::super::Site;
    use super::*;
    use std::sync::Arc;
    use woof_core::access::Peer;
    use woof_log::{self as log, Options};
    use woof_net::net::{self, Received, Request, Role, Session};

    /// A client that is always ready.
    struct Client {
        session: Session,
        got: Vec<u8>,
        /// It never stops asking whether the server is alive, so many times; or it goes as soon as it has an answer.
        pings: Option<u32>,
        ended: bool,
    }

    impl AsyncRead for Client {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let input = std::mem::take(self.session.output());
            into.put_slice(&input);
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match self.pings {
                Some(left) => {
                    assert!(left > 0, "what it was told to is never looked at");
                    self.pings = Some(left - 1);
                    self.session.ping();
                }
                // More than a greeting.
                None if input.is_empty() && self.got.len() <= 8 => return Poll::Pending,
                None => {}
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Client {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            self.got.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            self.ended = true;
            Poll::Ready(Ok(()))
        }
    }

    /// Serves a client of a woof with 20,000 elements; `change` is called before it comes.
    fn serve(client: &mut Client, change: impl FnOnce(&watch::Sender<u64>)) -> Result<()> {
        let dir = woof_kit::tempdir().unwrap();
        let path = dir.path().join("temp");
        log::create(&path, &Options { history: 20_000, ..Options::default() }).unwrap();
        let mut appender = log::open(&path).unwrap().appender().unwrap();
        appender.extend((0..20_000).map(|_| b"1".as_slice()), |_| {}).unwrap();
        let site = Site::open(dir.path(), Limits::default()).unwrap();
        let mailbox = Arc::new(Mailbox::default());
        let peer = Peer::unix(rustix::process::getuid().as_raw(), Vec::new());
        let mut connection = Connection::new(Arc::clone(&site), peer, mailbox.clone());
        let (_stop, stopping) = watch::channel(false);
        let (keys, keys_changed) = watch::channel(0);
        change(&keys);
        let refused = || Err(Error::new(Code::Denied, "", "the certificate is revoked"));
        let mut signals = Signals { stopping, keys_changed, admitted: &refused };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let served = run(client, &mut connection, &mailbox, &site.pool, site.limits(), &mut signals);
        runtime.unwrap().block_on(served)
    }

    #[test]
    fn a_client_that_goes_away_ends_a_search_that_finds_nothing() {
        let mut session = Session::new(Role::Client, 1);
        let read =
            net::Read { name: "temp".into(), filter: Some("seqno < 0".into()), ..net::Read::default() };
        session.open(&Request::Read(read).encode().unwrap(), 1 << 20).unwrap();
        let mut client = Client { session, got: Vec::new(), pings: None, ended: false };
        serve(&mut client, |_| {}).unwrap();
        let mut rest = &client.got[..];
        let mut came = 0;
        while let Ok((used, received)) = client.session.receive(rest)
            && used > 0
        {
            assert!(!matches!(received, Received::End(_)), "all of it was looked at");
            came += 1;
            rest = &rest[used..];
        }
        assert!(came > 1, "nothing was looked at");
    }

    #[test]
    fn a_client_that_never_pauses_does_not_outlive_its_certificate() {
        let session = Session::new(Role::Client, 1);
        let mut client = Client { session, got: Vec::new(), pings: Some(1000), ended: false };
        let err = serve(&mut client, |keys| keys.send_modify(|times| *times += 1)).unwrap_err();
        assert_eq!(err.text(), "the certificate is revoked");
    }
}
