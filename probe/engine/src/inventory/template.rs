//! Path templates of a service: a pure function of the set of its endpoints and the operator's rules.
//!
//! Going down from the root, all segments that stand side by side are judged together; those that fold
//! become one place, below which everything that stood below any of them is judged together again.

use super::rules::Rules;
use super::segment::MAX_SEGMENTS;
use super::siblings::{Sibling, Use, judge};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// An endpoint as observed.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Typed path.
    pub path: &'a Arc<str>,
    /// Method token.
    pub method: &'a str,
    /// It was answered other than by the router's refusal: it may serve as evidence.
    pub routed: bool,
}

/// The template of each member, in their order. `k` is the number of values that may stay side by side.
#[must_use]
pub fn templates(members: &[Member<'_>], rules: &Rules, k: usize) -> Vec<Arc<str>> {
    let segments = members.iter().map(|member| segments(member.path)).collect();
    let templates = members.iter().map(|member| member.path.clone()).collect();
    let mut fold = Fold { members, segments, rules, k, templates, prefix: String::new() };
    let all =
        (0..members.len()).filter(|at| members.get(*at).is_some_and(|member| member.path.starts_with('/')));
    fold.below("", all.collect(), 0);
    fold.templates
}

/// The segments of a typed path.
#[must_use]
pub fn segments(path: &str) -> SmallVec<[&str; 8]> {
    path.strip_prefix('/').map(|path| path.split('/').take(MAX_SEGMENTS + 1).collect()).unwrap_or_default()
}

/// Whether a typed path, such as the log keeps, belongs to a template.
#[must_use]
pub fn covers(template: &str, typed: &str) -> bool {
    if template == typed {
        return true;
    }
    let (ours, theirs) = (segments(template), segments(typed));
    let fits = |(our, their): (&&str, &&str)| our == their || (our.contains('{') && same_suffix(our, their));
    !ours.is_empty() && ours.len() == theirs.len() && ours.iter().zip(&theirs).all(fits)
}

/// What follows the parameter (`.png`, `:cancel`) must agree.
fn same_suffix(parameter: &str, segment: &str) -> bool {
    parameter.rsplit_once('}').is_some_and(|(_, suffix)| segment.ends_with(suffix))
}

struct Fold<'a> {
    members: &'a [Member<'a>],
    segments: Vec<SmallVec<[&'a str; 8]>>,
    rules: &'a Rules,
    k: usize,
    templates: Vec<Arc<str>>,
    prefix: String,
}

impl<'a> Fold<'a> {
    /// Names everything below `self.prefix`, whose last segment is `parent`. As deep as the deepest path.
    fn below(&mut self, parent: &str, mut members: Vec<usize>, depth: usize) {
        if let ([only], true) = (members.as_slice(), self.rules.is_empty()) {
            self.finish(*only, depth);
            return;
        }
        members.retain(|at| {
            let deeper = self.segment(*at, depth).is_some();
            if !deeper {
                self.finish(*at, depth);
            }
            deeper
        });
        members.sort_by_key(|at| self.segment(*at, depth));
        let siblings: Vec<(&'a str, &[usize])> = members
            .chunk_by(|a, b| self.segment(*a, depth) == self.segment(*b, depth))
            .filter_map(|chunk| Some((self.segment(*chunk.first()?, depth)?, chunk)))
            .collect();
        let mut named: Vec<(Cow<'a, str>, &[usize])> = self
            .names(parent, &siblings, depth)
            .into_iter()
            .zip(siblings.iter().map(|(_, members)| *members))
            .collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let len = self.prefix.len();
        for together in named.chunk_by(|a, b| a.0 == b.0) {
            let Some((name, _)) = together.first() else { continue };
            self.prefix.push('/');
            self.prefix.push_str(name);
            self.below(name, together.iter().flat_map(|(_, members)| *members).copied().collect(), depth + 1);
            self.prefix.truncate(len);
        }
    }

    fn segment(&self, at: usize, depth: usize) -> Option<&'a str> {
        self.segments.get(at).and_then(|segments| segments.get(depth)).copied()
    }

    fn names(&self, parent: &str, siblings: &[(&'a str, &[usize])], depth: usize) -> Vec<Cow<'a, str>> {
        match self.rules.below(&self.prefix) {
            Some(Some(name)) => siblings.iter().map(|_| Cow::Owned(name.to_owned())).collect(),
            None if siblings.len() > 1 => judge(parent, &self.siblings(siblings, depth), self.k),
            _ => siblings.iter().map(|(segment, _)| Cow::Borrowed(*segment)).collect(),
        }
    }

    fn siblings(&self, siblings: &[(&'a str, &[usize])], depth: usize) -> Vec<Sibling<'a>> {
        let sibling = |(segment, members): &(&'a str, &[usize])| {
            let mut uses: Vec<Use<'a>> = members.iter().filter_map(|at| self.usage(*at, depth)).collect();
            uses.sort_unstable();
            uses.dedup();
            Sibling { segment, uses }
        };
        siblings.iter().map(sibling).collect()
    }

    fn usage(&self, at: usize, depth: usize) -> Option<Use<'a>> {
        let member = self.members.get(at).filter(|member| member.routed)?;
        Some((member.method, self.segments.get(at)?.len() - depth - 1))
    }

    /// The template of a member is the prefix, and its own segments from `depth` on.
    fn finish(&mut self, at: usize, depth: usize) {
        let (Some(template), Some(segments)) = (self.templates.get_mut(at), self.segments.get(at)) else {
            return;
        };
        let own = segments.iter().skip(depth).map(|segment| segment.len() + 1).sum::<usize>();
        let unchanged =
            template.len() == self.prefix.len() + own && template.starts_with(self.prefix.as_str());
        if !unchanged {
            let mut path = self.prefix.clone();
            segments.iter().skip(depth).for_each(|segment| path.extend(["/", segment]));
            *template = Arc::from(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TemplateRule;
    use proptest::prelude::*;

    fn fold_with(paths: &[String], rules: &[TemplateRule]) -> Vec<String> {
        let paths: Vec<Arc<str>> = paths.iter().map(|path| Arc::from(path.as_str())).collect();
        let members: Vec<Member<'_>> =
            paths.iter().map(|path| Member { path, method: "GET", routed: true }).collect();
        templates(&members, &Rules::of(rules, "shop"), 10).iter().map(ToString::to_string).collect()
    }

    fn fold(paths: &[String]) -> Vec<String> {
        fold_with(paths, &[])
    }

    fn repositories(owners: usize) -> Vec<String> {
        let people = [
            "alice", "bob", "carlos", "dmitri", "erin", "fatima", "giulia", "hiro", "ingrid", "jorge",
            "kofi", "lena",
        ];
        people.iter().take(owners).map(|owner| format!("/repos/{owner}/{owner}-falcon/issues")).collect()
    }

    #[test]
    fn what_stood_below_folded_values_is_judged_together() {
        assert_eq!(fold(&repositories(10)), repositories(10));
        // Below a parameter three times K are asked for, so the twelve second segments stay.
        let folded = fold(&repositories(12));
        assert!(folded.iter().all(|path| path.starts_with("/repos/{name}/")), "{folded:?}");
        let mut many = repositories(12);
        many.extend((0..11).map(|n| format!("/repos/alice/thing-{n}/issues")));
        assert!(fold(&many).contains(&"/repos/{name}/{name}/issues".to_owned()));
    }

    #[test]
    fn refused_paths_are_no_evidence_but_follow_the_verdict() {
        let paths: Vec<Arc<str>> = (0..40).map(|n| Arc::from(format!("/x/scan-{n}"))).collect();
        let refused: Vec<Member<'_>> =
            paths.iter().map(|path| Member { path, method: "GET", routed: false }).collect();
        assert_eq!(templates(&refused, &Rules::default(), 10), paths);
        let mixed: Vec<Member<'_>> = paths
            .iter()
            .enumerate()
            .map(|(n, path)| Member { path, method: "GET", routed: n < 20 })
            .collect();
        assert!(templates(&mixed, &Rules::default(), 10).iter().all(|path| **path == *"/x/{name}"));
    }

    #[test]
    fn the_operator_merges_and_splits() {
        let paths = ["/shop/falcon", "/shop/orders", "/shop/{id:int}/parts"].map(str::to_owned);
        let merge = TemplateRule::Merge { service: "shop".into(), path: "/shop/{item}".into() };
        let split = TemplateRule::Split { service: "shop".into(), path: "/repos/{name}".into() };
        assert_eq!(fold_with(&paths, &[merge]), ["/shop/{item}", "/shop/{item}", "/shop/{item}/parts"]);
        assert_eq!(fold_with(&repositories(12), &[split]), repositories(12));
    }

    #[test]
    fn covers_what_it_folded() {
        assert!(covers("/repos/{name}/x", "/repos/alice/x"));
        assert!(covers("/img/{name}.png", "/img/alice.png"));
        assert!(!covers("/img/{name}.png", "/img/alice.css"));
        assert!(!covers("/repos/{name}/x", "/repos/alice/y"));
        assert!(!covers("/repos/{name}", "/repos/alice/y"));
        assert!(covers("{overflow}", "{overflow}"));
        assert!(!covers("{overflow}", "/a"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_order_of_arrival_does_not_matter(
            mut paths in proptest::collection::vec("/(users|shop|x)/(al|bo|it-1|it-2|ze)[a-c]{0,2}(/[a-d]{2,3})?", 1..60),
            seed in any::<prop::sample::Index>(),
        ) {
            paths.sort();
            paths.dedup();
            let mut sorted: Vec<(String, String)> = paths.iter().cloned().zip(fold(&paths)).collect();
            let cut = seed.index(paths.len());
            paths.rotate_left(cut);
            let mut rotated: Vec<(String, String)> = paths.iter().cloned().zip(fold(&paths)).collect();
            sorted.sort();
            rotated.sort();
            prop_assert_eq!(sorted, rotated);
        }

        #[test]
        fn a_fold_is_never_taken_back(
            mut paths in proptest::collection::vec("/(users|shop)/(al|bo|it-1|it-2|ze)[a-c]{0,2}(/[a-d]{2,3})?", 2..80),
            part in any::<prop::sample::Index>(),
        ) {
            paths.sort();
            paths.dedup();
            let fewer = &paths[..part.index(paths.len())];
            let literals = |path: &String| path.matches('{').count();
            for (early, late) in fold(fewer).iter().zip(fold(&paths)) {
                prop_assert!(literals(early) <= literals(&late), "{} became {}", early, late);
            }
        }
    }
}
