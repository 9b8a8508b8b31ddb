//! The operations of a path: parameters, bodies and answers, of OpenAPI 3 and Swagger 2.0.

use super::document::{Documents, Node};
use super::outline::Artist;
use super::read::{Problems, cut, text};
use super::server::{bases, servers};
use super::{
    Content, Fits, Location, MAX_OPERATIONS, MAX_PARTS, Operation, Outline, Parameter, Place, Response,
    Server, Status,
};
use compact_str::CompactString;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Keys of a path that are methods, in the order in which operations are listed.
const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
/// Media types of Swagger 2.0 forms.
const FORMS: [&str; 2] = ["application/x-www-form-urlencoded", "multipart/form-data"];

/// Reads the paths of one specification.
pub(super) struct Reader<'d> {
    documents: &'d Documents,
    swagger: bool,
    bases: Arc<[String]>,
    /// An operation that says nothing else asks for credentials.
    secured: bool,
    /// Media types that hold where an operation names none (Swagger 2.0).
    consumes: Vec<CompactString>,
    produces: Vec<CompactString>,
    artist: Artist<'d>,
    /// Each content once.
    contents: HashSet<Content>,
    /// The file of the last operation.
    file: Arc<str>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(documents: &'d Documents, root: &Node<'d>, swagger: bool, servers: &[Server]) -> Self {
        Self {
            documents,
            swagger,
            bases: bases(servers).into(),
            secured: root.value.get("security").is_some_and(is_secured),
            consumes: types(root.value.get("consumes")),
            produces: types(root.value.get("produces")),
            artist: Artist::new(documents),
            contents: HashSet::new(),
            file: root.file.into(),
        }
    }

    /// Reads a path.
    pub(super) fn path(
        &mut self,
        path: &str,
        item: Node<'d>,
        operations: &mut Vec<Operation>,
        problems: &mut Problems,
    ) {
        if !path.starts_with('/') {
            problems.add(item.problem("a path begins with a slash".to_owned()));
            return;
        }
        let item = match self.documents.follow(item) {
            Ok(item) => item,
            Err(problem) => return problems.add(problem),
        };
        if !item.value.is_object() {
            return problems.add(item.problem("a path is an object".to_owned()));
        }
        for method in METHODS {
            let Some(node) = item.get(method) else { continue };
            if operations.len() >= MAX_OPERATIONS {
                return problems.add(
                    node.problem(format!("only {MAX_OPERATIONS} operations are read; the rest is left out")),
                );
            }
            match self.documents.follow(node) {
                Ok(node) if node.value.is_object() => {
                    operations.push(self.operation(path, method, &item, &node, problems));
                }
                Ok(node) => problems.add(node.problem("an operation is an object".to_owned())),
                Err(problem) => problems.add(problem),
            }
        }
    }

    fn operation(
        &mut self,
        path: &str,
        method: &str,
        item: &Node<'d>,
        node: &Node<'d>,
        problems: &mut Problems,
    ) -> Operation {
        let mut operation = Operation {
            method: method.to_ascii_uppercase().into(),
            path: cut(path),
            bases: self.bases_of(item, node),
            id: text(node.value.get("operationId")).into(),
            owner: text(node.value.get("tags").and_then(|tags| tags.get(0))).into(),
            deprecated: node.value.get("deprecated") == Some(&Value::Bool(true)),
            secured: node.value.get("security").map_or(self.secured, is_secured),
            place: Place { file: self.file_of(node), pointer: node.pointer.clone() },
            ..Operation::default()
        };
        for holder in [item, node] {
            self.parameters(holder, node, &mut operation, problems);
        }
        if let Some(body) = node.get("requestBody") {
            match self.documents.follow(body) {
                Ok(body) => {
                    operation.needs_body = body.value.get("required") == Some(&Value::Bool(true));
                    operation.request = Some(self.content(&body, problems).unwrap_or_default());
                }
                Err(problem) => problems.add(problem),
            }
        }
        self.responses(node, &mut operation, problems);
        operation.parameters.shrink_to_fit();
        operation.responses.shrink_to_fit();
        operation
    }

    fn file_of(&mut self, node: &Node<'d>) -> Arc<str> {
        if *self.file != *node.file {
            self.file = node.file.into();
        }
        self.file.clone()
    }

    fn keep(&mut self, content: impl IntoIterator<Item = (CompactString, Option<Arc<Outline>>)>) -> Content {
        let content = Content(content.into_iter().collect());
        if let Some(known) = self.contents.get(&content) {
            return known.clone();
        }
        self.contents.insert(content.clone());
        content
    }

    /// The nearest servers count.
    fn bases_of(&self, item: &Node<'d>, node: &Node<'d>) -> Arc<[String]> {
        let own = [node, item].into_iter().map(servers).find(|servers| !servers.is_empty());
        own.map_or_else(|| self.bases.clone(), |servers| bases(&servers).into())
    }

    fn parameters(
        &mut self,
        holder: &Node<'d>,
        operation: &Node<'d>,
        into: &mut Operation,
        problems: &mut Problems,
    ) {
        let Some(list) = holder.get("parameters") else { return };
        if !list.value.is_array() {
            return problems.add(list.problem("parameters are a list".to_owned()));
        }
        for node in list.items().take(MAX_PARTS) {
            match self.documents.follow(node) {
                Ok(node) => self.parameter(&node, operation, into, problems),
                Err(problem) => problems.add(problem),
            }
        }
    }

    fn parameter(
        &mut self,
        node: &Node<'d>,
        operation: &Node<'d>,
        into: &mut Operation,
        problems: &mut Problems,
    ) {
        let required = node.value.get("required") == Some(&Value::Bool(true));
        let place = node.value.get("in").and_then(Value::as_str).unwrap_or_default();
        let location = match place {
            "body" if self.swagger => {
                let outline = node.get("schema").and_then(|schema| self.artist.draw(schema));
                into.needs_body |= required;
                into.request = Some(self.swagger_content(operation, "consumes", outline.as_ref()));
                return;
            }
            "formData" if self.swagger => {
                let own = types(operation.value.get("consumes"));
                let forms = if own.is_empty() { FORMS.map(CompactString::const_new).to_vec() } else { own };
                if into.request.is_none() {
                    into.request = Some(self.keep(forms.into_iter().map(|form| (form, None))));
                }
                return;
            }
            _ => match Location::named(place) {
                Some(location) => location,
                None => {
                    let what = "a parameter is in the path, query, header or cookie".to_owned();
                    return problems.add(node.problem(what));
                }
            },
        };
        let name: CompactString = text(node.value.get("name")).into();
        if name.is_empty() {
            return problems.add(node.problem("a parameter has a name".to_owned()));
        }
        // The operation's own parameter replaces that of the path.
        into.parameters.retain(|known| (&known.name, known.location) != (&name, location));
        into.parameters.push(Parameter { name, location, required, fits: self.fits(node) });
    }

    /// Swagger 2.0 writes the type beside the name, OpenAPI 3 into a schema.
    fn fits(&self, node: &Node<'d>) -> Fits {
        let schema = node.get("schema").and_then(|schema| self.documents.follow(schema).ok());
        let schema = schema.map_or(node.value, |schema| schema.value);
        let word = |key| schema.get(key).and_then(Value::as_str).unwrap_or_default();
        match (word("type"), word("format")) {
            ("integer" | "number", _) => Fits::Integer,
            (_, "uuid") => Fits::Uuid,
            (_, "date") => Fits::Date,
            _ => Fits::Any,
        }
    }

    fn responses(&mut self, node: &Node<'d>, into: &mut Operation, problems: &mut Problems) {
        let Some(list) = node.get("responses") else { return };
        if !list.value.is_object() {
            return problems.add(list.problem("responses are an object".to_owned()));
        }
        for (status, response) in list.members().filter(|(key, _)| !key.starts_with("x-")).take(MAX_PARTS) {
            let Some(status) = parse_status(status) else {
                problems.add(response.problem("this is no status".to_owned()));
                continue;
            };
            let content = match self.documents.follow(response) {
                Ok(response) if self.swagger => {
                    let schema = response.get("schema");
                    schema.map(|schema| {
                        let outline = self.artist.draw(schema);
                        self.swagger_content(node, "produces", outline.as_ref())
                    })
                }
                Ok(response) => self.content(&response, problems),
                Err(problem) => {
                    problems.add(problem);
                    None
                }
            };
            into.responses.push(Response { status, content });
        }
    }

    /// What an OpenAPI 3 message carries; `None` when it does not say.
    fn content(&mut self, node: &Node<'d>, problems: &mut Problems) -> Option<Content> {
        let content = node.get("content")?;
        if !content.value.is_object() {
            problems.add(content.problem("the content is an object by media type".to_owned()));
            return None;
        }
        let entry = |(name, media): (&str, Node<'d>)| {
            let outline = media.get("schema").and_then(|schema| self.artist.draw(schema));
            (media_type(name), outline)
        };
        let entries: Vec<_> = content.members().take(MAX_PARTS).map(entry).collect();
        Some(self.keep(entries))
    }

    /// What a Swagger 2.0 message carries: one schema under every media type that holds.
    fn swagger_content(
        &mut self,
        operation: &Node<'d>,
        key: &str,
        outline: Option<&Arc<Outline>>,
    ) -> Content {
        let inherited = if key == "consumes" { &self.consumes } else { &self.produces };
        let own = operation.value.get(key).map(|own| types(Some(own)));
        let mut types = own.unwrap_or_else(|| inherited.clone());
        if types.is_empty() {
            types.push(CompactString::const_new("application/json"));
        }
        self.keep(types.into_iter().map(|media| (media, outline.cloned())))
    }
}

/// `200`, `4XX` or `default`.
fn parse_status(text: &str) -> Option<Status> {
    if text.eq_ignore_ascii_case("default") {
        return Some(Status::Default);
    }
    let class = text.strip_suffix("XX").or_else(|| text.strip_suffix("xx"));
    if let Some(class) = class {
        return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Status::Class);
    }
    text.parse().ok().filter(|code| (100..=599).contains(code)).map(Status::Code)
}

/// An alternative without any scheme (`{}`) makes credentials optional.
fn is_secured(security: &Value) -> bool {
    let alternatives = security.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_open = |alternative: &Value| alternative.as_object().is_none_or(serde_json::Map::is_empty);
    !alternatives.is_empty() && !alternatives.iter().any(is_open)
}

fn types(list: Option<&Value>) -> Vec<CompactString> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).take(MAX_PARTS).map(media_type).collect()
}

/// Lower case, without parameters.
fn media_type(text: &str) -> CompactString {
    let media = text.split(';').next().unwrap_or_default().trim();
    cut(media).to_ascii_lowercase().into()
}
