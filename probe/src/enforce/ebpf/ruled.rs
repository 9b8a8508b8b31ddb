//! Ruled services in the kernel: their rules about requests, and the sockets whose requests are read.

use super::open::{Open, borrow, established};
use super::request::Entries;
use super::table::{
    Callers, PathShapes, Plain, Requests, Rules, ServiceTable, Services, Slotted, Sockets, Streams, broken,
    not_written,
};
use crate::clock;
use crate::enforce::EnforceError;
use apisec_abi::enforce::{
    CallerKey, PATH_SHAPES, PHASE_LOST, PathKey, PathShape, REQUEST_CLOSED, RequestRule, RequestSlots,
    SERVICE_CLOSED, SERVICE_EXACT, SERVICE_FOLDED, SERVICES, Service, ServiceKey, Stream,
};
use aya::maps::Map;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How long a connection may take to hand over what has arrived, before it is destroyed rather than robbed.
const DRAIN: Duration = Duration::from_millis(1_500);

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
}

/// What became of connections that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Released {
    /// They go on.
    pub(super) intact: usize,
    /// They had bytes in flight for too long and were destroyed.
    pub(super) destroyed: usize,
}

impl Ruled {
    pub(super) fn of(mut map: impl FnMut(&str) -> Result<Map, EnforceError>) -> Result<Self, EnforceError> {
        Ok(Self {
            services: map("SERVICES")?.try_into().map_err(|error| broken(&error))?,
            table: map("SERVICE")?.try_into().map_err(|error| broken(&error))?,
            shapes: map("SHAPES")?.try_into().map_err(|error| broken(&error))?,
            paths: Slotted::new(map("PATHS")?)?,
            requests: map("REQUESTS")?.try_into().map_err(|error| broken(&error))?,
            callers: map("CALLERS")?.try_into().map_err(|error| broken(&error))?,
            sockets: map("SOCKETS")?.try_into().map_err(|error| broken(&error))?,
            streams: map("STREAMS")?.try_into().map_err(|error| broken(&error))?,
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

    /// Tells every service what its rules are now. Services without rules go, and their sockets are given back.
    /// Whether there is still one, and what became of the sockets.
    pub(super) fn refresh(&mut self, rules: &Rules) -> Result<(bool, Released), EnforceError> {
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
        let known: Vec<_> = self.services.iter().filter_map(Result::ok).collect();
        let mut gone = HashSet::new();
        for (key, number) in known {
            let service = wanted.get(&number).copied().unwrap_or_default();
            self.table.set(number, Plain(service), 0).map_err(|error| not_written(&error))?;
            if !wanted.contains_key(&number) {
                gone.insert(number);
                self.services.remove(&key).map_err(|error| not_written(&error))?;
            }
        }
        for index in (0..PATH_SHAPES).filter(|index| !shapes.contains(index)) {
            if self.shapes.get(&index, 0).is_ok_and(|shape| shape.0.used != 0) {
                self.shapes
                    .set(index, Plain(PathShape::default()), 0)
                    .map_err(|error| not_written(&error))?;
            }
        }
        let released = if gone.is_empty() { Released::default() } else { self.release(&gone) };
        Ok((!wanted.is_empty(), released))
    }

    /// Reads the requests of connections that are open already: how many, and how many were closed instead.
    pub(super) fn adopt(&mut self) -> (usize, usize) {
        let services: HashMap<ServiceKey, u32> =
            self.services.iter().filter_map(Result::ok).map(|(key, number)| (key.0, number)).collect();
        let number = |key: &ServiceKey| find(&services, *key);
        let mut open = established(|key| number(key).is_some());
        open.retain(|open| self.streams.get(&open.cookie, 0).is_err());
        let (mut adopted, mut destroyed) = (0, 0);
        for held in borrow(&open) {
            let open = held.open;
            if held.is_awaited() {
                destroyed += usize::from(open.close());
                continue;
            }
            let local = |netns| ServiceKey {
                addr: super::connect::octets(open.local.ip()),
                netns,
                port: open.local.port(),
                pad: [0; 6],
            };
            // The namespace was asked before; what is bound to one has its cookie.
            let any = services.keys().find(|key| number(&local(key.netns)).is_some());
            let Some(service) = any.and_then(|key| number(&local(key.netns))) else { continue };
            let stream = Stream {
                service,
                phase: PHASE_LOST,
                addr: super::connect::octets(open.remote.ip()),
                ..Stream::default()
            };
            if self.streams.insert(open.cookie, Plain(stream), 0).is_ok()
                && self.sockets.insert(open.cookie, held.fd, 0).is_ok()
            {
                adopted += 1;
            }
        }
        (adopted, destroyed)
    }

    /// Gives the sockets of services back, each when its program has read what arrived.
    fn release(&mut self, gone: &HashSet<u32>) -> Released {
        let cookies: HashSet<u64> = self.sockets.keys().filter_map(Result::ok).collect();
        let of = |cookie: &u64| self.streams.get(cookie, 0).map(|stream| stream.0);
        let mut waiting: HashSet<u64> = cookies
            .into_iter()
            .filter(|cookie| of(cookie).map_or(true, |stream| gone.contains(&stream.service)))
            .collect();
        let mut released = Released::default();
        if waiting.is_empty() {
            return released;
        }
        let open = established(|_| true);
        let mine: Vec<Open> = open.into_iter().filter(|open| waiting.contains(&open.cookie)).collect();
        let mut held = borrow(&mine);
        let until = clock::boottime().saturating_add(DRAIN.as_nanos() as u64);
        // Those that nobody holds have nobody to lose a byte.
        let unheld: Vec<u64> = waiting
            .iter()
            .filter(|one| !held.iter().any(|held| held.open.cookie == **one))
            .copied()
            .collect();
        for cookie in unheld {
            self.let_go(cookie, &mut waiting);
            released.intact += 1;
        }
        while !held.is_empty() && clock::boottime() < until {
            held.retain(|held| {
                let cookie = held.open.cookie;
                let whole = self.streams.get(&cookie, 0).map_or(true, |stream| stream.0.pending == 0);
                if whole && held.is_drained() && held.is_awaited() {
                    released.destroyed += usize::from(held.open.close());
                    self.let_go(cookie, &mut waiting);
                    return false;
                }
                let ready = whole && held.is_drained();
                if ready {
                    self.let_go(cookie, &mut waiting);
                    released.intact += 1;
                }
                !ready
            });
            if !held.is_empty() {
                pause(Duration::from_millis(2));
            }
        }
        for held in &held {
            released.destroyed += usize::from(held.open.close());
            self.let_go(held.open.cookie, &mut waiting);
        }
        released
    }

    fn let_go(&mut self, cookie: u64, waiting: &mut HashSet<u64>) {
        // A socket that has closed meanwhile is in neither.
        let _closed = self.sockets.remove(&cookie);
        let _closed = self.streams.remove(&cookie);
        waiting.remove(&cookie);
    }

    /// Gives all sockets back, whatever service they belong to.
    pub(super) fn release_all(&mut self) -> Released {
        let all: HashSet<u32> = (0..SERVICES).collect();
        self.release(&all)
    }

    /// No service has rules any more, as far as can be written.
    pub(super) fn disarm(&mut self) {
        for number in
            self.services.iter().filter_map(Result::ok).map(|(_, number)| number).collect::<Vec<_>>()
        {
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

fn pause(time: Duration) {
    let time =
        rustix::time::Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
    // Woken early it only looks again.
    let _early = rustix::thread::nanosleep(&time);
}
