//! The program as it is brought to a pod: packed once, known by its hash.

use crate::source::SourceError;
use flate2::Compression;
use flate2::write::GzEncoder;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// See the module.
#[derive(Clone)]
pub struct Cargo {
    /// SHA-256 of the program, hexadecimal.
    pub(super) digest: String,
    /// Its length.
    pub(super) length: u64,
    /// It, gzipped.
    pub(super) packed: Vec<u8>,
    /// It needs a dynamic linker and a C library from the image.
    pub dynamic: bool,
    /// Its architecture, as Kubernetes calls it; empty when unknown.
    pub architecture: &'static str,
}

impl std::fmt::Debug for Cargo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { digest, length, .. } = self;
        f.debug_struct("Cargo").field("digest", digest).field("length", length).finish_non_exhaustive()
    }
}

impl Cargo {
    /// Packs a program; this one, when no file is named.
    ///
    /// # Errors
    /// It cannot be read, or is no program for Linux.
    pub fn pack(file: Option<&Path>) -> Result<Self, SourceError> {
        let path = file.unwrap_or(Path::new("/proc/self/exe"));
        let wrong = |why: String| SourceError {
            what: format!("the program that agents run, {}, cannot be used: {why}", path.display()),
            remedy:
                "name another one with --agent-binary FILE, or an image that holds it with --program PATH"
                    .into(),
        };
        let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let (dynamic, architecture) =
            kind(&bytes).ok_or_else(|| wrong("it is no 64-bit ELF program".into()))?;
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = packer.write_all(&bytes).and_then(|()| packer.finish());
        let packed = packed.map_err(|error| wrong(error.to_string()))?;
        let mut digest = String::new();
        for byte in Sha256::digest(&bytes) {
            // Writing to a string does not fail.
            let _ok = write!(digest, "{byte:02x}");
        }
        Ok(Self { digest, length: bytes.len() as u64, packed, dynamic, architecture })
    }

    /// Bytes of it in its pod.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that go over the wire to each node.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.packed.len() as u64
    }
}

/// Whether it is linked dynamically, and for which architecture.
fn kind(bytes: &[u8]) -> Option<(bool, &'static str)> {
    let file: ElfFile64<'_> = ElfFile64::parse(bytes).ok()?;
    let endian = file.endian();
    let dynamic =
        file.elf_program_headers().iter().any(|header| header.p_type(endian) == object::elf::PT_INTERP);
    let architecture = match file.elf_header().e_machine(endian) {
        object::elf::EM_X86_64 => "amd64",
        object::elf::EM_AARCH64 => "arm64",
        _ => "",
    };
    Some((dynamic, architecture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn what_is_packed_is_the_program() {
        let cargo = Cargo::pack(Some(Path::new("/bin/true"))).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(cargo.packed.as_slice()).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, cargo.length);
        assert_eq!(cargo.digest.len(), 64);
        assert_eq!(cargo.architecture, crate::kubernetes::doctor::architecture());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for bytes in [b"#!/bin/sh\n".as_slice(), b"\x7fELF", b""] {
            fs::write(&path, bytes).unwrap();
            assert!(Cargo::pack(Some(&path)).unwrap_err().what.contains("ELF"));
        }
    }
}
