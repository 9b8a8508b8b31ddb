//! Where findings go, as the operator writes it: `KIND:ADDRESS`, such as `webhook:https://hooks.example/apisec`.

use super::stream::Trust;
use super::{KINDS, Sender};
use std::fmt::{Debug, Formatter};
use std::path::{Path, PathBuf};

/// Environment variable that holds the token of web hooks and collectors.
pub(super) const TOKEN_VARIABLE: &str = "APISEC_TOP_SEND_TOKEN";
/// Longest token that is read from a file.
const MAX_TOKEN: usize = 16 << 10;

/// Makes a sender of an address, or says what is wrong with it.
pub(super) type Open = fn(&str, &Access) -> Result<Box<dyn Sender>, String>;

/// A kind of destination.
pub struct Kind {
    /// The word in front of the address.
    pub name: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// Makes a sender of the address, or says what is wrong with it.
    pub(super) open: Open,
}

/// What a destination wants to see, and whom it is believed.
#[derive(Clone, Default)]
pub(crate) struct Access {
    /// Sent as a bearer token.
    pub(crate) token: Option<String>,
    /// Who signs certificates.
    pub(crate) trust: Trust,
    /// Name of this machine.
    pub(crate) host: String,
}

impl Access {
    /// The token comes from `token_file`, or else from [`TOKEN_VARIABLE`].
    ///
    /// # Errors
    /// The file does not hold one.
    pub(crate) fn read(
        token_file: Option<&Path>,
        authorities: Option<&Path>,
        host: &str,
    ) -> Result<Self, String> {
        let token = match token_file {
            Some(path) => Some(read_token(path)?),
            None => std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()),
        };
        Ok(Self { token, trust: Trust::new(authorities.map(PathBuf::from)), host: host.to_owned() })
    }
}

/// One destination.
#[derive(Clone)]
pub struct Destination {
    kind: &'static Kind,
    address: String,
    access: Access,
}

impl Debug for Destination {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl Destination {
    /// Reads `KIND:ADDRESS`. The token comes from `token_file`, or else from [`TOKEN_VARIABLE`].
    ///
    /// # Errors
    /// There is no such kind, the address is wrong, holds a secret, or a file cannot be read.
    pub fn parse(
        text: &str,
        token_file: Option<&Path>,
        authorities: Option<&Path>,
        host: &str,
    ) -> Result<Self, String> {
        let kinds = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let found = text.split_once(':').and_then(|(name, address)| {
            KINDS.iter().find(|kind| kind.name == name).map(|kind| (*kind, address))
        });
        let (kind, address) =
            found.ok_or_else(|| format!("`{text}` is not KIND:ADDRESS; there are {}", kinds()))?;
        if address
            .split_once("://")
            .is_some_and(|(_, rest)| rest.split('/').next().unwrap_or_default().contains('@'))
        {
            return Err(format!("an address holds no secret: give it in a file, or as {TOKEN_VARIABLE}"));
        }
        let access = Access::read(token_file, authorities, host)?;
        let destination = Self { kind, address: address.to_owned(), access };
        (kind.open)(&destination.address, &destination.access)?;
        Ok(destination)
    }

    /// How it is called in messages and in the spool: without what may be secret in a query.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.kind.name, self.address.split(['?', '#']).next().unwrap_or_default())
    }

    /// Checked when it was parsed; an address that is wrong by now never takes anything.
    pub(super) fn sender(&self) -> Box<dyn Sender> {
        (self.kind.open)(&self.address, &self.access).unwrap_or_else(|why| Box::new(Nobody(why)))
    }
}

struct Nobody(String);

impl Sender for Nobody {
    fn send(&mut self, _: &[apisec_engine::finding::Finding]) -> Result<(), super::Refusal> {
        Err(super::Refusal::Later(self.0.clone(), None))
    }
}

fn read_token(path: &Path) -> Result<String, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("token file {}: {error}", path.display()))?;
    let token = text.trim();
    if token.is_empty() || token.len() > MAX_TOKEN || token.chars().any(char::is_control) {
        return Err(format!("token file {} does not hold one token", path.display()));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parse =
            |text: &str| Destination::parse(text, None, None, "node").map(|destination| destination.name());
        assert_eq!(parse("syslog:udp://127.0.0.1:514").unwrap(), "syslog:udp://127.0.0.1:514");
        assert_eq!(parse("webhook:https://h.example/a?key=secret").unwrap(), "webhook:https://h.example/a");
        for wrong in
            ["walrus:x", "https://h.example", "syslog:carrier://x:1", "webhook:ftp://x/", "syslog:udp://x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("webhook:https://ada:pw@h.example/").unwrap_err().contains("APISEC_TOP_SEND_TOKEN"));
    }

    #[test]
    fn a_token_comes_from_a_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let destination =
            Destination::parse("webhook:http://127.0.0.1:1/", Some(&file), None, "node").unwrap();
        assert_eq!(destination.access.token.as_deref(), Some("s3cret"));
        assert!(!format!("{destination:?} {}", destination.name()).contains("s3cret"));
        std::fs::write(&file, "two\nlines").unwrap();
        assert!(Destination::parse("webhook:http://127.0.0.1:1/", Some(&file), None, "node").is_err());
    }
}
