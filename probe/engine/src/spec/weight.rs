//! Bytes that a specification takes while it is kept, as far as they can be told: what is shared counts once.

use super::{Content, Operation, Outline, Problem, Server, Spec};
use compact_str::CompactString;
use std::collections::HashSet;
use std::mem::size_of;
use std::sync::Arc;

/// What was counted already, by address.
#[derive(Default)]
struct Seen(HashSet<usize>);

impl Seen {
    fn is_new<T: ?Sized>(&mut self, shared: &Arc<T>) -> bool {
        self.0.insert(Arc::as_ptr(shared).cast::<()>() as usize)
    }
}

impl Spec {
    /// Bytes that it takes on the heap.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let mut seen = Seen::default();
        let own = [&self.file, &self.title, &self.version].map(String::len).into_iter().sum::<usize>();
        let servers: usize =
            self.servers.iter().map(|own| size_of::<Server>() + own.host.len() + own.base.len()).sum();
        let told = |own: &Problem| size_of::<Problem>() + own.file.len() + own.pointer.len() + own.what.len();
        let problems: usize = self.problems.iter().map(told).sum();
        let operations: usize = self.operations.iter().map(|own| operation(own, &mut seen)).sum();
        (own + servers + problems + operations) as u64
    }
}

fn operation(own: &Operation, seen: &mut Seen) -> usize {
    let bases = if seen.is_new(&own.bases) {
        own.bases.iter().map(|base| size_of::<String>() + base.len()).sum()
    } else {
        0
    };
    let file = if seen.is_new(&own.place.file) { own.place.file.len() } else { 0 };
    let names: usize = own.parameters.iter().map(|own| heap(&own.name)).sum();
    let request = own.request.as_ref().map_or(0, |own| content(own, seen));
    let responses: usize =
        own.responses.iter().filter_map(|own| own.content.as_ref()).map(|own| content(own, seen)).sum();
    size_of::<Operation>()
        + own.path.len()
        + own.place.pointer.len()
        + heap(&own.method)
        + heap(&own.id)
        + heap(&own.owner)
        + bases
        + file
        + own.parameters.capacity() * size_of::<super::Parameter>()
        + names
        + own.responses.capacity() * size_of::<super::Response>()
        + request
        + responses
}

fn content(own: &Content, seen: &mut Seen) -> usize {
    if !seen.is_new(&own.0) {
        return 0;
    }
    let entries = own.0.iter().map(|(media, outline)| {
        let shape = outline.as_ref().map_or(0, |outline| self::outline(outline, seen));
        size_of::<(CompactString, Option<Arc<Outline>>)>() + heap(media) + shape
    });
    entries.sum()
}

/// Its depth is bounded where it is drawn.
fn outline(own: &Arc<Outline>, seen: &mut Seen) -> usize {
    if !seen.is_new(own) {
        return 0;
    }
    let properties: usize = own
        .properties
        .iter()
        .map(|(name, property)| {
            size_of::<(CompactString, super::Property)>() + heap(name) + outline(&property.outline, seen)
        })
        .sum();
    size_of::<Outline>() + properties + own.items.as_ref().map_or(0, |items| outline(items, seen))
}

/// Short texts stand in their place.
fn heap(text: &CompactString) -> usize {
    if text.is_heap_allocated() { text.capacity() } else { 0 }
}

#[cfg(test)]
mod tests {
    use crate::spec::{Documents, read};
    use serde_json::{Value, json};

    fn weight(operations: usize, properties: usize) -> u64 {
        let names: serde_json::Map<String, Value> =
            (0..properties).map(|n| (format!("property{n}"), json!({"type": "string"}))).collect();
        let answer = json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}});
        let paths: serde_json::Map<String, Value> = (0..operations)
            .map(|n| (format!("/path/{n}"), json!({"get": {"responses": {"200": answer}}})))
            .collect();
        let document = json!({"openapi": "3.1.0", "paths": paths,
            "components": {"schemas": {"A": {"type": "object", "properties": names}}}});
        read(&Documents::new("a", document)).weight()
    }

    #[test]
    fn what_is_shared_counts_once() {
        let (one, many) = (weight(1, 100), weight(101, 100));
        assert!(one > 100 * 24, "{one}");
        let each = (many - one) / 100;
        assert!((200..1_000).contains(&each), "an operation takes {each}");
        assert!(weight(101, 200) - many < 20_000, "the bodies are shared");
    }
}
