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

const _: () = assert!(size_of::<Rule>() == 16 && align_of::<Rule>() == 8);
const _: () = assert!(size_of::<ConnectKey>() == 40 && align_of::<ConnectKey>() == 8);
const _: () = assert!(size_of::<Slots>() == 16 && align_of::<Slots>() == 4);
const _: () = assert!(size_of::<Owned>() == 32 && align_of::<Owned>() == 4);
const _: () = assert!(size_of::<AllowedKey>() == 32 && align_of::<AllowedKey>() == 8);
const _: () = assert!(size_of::<Present>() == 8);
const _: () = assert!(size_of::<EffectKey>() == 48 && align_of::<EffectKey>() == 8);
const _: () = assert!(size_of::<Effect>() == 40 && align_of::<Effect>() == 8);
