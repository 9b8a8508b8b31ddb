//! What is exported is accepted by validators that we did not write; OpenAPI, loaded back, documents everything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use apisec_tests::skip::have_root;
use apisec_tests::tool;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);
/// Methods that an OpenAPI document has a place for.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

#[test]
fn every_service_of_the_demo_is_documented_by_what_was_observed_of_it() {
    if !have_root("roundtrip::every_service_of_the_demo_is_documented_by_what_was_observed_of_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("shop.apisec");
    let recorded = run(&[
        "demo",
        "--headless",
        "--no-state",
        "--duration",
        "8s",
        "--record",
        text(&session),
        "--output",
        "json",
    ]);
    let calls = recorded.json().unwrap()["capture"]["calls"].as_u64().unwrap();
    assert!(calls > 100, "{calls}");
    archive_is_as_published(&run(&["export", "har", text(&session)]).stdout, calls);

    let whole = documented_whole(&session, "");
    assert!(whole.operations > 40 && whole.services >= 6, "{whole:?}");
    assert!(whole.schemas > 10, "bodies have schemas: {whole:?}");
}

/// How much was documented.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) operations: usize,
    pub(crate) services: usize,
    pub(crate) schemas: usize,
}

/// Exports what was recorded of services whose ids contain `part`, has every document validated, and holds the recording
/// against them: every operation that a document can have is active, and nothing differs.
pub(crate) fn documented_whole(session: &Path, part: &str) -> Whole {
    let folder = tempfile::tempdir().unwrap();
    let specs = folder.path().join("specs");
    run(&["export", "openapi", text(session), "--into", text(&specs)]);
    let all = fs::read_dir(&specs).unwrap().map(|entry| entry.unwrap().path());
    let documents: Vec<PathBuf> = all.filter(|path| text(path).contains(part)).collect();
    assert!(!documents.is_empty());
    documents.iter().for_each(|document| validate(document));
    let schemas =
        documents.iter().map(|own| fs::read_to_string(own).unwrap().matches("\"properties\"").count());
    let schemas = schemas.sum();
    let loaded = run(&[
        "replay",
        text(session),
        "--headless",
        "--no-state",
        "--output",
        "json",
        "--spec",
        text(&specs),
    ]);
    let snapshot = loaded.json().unwrap();
    let all = snapshot["endpoints"].as_array().unwrap();
    let of_service = |own: &&Value| own["service"].as_str().unwrap().contains(part);
    let documented: Vec<&Value> =
        all.iter().filter(of_service).filter(|own| can_be_documented(own)).collect();
    for own in &documented {
        let name = format!("{} {} {}", own["service"], own["method"], own["path"]);
        assert_eq!(own["drift"], "active", "{name}");
        let differences = own["documentation"]["differences"].as_array().unwrap();
        assert_eq!(differences.as_slice(), [] as [Value; 0], "{name}");
    }
    let services: BTreeSet<&str> = documented.iter().map(|own| own["service"].as_str().unwrap()).collect();
    Whole { operations: documented.len(), services: services.len(), schemas }
}

/// Held against the schema that npm's `har-schema` publishes, which `setup/system.sh test` installs.
fn archive_is_as_published(archive: &str, calls: u64) {
    let read = |path: &Path| -> Value { serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap() };
    let folder = apisec_tests::script::npm("har-schema").join("lib");
    // They refer to each other as "entry.json#".
    let at = |name: &str| format!("json-schema:///{name}");
    let mut registry = jsonschema::Registry::new();
    for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".json") {
            registry = registry.add(at(&name), read(&entry.path())).unwrap();
        }
    }
    let registry = registry.prepare().unwrap();
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft6).should_validate_formats(true);
    let validator =
        options.with_registry(&registry).build(&serde_json::json!({"$ref": at("har.json")})).unwrap();
    let archive: Value = serde_json::from_str(archive).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&archive).take(5).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    let entries = archive["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len() as u64, calls);
    let mut broken = archive.clone();
    broken["log"]["entries"][0]["request"]["url"] = 7.into();
    assert!(!validator.is_valid(&broken), "the schema asks for something");
}

/// A validator with a mind of its own: openapi-spec-validator, which `setup/system.sh test` installs.
fn validate(document: &Path) {
    let output = Command::new("/usr/bin/python3")
        .args(["-m", "openapi_spec_validator", text(document)])
        .env("PYTHONPATH", apisec_tests::script::pypi())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", document.display());
}

fn can_be_documented(own: &Value) -> bool {
    let statuses = own["statuses"].as_object().unwrap();
    let refused = statuses.keys().all(|status| ["404", "405", "501"].contains(&status.as_str()));
    let plain = ["http1", "http2"].contains(&own["protocol"].as_str().unwrap());
    own["calls"].as_u64().unwrap() > 0
        && METHODS.contains(&own["method"].as_str().unwrap())
        && own["path"].as_str().unwrap().starts_with('/')
        && plain
        && !(refused && own["unanswered"] == 0)
}

fn run(arguments: &[&str]) -> tool::Run {
    let run = tool::run(arguments, PATIENCE).unwrap();
    assert_eq!(run.code(), 0, "{run:?}");
    run
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
