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
    let (session, specs) = (folder.path().join("shop.apisec"), folder.path().join("specs"));
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

    run(&["export", "openapi", text(&session), "--into", text(&specs)]);
    let documents: Vec<PathBuf> = fs::read_dir(&specs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(documents.len() >= 6, "{documents:?}");
    let mut schemas = 0;
    for document in &documents {
        validate(document);
        schemas += fs::read_to_string(document).unwrap().matches("\"properties\"").count();
    }
    assert!(schemas > 10, "bodies have schemas: {schemas}");

    let loaded = run(&[
        "replay",
        text(&session),
        "--headless",
        "--no-state",
        "--output",
        "json",
        "--spec",
        text(&specs),
    ]);
    let snapshot = loaded.json().unwrap();
    let all = snapshot["endpoints"].as_array().unwrap();
    let documented: Vec<&Value> = all.iter().filter(|own| can_be_documented(own)).collect();
    let services: BTreeSet<&str> = documented.iter().map(|own| own["service"].as_str().unwrap()).collect();
    assert!(documented.len() > 40 && services.len() >= 6, "{} of {services:?}", documented.len());
    for own in documented {
        let name = format!("{} {} {}", own["service"], own["method"], own["path"]);
        assert_eq!(own["drift"], "active", "{name}");
        assert_eq!(
            own["documentation"]["differences"].as_array().unwrap().as_slice(),
            [] as [Value; 0],
            "{name}"
        );
    }
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
