//! From documents to a specification.

use super::document::{Documents, Node};
use super::operation::Reader;
use super::{Location, MAX_PARTS, MAX_PROBLEMS, MAX_TEXT, Problem, Spec, server};
use compact_str::{CompactString, format_compact};
use serde_json::Value;

/// Whether a document claims to be an OpenAPI or Swagger specification.
#[must_use]
pub fn is_specification(document: &Value) -> bool {
    ["openapi", "swagger"].iter().any(|key| document.get(*key).is_some())
}

/// Reads a specification; what is wrong with it is in its problems, without lines.
#[must_use]
pub fn read(documents: &Documents) -> Spec {
    let mut spec = Spec { file: documents.root().to_owned(), ..Spec::default() };
    let mut problems = Problems::default();
    match documents.top() {
        Some(root) if root.value.is_object() => read_root(documents, &root, &mut spec, &mut problems),
        Some(root) => problems.add(root.problem("the document is no object".to_owned())),
        None => {}
    }
    (spec.problems, spec.more_problems) = problems.end();
    spec
}

fn read_root<'d>(documents: &'d Documents, root: &Node<'d>, spec: &mut Spec, problems: &mut Problems) {
    let swagger = format_of(root, spec, problems);
    let info = root.value.get("info").unwrap_or(&Value::Null);
    (spec.title, spec.version) = (text(info.get("title")), text(info.get("version")));
    spec.servers = if swagger { server::swagger(root) } else { server::servers(root) };
    spec.keys = keys(root);
    let Some(paths) = root.get("paths") else {
        // OpenAPI 3.1 may describe webhooks or components alone.
        if swagger || (root.value.get("webhooks").is_none() && root.value.get("components").is_none()) {
            problems.add(root.problem("there are no paths".to_owned()));
        }
        return;
    };
    if !paths.value.is_object() {
        problems.add(paths.problem("the paths are no object".to_owned()));
        return;
    }
    let mut reader = Reader::new(documents, root, swagger, &spec.servers);
    for (path, item) in paths.members().filter(|(path, _)| !path.starts_with("x-")) {
        reader.path(path, item, &mut spec.operations, problems);
    }
}

/// Notes which format it is; true for Swagger 2.0.
fn format_of(root: &Node<'_>, spec: &mut Spec, problems: &mut Problems) -> bool {
    if let Some(version) = root.value.get("swagger") {
        let version = text(Some(version));
        spec.format = format_compact!("Swagger {}", short(&version));
        if !version.starts_with('2') {
            problems.add(root.problem(format!("Swagger {} is read as if it were 2.0", short(&version))));
        }
        return true;
    }
    let version = text(root.value.get("openapi"));
    if version.starts_with("3.") || version == "3" {
        let minor: String = version.split('.').take(2).collect::<Vec<_>>().join(".");
        spec.format = format_compact!("OpenAPI {}", short(&minor));
    } else {
        problems.add(root.problem(format!("version {:?} is read as if it were 3.1", short(&version))));
        spec.format = CompactString::const_new("OpenAPI");
    }
    false
}

/// Credentials are no parameter of any operation, and documented all the same.
fn keys(root: &Node<'_>) -> Vec<(Location, String)> {
    let schemes = root.value.pointer("/components/securitySchemes").or(root.value.get("securityDefinitions"));
    let schemes = schemes.and_then(Value::as_object).into_iter().flatten().take(MAX_PARTS);
    let key = |(_, scheme): (&String, &Value)| {
        let location = Location::named(scheme.get("in")?.as_str()?)?;
        Some((location, text(scheme.get("name"))))
    };
    schemes.filter_map(key).collect()
}

fn short(version: &str) -> &str {
    version.get(..version.len().min(8)).unwrap_or_default()
}

/// A text of a document, cut; numbers are what YAML makes of `version: 1.0`.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => cut(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// At most [`MAX_TEXT`] bytes.
pub(super) fn cut(text: &str) -> String {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// The problems of one specification, at most so many.
#[derive(Default)]
pub(super) struct Problems {
    all: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub(super) fn add(&mut self, problem: Problem) {
        if self.all.contains(&problem) {
            return;
        }
        if self.all.len() < MAX_PROBLEMS {
            self.all.push(problem);
        } else {
            self.more += 1;
        }
    }

    fn end(self) -> (Vec<Problem>, usize) {
        (self.all, self.more)
    }
}
