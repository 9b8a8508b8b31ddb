//! The ledger against a backend and a disk that fail wherever they are told to. What must hold, whatever fails and
//! wherever the program is killed: after the next start nothing is in force that the journal does not say, and
//! nothing is said to be in force that is not, without a word about it.

use super::*;
use crate::enforce::{Ability, Effect, EffectCaller, Held, HeldPolicy, Removed};
use apisec_engine::policy::standing::State;
use apisec_engine::policy::{Edge, Name, Scope, Selector};
use proptest::prelude::*;
use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What survives the program: the kernel and the disk; and where the next failure is.
#[derive(Default)]
struct World {
    held: BTreeMap<u32, (Deadline, usize)>,
    disk: Vec<u8>,
    /// Operations until one fails; `None`: none does.
    fuse: Option<u32>,
    /// The failing operation is done before it fails.
    late: bool,
    /// From the failure on nothing is done any more: the program was killed.
    killed: bool,
    dead: bool,
}

type Shared = Arc<Mutex<World>>;

/// Counts an operation; `Err`: it fails. `work` is what it does.
fn operate<T>(world: &Shared, work: impl FnOnce(&mut World) -> T) -> Result<T, ()> {
    let mut world = world.lock().unwrap();
    if world.dead {
        return Err(());
    }
    match world.fuse {
        Some(0) => {
            world.fuse = None;
            world.dead = world.killed;
            if world.late {
                work(&mut world);
            }
            Err(())
        }
        Some(left) => {
            world.fuse = Some(left - 1);
            Ok(work(&mut world))
        }
        None => Ok(work(&mut world)),
    }
}

struct Fake(Shared);

fn refused() -> EnforceError {
    EnforceError::Refused { what: "test".into(), why: "told to".into() }
}

impl Backend for Fake {
    fn id(&self) -> &'static str {
        "fake"
    }

    fn abilities(&self) -> Vec<Ability> {
        Vec::new()
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, EnforceError> {
        let (policy, held) = (step.policy, (step.deadline, step.rules.len()));
        operate(&self.0, |world| world.held.insert(policy, held)).map_err(|()| refused())?;
        Ok(Applied { entries: step.rules.len(), warnings: Vec::new(), ..Applied::default() })
    }

    fn renew(&mut self, policy: u32, deadline: Deadline) -> Result<(), EnforceError> {
        let renewed = operate(&self.0, |world| match world.held.get_mut(&policy) {
            Some((known, _)) => {
                *known = deadline;
                true
            }
            None => false,
        });
        match renewed {
            Ok(true) => Ok(()),
            Ok(false) => Err(EnforceError::NotHeld(policy)),
            Err(()) => Err(refused()),
        }
    }

    fn undo(&mut self, policy: u32) -> Result<Undone, EnforceError> {
        let gone = operate(&self.0, |world| world.held.remove(&policy)).map_err(|()| refused())?;
        Ok(Undone { held: gone.is_some(), ..Undone::default() })
    }

    fn tend(&mut self, _wait: Duration) -> Result<usize, EnforceError> {
        Ok(0)
    }

    fn inspect(&self) -> Result<Held, EnforceError> {
        let world = self.0.lock().unwrap();
        let policies = world.held.iter().map(|(policy, (deadline, rules))| HeldPolicy {
            policy: *policy,
            deadline: *deadline,
            rules: *rules,
        });
        Ok(Held { policies: policies.collect(), ..Held::default() })
    }

    fn effects(&self) -> Result<Vec<Effect>, EnforceError> {
        let world = self.0.lock().unwrap();
        let effect = |policy: &u32| Effect {
            policy: *policy,
            caller: EffectCaller { comm: "curl".into(), pid: 7, ..EffectCaller::default() },
            blocked: 4,
            passed: 0,
            undecided: 1,
            last: 1,
        };
        Ok(world.held.keys().map(effect).collect())
    }

    fn remove_all(&mut self) -> Result<Removed, EnforceError> {
        let policies = operate(&self.0, |world| std::mem::take(&mut world.held).len());
        policies.map(|policies| Removed { policies, pins: 0 }).map_err(|()| refused())
    }
}

struct FakeDisk(Shared);

impl Disk for FakeDisk {
    type Guard = ();

    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn read_from(&mut self, offset: u64, _most: u64) -> io::Result<Vec<u8>> {
        let world = self.0.lock().unwrap();
        Ok(world.disk.get(offset as usize..).unwrap_or_default().to_vec())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let torn = bytes.len() / 2;
        let late = self.0.lock().unwrap().late;
        let done = operate(&self.0, |world| world.disk.extend(bytes));
        if done.is_err() && !late && !self.0.lock().unwrap().dead {
            // What fails may leave a part behind.
            self.0.lock().unwrap().disk.extend(&bytes[..torn]);
        }
        done.map_err(|()| io::Error::other("told to"))
    }

    fn lock(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(world: &Shared, now: u64) -> (Ledger<FakeDisk>, Vec<String>) {
    let journal = Journal::on(FakeDisk(Arc::clone(world))).unwrap();
    let by = Who { pid: std::process::id(), user: "ada".into(), ..Who::default() };
    Ledger::open(journal, Box::new(Fake(Arc::clone(world))), by, now).unwrap()
}

fn order(name: &str) -> Order {
    let selector = |text: &str| Selector::parse(text).unwrap();
    let edge = Edge { from: selector("cart"), to: selector("orders") };
    Order {
        policy: Policy::new(Name::parse(name).unwrap(), Scope::Edge(edge)),
        rules: vec![Rule::Connect(Default::default())],
        reactive: false,
        plan: Vec::new(),
        forced: Vec::new(),
        tied: false,
    }
}

fn now() -> u64 {
    crate::clock::now()
}

fn state(ledger: &Ledger<FakeDisk>, id: u32) -> State {
    ledger.views().into_iter().find(|view| view.id == id).unwrap().state
}

#[test]
fn a_policy_is_applied_renewed_and_taken_back() {
    let world = Shared::default();
    let (mut ledger, differences) = open(&world, now());
    assert_eq!(differences, [""; 0]);
    let id = ledger.apply(order("stop"), now(), || 7).unwrap();
    let view = &ledger.views()[0];
    assert_eq!((view.id, view.state, view.blocked, view.took_us), (id, State::Active, 4, 7));
    assert_eq!((view.what.as_str(), view.by.as_str()), ("cart → orders", "ada"));
    assert!(matches!(ledger.apply(order("stop"), now(), || 0), Err(LedgerError::NameTaken(_, 1))));
    assert_eq!(ledger.find("stop").unwrap(), id);
    assert_eq!(ledger.find("#1").unwrap(), id);
    ledger.renew(id, Ttl::Forever, now()).unwrap();
    assert_eq!(ledger.views()[0].deadline_ns, 0);
    ledger.undo(id, Ending::Undone, now()).unwrap();
    assert_eq!(state(&ledger, id), State::Undone);
    assert!(world.lock().unwrap().held.is_empty());
    assert!(matches!(ledger.undo(id, Ending::Undone, now()), Err(LedgerError::NotOpen(_))));
    let events: Vec<_> = ledger.history().into_iter().map(|line| line.event).collect();
    assert_eq!(events, ["undone", "undoing", "renewed", "renewing", "applied", "prepared"]);
    // The next number is a new one, and the name is free again.
    assert_eq!(ledger.apply(order("stop"), now(), || 0).unwrap(), 2);
}

#[test]
fn time_ends_a_policy() {
    let world = Shared::default();
    let (mut ledger, _) = open(&world, now());
    let id = ledger.apply(order("stop"), now(), || 0).unwrap();
    assert!(!ledger.expire(now()));
    let later = now() + 16 * 60 * 1_000_000_000;
    assert!(ledger.expire(later));
    assert_eq!(state(&ledger, id), State::Expired);
    assert!(world.lock().unwrap().held.is_empty());
}

#[test]
fn a_foreign_hand_is_seen() {
    let world = Shared::default();
    let (mut ledger, _) = open(&world, now());
    let id = ledger.apply(order("stop"), now(), || 0).unwrap();
    world.lock().unwrap().held.clear();
    world.lock().unwrap().held.insert(9, (Deadline::NEVER, 3));
    let (mut ledger, differences) = open(&world, now());
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert_eq!((state(&ledger, id), state(&ledger, 9)), (State::Missing, State::Unknown));
    assert_eq!(ledger.open_ids(), [id, 9]);
    ledger.undo(9, Ending::Undone, now()).unwrap();
    ledger.undo(id, Ending::Undone, now()).unwrap();
    assert!(ledger.open_ids().is_empty() && world.lock().unwrap().held.is_empty());
}

#[test]
fn a_restart_of_the_machine_ends_what_was_in_force() {
    let world = Shared::default();
    let (mut ledger, _) = open(&world, now());
    let id = ledger.apply(order("stop"), now(), || 0).unwrap();
    world.lock().unwrap().held.clear();
    ledger.standing.get_mut(&id).unwrap().boot = "another".into();
    let differences = ledger.reconcile(now()).unwrap();
    assert!(differences[0].contains("started again"), "{differences:?}");
    assert_eq!(state(&ledger, id), State::Undone);
}

/// Runs a plan of everything that can be done, with a failure at the operation `at`. True when one happened.
fn plan(world: &Shared, at: u32) -> bool {
    world.lock().unwrap().fuse = Some(at);
    let (mut ledger, _) = open(world, now());
    let first = ledger.apply(order("one"), now(), || 0);
    let second = ledger.apply(order("two"), now(), || 0);
    if let Ok(id) = first {
        let _failed = ledger.renew(id, Ttl::Seconds(60), now());
    }
    if let Ok(id) = second {
        let _failed = ledger.undo(id, Ending::Undone, now());
    }
    world.lock().unwrap().fuse.is_none()
}

fn check(world: &Shared, at: u32) {
    {
        let mut world = world.lock().unwrap();
        (world.fuse, world.dead) = (None, false);
    }
    let (mut ledger, differences) = open(world, now());
    let views = ledger.views();
    let held: Vec<u32> = world.lock().unwrap().held.keys().copied().collect();
    for view in &views {
        let there = held.contains(&view.id);
        match view.state {
            State::Active => assert!(there, "{at}: said to be active, and is not: {view:?}"),
            State::Missing => assert!(!there && !differences.is_empty(), "{at}: {view:?}"),
            State::Unknown => assert!(there && !differences.is_empty(), "{at}: {view:?}"),
            State::Failed | State::Expired | State::Undone => {
                assert!(!there, "{at}: over, and in force: {view:?}");
            }
        }
    }
    for id in &held {
        assert!(views.iter().any(|view| view.id == *id), "{at}: {id} is in force and nobody says so");
    }
    // What the kernel and the journal say of deadlines is the same, too.
    for view in views.iter().filter(|view| view.state == State::Active) {
        let deadline = world.lock().unwrap().held[&view.id].0.unix_nanos().unwrap();
        assert!(deadline.abs_diff(view.deadline_ns) < 2_000_000_000, "{at}: {view:?}");
    }
    for id in ledger.open_ids() {
        ledger.undo(id, Ending::Undone, now()).unwrap();
    }
    assert!(world.lock().unwrap().held.is_empty());
    assert!(ledger.open_ids().is_empty());
    let (_, differences) = open(world, now());
    assert_eq!(differences, [""; 0], "{at}: once set right, it stays right");
}

/// A failure, or a kill, at every single step of every plan, before or after it took effect.
#[test]
fn nothing_is_lost_whichever_step_fails() {
    let steps = Cell::new(0);
    for (late, killed) in [(false, false), (true, false), (false, true), (true, true)] {
        for at in 0.. {
            let world = Shared::default();
            (world.lock().unwrap().late, world.lock().unwrap().killed) = (late, killed);
            let happened = plan(&world, at);
            check(&world, at);
            if !happened {
                break;
            }
            steps.set(steps.get() + 1);
        }
    }
    // Four journal entries and a backend's work or two for each of four orders, in four ways.
    assert!(steps.get() >= 4 * 12, "{} steps", steps.get());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Random orders, with random failures, kills and expiries in between.
    #[test]
    fn any_sequence_is_set_right(steps in proptest::collection::vec((0_u8..6, 0_u32..12, any::<bool>(), any::<bool>()), 1..25)) {
        let world = Shared::default();
        let mut shift = 0;
        let mut ledger = Some(open(&world, now()).0);
        for (nth, (what, fuse, late, killed)) in steps.into_iter().enumerate() {
            {
                let mut world = world.lock().unwrap();
                (world.fuse, world.late, world.killed) = ((fuse < 8).then_some(fuse), late, killed);
            }
            let known = ledger.get_or_insert_with(|| open(&world, now() + shift).0);
            let last = known.last_open();
            let at = now() + shift;
            let _outcome = match (what, last) {
                (0 | 1, _) => known.apply(order(&format!("p{nth}")), at, || 0).map(drop),
                (2, Some(id)) => known.undo(id, Ending::Undone, at),
                (3, Some(id)) => known.renew(id, Ttl::Seconds(60), at),
                (4, _) => {
                    shift += 20 * 1_000_000_000;
                    known.expire(now() + shift);
                    Ok(())
                }
                _ => {
                    ledger = None;
                    Ok(())
                }
            };
            let dead = world.lock().unwrap().dead;
            if dead {
                let mut world = world.lock().unwrap();
                (world.dead, world.fuse) = (false, None);
                ledger = None;
            }
        }
        drop(ledger);
        {
            let mut world = world.lock().unwrap();
            (world.dead, world.fuse) = (false, None);
        }
        let (ledger, _) = open(&world, now() + shift);
        let held: Vec<u32> = world.lock().unwrap().held.keys().copied().collect();
        for view in ledger.views() {
            let there = held.contains(&view.id);
            prop_assert_eq!(there, matches!(view.state, State::Active | State::Unknown), "{:?}", view);
        }
        for id in held {
            prop_assert!(ledger.views().iter().any(|view| view.id == id));
        }
    }
}
