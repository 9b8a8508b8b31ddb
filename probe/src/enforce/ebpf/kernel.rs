//! The programs and maps of enforcement in the kernel: loaded for this process, or pinned for all.

use super::attach::{StreamHook, attach_to_map};
use super::handover::Looker;
use super::pin::{Folder, LINK};
use super::request;
use super::ruled::{Adopted, Released, Ruled};
use super::table::{Allowed, Effects, Plain, Policies, Presence, Rules, Slotted, broken, not_written, total};
use crate::attach::{btf, cgroup, chain, reason};
use crate::enforce::EnforceError;
use apisec_abi::enforce::{
    AllowedKey, ConnectKey, Effect, EffectKey, Owned, Present, Rule, SLOTS, Slots, shape,
};
use aya::maps::{Map, MapData, MapError};
use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSockAddr, Iter, ProgramFd, SkSkb, SockOps};
use aya::{Btf, Ebpf, EbpfLoader};
use std::fs::File;
use std::time::Duration;

/// The kernel programs, as built by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/enforce.bpf.o"));

/// Their names, as far as the kernel keeps them.
pub(super) const PROGRAMS: [&str; 6] =
    ["apisec_deny4", "apisec_deny6", "apisec_enrol", "apisec_parse", "apisec_verdict", HANDOVER];
/// Those that every rule needs.
const CONNECT: [&str; 2] = ["apisec_deny4", "apisec_deny6"];
/// The one that rules about requests need beside the two that are bound to a map.
const ENROL: &str = "apisec_enrol";
/// The one that puts open sockets into that map and takes them out.
const HANDOVER: &str = "apisec_handover";

/// The map that tells of connections to close.
pub(super) const CLOSE: &str = "CLOSE";

/// The maps that are shared with user space, or by programs that are loaded one after the other.
const MAPS: [&str; 19] = [
    "RULES",
    "POLICIES",
    "PRESENT",
    "EFFECTS",
    "CONNECT",
    "ALLOWED",
    "SERVICES",
    "SERVICE",
    "SHAPES",
    "PATHS",
    "REQUESTS",
    "CALLERS",
    "SOCKETS",
    "STREAMS",
    "BUCKETS",
    "HANDSHAKES",
    "CLIENTS",
    CLOSE,
    "WISHES",
];

/// What is in the kernel.
pub(super) struct Kernel {
    rules: Rules,
    policies: Policies,
    presence: Presence,
    effects: Effects,
    connect: Slotted<ConnectKey, Slots>,
    allowed: Allowed,
    ruled: Ruled,
    /// Tells of connections to close; `None` where it is pinned.
    pub(super) close: Option<MapData>,
    /// Links that end with this process; empty when they are pinned.
    links: Vec<FdLink>,
}

impl Kernel {
    /// What is pinned; `None`: nothing is. What only half is there is as good as nothing, and is removed.
    pub(super) fn pinned(folder: &Folder) -> Result<Option<Self>, EnforceError> {
        let pins = folder.pins();
        let complete = MAPS.iter().all(|name| pins.contains(&folder.pin(name)))
            && CONNECT.iter().all(|name| pins.contains(&folder.pin(&format!("{LINK}{name}"))));
        if !complete {
            return Ok(None);
        }
        let open = |name: &str| -> Result<Map, EnforceError> {
            let data = MapData::from_pin(folder.pin(name)).map_err(|error| broken(&error))?;
            Map::from_map_data(data).map_err(|error| broken(&error))
        };
        Self::of(open, Looker::Pinned(folder.pin(&format!("{LINK}{HANDOVER}")))).map(Some)
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
        let place = place()?;
        let mut ebpf = object(folder)?;
        let mut links = Vec::new();
        for name in CONNECT {
            links.push((name, link(&mut ebpf, name, &place)?));
        }
        let ready = if folder.is_none() { prepare(&mut ebpf, &place).ok() } else { None };
        let looker = match folder {
            Some(folder) => Looker::Pinned(folder.pin(&format!("{LINK}{HANDOVER}"))),
            None => Looker::Own(None),
        };
        let mut kernel = Self::of(|name| take(&mut ebpf, name), looker)?;
        let Some(folder) = folder else {
            if let Some(ready) = ready {
                let (link, handover) = ready.bind(&kernel.ruled)?;
                kernel.links.push(link);
                kernel.ruled.handover.looker = Looker::Own(Some(handover));
            }
            kernel.links.extend(links.into_iter().map(|(_, link)| link));
            return Ok(kernel);
        };
        for (name, link) in links {
            pin(link, name, folder)?;
        }
        Ok(kernel)
    }

    /// Loads what reads requests, unless it is there.
    pub(super) fn equip(&mut self, folder: Option<&Folder>) -> Result<(), EnforceError> {
        let there = match folder {
            Some(folder) => folder.pins().contains(&folder.pin(&format!("{LINK}{ENROL}"))),
            None => self.links.len() > CONNECT.len(),
        };
        match folder {
            _ if there => Ok(()),
            None => {
                Err(EnforceError::Unable("this kernel does not take the programs that read requests".into()))
            }
            Some(folder) => {
                let mut ebpf = object(Some(folder))?;
                let ready = prepare(&mut ebpf, &place()?)?;
                pin(iterator(&mut ebpf)?, HANDOVER, folder)?;
                pin(ready.bind(&self.ruled)?.0, ENROL, folder)
            }
        }
    }

    fn of(
        mut map: impl FnMut(&str) -> Result<Map, EnforceError>,
        looker: Looker,
    ) -> Result<Self, EnforceError> {
        Ok(Self {
            rules: map("RULES")?.try_into().map_err(|error| broken(&error))?,
            policies: map("POLICIES")?.try_into().map_err(|error| broken(&error))?,
            presence: map("PRESENT")?.try_into().map_err(|error| broken(&error))?,
            effects: map("EFFECTS")?.try_into().map_err(|error| broken(&error))?,
            connect: Slotted::new(map("CONNECT")?)?,
            allowed: map("ALLOWED")?.try_into().map_err(|error| broken(&error))?,
            close: match (&looker, map(CLOSE)?) {
                (Looker::Own(_), Map::RingBuf(data)) => Some(data),
                _ => None,
            },
            ruled: Ruled::of(map, looker)?,
            links: Vec::new(),
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

    /// The slots of its rules.
    pub(super) fn slots(&self, policy: u32) -> Vec<u32> {
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

    /// Excepts targets or callers from a rule.
    pub(super) fn except(&mut self, slot: u32, keys: &[AllowedKey]) -> Result<(), EnforceError> {
        for key in keys {
            let key = Plain(AllowedKey { slot, ..*key });
            self.allowed.insert(key, 1, 0).map_err(|error| not_written(&error))?;
        }
        let present = self.presence.get(&0, 0).map_or_else(|_| Present::default(), |present| present.0);
        let exceptions = u32::from(present.exceptions != 0 || !keys.is_empty());
        self.present(Present { exceptions, ..present })
    }

    /// Writes what a rule about requests matches.
    pub(super) fn request(&mut self, slot: u32, entries: &request::Entries) -> Result<usize, EnforceError> {
        self.ruled.add(slot, entries)
    }

    /// Reads the requests of connections that are open already.
    pub(super) fn adopt(&mut self) -> Adopted {
        self.ruled.adopt()
    }

    /// Gives sockets back whose service has no rules any more.
    pub(super) fn give_back(&mut self, time: Duration) -> Released {
        self.ruled.give_back(time)
    }

    /// Looks for connections that are stuck while their requests are read.
    pub(super) fn watch(&self) {
        if self.ruled.read() > 0 {
            self.ruled.handover.watch();
        }
    }

    /// How many sockets' requests are read.
    pub(super) fn read(&self) -> usize {
        self.ruled.read()
    }

    fn refresh(&mut self) -> Result<(), EnforceError> {
        let some = self.ruled.refresh(&self.rules)?;
        let present = self.presence.get(&0, 0).map_or_else(|_| Present::default(), |present| present.0);
        self.present(Present { requests: u32::from(some), ..present })
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
        self.refresh()
    }

    /// Takes a policy out of force, at once, and then out of the maps; whether it was there.
    pub(super) fn withdraw(&mut self, policy: u32) -> Result<bool, EnforceError> {
        let slots = self.slots(policy);
        if slots.is_empty() {
            return Ok(false);
        }
        self.renew(policy, 0)?;
        self.retire(&slots)?;
        self.policies.remove(&policy).map_err(|error| not_written(&error))?;
        Ok(true)
    }

    /// Takes some rules of a policy out, whose others stay.
    pub(super) fn drop_rules(&mut self, policy: u32, slots: &[u32]) -> Result<(), EnforceError> {
        self.retire(slots)?;
        let mut owned = self.policies.get(&policy, 0).map_or_else(|_| Owned::default(), |slots| slots.0);
        owned.slots.iter_mut().filter(|slot| slots.contains(slot)).for_each(|slot| *slot = 0);
        self.policies.insert(policy, Plain(owned), 0).map_err(|error| not_written(&error))
    }

    /// Takes rules out of the maps.
    fn retire(&mut self, slots: &[u32]) -> Result<(), EnforceError> {
        let mut shapes = 0;
        self.connect.remove(slots, |key| shapes |= 1 << shape(key))?;
        let excepted: Vec<_> = self.allowed.keys().filter_map(Result::ok).collect();
        let (gone, left): (Vec<_>, Vec<_>) =
            excepted.into_iter().partition(|key| slots.contains(&key.0.slot));
        for key in gone {
            self.allowed.remove(&key).map_err(|error| not_written(&error))?;
        }
        let present = self.presence.get(&0, 0).map_or_else(|_| Present::default(), |present| present.0);
        self.present(Present { shapes, exceptions: u32::from(!left.is_empty()), ..present })?;
        self.ruled.remove(slots)?;
        self.refresh()?;
        for slot in slots {
            self.rules.set(*slot, Plain(Rule::default()), 0).map_err(|error| not_written(&error))?;
        }
        Ok(())
    }

    /// No rule is in force any more; does what it can.
    pub(super) fn disarm(&mut self) -> Released {
        let policies: Vec<u32> = self.policies.keys().filter_map(Result::ok).collect();
        for policy in policies {
            let _removed_below = self.renew(policy, 0);
        }
        self.ruled.release_all()
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

fn place() -> Result<File, EnforceError> {
    cgroup::root().map_err(|error| EnforceError::refused("rules are bound to cgroup2", error.what))
}

/// The object with its maps: those that are pinned in the folder, or new ones.
fn object(folder: Option<&Folder>) -> Result<Ebpf, EnforceError> {
    let offsets = btf::stream_offsets().unwrap_or_default();
    let mut loader = EbpfLoader::new();
    loader.override_global("HAS_NETNS_COOKIE", &1_u32, true);
    loader.override_global("OFFSET_MESSAGE", &offsets.message, true);
    loader.override_global("OFFSET_SKB_SOCKET", &offsets.socket, true);
    loader.override_global("OFFSET_WRITTEN", &offsets.written, true);
    let handover = Plain(offsets.handover);
    loader.override_global("HANDOVER_OFFSETS", &handover, true);
    if let Some(folder) = folder {
        for name in MAPS {
            loader.map_pin_path(name, folder.pin(name));
        }
    }
    loader.load(OBJECT).map_err(|error| EnforceError::refused("the maps of enforcement", chain(&error)))
}

/// What reads requests, loaded but not yet bound to the map of sockets.
struct Ready {
    parser: ProgramFd,
    verdict: ProgramFd,
    handover: ProgramFd,
    enrol: FdLink,
}

impl Ready {
    /// From then on requests are read; gives the link that enrols sockets, and the program that hands open ones over.
    fn bind(self, ruled: &Ruled) -> Result<(FdLink, ProgramFd), EnforceError> {
        attach_to_map(&self.parser, ruled.sockets(), StreamHook::Parser)?;
        attach_to_map(&self.verdict, ruled.sockets(), StreamHook::Verdict)?;
        Ok((self.enrol, self.handover))
    }
}

fn prepare(ebpf: &mut Ebpf, place: &File) -> Result<Ready, EnforceError> {
    if btf::stream_offsets().is_none() {
        let what = "reading requests needs Linux 5.17 or newer, with BTF (/sys/kernel/btf/vmlinux)";
        return Err(EnforceError::Unable(what.into()));
    }
    let parser = stream(ebpf, "apisec_parse")?;
    let verdict = stream(ebpf, "apisec_verdict")?;
    let handover = handover(ebpf)?;
    let refused = |why: String| EnforceError::refused(format!("the program {ENROL}"), why);
    let program = ebpf.program_mut(ENROL).ok_or_else(|| refused("missing from this build".into()))?;
    let program: &mut SockOps = program.try_into().map_err(|error| refused(reason(&error)))?;
    let attach = |program: &mut SockOps| {
        program.load()?;
        let id = program.attach(place, CgroupAttachMode::Single)?;
        program.take_link(id)
    };
    let link = attach(program).map_err(|error| refused(reason(&error)))?;
    let enrol = FdLink::try_from(link).map_err(|error| refused(chain(&error)))?;
    Ok(Ready { parser, verdict, handover, enrol })
}

fn handover(ebpf: &mut Ebpf) -> Result<ProgramFd, EnforceError> {
    let refused = |why: String| EnforceError::refused(format!("the program {HANDOVER}"), why);
    let program = ebpf.program_mut(HANDOVER).ok_or_else(|| refused("missing from this build".into()))?;
    let program: &mut Iter = program.try_into().map_err(|error| refused(reason(&error)))?;
    let btf = Btf::from_sys_fs().map_err(|error| refused(chain(&error)))?;
    program.load("tcp", &btf).map_err(|error| refused(reason(&error)))?;
    let fd = program.fd().map_err(|error| refused(reason(&error)))?;
    fd.try_clone().map_err(|error| refused(error.to_string()))
}

/// A link that looks at all sockets of a namespace whenever it is read.
fn iterator(ebpf: &mut Ebpf) -> Result<FdLink, EnforceError> {
    let refused = |why: String| EnforceError::refused(format!("the program {HANDOVER}"), why);
    let program = ebpf.program_mut(HANDOVER).ok_or_else(|| refused("missing from this build".into()))?;
    let program: &mut Iter = program.try_into().map_err(|error| refused(reason(&error)))?;
    let attached = program.attach().and_then(|id| program.take_link(id));
    FdLink::try_from(attached.map_err(|error| refused(reason(&error)))?)
        .map_err(|error| refused(chain(&error)))
}

fn stream(ebpf: &mut Ebpf, name: &'static str) -> Result<ProgramFd, EnforceError> {
    let refused = |why: String| EnforceError::refused(format!("the program {name}"), why);
    let program = ebpf.program_mut(name).ok_or_else(|| refused("missing from this build".into()))?;
    let program: &mut SkSkb = program.try_into().map_err(|error| refused(reason(&error)))?;
    program.load().map_err(|error| refused(reason(&error)))?;
    let fd = program.fd().map_err(|error| refused(reason(&error)))?;
    fd.try_clone().map_err(|error| refused(error.to_string()))
}

fn pin(link: FdLink, name: &str, folder: &Folder) -> Result<(), EnforceError> {
    let path = folder.pin(&format!("{LINK}{name}"));
    let pinned = link.pin(path).map(drop);
    pinned.map_err(|error| EnforceError::refused(format!("{name} cannot be pinned"), chain(&error)))
}

fn link(ebpf: &mut Ebpf, name: &'static str, place: &File) -> Result<FdLink, EnforceError> {
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
