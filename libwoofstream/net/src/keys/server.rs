//! TLS of a server: its certificate, whom it lets in, and both made anew when the files of the store change.
//!
//! Failure contract: a store that became unreadable changes nothing: what was read last stays in force, and
//! [`ServerKeys::reload`] says why. What was revoked stays so, whatever list is put into the store. A resumed session is looked at like a new one ([`ServerKeys::admit`]): TLS itself does not look at
//! its certificate again.

use super::cert::{self, Certificate, Kind, Serial};
use super::files::{self, Pem, Stamp};
use super::issue::Terms;
use super::place;
use super::revoked::Revoked;
use super::store::Store;
use super::tls;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use woof_core::access::Peer;
use woof_core::error::{Code, Error, Result};
use woof_core::sys;

/// How many connections a client can make with the session of one.
const TICKETS: usize = 4;

/// How long a certificate is valid that a server makes for itself, in days. A third before its end it makes a new one.
const OWN_DAYS: u32 = 90;

/// What a server wants of TLS.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The host whose certificate to use. Without one: a certificate made for [`ServerOptions::names`] where the authority's key is,
    /// else the only host of the store.
    pub host: Option<String>,
    /// The names and addresses for a certificate that is made here (see [`own_names`]).
    pub names: Vec<String>,
    /// The most bytes that a client may send with the first flight of a resumed session; 0 for none.
    pub early_data_max: u32,
    /// How many sessions are kept for resumption, in memory. A session is resumed once.
    pub sessions: usize,
    /// The file in which the newest list of what is revoked is kept, so that a server that was started again takes no older one.
    pub remember: Option<PathBuf>,
}

/// The TLS configuration of a server, always as the store has it.
#[derive(Debug)]
pub struct ServerKeys {
    store: Store,
    options: ServerOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    revoked: Revoked,
    /// The newest list, in DER.
    list: Vec<u8>,
    authority: Vec<u8>,
    sessions: Arc<dyn StoresServerSessions>,
    /// When a certificate that was made here is to be made anew, in seconds since 1970.
    renew: Option<i64>,
    stamps: [Stamp; 5],
}

/// A client that was let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who it is.
    pub peer: Peer,
    /// The serial number of its certificate, to be asked about while the connection lasts ([`ServerKeys::is_revoked`]).
    pub serial: Serial,
    /// The last second since 1970 in which the certificate is valid.
    pub not_after: i64,
}

impl ServerKeys {
    /// Reads the store.
    ///
    /// # Errors
    /// When there is no authority, no certificate for this host, or a key that others could read.
    pub fn new(store: Store, options: ServerOptions) -> Result<ServerKeys> {
        let state = State::read(&store, &options, None)?;
        Ok(ServerKeys { store, options, state: Mutex::new(state) })
    }

    /// Reads the store again if its files changed; true when they did. Costs a few `stat` calls, so it can be asked before each
    /// connection.
    ///
    /// # Errors
    /// As [`ServerKeys::new`]; what was read before stays in force, and it is tried again the next time.
    pub fn reload(&self) -> Result<bool> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.renew.is_some_and(|at| cert::now() >= at);
        if !is_due && state.stamps == stamps(&self.store, &self.options) {
            return Ok(false);
        }
        *state = State::read(&self.store, &self.options, Some(&state))?;
        Ok(true)
    }

    /// The configuration, as it was last read.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// Who a client is, by the certificates that the connection has (`peer_certificates`). To be asked after each handshake, and for
    /// early data before it is acted upon, resumed sessions included.
    ///
    /// # Errors
    /// [`Code::Denied`] without a certificate, and for one that is expired or revoked.
    pub fn admit(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<Admitted> {
        let Some(der) = certificates.and_then(<[_]>::first) else {
            return Err(Error::new(Code::Denied, "", "no certificate was given"));
        };
        let certificate = Certificate::read(der)?;
        certificate.check_time(cert::now())?;
        if certificate.kind != Kind::User {
            let text = format!("the certificate is one of a {}, not of a user", certificate.kind.as_str());
            return Err(Error::new(Code::Denied, "", text));
        }
        if self.is_revoked(&certificate.serial) {
            let text = format!("the certificate of user {} is revoked", certificate.name);
            return Err(Error::new(Code::Denied, "", text));
        }
        let Certificate { name, groups, serial, not_after, .. } = certificate;
        Ok(Admitted { peer: Peer::tls(name, groups), serial, not_after })
    }

    /// Whether a certificate is revoked, by the list as it was last read.
    pub fn is_revoked(&self, serial: &Serial) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).revoked.serials.contains_key(serial)
    }
}

impl State {
    fn read(store: &Store, options: &ServerOptions, old: Option<&State>) -> Result<State> {
        // The stamps come first: what changes while the files are read is read again the next time.
        let stamps = stamps(store, options);
        let authority = store.valid_authority()?;
        let known = match old {
            Some(old) if old.authority == authority => Some((old.list.clone(), old.revoked.clone())),
            _ => options.remember.as_deref().and_then(|file| remembered(file, &authority)),
        };
        let list = store.revoked_der()?;
        let revoked = Revoked::read(&list, &authority)
            .map_err(|err| err.of(store.revoked_path().display().to_string()))?;
        let is_newest = known.as_ref().is_none_or(|(_, known)| revoked.number > known.number);
        let (list, revoked) = never_back(store, known, (list, revoked));
        if let Some(file) = options.remember.as_deref().filter(|_| is_newest)
            && let Err(err) = sys::replace(file, files::list_pem(&list).as_bytes(), 0o644)
        {
            tracing::error!(error = %err, "which list of what is revoked is the newest will not be known after a restart");
        }
        let (der, key, renew) = host_certificate(store, options, &authority, &revoked)?;
        let sessions = match old {
            // A session of another authority must not be resumed.
            Some(old) if old.authority == authority => old.sessions.clone(),
            _ => ServerSessionMemoryCache::new(options.sessions),
        };
        let config = config(&authority, &list, der, key, options.early_data_max, sessions.clone())?;
        Ok(State { config: Arc::new(config), revoked, list, authority, sessions, renew, stamps })
    }
}

/// The list of what is revoked that was kept, where it is one of this authority.
fn remembered(file: &Path, authority: &[u8]) -> Option<(Vec<u8>, Revoked)> {
    let list = Pem::parse(&place::read_signed(file).ok()?).and_then(Pem::list).ok()?;
    let revoked = Revoked::read(&list, authority).ok()?;
    Some((list, revoked))
}

/// What is revoked by the list of the store, and by the one that was in force. The newer list is in force, and what was revoked once stays so: a store that is
/// put back as it was, by who has an old copy of it or from a backup, lets nobody in again.
fn never_back(
    store: &Store,
    known: Option<(Vec<u8>, Revoked)>,
    (list, mut revoked): (Vec<u8>, Revoked),
) -> (Vec<u8>, Revoked) {
    let Some((known_list, known)) = known else { return (list, revoked) };
    let (number, newest) = (revoked.number, known.number);
    let before = revoked.serials.len();
    for (serial, at) in known.serials {
        revoked.serials.entry(serial).or_insert(at);
    }
    let missing = revoked.serials.len() - before;
    if number < newest || missing > 0 {
        tracing::error!(
            list = %store.revoked_path().display(),
            number,
            newest,
            missing,
            "the list of what is revoked is older than one before: what that one had stays revoked (wkey import takes in the newest that wkey export gives)"
        );
    }
    revoked.number = number.max(newest);
    (if number < newest { known_list } else { list }, revoked)
}

/// The configuration of a server with this certificate and key.
pub(super) fn config(
    authority: &[u8],
    list: &[u8],
    der: Vec<u8>,
    key: Vec<u8>,
    early_data_max: u32,
    sessions: Arc<dyn StoresServerSessions>,
) -> Result<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(tls::roots(authority)?, tls::provider())
        .with_crls(tls::lists(list))
        .build()
        .map_err(|err| tls::unusable(&err.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
            builder.with_client_cert_verifier(verifier).with_single_cert(vec![der.into()], key)
        })
        .map_err(|err| tls::unusable(&err.to_string()))?;
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    // Sessions are kept here and not in the ticket, each for one use: rustls takes early data only so, since it could be sent
    // again by a stranger who recorded it.
    config.session_storage = sessions;
    config.max_early_data_size = early_data_max;
    // A client whose session is resumed is known before its handshake is complete, and can have its answer then. In a full
    // handshake nothing is sent before the certificate is there, whatever this says.
    config.send_half_rtt_data = true;
    // Each is good for one connection, and one that has its answer early ends before it would get new ones.
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

/// The certificate and the key of this host, and when it is to be made anew.
fn host_certificate(
    store: &Store,
    options: &ServerOptions,
    authority: &[u8],
    revoked: &Revoked,
) -> Result<(Vec<u8>, Vec<u8>, Option<i64>)> {
    let name = match &options.host {
        Some(name) => store.find(&format!("host/{name}"))?.1,
        None if store.can_sign() => {
            if options.names.is_empty() {
                return Err(Error::new(Code::Invalid, "", "a certificate for this host needs a name"));
            }
            let terms = Terms::days(OWN_DAYS);
            let made = store.signer(authority)?.host(&options.names, terms)?;
            let key = files::Pem::parse(made.key.as_bytes())?.key()?;
            let renew = terms.not_after - i64::from(OWN_DAYS) * 86_400 / 3;
            return Ok((made.der, key, Some(renew)));
        }
        None => match store.names(Kind::Host)?.as_slice() {
            [name] => name.clone(),
            [] => {
                let text = "no certificate for this host: make it with wkey host where the authority is, then wkey export and import";
                return Err(Error::new(Code::NotFound, store.shown(), text));
            }
            names => {
                let text = format!(
                    "certificates for several hosts, and none was chosen (--host): {}",
                    names.join(", ")
                );
                return Err(Error::new(Code::Invalid, store.shown(), text));
            }
        },
    };
    let (certificate, der, key) = store.certificate(Kind::Host, &name)?;
    certificate.check_time(cert::now())?;
    if revoked.serials.contains_key(&certificate.serial) {
        return Err(Error::new(Code::Denied, "", format!("the certificate of host {name} is revoked")));
    }
    Ok((der, key, None))
}

fn stamps(store: &Store, options: &ServerOptions) -> [Stamp; 5] {
    let dir = store.dir();
    [
        files::stamp(&store.authority_path()),
        files::stamp(&dir.join("authority.key")),
        files::stamp(&store.revoked_path()),
        files::stamp(&store.kind_dir(Kind::Host)),
        options.host.as_ref().and_then(|host| files::stamp(&store.path(Kind::Host, host))),
    ]
}

/// The names and addresses under which a server on this machine is reached that listens on these: `localhost`, the host name, the
/// addresses, and all of the machine's where it listens on every one.
pub fn own_names(listen: &[SocketAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if rustls::pki_types::DnsName::try_from(node.as_str()).is_ok() {
        names.push(node);
    }
    let mut addresses: Vec<IpAddr> = listen.iter().map(SocketAddr::ip).collect();
    if addresses.iter().any(IpAddr::is_unspecified) {
        addresses.extend(interfaces());
    }
    let local = [IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
    for address in local.into_iter().chain(addresses).filter(|address| !address.is_unspecified()) {
        let name = address.to_canonical().to_string();
        if !names.contains(&name) && names.len() < woof_core::limits::HOST_NAMES_MAX {
            names.push(name);
        }
    }
    names
}

/// The addresses of this machine.
fn interfaces() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| interface.address);
    all.filter_map(|address| {
        let four = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    })
    .collect()
}
