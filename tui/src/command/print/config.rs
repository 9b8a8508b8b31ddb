//! `print config`: the commented default.

/// The settings file to start from.
pub(super) fn write(out: &mut Vec<u8>) {
    out.extend_from_slice(crate::config::DEFAULT.as_bytes());
}
