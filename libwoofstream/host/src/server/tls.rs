//! TLS of an accepted connection, over tokio's sockets.
//!
//! A handshake that resumes a session is not waited for to its end: the client is known by its session, its request came with its first
//! flight (early data), and the answer goes out behind our part of the handshake. That saves a round trip, which is what early
//! data is for; tokio-rustls gives a stream only when the handshake is complete.
//!
//! Failure contract: nothing is sent to a client before its certificate is known. An error of TLS is told to the client by an alert and ends
//! the connection.

use super::spare;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection with TLS.
pub(super) struct TlsStream {
    io: TcpStream,
    tls: Box<ServerConnection>,
    /// Nothing more comes.
    eof: bool,
    /// What came and was not given to TLS yet, from `used` on. It takes 4 KiB at a time, and a read for each costs more than they do.
    left: Vec<u8>,
    used: usize,
    /// What went wrong behind data that was given out first.
    failed: Option<io::Error>,
}

/// So much is read at once.
const READ: usize = 64 << 10;

thread_local! {
    // One for each thread and none for each connection: nothing is kept in it between two polls.
    static RAW: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// The socket as rustls writes it: what would have to wait is an error.
struct Now<'a>(&'a TcpStream);

impl io::Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsStream {
    /// Begins a handshake and goes on until it is known who the client is: to its end, or in a resumed session until the first data is
    /// there.
    ///
    /// # Errors
    /// Those of TLS, with the [`rustls::Error`] inside, and of the socket.
    pub(super) async fn accept(io: TcpStream, tls: ServerConnection) -> io::Result<TlsStream> {
        let mut stream =
            TlsStream { io, tls: Box::new(tls), eof: false, left: Vec::new(), used: 0, failed: None };
        poll_fn(|context| stream.poll_known(context)).await?;
        Ok(stream)
    }

    /// The certificates of the client; of a resumed session those it began with.
    pub(super) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.tls.peer_certificates()
    }

    /// Whether the handshake still goes on: a session was resumed, and what is read first is early data.
    pub(super) fn is_early(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn poll_known(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let _ = self.poll_push(context)?;
            if !self.tls.is_handshaking() {
                // What ends the handshake goes out with the first answer, or with what is flushed.
                return Poll::Ready(Ok(()));
            }
            if self.tls.early_data().is_some() && self.tls.peer_certificates().is_some() {
                return Poll::Ready(Ok(()));
            }
            if self.eof {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.poll_pull(context))?;
        }
    }

    /// Sends what TLS has to send, as far as the socket takes it.
    fn poll_push(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            ready!(self.io.poll_write_ready(context))?;
            match self.tls.write_tls(&mut Now(&self.io)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(_) => {}
                // The socket is not ready after all; the next turn asks it again.
                Err(err) if err.kind() == ErrorKind::WouldBlock => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what came off the socket, and answers to it, as the end of a handshake, are not left lying.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.poll_push(context)?;
        ready!(self.poll_pull(context))?;
        let _ = self.poll_push(context)?;
        Poll::Ready(Ok(()))
    }

    /// Takes what came off the socket: a part that TLS takes at once; what is left of it waits here for the next call.
    fn poll_pull(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.left.is_empty() {
            let mut rest = self.left.get(self.used..).unwrap_or_default();
            let before = rest.len();
            let done = self.tls.read_tls(&mut rest);
            self.used += before - rest.len();
            if self.used == self.left.len() {
                spare::give(std::mem::take(&mut self.left));
                self.used = 0;
            }
            done?;
            return Poll::Ready(self.process(context));
        }
        RAW.with_borrow_mut(|raw| {
            let mut raw = ReadBuf::new(raw);
            // A read that does not fill it is known to have taken all there was.
            ready!(Pin::new(&mut self.io).poll_read(context, &mut raw))?;
            let mut came = raw.filled();
            self.eof = came.is_empty();
            // The end is told too.
            self.tls.read_tls(&mut came)?;
            if !came.is_empty() {
                self.left = spare::take();
                self.left.extend_from_slice(came);
            }
            Poll::Ready(if self.eof { Ok(()) } else { self.process(context) })
        })
    }

    fn process(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Err(err) = self.tls.process_new_packets() {
            // The client is told why, if it still takes it.
            let _ = self.poll_push(context);
            return Err(io::Error::new(ErrorKind::InvalidData, err));
        }
        Ok(())
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        // As much as there is and fits: many small records are one read, and what is done about them is done once.
        loop {
            if let Some(mut early) = self.tls.early_data() {
                let read = early.read(buffer.initialize_unfilled())?;
                buffer.advance(read);
            }
            while buffer.remaining() > 0 {
                match self.tls.reader().read(buffer.initialize_unfilled()) {
                    Ok(0) => break,
                    Ok(len) => buffer.advance(len),
                    Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::UnexpectedEof) => {
                        break;
                    }
                    Err(err) => return Poll::Ready(Err(err)),
                }
            }
            if buffer.remaining() == 0 || self.eof {
                return Poll::Ready(Ok(()));
            }
            if let Some(err) = self.failed.take_if(|_| buffer.filled().len() == before) {
                return Poll::Ready(Err(err));
            }
            let state = self.tls.process_new_packets().map(|state| state.peer_has_closed());
            if self.failed.is_some() || matches!(state, Ok(true)) {
                return Poll::Ready(Ok(()));
            }
            match self.poll_more(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(err)) => self.failed = Some(err),
                Poll::Pending if buffer.filled().len() > before => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.tls.writer().write(bytes)? {
                // The buffer of TLS is full.
                0 if !bytes.is_empty() => {}
                len => {
                    let _ = self.poll_push(context)?;
                    return Poll::Ready(Ok(len));
                }
            }
            ready!(self.poll_push(context))?;
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_push(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.send_close_notify();
        ready!(self.poll_push(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
