//! The TLS libraries that are known, by the functions that they define.

use super::go;
use super::image::{Function, Machine, Parsed};
use super::rustls::{self, Rustls};
use super::site::{ARGUMENTS, Body};
use crate::attach::tls::Probe;
use std::collections::HashMap;

/// A TLS library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Library {
    /// OpenSSL or LibreSSL: they share the names and the meaning of their functions.
    OpenSsl,
    /// BoringSSL, which shares them too.
    BoringSsl,
    /// GnuTLS.
    GnuTls,
    /// Go's crypto/tls.
    Go,
    /// rustls, compiled into a Rust program.
    Rustls,
}

impl Library {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSsl => "OpenSSL",
            Self::BoringSsl => "BoringSSL",
            Self::GnuTls => "GnuTLS",
            Self::Go => "Go crypto/tls",
            Self::Rustls => "rustls",
        }
    }
}

/// What one hit of its probes costs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// About a microsecond: every site is emulated by the kernel.
    Emulated,
    /// Some sites are single-stepped, or are return probes: about ten microseconds.
    Stepped,
}

/// The functions that are probed in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose they are.
    pub library: Library,
    /// Offsets in the file.
    pub sites: Vec<(Probe, u64)>,
    /// What a hit costs.
    pub cost: Cost,
}

/// A function of a library.
struct Known {
    library: Library,
    name: &'static str,
    call: Probe,
    arguments: usize,
    end: End,
}

/// How the end of a function is probed.
#[derive(Clone, Copy)]
enum End {
    /// Its result does not matter.
    Not,
    /// At a site, or where there is none as a return.
    Cheaply(Probe, Probe),
    /// As a return.
    Return(Probe),
}

const READ: End = End::Cheaply(Probe::Read, Probe::ReadReturn);
const WRITE: End = End::Cheaply(Probe::Wrote, Probe::WroteReturn);

const fn known(library: Library, name: &'static str, call: Probe, arguments: usize, end: End) -> Known {
    Known { library, name, call, arguments, end }
}

/// Every function that is probed.
const FUNCTIONS: [Known; 18] = [
    known(Library::OpenSsl, "SSL_read", Probe::Call, 3, READ),
    known(Library::OpenSsl, "SSL_read_ex", Probe::CallEx, 4, READ),
    known(Library::OpenSsl, "SSL_write", Probe::Call, 3, WRITE),
    known(Library::OpenSsl, "SSL_write_ex", Probe::CallEx, 4, WRITE),
    // Its second argument is a descriptor: what it sends is counted, so that positions stay right, and cannot be copied.
    known(Library::OpenSsl, "SSL_sendfile", Probe::Call, 3, WRITE),
    known(Library::OpenSsl, "SSL_do_handshake", Probe::Handshake, 1, End::Return(Probe::Shook)),
    known(Library::OpenSsl, "SSL_free", Probe::Free, 1, End::Not),
    known(Library::OpenSsl, "SSL_get0_alpn_selected", Probe::Asks, 3, End::Return(Probe::Alpn)),
    // Of another library, as a rule; these are the calls out of this one.
    known(Library::OpenSsl, "d2i_X509", Probe::Decodes, 3, End::Not),
    known(Library::OpenSsl, "i2d_X509", Probe::Encodes, 2, End::Return(Probe::Encoded)),
    known(Library::GnuTls, "gnutls_record_recv", Probe::Call, 3, READ),
    known(Library::GnuTls, "gnutls_record_send", Probe::Call, 3, WRITE),
    known(Library::GnuTls, "gnutls_record_send2", Probe::Call, 3, WRITE),
    known(Library::GnuTls, "gnutls_record_recv_seq", Probe::Call, 3, READ),
    known(Library::GnuTls, "gnutls_handshake", Probe::Handshake, 1, End::Return(Probe::Shook)),
    known(Library::GnuTls, "gnutls_deinit", Probe::Free, 1, End::Not),
    known(Library::GnuTls, "gnutls_alpn_get_selected_protocol", Probe::Asks, 2, End::Return(Probe::GnuAlpn)),
    known(Library::GnuTls, "gnutls_certificate_get_peers", Probe::Asks, 2, End::Return(Probe::GnuPeers)),
];

/// Functions without which a file holds no TLS library: programs that merely use one define neither.
const ESSENTIAL: [(&str, Library); 2] =
    [("SSL_read", Library::OpenSsl), ("gnutls_record_recv", Library::GnuTls)];

/// How functions inside BoringSSL are named, which is C++.
const BORING: &str = "_ZN4bssl";

/// Looks for a known library in a file.
#[must_use]
pub fn find(file: &Parsed<'_>) -> Option<Found> {
    let mut defined: HashMap<&'static str, Function> = HashMap::new();
    let mut rust = Rustls::default();
    let mut boring = false;
    file.functions(|name, function| {
        boring |= name.starts_with(BORING);
        if let Some(known) = FUNCTIONS.iter().find(|known| known.name == name) {
            defined.entry(known.name).or_insert(function);
        }
        rust.add(name, function);
    });
    let Some((_, library)) = ESSENTIAL.into_iter().find(|(name, _)| defined.contains_key(name)) else {
        return go::find(file).or_else(|| rustls::find(file, &rust));
    };
    let mut found = Found { library, sites: Vec::new(), cost: Cost::Emulated };
    for known in FUNCTIONS.iter().filter(|known| known.library == library) {
        let stub = || file.stub_of(known.name).map(|address| Function { address, size: 0 });
        let imported = matches!(known.call, Probe::Decodes | Probe::Encodes);
        let function = defined.get(known.name).copied();
        if let Some(function) = function.or_else(|| imported.then(stub).flatten()) {
            place(file, known, function, &mut found)?;
        }
    }
    if boring && library == Library::OpenSsl {
        found.library = Library::BoringSsl;
    }
    Some(found)
}

/// Set to `stepped` by who measures what cheap sites are worth: entries and returns are probed instead.
const SITES: &str = "APISEC_TLS_SITES";

fn at_entries() -> bool {
    std::env::var_os(SITES).is_some_and(|sites| sites == "stepped")
}

/// Adds the sites of one function.
fn place(file: &Parsed<'_>, known: &Known, function: Function, found: &mut Found) -> Option<()> {
    let body = (file.machine() == Machine::X86 && !at_entries())
        .then(|| file.code(function).map(|code| Body::decode(code, function.address)))
        .flatten();
    let entry =
        body.as_ref().and_then(|body| body.entry(ARGUMENTS.get(..known.arguments).unwrap_or(&ARGUMENTS)));
    let mut add = |probe, address| {
        found.sites.push((probe, file.offset_of(address)?));
        Some(())
    };
    add(known.call, entry.unwrap_or(function.address))?;
    let ends = body.as_ref().and_then(Body::ends);
    let stepped = match (known.end, &ends) {
        (End::Not, _) => false,
        (End::Cheaply(site, _), Some(ends)) => {
            for end in ends {
                add(site, *end)?;
            }
            entry.is_none()
        }
        (End::Cheaply(_, returns), None) | (End::Return(returns), _) => {
            add(returns, function.address)?;
            true
        }
    };
    // What comes once in a session does not matter.
    if stepped && matches!(known.call, Probe::Call | Probe::CallEx) {
        found.cost = Cost::Stepped;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::image::Image;
    use std::path::Path;

    #[test]
    fn a_program_without_tls_has_none() {
        let image = Image::open(Path::new("/bin/sh")).unwrap();
        assert_eq!(find(&image.parse().unwrap()), None);
    }

    /// The client of Kubernetes brings rustls into it.
    #[test]
    fn our_own_program_has_rustls() {
        let image = Image::open(&std::env::current_exe().unwrap()).unwrap();
        let found = find(&image.parse().unwrap()).unwrap();
        assert_eq!(found.library, Library::Rustls);
        for probe in [Probe::RustlsRead, Probe::RustlsWrite, Probe::RustlsTook] {
            assert!(found.sites.iter().any(|(one, _)| *one == probe), "{probe:?}: {found:?}");
        }
    }
}
