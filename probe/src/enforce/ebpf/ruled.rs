//! Ruled services in the kernel: their rules about requests, and the sockets whose requests are read.

use super::connect::octets;
use super::handover::{Handover, Looker};
use super::open::{Open, awaited, established};
use super::request::Entries;
use super::table::{
    Callers, PathShapes, Plain, Requests, Rules, ServiceTable, Services, Slotted, Sockets, Streams, broken,
    not_written,
};
use crate::enforce::EnforceError;
use apisec_abi::enforce::{
    CallerKey, HANDOVER_GIVE, HANDOVER_PROVE, HANDOVER_TAKE, PATH_SHAPES, PHASE_DEAD, PHASE_LOST, PathKey,
    PathShape, REQUEST_CLOSED, RequestRule, RequestSlots, SERVICE_CLOSED, SERVICE_EXACT, SERVICE_FOLDED,
    SERVICES, Service, ServiceKey, Stream,
};
use aya::maps::Map;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How long a connection that must be handed over may have bytes on their way, before it is closed.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// The same when it does not matter any more whether a request is under way.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// What is in the kernel about requests.
pub(super) struct Ruled {
    services: Services,
    table: ServiceTable,
    shapes: PathShapes,
    paths: Slotted<PathKey, RequestSlots>,
    requests: Requests,
    callers: Callers,
    sockets: Sockets,
    streams: Streams,
    pub(super) handover: Handover,
}

/// What became of connections that were open before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Adopted {
    /// Their requests are read.
    pub(super) read: usize,
    /// They could not be, and were closed.
    pub(super) destroyed: usize,
}

/// What became of connections that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Released {
    /// They go on.
    pub(super) intact: usize,
    /// Bytes of theirs are on their way: they pass, and are given back later.
    pub(super) lifting: usize,
    /// They could not be given back, and were closed.
    pub(super) destroyed: usize,
}

impl Ruled {
    pub(super) fn of(
        mut map: impl FnMut(&str) -> Result<Map, EnforceError>,
        looker: Looker,
    ) -> Result<Self, EnforceError> {
        Ok(Self {
            services: map("SERVICES")?.try_into().map_err(|error| broken(&error))?,
            table: map("SERVICE")?.try_into().map_err(|error| broken(&error))?,
            shapes: map("SHAPES")?.try_into().map_err(|error| broken(&error))?,
            paths: Slotted::new(map("PATHS")?)?,
            requests: map("REQUESTS")?.try_into().map_err(|error| broken(&error))?,
            callers: map("CALLERS")?.try_into().map_err(|error| broken(&error))?,
            sockets: map("SOCKETS")?.try_into().map_err(|error| broken(&error))?,
            streams: map("STREAMS")?.try_into().map_err(|error| broken(&error))?,
            handover: Handover::of(map("WISHES")?, looker)?,
        })
    }

    /// The map that holds the sockets, for the programs that read them.
    pub(super) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// How many sockets are read.
    pub(super) fn read(&self) -> usize {
        self.sockets.keys().filter_map(Result::ok).count()
    }

    /// Writes what a rule matches; it is not in force yet.
    pub(super) fn add(&mut self, slot: u32, entries: &Entries) -> Result<usize, EnforceError> {
        self.requests.set(slot, Plain(entries.rule), 0).map_err(|error| not_written(&error))?;
        for caller in &entries.callers {
            let key = Plain(CallerKey { slot, ..*caller });
            self.callers.insert(key, 1, 0).map_err(|error| not_written(&error))?;
        }
        let shape = self.shape(entries.shape)?;
        for key in &entries.services {
            let service = self.service(*key)?;
            self.paths.add(PathKey { hash: entries.hash, service, shape }, slot)?;
        }
        Ok(entries.services.len() + entries.callers.len())
    }

    /// The number of a shape.
    fn shape(&mut self, wanted: PathShape) -> Result<u32, EnforceError> {
        let mut free = None;
        for index in 0..PATH_SHAPES {
            let shape = self.shapes.get(&index, 0).map_err(|error| broken(&error))?.0;
            if shape == wanted {
                return Ok(index);
            }
            if shape.used == 0 {
                free = free.or(Some(index));
            }
        }
        let index = free.ok_or_else(|| {
            EnforceError::TooMuch(format!(
                "{PATH_SHAPES} different forms of path patterns are in force already"
            ))
        })?;
        self.shapes.set(index, Plain(wanted), 0).map_err(|error| not_written(&error))?;
        Ok(index)
    }

    /// The number of a service.
    fn service(&mut self, key: ServiceKey) -> Result<u32, EnforceError> {
        if let Ok(number) = self.services.get(&Plain(key), 0) {
            return Ok(number);
        }
        let taken: HashSet<u32> =
            self.services.iter().filter_map(Result::ok).map(|(_, number)| number).collect();
        let free = (1..SERVICES).find(|number| !taken.contains(number));
        let number =
            free.ok_or_else(|| EnforceError::TooMuch(format!("{SERVICES} services are ruled already")))?;
        self.services.insert(Plain(key), number, 0).map_err(|error| not_written(&error))?;
        Ok(number)
    }

    /// Takes rules out; they refuse nothing any more by then.
    pub(super) fn remove(&mut self, slots: &[u32]) -> Result<(), EnforceError> {
        self.paths.remove(slots, |_| ())?;
        let callers: Vec<_> = self.callers.keys().filter_map(Result::ok).collect();
        for key in callers.iter().filter(|key| slots.contains(&key.0.slot)) {
            self.callers.remove(key).map_err(|error| not_written(&error))?;
        }
        for slot in slots {
            self.requests
                .set(*slot, Plain(RequestRule::default()), 0)
                .map_err(|error| not_written(&error))?;
        }
        Ok(())
    }

    /// Tells every service what its rules are now. Whether there is still one with rules.
    pub(super) fn refresh(&mut self, rules: &Rules) -> Result<bool, EnforceError> {
        let mut wanted: HashMap<u32, Service> = HashMap::new();
        let mut shapes = HashSet::new();
        for (key, slots) in self.paths.entries() {
            shapes.insert(key.shape);
            let service = wanted.entry(key.service).or_default();
            service.shapes |= 1 << key.shape;
            let folded = self.shapes.get(&key.shape, 0).is_ok_and(|shape| shape.0.folded != 0);
            service.flags |= if folded { SERVICE_FOLDED } else { SERVICE_EXACT };
            for slot in slots.slots.into_iter().filter(|slot| *slot != 0) {
                let deadline = rules.get(&slot, 0).map_or(0, |rule| rule.0.deadline);
                if deadline >= service.deadline {
                    (service.deadline, service.slot) = (deadline, slot);
                }
                let closed = self.requests.get(&slot, 0).is_ok_and(|rule| rule.0.flags & REQUEST_CLOSED != 0);
                service.flags |= if closed { SERVICE_CLOSED } else { 0 };
            }
        }
        for (_, number) in self.numbers() {
            let service = wanted.get(&number).copied().unwrap_or_default();
            self.table.set(number, Plain(service), 0).map_err(|error| not_written(&error))?;
        }
        for index in (0..PATH_SHAPES).filter(|index| !shapes.contains(index)) {
            if self.shapes.get(&index, 0).is_ok_and(|shape| shape.0.used != 0) {
                self.shapes
                    .set(index, Plain(PathShape::default()), 0)
                    .map_err(|error| not_written(&error))?;
            }
        }
        Ok(!wanted.is_empty())
    }

    fn numbers(&self) -> Vec<(ServiceKey, u32)> {
        self.services.iter().filter_map(Result::ok).map(|(key, number)| (key.0, number)).collect()
    }

    /// Numbers of the services that have rules.
    fn ruled(&self) -> HashSet<u32> {
        let ruled = |number: &u32| self.table.get(number, 0).is_ok_and(|service| service.0.shapes != 0);
        self.numbers().into_iter().map(|(_, number)| number).filter(ruled).collect()
    }

    /// Reads the requests of connections that are open already.
    pub(super) fn adopt(&mut self) -> Adopted {
        let ruled = self.ruled();
        let services: HashMap<ServiceKey, u32> =
            self.numbers().into_iter().filter(|(_, number)| ruled.contains(number)).collect();
        let number = |key: &ServiceKey| find(&services, *key);
        let mut open = established(|key| number(key).is_some());
        let mut adopted = Adopted::default();
        let read: HashSet<u64> = self.sockets.keys().filter_map(Result::ok).collect();
        open.retain(|open| {
            // What was about to be given back stays.
            self.handover.forget(open.cookie);
            !read.contains(&open.cookie)
        });
        let awaited: HashSet<u64> = awaited(&open).iter().map(|open| open.cookie).collect();
        let mut wished = HashMap::new();
        for open in open {
            if awaited.contains(&open.cookie) {
                adopted.destroyed += usize::from(open.close());
                continue;
            }
            let local = ServiceKey {
                addr: octets(open.local.ip()),
                netns: open.netns,
                port: open.local.port(),
                pad: [0; 6],
            };
            let Some(service) = number(&local) else { continue };
            let addr = octets(open.remote.ip());
            let stream = Plain(Stream { service, phase: PHASE_LOST, addr, ..Stream::default() });
            if self.streams.insert(open.cookie, stream, 0).is_ok()
                && self.handover.wish(open.cookie, HANDOVER_TAKE, false).is_ok()
            {
                wished.insert(open.cookie, open);
            }
        }
        adopted.read = wished.len();
        for (cookie, wish) in self.handover.run(PATIENCE) {
            if wish.kind == HANDOVER_PROVE {
                continue;
            }
            // A request that takes long: its connection is read from the middle of it.
            let _gone = self.handover.wish(cookie, HANDOVER_TAKE, true);
        }
        for (cookie, wish) in self.handover.run(LAST_PATIENCE) {
            let Some(open) = wished.get(&cookie).filter(|_| wish.kind == HANDOVER_TAKE) else { continue };
            // Bytes lie there and nobody reads them, or more and more come: it would get around the rule.
            adopted.destroyed += usize::from(open.close());
            adopted.read -= 1;
            self.handover.forget(cookie);
            let _unread = self.streams.remove(&cookie);
        }
        adopted
    }

    /// Gives back the sockets of services without rules, each when none of its bytes is on its way; takes no longer than
    /// `time`. What is not given back by then passes unread, and is for the next time.
    pub(super) fn give_back(&mut self, time: Duration) -> Released {
        let ruled = self.ruled();
        let stream = |cookie: &u64| self.streams.get(cookie, 0).map(|stream| stream.0).ok();
        let read: Vec<u64> = self.sockets.keys().filter_map(Result::ok).collect();
        let is_free = |cookie: &u64| stream(cookie).is_none_or(|stream| !ruled.contains(&stream.service));
        let free: HashSet<u64> = read.into_iter().filter(is_free).collect();
        let mut released = Released::default();
        if !free.is_empty() {
            let open = established(|_| true);
            let mine: Vec<Open> = open.into_iter().filter(|open| free.contains(&open.cookie)).collect();
            for open in awaited(&mine) {
                released.destroyed += usize::from(open.close());
            }
            for open in &mine {
                // It waits for its end, and would hand on the middle of a request.
                if stream(&open.cookie).is_some_and(|stream| stream.phase == PHASE_DEAD) {
                    let _gone = open.close();
                }
            }
            for cookie in &free {
                // One that does not fit is wished for the next time.
                let _full = self.handover.wish(*cookie, HANDOVER_GIVE, true);
            }
            self.handover.run(time);
        }
        let left: HashSet<u64> = self.sockets.keys().filter_map(Result::ok).collect();
        for (cookie, _) in self.handover.left() {
            if !left.contains(&cookie) {
                self.handover.forget(cookie);
            }
        }
        released.lifting = free.intersection(&left).count();
        released.intact = (free.len() - released.lifting).saturating_sub(released.destroyed);
        // A number stays as long as a socket bears it.
        let borne: HashSet<u32> = left.iter().filter_map(&stream).map(|stream| stream.service).collect();
        for (key, number) in self.numbers() {
            if !ruled.contains(&number) && !borne.contains(&number) {
                let _gone = self.services.remove(&Plain(key));
            }
        }
        released
    }

    /// Gives all sockets back; those that cannot be by the end of the time are closed.
    pub(super) fn release_all(&mut self) -> Released {
        self.disarm();
        let mut released = self.give_back(PATIENCE);
        if released.lifting > 0 {
            let left: HashSet<u64> = self.sockets.keys().filter_map(Result::ok).collect();
            let open = established(|_| true).into_iter().filter(|open| left.contains(&open.cookie));
            released.destroyed += open.filter(Open::close).count();
            released.lifting = 0;
        }
        released
    }

    /// No service has rules any more, as far as can be written.
    fn disarm(&mut self) {
        for (_, number) in self.numbers() {
            let _removed_below = self.table.set(number, Plain(Service::default()), 0);
        }
    }
}

/// The number of the service that listens at a place, as the kernel finds it.
fn find(services: &HashMap<ServiceKey, u32>, key: ServiceKey) -> Option<u32> {
    let anywhere = ServiceKey { netns: 0, ..key };
    let any = ServiceKey { addr: [0; 16], ..key };
    let neither = ServiceKey { addr: [0; 16], netns: 0, ..key };
    [key, anywhere, any, neither].iter().find_map(|key| services.get(key)).copied()
}

pub(super) fn pause(time: Duration) {
    let time =
        rustix::time::Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
    // Woken early it only looks again.
    let _early = rustix::thread::nanosleep(&time);
}
