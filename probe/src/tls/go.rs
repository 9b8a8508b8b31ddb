//! Go programs: crypto/tls is compiled into them, and its functions are found in the table that Go's own stack traces use
//! (`pclntab`), which is there with and without a symbol table.
//!
//! Layout: `runtime.pcHeader` and `runtime.functab` of Go 1.18 and later. Programs of Go 1.16 and older pass arguments on
//! the stack, and are not read; 1.17 is not either: it has the table of the older and the registers of the newer.

use super::image::{Function, Machine, Parsed};
use super::library::{Cost, Found, Library};
use super::site::{Body, GO_ARGUMENTS};
use crate::attach::tls::Probe;

/// Names of the section, in ordinary and in position-independent programs.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// A table larger than this is not read: the largest known programs have some 60 MB.
const MAX_TABLE: u64 = 192 << 20;
/// Functions of one program.
const MAX_FUNCTIONS: u64 = 4 << 20;
/// A function that is longer than this is not the one that is looked for.
const MAX_CODE: u64 = 16 << 10;
/// Magic numbers of Go 1.18 and 1.20.
const MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
const WORD: usize = 8;

const READ: &str = "crypto/tls.(*Conn).Read";
const WRITE: &str = "crypto/tls.(*Conn).Write";

/// Looks for crypto/tls in a Go program.
#[must_use]
pub fn find(file: &Parsed<'_>) -> Option<Found> {
    if file.machine() != Machine::X86 {
        return None;
    }
    let section = SECTIONS.iter().find_map(|name| file.section(name))?;
    let bytes = (section.size <= MAX_TABLE).then(|| file.bytes(section.address, section.size))??;
    let text = file.section(".text").map_or(0, |text| text.address);
    let table = Table::parse(bytes, text)?;
    let [read, write] = table.functions([READ, WRITE]);
    let mut found = Found { library: Library::Go, sites: Vec::new(), cost: Cost::Stepped };
    place(file, read?, Probe::GoRead, &mut found)?;
    place(file, write?, Probe::GoWrote, &mut found)?;
    Some(found)
}

fn place(file: &Parsed<'_>, function: Function, end: Probe, found: &mut Found) -> Option<()> {
    let body = Body::decode(file.code(function)?, function.address);
    let entry = body.entry(&GO_ARGUMENTS).unwrap_or(function.address);
    found.sites.push((Probe::GoCall, file.offset_of(entry)?));
    for address in body.returns() {
        found.sites.push((end, file.offset_of(address)?));
    }
    Some(())
}

/// The table of functions.
struct Table<'a> {
    bytes: &'a [u8],
    count: u64,
    text: u64,
    names: usize,
    functions: usize,
}

impl<'a> Table<'a> {
    /// `text` is where the code begins, for tables that do not say.
    fn parse(bytes: &'a [u8], text: u64) -> Option<Self> {
        let magic = word32(bytes, 0)?;
        if !MAGICS.contains(&magic) || bytes.get(7) != Some(&(WORD as u8)) {
            return None;
        }
        let field = |index: usize| word64(bytes, 8 + index * WORD);
        let own = field(2)?;
        Some(Self {
            bytes,
            count: field(0).filter(|count| *count <= MAX_FUNCTIONS)?,
            text: if own == 0 { text } else { own },
            names: usize::try_from(field(3)?).ok()?,
            functions: usize::try_from(field(7)?).ok()?,
        })
    }

    /// Where the functions of these names are.
    fn functions<const N: usize>(&self, wanted: [&str; N]) -> [Option<Function>; N] {
        let mut found = [None; N];
        for index in 0..self.count {
            let Some((entry, name)) = self.function(index) else { break };
            if let Some((_, place)) =
                wanted.iter().zip(&mut found).find(|(wanted, _)| self.is_named(name, wanted))
            {
                *place = self.extent(index, entry);
            }
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found
    }

    /// Offset of a function's code from the beginning of all code, and of its name.
    fn function(&self, index: u64) -> Option<(u64, usize)> {
        let at = self.functions.checked_add(usize::try_from(index).ok()?.checked_mul(8)?)?;
        let entry = word32(self.bytes, at)?;
        let about = self.functions.checked_add(word32(self.bytes, at + 4)? as usize)?;
        let name = self.names.checked_add(word32(self.bytes, about.checked_add(4)?)? as usize)?;
        Some((u64::from(entry), name))
    }

    fn is_named(&self, at: usize, name: &str) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|after| after.first() == Some(&0))
    }

    /// A function ends where the next one begins; behind the last entry stands the end of all code.
    fn extent(&self, index: u64, entry: u64) -> Option<Function> {
        let at = self.functions.checked_add(usize::try_from(index + 1).ok()?.checked_mul(8)?)?;
        let size = u64::from(word32(self.bytes, at)?).checked_sub(entry).filter(|size| *size <= MAX_CODE)?;
        Some(Function { address: self.text.checked_add(entry)?, size })
    }
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A table of two functions, `a.b` at 0x10 and [`READ`] at 0x40, which ends at 0x90.
    fn table(text: u64) -> Vec<u8> {
        let names = [b"a.b\0".to_vec(), READ.as_bytes().to_vec(), vec![0]].concat();
        let (names_at, functions_at) = (72u64, 72 + names.len() as u64);
        let mut bytes = [MAGICS[1].to_le_bytes().to_vec(), vec![0, 0, 1, 8]].concat();
        for field in [2, 0, text, names_at, 0, 0, 0, functions_at] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(names);
        for word in [0x10u32, 20, 0x40, 28, 0x90, 0x10, 0, 0x40, 4] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_function_is_found_by_name() {
        for (own, given) in [(0x1000, 0), (0, 0x1000)] {
            let bytes = table(own);
            let parsed = Table::parse(&bytes, given).unwrap();
            let [read, none] = parsed.functions([READ, WRITE]);
            assert_eq!(read, Some(Function { address: 0x1040, size: 0x50 }));
            assert_eq!(none, None);
        }
    }

    proptest! {
        #[test]
        fn damaged_tables_do_not_panic(at in 8usize..150, value in any::<u8>(), cut in 0usize..200) {
            let mut bytes = table(0x1000);
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            bytes.truncate(cut);
            if let Some(table) = Table::parse(&bytes, 0) {
                let _ = table.functions([READ, WRITE]);
            }
        }
    }
}
