//! What a certificate says: who, from when to when, which serial number.
//!
//! The user and the groups of an identity are URIs among its names, `woof-user:alice` and `woof-group:ops`, with bytes that are not
//! letters, digits or one of `-._~@` as `%XX`.
//!
//! Failure contract: certificates of strangers come here too; what cannot be read is an error.

use rustls::pki_types::DnsName;
use std::fmt;
use std::net::IpAddr;
use woof_core::access::check_name;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{GROUPS_MAX, HOST_NAMES_MAX};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub(super) const USER: &str = "woof-user:";
pub(super) const GROUP: &str = "woof-group:";

/// The serial number of a certificate. `Display` gives it in hexadecimal, which [`Serial::parse`] reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// The serial number of these bytes, most significant first.
    pub fn new(bytes: &[u8]) -> Serial {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Serial(bytes[zeros..].to_vec())
    }

    /// Reads a serial number of ours: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Serial> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let digits = (0..32).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
        digits.collect::<Option<Vec<u8>>>().map(|bytes| Serial::new(&bytes))
    }

    /// A new one.
    pub(super) fn random() -> Serial {
        let number =
            (u128::from(woof_core::sys::random_u64()) << 64) | u128::from(woof_core::sys::random_u64());
        // The number is positive and always has the same length.
        Serial::new(&(number & (u128::MAX >> 1) | (1 << 126)).to_be_bytes())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It signs the others.
    Authority,
    /// It is the identity of a user.
    User,
    /// It is that of a server.
    Host,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Authority => "authority",
            Kind::User => "user",
            Kind::Host => "host",
        }
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// What it is for.
    pub kind: Kind,
    /// The name of the user, the first name of the host, or the name of the authority.
    pub name: String,
    /// The groups of a user.
    pub groups: Vec<String>,
    /// The names and addresses of a host.
    pub hosts: Vec<String>,
    /// Its serial number.
    pub serial: Serial,
    /// It is valid from this second since 1970 on.
    pub not_before: i64,
    /// It is valid up to this second since 1970, itself included.
    pub not_after: i64,
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// [`Code::Invalid`] for what is none, or none of ours.
    pub fn read(der: &[u8]) -> Result<Certificate> {
        let cert = parse(der)?;
        let mut read = Certificate {
            kind: Kind::Host,
            name: String::new(),
            groups: Vec::new(),
            hosts: Vec::new(),
            serial: Serial::new(cert.raw_serial()),
            not_before: cert.validity().not_before.timestamp(),
            not_after: cert.validity().not_after.timestamp(),
        };
        if cert.is_ca() {
            let name = cert.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
            read.kind = Kind::Authority;
            read.name =
                name.filter(|name| !name.chars().any(char::is_control)).unwrap_or_default().to_owned();
            return Ok(read);
        }
        let names = cert.subject_alternative_name().map_err(|_| invalid("its names cannot be read"))?;
        let mut users = Vec::new();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => {
                    if let Some(user) = uri.strip_prefix(USER) {
                        users.push(decode("user", user)?);
                    } else if let Some(group) = uri.strip_prefix(GROUP) {
                        read.groups.push(decode("group", group)?);
                    }
                }
                // The first of them becomes the name of a file.
                GeneralName::DNSName(name) if DnsName::try_from(*name).is_err() => {
                    return Err(invalid("a name in it is not that of a host"));
                }
                GeneralName::DNSName(name) => read.hosts.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => read.hosts.extend(address(bytes).map(|ip| ip.to_string())),
                _ => {}
            }
        }
        if read.groups.len() > GROUPS_MAX || read.hosts.len() > HOST_NAMES_MAX {
            return Err(invalid("it has more names than the limit allows"));
        }
        match (users.len(), read.hosts.first()) {
            (1, None) => {
                read.kind = Kind::User;
                read.name = users.remove(0);
            }
            (0, Some(first)) if read.groups.is_empty() => read.name.clone_from(first),
            (0, _) => return Err(invalid("it names no user and no host")),
            _ => return Err(invalid("it names more than one user")),
        }
        Ok(read)
    }

    /// Looks whether it is valid at a second since 1970.
    ///
    /// # Errors
    /// [`Code::Denied`], naming the time at which it expired or from which on it is valid.
    pub fn check_time(&self, now: i64) -> Result<()> {
        let what = format!("the certificate of {} {}", self.kind.as_str(), self.name);
        if now > self.not_after {
            let text = format!("{what} expired at {}", time(self.not_after));
            return Err(Error::new(Code::Denied, "", text));
        }
        if now < self.not_before {
            let text =
                format!("{what} is not valid before {}, and it is {}", time(self.not_before), time(now));
            return Err(Error::new(Code::Denied, "", text));
        }
        Ok(())
    }
}

/// Whether the authority signed the certificate.
pub(super) fn is_signed_by(der: &[u8], authority: &[u8]) -> Result<bool> {
    let (cert, authority) = (parse(der)?, parse(authority)?);
    Ok(cert.verify_signature(Some(authority.public_key())).is_ok())
}

/// The public key of a certificate, as it stands in it.
pub(super) fn public_key(der: &[u8]) -> Result<Vec<u8>> {
    Ok(parse(der)?.public_key().raw.to_vec())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], cert)) => Ok(cert),
        Ok(_) | Err(_) => Err(invalid("it cannot be read")),
    }
}

fn invalid(text: &str) -> Error {
    Error::new(Code::Invalid, "", format!("not a certificate of ours: {text}"))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// A second since 1970, for people.
pub(super) fn time(secs: i64) -> String {
    jiff::Timestamp::from_second(secs).map_or_else(|_| format!("second {secs}"), |time| time.to_string())
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    i64::try_from(woof_core::sys::now_ns() / 1_000_000_000).unwrap_or(i64::MAX)
}

/// A name as it stands in a URI.
pub(super) fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The inverse of [`encode`].
fn decode(kind: &str, text: &str) -> Result<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| invalid("a name in it has a % without two digits"))?);
        rest = after.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    let name = String::from_utf8(bytes).map_err(|_| invalid("a name in it is not UTF-8"))?;
    check_name(kind, &name).map_err(|err| invalid(&err.to_string()))?;
    Ok(name)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn names_read_back_from_uris() {
        for (name, uri) in [("alice", "alice"), ("zoë", "zo%C3%AB"), ("a%b", "a%25b"), ("ops@x", "ops@x")] {
            assert_eq!(encode(name), uri);
            assert_eq!(decode("user", uri).unwrap(), name);
        }
        for bad in ["%", "a%2", "%zz", "%+1", "a%00b", "%2e.", "", "%ff", "a%2Fb"] {
            assert!(decode("user", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn serial_numbers_read_back_and_do_not_mind_zeros_before_them() {
        let serial = Serial::random();
        assert_eq!(serial.to_string().len(), 32);
        assert_eq!(Serial::parse(&serial.to_string()), Some(serial));
        assert_eq!(Serial::new(&[0, 0, 5]), Serial::new(&[5]));
        assert_eq!(Serial::parse("cafe"), None);
    }

    #[test]
    fn rubbish_is_no_certificate() {
        let err = Certificate::read(b"rubbish").unwrap_err();
        assert_eq!(err.to_string(), "not a certificate of ours: it cannot be read");
    }
}
