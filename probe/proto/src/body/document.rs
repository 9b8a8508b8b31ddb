//! The shape of a JSON document, also of one that was cut.

use super::shape::Kinds;
use super::sketch::Sketch;
use crate::json::{Ending, Token, Tokens};
use smallvec::SmallVec;

/// Tokens of one document that are looked at: a long array of numbers tells nothing new.
const MAX_TOKENS: usize = 20_000;

/// An object or array that is open.
#[derive(Clone, Copy)]
struct Level {
    /// Length of its own path.
    path: usize,
    /// Length of the path of what is in it, without keys.
    inside: usize,
    array: bool,
    elements: u32,
}

/// Walks a document into `sketch`.
pub(super) fn walk(text: &[u8], scratch: &mut Vec<u8>, sketch: &mut Sketch) -> Ending {
    let mut tokens = Tokens::new(text);
    let mut levels = SmallVec::<[Level; 16]>::new();
    for token in tokens.by_ref().take(MAX_TOKENS) {
        if let Token::Key(key) = token {
            sketch.leave(levels.last().map_or(0, |level| level.inside));
            sketch.enter(key.unescaped(scratch));
            continue;
        }
        if token == Token::Close {
            close(levels.pop(), sketch);
            sketch.leave(levels.last().map_or(0, |level| level.inside));
            continue;
        }
        if let Some(level) = levels.last_mut() {
            level.elements = level.elements.saturating_add(1);
        }
        match token {
            Token::Object | Token::Array => levels.push(open(token == Token::Array, sketch)),
            Token::Text(text) => sketch.text(text.unescaped(scratch), Kinds::STRING, text.whole),
            Token::Number(digits) => sketch.number(digits),
            Token::Boolean(_) => sketch.value(Kinds::BOOLEAN),
            Token::Null => sketch.value(Kinds::NULL),
            Token::Key(_) | Token::Close => {}
        }
    }
    tokens.ending()
}

fn open(array: bool, sketch: &mut Sketch) -> Level {
    sketch.value(if array { Kinds::ARRAY } else { Kinds::OBJECT });
    let path = sketch.position();
    if array {
        sketch.enter_elements();
    }
    Level { path, inside: sketch.position(), array, elements: 0 }
}

fn close(level: Option<Level>, sketch: &mut Sketch) {
    if let Some(level) = level.filter(|level| level.array) {
        sketch.leave(level.path);
        sketch.elements(level.elements);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        let mut sketch = Sketch::default();
        walk(text.as_bytes(), &mut Vec::new(), &mut sketch);
        sketch
            .shape
            .places()
            .iter()
            .map(|place| {
                let words = |words: Vec<&str>| words.join("|");
                let kinds = words(place.kinds.words().collect());
                let formats = words(place.formats.words().collect());
                let classes = words(place.classes.names().collect());
                format!("{} {kinds} {formats} {classes} x{} {}", place.path, place.count, place.longest)
            })
            .collect()
    }

    #[test]
    fn places_of_a_document() {
        let text = r#"{"id": 7, "items": [{"sku": "A-1", "price": 1.5}, {"sku": "", "gift": null}],
            "owner": {"mail": "ada@example.com", "ok": true}, "tags": ["x", "yy"]}"#;
        assert_eq!(
            shown(text),
            [
                " object   x1 0",
                ".id integer   x1 0",
                ".items array   x1 2",
                ".items[] object   x2 0",
                ".items[].gift null   x1 0",
                ".items[].price number   x1 0",
                ".items[].sku string plain|empty  x2 3",
                ".owner object   x1 0",
                ".owner.mail string email email x1 15",
                ".owner.ok boolean   x1 0",
                ".tags array   x1 2",
                ".tags[] string plain  x2 2",
            ]
        );
    }

    #[test]
    fn a_prefix_has_a_part_of_the_shape() {
        assert_eq!(
            shown(r#"{"a": {"b": [1, "tru"#),
            [" object   x1 0", ".a object   x1 0", ".a.b array   x1 0", ".a.b[] integer|string   x2 3",]
        );
    }

    #[test]
    fn no_value_is_kept() {
        let text = r#"{"card": "4111 1111 1111 1111", "4111111111111111": 1, "n": 4111111111111111, "password": "hunter2"}"#;
        let shown = shown(text).join("\n");
        assert!(!shown.contains("4111") && !shown.contains("hunter"), "{shown}");
        assert!(
            shown.contains(".card string plain card") && shown.contains(".password string plain token"),
            "{shown}"
        );
        assert!(shown.contains(".{card} integer") && shown.contains(".n integer  card"), "{shown}");
    }

    #[test]
    fn hostile_documents_stay_bounded() {
        let deep = format!("{}1", r#"{"a":["#.repeat(10_000));
        let wide =
            format!("{{{}}}", (0..5_000).map(|n| format!(r#""k{n}x":1"#)).collect::<Vec<_>>().join(","));
        let long = format!(r#"{{"{}":{{"{}":1}}}}"#, "k".repeat(9_000), "j".repeat(9_000));
        for text in [deep, wide, long] {
            let mut sketch = Sketch::default();
            walk(text.as_bytes(), &mut Vec::new(), &mut sketch);
            assert!(sketch.shape.places().len() <= super::super::shape::MAX_PLACES);
        }
    }

    proptest! {
        #[test]
        fn every_prefix_only_lacks_places(end in 0_usize..90) {
            let text = r#"{"a":[{"b":1,"c":"x"},{"b":null}],"d":{"e":{"f":"2026-11-24"}},"g":[],"h":-1.5}"#;
            let end = end.min(text.len());
            let paths = |text: &str| shown(text).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
            let whole = paths(text);
            for path in paths(&text[..end]) {
                prop_assert!(whole.contains(&path), "{path}");
            }
        }
    }
}
