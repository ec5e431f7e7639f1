//! Making certificates and lists of what is revoked: all that the key of an authority signs.
//!
//! Failure contract: an error here is one of the library that makes certificates, and of nothing that a user can mend.

use super::cert::{self, GROUP, Kind, Serial, USER};
use super::revoked::Revoked;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use std::net::IpAddr;
use time::OffsetDateTime;
use woof_core::error::{Code, Error, Result};

/// From which second since 1970 on a certificate is valid, and up to which.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl Terms {
    /// So many days from now on. It begins an hour ago, for clocks that are late.
    pub(super) fn days(days: u32) -> Terms {
        let now = cert::now();
        Terms { not_before: now - 3600, not_after: now + i64::from(days) * 86_400 }
    }

    /// The same, but no longer than the authority.
    fn within(self, not_after: i64) -> Terms {
        Terms { not_after: self.not_after.min(not_after), ..self }
    }
}

/// A certificate with its key.
pub(super) struct Made {
    pub(super) der: Vec<u8>,
    /// In PEM.
    pub(super) cert: String,
    /// In PEM.
    pub(super) key: String,
}

/// An authority that can sign.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    not_after: i64,
}

/// Makes an authority that signs itself.
pub(super) fn authority(name: &str, terms: Terms) -> Result<Made> {
    let mut params = params(name, terms)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    let key = new_key()?;
    let cert = params.self_signed(&key).map_err(|err| failed(&err))?;
    Ok(Made { der: cert.der().to_vec(), cert: cert.pem(), key: key.serialize_pem() })
}

impl Authority {
    /// The authority of a certificate and a key in PEM.
    pub(super) fn new(der: &[u8], key: &str) -> Result<Authority> {
        let key = KeyPair::from_pem(key).map_err(|err| failed(&err))?;
        let issuer = Issuer::from_ca_cert_der(&der.into(), key).map_err(|err| failed(&err))?;
        Ok(Authority { issuer, not_after: cert::Certificate::read(der)?.not_after })
    }

    /// Makes the identity of a user.
    pub(super) fn user(&self, user: &str, groups: &[String], terms: Terms) -> Result<Made> {
        let mut names = vec![uri(USER, user)?];
        for group in groups {
            names.push(uri(GROUP, group)?);
        }
        self.sign(user, names, Kind::User, terms)
    }

    /// Makes the certificate of a host by names and addresses.
    pub(super) fn host(&self, names: &[String], terms: Terms) -> Result<Made> {
        let first = names.first().map(String::as_str).unwrap_or_default();
        let mut all = Vec::new();
        for name in names {
            all.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().map_err(|err| failed(&err))?),
            });
        }
        self.sign(first, all, Kind::Host, terms)
    }

    fn sign(&self, name: &str, names: Vec<SanType>, kind: Kind, terms: Terms) -> Result<Made> {
        let mut params = params(name, terms.within(self.not_after))?;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match kind {
            Kind::Host => ExtendedKeyUsagePurpose::ServerAuth,
            _ => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let cert = params.signed_by(&key, &self.issuer).map_err(|err| failed(&err))?;
        Ok(Made { der: cert.der().to_vec(), cert: cert.pem(), key: key.serialize_pem() })
    }

    /// Signs the list of what is revoked; in PEM. It has no end before that of the authority: a server without a connection to it
    /// would refuse everybody.
    pub(super) fn revoke(&self, revoked: &Revoked) -> Result<String> {
        let entry = |(serial, at): (&Serial, &i64)| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial.bytes()),
                revocation_time: moment(*at)?,
                reason_code: None,
                invalidity_date: None,
            })
        };
        let list = CertificateRevocationListParams {
            this_update: moment(cert::now() - 3600)?,
            next_update: moment(self.not_after)?,
            crl_number: SerialNumber::from_slice(&revoked.number.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: revoked.serials.iter().map(entry).collect::<Result<_>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(|err| failed(&err))
    }
}

/// ECDSA on P-256: quick, small, and read by every TLS library.
fn new_key() -> Result<KeyPair> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|err| failed(&err))
}

fn params(name: &str, terms: Terms) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.not_before = moment(terms.not_before)?;
    params.not_after = moment(terms.not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(Serial::random().bytes()));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn uri(prefix: &str, name: &str) -> Result<SanType> {
    let uri = format!("{prefix}{}", cert::encode(name));
    Ok(SanType::URI(uri.as_str().try_into().map_err(|err| failed(&err))?))
}

fn moment(secs: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(secs)
        .map_err(|_| Error::new(Code::Invalid, "", format!("{secs} is no time that a certificate can have")))
}

fn failed(err: &rcgen::Error) -> Error {
    Error::new(Code::Failed, "", format!("make a certificate: {err}"))
}

/// Whether a private key (PKCS #8) is the one of a public key as it stands in a certificate.
pub(super) fn belongs(key: &[u8], public: &[u8]) -> bool {
    use rcgen::PublicKeyData as _;
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key);
    KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ECDSA_P256_SHA256)
        .is_ok_and(|key| key.subject_public_key_info() == public)
}
