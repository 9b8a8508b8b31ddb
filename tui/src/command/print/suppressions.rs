//! `print suppressions`: the commented example.

/// The file of suppressions to start from.
pub(super) fn write(out: &mut Vec<u8>) {
    out.extend_from_slice(crate::suppressions::EXAMPLE.as_bytes());
}
