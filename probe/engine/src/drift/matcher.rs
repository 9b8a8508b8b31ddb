//! From method and path to the documented operation: a trie of path segments.
//!
//! Works on typed paths (`/users/{id:int}`) as well as on plain ones.

use crate::inventory::segment::type_path;
use crate::spec::{Fits, Location, Operation};
use apisec_proto::path::normalise;
use compact_str::CompactString;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// Keys come from specifications, which the operator gave; the wire only asks.
type Hasher = foldhash::fast::RandomState;

/// Nodes that one search may visit: a path of 24 segments through a trie without ambiguity visits 25. Only a trie
/// whose branches are ambiguous at every level reaches it, and then the search ends without a match.
const MAX_VISITS: u32 = 4_096;

/// A documented path with its operations.
#[derive(Clone, Debug)]
pub struct Route {
    /// Base path and template, as shown.
    pub path: Arc<str>,
    /// Methods and the numbers of their operations.
    pub operations: SmallVec<[(CompactString, u32); 4]>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Number of the route.
    pub route: u32,
    /// Number of the operation; `None` when the path is documented, but not this method.
    pub operation: Option<u32>,
    /// A value does not fit its parameter.
    pub loose: bool,
    /// Only found when letter case was ignored.
    pub other_case: bool,
}

/// Documented paths.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    routes: Vec<Route>,
    exact: Trie,
    /// The same in lower case.
    folded: Trie,
    /// Some documented path is not in lower case.
    upper: bool,
}

impl Matcher {
    /// Adds a path with an operation; false when that method is documented there already.
    pub fn add(&mut self, base: &str, operation: &Operation, number: u32) -> bool {
        let template = template(base, &operation.path);
        let pieces: Vec<Piece> = pieces(&template).map(|piece| Piece::of(piece, operation)).collect();
        self.upper |= pieces.iter().any(Piece::has_upper);
        let end = self.exact.grow(&pieces);
        let next = self.routes.len() as u32;
        let Some(route) = self.exact.route(end).map(|route| *route.get_or_insert(next)) else { return false };
        if route == next {
            self.routes.push(Route { path: Arc::from(template.as_str()), operations: SmallVec::new() });
            let lower: Vec<Piece> = pieces.iter().map(Piece::lower).collect();
            let end = self.folded.grow(&lower);
            self.folded.route(end).into_iter().for_each(|known| *known = known.or(Some(route)));
        }
        let Some(known) = self.routes.get_mut(route as usize) else { return false };
        if known.operations.iter().any(|(method, _)| *method == operation.method) {
            return false;
        }
        known.operations.push((operation.method.clone(), number));
        true
    }

    /// The routes, by number.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The documented operation of a call.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<Found> {
        let exact = self.search(&self.exact, method, path);
        if exact.is_some_and(|found| found.operation.is_some() && !found.loose) || !has_upper(path) {
            return exact.or_else(|| self.ignoring_case(method, path));
        }
        let folded =
            self.ignoring_case(method, path).filter(|found| found.operation.is_some() && !found.loose);
        folded.or(exact)
    }

    fn ignoring_case(&self, method: &str, path: &str) -> Option<Found> {
        let found = self.search(&self.folded, method, &path.to_ascii_lowercase())?;
        Some(Found { other_case: true, ..found })
    }

    fn search(&self, trie: &Trie, method: &str, path: &str) -> Option<Found> {
        let rest = path.strip_prefix('/')?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let rest = (!rest.is_empty()).then_some(rest);
        for loose in [false, true] {
            let mut search =
                Search { trie, routes: &self.routes, method, loose, visits: 0, path: None, unfit: false };
            let found = search.from(0, rest);
            if found.is_some() || search.path.is_some() {
                let (route, operation) = found
                    .map(|(route, number)| (route, Some(number)))
                    .or(search.path.map(|route| (route, None)))?;
                return Some(Found { route, operation, loose, other_case: false });
            }
            if !search.unfit {
                return None;
            }
        }
        None
    }
}

fn has_upper(path: &str) -> bool {
    path.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Base and path in one, without what some write behind it to tell operations apart (`?action=x`, `#x`).
fn template(base: &str, path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut template = String::with_capacity(base.len() + path.len());
    for piece in base.split('/').chain(path.split('/')).filter(|piece| !piece.is_empty()) {
        template.push('/');
        template.push_str(piece);
    }
    if template.is_empty() {
        template.push('/');
    }
    template
}

fn pieces(template: &str) -> impl Iterator<Item = &str> {
    template.split('/').filter(|piece| !piece.is_empty())
}

/// One documented segment.
#[derive(Clone, Debug)]
enum Piece {
    /// Text; and its type, when an observer would take it for a value.
    Literal(String, Option<String>),
    /// A value as a whole.
    Parameter(Fits),
    /// A value, or several, in a frame.
    Pattern(Pattern),
    /// All segments from here on.
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    before: String,
    after: String,
}

impl Piece {
    fn of(segment: &str, operation: &Operation) -> Self {
        let segment = segment.split_once(';').map_or(segment, |(name, _)| name);
        if let Some(name) = whole_parameter(segment) {
            if name.ends_with(['*', '+']) || name.starts_with('+') {
                return Self::Rest;
            }
            return Self::Parameter(fits(name, operation));
        }
        match (segment.find('{'), segment.rfind('}')) {
            (Some(open), Some(close)) if open < close => Self::Pattern(Pattern {
                before: segment.get(..open).unwrap_or_default().to_owned(),
                after: segment.get(close + 1..).unwrap_or_default().to_owned(),
            }),
            _ => Self::literal(segment),
        }
    }

    /// A literal as an observer sees it.
    fn literal(segment: &str) -> Self {
        let (mut scratch, mut plain, mut typed) = (Vec::new(), CompactString::default(), String::new());
        normalise(format!("/{segment}").as_bytes(), &mut scratch, &mut plain);
        type_path(&plain, &mut typed, |_| {});
        let text = |path: &str| path.strip_prefix('/').unwrap_or(path).to_owned();
        let (plain, typed) = (text(&plain), text(&typed));
        let hidden = (plain != typed).then_some(typed);
        Self::Literal(plain, hidden)
    }

    fn has_upper(&self) -> bool {
        match self {
            Self::Literal(text, _) => has_upper(text),
            Self::Pattern(Pattern { before, after }) => has_upper(before) || has_upper(after),
            Self::Parameter(_) | Self::Rest => false,
        }
    }

    fn lower(&self) -> Self {
        match self {
            Self::Literal(text, hidden) => Self::Literal(text.to_ascii_lowercase(), hidden.clone()),
            Self::Pattern(Pattern { before, after }) => Self::Pattern(Pattern {
                before: before.to_ascii_lowercase(),
                after: after.to_ascii_lowercase(),
            }),
            other => other.clone(),
        }
    }
}

/// `user` of `{user}` and `:user`.
fn whole_parameter(segment: &str) -> Option<&str> {
    let inner = segment.strip_prefix('{').and_then(|open| open.strip_suffix('}'));
    let inner = inner.filter(|inner| !inner.contains(['{', '}']));
    inner.or_else(|| segment.strip_prefix(':').filter(|name| !name.is_empty() && !name.contains([':', '{'])))
}

fn fits(name: &str, operation: &Operation) -> Fits {
    let named = |name: &str| {
        let mut own = operation.parameters.iter().filter(|parameter| parameter.location == Location::Path);
        own.find(|parameter| parameter.name == name).map(|parameter| parameter.fits)
    };
    named(name).unwrap_or_default()
}

/// Whether a segment can be such a value.
fn takes(fits: Fits, segment: &str) -> bool {
    let is = |kind: &str| segment.strip_prefix('{').and_then(|open| open.strip_suffix('}')) == Some(kind);
    match fits {
        Fits::Any => true,
        Fits::Integer => {
            segment.bytes().all(|byte| byte.is_ascii_digit())
                || ["id:int", "id:num", "id:digits", "id:hex", "id:oid"].into_iter().any(is)
        }
        Fits::Uuid => is("id:uuid") || segment.len() == 36,
        Fits::Date => {
            is("date") || (segment.len() == 10 && segment.starts_with(|c: char| c.is_ascii_digit()))
        }
    }
}

/// Nodes by number; the first is the root.
#[derive(Clone, Debug)]
struct Trie(Vec<Node>);

#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, u32, Hasher>,
    patterns: Vec<(Pattern, u32)>,
    /// Strictest first.
    parameters: SmallVec<[(Fits, u32); 1]>,
    /// Literals that an observer takes for values, by their type.
    hidden: Vec<(String, u32)>,
    /// The route that takes all segments from here on.
    rest: Option<u32>,
    /// The route that ends here.
    route: Option<u32>,
}

impl Default for Trie {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

/// Where a way through the trie ends.
#[derive(Clone, Copy)]
struct End {
    node: u32,
    rest: bool,
}

impl Trie {
    /// The end of a way, which is made as far as it is not there.
    fn grow(&mut self, pieces: &[Piece]) -> End {
        let mut node = 0;
        for piece in pieces {
            if matches!(piece, Piece::Rest) {
                return End { node, rest: true };
            }
            node = self.child(node, piece);
        }
        End { node, rest: false }
    }

    fn route(&mut self, end: End) -> Option<&mut Option<u32>> {
        let node = self.0.get_mut(end.node as usize)?;
        Some(if end.rest { &mut node.rest } else { &mut node.route })
    }

    fn child(&mut self, parent: u32, piece: &Piece) -> u32 {
        let next = self.0.len() as u32;
        let Some(node) = self.0.get_mut(parent as usize) else { return 0 };
        let child = match piece {
            Piece::Literal(text, hidden) => {
                let child = *node.literals.entry(text.as_str().into()).or_insert(next);
                if let Some(hidden) = hidden.as_ref().filter(|_| child == next) {
                    node.hidden.push((hidden.clone(), child));
                }
                child
            }
            Piece::Pattern(pattern) => match node.patterns.iter().find(|(known, _)| known == pattern) {
                Some((_, child)) => *child,
                None => {
                    node.patterns.push((pattern.clone(), next));
                    // The longest frame says most.
                    node.patterns
                        .sort_by_key(|(known, _)| std::cmp::Reverse(known.before.len() + known.after.len()));
                    next
                }
            },
            Piece::Parameter(fits) => match node.parameters.iter().find(|(known, _)| known == fits) {
                Some((_, child)) => *child,
                None => {
                    node.parameters.push((*fits, next));
                    node.parameters.sort();
                    next
                }
            },
            Piece::Rest => return parent,
        };
        if child == next {
            self.0.push(Node::default());
        }
        child
    }
}

/// One search.
struct Search<'a> {
    trie: &'a Trie,
    routes: &'a [Route],
    method: &'a str,
    /// Values need not fit their parameters.
    loose: bool,
    visits: u32,
    /// The first route that has the path, but not the method.
    path: Option<u32>,
    /// A value did not fit a parameter.
    unfit: bool,
}

impl Search<'_> {
    /// The route and operation below a node, most specific first. As deep as the path has segments that the
    /// documents know, so never deeper than the trie.
    fn from(&mut self, node: u32, rest: Option<&str>) -> Option<(u32, u32)> {
        self.visits += 1;
        let trie = self.trie;
        let node = trie.0.get(node as usize).filter(|_| self.visits <= MAX_VISITS)?;
        let Some(rest) = rest else { return node.route.and_then(|route| self.end(route)) };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        if let Some(child) = node.literals.get(segment)
            && let Some(found) = self.from(*child, after)
        {
            return Some(found);
        }
        for (pattern, child) in &node.patterns {
            if pattern.takes(segment)
                && let Some(found) = self.from(*child, after)
            {
                return Some(found);
            }
        }
        for (fits, child) in &node.parameters {
            if !self.loose && !takes(*fits, segment) {
                self.unfit = true;
            } else if let Some(found) = self.from(*child, after) {
                return Some(found);
            }
        }
        self.hidden(node, segment, after).or_else(|| node.rest.and_then(|route| self.end(route)))
    }

    /// Where typing hid a literal, or the frame of a value.
    fn hidden(&mut self, node: &Node, segment: &str, after: Option<&str>) -> Option<(u32, u32)> {
        if !segment.starts_with('{') {
            return None;
        }
        let literals = node.hidden.iter().filter(|(typed, _)| typed == segment).map(|(_, child)| *child);
        let whole = segment.find('}') == Some(segment.len() - 1);
        let frames = node.patterns.iter().filter(|_| whole).map(|(_, child)| *child);
        let children: SmallVec<[u32; 8]> = literals.chain(frames).collect();
        children.into_iter().find_map(|child| self.from(child, after))
    }

    fn end(&mut self, route: u32) -> Option<(u32, u32)> {
        let operations = &self.routes.get(route as usize)?.operations;
        let of =
            |method: &str| operations.iter().find(|(known, _)| known == method).map(|(_, number)| *number);
        let found = of(self.method).or_else(|| (self.method == "HEAD").then(|| of("GET")).flatten());
        if found.is_none() {
            self.path.get_or_insert(route);
        }
        Some((route, found?))
    }
}

impl Pattern {
    fn takes(&self, segment: &str) -> bool {
        segment.len() > self.before.len() + self.after.len()
            && segment.starts_with(&self.before)
            && segment.ends_with(&self.after)
    }
}

#[cfg(test)]
mod tests;
