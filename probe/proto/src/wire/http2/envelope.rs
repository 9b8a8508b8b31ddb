//! The messages of gRPC within DATA: a flag and a length before each, wherever frames begin and end.

use crate::call::Messages;

/// Octets before a message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;
/// Set on a message that is compressed.
const COMPRESSED: u8 = 1;
/// Set on what gRPC-Web sends instead of trailers: it is not a message.
const TRAILERS: u8 = 0x80;

/// Where one direction of a stream is within its messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Envelope {
    prefix: [u8; PREFIX],
    have: u8,
    /// Octets of the message that are to come.
    left: u32,
    /// A prefix was not captured: where the next message begins is not known.
    lost: bool,
    pub(super) messages: Messages,
    /// One of them was compressed.
    pub(super) compressed: bool,
}

impl Envelope {
    /// The next octets.
    pub(super) fn read(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && !self.lost {
            let inside = octets.len().min(self.left as usize);
            self.left -= inside as u32;
            octets = octets.get(inside..).unwrap_or_default();
            let have = usize::from(self.have);
            let taken = octets.len().min(PREFIX - have);
            let (prefix, rest) = octets.split_at_checked(taken).unwrap_or_default();
            if let Some(to) = self.prefix.get_mut(have..have + taken) {
                to.copy_from_slice(prefix);
            }
            (self.have, octets) = ((have + taken) as u8, rest);
            if have + taken == PREFIX {
                self.begin();
            }
        }
    }

    /// The next octets were not captured.
    pub(super) fn skip(&mut self, len: u64) {
        match u64::from(self.left).checked_sub(len) {
            Some(left) => self.left = left as u32,
            None => self.lost = true,
        }
    }

    /// A prefix is complete.
    fn begin(&mut self) {
        let [flags, len @ ..] = self.prefix;
        (self.have, self.left) = (0, u32::from_be_bytes(len));
        if flags & TRAILERS == 0 {
            self.messages.merge(Messages::one(u64::from(self.left)));
            self.compressed |= flags & COMPRESSED != 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(sizes: &[u16]) -> Vec<u8> {
        let message =
            |size: &u16| [&[0][..], &u32::from(*size).to_be_bytes(), &vec![7; usize::from(*size)]].concat();
        sizes.iter().flat_map(message).collect()
    }

    proptest! {
        #[test]
        fn messages_are_counted_however_they_are_cut(
            sizes in proptest::collection::vec(0u16..2000, 0..20), cuts in proptest::collection::vec(1usize..900, 1..20),
        ) {
            let octets = stream(&sizes);
            let mut rest = &octets[..];
            let mut envelope = Envelope::default();
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                // What lies wholly inside a message need not be captured.
                if piece.len() <= envelope.left as usize {
                    envelope.skip(piece.len() as u64);
                } else {
                    envelope.read(piece);
                }
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let mut expected = Messages::default();
            sizes.iter().for_each(|size| expected.merge(Messages::one(u64::from(*size))));
            prop_assert_eq!(envelope.messages, expected);
            prop_assert!(!envelope.lost);
        }
    }

    #[test]
    fn a_prefix_that_was_not_captured_ends_the_count() {
        let mut envelope = Envelope::default();
        envelope.read(&stream(&[10])[..8]);
        envelope.skip(9);
        envelope.read(&stream(&[10]));
        assert!(envelope.lost);
        assert_eq!(envelope.messages.count, 1);
    }

    #[test]
    fn the_trailers_of_grpc_web_are_no_message() {
        let mut envelope = Envelope::default();
        envelope.read(&[&stream(&[3])[..], &[0x80, 0, 0, 0, 2, b'a', b'b']].concat());
        assert_eq!(envelope.messages, Messages::one(3));
    }
}
