//! What bodies looked like, as a session holds it.
//!
//! Up to version 4 there were eight sensitive classes and no queries. Both stand in a form of their own behind the others.

use super::{Body, Cow, Deserialize, Serialize};
use apisec_proto::body::shape::{Shape, Tally};
use apisec_proto::body::{Coding, Format};
use apisec_proto::call::{Bodies, Call};
use apisec_proto::sensitive::Sensitive;

/// Sensitive classes of version 4.
const CLASSES: usize = 8;
/// Counts of classes that are read of one call: there are three parts, and not many classes.
const MAX_COUNTS: usize = 256;

/// See [`Bodies`].
#[derive(Serialize, Deserialize)]
pub(crate) struct BodiesForm<'a> {
    request: Option<BodyForm<'a>>,
    response: Option<BodyForm<'a>>,
}

/// See [`Body`].
#[derive(Serialize, Deserialize)]
struct BodyForm<'a> {
    format: Format,
    coding: Coding,
    read: u64,
    whole: bool,
    shape: Cow<'a, Shape>,
    sensitive: [u32; CLASSES],
}

/// What version 4 had no place for.
#[derive(Serialize, Deserialize)]
pub(crate) struct LateForm<'a> {
    query: Option<BodyForm<'a>>,
    /// Values of classes that are newer: part (request, answer, query), class, values.
    classes: Vec<(u8, Sensitive, u32)>,
}

impl<'a> From<&'a Bodies> for BodiesForm<'a> {
    fn from(from: &'a Bodies) -> Self {
        let Bodies { request, response, query: _ } = from;
        Self { request: request.as_ref().map(Into::into), response: response.as_ref().map(Into::into) }
    }
}

impl<'a> From<&'a Body> for BodyForm<'a> {
    fn from(from: &'a Body) -> Self {
        let Body { format, coding, read, whole, shape, sensitive } = from;
        let mut counts = [0; CLASSES];
        for (class, values) in sensitive.iter() {
            counts.get_mut(class as usize).into_iter().for_each(|count| *count = values);
        }
        Self {
            format: *format,
            coding: *coding,
            read: *read,
            whole: *whole,
            shape: Cow::Borrowed(shape),
            sensitive: counts,
        }
    }
}

impl From<BodyForm<'_>> for Body {
    fn from(form: BodyForm<'_>) -> Self {
        let mut sensitive = Tally::default();
        for (class, values) in Sensitive::ALL.into_iter().zip(form.sensitive) {
            sensitive.add_many(class, values);
        }
        let BodyForm { format, coding, read, whole, shape, .. } = form;
        Self { format, coding, read, whole, shape: shape.into_owned(), sensitive }
    }
}

impl BodiesForm<'_> {
    /// The bodies of the record.
    pub(super) fn restored(self) -> Bodies {
        let Self { request, response } = self;
        Bodies { request: request.map(Into::into), response: response.map(Into::into), query: None }.bounded()
    }
}

/// What of a call's bodies version 4 had no place for, if there is any.
pub(super) fn late(bodies: Option<&Bodies>) -> Option<LateForm<'_>> {
    let bodies = bodies?;
    let parts = (0_u8..).zip([&bodies.request, &bodies.response, &bodies.query]);
    let counts = parts.flat_map(|(part, body)| {
        let all = body.iter().flat_map(|body| body.sensitive.iter());
        all.filter(|(class, _)| *class as usize >= CLASSES).map(move |(class, values)| (part, class, values))
    });
    let classes: Vec<_> = counts.collect();
    let query = bodies.query.as_ref().map(BodyForm::from);
    (query.is_some() || !classes.is_empty()).then_some(LateForm { query, classes })
}

/// Gives a call what version 4 had no place for.
pub(crate) fn follow(call: &mut Call, late: LateForm<'_>) {
    let bodies = call.bodies.get_or_insert_default();
    bodies.query = late.query.map(Body::from);
    let Bodies { request, response, query } = &mut **bodies;
    let mut parts = [request, response, query];
    for (part, class, values) in late.classes.into_iter().take(MAX_COUNTS) {
        let body = parts.get_mut(usize::from(part)).and_then(|part| part.as_mut());
        body.into_iter().for_each(|body| body.sensitive.add_many(class, values));
    }
    **bodies = std::mem::take(&mut **bodies).bounded();
}
