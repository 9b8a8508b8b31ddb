//! Path templates of a service: a pure function of the set of its endpoints and the operator's rules.
//!
//! Going down from the root, all segments that stand side by side are judged together; those that fold
//! become one place, below which everything that stood below any of them is judged together again.

use super::rules::Rules;
use super::segment::MAX_SEGMENTS;
use super::siblings::{Sibling, Use, judge};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::BTreeMap;
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
    fn below(&mut self, parent: &str, members: Vec<usize>, depth: usize) {
        let mut by_segment: BTreeMap<&'a str, Vec<usize>> = BTreeMap::new();
        for at in members {
            match self.segments.get(at).and_then(|segments| segments.get(depth)) {
                Some(segment) => by_segment.entry(segment).or_default().push(at),
                None => self.finish(at),
            }
        }
        let mut by_name: BTreeMap<Cow<'a, str>, Vec<usize>> = BTreeMap::new();
        let names = self.names(parent, &by_segment, depth);
        for (name, (_, members)) in names.into_iter().zip(by_segment) {
            by_name.entry(name).or_default().extend(members);
        }
        let len = self.prefix.len();
        for (name, members) in by_name {
            self.prefix.push('/');
            self.prefix.push_str(&name);
            self.below(&name, members, depth + 1);
            self.prefix.truncate(len);
        }
    }

    fn names(
        &self,
        parent: &str,
        by_segment: &BTreeMap<&'a str, Vec<usize>>,
        depth: usize,
    ) -> Vec<Cow<'a, str>> {
        match self.rules.below(&self.prefix) {
            Some(Some(name)) => by_segment.keys().map(|_| Cow::Owned(name.to_owned())).collect(),
            Some(None) => by_segment.keys().map(|segment| Cow::Borrowed(*segment)).collect(),
            None if by_segment.len() < 2 => {
                by_segment.keys().map(|segment| Cow::Borrowed(*segment)).collect()
            }
            None => judge(parent, &self.siblings(by_segment, depth), self.k),
        }
    }

    fn siblings(&self, by_segment: &BTreeMap<&'a str, Vec<usize>>, depth: usize) -> Vec<Sibling<'a>> {
        let sibling = |(segment, members): (&&'a str, &Vec<usize>)| {
            let mut uses: Vec<Use<'a>> = members.iter().filter_map(|at| self.usage(*at, depth)).collect();
            uses.sort_unstable();
            uses.dedup();
            Sibling { segment, uses }
        };
        by_segment.iter().map(sibling).collect()
    }

    fn usage(&self, at: usize, depth: usize) -> Option<Use<'a>> {
        let member = self.members.get(at).filter(|member| member.routed)?;
        Some((member.method, self.segments.get(at)?.len() - depth - 1))
    }

    fn finish(&mut self, at: usize) {
        if let Some(template) = self.templates.get_mut(at)
            && **template != *self.prefix
        {
            *template = Arc::from(self.prefix.as_str());
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
