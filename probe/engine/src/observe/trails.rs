//! The node's trails by small numbers. A row stays for the next call that resembles this one: in the steady
//! state nothing is allocated.

use super::listed::Listed;
use super::*;
use crate::case::Settings;
use crate::detect::{Cues, DETECTORS, Detector, Seen};
use crate::trail::{CROWD, NOBODY, Scope, Trail, TrailKey, epoch_of};
use compact_str::CompactString;

/// A trail's key with small numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    scope: Scope,
    vantage: Vantage,
    src: Slot,
    /// Number of the operation, or slot of the service.
    place: u32,
    actor: u64,
}

/// What was written into a row since the last delta, all in one epoch.
#[derive(Default)]
struct Page {
    epoch: u32,
    trail: Trail,
}

/// See the module.
pub(super) struct Trails {
    limit: usize,
    rows: IndexMap<Row, Page, Numbers>,
    /// Rows of each caller.
    held: HashMap<Slot, usize, Numbers>,
    /// Somebody has all the rows that there are for it.
    is_full: bool,
    /// Pages of an epoch that ended within the delta.
    turned: Vec<(Row, Page)>,
    /// Rows with calls in this delta.
    pub(super) active: usize,
    /// Calls whose trail could not be told from others'.
    pub(super) crowded: u64,
    listed: Listed,
    /// The detectors that look at calls, by what they look at.
    watching: Vec<(Cues, &'static dyn Detector)>,
    /// All detectors are silent: nothing is written down.
    idle: bool,
}

impl Trails {
    pub(super) fn new(limits: Limits) -> Self {
        let rows = IndexMap::default();
        let mut trails = Self {
            limit: limits.trails_per_delta,
            rows,
            held: HashMap::default(),
            is_full: false,
            turned: Vec::new(),
            active: 0,
            crowded: 0,
            listed: Listed::default(),
            watching: Vec::new(),
            idle: false,
        };
        trails.heed(&Settings::default());
        trails
    }

    /// What is silenced is not asked any more.
    pub(super) fn heed(&mut self, settings: &Settings) {
        let speaking = DETECTORS.iter().filter(|detector| !settings.silences(detector.about()));
        self.idle = speaking.clone().next().is_none();
        let watching = speaking.map(|detector| (detector.cues(), *detector));
        self.watching = watching.filter(|(cues, _)| *cues != Cues::NONE).collect();
    }

    /// Writes a call into its actor's trail and lets every detector do so.
    pub(super) fn add(&mut self, seen: &Seen<'_>, (src, dst): (Slot, Slot), operation: u32) {
        if self.idle {
            return;
        }
        let call = seen.call;
        let actor = call.identity.map_or(NOBODY, |identity| identity.0.clamp(1, CROWD - 1));
        let row = Row { scope: Scope::Actor, vantage: call.vantage, src, place: operation, actor };
        let own = self.page(row, call.at);
        if let Some(trail) = self.at(own) {
            trail.add(call, seen.values);
        }
        // Taken out for so long, so that the detectors may write into the trails.
        let watching = std::mem::take(&mut self.watching);
        let mut notebook = Notebook { trails: self, row, own, ends: (src, dst), at: call.at };
        for (_, detector) in watching.iter().filter(|(cues, _)| cues.meets(seen.cues)) {
            detector.features(seen, &mut notebook);
        }
        self.watching = watching;
    }

    /// The number of the page for what happens at `at`.
    fn page(&mut self, row: Row, at: u64) -> usize {
        let row = self.room(row);
        let epoch = epoch_of(at);
        let found = self.rows.entry(row);
        let number = found.index();
        let page = found.or_insert_with(|| Page { epoch, trail: Trail::default() });
        if page.epoch != epoch {
            if !page.trail.is_empty() {
                self.turned.push((row, std::mem::take(page)));
            }
            page.epoch = epoch;
        }
        page.trail.touch(at);
        number
    }

    /// The row itself where there is room; else one that others share.
    fn room(&mut self, row: Row) -> Row {
        if self.rows.contains_key(&row) {
            return row;
        }
        let held = self.held.entry(row.src).or_default();
        let is_full = self.rows.len() >= self.limit;
        // Nobody leaves others without room.
        if is_full || *held >= self.limit / 2 {
            self.crowded += 1;
            self.is_full = true;
            let src = if is_full { Slot::OVERFLOW } else { row.src };
            return Row { actor: CROWD, src, ..row };
        }
        *held += 1;
        row
    }

    fn at(&mut self, number: usize) -> Option<&mut Trail> {
        self.rows.get_index_mut(number).map(|(_, page)| &mut page.trail)
    }

    /// Moves everything to the delta.
    pub(super) fn drain(
        &mut self,
        delta: &mut Delta,
        parties: &Parties,
        operations: &IndexMap<OperationKey, Operation>,
    ) {
        delta.crowded += std::mem::take(&mut self.crowded);
        let mut name = |row: &Row, page: &Page| {
            let endpoint = match row.scope {
                Scope::Actor | Scope::Own => operations
                    .get_index(row.place as usize)
                    .map(|(key, _)| key.to_endpoint(parties.id(key.dst))),
                _ => Some(nowhere(parties.id(Slot(row.place)), row.vantage)),
            };
            let Some(endpoint) = endpoint else { return };
            let caller = parties.id(row.src).clone();
            let key = TrailKey { scope: row.scope, endpoint, caller, actor: row.actor };
            delta.trails.push((key, page.epoch, page.trail.compact()));
        };
        self.turned.drain(..).for_each(|(row, page)| name(&row, &page));
        self.active = 0;
        for (row, page) in self.rows.iter_mut().filter(|(_, page)| !page.trail.is_empty()) {
            self.active += 1;
            name(row, page);
            page.trail.clear();
        }
    }

    /// Starts anew when the table is full or mostly idle.
    pub(super) fn forget_if_idle(&mut self) {
        if self.is_full || self.rows.len().saturating_sub(self.active) > self.limit / 2 {
            self.forget();
        }
    }

    /// Numbers have lost their meaning.
    pub(super) fn forget(&mut self) {
        self.rows.clear();
        self.held.clear();
        self.is_full = false;
    }
}

/// A service as a whole.
fn nowhere(service: &Id, vantage: Vantage) -> EndpointKey {
    EndpointKey {
        service: service.clone(),
        path: Arc::default(),
        method: CompactString::default(),
        operation: CompactString::default(),
        protocol: Protocol::Opaque,
        vantage,
    }
}

/// Where detectors write what they will need of the call that is being observed.
pub struct Notebook<'a> {
    trails: &'a mut Trails,
    row: Row,
    own: usize,
    ends: (Slot, Slot),
    at: u64,
}

impl Notebook<'_> {
    /// The trail of the caller under its identity at this endpoint. The call is in it already.
    pub fn actor(&mut self) -> Option<&mut Trail> {
        self.trails.at(self.own)
    }

    /// The trail of a number of the detector's own, of this caller at this endpoint: an account that it tries.
    pub fn own(&mut self, number: u64) -> Option<&mut Trail> {
        self.write(Row { scope: Scope::Own, actor: number.clamp(1, CROWD - 1), ..self.row })
    }

    /// The trail of a number of the detector's own at this service, whoever calls: a token.
    pub fn apart(&mut self, number: u64) -> Option<&mut Trail> {
        let (place, src, actor) = (self.ends.1.0, Slot::OVERFLOW, number.clamp(1, CROWD - 1));
        self.write(Row { scope: Scope::Apart, src, place, actor, ..self.row })
    }

    /// The caller's identity was given this identifier.
    pub fn give(&mut self, id: u64) {
        self.trails.listed.add(self.row.actor, id);
    }

    /// Whether it was given to it lately, on this node.
    #[must_use]
    pub fn was_given(&self, id: u64) -> bool {
        self.trails.listed.has(self.row.actor, id)
    }

    /// The trail of the workload that was called.
    pub fn callee(&mut self) -> Option<&mut Trail> {
        self.workload(self.ends.1)
    }

    /// The trail of the workload that called.
    pub fn caller(&mut self) -> Option<&mut Trail> {
        self.workload(self.ends.0)
    }

    fn workload(&mut self, slot: Slot) -> Option<&mut Trail> {
        let (scope, vantage, actor) = (Scope::Workload, Vantage::Server, NOBODY);
        self.write(Row { scope, vantage, src: Slot::OVERFLOW, place: slot.0, actor })
    }

    fn write(&mut self, row: Row) -> Option<&mut Trail> {
        let page = self.trails.page(row, self.at);
        self.trails.at(page)
    }
}
