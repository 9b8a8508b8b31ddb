//! The maps of enforcement, with types.

use crate::enforce::EnforceError;
use apisec_abi::enforce::{AllowedKey, ConnectKey, Effect, EffectKey, Owned, Present, Rule, Slots};
use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuHashMap};

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
impl Record for Slots {}

#[expect(unsafe_code, reason = "aya wants Pod for keys and values")]
// SAFETY: records are integers without implicit padding, any bit pattern is a value.
unsafe impl<T: Record> Pod for Plain<T> {}

/// A map whose values are slots of rules.
pub(super) struct Slotted<K: Record>(HashMap<MapData, Plain<K>, Plain<Slots>>);

impl<K: Record> Slotted<K> {
    pub(super) fn new(map: Map) -> Result<Self, EnforceError> {
        HashMap::try_from(map).map(Self).map_err(|error| broken(&error))
    }

    /// Adds a slot to a key.
    pub(super) fn add(&mut self, key: K, slot: u32) -> Result<(), EnforceError> {
        let mut slots = self.get(key);
        if slots.slots.contains(&slot) {
            return Ok(());
        }
        let Some(free) = slots.slots.iter_mut().find(|slot| **slot == 0) else {
            let what = format!("more than {} rules are about the very same thing", slots.slots.len());
            return Err(EnforceError::TooMuch(what));
        };
        *free = slot;
        self.0.insert(Plain(key), Plain(slots), 0).map_err(|error| not_written(&error))
    }

    /// Takes slots out of every key; a key without slots goes. Those that are left are given to `left`.
    pub(super) fn remove(&mut self, gone: &[u32], mut left: impl FnMut(&K)) -> Result<(), EnforceError> {
        let keys: Vec<_> = self.0.keys().filter_map(Result::ok).collect();
        for key in keys {
            let mut slots = self.get(key.0);
            let mut changed = false;
            for slot in slots.slots.iter_mut().filter(|slot| gone.contains(slot)) {
                *slot = 0;
                changed = true;
            }
            let outcome = if slots.slots.iter().all(|slot| *slot == 0) {
                self.0.remove(&key)
            } else {
                left(&key.0);
                if changed { self.0.insert(key, Plain(slots), 0) } else { Ok(()) }
            };
            outcome.map_err(|error| not_written(&error))?;
        }
        Ok(())
    }

    fn get(&self, key: K) -> Slots {
        self.0.get(&Plain(key), 0).map_or_else(|_| Slots::default(), |slots| slots.0)
    }
}

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
