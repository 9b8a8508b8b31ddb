//! One direction of an HTTP/1 conversation: where it is within its messages.

use super::chunked::{Chunked, Step};
use super::head::Scan;
use super::open::{Message, Pool};
use crate::call::Notes;
use crate::decoder::limits::Limits;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// So many bytes are to come, at least one.
    Length(u64),
    /// By its chunks.
    Chunked(Chunked),
    /// With the connection.
    UntilClose,
    /// It cannot be: with the other side's turn, the connection, or silence.
    Blind,
}

impl Body {
    /// Whether the end cannot be told from what was captured.
    pub(super) const fn is_blind(&self) -> bool {
        match self {
            Self::Blind => true,
            Self::Chunked(chunked) => chunked.is_blind(),
            Self::Length(_) | Self::UntilClose => false,
        }
    }
}

/// Where a direction is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Phase {
    /// At the first byte of a message.
    #[default]
    Start,
    /// Anywhere: the next message is looked for where a segment begins.
    Seek,
    /// Within a head.
    Head,
    /// Within a body.
    Body(Body),
    /// The sender has closed.
    Ended,
}

impl Phase {
    pub(super) const fn is_between(&self) -> bool {
        matches!(self, Self::Start | Self::Seek)
    }

    pub(super) const fn is_blind(&self) -> bool {
        matches!(self, Self::Body(body) if body.is_blind())
    }
}

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader {
    pub(super) phase: Phase,
    pub(super) scan: Scan,
}

/// What a body did with bytes.
pub(super) struct Taken {
    pub(super) used: usize,
    pub(super) done: bool,
    pub(super) notes: Notes,
}

/// Gives a body its bytes.
pub(super) fn read_body(
    body: &mut Body,
    message: &mut Message,
    bytes: &[u8],
    limits: &Limits,
    pool: &mut Pool,
) -> Taken {
    let room = limits.buffered.saturating_sub(pool.held());
    let mut kept = 0;
    let mut taken = Taken { used: bytes.len(), done: false, notes: Notes::default() };
    match body {
        Body::Length(left) => {
            taken.used = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left = left.saturating_sub(taken.used as u64);
            taken.done = *left == 0;
            kept = message.push_body(bytes.get(..taken.used).unwrap_or_default(), limits.body_prefix, room);
        }
        Body::UntilClose | Body::Blind => kept = message.push_body(bytes, limits.body_prefix, room),
        Body::Chunked(chunked) => {
            let was_blind = chunked.is_blind();
            let mut odd = false;
            let step = chunked.read(bytes, &mut odd, &mut |data| {
                kept += message.push_body(data, limits.body_prefix, room.saturating_sub(kept));
            });
            match step {
                Step::More => {}
                Step::Done(used) => (taken.used, taken.done) = (used, true),
                Step::Broken(used) => {
                    chunked.lose();
                    message.skip_body((bytes.len() - used) as u64);
                }
            }
            if odd || matches!(step, Step::Broken(_)) {
                taken.notes.add(Notes::BAD_CHUNK);
            }
            if was_blind {
                message.skip_body(bytes.len() as u64);
            }
        }
    }
    pool.keep(kept);
    message.pass(taken.used as u64);
    taken
}

/// Passes over bytes of a body that are missing; says how many of `len` belong to it, and whether it ended.
pub(super) fn skip_body(body: &mut Body, message: &mut Message, len: u64) -> (u64, bool) {
    let mut used = len;
    let mut done = false;
    match body {
        Body::Length(left) => {
            used = len.min(*left);
            *left = left.saturating_sub(used);
            done = *left == 0;
            message.skip_body(used);
        }
        Body::UntilClose | Body::Blind => message.skip_body(len),
        Body::Chunked(chunked) => {
            let mut data = 0;
            done = chunked.skip(len, &mut data) != Step::More;
            message.skip_body(if chunked.is_blind() && !done { len } else { data });
        }
    }
    message.pass(used);
    (used, done)
}
