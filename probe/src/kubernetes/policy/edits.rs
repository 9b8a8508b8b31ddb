//! What others changed of an object of ours, by the fields that they manage.

use super::MANAGER;
use crate::kubernetes::trouble;
use kube::api::DynamicObject;
use serde_json::Value;

/// Fields of one manager that are named.
const MAX_FIELDS: usize = 8;

/// What somebody changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Under which name.
    pub manager: String,
    /// Which fields.
    pub fields: Vec<String>,
}

/// The edits of everybody but us; what controllers say of how it stands is none.
pub(super) fn of(object: &DynamicObject) -> Vec<Edit> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let foreign = entries.filter(|entry| {
        entry.subresource.as_deref().unwrap_or_default().is_empty()
            && entry.manager.as_deref() != Some(MANAGER)
    });
    foreign
        .filter_map(|entry| {
            let mut fields = Vec::new();
            walk(&entry.fields_v1.as_ref()?.0, "", &mut fields);
            fields.retain(|field| !field.starts_with(".status"));
            let manager = trouble::plain(entry.manager.as_deref().unwrap_or("somebody"));
            (!fields.is_empty()).then_some(Edit { manager, fields })
        })
        .collect()
}

fn walk(value: &Value, path: &str, fields: &mut Vec<String>) {
    let steps = value.as_object().into_iter().flatten().filter(|(key, _)| *key != ".");
    let mut any = false;
    for (key, below) in steps {
        any = true;
        let path = match key.split_once(':') {
            Some(("f", name)) => format!("{path}.{name}"),
            _ => format!("{path}[{key}]"),
        };
        walk(below, &path, fields);
    }
    if !any && !path.is_empty() && fields.len() < MAX_FIELDS {
        fields.push(trouble::plain(path));
    }
}
