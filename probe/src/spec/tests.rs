//! Files and folders, whole and broken.

use super::*;
use std::fs;
use std::sync::mpsc;
use std::time::Duration;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn request(path: &Path) -> Request {
    Request { path: path.to_owned(), service: None }
}

fn problems(loaded: &Loaded) -> Vec<String> {
    let all = loaded.specs.iter().flat_map(|given| &given.spec.problems);
    all.map(|problem| problem.to_string().rsplit_once("/").unwrap().1.to_owned()).collect()
}

#[test]
fn a_huge_folder_is_read_whole_and_kept_in_part() {
    let pad = "x".repeat(1 << 20);
    let files: Vec<(String, String)> = (0..48)
        .map(|n| {
            let next = n ^ 1;
            let text = format!(
                "{{\"openapi\": \"3.1.0\", \"info\": {{\"title\": \"{n}\", \"description\": \"{pad}\"}}, \"own\": {{\"get\": {{}}}}, \
                 \"paths\": {{\"/a\": {{\"$ref\": \"{next:02}.json#/own\"}}}}}}"
            );
            (format!("{n:02}.json"), text)
        })
        .collect();
    let borrowed: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = folder(&borrowed);
    let mut shelf = Shelf::new(folder.path());
    for (name, _) in &borrowed {
        let spec = shelf.specification(name, false).unwrap();
        assert_eq!((spec.operations.len(), spec.problems.len()), (1, 0), "{name}");
        assert!(shelf.kept <= MAX_KEPT + (3 << 20), "{}", shelf.kept);
    }
    assert_eq!(shelf.files().count(), 48);
    assert!(shelf.bytes < 50 << 20, "what is read again is counted once: {}", shelf.bytes);
}

const ROOT: &str = "\
openapi: 3.1.0
info: { title: Norway, version: 1.10 }
paths:
  /users/{user}:
    $ref: paths/user.yaml
  /broken:
    $ref: paths/none.yaml
";

#[test]
fn a_folder_with_references_between_its_files() {
    let user =
        "get:\n  parameters:\n    - $ref: '../common.json#/User'\n  responses: {200: {description: NO}}\n";
    let folder = folder(&[
        ("api.yaml", ROOT),
        ("paths/user.yaml", user),
        (
            "common.json",
            "{\"User\": {\"name\": \"user\", \"in\": \"path\", \"schema\": {\"type\": \"integer\"}}}",
        ),
        ("notes.yaml", "to: do"),
        ("values.yaml", "- {{ templated }}"),
        (".git/api.yaml", ROOT),
    ]);
    let loaded = load(&[request(folder.path())]);
    let [given] = loaded.specs.as_slice() else { panic!("{:#?}", loaded.specs) };
    assert_eq!(given.spec.operations.len(), 1);
    assert_eq!(given.spec.operations[0].parameters.len(), 1);
    assert_eq!(given.spec.operations[0].responses.len(), 1);
    assert!(given.spec.file.ends_with("/api.yaml"));
    let broken = given.spec.problems[0].to_string();
    assert!(broken.ends_with("api.yaml:6 at /paths/~1broken: paths/none.yaml is not there"), "{broken}");
    assert!(loaded.degradations.is_empty());
}

#[test]
fn one_broken_specification_does_not_hide_the_others() {
    let folder = folder(&[
        ("a.json", "{\"openapi\": \"3.0.0\",\n \"paths\": {"),
        ("b.yaml", "swagger: '2.0'\npaths:\n  /a: [\n"),
        ("c.json", "{\"openapi\": \"3.0.0\", \"paths\": {\"/a\": {\"get\": {}}}}"),
    ]);
    let loaded = load(&[request(folder.path())]);
    assert_eq!(loaded.specs.len(), 3);
    assert_eq!(loaded.specs[2].spec.operations.len(), 1);
    let problems = problems(&loaded);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("a.json:2: no JSON: EOF"), "{problems:?}");
    assert!(problems[1].starts_with("b.yaml:") && problems[1].contains("no YAML"), "{problems:?}");
}

#[test]
fn nothing_outside_the_folder_is_read() {
    let outside = folder(&[
        ("secret.yaml", "password: hunter2"),
        ("in/api.yaml", "openapi: 3.1.0\npaths: { /a: { $ref: ../secret.yaml } }"),
    ]);
    let loaded = load(&[request(&outside.path().join("in"))]);
    assert_eq!(problems(&loaded), ["secret.yaml is outside the given folder and not read"]);
    assert!(loaded.files.iter().all(|file| file.ends_with("in/api.yaml")));
}

#[test]
fn a_bomb_is_refused_quickly() {
    let mut bomb = "openapi: 3.1.0\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![below; 9].join(", ")));
    }
    let deep = format!("openapi: {}", "[".repeat(100_000));
    let folder = folder(&[("bomb.yaml", &bomb), ("deep.yaml", &deep)]);
    let started = std::time::Instant::now();
    let loaded = load(&[request(folder.path())]);
    assert_eq!(problems(&loaded).len(), 2);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn what_is_no_specification_is_said_when_it_was_named() {
    let folder = folder(&[("notes.yaml", "to: do")]);
    let loaded = load(&[
        request(&folder.path().join("notes.yaml")),
        request(&folder.path().join("none.yaml")),
        request(folder.path()),
    ]);
    assert_eq!(problems(&loaded).len(), 3, "{:?}", problems(&loaded));
    assert_eq!(loaded.degradations.len(), 1);
}

#[test]
fn a_service_may_be_named() {
    let parse = |text: &str| (Request::parse(text).service, Request::parse(text).path);
    assert_eq!(parse("orders=a/b.yaml"), (Some("orders".into()), "a/b.yaml".into()));
    assert_eq!(parse("a/b=c.yaml"), (None, "a/b=c.yaml".into()));
    assert_eq!(parse("=c.yaml"), (None, "=c.yaml".into()));
}

#[test]
fn a_changed_file_is_read_again() {
    let folder = folder(&[("api.yaml", "openapi: 3.1.0\npaths: {}")]);
    let requests = vec![request(folder.path())];
    let loaded = load(&requests);
    let (send, changes) = mpsc::channel();
    let watch = watch(requests, &loaded, move |loaded| drop(send.send(loaded))).unwrap();
    fs::write(folder.path().join("api.yaml"), "openapi: 3.1.0\npaths: { /a: { get: {} } }").unwrap();
    let loaded = changes.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(loaded.specs[0].spec.operations.len(), 1);
    drop(watch);
}
