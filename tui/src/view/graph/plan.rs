//! Which nodes and links are drawn, and in which column and row each node stands.
//!
//! The layers and the order in them come from `ascii-dag`; they are computed again only when a node or a link
//! comes or goes, so that the picture stands still while the numbers move.

use super::route::Route;
use crate::format::{count, rate, share};
use crate::view::World;
use apisec_engine::snapshot::EdgeView;
use ascii_dag::{CustomNode, Direction, Graph, LayoutConfig, ir::NodeKind};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Most nodes that a person can still read; beyond, the least busy are folded into one.
pub(super) const MAX_NODES: usize = 80;
/// Most rows of a node: beyond, links share rows.
const MAX_PORTS: usize = 8;
/// Widest name of a node.
const MAX_NAME: usize = 20;
/// Node that stands for peers outside the probed nodes that call us.
const FOLDED_CALLERS: &str = "folded:external-callers";
/// Node that stands for peers outside the probed nodes that we call.
const FOLDED_CALLEES: &str = "folded:external-callees";
/// Node that stands for everything else that found no room.
const FOLDED_REST: &str = "folded:rest";

/// A workload, or several, in the drawing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Workload id, or that of a folded group.
    pub(super) id: String,
    /// Name, escaped and cut.
    pub(super) label: String,
    /// Calls that it made and answered.
    pub(super) calls: u64,
    /// Column.
    pub(super) level: usize,
    /// First row.
    pub(super) y: usize,
    /// Rows.
    pub(super) height: usize,
    /// Calls pass through it on their way.
    pub(super) proxy: bool,
    /// It calls itself.
    pub(super) own: bool,
}

impl Node {
    /// The row of its name.
    pub(super) fn middle(&self) -> usize {
        self.y + (self.height.saturating_sub(1)) / 2
    }
}

/// Calls between two nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Link {
    /// Place of the caller in [`Plan::nodes`].
    pub(super) src: usize,
    /// Place of the callee.
    pub(super) dst: usize,
    /// It runs against the layers: the callee stands left of the caller.
    pub(super) back: bool,
    /// Column and row of the places between its ends, left to right.
    pub(super) via: Vec<(usize, usize)>,
    /// Calls.
    pub(super) calls: u64,
    /// Errors.
    pub(super) errors: u64,
    /// Calls per second.
    pub(super) rate: f64,
}

/// The drawing without its columns of characters.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Nodes.
    pub(super) nodes: Vec<Node>,
    /// Links.
    pub(super) links: Vec<Link>,
    /// Workloads, also the folded ones.
    pub(super) workloads: usize,
    shape: Vec<(String, String)>,
}

/// Narrowest name of a node in a drawing that would not fit otherwise.
const MIN_NAME: usize = 9;

/// What is known of a pair of nodes before they have a place.
type Pairs = BTreeMap<(String, String), Link>;

impl Plan {
    /// Takes new numbers, and a new layout when the shape has changed.
    pub(super) fn refresh(&mut self, world: &World<'_>) {
        let edges: Vec<&EdgeView> =
            world.snapshot.edges.iter().filter(|edge| world.shows_edge(edge)).collect();
        let folds = Folds::of(&edges, world);
        self.workloads = folds.workloads;
        let pairs = pairs(&edges, &folds);
        let shape: Vec<_> = pairs.keys().cloned().collect();
        if shape != self.shape {
            self.lay_out(world, &folds, &pairs);
            self.shape = shape;
        }
        self.renumber(world, &folds, &pairs);
    }

    /// The plan with names so short that its drawing fits into `width` columns, if that can be.
    pub(super) fn fitted(&self, width: usize) -> Cow<'_, Self> {
        let fits = |plan: &Self| Route::of(plan).width + 2 <= width;
        if fits(self) {
            return Cow::Borrowed(self);
        }
        let mut plan = self.clone();
        for room in (MIN_NAME..MAX_NAME).rev() {
            for node in &mut plan.nodes {
                node.label = crate::widget::fit::clip(&node.label, room, "~").into_owned();
            }
            if fits(&plan) {
                break;
            }
        }
        Cow::Owned(plan)
    }

    /// Calls into a node and their share of errors as far as they fit, for its second row.
    pub(super) fn answered(&self, at: usize, room: usize) -> String {
        let into = || self.links.iter().filter(|link| link.dst == at);
        let (calls, errors) = (into().map(|link| link.calls).sum(), into().map(|link| link.errors).sum());
        let all = format!("{} {}", count(calls), share(errors, calls)).trim_end().to_owned();
        let fits = |text: &String| text.len() <= room;
        Some(all).filter(fits).or_else(|| Some(count(calls)).filter(fits)).unwrap_or_default()
    }

    /// The place of the node `id`.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// The node with most calls.
    pub(super) fn busiest(&self) -> Option<&Node> {
        self.nodes.iter().max_by(|a, b| a.calls.cmp(&b.calls).then_with(|| b.id.cmp(&a.id)))
    }

    /// What the labels of the links say: rates, or calls when nothing happens any more.
    pub(super) fn unit(&self) -> &'static str {
        if self.links.iter().any(|link| link.rate > 0.0) { "calls/s" } else { "calls" }
    }

    /// The label of a link, and its share of errors.
    pub(super) fn label(&self, link: &Link) -> (String, String) {
        let calls = if self.unit() == "calls" { count(link.calls) } else { format!("{}/s", rate(link.rate)) };
        (calls, share(link.errors, link.calls))
    }

    fn renumber(&mut self, world: &World<'_>, folds: &Folds<'_>, pairs: &Pairs) {
        let proxies: HashSet<&str> = world
            .snapshot
            .chains
            .iter()
            .flat_map(|chain| chain.path.iter().rev().skip(1).rev().skip(1))
            .map(String::as_str)
            .collect();
        for node in &mut self.nodes {
            node.calls = 0;
            node.label = folds.label(&node.id, world);
            node.proxy = proxies.contains(node.id.as_str());
            node.own = pairs.contains_key(&(node.id.clone(), node.id.clone()));
        }
        for link in &mut self.links {
            let key = (
                self.nodes.get(link.src).map(|n| n.id.clone()),
                self.nodes.get(link.dst).map(|n| n.id.clone()),
            );
            let (Some(src), Some(dst)) = key else { continue };
            let Some(new) = pairs.get(&(src, dst)) else { continue };
            (link.calls, link.errors, link.rate) = (new.calls, new.errors, new.rate);
        }
        for link in &self.links {
            for end in [link.src, link.dst] {
                if let Some(node) = self.nodes.get_mut(end) {
                    node.calls += link.calls;
                }
            }
        }
    }

    fn lay_out(&mut self, world: &World<'_>, folds: &Folds<'_>, pairs: &Pairs) {
        let ids: Vec<&String> =
            pairs.keys().flat_map(|(src, dst)| [src, dst]).collect::<BTreeSet<_>>().into_iter().collect();
        let place: HashMap<&String, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let links: Vec<(usize, usize)> = pairs
            .keys()
            .filter(|(src, dst)| src != dst)
            .filter_map(|(src, dst)| Some((*place.get(src)?, *place.get(dst)?)))
            .collect();
        // Every call into a node has a row for its label; those out of it leave together.
        let ports = |at: usize| links.iter().filter(|(_, dst)| *dst == at).count().clamp(1, MAX_PORTS);
        let labels: Vec<String> = ids.iter().map(|id| folds.label(id, world)).collect();
        let mut graph = Graph::new();
        for (at, label) in labels.iter().enumerate() {
            graph.add_node(at, CustomNode { label, width: 3, height: ports(at), painter: None, payload: "" });
        }
        for (src, dst) in &links {
            graph.add_edge(*src, *dst, None);
        }
        let mut config = LayoutConfig::quality();
        config.direction = Direction::LeftRight;
        config.node_spacing = 1;
        config.include_dummy_nodes = true;
        let layout = graph.compute_layout_with_config(&config);
        self.nodes = ids
            .iter()
            .enumerate()
            .map(|(at, id)| {
                let (level, y) = layout.node_by_id(at).map_or((0, 0), |node| (node.level, node.y));
                let label = labels.get(at).cloned().unwrap_or_default();
                Node {
                    id: (*id).clone(),
                    label,
                    calls: 0,
                    level,
                    y,
                    height: ports(at),
                    proxy: false,
                    own: false,
                }
            })
            .collect();
        self.links =
            links.iter().map(|(src, dst)| Link { src: *src, dst: *dst, ..Link::default() }).collect();
        for edge in layout.edges() {
            if let Some(link) = self.links.get_mut(edge.edge_index) {
                link.back = edge.reversed;
            }
        }
        for dummy in layout.nodes().iter().filter(|node| node.kind == NodeKind::Dummy) {
            if let Some(link) = dummy.edge_index.and_then(|at| self.links.get_mut(at)) {
                link.via.push((dummy.level, dummy.y));
            }
        }
        for link in &mut self.links {
            link.via.sort_unstable();
        }
    }
}

fn pairs(edges: &[&EdgeView], folds: &Folds<'_>) -> Pairs {
    let mut pairs = Pairs::new();
    for edge in edges {
        let link = pairs.entry((folds.node(&edge.src, true), folds.node(&edge.dst, false))).or_default();
        link.calls += edge.calls;
        link.errors += edge.errors;
        link.rate += edge.rate;
    }
    pairs
}

/// Which workloads are drawn as one node, when there are too many.
struct Folds<'a> {
    workloads: usize,
    fold_externals: bool,
    externals: HashSet<&'a str>,
    rest: HashSet<&'a str>,
}

impl<'a> Folds<'a> {
    fn of(edges: &[&'a EdgeView], world: &World<'_>) -> Self {
        let mut calls: HashMap<&str, u64> = HashMap::new();
        for edge in edges {
            *calls.entry(edge.src.as_str()).or_default() += edge.calls;
            *calls.entry(edge.dst.as_str()).or_default() += edge.calls;
        }
        let workloads = calls.len();
        let externals: HashSet<&str> =
            calls.keys().copied().filter(|id| world.labels.is_external(id)).collect();
        let fold_externals = workloads > MAX_NODES && externals.len() > 2;
        let mut own: Vec<_> =
            calls.iter().filter(|(id, _)| !(fold_externals && externals.contains(**id))).collect();
        own.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        // Room for the three folded nodes themselves.
        let room = if workloads > MAX_NODES { MAX_NODES - 3 } else { MAX_NODES };
        let rest = own.into_iter().skip(room).map(|(id, _)| *id).collect();
        Self { workloads, fold_externals, externals, rest }
    }

    fn node(&self, id: &str, caller: bool) -> String {
        if self.rest.contains(id) {
            FOLDED_REST.to_owned()
        } else if self.fold_externals && self.externals.contains(id) {
            (if caller { FOLDED_CALLERS } else { FOLDED_CALLEES }).to_owned()
        } else {
            id.to_owned()
        }
    }

    fn label(&self, id: &str, world: &World<'_>) -> String {
        let name = match id {
            FOLDED_REST => format!("{} others", self.rest.len()),
            FOLDED_CALLERS => "external callers".to_owned(),
            FOLDED_CALLEES => "external peers".to_owned(),
            _ => world.labels.get(id),
        };
        crate::widget::fit::clip(&name, MAX_NAME, "~").into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::label::Labels;
    use apisec_engine::filter::Filter;
    use apisec_engine::snapshot::Snapshot;

    fn plan(snapshot: &Snapshot) -> Plan {
        let (labels, filter) = (Labels::of(snapshot), Filter::default());
        let mut plan = Plan::default();
        plan.refresh(&World {
            snapshot,
            labels: &labels,
            filter: &filter,
            read_only: false,
            plain: false,
            wards: &[],
            enforces: true,
        });
        plan
    }

    #[test]
    fn every_edge_is_a_link_that_runs_to_the_right_unless_it_is_a_way_back() {
        let plan = plan(&fixture::shop());
        assert_eq!(plan.links.len(), fixture::shop().edges.len());
        for link in &plan.links {
            let (src, dst) = (&plan.nodes[link.src], &plan.nodes[link.dst]);
            assert_eq!(src.level > dst.level, link.back, "{} {}", src.id, dst.id);
            assert_eq!(link.via.len() + 1, src.level.abs_diff(dst.level));
        }
    }

    #[test]
    fn nodes_of_a_column_do_not_touch() {
        let plan = plan(&fixture::shop());
        for a in &plan.nodes {
            for b in plan.nodes.iter().filter(|b| b.level == a.level && b.y > a.y) {
                assert!(b.y > a.y + a.height, "{} {}", a.id, b.id);
            }
        }
    }

    #[test]
    fn cycles_and_own_calls_are_drawn() {
        let mut snapshot = fixture::shop();
        let model = snapshot.edges[0].clone();
        for (src, dst) in [("unit:users.service", "unit:nginx.service"), ("pod:7d9f-cart", "pod:7d9f-cart")] {
            snapshot.edges.push(EdgeView { src: src.into(), dst: dst.into(), ..model.clone() });
        }
        let plan = plan(&snapshot);
        assert_eq!(plan.links.iter().filter(|link| link.back).count(), 1);
        assert_eq!(plan.nodes.iter().filter(|node| node.own).count(), 1);
    }

    #[test]
    fn too_many_workloads_are_folded_and_no_call_is_lost() {
        let mut snapshot = fixture::shop();
        let model = snapshot.edges[0].clone();
        for n in 0..300 {
            let src = if n % 3 == 0 { format!("external:10.0.0.{n}") } else { format!("process:p{n}") };
            snapshot.edges.push(EdgeView {
                src,
                dst: "unit:nginx.service".into(),
                calls: n,
                ..model.clone()
            });
        }
        let plan = plan(&snapshot);
        assert!(plan.nodes.len() <= MAX_NODES, "{}", plan.nodes.len());
        assert_eq!(plan.workloads, 20 + 300);
        let drawn: u64 = plan.links.iter().map(|link| link.calls).sum();
        let own: u64 = snapshot.edges.iter().filter(|edge| edge.src == edge.dst).map(|edge| edge.calls).sum();
        assert_eq!(drawn + own, snapshot.edges.iter().map(|edge| edge.calls).sum::<u64>());
    }

    #[test]
    fn numbers_move_and_the_picture_stands_still() {
        let mut snapshot = fixture::shop();
        let (labels, filter) = (Labels::of(&snapshot), Filter::default());
        let mut plan = plan(&snapshot);
        let before: Vec<_> = plan.nodes.iter().map(|node| (node.id.clone(), node.level, node.y)).collect();
        for edge in &mut snapshot.edges {
            edge.calls *= 3;
        }
        plan.refresh(&World {
            snapshot: &snapshot,
            labels: &labels,
            filter: &filter,
            read_only: false,
            plain: false,
            wards: &[],
            enforces: true,
        });
        assert_eq!(
            before,
            plan.nodes.iter().map(|node| (node.id.clone(), node.level, node.y)).collect::<Vec<_>>()
        );
        assert_eq!(
            plan.links.iter().map(|link| link.calls).sum::<u64>(),
            snapshot.edges.iter().map(|edge| edge.calls).sum::<u64>()
        );
    }
}
