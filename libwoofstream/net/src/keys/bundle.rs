//! Carrying a certificate to another machine: one PEM file with the authority's certificate, the list of what is revoked, and, if
//! asked for, a certificate with its key.
//!
//! Failure contract: nothing is written before all of a bundle was looked at. A store never changes its authority, and never goes
//! back to an older list of what is revoked.

use super::cert::{self, Certificate, Kind};
use super::files::{self, Pem};
use super::issue;
use super::revoked::Revoked;
use super::store::{AUTHORITY, REVOKED, Store, pem};
use std::io::Read;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::KEY_FILE_MAX;

impl Store {
    /// A bundle with the certificate and the key of a name; without a name one that makes another store know this authority and
    /// what it has revoked.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is nothing of this name, or no authority.
    pub fn export(&self, name: Option<&str>) -> Result<String> {
        let authority = self.authority()?;
        let mut text = files::cert_pem(&authority);
        self.revoked(&authority)?;
        text.push_str(&files::list_pem(&self.revoked_der()?));
        if let Some(name) = name {
            let (kind, name) = self.find(name)?;
            let (_, der, key) = self.certificate(kind, &name)?;
            text.push_str(&files::cert_pem(&der));
            text.push_str(&files::key_pem(&key));
        }
        Ok(text)
    }

    /// Takes in a bundle; gives what certificate was in it.
    ///
    /// # Errors
    /// [`Code::Invalid`] for what is no bundle of ours; [`Code::Exists`] when the store has another authority; [`Code::TooLarge`].
    pub fn import(&self, bundle: impl Read) -> Result<Option<Certificate>> {
        let mut text = Vec::new();
        bundle.take(KEY_FILE_MAX + 1).read_to_end(&mut text).map_err(|err| Error::io("", "read", err))?;
        if text.len() as u64 > KEY_FILE_MAX {
            return Err(Error::new(Code::TooLarge, "", format!("larger than {KEY_FILE_MAX} bytes")));
        }
        let parts = Parts::read(&text)?;
        let (dir, _lock) = self.lock()?;
        let here = match self.authority() {
            Ok(here) => Some(here),
            Err(err) if err.code() == Code::NotFound => None,
            Err(err) => return Err(err),
        };
        if let Some(here) = &here
            && *here != parts.authority
        {
            let (ours, theirs) = (Certificate::read(here)?.name, Certificate::read(&parts.authority)?.name);
            let text =
                format!("has the authority {ours}, and this is of {theirs}: give it a directory of its own");
            return Err(Error::new(Code::Exists, self.shown(), text));
        }
        if let Some((certificate, der, key)) = &parts.certificate {
            let text = format!("{}{}", files::cert_pem(der), files::key_pem(key));
            self.dir_for(certificate.kind)?.write(&pem(&certificate.name), &text, 0o600)?;
        }
        let newer = match &here {
            Some(here) => self.revoked(here).map_or(true, |ours| ours.number < parts.revoked.number),
            None => true,
        };
        if newer {
            dir.write(REVOKED, &files::list_pem(&parts.list), 0o644)?;
        }
        if here.is_none() {
            dir.write(AUTHORITY, &files::cert_pem(&parts.authority), 0o644)?;
        }
        Ok(parts.certificate.map(|(certificate, ..)| certificate))
    }
}

/// What is in a bundle.
struct Parts {
    authority: Vec<u8>,
    list: Vec<u8>,
    revoked: Revoked,
    certificate: Option<(Certificate, Vec<u8>, Vec<u8>)>,
}

impl Parts {
    fn read(text: &[u8]) -> Result<Parts> {
        let bad = |text: &str| Error::new(Code::Invalid, "", format!("not what wkey export writes: {text}"));
        let mut pem = Pem::parse(text).map_err(|err| bad(err.text()))?;
        let (mut authority, mut leaf) = (None, None);
        for der in pem.certs.drain(..) {
            let certificate = Certificate::read(&der).map_err(|err| bad(err.text()))?;
            let place = if certificate.kind == Kind::Authority { &mut authority } else { &mut leaf };
            if place.replace((certificate, der)).is_some() {
                return Err(bad("there is more than one authority or certificate in it"));
            }
        }
        let (_, authority) = authority.ok_or_else(|| bad("there is no authority in it"))?;
        if !cert::is_signed_by(&authority, &authority)? {
            return Err(bad("the authority did not sign itself"));
        }
        let (Some(list), true) = (pem.lists.pop(), pem.lists.is_empty()) else {
            return Err(bad("there is not one list of revoked certificates in it"));
        };
        let revoked = Revoked::read(&list, &authority).map_err(|err| bad(err.text()))?;
        let certificate = match (leaf, pem.keys.pop(), pem.keys.is_empty()) {
            (None, None, _) => None,
            (Some((certificate, der)), Some(key), true) => {
                if !cert::is_signed_by(&der, &authority)? {
                    return Err(bad("the authority did not sign the certificate"));
                }
                if !issue::belongs(&key, &cert::public_key(&der)?) {
                    return Err(bad("the key is not that of the certificate"));
                }
                Some((certificate, der, key))
            }
            _ => return Err(bad("there is not one key to one certificate in it")),
        };
        Ok(Parts { authority, list, revoked, certificate })
    }
}
