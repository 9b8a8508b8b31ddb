//! Our own programs bear a mark (an ELF note, which survives stripping), so that no instance puts probes into another: what
//! we ask ourselves is not shown, and costs nothing.

use super::image::Parsed;

const SECTION: &str = ".note.apisec-top";

/// An ELF note: lengths of name and description, type, name.
#[repr(C)]
struct Note(u32, u32, u32, [u8; 12]);

#[expect(unsafe_code, reason = "a section of its own cannot be had otherwise")]
#[used]
// SAFETY: nothing else is in this section, and linkers keep notes.
#[unsafe(link_section = ".note.apisec-top")]
static MARK: Note = Note(11, 0, 1, *b"apisec-top\0\0");

/// Whether a file is one of our own.
#[must_use]
pub fn is_own(file: &Parsed<'_>) -> bool {
    file.section(SECTION).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::image::Image;
    use std::path::Path;

    #[test]
    fn our_own_program_is_told_from_others() {
        for (path, own) in [("/proc/self/exe", true), ("/bin/sh", false)] {
            let image = Image::open(Path::new(path)).unwrap();
            assert_eq!(is_own(&image.parse().unwrap()), own, "{path}");
        }
    }
}
