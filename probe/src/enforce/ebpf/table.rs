//! The maps of enforcement, with types.

use crate::enforce::EnforceError;
use apisec_abi::enforce::{
    AllowedKey, CallerKey, ConnectKey, Effect, EffectKey, HandoverOffsets, Owned, PathKey, PathShape,
    Present, RequestRule, RequestSlots, Rule, Service, ServiceKey, Slots, Stream, Wish,
};
use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuHashMap, SockHash};

/// A record of the kernel boundary as a key or value.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<T>(pub(super) T);

/// What [`Plain`] may hold.
pub(super) trait Record: Copy + 'static {}

impl Record for AllowedKey {}
impl Record for ConnectKey {}
impl Record for Effect {}
impl Record for EffectKey {}
impl Record for Owned {}
impl Record for Present {}
impl Record for Rule {}
impl Record for CallerKey {}
impl Record for PathKey {}
impl Record for PathShape {}
impl Record for RequestRule {}
impl Record for RequestSlots {}
impl Record for Service {}
impl Record for ServiceKey {}
impl Record for Stream {}
impl Record for Slots {}
impl Record for Wish {}
impl Record for HandoverOffsets {}

#[expect(unsafe_code, reason = "aya wants Pod for keys and values")]
// SAFETY: records are integers without implicit padding, any bit pattern is a value.
unsafe impl<T: Record> Pod for Plain<T> {}

/// Several slots as one value.
pub(super) trait Several: Record + Default {
    fn slots(&mut self) -> &mut [u32];
}

impl Several for Slots {
    fn slots(&mut self) -> &mut [u32] {
        &mut self.slots
    }
}

impl Several for RequestSlots {
    fn slots(&mut self) -> &mut [u32] {
        &mut self.slots
    }
}

/// A map whose values are slots of rules.
pub(super) struct Slotted<K: Record, V: Several>(HashMap<MapData, Plain<K>, Plain<V>>);

impl<K: Record, V: Several> Slotted<K, V> {
    pub(super) fn new(map: Map) -> Result<Self, EnforceError> {
        HashMap::try_from(map).map(Self).map_err(|error| broken(&error))
    }

    /// Adds a slot to a key.
    pub(super) fn add(&mut self, key: K, slot: u32) -> Result<(), EnforceError> {
        let mut value = self.get(key);
        let slots = value.slots();
        if slots.contains(&slot) {
            return Ok(());
        }
        let most = slots.len();
        let Some(free) = slots.iter_mut().find(|slot| **slot == 0) else {
            return Err(EnforceError::TooMuch(format!(
                "more than {most} rules are about the very same thing"
            )));
        };
        *free = slot;
        self.0.insert(Plain(key), Plain(value), 0).map_err(|error| not_written(&error))
    }

    /// Takes slots out of every key; a key without slots goes. Those that are left are given to `left`.
    pub(super) fn remove(&mut self, gone: &[u32], mut left: impl FnMut(&K)) -> Result<(), EnforceError> {
        let keys: Vec<_> = self.0.keys().filter_map(Result::ok).collect();
        for key in keys {
            let mut value = self.get(key.0);
            let mut changed = false;
            for slot in value.slots().iter_mut().filter(|slot| gone.contains(slot)) {
                *slot = 0;
                changed = true;
            }
            let outcome = if value.slots().iter().all(|slot| *slot == 0) {
                self.0.remove(&key)
            } else {
                left(&key.0);
                if changed { self.0.insert(key, Plain(value), 0) } else { Ok(()) }
            };
            outcome.map_err(|error| not_written(&error))?;
        }
        Ok(())
    }

    /// Keys and their slots.
    pub(super) fn entries(&self) -> Vec<(K, V)> {
        self.0.iter().filter_map(Result::ok).map(|(Plain(key), Plain(value))| (key, value)).collect()
    }

    fn get(&self, key: K) -> V {
        self.0.get(&Plain(key), 0).map_or_else(|_| V::default(), |value| value.0)
    }
}

/// Services by where they listen.
pub(super) type Services = HashMap<MapData, Plain<ServiceKey>, u32>;
/// Services by number.
pub(super) type ServiceTable = Array<MapData, Plain<Service>>;
/// Shapes of patterns.
pub(super) type PathShapes = Array<MapData, Plain<PathShape>>;
/// What rules about requests ask.
pub(super) type Requests = Array<MapData, Plain<RequestRule>>;
/// Callers that rules about requests mean.
pub(super) type Callers = HashMap<MapData, Plain<CallerKey>, u64>;
/// What rules except.
pub(super) type Allowed = HashMap<MapData, Plain<AllowedKey>, u64>;
/// Sockets whose requests are read.
pub(super) type Sockets = SockHash<MapData, u64>;
/// What is known of them.
pub(super) type Streams = HashMap<MapData, u64, Plain<Stream>>;
/// What is wished for open sockets.
pub(super) type Wishes = HashMap<MapData, u64, Plain<Wish>>;
/// The slots of each policy.
pub(super) type Policies = HashMap<MapData, u32, Plain<Owned>>;
/// The rules, by slot.
pub(super) type Rules = Array<MapData, Plain<Rule>>;
/// What there is to look for.
pub(super) type Presence = Array<MapData, Plain<Present>>;
/// What policies did.
pub(super) type Effects = PerCpuHashMap<MapData, Plain<EffectKey>, Plain<Effect>>;

/// The sum over the processors.
pub(super) fn total(values: &[Plain<Effect>]) -> Effect {
    let mut sum = Effect::default();
    for Plain(value) in values {
        sum.blocked += value.blocked;
        sum.passed += value.passed;
        sum.undecided += value.undecided;
        if value.last > sum.last {
            (sum.last, sum.tgid) = (value.last, value.tgid);
        }
    }
    sum
}

/// A map that is not what this version made.
pub(super) fn broken(error: &MapError) -> EnforceError {
    EnforceError::refused("a map of enforcement cannot be used", error)
}

/// The kernel does not take an entry.
pub(super) fn not_written(error: &MapError) -> EnforceError {
    EnforceError::refused("the kernel does not take a rule", error)
}
