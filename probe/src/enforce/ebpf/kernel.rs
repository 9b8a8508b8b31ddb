//! The programs and maps of enforcement in the kernel: loaded for this process, or pinned for all.

use super::pin::{Folder, LINK};
use super::table::{Effects, Plain, Policies, Presence, Rules, Slotted, broken, not_written, total};
use crate::attach::{cgroup, chain, reason};
use crate::enforce::EnforceError;
use apisec_abi::enforce::{ConnectKey, Effect, EffectKey, Owned, Present, Rule, SLOTS, shape};
use aya::maps::{Map, MapData, MapError};
use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSockAddr};
use aya::{Ebpf, EbpfLoader};

/// The kernel programs, as built by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/enforce.bpf.o"));

/// Their names.
pub(super) const PROGRAMS: [&str; 2] = ["apisec_deny4", "apisec_deny6"];

/// The maps. The first ones are tried first when what is pinned is opened.
const MAPS: [&str; 6] = ["RULES", "POLICIES", "PRESENT", "EFFECTS", "CONNECT", "ALLOWED"];

/// What is in the kernel.
pub(super) struct Kernel {
    rules: Rules,
    policies: Policies,
    presence: Presence,
    effects: Effects,
    connect: Slotted<ConnectKey>,
    /// Links that end with this process; empty when they are pinned.
    _links: Vec<FdLink>,
}

impl Kernel {
    /// What is pinned; `None`: nothing is. What only half is there is as good as nothing, and is removed.
    pub(super) fn pinned(folder: &Folder) -> Result<Option<Self>, EnforceError> {
        let pins = folder.pins();
        let complete = MAPS.iter().all(|name| pins.contains(&folder.pin(name)))
            && PROGRAMS.iter().all(|name| pins.contains(&folder.pin(&format!("{LINK}{name}"))));
        if !complete {
            return Ok(None);
        }
        let open = |name: &str| -> Result<Map, EnforceError> {
            let data = MapData::from_pin(folder.pin(name)).map_err(|error| broken(&error))?;
            Map::from_map_data(data).map_err(|error| broken(&error))
        };
        Self::of(open, Vec::new()).map(Some)
    }

    /// Loads and attaches the programs, pinned in a folder or for this process only.
    pub(super) fn load(folder: Option<&Folder>) -> Result<Self, EnforceError> {
        if let Some(folder) = folder {
            // What an interrupted start has left.
            folder.remove()?;
            folder.make()?;
        }
        let loaded = Self::attach(folder);
        if let (Err(_), Some(folder)) = (&loaded, folder) {
            folder.remove()?;
        }
        loaded
    }

    fn attach(folder: Option<&Folder>) -> Result<Self, EnforceError> {
        let place = cgroup::root()
            .map_err(|error| EnforceError::refused("rules are bound to cgroup2", error.what))?;
        let mut loader = EbpfLoader::new();
        loader.override_global("HAS_NETNS_COOKIE", &1_u32, true);
        if let Some(folder) = folder {
            for name in MAPS {
                loader.map_pin_path(name, folder.pin(name));
            }
        }
        let mut ebpf = loader
            .load(OBJECT)
            .map_err(|error| EnforceError::refused("the maps of enforcement", chain(&error)))?;
        let mut links = Vec::new();
        for name in PROGRAMS {
            links.push((name, link(&mut ebpf, name, &place)?));
        }
        let mut kernel = |links| Self::of(|name| take(&mut ebpf, name), links);
        let Some(folder) = folder else {
            return kernel(links.into_iter().map(|(_, link)| link).collect());
        };
        let kernel = kernel(Vec::new())?;
        for (name, link) in links {
            let path = folder.pin(&format!("{LINK}{name}"));
            link.pin(path)
                .map_err(|error| EnforceError::refused(format!("{name} cannot be pinned"), chain(&error)))?;
        }
        Ok(kernel)
    }

    fn of(
        mut map: impl FnMut(&str) -> Result<Map, EnforceError>,
        links: Vec<FdLink>,
    ) -> Result<Self, EnforceError> {
        Ok(Self {
            rules: map("RULES")?.try_into().map_err(|error| broken(&error))?,
            policies: map("POLICIES")?.try_into().map_err(|error| broken(&error))?,
            presence: map("PRESENT")?.try_into().map_err(|error| broken(&error))?,
            effects: map("EFFECTS")?.try_into().map_err(|error| broken(&error))?,
            connect: Slotted::new(map("CONNECT")?)?,
            _links: links,
        })
    }

    /// Policy, deadline and number of rules of all that is held.
    pub(super) fn policies(&self) -> Result<Vec<(u32, u64, usize)>, EnforceError> {
        let mut found = Vec::new();
        for policy in self.policies.keys() {
            let policy = policy.map_err(|error| broken(&error))?;
            let slots = self.slots(policy);
            let deadline =
                slots.iter().filter_map(|slot| self.rules.get(slot, 0).ok()).map(|rule| rule.0.deadline);
            found.push((policy, deadline.min().unwrap_or_default(), slots.len()));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn slots(&self, policy: u32) -> Vec<u32> {
        let slots = self.policies.get(&policy, 0).map_or_else(|_| Owned::default(), |slots| slots.0);
        slots.slots.into_iter().filter(|slot| *slot != 0).collect()
    }

    /// Gives a policy one more slot, whose rule is not in force yet.
    pub(super) fn slot(&mut self, policy: u32) -> Result<u32, EnforceError> {
        let mut slots = self.policies.get(&policy, 0).map_or_else(|_| Owned::default(), |slots| slots.0);
        let free = slots.slots.iter_mut().find(|slot| **slot == 0);
        let Some(place) = free else {
            return Err(EnforceError::TooMuch(format!("policy {policy} has too many rules")));
        };
        let start = policy % (SLOTS - 1);
        let is_free = |slot: &u32| self.rules.get(slot, 0).is_ok_and(|rule| rule.0.policy == 0);
        let slot = (0..SLOTS - 1).map(|step| (start + step) % (SLOTS - 1) + 1).find(is_free);
        let slot =
            slot.ok_or_else(|| EnforceError::TooMuch(format!("{} rules are in force already", SLOTS - 1)))?;
        *place = slot;
        // First to whom it belongs: what is interrupted here is found again by its policy.
        self.policies.insert(policy, Plain(slots), 0).map_err(|error| not_written(&error))?;
        let rule = Plain(Rule { deadline: 0, policy, pad: 0 });
        self.rules.set(slot, rule, 0).map_err(|error| not_written(&error))?;
        Ok(slot)
    }

    /// Writes what a rule about connections matches.
    pub(super) fn connect(&mut self, slot: u32, entries: &[ConnectKey]) -> Result<(), EnforceError> {
        for key in entries {
            self.connect.add(*key, slot)?;
        }
        let shapes = entries.iter().fold(0, |shapes, key| shapes | 1 << shape(key));
        let present = self.presence.get(&0, 0).map_or_else(|_| Present::default(), |present| present.0);
        self.present(Present { shapes: present.shapes | shapes, ..present })
    }

    fn present(&mut self, present: Present) -> Result<(), EnforceError> {
        self.presence.set(0, Plain(present), 0).map_err(|error| not_written(&error))
    }

    /// Sets the deadline of all rules of a policy: from now on they are in force.
    pub(super) fn renew(&mut self, policy: u32, deadline: u64) -> Result<(), EnforceError> {
        let slots = self.slots(policy);
        if slots.is_empty() {
            return Err(EnforceError::NotHeld(policy));
        }
        for slot in slots {
            let rule = self.rules.get(&slot, 0).map_err(|error| broken(&error))?.0;
            self.rules.set(slot, Plain(Rule { deadline, ..rule }), 0).map_err(|error| not_written(&error))?;
        }
        Ok(())
    }

    /// Takes a policy out of force, at once, and then out of the maps; whether it was there.
    pub(super) fn withdraw(&mut self, policy: u32) -> Result<bool, EnforceError> {
        let slots = self.slots(policy);
        if slots.is_empty() {
            return Ok(false);
        }
        self.renew(policy, 0)?;
        let mut shapes = 0;
        self.connect.remove(&slots, |key| shapes |= 1 << shape(key))?;
        let present = self.presence.get(&0, 0).map_or_else(|_| Present::default(), |present| present.0);
        self.present(Present { shapes, ..present })?;
        for slot in &slots {
            self.rules.set(*slot, Plain(Rule::default()), 0).map_err(|error| not_written(&error))?;
        }
        self.policies.remove(&policy).map_err(|error| not_written(&error))?;
        Ok(true)
    }

    /// No rule is in force any more; does what it can.
    pub(super) fn disarm(&mut self) {
        let policies: Vec<u32> = self.policies.keys().filter_map(Result::ok).collect();
        for policy in policies {
            let _removed_below = self.renew(policy, 0);
        }
    }

    /// What the policies did.
    pub(super) fn effects(&self) -> Vec<(EffectKey, Effect)> {
        let found = self.effects.iter().filter_map(Result::ok);
        found.map(|(Plain(key), values)| (key, total(&values))).collect()
    }

    /// What a policy did; it is forgotten.
    pub(super) fn forget(&mut self, policy: u32) -> Vec<(EffectKey, Effect)> {
        let mut found = self.effects();
        found.retain(|(key, _)| key.policy == policy);
        for (key, _) in &found {
            let _evicted = self.effects.remove(&Plain(*key));
        }
        found
    }
}

fn link(ebpf: &mut Ebpf, name: &'static str, place: &std::fs::File) -> Result<FdLink, EnforceError> {
    let refused = |why: String| EnforceError::refused(format!("the program {name}"), why);
    let program = ebpf.program_mut(name).ok_or_else(|| refused("missing from this build".into()))?;
    let attach = |program: &mut CgroupSockAddr| {
        program.load()?;
        let id = program.attach(place, CgroupAttachMode::Single)?;
        program.take_link(id)
    };
    let program: &mut CgroupSockAddr = program.try_into().map_err(|error| refused(reason(&error)))?;
    let link = attach(program).map_err(|error| refused(reason(&error)))?;
    FdLink::try_from(link).map_err(|error| refused(chain(&error)))
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, EnforceError> {
    ebpf.take_map(name).ok_or_else(|| broken(&MapError::InvalidName { name: name.into() }))
}
