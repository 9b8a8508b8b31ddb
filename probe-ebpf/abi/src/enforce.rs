//! What user space and the kernel programs of enforcement tell each other, through maps.
//!
//! A rule has a slot, its number in the map `RULES`: there is its deadline, which every program asks before it
//! refuses anything. What a rule matches is in a map of its kind, whose values are slots.

/// A deadline that never comes.
pub const FOREVER: u64 = u64::MAX;
/// Slots of rules; slot 0 is of no rule.
pub const SLOTS: u32 = 8192;
/// Rules that may have the very same key in a map.
pub const SHARED: usize = 4;
/// Rules of one policy.
pub const OF_POLICY: usize = 8;

/// [`ConnectKey::who`]: whoever connects.
pub const WHO_ANY: u8 = 0;
/// [`ConnectKey::who`]: `from` is the id of a cgroup.
pub const WHO_CGROUP: u8 = 1;
/// [`ConnectKey::who`]: `from` is a thread group id.
pub const WHO_PROCESS: u8 = 2;
/// [`ConnectKey::who`]: whoever connects but those that the map `ALLOWED` names.
pub const WHO_ANY_BUT: u8 = 3;

/// A rule, whatever its kind (map `RULES`, by slot).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// From then on it refuses nothing: nanoseconds of the boot clock. 0: there is no rule.
    pub deadline: u64,
    /// The policy that it belongs to.
    pub policy: u32,
    /// Zero.
    pub pad: u32,
}

/// Which connections to refuse (map `CONNECT`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectKey {
    /// Address that is connected to, IPv4 as mapped; all zero: any.
    pub addr: [u8; 16],
    /// Who connects; see `who`.
    pub from: u64,
    /// Cookie of the network namespace of the socket that connects; 0: any.
    pub netns: u64,
    /// Port, host order; 0: any.
    pub port: u16,
    /// `WHO_*`.
    pub who: u8,
    /// Zero.
    pub pad: [u8; 5],
}

/// How [`ConnectKey`]s are made: a bit for each part of the place that is exact, beside `who`; see [`shape`].
pub const SHAPE_ADDR: u32 = 1;
/// The port is exact.
pub const SHAPE_PORT: u32 = 2;
/// The network namespace is exact.
pub const SHAPE_NETNS: u32 = 4;
/// Shapes of places.
pub const PLACES: u32 = 8;
/// Number of shapes: those of places, for each of four kinds of callers.
pub const SHAPES: u32 = 32;

/// The number of a key's shape.
#[must_use]
#[inline(always)]
pub const fn shape(key: &ConnectKey) -> u32 {
    let addr = if u128::from_ne_bytes(key.addr) == 0 { 0 } else { SHAPE_ADDR };
    let port = if key.port == 0 { 0 } else { SHAPE_PORT };
    let netns = if key.netns == 0 { 0 } else { SHAPE_NETNS };
    key.who as u32 * PLACES + addr + port + netns
}

/// Slots of the rules with one key; 0 is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// In no order.
    pub slots: [u32; SHARED],
}

/// The slots of a policy (map `POLICIES`, by its number); 0 is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// In no order.
    pub slots: [u32; OF_POLICY],
}

/// What a rule excepts (map `ALLOWED`): a target, or with `who` a caller.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AllowedKey {
    /// Address of the target, IPv4 as mapped; all zero: any.
    pub addr: [u8; 16],
    /// The caller; see `who`.
    pub from: u64,
    /// The rule.
    pub slot: u32,
    /// Port of the target, host order; 0: any.
    pub port: u16,
    /// [`WHO_CGROUP`] or [`WHO_PROCESS`]; [`WHO_ANY`]: this is about a target.
    pub who: u8,
    /// Zero.
    pub pad: u8,
}

/// What there is to look for, so that nothing else is (map `PRESENT`, one entry).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Shapes of [`ConnectKey`]s, a bit each.
    pub shapes: u32,
    /// Some rule has excepted targets.
    pub exceptions: u32,
    /// Some service is ruled.
    pub requests: u32,
    /// Zero.
    pub pad: u32,
}

/// Whom a policy has met (map `EFFECTS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EffectKey {
    /// cgroup of the caller's process; 0 where only its address is known.
    pub cgroup: u64,
    /// Address of the caller, IPv4 as mapped; all zero where its process is known.
    pub addr: [u8; 16],
    /// Name of the caller's program; zero where it is not known.
    pub comm: [u8; 16],
    /// The policy.
    pub policy: u32,
    /// Zero.
    pub pad: u32,
}

/// What a policy did to one caller.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Connections or requests refused.
    pub blocked: u64,
    /// What matched and was let through: within its rate.
    pub passed: u64,
    /// What could not be decided and was let through.
    pub undecided: u64,
    /// When the last of them was, nanoseconds of the boot clock.
    pub last: u64,
    /// Thread group id of the process that was last; 0 where it is not known.
    pub tgid: u32,
    /// Zero.
    pub pad: u32,
}

/// [`CallerKey::who`]: the address of the peer.
pub const WHO_ADDRESS: u8 = 4;
/// Services that are ruled.
pub const SERVICES: u32 = 4096;
/// Shapes of path patterns that are in use at once: a bit each in [`Service::shapes`].
pub const PATH_SHAPES: u32 = 64;
/// Segments of a pattern.
pub const PARTS: usize = 16;
/// Rules about one set of paths of one service.
pub const REQUEST_SHARED: usize = 16;
/// Bytes of a request's target that are looked at; a longer one is undecided.
pub const MAX_TARGET: usize = 1024;
/// Bytes of a request whose body is waited for, so that it is let through as a whole.
pub const MAX_HELD: u32 = 256 << 10;
/// Bytes of a request's head that are looked at: what servers take is 8 to 32 KiB. A longer one is undecided.
pub const MAX_HEAD: usize = 16_384;

/// Where a ruled service listens (map `SERVICES`, to its number).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceKey {
    /// Local address of its connections, IPv4 as mapped; all zero: any.
    pub addr: [u8; 16],
    /// Cookie of its network namespace; 0: any.
    pub netns: u64,
    /// Local port, host order.
    pub port: u16,
    /// Zero.
    pub pad: [u8; 6],
}

/// A ruled service (map `SERVICE`, by its number).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Path shapes of its rules, a bit each.
    pub shapes: u64,
    /// When the last of its rules ends, nanoseconds of the boot clock: from then on its bytes only pass.
    pub deadline: u64,
    /// `SERVICE_*`.
    pub flags: u32,
    /// A rule to whom what is undecided is counted.
    pub slot: u32,
}

/// [`Service::flags`]: a rule minds the letters' case.
pub const SERVICE_EXACT: u32 = 1;
/// [`Service::flags`]: a rule does not mind the letters' case.
pub const SERVICE_FOLDED: u32 = 2;
/// [`Service::flags`]: what is undecided is not let through.
pub const SERVICE_CLOSED: u32 = 4;

/// How a path pattern is made (map `PATH_SHAPES`, by its number).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathShape {
    /// A bit for each segment that is literal, the first one lowest.
    pub literals: u32,
    /// Number of segments.
    pub parts: u8,
    /// 1: anything may follow.
    pub rest: u8,
    /// 1: letters are folded.
    pub folded: u8,
    /// 1: in use.
    pub used: u8,
}

/// The rules about some paths of a service (map `PATHS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathKey {
    /// Hash of the literal segments; see [`hash_byte`] and [`hash_segment`].
    pub hash: u64,
    /// The service.
    pub service: u32,
    /// The shape.
    pub shape: u32,
}

/// Slots of rules about requests; 0 is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestSlots {
    /// In no order.
    pub slots: [u32; REQUEST_SHARED],
}

/// What else a rule about requests asks (map `REQUESTS`, by slot).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestRule {
    /// Hash of the method in capitals; 0: any.
    pub method: u64,
    /// `REQUEST_*`.
    pub flags: u32,
    /// Tokens that come back each second; 0: it has no rate, whatever matches is refused.
    pub per_second: u32,
    /// Tokens of a full bucket.
    pub burst: u32,
    /// `PER_*`.
    pub per: u32,
}

/// [`RequestRule::flags`]: `HEAD` is meant too.
pub const REQUEST_HEAD: u32 = 1;
/// [`RequestRule::flags`]: only callers in the map `CALLERS` are meant.
pub const REQUEST_CALLERS: u32 = 2;
/// [`RequestRule::flags`]: what is undecided at its service is not let through.
pub const REQUEST_CLOSED: u32 = 4;

/// All requests of a rule share a bucket.
pub const PER_RULE: u32 = 0;
/// Each caller has one.
pub const PER_CALLER: u32 = 1;
/// Each credential has one.
pub const PER_CREDENTIAL: u32 = 2;

/// Whom a rule about requests means (map `CALLERS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallerKey {
    /// Its address, IPv4 as mapped, when `who` says so.
    pub addr: [u8; 16],
    /// Its cgroup or process, when `who` says so.
    pub from: u64,
    /// The rule.
    pub slot: u32,
    /// `WHO_*`.
    pub who: u8,
    /// Zero.
    pub pad: [u8; 3],
}

/// Whose bucket (map `BUCKETS`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BucketKey {
    /// Hash of the caller or the credential.
    pub of: u64,
    /// The rule.
    pub slot: u32,
    /// Zero.
    pub pad: u32,
}

/// A bucket of tokens.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// What is in it, in nanoseconds of refilling.
    pub nanos: u64,
    /// When it was looked at last.
    pub at: u64,
}

/// A connection of a ruled service (map `STREAMS`, by socket cookie).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Number of the service.
    pub service: u32,
    /// `PHASE_*`.
    pub phase: u8,
    /// What happens to the message that was parsed last: `ACTION_*`.
    pub action: u8,
    /// 1: the body that is being read belongs to a refused request.
    pub discard: u8,
    /// `STREAM_*`.
    pub flags: u8,
    /// Bytes of the body, or of the chunk, that are to come.
    pub left: u64,
    /// The policy that refuses.
    pub policy: u32,
    /// Bytes of the request that the parser waits for; 0: it does not.
    pub awaited: u32,
    /// cgroup of the caller's process, 0 unknown.
    pub cgroup: u64,
    /// Process of the caller, 0 unknown.
    pub tgid: u32,
    /// How far the server had written when the last request was let through: modulo 2^32.
    pub written: u32,
    /// Address of the peer, IPv4 as mapped.
    pub addr: [u8; 16],
    /// Name of the caller's program.
    pub comm: [u8; 16],
    /// How much had arrived when nobody read it although it waits: modulo 2^32; 0: it is read.
    pub stuck: u32,
    /// When that was seen first, in units of 2^20 nanoseconds.
    pub stuck_at: u32,
}

/// [`Stream::phase`]: a request begins.
pub const PHASE_START: u8 = 0;
/// A body of known length.
pub const PHASE_BODY: u8 = 1;
/// The line before a chunk.
pub const PHASE_CHUNK: u8 = 2;
/// A chunk and what ends it.
pub const PHASE_CHUNK_DATA: u8 = 3;
/// Lines behind the last chunk.
pub const PHASE_TRAILER: u8 = 4;
/// No requests: TLS, HTTP/2, after an upgrade. All passes.
pub const PHASE_OPAQUE: u8 = 5;
/// Where requests begin is not known: connections older than the rule, and behind what was undecided. Read again
/// from what looks like a request line at the beginning of a packet.
pub const PHASE_LOST: u8 = 6;
/// Nothing passes any more; the connection waits for its end.
pub const PHASE_DEAD: u8 = 7;

/// [`Stream::action`]: it passes.
pub const ACTION_PASS: u8 = 0;
/// It is answered with a 403.
pub const ACTION_ANSWER: u8 = 1;
/// It is dropped.
pub const ACTION_DROP: u8 = 2;

/// [`Stream::flags`]: the request had a method to which no body is answered.
pub const STREAM_HEAD: u8 = 1;
/// [`Stream::flags`]: the connection ends after the answer.
pub const STREAM_CLOSE: u8 = 2;
/// [`Stream::flags`]: a request was let through, and `written` is of it.
pub const STREAM_ASKED: u8 = 4;

/// A connection that user space is to destroy (queue `CLOSE`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// Socket cookie.
    pub cookie: u64,
    /// When it was refused, nanoseconds of the boot clock.
    pub at: u64,
    /// The policy.
    pub policy: u32,
    /// 1: an answer is on its way and should arrive first.
    pub answered: u32,
}

/// What user space wishes for an open socket (map `WISHES`, by cookie).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// `HANDOVER_*`.
    pub kind: u32,
    /// `BUSY_*`: why it did not come true at the last time.
    pub busy: u32,
    /// What the kernel said when it was not busy.
    pub failed: i32,
    /// 1: also in the middle of a request.
    pub anyhow: u32,
}

/// [`Wish::kind`]: its requests are to be read.
pub const HANDOVER_TAKE: u32 = 1;
/// [`Wish::kind`]: they are not to be read any more.
pub const HANDOVER_GIVE: u32 = 2;
/// [`Wish::kind`]: they are read, and it is to be seen that nobody has read behind the parser's back meanwhile.
pub const HANDOVER_PROVE: u32 = 3;

/// [`Wish::busy`]: its program has not read all that arrived.
pub const BUSY_UNREAD: u32 = 1;
/// [`Wish::busy`]: what arrived and what was read are not the same.
pub const BUSY_COUNT: u32 = 2;
/// [`Wish::busy`]: a part of a request is held back until the rest of it arrives.
pub const BUSY_HEAD: u32 = 4;
/// [`Wish::busy`]: an answer of ours is on its way.
pub const BUSY_ANSWER: u32 = 8;
/// [`Wish::busy`]: what was let through is not read yet.
pub const BUSY_READER: u32 = 16;
/// [`Wish::busy`]: it is closing.
pub const BUSY_STATE: u32 = 32;
/// [`Wish::busy`]: something has just arrived.
pub const BUSY_BACKLOG: u32 = 128;
/// [`Wish::busy`]: its server has not answered what arrived.
pub const BUSY_ASKED: u32 = 64;

/// Byte offsets of what [`Wish::busy`] says, in the kernel's structures.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandoverOffsets {
    /// `sock.skc_state`
    pub state: u32,
    /// `sock.sk_receive_queue`
    pub unread: u32,
    /// `sock.sk_user_data`
    pub user_data: u32,
    /// `tcp_sock.rcv_nxt`
    pub received: u32,
    /// `tcp_sock.copied_seq`
    pub copied: u32,
    /// `sk_psock.strp.skb_head`
    pub head: u32,
    /// `sk_psock.ingress_skb`
    pub answers: u32,
    /// `sk_psock.ingress_msg`
    pub readable: u32,
    /// `tcp_sock.lsndtime`
    pub sent_at: u32,
    /// `inet_connection_sock.icsk_ack.lrcvtime`
    pub heard_at: u32,
    /// `tcp_sock.bytes_received`
    pub heard: u32,
    /// `sock.sk_rcvbuf`
    pub room: u32,
    /// 1: this kernel miscounts what it was given while its reader has not read what was given before (from 6.14 on).
    pub miscounts: u32,
    /// `sk_psock.copied_seq`
    pub parsed: u32,
    /// `sock.sk_backlog.head`
    pub backlog: u32,
    /// Zero.
    pub pad: u32,
}

/// Where hashes begin.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// Adds a byte to a hash (FNV-1a, begun at [`HASH_START`]).
#[must_use]
#[inline(always)]
pub const fn hash_byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

/// Adds the hash of a segment to that of the segments before it.
#[must_use]
#[inline(always)]
pub const fn hash_segment(hash: u64, segment: u64) -> u64 {
    let mixed = (hash ^ segment).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

const _: () = assert!(size_of::<ServiceKey>() == 32 && align_of::<ServiceKey>() == 8);
const _: () = assert!(size_of::<Service>() == 24 && align_of::<Service>() == 8);
const _: () = assert!(size_of::<PathShape>() == 8);
const _: () = assert!(size_of::<PathKey>() == 16);
const _: () = assert!(size_of::<RequestSlots>() == 64);
const _: () = assert!(size_of::<RequestRule>() == 24);
const _: () = assert!(size_of::<CallerKey>() == 32);
const _: () = assert!(size_of::<BucketKey>() == 16);
const _: () = assert!(size_of::<Bucket>() == 16);
const _: () = assert!(size_of::<Stream>() == 80 && align_of::<Stream>() == 8);
const _: () = assert!(size_of::<Close>() == 24);
const _: () = assert!(size_of::<Wish>() == 16);
const _: () = assert!(size_of::<HandoverOffsets>() == 64);
const _: () = assert!(size_of::<Rule>() == 16 && align_of::<Rule>() == 8);
const _: () = assert!(size_of::<ConnectKey>() == 40 && align_of::<ConnectKey>() == 8);
const _: () = assert!(size_of::<Slots>() == 16 && align_of::<Slots>() == 4);
const _: () = assert!(size_of::<Owned>() == 32 && align_of::<Owned>() == 4);
const _: () = assert!(size_of::<AllowedKey>() == 32 && align_of::<AllowedKey>() == 8);
const _: () = assert!(size_of::<Present>() == 16);
const _: () = assert!(size_of::<EffectKey>() == 48 && align_of::<EffectKey>() == 8);
const _: () = assert!(size_of::<Effect>() == 40 && align_of::<Effect>() == 8);
