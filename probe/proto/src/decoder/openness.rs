//! The search for the protocol of a connection, by its first bytes.
//!
//! It goes on at every turn of direction, because a connection may have been met in the middle; after a few
//! turns with nothing known it is given up.

use crate::segment::Side;
use crate::wire::{Beginning, Context, Conversation, Entry, Identity, identify, resumed};

/// First bytes of one side that are kept while they do not tell the protocol.
const MAX_PRELUDE: usize = 256;
/// Turns of direction with unknown bytes after which a connection is left alone. The kernel side allows as many.
const MAX_MISSES: u8 = 8;

/// How the search stands.
pub(super) struct Openness {
    preludes: Option<Box<[Prelude; 2]>>,
    misses: u8,
    /// The side whose bytes were unknown; it is heard again when the other has spoken.
    unknown: Option<Side>,
    beginning: Beginning,
    /// The connection was open before us, and no guess at it was wrong.
    met_open: bool,
}

/// First bytes of one side, with the time of the first.
#[derive(Default)]
pub(super) struct Prelude {
    pub(super) bytes: Vec<u8>,
    pub(super) at: u64,
}

/// What the search came to.
pub(super) enum Found {
    /// A protocol that is read; what was kept of the speaker's and of the other side's bytes.
    Known { conversation: Box<dyn Conversation>, preludes: [Prelude; 2] },
    /// Nothing that is read.
    Opaque,
}

impl Openness {
    pub(super) const fn new(beginning: Beginning) -> Self {
        Self { preludes: None, misses: 0, unknown: None, beginning, met_open: false }
    }

    /// Of a connection that was open before us.
    pub(super) fn inside() -> Self {
        Self { met_open: true, ..Self::new(Beginning::Middle) }
    }

    /// Judges what `from` has sent until now. `None`: the search goes on.
    pub(super) fn listen(&mut self, from: Side, bytes: &[u8], cx: &mut Context<'_>) -> Option<Found> {
        if self.unknown == Some(from) {
            return None;
        }
        self.unknown = None;
        let kept = self.prelude(from).map_or(0, |prelude| prelude.bytes.len());
        let (beginning, met_open) = (self.beginning, self.met_open);
        let identity = match self.prelude(from) {
            Some(prelude) if kept > 0 => {
                prelude.bytes.extend_from_slice(bytes);
                let identity = judge(beginning, met_open, from, &prelude.bytes, cx);
                prelude.bytes.truncate(kept);
                identity
            }
            _ => judge(beginning, met_open, from, bytes, cx),
        };
        match identity {
            Judgement::Read(conversation) => {
                let [client, server] =
                    self.preludes.take().map_or_else(Default::default, |preludes| *preludes);
                let preludes = if from == Side::Client { [client, server] } else { [server, client] };
                Some(Found::Known { conversation, preludes })
            }
            Judgement::Unread => Some(Found::Opaque),
            Judgement::Open if kept + bytes.len() <= MAX_PRELUDE => {
                self.keep(from, bytes, cx.at);
                None
            }
            Judgement::Open | Judgement::Unknown => self.miss(from, cx),
        }
    }

    /// Bytes of `from` are missing: what was kept of it leads nowhere.
    pub(super) fn interrupt(&mut self, from: Side) {
        self.beginning = Beginning::Middle;
        if let Some(prelude) = self.prelude(from) {
            prelude.bytes.clear();
        }
    }

    fn prelude(&mut self, from: Side) -> Option<&mut Prelude> {
        let [client, server] = self.preludes.as_deref_mut()?;
        Some(if from == Side::Client { client } else { server })
    }

    fn keep(&mut self, from: Side, bytes: &[u8], at: u64) {
        self.preludes.get_or_insert_default();
        if let Some(prelude) = self.prelude(from) {
            if prelude.bytes.is_empty() {
                prelude.at = at;
            }
            prelude.bytes.extend_from_slice(bytes);
        }
    }

    /// The bytes are in no protocol that we know.
    fn miss(&mut self, from: Side, cx: &mut Context<'_>) -> Option<Found> {
        self.interrupt(from);
        self.unknown = Some(from);
        self.misses = self.misses.saturating_add(1);
        (self.misses >= MAX_MISSES).then(|| {
            cx.stats.undecodable += 1;
            Found::Opaque
        })
    }
}

/// What first bytes are.
enum Judgement {
    Read(Box<dyn Conversation>),
    Unread,
    Open,
    Unknown,
}

/// Asks the protocols, and begins the one that the first bytes of `from` belong to.
fn judge(beginning: Beginning, met_open: bool, from: Side, first: &[u8], cx: &mut Context<'_>) -> Judgement {
    match identify(first) {
        Identity::Known(entry) => start(entry, beginning, from, first, cx),
        Identity::Open => Judgement::Open,
        Identity::None => match resumed(from, first).filter(|_| met_open) {
            Some(entry) => start(entry, beginning, from, first, cx),
            None => Judgement::Unknown,
        },
    }
}

fn start(entry: &Entry, beginning: Beginning, from: Side, first: &[u8], cx: &mut Context<'_>) -> Judgement {
    *(entry.counter)(cx.stats) += 1;
    entry.start.map_or(Judgement::Unread, |start| Judgement::Read(start(beginning, from, first)))
}
