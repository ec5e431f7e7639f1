//! How a server is reached: the one place where commands open what is behind `woof://`.

use super::args::Args;
use super::messages::Messages;
use libwoofstream::client::{Dialer, Limit, Patience, Remote};
use libwoofstream::error::{Code, Error, Result};
use libwoofstream::keys::{ClientKeys, Store};
use libwoofstream::name::{Address, Host};
use libwoofstream::space::Space;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a server may take to answer when `--timeout` does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How patient a command is with servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// How long connecting may take, each time.
    pub timeout: Duration,
    /// How long a put tries to reach the server, where `--wait` says it.
    pub wait: Option<Limit>,
}

impl RemoteOptions {
    /// What `--timeout` and `--wait` say, where the command has them.
    pub fn of(args: &Args) -> RemoteOptions {
        RemoteOptions {
            timeout: args.number("timeout").map_or(TIMEOUT, Duration::from_nanos),
            wait: args.get("wait").copied(),
        }
    }
}

/// Reads a number of tries, `5`, or a length of time, `10m`.
///
/// # Errors
/// When it is neither.
pub(super) fn parse_wait(text: &str) -> Result<Limit> {
    match super::units::parse_number(text, 0..=u64::MAX) {
        Ok(times) => Ok(Limit::Times(times)),
        Err(_) => {
            super::time::parse_duration(text).map(|ns| Limit::Time(Duration::from_nanos(ns))).map_err(|_| {
                Error::new(Code::Invalid, text, "neither a number of tries nor a length of time like 10m")
            })
        }
    }
}

/// Opens the space of the server that an address names. Nothing is sent yet.
///
/// # Errors
/// When there is no place for keys.
pub(super) fn open(
    address: &Address,
    options: &RemoteOptions,
    messages: Messages,
) -> Result<Box<dyn Space + Send + Sync>> {
    // One for all servers, so that sessions of TLS are resumed.
    static KEYS: OnceLock<Option<Arc<ClientKeys>>> = OnceLock::new();
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let insecure = set("WOOF_INSECURE").is_some();
    let keys = if insecure || address.host == Host::ThisMachine {
        None
    } else {
        KEYS.get_or_init(|| {
            let store = Store::open(super::keys::dir()?);
            Some(Arc::new(ClientKeys::new(store, set("WOOF_IDENTITY"), super::keys::login())))
        })
        .clone()
    };
    let patience = Patience {
        timeout: options.timeout,
        wait: options.wait,
        notify: Arc::new(move |line| messages.note(line)),
    };
    Ok(Box::new(Remote::new(Arc::new(Dialer::new(keys, insecure)), address.clone(), patience)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_of_tries_or_a_time() {
        assert_eq!(parse_wait("5").unwrap(), Limit::Times(5));
        assert_eq!(parse_wait("10m").unwrap(), Limit::Time(Duration::from_secs(600)));
        assert_eq!(
            parse_wait("ever").unwrap_err().to_string(),
            "ever: neither a number of tries nor a length of time like 10m"
        );
    }
}
