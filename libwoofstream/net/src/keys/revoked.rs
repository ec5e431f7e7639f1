//! The list of what is revoked, as the authority signed it.
//!
//! Failure contract: a list that cannot be read, or that another authority signed, is an error; it never counts as an empty one.

use super::cert::Serial;
use std::collections::BTreeMap;
use woof_core::error::{Code, Error, Result};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

/// What is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Revoked {
    /// Each list has a higher number than the one before it.
    pub(super) number: u64,
    /// Serial numbers, and the second since 1970 in which each was revoked.
    pub(super) serials: BTreeMap<Serial, i64>,
}

impl Revoked {
    /// Reads a list in DER that the authority (in DER) signed.
    pub(super) fn read(der: &[u8], authority: &[u8]) -> Result<Revoked> {
        let damaged =
            |text: &str| Error::new(Code::Damaged, "", format!("not a list of revoked certificates: {text}"));
        let (_, list) = CertificateRevocationList::from_der(der).map_err(|_| damaged("it cannot be read"))?;
        let (_, authority) =
            X509Certificate::from_der(authority).map_err(|_| damaged("its authority cannot be read"))?;
        list.verify_signature(authority.public_key())
            .map_err(|_| damaged("the authority did not sign it"))?;
        let digits = list.crl_number().map(|number| number.to_u64_digits());
        let number = match digits.as_deref() {
            Some([]) => 0,
            Some([number]) => *number,
            _ => return Err(damaged("it has no number")),
        };
        let serials = list
            .iter_revoked_certificates()
            .map(|entry| (Serial::new(entry.raw_serial()), entry.revocation_date.timestamp()));
        Ok(Revoked { number, serials: serials.collect() })
    }
}
