//! Rust programs with rustls: two of its functions, by their mangled names, as many copies as the program has.
//!
//! Read is rustls 0.23, whose functions these are; older ones pass plaintext in another form, and stripped programs have
//! no names. Neither is guessed at.

use super::image::{Function, Machine, Parsed};
use super::library::{Cost, Found, Library};
use super::site::{ARGUMENTS, Body};
use crate::attach::tls::Probe;

/// What the names of all functions of rustls have in them, in both ways to mangle names.
const CRATE: &str = "6rustls12common_state";
/// Takes in what was decrypted, and gives out what is to be encrypted.
const READ: &str = "11CommonState23take_received_plaintext";
const WRITE: &str = "11CommonState16buffer_plaintext";
/// Copies of one function in one program.
const MAX_COPIES: usize = 8;
/// State and payload.
const NEEDED: usize = 2;

/// The functions of rustls in a program.
#[derive(Debug, Default)]
pub struct Rustls {
    reads: Vec<Function>,
    writes: Vec<Function>,
}

impl Rustls {
    /// Takes note of a function if it is one of those.
    pub fn add(&mut self, name: &str, function: Function) {
        if !name.starts_with("_ZN") && !name.starts_with("_R") || !name.contains(CRATE) {
            return;
        }
        let list = match name {
            name if name.contains(READ) => &mut self.reads,
            name if name.contains(WRITE) => &mut self.writes,
            _ => return,
        };
        if list.len() < MAX_COPIES && !list.contains(&function) {
            list.push(function);
        }
    }
}

/// Where the probes belong, when a program has both.
#[must_use]
pub fn find(file: &Parsed<'_>, functions: &Rustls) -> Option<Found> {
    if functions.reads.is_empty() || functions.writes.is_empty() {
        return None;
    }
    // What a write took is its result, which a tail call may give: a return probe sees it.
    let mut found = Found { library: Library::Rustls, sites: Vec::new(), cost: Cost::Stepped };
    for read in &functions.reads {
        found.sites.push((Probe::RustlsRead, file.offset_of(entry(file, *read))?));
    }
    for write in &functions.writes {
        found.sites.push((Probe::RustlsWrite, file.offset_of(entry(file, *write))?));
        found.sites.push((Probe::RustlsTook, file.offset_of(write.address)?));
    }
    Some(found)
}

/// A cheap place at the beginning, or the first byte.
fn entry(file: &Parsed<'_>, function: Function) -> u64 {
    let code = if file.machine() == Machine::X86 { file.code(function) } else { None };
    let arguments = ARGUMENTS.get(..NEEDED).unwrap_or(&ARGUMENTS);
    code.and_then(|code| Body::decode(code, function.address).entry(arguments)).unwrap_or(function.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_mangle_are_known_and_others_of_the_name_are_not() {
        let mut functions = Rustls::default();
        for (address, name) in [
            "_ZN6rustls12common_state11CommonState23take_received_plaintext17h0d07112152bf71c1E",
            "_RNvMs_NtCs1a_6rustls12common_stateNtB4_11CommonState16buffer_plaintext",
            "_ZN6rustls6server11server_conn14EarlyDataState23take_received_plaintext17h27c98538a636371dE",
            "_ZN6rustls12common_state11CommonState20send_appdata_encrypt17h4ec92e8b0db06b72E",
            "SSL_read",
        ]
        .into_iter()
        .enumerate()
        {
            functions.add(name, Function { address: address as u64, size: 1 });
        }
        let addresses = |list: &[Function]| list.iter().map(|one| one.address).collect::<Vec<_>>();
        assert_eq!((addresses(&functions.reads), addresses(&functions.writes)), (vec![0], vec![1]));
    }
}
