//! Where what all nodes say comes together: counted once, by one clock, under names that hold everywhere.

use super::super::directory::Directory;
use super::super::message::{Ask, INTERVALS, MAX_ADDRESSES, Manner};
use super::super::station::Station;
use super::attend::{Attendant, Event, Order, Shared};
use super::naming::Naming;
use super::{Events, Plan};
use crate::clock;
use crate::cluster::names::Census;
use crate::pipeline::{Report, Update};
use crate::source::SourceError;
use crate::source::session::frame::Unpacker;
use apisec_engine::command::TemplateRule;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::delta::Delta;
use apisec_engine::node::{NodeState, Shed};
use apisec_engine::snapshot::Capture;
use crossbeam_channel::Sender;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a task is told and has not passed on; of what does not fit the next one says the same.
const ORDERS: usize = 64;
/// Nodes that report once a second; twice as many do so every two seconds, and so on.
const NODES_PER_SECOND: usize = 100;
/// Calls themselves that all nodes together send in a second...
const SAMPLES_PER_SECOND: usize = 2_000;
/// ...and one node at least in a report.
const LEAST_SAMPLES: usize = 20;
/// Deltas of one node that wait for names; beyond them it is not told that they were taken in.
const HELD_PER_NODE: usize = 8;
/// What a report may lie in the past or the future, nanoseconds.
const PAST: u64 = 3_600 * SECOND;
const FUTURE: u64 = 60 * SECOND;
const SECOND: u64 = 1_000_000_000;
/// How long everything waits at most while names are told for the first time, nanoseconds.
const SETTLE: u64 = 30 * SECOND;
/// How often what nodes captured is added up, nanoseconds.
const ACCOUNT: u64 = SECOND;
/// Rows of coverage that are shown of all nodes.
const MAX_COVERAGE: usize = 4_096;
/// Different degradations of agents that are shown.
const MAX_DEGRADATIONS: usize = 64;
/// Nodes that a sentence names.
const NAMED: usize = 3;
/// A clock that is off by more is said to be, microseconds.
const WRONG_CLOCK: u64 = 1_000_000;

/// A delta that may have to wait until the other end's node has spoken.
struct Held {
    node: usize,
    delta: Delta,
    until: u64,
}

/// See the module.
pub(super) struct Meeting {
    names: Vec<Arc<str>>,
    stations: Vec<Station>,
    orders: Vec<mpsc::Sender<Order>>,
    shared: Rc<RefCell<Shared>>,
    directory: Directory,
    naming: Naming,
    held: VecDeque<Held>,
    /// Reports that were taken in and not said to be.
    owed: BTreeMap<usize, u64>,
    account: Capture,
    accounted: u64,
    chunks: u64,
}

impl Meeting {
    /// Starts a task for every node.
    pub(super) fn new(plan: Plan, events: &Events) -> Self {
        let Plan { targets, key, program, filter, names } = plan;
        let manner = Manner { interval_s: 1, samples: 0, filter, rules: Vec::new() };
        #[expect(clippy::expect_used, reason = "without memory for one context there is nothing to be done")]
        let unpacker = Unpacker::new().expect("memory for a zstd context");
        let shared = Rc::new(RefCell::new(Shared { unpacker, raw: Vec::new(), program, key, manner }));
        let mut meeting = Self {
            names: targets.iter().map(|target| Arc::from(target.name.as_str())).collect(),
            stations: targets.iter().map(|target| Station::new(target.name.clone())).collect(),
            orders: Vec::new(),
            shared: shared.clone(),
            directory: Directory::default(),
            naming: Naming::with(names.map(Census::begin)),
            held: VecDeque::new(),
            owed: BTreeMap::new(),
            account: Capture::default(),
            accounted: 0,
            chunks: 0,
        };
        meeting.tune(targets.len());
        for (index, target) in targets.into_iter().enumerate() {
            let (order, orders) = mpsc::channel(ORDERS);
            let (shared, events) = (shared.clone(), events.clone());
            let attendant = Attendant { index, name: target.name, link: target.link, shared, events, orders };
            tokio::task::spawn_local(attendant.run());
            meeting.orders.push(order);
        }
        meeting
    }

    /// What a node's task heard.
    pub(super) fn hear(&mut self, (index, event): (usize, Event)) {
        let now = clock::now();
        let Some(station) = self.stations.get_mut(index) else { return };
        match event {
            Event::Watching { program, mut node } => {
                station.watches(program, &node, now);
                node.addresses.truncate(MAX_ADDRESSES);
                self.directory.host(index, &node.addresses);
                self.retune();
            }
            Event::Report { report, bytes } => self.take(index, report, bytes, now),
            Event::Beat(echo, at) => {
                station.heard(0, now);
                station.clock(echo.skew(at));
            }
            Event::Lost(why) => {
                station.lost(why);
                self.retune();
            }
            Event::Refused(why) => station.ends(NodeState::Refused, why),
            Event::Ended(why) => station.ends(NodeState::Ended, why),
        }
        self.accounted = 0;
    }

    fn take(&mut self, index: usize, mut report: super::super::message::Report, bytes: u64, now: u64) {
        let Some(station) = self.stations.get_mut(index) else { return };
        let Some(name) = self.names.get(index).cloned() else { return };
        station.heard(bytes, now);
        let number = report.number;
        if station.takes(&mut report, bytes, now) {
            self.chunks += 1;
            let mut delta = report.delta;
            station.distrusts(delta.distrust());
            delta.reset_clock(station.correction(), &(now.saturating_sub(PAST)..=now.saturating_add(FUTURE)));
            for (address, id) in report.places.into_iter().take(MAX_ADDRESSES) {
                let id = self.naming.of_node(&id, &name);
                self.directory.place(address, id, index, delta.to);
            }
            let patience = 2 * u64::from(self.interval()) * SECOND + SECOND;
            self.held.push_back(Held { node: index, delta, until: now.saturating_add(patience) });
        }
        self.owed.insert(index, number);
    }

    /// The operator's templating rules are these.
    pub(super) fn follow(&mut self, rules: Vec<TemplateRule>) {
        self.shared.borrow_mut().manner.rules = rules;
        self.change();
    }

    /// Only calls that can pass this filter are wanted one by one.
    pub(super) fn tail(&mut self, filter: String) {
        self.shared.borrow_mut().manner.filter = filter;
        self.change();
    }

    /// Hands on what has its names.
    pub(super) fn hand_on(&mut self, updates: &Sender<Update>) {
        if !updates.is_full() {
            let now = clock::now();
            let deltas = self.ready(now);
            if !deltas.is_empty() || now.saturating_sub(self.accounted) >= ACCOUNT {
                let report = Report { deltas, mismatches: Vec::new(), capture: self.capture(now), now };
                // It was not full, and nobody else fills it.
                let _gone = updates.try_send(Update::Delta(Box::new(report)));
            }
        }
        if self.held.len() < self.names.len() * HELD_PER_NODE {
            for (index, number) in std::mem::take(&mut self.owed) {
                self.order(index, Ask::Taken { number });
            }
        }
    }

    /// Everything that is left.
    pub(super) fn last(&mut self) -> Report {
        let now = clock::now();
        self.held.iter_mut().for_each(|held| held.until = 0);
        let deltas = self.ready(now);
        self.accounted = 0;
        Report { deltas, mismatches: Vec::new(), capture: self.capture(now), now }
    }

    fn ready(&mut self, now: u64) -> Vec<Delta> {
        let mut ready = Vec::new();
        for Held { node, mut delta, until } in std::mem::take(&mut self.held) {
            let waits = now < until && self.naming.awaits(&delta, &self.directory);
            if waits || now < until.saturating_add(SETTLE) && self.naming.settling() {
                self.held.push_back(Held { node, delta, until });
            } else if let Some(name) = self.names.get(node) {
                self.naming.name(&mut delta, name, &self.names, &self.directory);
                ready.push(delta);
            }
        }
        ready
    }

    /// Everybody shall end.
    pub(super) fn end(&mut self) {
        (0..self.orders.len()).for_each(|index| self.order(index, Ask::End));
    }

    /// Whether anything was watched at all.
    pub(super) fn verdict(&self) -> Result<(), SourceError> {
        let mut stations = self.stations.iter();
        if stations.any(|station| station.capture().is_some() || station.state() == NodeState::Watching) {
            return Ok(());
        }
        let whys: Vec<String> = self
            .stations
            .iter()
            .filter(|station| !station.why().is_empty())
            .take(NAMED)
            .map(|station| format!("{}: {}", station.name(), station.why()))
            .collect();
        Err(SourceError {
            what: format!("none of {} nodes could be watched; {}", self.names.len(), whys.join("; ")),
            remedy: "on a node: sudo apisec-top doctor".into(),
        })
    }

    fn order(&self, index: usize, ask: Ask) {
        if let Some(orders) = self.orders.get(index) {
            let _full_or_gone = orders.try_send(Order::Ask(ask));
        }
    }

    fn interval(&self) -> u32 {
        self.shared.borrow().manner.interval_s
    }

    /// More nodes report less often, so that together they stay within what one core can merge.
    fn retune(&mut self) {
        let watching = self.stations.iter().filter(|station| station.state() == NodeState::Watching).count();
        if self.tune(watching) {
            self.change();
        }
    }

    fn tune(&self, nodes: usize) -> bool {
        let seconds = u32::try_from(nodes.div_ceil(NODES_PER_SECOND)).unwrap_or(u32::MAX);
        let interval_s = seconds.clamp(*INTERVALS.start(), *INTERVALS.end());
        let share = SAMPLES_PER_SECOND * interval_s as usize / nodes.max(1);
        let samples = share.max(LEAST_SAMPLES) as u32;
        let manner = &mut self.shared.borrow_mut().manner;
        let changed = (manner.interval_s, manner.samples) != (interval_s, samples);
        (manner.interval_s, manner.samples) = (interval_s, samples);
        changed
    }

    fn change(&self) {
        let manner = self.shared.borrow().manner.clone();
        (0..self.orders.len()).for_each(|index| self.order(index, Ask::Change(manner.clone())));
    }

    /// What all nodes captured together, added up once a second.
    fn capture(&mut self, now: u64) -> Capture {
        if now.saturating_sub(self.accounted) >= ACCOUNT {
            self.accounted = now;
            self.account = self.add_up(now);
        }
        self.account.clone()
    }

    fn add_up(&mut self, now: u64) -> Capture {
        let mut sum = Capture {
            source: format!("{} nodes", self.stations.len()),
            chunks: self.chunks,
            degradations: self.degradations(),
            ..Capture::default()
        };
        let interval = self.interval();
        for (station, node) in self.stations.iter().zip(&self.names) {
            let view = station.view(interval, now);
            sum.calls = sum.calls.saturating_add(view.calls);
            sum.lost = sum.lost.saturating_add(view.lost);
            sum.nodes.push(view);
            let Some(capture) = station.capture() else { continue };
            add(&mut sum.losses, &capture.losses);
            add(&mut sum.counters, &capture.counters);
            let room = MAX_COVERAGE.saturating_sub(sum.coverage.len());
            for row in capture.coverage.iter().take(room) {
                let mut row = row.clone();
                if !row.workload.is_empty() {
                    row.workload = self.naming.of_node(&row.workload, node).to_string();
                }
                sum.coverage.push(row);
            }
        }
        sum.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        sum
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all = Vec::new();
        let of = |wanted: fn(&Station) -> bool| self.stations.iter().filter(move |station| wanted(station));
        let looked_for = |station: &Station| {
            station.state() == NodeState::Lost
                || station.state() == NodeState::Connecting && !station.why().is_empty()
        };
        all.extend(about(
            "node-unheard",
            "not heard and looked for; their calls are missing meanwhile",
            of(looked_for),
        ));
        all.extend(about("node-refused", "not watched", of(|station| station.state() == NodeState::Refused)));
        all.extend(about("node-ended", "not watched any more", of(|s| s.state() == NodeState::Ended)));
        let wrong = |station: &Station| station.view(1, 0).skew_us.unsigned_abs() > WRONG_CLOCK;
        let mut clocks =
            about("node-clock", "of another time; their times are shown by our clock", of(wrong));
        clocks.iter_mut().for_each(|clock| clock.severity = Severity::Notice);
        all.extend(clocks);
        all.extend(about(
            "node-sheds",
            "leaving out bodies or samples, because the way here is too slow; everything is counted",
            of(|station| station.view(1, 0).shed > Shed::Nothing),
        ));
        all.extend(self.of_agents());
        let watched = |name: &str| {
            self.stations.iter().any(|one| one.name() == name && one.state() == NodeState::Watching)
        };
        all.extend(self.naming.degradations(&watched));
        all
    }

    /// What agents say of themselves; the same words of several once.
    fn of_agents(&self) -> Vec<Degradation> {
        let mut said: BTreeMap<(&str, &str), (&Degradation, Vec<&str>)> = BTreeMap::new();
        for station in &self.stations {
            for degradation in station.capture().into_iter().flat_map(|capture| &capture.degradations) {
                let known = said.len();
                let entry = (degradation.code.as_str(), degradation.what.as_str());
                if known < MAX_DEGRADATIONS || said.contains_key(&entry) {
                    said.entry(entry).or_insert((degradation, Vec::new())).1.push(station.name());
                }
            }
        }
        let worded = said.into_values().map(|(degradation, nodes)| {
            let named = nodes.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            let more = nodes.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Degradation { what: format!("{named}{more}: {}", degradation.what), ..degradation.clone() }
        });
        worded.collect()
    }
}

fn about<'a>(code: &str, what: &str, stations: impl Iterator<Item = &'a Station>) -> Option<Degradation> {
    let mut count = 0_usize;
    let mut named = Vec::new();
    for station in stations {
        count += 1;
        if named.len() < NAMED {
            let why = station.why();
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            named.push(format!("{}{why}", station.name()));
        }
    }
    let nodes = if count == 1 { "1 node is" } else { "nodes are" };
    let count = if count == 1 { String::new() } else { format!("{count} ") };
    (!named.is_empty()).then(|| Degradation {
        code: code.into(),
        severity: Severity::Partial,
        what: format!("{count}{nodes} {what}: {}", named.join(", ")),
        remedy: String::new(),
    })
}

fn add(sum: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, count) in more {
        match sum.get_mut(name) {
            Some(known) => *known = known.saturating_add(*count),
            None => {
                sum.insert(name.clone(), *count);
            }
        }
    }
}
