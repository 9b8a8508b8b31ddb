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
    Request { place: Where::Disk(path.to_owned()), service: None }
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
    let (mut shelf, mut room) = (Shelf::new(folder.path()), Room::default());
    for (name, _) in &borrowed {
        let (spec, _) = shelf.specification(name, false, &mut room).unwrap();
        assert_eq!((spec.operations.len(), spec.problems.len()), (1, 0), "{name}");
        assert!(shelf.kept <= MAX_KEPT + (3 << 20), "{}", shelf.kept);
    }
    assert_eq!(shelf.files().count(), 48);
    assert!(shelf.bytes < 50 << 20, "what is read again is counted once: {}", shelf.bytes);
}

#[test]
fn what_there_is_no_room_for_is_said() {
    let text = "openapi: 3.1.0\npaths: { /a: { get: {} } }";
    let folder = folder(&[("a.yaml", text), ("b.yaml", text)]);
    let why = "not read: what is known of others takes 256 MiB already";
    let check = |loaded: &Loaded, what: &str| {
        let [given] = loaded.specs.as_slice() else { panic!("{loaded:#?}") };
        let [limit] = given.limits.as_slice() else { panic!("{loaded:#?}") };
        assert_eq!(limit.code, "specification-room");
        let said = [&limit.what, &given.spec.problems[0].what];
        assert!(said.iter().all(|said| said.contains(what) && said.contains(why)), "{said:?}");
    };
    let mut loaded = Loaded::default();
    load_folder(folder.path(), &request(folder.path()), &mut Room::full(), &mut loaded);
    check(&loaded, "2 files from a.yaml on are");
    let mut loaded = Loaded::default();
    let file = folder.path().join("b.yaml");
    load_file(&file, &request(&file), &mut Room::full(), &mut loaded);
    check(&loaded, "/b.yaml is");
    let mut loaded = Loaded::default();
    let address = "http://127.0.0.1:1/c.yaml?token=secret";
    let web = Request { place: Where::Web(address.into()), service: None };
    address::load(address, &web, &mut Room::full(), &mut loaded);
    check(&loaded, "http://127.0.0.1:1/c.yaml is");
}

#[test]
fn values_are_compared_with_so_many_bytes_of_documents_and_the_rest_is_said() {
    let pad = "x".repeat(5 << 20);
    let text = format!("openapi: 3.1.0\npaths: {{ /a: {{ get: {{ description: {pad} }} }} }}");
    let folder = folder(&[("a.yaml", &text), ("b.yaml", &text), ("c.yaml", &text)]);
    let file = |name: &str| request(&folder.path().join(name));
    for requests in [vec![request(folder.path())], vec![file("a.yaml"), file("b.yaml"), file("c.yaml")]] {
        let loaded = load(&requests);
        let kept: Vec<bool> = loaded.specs.iter().map(|own| own.documents.is_some()).collect();
        assert_eq!(kept, [true, false, false]);
        let limits: Vec<_> = loaded.specs.iter().flat_map(|own| &own.limits).collect();
        assert_eq!(limits.len(), 1, "{limits:?}");
        assert!(
            limits[0].code == "specification-values"
                && limits[0].what.contains("b.yaml and what comes after it")
        );
    }
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
        ("queries.gql", "query Q { a }"),
        ("types.proto", "syntax = \"proto3\"; message A {}"),
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
    // It would take years; the machine may be busy.
    assert!(started.elapsed() < Duration::from_secs(180), "{:?}", started.elapsed());
}

#[test]
fn what_is_no_specification_is_said_when_it_was_named() {
    let folder = folder(&[("notes.yaml", "to: do")]);
    let loaded = load(&[
        request(&folder.path().join("notes.yaml")),
        request(&folder.path().join("none.yaml")),
        request(folder.path()),
    ]);
    let problems = problems(&loaded);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems[3].contains("there is no specification in it"), "{problems:?}");
}

#[test]
fn a_service_may_be_named() {
    let parse = |text: &str| (Request::parse(text).service, Request::parse(text).place);
    let disk = |path: &str| Where::Disk(path.into());
    let web = |address: &str| Where::Web(address.into());
    assert_eq!(parse("orders=a/b.yaml"), (Some("orders".into()), disk("a/b.yaml")));
    assert_eq!(parse("a/b=c.yaml"), (None, disk("a/b=c.yaml")));
    assert_eq!(parse("=c.yaml"), (None, disk("=c.yaml")));
    assert_eq!(parse("http://a/b?c=d"), (None, web("http://a/b?c=d")));
    assert_eq!(parse("orders=https://a/b"), (Some("orders".into()), web("https://a/b")));
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

#[test]
fn schemas_and_protobuf_files_are_found_beside_documents() {
    let folder = folder(&[
        ("api.yaml", "openapi: 3.1.0\npaths: { /a: { get: {} } }"),
        ("shop.graphql", "type Query { users: Int }"),
        (
            "proto/cart.proto",
            "syntax = \"proto3\"; package shop; service Cart { rpc Add(A) returns (A); } message A {}",
        ),
        ("broken.proto", "syntax = \"proto3\";\nservice {"),
    ]);
    let loaded = load(&[request(folder.path())]);
    let told: Vec<(&str, usize)> =
        loaded.specs.iter().map(|given| (given.spec.format.as_str(), given.spec.operations.len())).collect();
    assert_eq!(told, [("OpenAPI 3.1", 1), ("", 0), ("Protobuf proto3", 1), ("GraphQL", 1)]);
    let problems = problems(&loaded);
    assert!(problems[0].starts_with("broken.proto:2: no Protobuf: "), "{problems:?}");
    assert!(loaded.specs[2].spec.file.ends_with("/proto/cart.proto"));
}

/// Answers one request after the other with these.
fn server(answers: Vec<String>) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/api.yaml?token=secret", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n\r\n{body}")
}

#[test]
fn an_address_is_read_again_and_counts_on_when_it_falls_silent() {
    let of = |path: &str| answer(&format!("openapi: 3.1.0\npaths: {{ {path}: {{ get: {{}} }} }}"));
    let no = || "HTTP/1.1 500 No\r\n\r\n".to_owned();
    let address = server(vec![of("/a"), of("/a"), of("/b"), of("/b"), no(), no(), no(), of("/b"), of("/b")]);
    let requests = [Request { place: Where::Web(address.clone()), service: Some("shop".into()) }];
    let loaded = load(&requests);
    let [given] = loaded.specs.as_slice() else { panic!("{loaded:?}") };
    assert_eq!(given.spec.operations[0].path, "/a");
    assert_eq!(given.service.as_deref(), Some("shop"));
    assert!(given.spec.file.ends_with("/api.yaml"), "the query may be a secret: {}", given.spec.file);
    let mut known = watch::Known::of(&requests, &loaded);
    assert!(known.look(&requests, false).is_none() && known.look(&requests, true).is_none());
    assert_eq!(known.look(&requests, true).unwrap().specs[0].spec.operations[0].path, "/b");
    let silent = known.look(&requests, true).unwrap();
    assert_eq!(silent.specs[0].spec.operations[0].path, "/b", "an error is no other specification");
    assert!(
        problems(&silent)[0].contains("it could not be read: it answered 500"),
        "{:?}",
        problems(&silent)
    );
    assert!(known.look(&requests, true).is_none(), "it is said once");
    let again = known.look(&requests, true).unwrap();
    assert_eq!((again.specs.len(), problems(&again).len()), (1, 0));
}

#[test]
fn an_address_that_cannot_be_read_is_said() {
    let gone = "http://127.0.0.1:1/api.yaml".to_owned();
    for (address, why) in [
        (gone, "refused"),
        (server(vec!["HTTP/1.1 404 Not Found\r\n\r\n".to_owned()]), "it answered 404"),
        ("http://user:hunter2@127.0.0.1/".to_owned(), "an address with a password in it is not asked"),
    ] {
        let loaded = load(&[Request { place: Where::Web(address), service: None }]);
        let [problem] = &problems(&loaded)[..] else { panic!("{loaded:?}") };
        assert!(problem.contains(why) && !problem.contains("secret"), "{problem}");
    }
    let loaded = load(&[Request { place: Where::Web(server(vec![answer("hello")])), service: None }]);
    assert_eq!(loaded.specs[0].spec.problems[0].what, "it is nothing that could be a specification");
}
