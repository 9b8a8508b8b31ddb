use super::*;
use crate::fixture::{CallSpec, call};
use proptest::prelude::*;

const MARK: Mark = Mark::new("test.mark");

fn trail(calls: &[(u64, u8, u16)]) -> Trail {
    let mut trail = Trail::default();
    for (at, object, status) in calls {
        let spec = CallSpec {
            at: *at,
            path: format!("/users/{object}"),
            status: Some(*status),
            ..CallSpec::default()
        };
        trail.add(&call(&spec), &[fingerprint::of(&[*object])]);
        trail.count(MARK, 1);
        trail.insert(MARK, u64::from(*object));
        trail.moment(MARK, *at, u64::from(*object));
    }
    trail
}

fn calls() -> impl Strategy<Value = Vec<(u64, u8, u16)>> {
    let status = prop_oneof![Just(200_u16), Just(403), Just(404), Just(500)];
    proptest::collection::vec((0_u64..50, any::<u8>(), status), 0..120)
}

proptest! {
    #[test]
    fn merging_is_exact_in_any_order(a in calls(), b in calls(), c in calls()) {
        let whole = trail(&[a.clone(), b.clone(), c.clone()].concat());
        let (mut left, mut right) = (trail(&a), trail(&c));
        left.merge(&trail(&b));
        left.merge(&trail(&c));
        right.merge(&trail(&b));
        right.merge(&trail(&a));
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(&right, &whole);
        let bytes = postcard::to_allocvec(&whole).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Trail>(&bytes).unwrap(), whole);
    }

    #[test]
    fn a_cleared_trail_is_as_good_as_new(a in calls(), b in calls()) {
        let mut used = trail(&a);
        used.clear();
        used.merge(&trail(&b));
        prop_assert_eq!(used.compact(), trail(&b));
    }
}

#[test]
fn numbers_of_accepted_objects_span_a_range() {
    let trail = trail(&[(1, 7, 200), (2, 9, 200), (3, 200, 404)]);
    assert_eq!((trail.span, trail.objects.count(), trail.missed.count()), ((7, 9), 2, 1));
    assert_eq!(trail.with(Outcome::Accepted), 2);
    assert_eq!(last_number("/users/7/orders"), Some(7));
    assert_eq!(last_number("/users"), None);
}
