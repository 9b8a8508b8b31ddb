//! The head of a frame (RFC 6455 §5.2): from its bytes, when all of them are there.

/// Longest head: two bytes, eight of length, four of mask.
pub(super) const MAX_HEAD: usize = 14;
/// Bytes of a text that are looked at.
const MAX_LOOK: usize = 32;
/// Longest payload of a control frame.
const MAX_CONTROL: u64 = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A head that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) fin: bool,
    /// The first reserved bit: the message is compressed.
    pub(super) compressed: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(super) len: u64,
    /// Bytes of the head itself.
    pub(super) size: usize,
}

/// What bytes are at the place of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Head(Head),
    /// More are needed.
    Short,
    /// No peer may send this.
    Bad,
}

/// What a connection agreed on, as far as frames tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The sender masks.
    pub(super) masked: bool,
    /// The first reserved bit may be set.
    pub(super) compressed: bool,
    /// An extension that we do not know may use any of them.
    pub(super) foreign: bool,
}

/// Reads a head.
pub(super) fn parse(bytes: &[u8], rules: Rules) -> Parsed {
    let Some(([first, second], rest)) = bytes.split_first_chunk() else { return Parsed::Short };
    let opcode = match first & 15 {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Parsed::Bad,
    };
    let (fin, reserved) = (first & 0x80 != 0, first & 0x70);
    let compressed = reserved == 0x40 && rules.compressed && matches!(opcode, Opcode::Text | Opcode::Binary);
    if (reserved != 0 && !compressed && !rules.foreign) || (second & 0x80 != 0) != rules.masked {
        return Parsed::Bad;
    }
    let (len, rest) = match second & 0x7f {
        126 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
            None => return Parsed::Short,
        },
        127 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest),
            None => return Parsed::Short,
        },
        len => (u64::from(len), rest),
    };
    let shortest = match second & 0x7f {
        126 => len > 125,
        127 => len > 0xffff && len < 1 << 63,
        _ => true,
    };
    if !shortest || (opcode.is_control() && (!fin || len > MAX_CONTROL)) {
        return Parsed::Bad;
    }
    let (mask, rest) = match rest.split_first_chunk() {
        _ if !rules.masked => (None, rest),
        Some((mask, rest)) => (Some(*mask), rest),
        None => return Parsed::Short,
    };
    Parsed::Head(Head { fin, compressed, opcode, mask, len, size: bytes.len() - rest.len() })
}

/// Whether bytes begin with a message or a control frame; text that is not compressed looks like text.
pub(super) fn begins_message(bytes: &[u8], rules: Rules) -> bool {
    let Parsed::Head(head) = parse(bytes, rules) else { return false };
    let payload = bytes.get(head.size..).unwrap_or_default().iter().take(MAX_LOOK);
    let mask = head.mask.unwrap_or_default();
    let mut text = payload.zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    match head.opcode {
        Opcode::Continuation => false,
        Opcode::Text if !head.compressed => text.all(|byte| byte >= b' ' || byte.is_ascii_whitespace()),
        _ => true,
    }
}

/// Whether bytes are whole frames, the last of which ends where they end: so a lost position is found again.
pub(super) fn chains(bytes: &[u8], rules: Rules) -> bool {
    let mut rest = bytes;
    while let Parsed::Head(head) = parse(rest, rules) {
        let whole = usize::try_from(head.len).ok().and_then(|len| head.size.checked_add(len));
        let Some(after) = whole.and_then(|whole| rest.get(whole..)) else { return false };
        if after.is_empty() {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tungstenite::protocol::frame::{FrameHeader, coding};

    const RULES: Rules = Rules { masked: false, compressed: false, foreign: false };

    proptest! {
        /// The oracle reads the same, where it does not accept what the standard forbids.
        #[test]
        fn agrees_with_tungstenite(mut bytes in proptest::collection::vec(any::<u8>(), 0..16), kind in 0_u8..128, len in 0_u8..130) {
            if bytes.len() > 1 {
                bytes[0] = bytes[0] & 0xf0 | kind & 15;
                bytes[1] = bytes[1] & 0x80 | len & 0x7f;
            }
            let masked = bytes.get(1).is_some_and(|second| second & 0x80 != 0);
            let ours = parse(&bytes, Rules { masked, ..RULES });
            let mut cursor = std::io::Cursor::new(&bytes);
            match FrameHeader::parse(&mut cursor) {
                Ok(Some((header, len))) => {
                    let reserved = header.rsv1 || header.rsv2 || header.rsv3;
                    match ours {
                        Parsed::Head(head) => {
                            prop_assert!(!reserved);
                            prop_assert_eq!((head.fin, head.len, head.mask), (header.is_final, len, header.mask));
                            prop_assert_eq!(head.size as u64, cursor.position());
                            let control = matches!(header.opcode, coding::OpCode::Control(_));
                            prop_assert_eq!(head.opcode.is_control(), control);
                        }
                        Parsed::Bad => prop_assert!(
                            reserved || len > 0x7fff_ffff_ffff_ffff || header.opcode == coding::OpCode::Control(coding::Control::Reserved(11))
                                || bytes[1] & 0x7f > 125 || !header.is_final
                        ),
                        Parsed::Short => prop_assert!(false, "the oracle saw a whole head in {bytes:?}"),
                    }
                }
                Ok(None) => prop_assert!(!matches!(ours, Parsed::Head(_))),
                Err(_) => prop_assert_eq!(ours, Parsed::Bad),
            }
        }
    }

    #[test]
    fn lengths_are_in_their_shortest_form() {
        for (bytes, ok) in [
            (&[0x81, 126, 0, 125][..], false),
            (&[0x81, 126, 0, 126], true),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], false),
            (&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], true),
            (&[0x81, 127, 0x80, 0, 0, 0, 0, 1, 0, 0], false),
            (&[0x89, 126, 0, 126], false),
            (&[0x09, 0], false),
            (&[0xc1, 0], false),
            (&[0x83, 0], false),
        ] {
            assert_eq!(matches!(parse(bytes, RULES), Parsed::Head(_)), ok, "{bytes:?}");
        }
        assert!(matches!(parse(&[0x81, 0x80], RULES), Parsed::Bad));
    }

    #[test]
    fn only_whole_frames_chain() {
        assert!(chains(&[0x81, 1, b'a', 0x82, 0], RULES));
        assert!(!chains(&[0x81, 2, b'a'], RULES));
        assert!(!chains(b"GET / HTTP/1.1", RULES));
        assert!(!chains(b"", RULES));
    }
}
