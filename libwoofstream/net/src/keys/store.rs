//! The store: a directory with one authority and what it made.
//!
//! ```text
//! authority.pem     the certificate of the authority
//! authority.key     its key, only where it was made
//! revoked.pem       the list of what is revoked, signed by it
//! users/alice.pem   an identity: certificate and key in one file
//! hosts/edge7.pem   the certificate of a host, and its key
//! ```
//!
//! Failure contract: whoever changes a store holds a lock on its directory. What is revoked is written before what takes its
//! place, so that a kill between the two leaves less that is valid and never more.

use super::cert::{self, Certificate, Kind, Serial};
use super::files::Pem;
use super::issue::{self, Authority, Made, Terms};
use super::place::Dir;
use super::revoked::Revoked;
use rustls::pki_types::ServerName;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use woof_core::access::check_name;
use woof_core::error::{Code, Error, Result};
use woof_core::limits::{DAYS_MAX, GROUPS_MAX, HOST_NAMES_MAX};
use woof_core::sys;

/// The files of a store.
pub(super) const AUTHORITY: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority.key";
pub(super) const REVOKED: &str = "revoked.pem";

/// How long an authority is valid, in days.
const AUTHORITY_DAYS: u32 = 3650;

/// The longest name of an authority, in bytes: what X.509 allows, without what [`Store::init`] adds.
const AUTHORITY_NAME_MAX: usize = 48;

/// A directory with keys and certificates.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// What a store holds, one certificate each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the certificate says.
    pub certificate: Certificate,
    /// Whether it is revoked.
    pub revoked: bool,
    /// Whether its key is here too.
    pub has_key: bool,
}

impl Entry {
    /// `valid`, `revoked`, `expired` or `not yet valid`, at a second since 1970.
    pub fn state(&self, now: i64) -> &'static str {
        if self.revoked {
            "revoked"
        } else if now > self.certificate.not_after {
            "expired"
        } else if now < self.certificate.not_before {
            "not yet valid"
        } else {
            "valid"
        }
    }
}

impl Store {
    /// The store in a directory, which need not be there yet.
    pub fn open(dir: impl Into<PathBuf>) -> Store {
        // All use of keys begins here. Where the library was built not to look at the processor when a program starts, it
        // does now; else it would work without the processor's own instructions for cryptography.
        aws_lc_rs::init();
        Store { dir: dir.into() }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes an authority, valid for ten years.
    ///
    /// # Errors
    /// [`Code::Exists`] when there is one; [`Code::Invalid`] for a name that cannot be.
    pub fn init(&self, name: &str) -> Result<()> {
        if name.is_empty() || name.len() > AUTHORITY_NAME_MAX || name.chars().any(char::is_control) {
            let text = format!(
                "the name of an authority has 1 to {AUTHORITY_NAME_MAX} bytes and no control characters"
            );
            return Err(Error::new(Code::Invalid, format!("{name:?}"), text));
        }
        let (dir, _lock) = self.lock()?;
        if dir.has(AUTHORITY) {
            return Err(Error::new(Code::Exists, self.shown(), "there is an authority already"));
        }
        // Two authorities of one name must not be taken for one another.
        let name = format!("{name} {:08x}", sys::random_u64() >> 32);
        let made = issue::authority(&name, Terms::days(AUTHORITY_DAYS))?;
        let list =
            Authority::new(&made.der, &made.key)?.revoke(&Revoked { number: 1, ..Revoked::default() })?;
        dir.write(AUTHORITY_KEY, &made.key, 0o600)?;
        dir.write(REVOKED, &list, 0o644)?;
        // The certificate comes last: what it stands for is there then.
        dir.write(AUTHORITY, &made.cert, 0o644)
    }

    /// Makes the identity of a user, valid for so many days.
    ///
    /// # Errors
    /// [`Code::Exists`] when there is a valid one and `replace` is not set; with it, the one before is revoked. [`Code::NotFound`]
    /// without the key of the authority.
    pub fn add(&self, user: &str, groups: &[String], days: u32, replace: bool) -> Result<()> {
        check_name("user", user)?;
        groups.iter().try_for_each(|group| check_name("group", group))?;
        if groups.len() > GROUPS_MAX {
            let text = format!("{} groups, the limit is {GROUPS_MAX}", groups.len());
            return Err(Error::new(Code::TooLarge, format!("user {user}"), text));
        }
        let terms = terms(days)?;
        self.make(Kind::User, user, replace, |authority| authority.user(user, groups, terms))
    }

    /// Makes the certificate of a host by the names and addresses under which others reach it. It is kept under the first of them.
    ///
    /// # Errors
    /// As [`Store::add`]; [`Code::Invalid`] for what is neither a name nor an address.
    pub fn host(&self, names: &[String], days: u32, replace: bool) -> Result<()> {
        let first = names.first().ok_or_else(|| Error::new(Code::Invalid, "", "a host without a name"))?;
        if names.len() > HOST_NAMES_MAX {
            let text = format!("{} names, the limit is {HOST_NAMES_MAX}", names.len());
            return Err(Error::new(Code::TooLarge, first, text));
        }
        for name in names {
            ServerName::try_from(name.as_str()).map_err(|_| {
                Error::new(Code::Invalid, format!("{name:?}"), "not the name or address of a host")
            })?;
        }
        let terms = terms(days)?;
        self.make(Kind::Host, first, replace, |authority| authority.host(names, terms))
    }

    /// What the store holds: the authority, then users and hosts by name. A file that cannot be read is an error in its place.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is no authority.
    pub fn list(&self) -> Result<Vec<Result<Entry>>> {
        let authority = self.authority()?;
        let revoked = self.revoked(&authority)?;
        let certificate = Certificate::read(&authority)?;
        let has_key = self.can_sign();
        let mut entries = vec![Ok(Entry { certificate, revoked: false, has_key })];
        for kind in [Kind::User, Kind::Host] {
            for name in self.names(kind)? {
                entries.push(self.certificate(kind, &name).map(|(certificate, ..)| {
                    let revoked = revoked.serials.contains_key(&certificate.serial);
                    Entry { certificate, revoked, has_key: true }
                }));
            }
        }
        Ok(entries)
    }

    /// Revokes the certificate of a name (`alice`, or `user/alice` and `host/alice` where both are there), or of a serial number;
    /// gives the serial number.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is no such certificate, or not the key of the authority; [`Code::Exists`] when it is revoked
    /// already.
    pub fn revoke(&self, name: &str) -> Result<Serial> {
        let _lock = self.lock()?;
        let serial = match self.find(name) {
            Ok((kind, name)) => self.certificate(kind, &name)?.0.serial,
            Err(err) => Serial::parse(name).ok_or(err)?,
        };
        let authority = self.authority()?;
        if self.revoked(&authority)?.serials.contains_key(&serial) {
            return Err(Error::new(Code::Exists, name, "revoked already"));
        }
        self.write_revoked(&authority, &serial)?;
        Ok(serial)
    }

    fn make(
        &self,
        kind: Kind,
        name: &str,
        replace: bool,
        sign: impl FnOnce(&Authority) -> Result<Made>,
    ) -> Result<()> {
        let _lock = self.lock()?;
        let der = self.valid_authority()?;
        let authority = self.signer(&der)?;
        // What cannot be read is in nobody's way only when it is to be replaced.
        match self.certificate(kind, name) {
            Ok((certificate, ..)) => self.out_of_the_way(&der, &certificate, replace)?,
            Err(err) if err.code() == Code::NotFound || replace => {}
            Err(err) => return Err(err),
        }
        let made = sign(&authority)?;
        self.dir_for(kind)?.write(&pem(name), &format!("{}{}", made.cert, made.key), 0o600)
    }

    /// Makes room for a new certificate of the same name.
    fn out_of_the_way(&self, authority: &[u8], old: &Certificate, replace: bool) -> Result<()> {
        if old.not_after < cert::now() || self.revoked(authority)?.serials.contains_key(&old.serial) {
            return Ok(());
        }
        if !replace {
            let (kind, until) = (old.kind.as_str(), cert::time(old.not_after));
            let text =
                format!("has a certificate already, until {until}: --replace revokes it and makes a new one");
            return Err(Error::new(Code::Exists, format!("{kind} {}", old.name), text));
        }
        self.write_revoked(authority, &old.serial)
    }

    fn write_revoked(&self, authority: &[u8], serial: &Serial) -> Result<()> {
        let mut revoked = self.revoked(authority)?;
        revoked.number += 1;
        revoked.serials.insert(serial.clone(), cert::now());
        let list = self.signer(authority)?.revoke(&revoked)?;
        Dir::open(&self.dir)?.write(REVOKED, &list, 0o644)
    }

    /// The authority's certificate, in DER, if it is valid now.
    pub(super) fn valid_authority(&self) -> Result<Vec<u8>> {
        let der = self.authority()?;
        Certificate::read(&der)?.check_time(cert::now()).map_err(|err| err.of(self.shown()))?;
        Ok(der)
    }

    /// The authority's certificate, in DER.
    ///
    /// # Errors
    /// [`Code::Denied`] when others could put another authority into its place.
    pub(super) fn authority(&self) -> Result<Vec<u8>> {
        match Dir::open(&self.dir).and_then(|dir| dir.read(AUTHORITY, false)) {
            Ok(text) => {
                let path = self.authority_path();
                Pem::parse(&text).and_then(Pem::cert).map_err(|err| err.of(path.display().to_string()))
            }
            Err(err) if err.code() == Code::NotFound => {
                let text = "no keys here: wkey init makes an authority, wkey import takes what another machine's wkey exports";
                Err(Error::new(Code::NotFound, self.shown(), text))
            }
            Err(err) => Err(err),
        }
    }

    /// The authority with its key.
    pub(super) fn signer(&self, authority: &[u8]) -> Result<Authority> {
        let path = self.dir.join(AUTHORITY_KEY);
        let key = Dir::open(&self.dir).and_then(|dir| dir.read(AUTHORITY_KEY, true));
        let key = key.map_err(|err| match err.code() {
            Code::NotFound => {
                let text = "the key of the authority is not here: do it where wkey init was done";
                Error::new(Code::NotFound, self.shown(), text)
            }
            _ => err,
        })?;
        Authority::new(authority, &String::from_utf8_lossy(&key))
            .map_err(|err| err.of(path.display().to_string()))
    }

    /// Whether the authority's key is here.
    pub(super) fn can_sign(&self) -> bool {
        self.dir.join(AUTHORITY_KEY).exists()
    }

    /// What is revoked.
    pub(super) fn revoked(&self, authority: &[u8]) -> Result<Revoked> {
        Revoked::read(&self.revoked_der()?, authority)
            .map_err(|err| err.of(self.revoked_path().display().to_string()))
    }

    /// The list of what is revoked, in DER.
    pub(super) fn revoked_der(&self) -> Result<Vec<u8>> {
        let path = self.revoked_path();
        let text = Dir::open(&self.dir)?.read(REVOKED, false)?;
        Pem::parse(&text).and_then(Pem::list).map_err(|err| err.of(path.display().to_string()))
    }

    /// A certificate: what it says, itself in DER, and its key.
    pub(super) fn certificate(&self, kind: Kind, name: &str) -> Result<(Certificate, Vec<u8>, Vec<u8>)> {
        let path = self.path(kind, name);
        let text = Dir::open(&self.dir)?.below(dir_name(kind))?.read(&pem(name), true)?;
        let read = || {
            let (der, key) = Pem::parse(&text)?.cert_and_key()?;
            let certificate = Certificate::read(&der)?;
            if certificate.kind != kind {
                let text = format!("the certificate is one of a {}", certificate.kind.as_str());
                return Err(Error::new(Code::Damaged, "", text));
            }
            if certificate.name != name {
                let text = format!("the certificate is that of {}", certificate.name);
                return Err(Error::new(Code::Damaged, "", text));
            }
            Ok((certificate, der, key))
        };
        read().map_err(|err: Error| err.of(path.display().to_string()))
    }

    /// The names of one kind, in order.
    pub(super) fn names(&self, kind: Kind) -> Result<Vec<String>> {
        match Dir::open(&self.dir).and_then(|dir| dir.below(dir_name(kind))) {
            Err(err) if err.code() == Code::NotFound => Ok(Vec::new()),
            dir => dir?.certificates(),
        }
    }

    /// Which certificate a name stands for.
    pub(super) fn find(&self, name: &str) -> Result<(Kind, String)> {
        let (kinds, bare): (&[Kind], _) = match name.split_once('/') {
            Some(("user", bare)) => (&[Kind::User], bare),
            Some(("host", bare)) => (&[Kind::Host], bare),
            _ => (&[Kind::User, Kind::Host], name),
        };
        let is_there =
            |kind: &&Kind| !bare.contains('/') && self.path(**kind, bare).symlink_metadata().is_ok();
        let found: Vec<Kind> = kinds.iter().filter(is_there).copied().collect();
        match found.as_slice() {
            [kind] => Ok((*kind, bare.to_owned())),
            [] => Err(Error::new(Code::NotFound, name, "no such user or host here (wkey show lists them)")),
            _ => {
                let text = format!("both a user and a host: say user/{bare} or host/{bare}");
                Err(Error::new(Code::Invalid, name, text))
            }
        }
    }

    /// Keeps others from changing the store, as long as the file is open; makes its directory.
    pub(super) fn lock(&self) -> Result<(Dir, File)> {
        make_dir(&self.dir)?;
        let dir = Dir::open(&self.dir)?;
        let lock = dir.lock()?;
        Ok((dir, lock))
    }

    /// The directory for one kind, which is made if it is not there.
    pub(super) fn dir_for(&self, kind: Kind) -> Result<Dir> {
        make_dir(&self.kind_dir(kind))?;
        Dir::open(&self.dir)?.below(dir_name(kind))
    }

    /// The file of a certificate.
    pub(super) fn path(&self, kind: Kind, name: &str) -> PathBuf {
        self.kind_dir(kind).join(pem(name))
    }

    /// The directory of one kind.
    pub(super) fn kind_dir(&self, kind: Kind) -> PathBuf {
        self.dir.join(dir_name(kind))
    }

    pub(super) fn authority_path(&self) -> PathBuf {
        self.dir.join(AUTHORITY)
    }

    pub(super) fn revoked_path(&self) -> PathBuf {
        self.dir.join(REVOKED)
    }

    pub(super) fn shown(&self) -> String {
        self.dir.display().to_string()
    }
}

/// The directory of one kind.
fn dir_name(kind: Kind) -> &'static str {
    if kind == Kind::User { "users" } else { "hosts" }
}

/// The file of a name.
pub(super) fn pem(name: &str) -> String {
    format!("{name}.pem")
}

fn terms(days: u32) -> Result<Terms> {
    if days == 0 || days > DAYS_MAX {
        let text = format!("a certificate is valid for 1 to {DAYS_MAX} days");
        return Err(Error::new(Code::Invalid, format!("{days} days"), text));
    }
    Ok(Terms::days(days))
}

/// Makes a directory that only its owner can look into, and those above it.
fn make_dir(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|err| Error::io(dir.display().to_string(), "make the directory", err))
}
