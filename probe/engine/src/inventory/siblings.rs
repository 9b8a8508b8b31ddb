//! Judges which of the segments that stand side by side below one path are values.
//!
//! Every rule asks whether a set that only grows has become large enough, so a verdict never depends on the
//! order of arrival nor on which node saw what, and is never taken back.

use super::segment::extension;
use super::words;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Name of a parameter that was found by comparing siblings.
pub const FREE: &str = "{name}";
/// Below a namespace (`/`, `/api`, an item) other words than values are likely: so many times K are asked for.
const NAMESPACE_FACTOR: usize = 3;
/// Recognised words fold only where values were proven, and then only so many times K of one kind.
const NAME_FACTOR: usize = 5;
/// Identifier types from narrow to wide: the widest that was seen at a place takes the narrower ones in.
const WIDENING: [&str; 5] = ["{id:int}", "{id:digits}", "{id:hex}", "{id:mixed}", "{id:b64}"];
/// From here on, identifiers may be any letters and digits, and proven free text takes them in.
const ANY_LETTERS: usize = 3;

/// How a segment is used: by which method, with how many segments to follow.
pub type Use<'a> = (&'a str, usize);

/// One of the segments below a path.
pub struct Sibling<'a> {
    /// The segment, typed.
    pub segment: &'a str,
    /// How it was used by calls that were not refused by the router; only these are evidence.
    pub uses: Vec<Use<'a>>,
}

/// The names under which `siblings` (in order, each once) below `parent` are shown.
#[must_use]
pub fn judge<'a>(parent: &str, siblings: &[Sibling<'a>], k: usize) -> Vec<Cow<'a, str>> {
    if words::is_dotted(parent) {
        return siblings.iter().map(|sibling| Cow::Borrowed(sibling.segment)).collect();
    }
    let kinds: Vec<Kind> = siblings.iter().map(|sibling| Kind::of(sibling.segment)).collect();
    let widest = WIDENING.iter().rposition(|name| siblings.iter().any(|sibling| sibling.segment == *name));
    let likely_names = words::is_namespace(parent) || parent.starts_with('{');
    let mut verdicts = BTreeMap::new();
    for free in kinds.iter().filter_map(Kind::family) {
        verdicts.entry(free).or_insert_with(|| Verdict::of(free, siblings, &kinds, k, likely_names));
    }
    let text_proven = verdicts.get("").is_some_and(Verdict::proven);
    let widest = widest.map(|widest| match WIDENING.get(widest) {
        Some(name) if widest < ANY_LETTERS || !text_proven => (widest, *name),
        _ => (widest, FREE),
    });
    let verdict_on = |(sibling, kind): (&Sibling<'a>, &Kind<'a>)| match kind {
        Kind::Typed => widened(sibling.segment, widest),
        Kind::Name => {
            let proven = verdicts.get("").is_some_and(|verdict| verdict.takes_name(sibling));
            if proven { Cow::Borrowed(FREE) } else { Cow::Borrowed(sibling.segment) }
        }
        Kind::Plain(family) | Kind::Odd(family) => {
            if let Some(name) = absorbed(sibling.segment, kind, widest) {
                return name;
            }
            let folds = verdicts.get(family).is_some_and(|verdict| verdict.takes(sibling, kind));
            if folds { free_name(family) } else { Cow::Borrowed(sibling.segment) }
        }
    };
    siblings.iter().zip(&kinds).map(verdict_on).collect()
}

/// What a segment looks like on its own. Free text carries the extension that its family shares.
enum Kind<'a> {
    Typed,
    Name,
    Plain(&'a str),
    Odd(&'a str),
}

impl<'a> Kind<'a> {
    fn of(segment: &'a str) -> Self {
        let family = extension(segment).map_or("", |(_, extension)| extension);
        if segment == free_name(family) {
            Self::Odd(family)
        } else if segment.contains('{') || segment.is_empty() {
            Self::Typed
        } else if words::is_name(segment) {
            Self::Name
        } else if words::is_odd(extension(segment).map_or(segment, |(stem, _)| stem)) {
            Self::Odd(family)
        } else {
            Self::Plain(family)
        }
    }

    const fn family(&self) -> Option<&'a str> {
        match self {
            Self::Plain(family) | Self::Odd(family) => Some(family),
            Self::Typed | Self::Name => None,
        }
    }
}

/// What the members of one family of free text prove together.
struct Verdict<'a> {
    /// An earlier fold already put a parameter here.
    settled: bool,
    /// Uses that enough odd members share, and that enough members of any look share.
    odd: Vec<Use<'a>>,
    any: Vec<Use<'a>>,
    /// Uses that enough recognised words share.
    names: Vec<Use<'a>>,
}

impl<'a> Verdict<'a> {
    fn of(family: &str, siblings: &[Sibling<'a>], kinds: &[Kind<'_>], k: usize, likely_names: bool) -> Self {
        let count = |wanted: &dyn Fn(&Kind<'_>) -> bool, above: usize| {
            let mut uses: BTreeMap<Use<'a>, usize> = BTreeMap::new();
            let members = siblings.iter().zip(kinds).filter(|(_, kind)| wanted(kind));
            members
                .flat_map(|(sibling, _)| &sibling.uses)
                .for_each(|each| *uses.entry(*each).or_default() += 1);
            uses.into_iter().filter(|(_, count)| *count > above).map(|(each, _)| each).collect::<Vec<_>>()
        };
        let factor = if likely_names { NAMESPACE_FACTOR } else { 1 };
        Self {
            settled: siblings.iter().any(|sibling| sibling.segment == free_name(family)),
            odd: count(&|kind| matches!(kind, Kind::Odd(own) if *own == family), k),
            any: count(&|kind| kind.family() == Some(family), k * factor),
            names: count(&|kind| matches!(kind, Kind::Name), k * NAME_FACTOR),
        }
    }

    fn proven(&self) -> bool {
        self.settled || !self.odd.is_empty() || !self.any.is_empty()
    }

    fn takes(&self, sibling: &Sibling<'a>, kind: &Kind<'_>) -> bool {
        let odd = matches!(kind, Kind::Odd(_));
        let shares = |uses: &[Use<'a>]| sibling.uses.iter().any(|each| uses.contains(each));
        self.settled
            || shares(&self.any)
            || (odd && shares(&self.odd))
            || (sibling.uses.is_empty() && self.proven())
    }

    fn takes_name(&self, sibling: &Sibling<'a>) -> bool {
        self.proven() && sibling.uses.iter().any(|each| self.names.contains(each))
    }
}

fn free_name(family: &str) -> Cow<'static, str> {
    if family.is_empty() { Cow::Borrowed(FREE) } else { Cow::Owned(format!("{FREE}.{family}")) }
}

/// The rank of the widest identifier type at a place, and the name that all of them get.
type Widest = Option<(usize, &'static str)>;

fn widened(segment: &str, widest: Widest) -> Cow<'_, str> {
    let ranked = WIDENING.contains(&segment);
    widest.filter(|_| ranked).map_or(Cow::Borrowed(segment), |(_, name)| Cow::Borrowed(name))
}

/// Where identifiers of any letters and digits were seen, an odd word without separators is one of them.
fn absorbed(segment: &str, kind: &Kind<'_>, widest: Widest) -> Option<Cow<'static, str>> {
    let lone = matches!(kind, Kind::Odd("")) && segment.bytes().all(|b| b.is_ascii_alphanumeric());
    widest.filter(|(rank, _)| lone && *rank >= ANY_LETTERS).map(|(_, name)| Cow::Borrowed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parent: &str, segments: &[String]) -> Vec<String> {
        let leaf = |segment| Sibling { segment, uses: vec![("GET", 0)] };
        let siblings: Vec<Sibling<'_>> = segments.iter().map(|segment| leaf(segment.as_str())).collect();
        judge(parent, &siblings, 10).into_iter().map(Cow::into_owned).collect()
    }

    fn list(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    const PEOPLE: &str = "alice bob carlos dmitri erin fatima giulia hiro ingrid jorge kofi";

    #[test]
    fn the_eleventh_value_folds_all() {
        let people = list(PEOPLE);
        assert_eq!(shown("users", &people[..10]), people[..10]);
        assert_eq!(shown("users", &people), vec![FREE; 11]);
    }

    #[test]
    fn names_stay_beside_values() {
        let people = list(&format!("{PEOPLE} me search export"));
        assert_eq!(shown("users", &people)[11..], list("me search export"));
    }

    #[test]
    fn resources_and_procedures_never_fold() {
        let resources = list(
            "users orders products carts payments invoices shipments reviews categories coupons refunds wallets",
        );
        assert_eq!(shown("api", &resources), resources);
        let methods = list("hello.world a.b c.d e.f g.h i.j k.l m.n o.p q.r s.t u.v");
        assert_eq!(shown("api", &methods), methods);
        assert_eq!(shown("pkg.Frobnicator", &list(PEOPLE)), list(PEOPLE));
    }

    #[test]
    fn below_a_namespace_more_evidence_is_asked_for_unless_odd() {
        assert_eq!(shown("api", &list(PEOPLE)), list(PEOPLE));
        let slugs: Vec<String> = (0..11).map(|n| format!("item-{n}")).collect();
        assert_eq!(shown("", &slugs), vec![FREE; 11]);
    }

    #[test]
    fn files_fold_by_extension() {
        let files: Vec<String> =
            list(PEOPLE).iter().map(|name| format!("{name}.png")).chain(list("logo.png alice.css")).collect();
        let shown = shown("img", &files);
        assert_eq!(shown[..11], vec!["{name}.png"; 11]);
        assert_eq!(shown[11..], ["logo.png", "alice.css"]);
    }

    #[test]
    fn types_widen_to_what_was_seen() {
        assert_eq!(shown("commit", &list("{id:hex} {id:int}")), ["{id:hex}", "{id:hex}"]);
        assert_eq!(
            shown("items", &list("{id:mixed} {id:int} qzxvk latest")),
            ["{id:mixed}", "{id:mixed}", "{id:mixed}", "latest"]
        );
        let people = list(&format!("{PEOPLE} {{id:mixed}} {{id:int}}"));
        assert_eq!(shown("users", &people), vec![FREE; 13]);
        assert_eq!(shown("users", &list("{id:int} {id:uuid}")), ["{id:int}", "{id:uuid}"]);
    }
}
