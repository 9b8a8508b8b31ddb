//! Names that this machine keeps in files: hosts by address, users by number. No DNS, no NSS.

use super::process::read_bounded;
use compact_str::{CompactString, format_compact};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::SystemTime;

/// Larger files are read up to here: an ad-blocking hosts file has a few MiB.
const MAX_FILE: usize = 4 * 1024 * 1024;
/// Entries of one file.
const MAX_ENTRIES: usize = 65_536;
/// A name of RFC 1035, and more than any user name.
const MAX_NAME: usize = 253;
const HOSTS: &str = "/etc/hosts";
const PASSWD: &str = "/etc/passwd";

/// Names of addresses, from `/etc/hosts`.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: HashMap<IpAddr, CompactString>,
    version: Version,
}

impl Hosts {
    /// Reads the hosts file of this machine; empty when there is none.
    #[must_use]
    pub fn read() -> Self {
        let version = Version::of(HOSTS);
        let text = read_bounded(HOSTS, MAX_FILE).unwrap_or_default();
        Self { version, ..Self::parse(&String::from_utf8_lossy(&text)) }
    }

    /// Reads the text of a hosts file; the first name of an address counts.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut names = HashMap::new();
        for line in text.lines().take(MAX_ENTRIES) {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
            if let (Some(address), Some(name)) = (address, words.next().and_then(plausible)) {
                names.entry(address.to_canonical()).or_insert(name);
            }
        }
        Self { names, version: Version::default() }
    }

    /// The name of `address`.
    #[must_use]
    pub fn name(&self, address: IpAddr) -> Option<&str> {
        self.names.get(&address).map(CompactString::as_str)
    }

    /// Reads the file again when it has changed.
    pub(super) fn refresh(&mut self) {
        if Version::of(HOSTS) != self.version {
            *self = Self::read();
        }
    }
}

/// Names of users, from `/etc/passwd`.
#[derive(Debug, Default)]
pub(super) struct Users {
    names: HashMap<u32, CompactString>,
    version: Version,
}

impl Users {
    /// Reads the users of this machine.
    pub(super) fn read() -> Self {
        let version = Version::of(PASSWD);
        let text = read_bounded(PASSWD, MAX_FILE).unwrap_or_default();
        Self { version, ..Self::parse(&String::from_utf8_lossy(&text)) }
    }

    fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next().and_then(plausible)?;
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        let mut names = HashMap::new();
        for (uid, name) in text.lines().take(MAX_ENTRIES).filter_map(entry) {
            names.entry(uid).or_insert(name);
        }
        Self { names, version: Version::default() }
    }

    /// The name of a user, or the number when it has none.
    pub(super) fn name(&self, uid: u32) -> CompactString {
        match (uid, self.names.get(&uid)) {
            (_, Some(name)) => name.clone(),
            (u32::MAX, None) => CompactString::default(),
            (uid, None) => format_compact!("{uid}"),
        }
    }

    /// Reads the file again when it has changed.
    pub(super) fn refresh(&mut self) {
        if Version::of(PASSWD) != self.version {
            *self = Self::read();
        }
    }
}

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Version {
    modified: Option<SystemTime>,
    length: u64,
}

impl Version {
    fn of(path: &str) -> Self {
        let meta = std::fs::metadata(path).ok();
        Self {
            modified: meta.as_ref().and_then(|meta| meta.modified().ok()),
            length: meta.map_or(0, |meta| meta.len()),
        }
    }
}

fn plausible(name: &str) -> Option<CompactString> {
    let harmless = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(char::is_control);
    harmless.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_address_counts() {
        let hosts = Hosts::parse(
            "# c\n10.0.0.1 cart cart.local # x\n10.0.0.1 other\n::ffff:10.0.0.2 db\nrubbish\n10.0.0.3\n",
        );
        assert_eq!(hosts.name("10.0.0.1".parse().unwrap()), Some("cart"));
        assert_eq!(hosts.name("10.0.0.2".parse().unwrap()), Some("db"));
        assert_eq!(hosts.name("10.0.0.3".parse().unwrap()), None);
    }

    #[test]
    fn users_have_names_or_numbers() {
        let users = Users::parse("root:x:0:0:root:/root:/bin/bash\nbroken\nwww:x:33:33::/:/bin/false\n");
        assert_eq!(users.name(0), "root");
        assert_eq!(users.name(33), "www");
        assert_eq!(users.name(1000), "1000");
        assert_eq!(users.name(u32::MAX), "");
    }
}
