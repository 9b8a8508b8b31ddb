//! Columns of characters: how wide each layer and each channel between two layers is, and the path of every link.
//!
//! In a channel every link that changes its row turns in a track of its own, so that no two lie on each other.

use super::plan::{Link, Plan};
use unicode_width::UnicodeWidthStr as _;

/// A piece of a link between two layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    /// Place of the link in [`Plan::links`].
    pub(super) link: usize,
    /// The layer on its left.
    pub(super) level: usize,
    /// Row on the left.
    pub(super) from: usize,
    /// Row on the right.
    pub(super) to: usize,
    /// Track in which it changes its row.
    pub(super) track: usize,
    /// Its left end is a node.
    pub(super) first: bool,
    /// Its right end is a node.
    pub(super) last: bool,
}

/// Where everything stands.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Legs of all links.
    pub(super) legs: Vec<Leg>,
    /// First column of each layer.
    pub(super) columns: Vec<usize>,
    /// Width of the nodes of each layer.
    pub(super) widths: Vec<usize>,
    /// Tracks of the channel right of each layer.
    pub(super) tracks: Vec<usize>,
    /// Columns of the whole drawing.
    pub(super) width: usize,
    /// Rows of the whole drawing.
    pub(super) height: usize,
}

impl Route {
    /// Routes all links of `plan`.
    pub(super) fn of(plan: &Plan) -> Self {
        let levels = plan.nodes.iter().map(|node| node.level + 1).max().unwrap_or(0);
        let mut legs = legs(plan);
        let mut route = Self::default();
        let mut x = 0;
        for level in 0..levels {
            let nodes = plan.nodes.iter().filter(|node| node.level == level);
            let width = nodes.map(|node| node_width(&node.label, node.own)).max().unwrap_or(0);
            let tracks = assign_tracks(&mut legs, level);
            let label = legs
                .iter()
                .filter(|leg| leg.level == level && leg.last)
                .filter_map(|leg| plan.links.get(leg.link));
            let label = label.map(|link| label_width(plan, link)).max().unwrap_or(0);
            route.columns.push(x);
            route.widths.push(width);
            route.tracks.push(tracks);
            // A stub, the tracks, a stub, the label, the arrow.
            x += width + if level + 1 < levels { 1 + tracks + 1 + label + 1 } else { 0 };
        }
        let bottom = legs.iter().map(|leg| leg.from.max(leg.to) + 1).max().unwrap_or(0);
        route.height = plan.nodes.iter().map(|node| node.y + node.height).max().unwrap_or(0).max(bottom);
        route.width = x;
        route.legs = legs;
        route
    }
}

/// Columns of a node with its two sides.
pub(super) fn node_width(label: &str, own: bool) -> usize {
    label.width() + 2 + usize::from(own) * 2
}

/// Columns of the label of a link with a blank on both sides.
pub(super) fn label_width(plan: &Plan, link: &Link) -> usize {
    let (calls, errors) = plan.label(link);
    calls.width() + if errors.is_empty() { 0 } else { errors.width() + 1 }
}

/// The legs of all links, each with its own row at every node as far as the node has rows.
fn legs(plan: &Plan) -> Vec<Leg> {
    let mut legs = Vec::new();
    for (at, link) in plan.links.iter().enumerate() {
        let (left, right) = if link.back { (link.dst, link.src) } else { (link.src, link.dst) };
        let (Some(left), Some(right)) = (plan.nodes.get(left), plan.nodes.get(right)) else { continue };
        let mut stops = vec![(left.level, left.middle())];
        stops.extend(link.via.iter().copied());
        stops.push((right.level, right.middle()));
        let last = stops.len().saturating_sub(2);
        for (place, pair) in stops.windows(2).enumerate() {
            let [(level, from), (_, to)] = *pair else { continue };
            legs.push(Leg { link: at, level, from, to, track: 0, first: place == 0, last: place == last });
        }
    }
    for (at, node) in plan.nodes.iter().enumerate() {
        let leaves = |link: &Link| if link.back { link.dst } else { link.src } == at;
        let enters = |link: &Link| if link.back { link.src } else { link.dst } == at;
        spread(
            plan,
            &mut legs,
            (node.y, node.height),
            &|leg| leg.first,
            &leaves,
            |leg| leg.to,
            |leg| &mut leg.from,
        );
        spread(
            plan,
            &mut legs,
            (node.y, node.height),
            &|leg| leg.last,
            &enters,
            |leg| leg.from,
            |leg| &mut leg.to,
        );
    }
    legs
}

/// Gives the ends of the chosen legs the rows of a node, in the order of their other ends.
fn spread(
    plan: &Plan,
    legs: &mut [Leg],
    (y, height): (usize, usize),
    end: &dyn Fn(&Leg) -> bool,
    mine: &dyn Fn(&Link) -> bool,
    far: fn(&Leg) -> usize,
    near: fn(&mut Leg) -> &mut usize,
) {
    let mut ends: Vec<&mut Leg> =
        legs.iter_mut().filter(|leg| end(leg) && plan.links.get(leg.link).is_some_and(mine)).collect();
    ends.sort_by_key(|leg| (far(leg), leg.link));
    let n = ends.len();
    for (place, leg) in ends.into_iter().enumerate() {
        let row = if n <= height { (height - n) / 2 + place } else { place * height / n };
        *near(leg) = y + row;
    }
}

/// Gives every leg of the channel right of `level` that changes its row a track; returns how many tracks there are.
///
/// A leg that leaves in a row where another arrives must turn first, else the two would lie on each other.
fn assign_tracks(legs: &mut [Leg], level: usize) -> usize {
    let mut open: Vec<usize> = (0..legs.len())
        .filter(|at| legs.get(*at).is_some_and(|leg| leg.level == level && leg.from != leg.to))
        .collect();
    let mut done: Vec<(usize, usize, usize, usize)> = Vec::new();
    let mut tracks = 0;
    while !open.is_empty() {
        let free = |at: &usize| {
            let Some(leg) = legs.get(*at) else { return true };
            !open
                .iter()
                .any(|other| other != at && legs.get(*other).is_some_and(|other| other.from == leg.to))
        };
        // Around a ring of such rules there is no right order: take the first.
        let chosen = open.iter().position(free).unwrap_or(0);
        let at = open.remove(chosen);
        let Some(leg) = legs.get_mut(at) else { continue };
        let (low, high) = (leg.from.min(leg.to), leg.from.max(leg.to));
        let after = done
            .iter()
            .filter(|(.., from, _)| *from == leg.to)
            .map(|(.., track)| track + 1)
            .max()
            .unwrap_or(0);
        let clear = |track: usize| !done.iter().any(|(a, b, _, t)| *t == track && *a <= high && low <= *b);
        let track = (after..).find(|track| clear(*track)).unwrap_or(after);
        leg.track = track;
        done.push((low, high, leg.from, track));
        tracks = tracks.max(track + 1);
    }
    tracks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(from: usize, to: usize) -> Leg {
        Leg { link: 0, level: 0, from, to, track: 0, first: true, last: true }
    }

    #[test]
    fn legs_that_overlap_have_tracks_of_their_own() {
        let mut legs = vec![leg(0, 5), leg(1, 6), leg(7, 9), leg(3, 3)];
        assert_eq!(assign_tracks(&mut legs, 0), 2);
        assert_ne!(legs[0].track, legs[1].track);
        assert_eq!(assign_tracks(&mut legs, 1), 0);
    }

    #[test]
    fn who_leaves_a_row_turns_before_who_arrives_in_it() {
        let mut legs = vec![leg(0, 4), leg(4, 8)];
        assign_tracks(&mut legs, 0);
        assert!(legs[1].track < legs[0].track);
    }

    #[test]
    fn a_ring_of_rules_ends() {
        let mut legs = vec![leg(0, 4), leg(4, 0)];
        assert_eq!(assign_tracks(&mut legs, 0), 2);
    }
}
