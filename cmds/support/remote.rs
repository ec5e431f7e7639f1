//! How a server is reached: the one place where commands open what is behind `woof://`.

use super::args::Args;
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::name::Address;
use libwoofstream::space::Space;
use std::time::Duration;

/// How long a server may take to answer when `--timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a put tries to reach a server again when `--wait` does not say.
const WAIT: Duration = Duration::from_secs(60 * 60);

/// How patient a command is with servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// How long connecting may take, each time.
    pub timeout: Duration,
    /// How long a lost server is tried again.
    pub wait: Wait,
}

/// How long something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For so long.
    Time(Duration),
    /// So many times.
    Times(u64),
}

impl Wait {
    /// Reads a number of tries, `5`, or a length of time, `10m`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Wait> {
        match text.parse() {
            Ok(times) => Ok(Wait::Times(times)),
            Err(_) => super::time::parse_duration(text)
                .map(|ns| Wait::Time(Duration::from_nanos(ns)))
                .map_err(|_| {
                    Error::new(Code::Invalid, text, "neither a number of tries nor a length of time like 10m")
                }),
        }
    }
}

impl RemoteOptions {
    /// What `--timeout` and `--wait` say, where the command has them.
    pub fn of(args: &Args) -> RemoteOptions {
        RemoteOptions {
            timeout: args.number("timeout").map_or(TIMEOUT, Duration::from_nanos),
            wait: args.get("wait").copied().unwrap_or(Wait::Time(WAIT)),
        }
    }
}

/// Opens the space of the server that an address names.
///
/// # Errors
/// Always: this version has no client for servers.
pub(super) fn open(address: &Address, options: &RemoteOptions) -> Result<Box<dyn Space + Send + Sync>> {
    let _ = options;
    let text = "names on other hosts need the namespace server, which this version does not have";
    Err(Error::new(Code::Unsupported, address.to_string(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_of_tries_or_a_time() {
        assert_eq!(Wait::parse("5").unwrap(), Wait::Times(5));
        assert_eq!(Wait::parse("10m").unwrap(), Wait::Time(Duration::from_secs(600)));
        assert_eq!(
            Wait::parse("ever").unwrap_err().to_string(),
            "ever: neither a number of tries nor a length of time like 10m"
        );
    }
}
