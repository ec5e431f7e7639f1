//! What went wrong in TLS, in words that say what to do about it.
//!
//! A handshake has two ends, and the one that refuses tells the other no more than an alert. Both get a sentence here: what we
//! refused about them, or what they, by their alert, refused about us.

use super::cert;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};
use std::io;
use woof_core::error::{Code, Error};

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Us {
    /// We connected.
    Client,
    /// We were connected to.
    Server,
}

impl Us {
    fn peer(self) -> &'static str {
        match self {
            Us::Client => "the server",
            Us::Server => "the client",
        }
    }
}

/// What a failure of TLS is about. The object of the error is empty: the caller knows the name or the address of the peer.
pub fn explain(err: &rustls::Error, us: Us) -> Error {
    let peer = us.peer();
    let denied = |text: String| Error::new(Code::Denied, "", text);
    let unsupported = |text: String| Error::new(Code::Unsupported, "", text);
    match err {
        rustls::Error::InvalidCertificate(err) => certificate(err, us),
        rustls::Error::AlertReceived(alert) => alert_received(*alert, us),
        rustls::Error::NoCertificatesPresented => denied(match us {
            Us::Client => "the server has no certificate".to_owned(),
            Us::Server => "the client gave no certificate".to_owned(),
        }),
        rustls::Error::NoApplicationProtocol => unsupported(format!("{peer} does not speak woof/1")),
        rustls::Error::InvalidMessage(_) => unsupported(match us {
            Us::Client => "the answer is not TLS: is this the server's TLS port".to_owned(),
            Us::Server => "not TLS: plain text, or something else, on the TLS port".to_owned(),
        }),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => unsupported(format!("{peer} does not speak TLS 1.3, and older versions are not spoken here")),
        rustls::Error::InvalidCertRevocationList(_) => denied(
            "the list of revoked certificates cannot be used: wkey export and import bring a new one"
                .to_owned(),
        ),
        other => Error::new(Code::Failed, "", format!("TLS with {peer} failed: {other}")),
    }
}

/// What a failed read, write or handshake over TLS is about: a failure of TLS as [`explain`] has it, else that of the system.
pub fn explain_io(err: io::Error, doing: &str, us: Us) -> Error {
    match err.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => explain(tls, us),
        None => Error::io("", doing, err),
    }
}

/// What we refused about the peer's certificate.
fn certificate(err: &CertificateError, us: Us) -> Error {
    let whose = format!("the certificate of {}", us.peer());
    let time =
        |time: &rustls::pki_types::UnixTime| cert::time(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let text = match err {
        CertificateError::ExpiredContext { time: now, not_after } => {
            format!("{whose} expired at {}, and it is {}", time(not_after), time(now))
        }
        CertificateError::Expired => format!("{whose} expired"),
        CertificateError::NotValidYetContext { time: now, not_before } => {
            let (from, now) = (time(not_before), time(now));
            format!("{whose} is not valid before {from}, and it is {now}: is the clock right")
        }
        CertificateError::NotValidYet => format!("{whose} is not yet valid: is the clock right"),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<String> = presented.iter().map(|name| format!("\"{}\"", bare(name))).collect();
            format!("certificate is for {}, not \"{}\"", names.join(", "), expected.to_str())
        }
        CertificateError::NotValidForName => format!("{whose} is for another name"),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("the authority of the certificate of {} is not ours", us.peer())
        }
        CertificateError::Revoked => format!("{whose} is revoked"),
        CertificateError::UnknownRevocationStatus => {
            format!("whether {whose} is revoked is not known here")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => match us {
            Us::Client => format!("{whose} is not one for a host: wkey host"),
            Us::Server => format!("{whose} is not one for a user: wkey add"),
        },
        other => format!("{whose} cannot be used: {}", rustls::Error::from(other.clone())),
    };
    Error::new(Code::Denied, "", text)
}

/// A name of a certificate as `webpki` shows it, `DnsName("edge7")`, without what is around it.
fn bare(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(shown);
    inner.trim_matches('"')
}

/// What the peer refused, by the alert that it sent.
fn alert_received(alert: AlertDescription, us: Us) -> Error {
    let peer = us.peer();
    let (code, text) = match alert {
        AlertDescription::CertificateRequired => {
            (Code::Denied, format!("{peer} asks for a certificate and none was given: wkey add"))
        }
        AlertDescription::CertificateExpired => (
            Code::Denied,
            format!(
                "{peer} says that our certificate is not valid at this time: it expired, or a clock is wrong"
            ),
        ),
        AlertDescription::CertificateRevoked => {
            (Code::Denied, format!("{peer} says that our certificate is revoked"))
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            (Code::Denied, format!("{peer} says that the authority of our certificate is not its own"))
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            (Code::Denied, format!("{peer} does not accept our certificate"))
        }
        AlertDescription::AccessDenied => (Code::Denied, format!("{peer} lets us not in")),
        AlertDescription::ProtocolVersion => (
            Code::Unsupported,
            format!("{peer} does not speak TLS 1.3, and older versions are not spoken here"),
        ),
        AlertDescription::NoApplicationProtocol => {
            (Code::Unsupported, format!("{peer} does not speak woof/1"))
        }
        other => (Code::Failed, format!("{peer} ended TLS: {other:?}")),
    };
    Error::new(code, "", text)
}
