//! TLS of a client: which identity it shows, and which servers it trusts.
//!
//! Failure contract: an identity that the server would refuse (expired, revoked) is an error here, before anything is sent.

use super::cert::{self, Kind};
use super::files::{self, Stamp};
use super::store::Store;
use super::tls;
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::{Arc, Mutex, PoisonError};
use woof_core::error::{Code, Error, Result};

/// The TLS configuration of a client, always as the store has it. One for a process: the sessions that later connections resume are
/// kept with it.
#[derive(Debug)]
pub struct ClientKeys {
    store: Store,
    identity: Option<String>,
    login: Option<String>,
    cached: Mutex<Option<([Stamp; 4], Arc<ClientConfig>)>>,
}

impl ClientKeys {
    /// The identity is the one that `identity` names, else the one with the name `login`, else the only one.
    pub fn new(store: Store, identity: Option<String>, login: Option<String>) -> ClientKeys {
        ClientKeys { store, identity, login, cached: Mutex::new(None) }
    }

    /// The name of the identity that is shown.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is none, or not the one that was named; [`Code::Invalid`] when there are several and none was
    /// named, listing them.
    pub fn identity(&self) -> Result<String> {
        let names = self.store.names(Kind::User)?;
        if let Some(identity) = &self.identity {
            if names.contains(identity) {
                return Ok(identity.clone());
            }
            let text = match names.as_slice() {
                [] => "no such identity, and no other one".to_owned(),
                names => format!("no such identity: there are {}", names.join(", ")),
            };
            return Err(Error::new(Code::NotFound, identity, text));
        }
        if let Some(login) = &self.login
            && names.contains(login)
        {
            return Ok(login.clone());
        }
        match names.as_slice() {
            [name] => Ok(name.clone()),
            [] => {
                let text =
                    "no identity here: wkey add makes one where the authority is, wkey import takes it in";
                Err(Error::new(Code::NotFound, self.store.shown(), text))
            }
            names => {
                let text = format!("several identities, and none was chosen: {}", names.join(", "));
                Err(Error::new(Code::Invalid, self.store.shown(), text))
            }
        }
    }

    /// The configuration. The same one as long as the files of the store stay as they are, so that sessions are resumed.
    ///
    /// # Errors
    /// As [`ClientKeys::identity`]; when there is no authority, a key that others could read, or an identity that is expired or
    /// revoked.
    pub fn config(&self) -> Result<Arc<ClientConfig>> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let authority = self.store.valid_authority()?;
        let name = self.identity()?;
        let stamps = [
            files::stamp(&self.store.authority_path()),
            files::stamp(&self.store.revoked_path()),
            files::stamp(&self.store.kind_dir(Kind::User)),
            files::stamp(&self.store.path(Kind::User, &name)),
        ];
        let (certificate, der, key) = self.store.certificate(Kind::User, &name)?;
        certificate.check_time(cert::now())?;
        if let Some((of, config)) = &*cached
            && *of == stamps
        {
            return Ok(config.clone());
        }
        if self.store.revoked(&authority)?.serials.contains_key(&certificate.serial) {
            return Err(Error::new(Code::Denied, "", format!("the certificate of user {name} is revoked")));
        }
        let config = Arc::new(config(&authority, &self.store.revoked_der()?, Some((der, key)))?);
        *cached = Some((stamps, config.clone()));
        Ok(config)
    }
}

/// The configuration of a client with this identity.
pub(super) fn config(
    authority: &[u8],
    list: &[u8],
    identity: Option<(Vec<u8>, Vec<u8>)>,
) -> Result<ClientConfig> {
    let verifier = WebPkiServerVerifier::builder_with_provider(tls::roots(authority)?, tls::provider())
        .with_crls(tls::lists(list))
        .build()
        .map_err(|err| tls::unusable(&err.to_string()))?;
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|err| tls::unusable(&err.to_string()))?
        .with_webpki_verifier(verifier);
    let mut config = match identity {
        Some((der, key)) => builder
            .with_client_auth_cert(vec![der.into()], PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)))
            .map_err(|err| tls::unusable(&err.to_string()))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![tls::ALPN.to_vec()];
    config.enable_early_data = true;
    Ok(config)
}
