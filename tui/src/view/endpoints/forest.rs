//! From a flat list of endpoints to the rows of a tree: services, path segments (runs of single children in one
//! row), methods; sorted among siblings; hidden below what is closed.

use crate::view::World;
use crate::view::overview::{directed, error_share};
use crate::widget::table::Order;
use apisec_engine::snapshot::{Drift, EndpointView};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Deepest path that is cut into segments; what follows is one segment. Paths come from the wire.
const MAX_DEPTH: usize = 24;
/// Between the parts of a key: cannot occur in an id or a path that was drawn.
const SEPARATOR: char = '\u{1}';

/// What a row stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A workload that answers.
    Service,
    /// One or more segments of a path.
    Path,
    /// A method on a path: the endpoint with this place in the snapshot.
    Method(usize),
}

/// Sums of all endpoints below a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) endpoints: usize,
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) rate: f64,
    /// The median of an endpoint, 0 for sums: medians do not add up.
    pub(super) p50_us: u64,
    /// The slowest 99th percentile below.
    pub(super) p99_us: u64,
    /// The most callers of an endpoint below.
    pub(super) callers: u64,
    /// Endpoints by drift state, in the order of [`Drift::ALL`].
    pub(super) drift: [usize; Drift::ALL.len()],
    /// Deprecated operations that are called, operations with schema drift.
    pub(super) flags: [usize; 2],
}

/// A visible row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The same for the same thing in every snapshot.
    pub(super) key: String,
    pub(super) kind: Kind,
    /// As received: escape before drawing.
    pub(super) label: String,
    pub(super) service: String,
    /// The template from the root to here.
    pub(super) path: String,
    pub(super) depth: usize,
    pub(super) parent: Option<usize>,
    pub(super) children: bool,
    pub(super) open: bool,
    pub(super) sums: Sums,
}

impl Row {
    /// What the copy action offers.
    pub(super) fn copy(&self) -> String {
        match self.kind {
            Kind::Service => self.service.clone(),
            Kind::Path => self.path.clone(),
            Kind::Method(_) => {
                let (method, operation) = self.label.split_once(' ').unwrap_or((&self.label, ""));
                format!("{method} {} {operation}", self.path).trim_end().to_owned()
            }
        }
    }
}

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Forest {
    pub(super) rows: Vec<Row>,
    pub(super) endpoints: usize,
    pub(super) services: usize,
}

/// A node while the tree is built.
#[derive(Default)]
struct Node<'a> {
    segments: BTreeMap<&'a str, Node<'a>>,
    methods: Vec<(usize, &'a EndpointView)>,
    sums: Sums,
}

/// A child of a node, ready to be sorted.
enum Child<'a> {
    Node(String, Node<'a>),
    Method(usize, &'a EndpointView),
}

/// What every level needs.
struct Context<'a> {
    order: Order,
    open: &'a dyn Fn(&str) -> bool,
}

impl Forest {
    /// The rows of all endpoints that pass the filter; `open` says whether the node with a key shows its children.
    pub(super) fn of(world: &World<'_>, order: Order, open: &dyn Fn(&str) -> bool) -> Self {
        let mut roots: BTreeMap<&str, Node<'_>> = BTreeMap::new();
        let mut endpoints = 0;
        for (at, endpoint) in
            world.snapshot.endpoints.iter().enumerate().filter(|(_, e)| world.shows_endpoint(e))
        {
            endpoints += 1;
            roots.entry(&endpoint.service).or_default().insert(segments(&endpoint.path), at, endpoint);
        }
        let services = roots.len();
        let mut forest = Self { rows: Vec::new(), endpoints, services };
        let context = Context { order, open };
        let mut roots: Vec<_> = roots.into_iter().collect();
        roots.sort_by(|(a, x), (b, y)| {
            let by_name = || world.labels.get(a).cmp(&world.labels.get(b));
            let ordering =
                if order.column == 0 { by_name() } else { compare(&x.sums, &y.sums, order.column) };
            directed(ordering, order).then_with(|| a.cmp(b))
        });
        for (service, node) in roots {
            let row = Row {
                key: service.to_owned(),
                kind: Kind::Service,
                label: service.to_owned(),
                service: service.to_owned(),
                path: String::new(),
                depth: 0,
                parent: None,
                children: true,
                open: open(service),
                sums: node.sums.clone(),
            };
            forest.add(row, node, &context);
        }
        forest
    }

    /// Adds a row and, when it is open, what is below it.
    fn add(&mut self, row: Row, node: Node<'_>, context: &Context<'_>) {
        let parent = self.rows.len();
        let (service, path, depth, open) = (row.service.clone(), row.path.clone(), row.depth + 1, row.open);
        self.rows.push(row);
        if !open {
            return;
        }
        for child in node.children(context.order) {
            let model = Row {
                key: String::new(),
                kind: Kind::Path,
                label: String::new(),
                service: service.clone(),
                path: path.clone(),
                depth,
                parent: Some(parent),
                children: false,
                open: false,
                sums: Sums::default(),
            };
            match child {
                Child::Method(at, endpoint) => self.rows.push(Row {
                    key: format!(
                        "{service}{SEPARATOR}{path}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{}",
                        endpoint.method, endpoint.operation, endpoint.protocol
                    ),
                    kind: Kind::Method(at),
                    label: operation(endpoint),
                    sums: Sums::of(endpoint),
                    ..model
                }),
                Child::Node(label, node) => {
                    let path = format!("{path}{label}");
                    let key = format!("{service}{SEPARATOR}{path}");
                    let open = (context.open)(&key);
                    let row =
                        Row { key, label, path, children: true, open, sums: node.sums.clone(), ..model };
                    self.add(row, node, context);
                }
            }
        }
    }
}

impl<'a> Node<'a> {
    fn insert(&mut self, segments: impl Iterator<Item = &'a str>, at: usize, endpoint: &'a EndpointView) {
        let mut node = self;
        node.sums.add(endpoint);
        for segment in segments {
            node = node.segments.entry(segment).or_default();
            node.sums.add(endpoint);
        }
        node.methods.push((at, endpoint));
    }

    /// Its children in order; a child with one segment and nothing else is joined with that segment.
    fn children(self, order: Order) -> Vec<Child<'a>> {
        let join = |(segment, mut node): (&str, Node<'a>)| {
            let mut label = segment.to_owned();
            while node.methods.is_empty() && node.segments.len() == 1 {
                let Some((next, only)) = node.segments.pop_first() else { break };
                label.push_str(next);
                node = only;
            }
            Child::Node(label, node)
        };
        let methods = self.methods.into_iter().map(|(at, endpoint)| Child::Method(at, endpoint));
        let mut children: Vec<Child<'a>> = methods.chain(self.segments.into_iter().map(join)).collect();
        children.sort_by(|a, b| {
            let ordering = if order.column == 0 {
                a.name().cmp(&b.name())
            } else {
                compare(&a.sums(), &b.sums(), order.column)
            };
            // The methods of a path stand above what is below the path.
            b.is_method()
                .cmp(&a.is_method())
                .then(directed(ordering, order))
                .then_with(|| a.name().cmp(&b.name()))
        });
        children
    }
}

impl Child<'_> {
    fn name(&self) -> (&str, &str) {
        match self {
            Self::Node(label, _) => (label, ""),
            Self::Method(_, endpoint) => (&endpoint.method, &endpoint.operation),
        }
    }

    fn sums(&self) -> Sums {
        match self {
            Self::Node(_, node) => node.sums.clone(),
            Self::Method(_, endpoint) => Sums::of(endpoint),
        }
    }

    fn is_method(&self) -> bool {
        matches!(self, Self::Method(..))
    }
}

impl Sums {
    fn of(endpoint: &EndpointView) -> Self {
        let mut sums = Self { p50_us: endpoint.p50_us, ..Self::default() };
        sums.add(endpoint);
        sums
    }

    fn add(&mut self, endpoint: &EndpointView) {
        self.endpoints += 1;
        self.calls += endpoint.calls;
        self.errors += endpoint.errors;
        self.rate += endpoint.rate;
        self.p99_us = self.p99_us.max(endpoint.p99_us);
        self.callers = self.callers.max(endpoint.caller_count);
        let states = self.drift.iter_mut().zip(Drift::ALL);
        states.for_each(|(count, (state, _))| *count += usize::from(state == endpoint.drift));
        let [deprecated, schema] = &mut self.flags;
        *deprecated += usize::from(endpoint.deprecated_in_use);
        *schema += usize::from(endpoint.schema_drift);
    }
}

/// What a leaf is called: the method, and the operation below it.
fn operation(endpoint: &EndpointView) -> String {
    format!("{} {}", endpoint.method, endpoint.operation).trim_end().to_owned()
}

fn compare(a: &Sums, b: &Sums, column: usize) -> Ordering {
    match column {
        1 => a.calls.cmp(&b.calls),
        2 => a.rate.total_cmp(&b.rate),
        3 => error_share(a.errors, a.calls).total_cmp(&error_share(b.errors, b.calls)),
        4 => a.p50_us.cmp(&b.p50_us),
        5 => a.p99_us.cmp(&b.p99_us),
        _ => a.callers.cmp(&b.callers),
    }
}

/// The segments of a path, each with its slash; the rest of a very deep path is one segment.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    let mut taken = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        taken += 1;
        let next = rest.char_indices().skip(1).find(|(_, c)| *c == '/').map(|(at, _)| at);
        let at = next.filter(|_| taken < MAX_DEPTH).unwrap_or(rest.len());
        let (segment, tail) = rest.split_at_checked(at)?;
        rest = tail;
        Some(segment)
    })
}
