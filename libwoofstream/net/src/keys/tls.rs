//! What both ends of TLS have in common: the provider of cryptography, the version, the name of the protocol, names of servers.
//!
//! Failure contract: errors say which certificate or name could not be used.

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};
use std::sync::{Arc, OnceLock};
use woof_core::error::{Code, Error, Result};

/// The name of our protocol inside TLS (ALPN).
pub const ALPN: &[u8] = b"woof/1";

/// The provider of cryptography. It is handed to rustls where it is needed: no other part of a program that uses this library is
/// made to use it.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

/// The one authority that is trusted.
pub(super) fn roots(authority: &[u8]) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec())).map_err(|err| unusable(&err.to_string()))?;
    Ok(Arc::new(roots))
}

/// The list of what is revoked.
pub(super) fn lists(der: &[u8]) -> Vec<CertificateRevocationListDer<'static>> {
    vec![CertificateRevocationListDer::from(der.to_vec())]
}

/// What TLS cannot be set up with.
pub(super) fn unusable(why: &str) -> Error {
    Error::new(Code::Invalid, "", format!("TLS cannot be set up with these keys: {why}"))
}

/// The name of a server as it stands in a name of a woof: a host name, an address, an IPv6 address in brackets.
///
/// ```
/// use woof_net::keys::server_name;
/// assert!(server_name("edge7.lan").is_ok() && server_name("[::1]").is_ok());
/// assert_eq!(server_name("edge 7").unwrap_err().to_string(), "edge 7: not the name or address of a host");
/// ```
///
/// # Errors
/// [`Code::Invalid`].
pub fn server_name(host: &str) -> Result<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| Error::new(Code::Invalid, host, "not the name or address of a host"))
}
