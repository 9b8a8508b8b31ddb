//! The kernel of this node refuses: connections at `connect`.
//!
//! Programs, links and maps are pinned under one folder of the BPF file system, so that rules outlive the process
//! that applied them; every process that opens the backend finds the same ones. The programs honour the deadlines
//! themselves. When the last policy goes, so does all of that.

mod attach;
mod blocking;
mod connect;
mod cut;
mod dead;
mod handover;
mod kernel;
mod open;
mod pin;
mod quarantine;
mod request;
mod ruled;
mod table;

pub use blocking::blocking;
pub use pin::Folder;

use super::rule::{Deadline, MAX_RULES, Rule, Step};
use super::{
    Ability, Applied, Backend, Effect, EffectCaller, EnforceError, Held, HeldPolicy, How, Kind, Lifetime,
    Removed, Undone,
};
use crate::attach::{btf, neighbours};
use apisec_abi::enforce as abi;
use aya::maps::MapData;
use dead::Dead;
use kernel::Kernel;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// See the module.
pub const KIND: Kind = Kind {
    id: "ebpf",
    purpose: "the kernel of this node",
    open: |lifetime| Ok(Box::new(Ebpf::open(lifetime))),
};

/// The backend.
pub struct Ebpf {
    lifetime: Lifetime,
    folder: Folder,
    /// What a rule that ends with this process needs, and all of it.
    own: Option<Kernel>,
    /// Connections that cannot go on.
    dead: Option<Dead>,
}

impl Ebpf {
    /// Opens the backend; nothing is loaded before there is a policy.
    #[must_use]
    pub fn open(lifetime: Lifetime) -> Self {
        Self::at(Folder::usual(), lifetime)
    }

    /// The same, with its pins in `folder`: for tests that must not meet each other.
    #[must_use]
    pub fn at(folder: Folder, lifetime: Lifetime) -> Self {
        Self { lifetime, folder, own: None, dead: None }
    }

    /// What is in the kernel now, if anything; and the lock that keeps others from changing it meanwhile.
    fn held(&self) -> Result<Option<Kernel>, EnforceError> {
        Kernel::pinned(&self.folder)
    }
}

/// Runs `work` on what is in the kernel: this process's own, or the pinned.
macro_rules! with {
    ($self:ident, |$kernel:ident| $work:expr, none: $none:expr) => {
        match $self.lifetime {
            Lifetime::Process => match &mut $self.own {
                Some($kernel) => $work,
                None => $none,
            },
            Lifetime::Deadline => match $self.held()? {
                Some(mut kernel) => {
                    let $kernel = &mut kernel;
                    $work
                }
                None => $none,
            },
        }
    };
}

impl Backend for Ebpf {
    fn id(&self) -> &'static str {
        KIND.id
    }

    fn abilities(&self) -> Vec<Ability> {
        let requests = if btf::stream_offsets().is_some() {
            How::Inline
        } else {
            How::Unable("reading requests needs Linux 5.17 or newer, with BTF".into())
        };
        vec![
            Ability { kind: "connect", how: How::Inline },
            Ability { kind: "request", how: requests.clone() },
            Ability { kind: "rate", how: requests },
            Ability { kind: "quarantine", how: How::Inline },
        ]
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, EnforceError> {
        check(step)?;
        let _alone = self.folder.lock(self.lifetime)?;
        match self.lifetime {
            Lifetime::Process => {
                if self.own.is_none() {
                    self.own = Some(Kernel::load(None)?);
                }
                let Some(kernel) = &mut self.own else { return Ok(Applied::default()) };
                let outcome = put(kernel, step, None);
                self.sweep_own()?;
                outcome
            }
            Lifetime::Deadline => {
                let mut kernel = match self.held()? {
                    Some(kernel) => kernel,
                    None => Kernel::load(Some(&self.folder))?,
                };
                let outcome = put(&mut kernel, step, Some(&self.folder));
                self.sweep(kernel)?;
                outcome
            }
        }
    }

    fn renew(&mut self, policy: u32, deadline: Deadline) -> Result<(), EnforceError> {
        let _alone = self.folder.lock(self.lifetime)?;
        with!(self, |kernel| kernel.renew(policy, deadline.0), none: Err(EnforceError::NotHeld(policy)))
    }

    fn undo(&mut self, policy: u32) -> Result<Undone, EnforceError> {
        let _alone = self.folder.lock(self.lifetime)?;
        match self.lifetime {
            Lifetime::Process => {
                let Some(kernel) = &mut self.own else { return Ok(Undone::default()) };
                let undone = lift(kernel, policy)?;
                self.sweep_own()?;
                Ok(undone)
            }
            Lifetime::Deadline => {
                let Some(mut kernel) = self.held()? else { return Ok(Undone::default()) };
                let undone = lift(&mut kernel, policy);
                self.sweep(kernel)?;
                undone
            }
        }
    }

    fn tend(&mut self, wait: Duration) -> Result<usize, EnforceError> {
        self.close_dead(wait);
        let _alone = self.folder.lock(self.lifetime)?;
        let lifting = match self.lifetime {
            Lifetime::Process => {
                let Some(kernel) = &mut self.own else { return Ok(0) };
                kernel.watch();
                let lifting = kernel.give_back(TEND).lifting;
                self.sweep_own()?;
                lifting
            }
            Lifetime::Deadline => {
                let Some(mut kernel) = self.held()? else { return Ok(0) };
                kernel.watch();
                let lifting = kernel.give_back(TEND).lifting;
                self.sweep(kernel)?;
                lifting
            }
        };
        Ok(lifting)
    }

    fn inspect(&self) -> Result<Held, EnforceError> {
        let read = |kernel: &Kernel| Ok((kernel.policies()?, kernel.read()));
        let (policies, sockets) = match (&self.own, self.lifetime) {
            (Some(kernel), Lifetime::Process) => read(kernel)?,
            (None, Lifetime::Process) => (Vec::new(), 0),
            (_, Lifetime::Deadline) => {
                self.held()?.map_or_else(|| Ok((Vec::new(), 0)), |kernel| read(&kernel))?
            }
        };
        let held = |(policy, deadline, rules)| HeldPolicy { policy, deadline: Deadline(deadline), rules };
        let programs = neighbours::our_programs();
        Ok(Held {
            policies: policies.into_iter().map(held).collect(),
            pins: self.folder.pins(),
            sockets,
            programs: programs.into_iter().filter(|name| kernel::PROGRAMS.contains(&name.as_str())).collect(),
        })
    }

    fn effects(&self) -> Result<Vec<Effect>, EnforceError> {
        let found = match (&self.own, self.lifetime) {
            (Some(kernel), Lifetime::Process) => kernel.effects(),
            (None, Lifetime::Process) => Vec::new(),
            (_, Lifetime::Deadline) => self.held()?.map_or_else(Vec::new, |kernel| kernel.effects()),
        };
        Ok(found.iter().map(effect).collect())
    }

    fn remove_all(&mut self) -> Result<Removed, EnforceError> {
        let _alone = self.folder.lock(self.lifetime);
        self.own = None;
        // What cannot be read is removed all the same.
        let mut policies = 0;
        if let Ok(Some(mut kernel)) = self.held() {
            policies = kernel.policies().map_or(0, |policies| policies.len());
            kernel.disarm();
        }
        let pins = self.folder.remove()?;
        Ok(Removed { policies, pins })
    }
}

impl Ebpf {
    /// Closes connections that cannot go on; waits for the first.
    fn close_dead(&mut self, wait: Duration) {
        if self.dead.is_none() {
            let ring = match (&mut self.own, self.lifetime) {
                (Some(kernel), Lifetime::Process) => kernel.close.take(),
                (None, Lifetime::Process) => None,
                (_, Lifetime::Deadline) => MapData::from_pin(self.folder.pin(kernel::CLOSE)).ok(),
            };
            self.dead = ring.and_then(Dead::of);
        }
        match &mut self.dead {
            Some(dead) => dead.close(wait),
            None => ruled::pause(wait),
        }
    }

    /// Leaves nothing behind when there is no policy any more, and no socket that is still to be given back.
    fn sweep(&self, kernel: Kernel) -> Result<(), EnforceError> {
        if is_over(&kernel)? {
            drop(kernel);
            self.folder.remove()?;
        }
        Ok(())
    }

    fn sweep_own(&mut self) -> Result<(), EnforceError> {
        if self.own.as_ref().map_or(Ok(true), is_over)? {
            self.own = None;
        }
        Ok(())
    }
}

fn is_over(kernel: &Kernel) -> Result<bool, EnforceError> {
    if !kernel.policies()?.is_empty() {
        return Ok(false);
    }
    // One that is being accepted at this very moment may still be on its way into the map.
    handover::settle();
    Ok(kernel.read() == 0)
}

/// How long taking a policy back waits for sockets; it refuses nothing any more by then.
const LIFT: Duration = Duration::from_millis(250);
/// The same of what was left over.
const TEND: Duration = Duration::from_millis(20);

/// What sockmap does to programs that it was not made for.
const BLOCKING: &str = "a server that waits in blocking reads (a thread for each connection, such as Python's \
    http.server) or that splices from its sockets may lose connections while its requests are read";

fn check(step: &Step) -> Result<(), EnforceError> {
    if step.policy == 0 {
        return Err(EnforceError::Unable("a policy has a number above 0".into()));
    }
    if step.rules.len() > MAX_RULES {
        let what = format!("policy {} has {} rules; {MAX_RULES} are held", step.policy, step.rules.len());
        return Err(EnforceError::TooMuch(what));
    }
    Ok(())
}

/// Writes the rules, and last their deadline: before it they refuse nothing. What the policy ruled before is in force until
/// then, where there is room for both, and its counters go on.
fn put(kernel: &mut Kernel, step: &Step, folder: Option<&Folder>) -> Result<Applied, EnforceError> {
    let before = kernel.slots(step.policy);
    if before.len() + step.rules.len() <= MAX_RULES
        && let Ok(applied) = write(kernel, step, folder)
    {
        if !before.is_empty() {
            kernel.drop_rules(step.policy, &before)?;
            kernel.give_back(TEND);
        }
        return Ok(applied);
    }
    take(kernel, step.policy)?;
    let outcome = write(kernel, step, folder);
    if outcome.is_err() {
        // Nothing of it stays; the first error is the one to tell.
        let _second = take(kernel, step.policy);
    }
    // What a policy of this number ruled before, and does not any more.
    kernel.give_back(TEND);
    outcome
}

fn write(kernel: &mut Kernel, step: &Step, folder: Option<&Folder>) -> Result<Applied, EnforceError> {
    let mut applied = Applied::default();
    let mut requests = false;
    for rule in &step.rules {
        applied.entries += match rule {
            Rule::Connect(connect) => {
                let entries = connect::entries(connect)?;
                let slot = kernel.slot(step.policy)?;
                kernel.connect(slot, &entries)?;
                entries.len()
            }
            Rule::Quarantine(quarantine) => quarantine::write(kernel, step.policy, quarantine)?,
            Rule::Request(_) | Rule::Rate(_) => {
                requests = true;
                let entries = match rule {
                    Rule::Rate(rate) => request::limited(rate)?,
                    Rule::Request(request) => request::entries(request)?,
                    Rule::Connect(_) | Rule::Quarantine(_) => continue,
                };
                kernel.equip(folder)?;
                let slot = kernel.slot(step.policy)?;
                kernel.request(slot, &entries)?
            }
        };
    }
    kernel.renew(step.policy, step.deadline.0)?;
    if requests {
        let adopted = kernel.adopt();
        (applied.adopted, applied.destroyed) = (adopted.read, adopted.destroyed);
        applied.warnings.push(BLOCKING.into());
    }
    applied.destroyed += cut::cut(&step.rules);
    Ok(applied)
}

fn take(kernel: &mut Kernel, policy: u32) -> Result<Undone, EnforceError> {
    let held = kernel.withdraw(policy)?;
    let effects = kernel.forget(policy).iter().map(effect).collect();
    Ok(Undone { held, effects, ..Undone::default() })
}

fn lift(kernel: &mut Kernel, policy: u32) -> Result<Undone, EnforceError> {
    let undone = take(kernel, policy)?;
    let released = kernel.give_back(LIFT);
    Ok(Undone { destroyed: released.destroyed, lifting: released.lifting, ..undone })
}

fn effect((key, effect): &(abi::EffectKey, abi::Effect)) -> Effect {
    let comm = key.comm.split(|byte| *byte == 0).next().unwrap_or_default();
    Effect {
        policy: key.policy,
        caller: EffectCaller {
            cgroup: key.cgroup,
            comm: String::from_utf8_lossy(comm).into_owned(),
            pid: effect.tgid,
            addr: (key.addr != [0; 16]).then(|| IpAddr::V6(Ipv6Addr::from(key.addr)).to_canonical()),
        },
        blocked: effect.blocked,
        passed: effect.passed,
        undecided: effect.undecided,
        last: effect.last,
    }
}
