//! What the bodies of one operation looked like: a mergeable shape per kind of message, never a value.
//!
//! Bodies that were read whole are kept apart from those of which only the beginning was: what is missing in the
//! latter proves nothing.

pub use apisec_proto::body::Format;
use apisec_proto::body::shape::{Place, Shape, Tally};
use apisec_proto::body::{Bodies, Body};
use serde::{Deserialize, Serialize};

/// Kinds of messages kept per operation: the request, and answers by status. Few operations have more.
const KEPT: usize = 12;
/// The status under which a request goes.
pub const REQUEST: u16 = 0;

/// All kinds of messages of one operation, ascending by status and format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    kept: Vec<Look>,
    more: bool,
}

/// Bodies of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The status that they came with; [`REQUEST`] for what was asked with.
    pub status: u16,
    /// What they are.
    pub format: Format,
    /// How many were read to their end.
    pub whole_bodies: u64,
    /// How many were read in part.
    pub cut_bodies: u64,
    /// What the former looked like.
    pub whole: Shape,
    /// What the latter looked like.
    pub cut: Shape,
    /// Sensitive values by class.
    pub sensitive: Tally,
}

impl Looks {
    /// Adds the bodies of a call.
    pub fn add(&mut self, status: Option<u16>, bodies: &Bodies) {
        // What was refused says nothing about what is accepted.
        let refused = status.is_some_and(|status| status >= 400);
        for body in bodies.request.iter().chain(&bodies.query).filter(|_| !refused) {
            self.look(REQUEST, body.format, |look| look.add(body));
        }
        if let Some((body, status)) = bodies.response.as_ref().zip(status.filter(|status| *status != REQUEST))
        {
            self.look(status, body.format, |look| look.add(body));
        }
    }

    /// Adds the bodies of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.more |= other.more;
        other.kept.iter().for_each(|theirs| self.put(theirs));
    }

    /// Adds bodies of one kind.
    pub fn put(&mut self, theirs: &Look) {
        self.look(theirs.status, theirs.format, |look| look.merge(theirs));
    }

    /// The kinds, requests first.
    #[must_use]
    pub fn kept(&self) -> &[Look] {
        &self.kept
    }

    /// What stood at a parameter of the query, in calls whose query was looked at.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Place> {
        let look = self.kept.iter().find(|look| look.format == Format::Query)?;
        look.shape().at(&format!(".{name}")).cloned()
    }

    /// There were more kinds than are kept.
    #[must_use]
    pub const fn more(&self) -> bool {
        self.more
    }

    /// Keeps the smallest kinds, not the first to come, so that merging is exact.
    fn look(&mut self, status: u16, format: Format, change: impl FnOnce(&mut Look)) {
        let place = self.kept.binary_search_by_key(&(status, format), |look| (look.status, look.format));
        let at = match place {
            Ok(at) => at,
            Err(at) if at >= KEPT => {
                self.more = true;
                return;
            }
            Err(at) => {
                self.kept.insert(at, Look { status, format, ..Look::default() });
                at
            }
        };
        if let Some(look) = self.kept.get_mut(at) {
            change(look);
        }
        self.more |= self.kept.len() > KEPT;
        self.kept.truncate(KEPT);
    }
}

impl Look {
    fn add(&mut self, body: &Body) {
        let (bodies, shape) = if body.whole {
            (&mut self.whole_bodies, &mut self.whole)
        } else {
            (&mut self.cut_bodies, &mut self.cut)
        };
        *bodies = bodies.saturating_add(1);
        shape.merge(&body.shape);
        self.sensitive.merge(&body.sensitive);
    }

    fn merge(&mut self, other: &Self) {
        self.whole_bodies = self.whole_bodies.saturating_add(other.whole_bodies);
        self.cut_bodies = self.cut_bodies.saturating_add(other.cut_bodies);
        self.whole.merge(&other.whole);
        self.cut.merge(&other.cut);
        self.sensitive.merge(&other.sensitive);
    }

    /// All that is known of them together.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let mut all = self.whole.clone();
        all.merge(&self.cut);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apisec_proto::body::shape::Kinds;
    use proptest::prelude::*;

    fn body(key: u8, whole: bool) -> Body {
        let mut body = Body { format: Format::Json, whole, ..Body::default() };
        body.shape.add(&format!(".k{key}"), |place| {
            place.count += 1;
            place.kinds.insert(Kinds::STRING);
        });
        body
    }

    fn of(calls: &[(u16, u8, bool)]) -> Looks {
        let mut looks = Looks::default();
        for (status, key, whole) in calls {
            let bodies = Bodies { response: Some(body(*key, *whole)), ..Bodies::default() };
            looks.add(Some(200 + status), &bodies);
        }
        looks
    }

    proptest! {
        #[test]
        fn merging_is_exact_beyond_the_bound(
            a in proptest::collection::vec((0_u16..30, 0_u8..9, any::<bool>()), 0..60),
            b in proptest::collection::vec((0_u16..30, 0_u8..9, any::<bool>()), 0..60)
        ) {
            let whole = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
        }
    }

    #[test]
    fn requests_and_answers_are_kept_apart() {
        let mut looks = Looks::default();
        looks.add(
            Some(201),
            &Bodies { request: Some(body(1, true)), response: Some(body(2, false)), query: None },
        );
        looks.add(None, &Bodies { request: Some(body(3, true)), ..Bodies::default() });
        let [asked, answered] = looks.kept() else { panic!("{looks:?}") };
        assert_eq!((asked.status, asked.whole_bodies, asked.whole.places().len()), (REQUEST, 2, 2));
        assert_eq!((answered.status, answered.whole_bodies, answered.cut_bodies), (201, 0, 1));
        assert!(answered.whole.is_empty() && answered.shape().at(".k2").is_some());
    }
}
