//! The one value that an operator asked to see. It has no `Debug`, is never copied, and is overwritten when it goes.

use zeroize::Zeroizing;

/// Bytes of it that are shown.
const MOST: usize = 256;

/// See the module.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Of bytes of the wire; what is longer than fits on a screen is cut.
    #[must_use]
    pub fn new(value: &[u8]) -> Self {
        let value = value.get(..value.len().min(MOST)).unwrap_or_default();
        Self(Zeroizing::new(String::from_utf8_lossy(value).into_owned()))
    }

    /// What it is. As it came from the wire: it must be escaped before it is drawn.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ones_are_cut() {
        assert_eq!(Secret::new(&[b'x'; 1_000]).expose().len(), MOST);
        assert_eq!(Secret::new(b"ada").expose(), "ada");
    }
}
