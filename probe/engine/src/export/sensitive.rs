//! The sensitive-data map: which endpoints and edges carry which classes, in which direction, protected how.
//!
//! Classes come from bodies as far as they were read, and from path segments that were masked. What a class means to an
//! auditor (group, wording of a standard) is data that is given in. TLS is told from clear text; that the client showed a
//! certificate of its own is seen where its handshake was, and was no resumption.

use super::csv;
use crate::endpoint::is_external;
use crate::snapshot::{CarriageView, EndpointView, Snapshot};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What classes mean, by class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Meanings(BTreeMap<String, Meaning>);

/// What a class means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// `pii`, `payment`, `health` or `secret`.
    pub group: String,
    /// What the standards call it.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl Meanings {
    /// What a class means; nothing where nobody said it.
    #[must_use]
    pub fn of(&self, class: &str) -> Meaning {
        self.0.get(class).cloned().unwrap_or_default()
    }

    /// The classes of which a meaning is known.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// One class in one direction over one edge or at one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// `endpoint` or `edge`.
    pub what: &'static str,
    /// Caller's workload id of an edge; callers of an endpoint, as far as they are named.
    pub from: String,
    /// Callee's workload id.
    pub to: String,
    /// Method, path and operation of an endpoint; the protocol of an edge.
    pub operation: String,
    /// The class.
    pub class: String,
    /// Its group.
    pub group: String,
    /// What the standards call it.
    pub tags: Vec<String>,
    /// `request` or `response`.
    pub direction: &'static str,
    /// `plaintext`, `tls`, `mtls` when every call was within TLS to which the client showed a certificate, or `both`.
    pub transport: &'static str,
    /// `yes`, `no`, or `sometimes`.
    pub authenticated: &'static str,
    /// Whether a caller is no workload of a probed node: `inside`, `outside`, or `both`.
    pub reach: &'static str,
    /// Calls that carried the class.
    pub calls: u64,
    /// Calls of the endpoint or edge.
    pub of: u64,
}

/// The whole map: endpoints first, then edges.
#[must_use]
pub fn map(snapshot: &Snapshot, meanings: &Meanings) -> Vec<Row> {
    let mut rows = Vec::new();
    for own in snapshot.endpoints.iter().filter(|own| own.calls > 0) {
        let outside = own.callers.iter().filter(|caller| is_external(caller)).count();
        let reach = reach(outside > 0, outside < own.callers.len());
        let operation = format!("{} {} {}", own.method, own.path, own.operation);
        let from = own.callers.join(" ");
        for (direction, class, calls) in carried(own) {
            let meaning = meanings.of(&class);
            rows.push(Row {
                what: "endpoint",
                from: from.clone(),
                to: own.service.clone(),
                operation: operation.trim_end().to_owned(),
                class,
                group: meaning.group,
                tags: meaning.tags,
                direction,
                transport: transport(&own.carriage, own.calls),
                authenticated: authenticated(&own.carriage, own.calls),
                reach,
                calls,
                of: own.calls,
            });
        }
    }
    for edge in &snapshot.edges {
        for (direction, class, calls) in of_carriage(&edge.carriage) {
            let meaning = meanings.of(&class);
            rows.push(Row {
                what: "edge",
                from: edge.src.clone(),
                to: edge.dst.clone(),
                operation: edge.protocol.clone(),
                class,
                group: meaning.group,
                tags: meaning.tags,
                direction,
                transport: transport(&edge.carriage, edge.calls),
                authenticated: authenticated(&edge.carriage, edge.calls),
                reach: reach(is_external(&edge.src), !is_external(&edge.src)),
                calls,
                of: edge.calls,
            });
        }
    }
    rows
}

/// The map as a table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    const HEADING: [&str; 13] = [
        "what",
        "from",
        "to",
        "operation",
        "class",
        "group",
        "tags",
        "direction",
        "transport",
        "authenticated",
        "reach",
        "calls",
        "of",
    ];
    let mut text = String::new();
    csv::line(&mut text, HEADING.into_iter().map(Cow::Borrowed));
    for row in rows {
        let cells: [Cow<'_, str>; HEADING.len()] = [
            row.what.into(),
            (&row.from).into(),
            (&row.to).into(),
            (&row.operation).into(),
            (&row.class).into(),
            (&row.group).into(),
            row.tags.join("; ").into(),
            row.direction.into(),
            row.transport.into(),
            row.authenticated.into(),
            row.reach.into(),
            row.calls.to_string().into(),
            row.of.to_string().into(),
        ];
        csv::line(&mut text, cells.into_iter());
    }
    text
}

/// The classes that an endpoint carries, with the calls that did: a masked segment of its path travels with every request.
pub fn carried(own: &EndpointView) -> impl Iterator<Item = (&'static str, String, u64)> {
    let classes = apisec_proto::sensitive::Sensitive::ALL.map(apisec_proto::sensitive::Sensitive::name);
    let in_path = |class: &&str| own.path.contains(&format!("{{{class}}}"));
    let mut all: BTreeMap<(&'static str, String), u64> = BTreeMap::new();
    let in_path = classes.into_iter().filter(in_path).map(|class| ("request", class.to_owned(), own.calls));
    for (direction, class, calls) in in_path.chain(of_carriage(&own.carriage)) {
        let known = all.entry((direction, class)).or_default();
        *known = calls.max(*known);
    }
    all.into_iter().map(|((direction, class), calls)| (direction, class, calls))
}

fn of_carriage(carriage: &CarriageView) -> impl Iterator<Item = (&'static str, String, u64)> {
    let asked = carriage.request_calls.iter().map(|(class, calls)| ("request", class.clone(), *calls));
    asked.chain(carriage.response_calls.iter().map(|(class, calls)| ("response", class.clone(), *calls)))
}

/// How calls travelled.
#[must_use]
pub const fn transport(carriage: &CarriageView, calls: u64) -> &'static str {
    match carriage.encrypted {
        0 => "plaintext",
        _ if carriage.mutual >= calls => "mtls",
        encrypted if encrypted >= calls => "tls",
        _ => "both",
    }
}

/// Whether callers said who they are.
#[must_use]
pub const fn authenticated(carriage: &CarriageView, calls: u64) -> &'static str {
    match carriage.anonymous {
        0 => "yes",
        anonymous if anonymous >= calls => "no",
        _ => "sometimes",
    }
}

const fn reach(outside: bool, inside: bool) -> &'static str {
    match (outside, inside) {
        (true, true) => "both",
        (true, false) => "outside",
        _ => "inside",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::EdgeView;

    #[test]
    fn classes_of_bodies_and_paths_are_told_with_their_protection() {
        let carriage = CarriageView {
            encrypted: 2,
            anonymous: 4,
            request_calls: [("card".into(), 1)].into(),
            ..CarriageView::default()
        };
        let endpoint = EndpointView {
            service: "process:pay:80".into(),
            method: "POST".into(),
            path: "/users/{email}/card".into(),
            calls: 4,
            callers: vec!["process:web".into(), "external:192.0.2.7".into()],
            carriage: carriage.clone(),
            ..EndpointView::default()
        };
        let edge = EdgeView { src: "external:192.0.2.7".into(), calls: 2, carriage, ..EdgeView::default() };
        let snapshot = Snapshot { endpoints: vec![endpoint], edges: vec![edge], ..Snapshot::default() };
        let card = Meaning { group: "payment".into(), tags: vec!["PCI-DSS".into()] };
        let rows = map(&snapshot, &Meanings([("card".to_owned(), card)].into()));
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.what,
                    row.class.as_str(),
                    row.group.as_str(),
                    row.transport,
                    row.authenticated,
                    row.reach,
                    (row.calls, row.of),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("endpoint", "card", "payment", "both", "no", "both", (1, 4)),
                ("endpoint", "email", "", "both", "no", "both", (4, 4)),
                ("edge", "card", "payment", "tls", "no", "outside", (1, 2)),
            ]
        );
        let mutual = CarriageView { encrypted: 2, mutual: 2, ..CarriageView::default() };
        assert_eq!((transport(&mutual, 2), transport(&mutual, 3)), ("mtls", "both"));
        assert_eq!(table(&rows).lines().count(), 4);
    }
}
