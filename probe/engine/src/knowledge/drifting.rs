//! Drift as the read model shows it.

use super::Knowledge;
use super::service::Group;
use super::values::Values;
use crate::drift::difference::{MAX_DIFFERENCES, differences};
use crate::drift::state::{Evidence, Seen, judge};
use crate::drift::{Contract, Documented, Names};
use crate::endpoint::EndpointStats;
use crate::load::SECOND;
use crate::snapshot::{Documentation, Drift, EndpointView, History, InventoryView, SpecificationView};
use std::collections::HashMap;

/// Chooses the specifications of services that are new, or have new names.
pub(super) fn choose_specifications(known: &mut Knowledge) {
    let library = &mut known.library;
    if library.state() == 0 {
        return;
    }
    for (id, workload) in &mut known.workloads {
        let Some(service) = &mut workload.service else { continue };
        if !service.must_choose(workload.changed, library.state()) {
            continue;
        }
        let described = workload.described.as_ref().map(|described| &*described.workload);
        let names = Names {
            id,
            // One of earlier runs is not described: `orders` of `process:orders:8080`.
            name: described
                .map_or_else(|| id.split(':').nth(1).unwrap_or_default(), |workload| workload.name.as_str()),
            address: described.map_or("", |workload| workload.address.as_str()),
            hosts: service.hosts().names(),
            answers: service.answers().names(),
        };
        let contract = library.choose(&names);
        service.document(contract);
    }
}

/// Where a group is documented, and what of its calls is not as documented. The owner of its service outranks who looks after
/// the operation by its specification.
pub(super) fn paint_documentation(
    row: &mut EndpointView,
    group: &mut Group,
    contract: Option<&Contract>,
    owner: &str,
    (stats, values): (&EndpointStats, &Values),
) {
    group.evidence = Evidence::of(stats);
    let past = group.past;
    row.history = History { first_seen: past.first, last_seen: past.last, calls: past.calls };
    row.documentation = Documentation { owner: owner.to_owned(), ..Documentation::default() };
    let Some((contract, documented)) = contract.zip(group.documented.as_ref()) else { return };
    let Some(number) = documented.operation else { return };
    let Some((operation, spec)) = contract.operation(number).zip(contract.spec_of(number)) else { return };
    let mut differences = differences(spec, operation, documented, stats);
    for what in values.of(&row.service, &spec.file, &operation.place.pointer) {
        if differences.len() < MAX_DIFFERENCES && !differences.iter().any(|known| known == what) {
            differences.push(what.to_owned());
        }
    }
    row.documentation = Documentation {
        file: spec.file.clone(),
        pointer: operation.place.pointer.clone(),
        id: operation.id.to_string(),
        owner: if owner.is_empty() { operation.owner.to_string() } else { owner.to_owned() },
        differences,
        source: contract.place_of(number).map(|place| (spec.clone(), place)),
    };
}

/// The drift state and its flags, which depend on the time.
pub(super) fn paint_state(
    row: &mut EndpointView,
    group: &Group,
    contract: Option<&Contract>,
    now: u64,
    zombie_after: u64,
) {
    let Some(contract) = contract else {
        (row.drift, row.deprecated_in_use, row.schema_drift) = (Drift::Unspecified, false, false);
        return;
    };
    let seen = Seen { last: row.last_seen.max(group.past.last), now, zombie_after };
    row.drift = judge(&group.name.method, &group.name.path, group.documented.as_ref(), group.evidence, seen);
    let mut operations = group.documented.iter().flat_map(Documented::operations);
    let deprecated = operations.any(|number| contract.operation(number).is_some_and(|own| own.deprecated));
    row.deprecated_in_use = deprecated && row.drift == Drift::Active;
    row.schema_drift = !row.documentation.differences.is_empty();
}

/// What the states rest on, and how many there are of each.
pub(super) fn inventory(known: &Knowledge, rows: &[EndpointView], from: u64) -> InventoryView {
    let mut inventory = InventoryView {
        since_ns: if known.since == 0 { from } else { known.since.min(from) },
        zombie_after_s: known.zombie_after / SECOND,
        ..InventoryView::default()
    };
    if known.library.is_empty() {
        return inventory;
    }
    inventory.states = Drift::ALL.iter().map(|(_, word)| ((*word).to_owned(), 0)).collect();
    for row in rows {
        inventory.states.get_mut(row.drift.word()).into_iter().for_each(|count| *count += 1);
        inventory.deprecated_in_use += u64::from(row.deprecated_in_use);
        inventory.schema_drift += u64::from(row.schema_drift);
    }
    inventory
}

/// Counts for each specification what of its services it documents.
pub(super) fn weigh(rows: &[EndpointView], specifications: &mut [SpecificationView]) {
    if specifications.is_empty() {
        return;
    }
    let mut documented: HashMap<(&str, &str), u64> = HashMap::new();
    let mut undocumented: HashMap<&str, u64> = HashMap::new();
    for row in rows {
        match row.drift {
            Drift::Active => *documented.entry((&row.documentation.file, &row.service)).or_default() += 1,
            Drift::Shadow => *undocumented.entry(&row.service).or_default() += 1,
            _ => {}
        }
    }
    for spec in specifications {
        for bound in &mut spec.services {
            bound.documented = documented.get(&(&*spec.file, &*bound.service)).copied().unwrap_or(0);
            bound.undocumented = undocumented.get(&*bound.service).copied().unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests;
