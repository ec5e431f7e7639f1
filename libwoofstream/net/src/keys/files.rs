//! What is in the files of a store: PEM.

use rustls::pki_types::pem::{PemObject as _, SectionKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use woof_core::error::{Code, Error, Result};
use woof_core::text;

/// The parts of a PEM file.
#[derive(Default)]
pub(super) struct Pem {
    /// Certificates, in DER.
    pub(super) certs: Vec<Vec<u8>>,
    /// Lists of what is revoked, in DER.
    pub(super) lists: Vec<Vec<u8>>,
    /// Private keys, in PKCS #8.
    pub(super) keys: Vec<Vec<u8>>,
}

impl Pem {
    /// Reads the parts of a text.
    pub(super) fn parse(text: &[u8]) -> Result<Pem> {
        let text = text::unmarked(text)?;
        let mut pem = Pem::default();
        for part in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            match part
                .map_err(|err| Error::new(Code::Damaged, "", format!("not PEM: {err}").to_lowercase()))?
            {
                (SectionKind::Certificate, der) => pem.certs.push(der),
                (SectionKind::Crl, der) => pem.lists.push(der),
                (SectionKind::PrivateKey, der) => pem.keys.push(der),
                _ => {}
            }
        }
        Ok(pem)
    }

    /// The one certificate.
    pub(super) fn cert(mut self) -> Result<Vec<u8>> {
        one(&mut self.certs, "certificate")
    }

    /// The one certificate and its key.
    pub(super) fn cert_and_key(mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        Ok((one(&mut self.certs, "certificate")?, one(&mut self.keys, "key")?))
    }

    /// The one key.
    pub(super) fn key(mut self) -> Result<Vec<u8>> {
        one(&mut self.keys, "key")
    }

    /// The one list of what is revoked.
    pub(super) fn list(mut self) -> Result<Vec<u8>> {
        one(&mut self.lists, "list of revoked certificates")
    }
}

fn one(parts: &mut Vec<Vec<u8>>, what: &str) -> Result<Vec<u8>> {
    match (parts.pop(), parts.is_empty()) {
        (Some(part), true) => Ok(part),
        (None, _) => Err(Error::new(Code::Damaged, "", format!("there is no {what} in it"))),
        (Some(_), false) => {
            Err(Error::new(Code::Damaged, "", format!("there is more than one {what} in it")))
        }
    }
}

/// A private key in PEM.
pub(super) fn key_pem(der: &[u8]) -> String {
    encode("PRIVATE KEY", der)
}

/// A certificate in PEM.
pub(super) fn cert_pem(der: &[u8]) -> String {
    encode("CERTIFICATE", der)
}

/// A list of what is revoked in PEM.
pub(super) fn list_pem(der: &[u8]) -> String {
    encode("X509 CRL", der)
}

fn encode(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

/// What tells one state of a file from another, without reading it; `None` where there is none.
pub(super) type Stamp = Option<(u64, i64, i64, u64)>;

/// The stamp of a file or directory.
pub(super) fn stamp(path: &Path) -> Stamp {
    let meta = path.metadata().ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn pem_of_every_length_reads_back() {
        for len in 0..200u8 {
            let der: Vec<u8> = (0..len).collect();
            let read = Pem::parse(cert_pem(&der).as_bytes()).unwrap();
            assert_eq!(read.certs, [der]);
        }
        assert_eq!(key_pem(b"key"), "-----BEGIN PRIVATE KEY-----\na2V5\n-----END PRIVATE KEY-----\n");
    }
}
