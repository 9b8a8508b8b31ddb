//! An ELF file as far as probes need it: where its functions are, and their code. Read piece by piece, so that a program
//! of 100 MB costs its symbol table and no more; never mapped, because a file that shrinks would kill us.

use super::site;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_LOAD, STT_FUNC, STT_GNU_IFUNC};
use object::read::elf::{
    ElfFile64, FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _, SymbolTable,
};
use object::read::{ReadCache, ReadRef as _};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, ObjectSymbolTable as _, RelocationTarget,
};
use std::fs::File;
use std::path::Path;

/// A function longer than this is not looked through for cheap sites.
const MAX_CODE: u64 = 16 << 10;
/// Symbols that are looked at in one table: twice what the largest known program has.
const MAX_SYMBOLS: usize = 1 << 21;
/// A section of stubs that is longer is not looked through.
const MAX_STUBS: u64 = 1 << 20;
/// Where linkers put them.
const STUBS: [&str; 3] = [".plt.sec", ".plt", ".plt.got"];
/// Names of one table that are read at once, bytes: they are held while a file is looked into, so as much as all else we hold.
const MAX_NAMES: u64 = 64 << 20;

type Symbols<'a> = SymbolTable<'a, FileHeader64<Endianness>, &'a ReadCache<File>>;

/// The processor that a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    X86,
    /// AArch64.
    Arm,
    /// Another one.
    Other,
}

/// A function in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Virtual address.
    pub address: u64,
    /// Bytes of code, 0 when the table does not say.
    pub size: u64,
}

/// An open file.
pub struct Image {
    cache: ReadCache<File>,
}

/// A file that was parsed.
pub struct Parsed<'a> {
    elf: ElfFile64<'a, Endianness, &'a ReadCache<File>>,
}

impl Image {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self::of(File::open(path)?))
    }

    /// Reads an open file.
    #[must_use]
    pub fn of(file: File) -> Self {
        Self { cache: ReadCache::new(file) }
    }

    /// Parses its headers; `None` when it is not a 64-bit ELF file.
    #[must_use]
    pub fn parse(&self) -> Option<Parsed<'_>> {
        Some(Parsed { elf: ElfFile64::parse(&self.cache).ok()? })
    }
}

impl<'a> Parsed<'a> {
    /// The processor it is for.
    #[must_use]
    pub fn machine(&self) -> Machine {
        match self.elf.elf_header().e_machine(self.elf.endian()) {
            EM_X86_64 => Machine::X86,
            EM_AARCH64 => Machine::Arm,
            _ => Machine::Other,
        }
    }

    /// Gives the name and place of every function that is defined here to `each`: of the dynamic table first (what a
    /// library exports), then of the full one, if it was not stripped.
    pub fn functions(&self, mut each: impl FnMut(&str, Function)) {
        for table in [self.elf.elf_dynamic_symbol_table(), self.elf.elf_symbol_table()] {
            // Without it, names are read one by one: correct, and slow.
            let names = self.names(table);
            for symbol in table.iter().take(MAX_SYMBOLS) {
                let endian = self.elf.endian();
                let address = symbol.st_value(endian);
                if !matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC) || address == 0 {
                    continue;
                }
                let name = match names {
                    Some(names) => name_at(names, symbol.st_name(endian)),
                    None => symbol.name(endian, table.strings()).ok(),
                };
                if let Some(name) = name.and_then(|name| str::from_utf8(name).ok()) {
                    each(name, Function { address, size: symbol.st_size(endian) });
                }
            }
        }
    }

    /// All names of a table, read at once: one by one each of them would be a read of its own, and be kept on its own.
    fn names(&self, table: &Symbols<'a>) -> Option<&'a [u8]> {
        let (endian, data) = (self.elf.endian(), self.elf.data());
        let section = self.elf.elf_section_table().section(table.string_section()).ok()?;
        let (offset, size) = section.file_range(endian)?;
        (size <= MAX_NAMES).then_some(())?;
        data.read_bytes_at(offset, size).ok()
    }

    /// Where the byte at a virtual address stands in the file.
    #[must_use]
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.range_of(address, 1)
    }

    /// Where `len` bytes at a virtual address stand in the file: all of them in one segment.
    fn range_of(&self, address: u64, len: u64) -> Option<u64> {
        let endian = self.elf.endian();
        self.elf.elf_program_headers().iter().find_map(|segment| {
            let (start, room) = (segment.p_vaddr(endian), segment.p_filesz(endian));
            let within = address.checked_sub(start)?;
            (room.checked_sub(within)? >= len).then_some(())?;
            (segment.p_type(endian) == PT_LOAD).then(|| segment.p_offset(endian).checked_add(within))?
        })
    }

    /// The code of a function; `None` when its size is not known or too large.
    #[must_use]
    pub fn code(&self, function: Function) -> Option<&'a [u8]> {
        if function.size == 0 || function.size > MAX_CODE {
            return None;
        }
        self.bytes(function.address, function.size)
    }

    /// `len` bytes at a virtual address: only they are read, not the segment around them.
    #[must_use]
    pub fn bytes(&self, address: u64, len: u64) -> Option<&'a [u8]> {
        self.elf.data().read_bytes_at(self.range_of(address, len)?, len).ok()
    }

    /// The address of the stub by which this file calls `name`, a function of another one; on x86-64 only.
    #[must_use]
    pub fn stub_of(&self, name: &str) -> Option<u64> {
        let table = self.elf.dynamic_symbol_table()?;
        let is_meant = |target| match target {
            RelocationTarget::Symbol(index) => {
                table.symbol_by_index(index).is_ok_and(|symbol| symbol.name() == Ok(name))
            }
            _ => false,
        };
        let mut relocations = self.elf.dynamic_relocations()?.take(MAX_SYMBOLS);
        let (slot, _) = relocations.find(|(_, relocation)| is_meant(relocation.target()))?;
        STUBS.into_iter().filter_map(|name| self.section(name)).find_map(|stubs| {
            let code = self.bytes(stubs.address, stubs.size.min(MAX_STUBS))?;
            (self.machine() == Machine::X86).then(|| site::jump_through(code, stubs.address, slot)).flatten()
        })
    }

    /// Address and size of the section `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Function> {
        let section = self.elf.section_by_name(name)?;
        Some(Function { address: section.address(), size: section.size() })
    }
}

/// The name that begins at a place among all names.
fn name_at(names: &[u8], at: u32) -> Option<&[u8]> {
    names.get(at as usize..)?.split(|byte| *byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_functions_are_found_where_they_are() {
        let image = Image::open(&std::env::current_exe().unwrap()).unwrap();
        let parsed = image.parse().unwrap();
        let mut found = None;
        parsed.functions(|name, function| {
            if name == "main" {
                found = Some(function);
            }
        });
        let main = found.unwrap();
        let code = parsed.code(main).unwrap();
        let offset = parsed.offset_of(main.address).unwrap() as usize;
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(file.get(offset..offset + code.len()).unwrap(), code);
        assert_ne!(parsed.machine(), Machine::Other);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let path = Path::new("/proc/self/maps");
        assert!(Image::open(path).unwrap().parse().is_none());
    }
}
