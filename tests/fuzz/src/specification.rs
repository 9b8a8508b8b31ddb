//! A specification of any language, whole or broken: read within its bounds, matched, and taken apart for a validator.
//!
//! Input: a letter that names the language (`j`, `y`, `g`, `p`, `b`), then the file.

use apisec_engine::drift::Contract;
use apisec_engine::spec::{MAX_OPERATIONS, MAX_PROBLEMS, MAX_TEXT, Part, Spec};
use apisec_probe::spec::from_bytes;

/// Operations whose parts are looked at: the bodies of all would only cost time.
const LOOKED_AT: usize = 16;

/// Runs the body.
pub fn run(data: &[u8]) {
    let Some((language, file)) = data.split_first() else { return };
    let name = match language {
        b'g' => "a.graphql",
        b'p' => "a.proto",
        b'b' => "a.binpb",
        b'y' => "a.yaml",
        _ => "a.json",
    };
    let given = from_bytes(name, file);
    check(&given.spec);
    let contract = Contract::of(vec![given.spec.clone()]);
    for own in contract.operations().take(LOOKED_AT) {
        let Some(path) = own.path else { continue };
        assert!(contract.operation(own.number).is_some());
        // A template is an address too: nothing that is documented is unknown to the matcher.
        let found = contract.find(&own.method, &path, false);
        assert!(found.is_some() || !path.split('/').all(is_plain), "{} {path}", own.method);
    }
    let Some(documents) = given.documents else { return };
    for operation in given.spec.operations.iter().take(LOOKED_AT) {
        for part in [Part::Request("application/json"), Part::Answer(200, "application/json")] {
            let _none_or_one = documents.portable(&operation.place, part);
        }
    }
}

/// A segment that no client would write otherwise: a word, or a parameter.
fn is_plain(segment: &str) -> bool {
    let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(segment);
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn check(spec: &Spec) {
    assert!(spec.operations.len() <= MAX_OPERATIONS && spec.problems.len() <= MAX_PROBLEMS);
    for own in &spec.operations {
        assert!(!own.bases.is_empty() && !own.method.is_empty());
        let texts = [own.path.as_str(), &own.id, &own.owner];
        assert!(texts.iter().all(|text| text.len() <= MAX_TEXT), "{own:?}");
        assert!(own.parameters.iter().all(|parameter| parameter.name.len() <= MAX_TEXT));
    }
}
