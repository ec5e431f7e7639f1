//! Addresses: what a remote name says, taken apart.
//!
//! Failure contract: an address that cannot be is refused with the reason, before anything is dialled.

use super::REMOTE;
use crate::error::{Code, Error, Result};
use crate::limits::{NAME_MAX, PATH_MAX};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The port of a server when the address names none.
pub const DEFAULT_PORT: u16 = 7144;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// By the name of its machine.
    Name(String),
    /// By its address.
    Ip(IpAddr),
    /// The server of this machine, through its Unix socket: `woof:///path`.
    ThisMachine,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::ThisMachine => Ok(()),
        }
    }
}

/// A remote name: which server, and the path there. `Display` gives the name back, the port only where it is not
/// [`DEFAULT_PORT`].
///
/// ```
/// use woof_core::name::{Address, Host};
/// let address = Address::parse("edge7/farm/temp").unwrap();
/// assert_eq!(address.host, Host::Name("edge7".to_owned()));
/// assert_eq!((address.port, address.path.as_str()), (7144, "farm/temp"));
/// assert_eq!(address.to_string(), "woof://edge7/farm/temp");
/// assert_eq!(Address::parse("[::1]:99/a").unwrap().to_string(), "woof://[::1]:99/a");
/// assert_eq!(Address::parse("/srv/farm/temp").unwrap().path, "/srv/farm/temp");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The server.
    pub host: Host,
    /// Its port; [`DEFAULT_PORT`] for a server of this machine.
    pub port: u16,
    /// The path at the server, namespace and name: `farm/temp`. At the server of this machine it is the absolute path of the woof,
    /// with its `/`. Empty for all that the server has. No part of it is empty, `.` or `..`.
    pub path: String,
}

impl Address {
    /// Reads what follows `woof://`. A `/` at the end of the path is left off.
    ///
    /// # Errors
    /// [`Code::Invalid`], about the whole name, saying what is wrong with it.
    pub fn parse(rest: &str) -> Result<Address> {
        let refuse = |text: String| {
            let name = format!("{REMOTE}{rest}");
            Error::new(Code::Invalid, super::printable(&name), text)
        };
        if rest.len() + REMOTE.len() > PATH_MAX {
            let len = rest.len() + REMOTE.len();
            return Err(refuse(format!("the name is {len} bytes long, the limit is {PATH_MAX}")));
        }
        if rest.chars().any(char::is_control) {
            return Err(refuse("a name has no newlines or other control characters".to_owned()));
        }
        let slash = rest.find('/').unwrap_or(rest.len());
        let (server, path) = rest.split_at(slash);
        let (host, port) = parse_server(server).map_err(refuse)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let inside = path.strip_prefix('/').unwrap_or(path);
        if inside.is_empty() && host == Host::ThisMachine {
            return Err(refuse("names neither a server nor a path of this machine".to_owned()));
        }
        for part in inside.split('/').filter(|_| !inside.is_empty()) {
            match part {
                "" => return Err(refuse("a part of the path is empty".to_owned())),
                "." | ".." => return Err(refuse(format!("\"{part}\" leads nowhere at a server"))),
                _ if part.len() > NAME_MAX => {
                    let (clipped, len) = (super::clip(part), part.len());
                    return Err(refuse(format!(
                        "\"{clipped}...\" is {len} bytes long, the limit is {NAME_MAX}"
                    )));
                }
                _ => {}
            }
        }
        let path = if host == Host::ThisMachine { path } else { inside };
        Ok(Address { host, port, path: path.to_owned() })
    }

    /// The server alone, as messages name it: `woof://edge7:7144`; `woof://` for the server of this machine.
    pub fn server(&self) -> String {
        match self.host {
            Host::ThisMachine => REMOTE.to_owned(),
            _ => format!("{REMOTE}{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{REMOTE}{}", self.host)?;
        if self.port != DEFAULT_PORT && self.host != Host::ThisMachine {
            write!(f, ":{}", self.port)?;
        }
        let slash = if self.path.starts_with('/') || self.path.is_empty() { "" } else { "/" };
        write!(f, "{slash}{}", self.path)
    }
}

/// Host and port of what stands before the path; else what is wrong with them.
fn parse_server(server: &str) -> std::result::Result<(Host, u16), String> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']').ok_or("the \"[\" of the host has no \"]\"")?;
            let ip: Ipv6Addr = inside.parse().map_err(|_| format!("\"{inside}\" is no IPv6 address"))?;
            match (after.strip_prefix(':'), after) {
                (Some(port), _) => (Host::Ip(ip.into()), Some(port)),
                (None, "") => (Host::Ip(ip.into()), None),
                (None, _) => return Err(format!("\"{after}\" after the host is no port")),
            }
        }
        None => {
            let (host, port) = match server.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (server, None),
            };
            if port.is_some_and(|port| port.contains(':')) {
                return Err("an IPv6 address stands in brackets, as in woof://[::1]/name".to_owned());
            }
            (parse_host(host)?, port)
        }
    };
    let port = match port {
        Some(_) if host == Host::ThisMachine => return Err("a port without a host".to_owned()),
        Some(port) => match port.parse() {
            Ok(number) if number > 0 && port.bytes().all(|digit| digit.is_ascii_digit()) => number,
            _ => return Err(format!("\"{port}\" is no port: 1 to 65535")),
        },
        None => DEFAULT_PORT,
    };
    Ok((host, port))
}

fn parse_host(host: &str) -> std::result::Result<Host, String> {
    if host.is_empty() {
        return Ok(Host::ThisMachine);
    }
    if let Ok(ip) = host.parse() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    // The longest name that DNS has is 253 characters.
    if host.len() > 253 {
        return Err(format!("the host is {} bytes long, the limit is 253", host.len()));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !host.bytes().all(legal) || host.starts_with(['-', '.']) {
        return Err(format!("\"{host}\" is no name of a host"));
    }
    Ok(Host::Name(host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(rest: &str) -> String {
        let err = Address::parse(rest).unwrap_err();
        assert_eq!(err.code(), Code::Invalid);
        err.to_string()
    }

    #[test]
    fn every_form_of_an_address_reads_and_displays() {
        let name = |name: &str| Host::Name(name.to_owned());
        let ip = |ip: &str| Host::Ip(ip.parse().unwrap());
        for (rest, host, port, path, shown) in [
            ("edge7/farm/temp", name("edge7"), 7144, "farm/temp", "woof://edge7/farm/temp"),
            ("Edge7.lan:7144/farm/temp/", name("edge7.lan"), 7144, "farm/temp", "woof://edge7.lan/farm/temp"),
            ("edge7:99/a b", name("edge7"), 99, "a b", "woof://edge7:99/a b"),
            ("10.0.0.7/x", ip("10.0.0.7"), 7144, "x", "woof://10.0.0.7/x"),
            ("[fe80::1]/x", ip("fe80::1"), 7144, "x", "woof://[fe80::1]/x"),
            ("[::1]:65535/x", ip("::1"), 65535, "x", "woof://[::1]:65535/x"),
            ("/srv/farm/temp", Host::ThisMachine, 7144, "/srv/farm/temp", "woof:///srv/farm/temp"),
        ] {
            let address = Address::parse(rest).unwrap();
            assert_eq!(address, Address { host, port, path: path.to_owned() }, "{rest}");
            assert_eq!(address.to_string(), shown);
        }
        assert_eq!(Address::parse("[::1]/x").unwrap().server(), "woof://[::1]:7144");
        assert_eq!(Address::parse("/x").unwrap().server(), "woof://");
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for (rest, refused) in [
            ("", "woof://: names neither a server nor a path of this machine"),
            ("/", "woof:///: names neither a server nor a path of this machine"),
            ("edge7//x", "woof://edge7//x: a part of the path is empty"),
            ("edge7/a/../b", "woof://edge7/a/../b: \"..\" leads nowhere at a server"),
            ("edge7/./b", "woof://edge7/./b: \".\" leads nowhere at a server"),
            ("edge7:/x", "woof://edge7:/x: \"\" is no port: 1 to 65535"),
            ("edge7:0/x", "woof://edge7:0/x: \"0\" is no port: 1 to 65535"),
            ("edge7:+5/x", "woof://edge7:+5/x: \"+5\" is no port: 1 to 65535"),
            ("edge7:65536/x", "woof://edge7:65536/x: \"65536\" is no port: 1 to 65535"),
            ("::1/x", "woof://::1/x: an IPv6 address stands in brackets, as in woof://[::1]/name"),
            ("[::1/x", "woof://[::1/x: the \"[\" of the host has no \"]\""),
            ("[edge]/x", "woof://[edge]/x: \"edge\" is no IPv6 address"),
            ("[::1]7/x", "woof://[::1]7/x: \"7\" after the host is no port"),
            (":7144/x", "woof://:7144/x: a port without a host"),
            ("me@edge7/x", "woof://me@edge7/x: \"me@edge7\" is no name of a host"),
            ("-edge/x", "woof://-edge/x: \"-edge\" is no name of a host"),
            ("edge7/a\0b", "\"woof://edge7/a\\0b\": a name has no newlines or other control characters"),
        ] {
            assert_eq!(refusal(rest), refused);
        }
        let long = refusal(&format!("edge7/{}", "x".repeat(256)));
        assert!(long.ends_with("is 256 bytes long, the limit is 255"), "{long}");
        assert!(Address::parse(&format!("edge7/{}", "x".repeat(255))).is_ok());
        let whole = refusal(&format!("edge7/{}x", "x/".repeat(2100)));
        assert!(whole.ends_with("the name is 4214 bytes long, the limit is 4095"), "{whole}");
        assert!(
            refusal(&format!("{}/x", "h".repeat(254)))
                .ends_with("the host is 254 bytes long, the limit is 253")
        );
    }
}
