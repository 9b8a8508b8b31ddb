//! Protobuf services, from `.proto` files and from descriptor sets: the methods are the operations.
//!
//! What a file imports is not read: the names of services and methods stand in the file itself. Messages are kept as a document
//! ([`types`]), for calls to be compared with ([`message`]). A file without services is what others import.

pub(crate) mod message;
mod types;

use super::file::Parsed;
use super::graphql::line;
use apisec_engine::spec::{Api, MAX_OPERATIONS, MAX_TEXT, Operation, Place, Problem, Spec};
use compact_str::{CompactString, format_compact};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, UninterpretedOption};
use std::sync::Arc;

/// Reads a `.proto` file.
pub(super) fn read(name: &str, bytes: &[u8]) -> Parsed {
    let Ok(text) = str::from_utf8(bytes) else { return Parsed::Stranger };
    match protox_parse::parse(&module(name), text) {
        Ok(file) => found(name, &[file]),
        Err(error) => Parsed::Broken(Problem {
            file: name.to_owned(),
            pointer: String::new(),
            line: error.span().map(|span| line(text, span.start)),
            what: format!("no Protobuf: {error}"),
        }),
    }
}

/// Reads a descriptor set, as `protoc --descriptor_set_out` and `buf build` write it. Any bytes may happen to be one, so it
/// is none without a service.
pub(super) fn read_set(name: &str, bytes: &[u8]) -> Parsed {
    FileDescriptorSet::decode(bytes).map_or(Parsed::Stranger, |set| found(name, &set.file))
}

/// The parser refuses names that no import could have.
fn module(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

fn found(name: &str, files: &[FileDescriptorProto]) -> Parsed {
    let spec = spec(name, files);
    if spec.operations.is_empty() {
        return Parsed::Stranger;
    }
    Parsed::Other(Arc::new(spec), Arc::new(types::types(files)))
}

fn spec(name: &str, files: &[FileDescriptorProto]) -> Spec {
    let title = files.iter().find(|file| !file.service.is_empty()).map(|file| file.package().to_owned());
    Spec {
        file: name.to_owned(),
        title: title.filter(|title| title.len() <= MAX_TEXT).unwrap_or_default(),
        format: format_of(files),
        operations: files.iter().flat_map(|file| operations(name, file)).take(MAX_OPERATIONS).collect(),
        ..Spec::default()
    }
}

fn format_of(files: &[FileDescriptorProto]) -> CompactString {
    let syntax = files.iter().map(FileDescriptorProto::syntax).find(|syntax| syntax.len() < 16);
    format_compact!("Protobuf {}", syntax.filter(|syntax| !syntax.is_empty()).unwrap_or("proto2"))
}

fn operations<'a>(name: &'a str, file: &'a FileDescriptorProto) -> impl Iterator<Item = Operation> + 'a {
    let (shown, bases): (Arc<str>, Arc<[String]>) = (name.into(), [String::new()].into());
    file.service.iter().flat_map(move |service| {
        let (shown, bases) = (shown.clone(), bases.clone());
        let full = match file.package() {
            "" => service.name().to_owned(),
            package => format!("{package}.{}", service.name()),
        };
        let options = service.options.as_ref();
        let old = options.is_some_and(|own| own.deprecated() || is_deprecated(&own.uninterpreted_option));
        let own = service.method.iter().filter(|method| !method.name().is_empty());
        own.map(move |method| Operation {
            api: Api::Grpc,
            method: CompactString::const_new("POST"),
            path: format!("/{full}/{}", method.name()),
            bases: bases.clone(),
            id: method.name().into(),
            owner: full.as_str().into(),
            deprecated: old
                || method
                    .options
                    .as_ref()
                    .is_some_and(|own| own.deprecated() || is_deprecated(&own.uninterpreted_option)),
            place: Place { file: shown.clone(), pointer: format!("{full}.{}", method.name()) },
            ..Operation::default()
        })
        .filter(|own| own.path.len() <= MAX_TEXT)
        .collect::<Vec<_>>()
    })
}

/// In a file that was not linked with its imports options have names only.
fn is_deprecated(options: &[UninterpretedOption]) -> bool {
    options.iter().any(|own| {
        let named =
            matches!(own.name.as_slice(), [part] if part.name_part == "deprecated" && !part.is_extension);
        named && own.identifier_value() == "true"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
        syntax = "proto3";
        package shop.v1;
        import "google/protobuf/empty.proto";
        service Catalog {
          rpc Get(GetRequest) returns (Product);
          rpc Watch(stream GetRequest) returns (stream Product) { option deprecated = true; }
        }
        message GetRequest { string id = 1; }
        message Product {}"#;

    fn told(parsed: &Parsed) -> Vec<(String, bool)> {
        let Parsed::Other(spec, _) = parsed else { return Vec::new() };
        spec.operations.iter().map(|own| (own.path.clone(), own.deprecated)).collect()
    }

    #[test]
    fn methods_are_operations_in_a_file_and_in_a_set() {
        let expected =
            [("/shop.v1.Catalog/Get".to_owned(), false), ("/shop.v1.Catalog/Watch".to_owned(), true)];
        assert_eq!(told(&read("x/catalog.proto", CATALOG.as_bytes())), expected);
        let file = protox_parse::parse("catalog.proto", CATALOG).unwrap();
        let set = FileDescriptorSet { file: vec![file] }.encode_to_vec();
        assert_eq!(told(&read_set("a.binpb", &set)), expected);
    }

    #[test]
    fn what_is_broken_has_a_line_and_what_has_no_service_is_none() {
        let broken = CATALOG.replace("returns (Product)", "returns Product");
        let Parsed::Broken(problem) = read("a.proto", broken.as_bytes()) else { panic!("it is read") };
        assert_eq!(problem.line, Some(6), "{problem}");
        assert!(matches!(read("a.proto", b"syntax = \"proto3\"; message A {}"), Parsed::Stranger));
        assert!(matches!(read_set("a.pb", b"\x00\xff\x07not a set"), Parsed::Stranger));
        let deep = "message A {".repeat(100_000);
        assert!(matches!(read("a.proto", deep.as_bytes()), Parsed::Broken(_)));
    }
}
