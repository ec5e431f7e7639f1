//! One side of a connection: which exchanges are open, and how much may still be sent and received in each.
//!
//! Failure contract: an error of [`Session::receive`] is a mistake of the other side, after which nothing that it sends can be
//! trusted: say it with [`Session::goaway`] and close. Frames for exchanges that are not open are ignored, since they can have
//! been under way when the exchange was over.

use super::frame::{FRAME_HEADER, GREETING, Header, Kind, VERSION};
use std::collections::HashMap;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{CREDIT_MAX, NET_FRAME_MAX, PUT_CREDIT, REQUEST_MAX};
use woof_core::wire::Fault;

/// Data goes out in frames of up to this many bytes, so that exchanges take turns.
const DATA_MAX: usize = 64 << 10;

/// Which side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Makes requests.
    Client,
    /// Answers them.
    Server,
}

/// What came.
#[derive(Debug, PartialEq)]
pub enum Received<'a> {
    /// Nothing whole yet: at least so many more bytes are needed.
    Need(usize),
    /// Something that concerns nobody but the session.
    Nothing,
    /// A request; only at a server.
    Open {
        /// The number of the exchange.
        exchange: u32,
        /// The request, as [`super::Request::decode`] takes it.
        request: &'a [u8],
    },
    /// Bytes of a stream. When they are used up, say so with [`Session::used`].
    Data {
        /// The number of the exchange.
        exchange: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The other side has sent all of its stream.
    End(u32),
    /// The exchange is over.
    Cancel(u32, Fault),
    /// More may be sent.
    Credit(u32),
    /// The other side is alive.
    Pong,
    /// The other side takes no more requests.
    Goaway(Fault),
}

/// An exchange that is open.
#[derive(Debug)]
struct Exchange {
    /// Bytes that may still be sent.
    send: u64,
    /// Bytes that may still come.
    receive: u64,
    /// Bytes that were used up and not given back as credit yet.
    owed: u32,
    /// Credit is given back in steps of a quarter of this.
    window: u32,
    /// Our stream is complete.
    sent_all: bool,
    /// The other side's stream is complete.
    got_all: bool,
}

/// One side of a connection.
///
/// ```
/// use woof_net::net::{Received, Role, Session};
/// let mut client = Session::new(Role::Client, 1);
/// let exchange = client.open(b"request", 1 << 20)?;
/// assert_eq!(client.send(exchange, b"data"), 4);
///
/// let mut server = Session::new(Role::Server, 1);
/// let mut rest = &client.output()[..];
/// let mut seen = Vec::new();
/// while !rest.is_empty() {
///     let (used, received) = server.receive(rest)?;
///     seen.push(format!("{received:?}"));
///     rest = &rest[used..];
/// }
/// assert_eq!(seen[0], "Nothing"); // The greeting.
/// assert!(seen[1].starts_with("Open"));
/// assert!(seen[2].starts_with("Data"));
/// # Ok::<(), woof_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Session {
    role: Role,
    exchanges: HashMap<u32, Exchange>,
    exchanges_max: usize,
    /// The largest number of an exchange so far.
    last: u32,
    greeted: bool,
    /// What is to be sent.
    out: Vec<u8>,
}

impl Session {
    /// A side of a new connection. At a server no more than `exchanges_max` are open at once.
    pub fn new(role: Role, exchanges_max: usize) -> Session {
        let out = GREETING.to_vec();
        Session { role, exchanges: HashMap::new(), exchanges_max, last: 0, greeted: false, out }
    }

    /// What is to be sent: take bytes off its beginning as they are.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether the other side's greeting came.
    pub fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// How many exchanges are open.
    pub fn open_count(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether this exchange is open.
    pub fn is_open(&self, exchange: u32) -> bool {
        self.exchanges.contains_key(&exchange)
    }

    fn frame(&mut self, kind: Kind, exchange: u32, payload: &[u8]) {
        self.out.extend_from_slice(&Header { len: payload.len(), kind, exchange }.encode());
        self.out.extend_from_slice(payload);
    }

    /// Makes a request, whose answer may be `credit` bytes before more is given.
    ///
    /// # Errors
    /// [`Code::TooLarge`] for a request over [`REQUEST_MAX`]; when all numbers are used up.
    pub fn open(&mut self, request: &[u8], credit: u32) -> Result<u32> {
        if request.len() > REQUEST_MAX {
            let text = format!("request of {} bytes, the limit is {REQUEST_MAX}", request.len());
            return Err(Error::new(Code::TooLarge, "", text));
        }
        let exchange = self
            .last
            .checked_add(1)
            .ok_or_else(|| Error::new(Code::TooLarge, "", "no more exchanges fit this connection"))?;
        self.last = exchange;
        let mut payload = credit.to_le_bytes().to_vec();
        payload.extend_from_slice(request);
        self.frame(Kind::OPEN, exchange, &payload);
        self.exchanges.insert(exchange, Exchange::new(u64::from(PUT_CREDIT), credit));
        Ok(exchange)
    }

    /// How many bytes may be sent now.
    pub fn credit(&self, exchange: u32) -> usize {
        self.exchanges.get(&exchange).map_or(0, |open| usize::try_from(open.send).unwrap_or(usize::MAX))
    }

    /// Sends as much of `data` as there is credit for, and says how much that was.
    pub fn send(&mut self, exchange: u32, data: &[u8]) -> usize {
        let Some(open) = self.exchanges.get_mut(&exchange).filter(|open| !open.sent_all) else { return 0 };
        let len = data.len().min(usize::try_from(open.send).unwrap_or(usize::MAX));
        open.send -= len as u64;
        self.out.reserve(len + FRAME_HEADER * (len / DATA_MAX + 1));
        for piece in data.get(..len).unwrap_or_default().chunks(DATA_MAX) {
            self.frame(Kind::DATA, exchange, piece);
        }
        len
    }

    /// Says that our stream is complete.
    pub fn end(&mut self, exchange: u32) {
        let Some(open) = self.exchanges.get_mut(&exchange).filter(|open| !open.sent_all) else { return };
        open.sent_all = true;
        let over = open.got_all;
        self.frame(Kind::END, exchange, &[]);
        if over {
            self.exchanges.remove(&exchange);
        }
    }

    /// Ends an exchange at once, both ways, and says why.
    pub fn cancel(&mut self, exchange: u32, fault: &Fault) {
        if self.exchanges.remove(&exchange).is_some() {
            self.frame(Kind::CANCEL, exchange, &fault.to_bytes());
        }
    }

    /// Notes that `len` received bytes were used up, so that as many more may come.
    pub fn used(&mut self, exchange: u32, len: usize) {
        let Some(open) = self.exchanges.get_mut(&exchange).filter(|open| !open.got_all) else { return };
        open.owed = open.owed.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        if open.owed >= (open.window / 4).max(1) {
            let owed = std::mem::take(&mut open.owed);
            open.receive += u64::from(owed);
            self.frame(Kind::CREDIT, exchange, &owed.to_le_bytes());
        }
    }

    /// Widens what may come in an exchange to `window` bytes in all.
    pub fn widen(&mut self, exchange: u32, window: u32) {
        let Some(open) = self.exchanges.get_mut(&exchange).filter(|open| !open.got_all) else { return };
        let more = window.saturating_sub(open.window);
        if more > 0 {
            open.window = window;
            open.receive += u64::from(more);
            self.frame(Kind::CREDIT, exchange, &more.to_le_bytes());
        }
    }

    /// Asks whether the other side is alive.
    pub fn ping(&mut self) {
        self.frame(Kind::PING, 0, &[0; 8]);
    }

    /// Says that no more requests are taken, or that the connection is about to be closed, and why.
    pub fn goaway(&mut self, fault: &Fault) {
        self.frame(Kind::GOAWAY, 0, &fault.to_bytes());
    }

    /// Takes the next something off the beginning of `input`: how many bytes it used, and what they were. Bytes that were
    /// not used must be at the beginning of the input of the next call.
    ///
    /// # Errors
    /// [`Code::Damaged`], [`Code::TooLarge`] and [`Code::Unsupported`] say what the other side did wrong.
    pub fn receive<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Received<'a>)> {
        if !self.greeted {
            return self.receive_greeting(input);
        }
        let Some((header, rest)) = input.split_first_chunk::<FRAME_HEADER>() else {
            return Ok((0, Received::Need(FRAME_HEADER - input.len())));
        };
        let header = Header::decode(*header);
        if header.len > NET_FRAME_MAX {
            return Err(Error::new(
                Code::TooLarge,
                "",
                format!("frame of {} bytes, the limit is {NET_FRAME_MAX}", header.len),
            ));
        }
        let Some(payload) = rest.get(..header.len) else {
            return Ok((0, Received::Need(header.len - rest.len())));
        };
        let received = self.frame_came(header, payload)?;
        Ok((FRAME_HEADER + header.len, received))
    }

    fn receive_greeting<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Received<'a>)> {
        let fixed = GREETING.len() - 1;
        let same = input.iter().zip(&GREETING[..fixed]).take_while(|(a, b)| a == b).count();
        match input.get(fixed) {
            Some(&VERSION) if same == fixed => {
                self.greeted = true;
                Ok((GREETING.len(), Received::Nothing))
            }
            Some(version) if same == fixed => {
                let text = match self.role {
                    Role::Server => {
                        format!("protocol version {version}, this server speaks version {VERSION}")
                    }
                    Role::Client => {
                        format!(
                            "the server speaks protocol version {version}, this program version {VERSION}"
                        )
                    }
                };
                Err(Error::new(Code::Unsupported, "", text))
            }
            None if same == input.len() => Ok((0, Received::Need(GREETING.len() - input.len()))),
            _ => {
                Err(Error::new(Code::Unsupported, "", "the other side does not speak the protocol of woofs"))
            }
        }
    }

    fn frame_came<'a>(&mut self, header: Header, payload: &'a [u8]) -> Result<Received<'a>> {
        let exchange = header.exchange;
        let whole_connection = matches!(header.kind, Kind::PING | Kind::PONG | Kind::GOAWAY);
        if header.kind.is_optional() {
            return Ok(Received::Nothing);
        }
        if whole_connection != (exchange == 0) {
            return Err(damaged(format!("frame of kind {} for exchange {exchange}", header.kind.0)));
        }
        match header.kind {
            Kind::OPEN => self.open_came(exchange, payload),
            Kind::DATA => {
                let Some(open) = self.exchanges.get_mut(&exchange) else { return Ok(Received::Nothing) };
                if open.got_all {
                    return Err(damaged(format!("data of exchange {exchange} after its end")));
                }
                if payload.is_empty() {
                    return Err(damaged("a frame of data without data".to_owned()));
                }
                open.receive = open
                    .receive
                    .checked_sub(payload.len() as u64)
                    .ok_or_else(|| damaged(format!("data of exchange {exchange} without credit")))?;
                Ok(Received::Data { exchange, bytes: payload })
            }
            Kind::END => {
                expect_len(payload, 0, "end")?;
                let Some(open) = self.exchanges.get_mut(&exchange) else { return Ok(Received::Nothing) };
                if open.got_all {
                    return Err(damaged(format!("two ends of exchange {exchange}")));
                }
                open.got_all = true;
                if open.sent_all {
                    self.exchanges.remove(&exchange);
                }
                Ok(Received::End(exchange))
            }
            Kind::CANCEL => {
                let fault = Fault::from_bytes(payload)?;
                match self.exchanges.remove(&exchange) {
                    Some(_) => Ok(Received::Cancel(exchange, fault)),
                    None => Ok(Received::Nothing),
                }
            }
            Kind::CREDIT => {
                let more = expect_len(payload, 4, "credit").map(four)?;
                let Some(open) = self.exchanges.get_mut(&exchange) else { return Ok(Received::Nothing) };
                open.send += u64::from(more);
                if open.send > CREDIT_MAX {
                    return Err(damaged(format!("credit of exchange {exchange} over {CREDIT_MAX} bytes")));
                }
                Ok(Received::Credit(exchange))
            }
            Kind::PING => {
                expect_len(payload, 8, "ping")?;
                self.frame(Kind::PONG, 0, payload);
                Ok(Received::Nothing)
            }
            Kind::PONG => expect_len(payload, 8, "pong").map(|_| Received::Pong),
            Kind::GOAWAY => Ok(Received::Goaway(Fault::from_bytes(payload)?)),
            Kind(kind) => {
                Err(Error::new(Code::Unsupported, "", format!("a frame of the unknown kind {kind}")))
            }
        }
    }

    fn open_came<'a>(&mut self, exchange: u32, payload: &'a [u8]) -> Result<Received<'a>> {
        if self.role == Role::Client {
            return Err(damaged("a request from a server".to_owned()));
        }
        if exchange <= self.last {
            return Err(damaged(format!("exchange {exchange} after exchange {}", self.last)));
        }
        let Some((credit, request)) = payload.split_first_chunk::<4>() else {
            return Err(damaged(format!("a request of {} bytes", payload.len())));
        };
        let credit = u32::from_le_bytes(*credit);
        if u64::from(credit) > CREDIT_MAX {
            return Err(damaged(format!("credit of exchange {exchange} over {CREDIT_MAX} bytes")));
        }
        self.last = exchange;
        let refused = if request.len() > REQUEST_MAX {
            Some(format!("request of {} bytes, the limit is {REQUEST_MAX}", request.len()))
        } else if self.exchanges.len() >= self.exchanges_max {
            let max = self.exchanges_max;
            Some(format!(
                "{max} exchanges are open on this connection, the limit of this server (--max-exchanges)"
            ))
        } else {
            None
        };
        if let Some(text) = refused {
            let fault = Fault::from(&Error::new(Code::TooLarge, "", text));
            self.frame(Kind::CANCEL, exchange, &fault.to_bytes());
            return Ok(Received::Nothing);
        }
        self.exchanges.insert(exchange, Exchange::new(u64::from(credit), PUT_CREDIT));
        Ok(Received::Open { exchange, request })
    }
}

impl Exchange {
    fn new(send: u64, receive: u32) -> Exchange {
        let window = receive;
        Exchange { send, receive: u64::from(receive), owed: 0, window, sent_all: false, got_all: false }
    }
}

fn expect_len<'a>(payload: &'a [u8], len: usize, what: &str) -> Result<&'a [u8]> {
    if payload.len() == len {
        return Ok(payload);
    }
    Err(damaged(format!("{what} frame with {} bytes instead of {len}", payload.len())))
}

fn four(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cold]
fn damaged(text: String) -> Error {
    Error::new(Code::Damaged, "", format!("protocol error: {text}"))
}
