//! What of a Protobuf message is not as its definition says: numbers that are not defined, kinds that do not fit, required
//! fields that are not there. Told are names and numbers, never values.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Messages within messages that are looked at.
const MAX_DEPTH: usize = 16;
/// Fields of one message that are looked at.
const MAX_STEPS: usize = 4_000;
/// Differences that are told.
const MAX_TOLD: usize = 16;
/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What differs in the messages of one side of a call to a method: `request` or `answer`.
pub(crate) fn differences(types: &Value, path: &str, side: &str, body: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let at = usize::from(side != "request");
    let name = types.get("methods").and_then(|all| all.get(path)?.get(at)?.as_str());
    let messages = types.get("messages").and_then(Value::as_object);
    let Some((name, messages)) = name.zip(messages) else { return found };
    let mut reader = Reader { messages, side, left: MAX_STEPS, found: &mut found };
    let mut rest = body;
    while let Some((&[compressed, a, b, c, d], behind)) = rest.split_first_chunk::<PREFIX>() {
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(message) = behind.get(..len) else { break };
        if compressed == 0 {
            let _broken = reader.message(message, name, MAX_DEPTH);
        }
        rest = behind.get(len..).unwrap_or_default();
    }
    found
}

struct Reader<'a> {
    messages: &'a Map<String, Value>,
    side: &'a str,
    left: usize,
    found: &'a mut BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn tell(&mut self, what: String) {
        if self.found.len() < MAX_TOLD {
            self.found.insert(what);
        }
    }

    /// `None` where it is no message.
    fn message(&mut self, mut bytes: &'a [u8], name: &str, depth: usize) -> Option<()> {
        let messages = self.messages;
        let fields = messages.get(name)?.as_object()?;
        let depth = depth.checked_sub(1)?;
        let mut seen = BTreeSet::new();
        while !bytes.is_empty() {
            self.left = self.left.checked_sub(1)?;
            let (key, rest) = varint(bytes)?;
            let (number, wire) = (key >> 3, key & 7);
            let (value, rest) = value(wire, rest)?;
            bytes = rest;
            seen.insert(number);
            match fields.get(&number.to_string()) {
                None => self.tell(format!("{} {name} has the undocumented field {number}", self.side)),
                Some(field) => self.field(field, name, wire, value, depth),
            }
        }
        for (number, field) in fields {
            let is_required = field.get("required") == Some(&Value::Bool(true));
            if is_required && !number.parse().is_ok_and(|number: u64| seen.contains(&number)) {
                self.tell(format!("{} {name} lacks {}", self.side, called(field)));
            }
        }
        Some(())
    }

    fn field(&mut self, field: &'a Value, name: &str, wire: u64, value: &'a [u8], depth: usize) {
        let Some(expected) = field.get("wire").and_then(Value::as_u64) else { return };
        // Repeated numbers may come one by one or together.
        let packed = field.get("repeated") == Some(&Value::Bool(true)) && wire == 2;
        if wire != expected && !packed {
            return self.tell(format!("{} {name}.{} is of another kind", self.side, called(field)));
        }
        if field.get("kind").and_then(Value::as_str) == Some("string") && str::from_utf8(value).is_err() {
            return self.tell(format!("{} {name}.{} is no text", self.side, called(field)));
        }
        if let Some(inner) = field.get("of").and_then(Value::as_str) {
            let _broken = self.message(value, inner, depth);
        }
    }
}

fn called(field: &Value) -> &str {
    field.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// The octets of a value, and what follows it; a group ends where it begins, so that what is in it counts as beside it.
fn value(wire: u64, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match wire {
        0 => varint(bytes).and_then(|(_, rest)| Some((bytes.get(..0)?, rest))),
        1 => bytes.split_at_checked(8),
        2 => {
            let (len, rest) = varint(bytes)?;
            rest.split_at_checked(usize::try_from(len).ok()?)
        }
        5 => bytes.split_at_checked(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::from_bytes;
    use proptest::prelude::*;

    const PROTO: &str = "syntax = \"proto2\"; package shop; service Cart { rpc Add(Item) returns (Item); rpc Other(x.Y) returns (Item); }
        message Item { required string id = 1; repeated int32 n = 2; optional Part part = 3; optional E e = 4; optional double d = 5;
            message Part { optional string key = 1; optional Item item = 2; } enum E { A = 0; } }";

    fn told(message: &[u8]) -> Vec<String> {
        let documents = from_bytes("a.proto", PROTO.as_bytes()).documents.unwrap();
        let body = [&[0, 0, 0, 0, message.len() as u8], message].concat();
        differences(documents.value(), "/shop.Cart/Add", "request", &body).into_iter().collect()
    }

    #[test]
    fn what_is_defined_is_no_difference() {
        // id "a", n 1 and packed 1 2, part.key "k", e 0, d.
        let whole = [&[10, 1, b'a', 16, 1, 18, 2, 1, 2, 26, 3, 10, 1, b'k', 32, 0, 41][..], &[0; 8]].concat();
        assert_eq!(told(&whole), [""; 0]);
    }

    #[test]
    fn what_is_not_is_told_by_name_and_number() {
        assert_eq!(told(&[16, 1]), ["request shop.Item lacks id"]);
        assert_eq!(told(&[10, 1, 0xff]), ["request shop.Item.id is no text"]);
        assert_eq!(told(&[10, 0, 56, 1]), ["request shop.Item has the undocumented field 7"]);
        assert_eq!(told(&[10, 0, 24, 1]), ["request shop.Item.part is of another kind"]);
        assert_eq!(
            told(&[10, 0, 26, 4, 18, 2, 56, 1]),
            ["request shop.Item has the undocumented field 7", "request shop.Item lacks id"]
        );
        let documents = from_bytes("a.proto", PROTO.as_bytes()).documents.unwrap();
        assert!(
            differences(documents.value(), "/shop.Cart/Other", "request", &[0, 0, 0, 0, 2, 56, 1]).is_empty()
        );
        assert!(
            differences(documents.value(), "/shop.Cart/Add", "request", &[1, 0, 0, 0, 2, 56, 1]).is_empty()
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _any = told(&bytes);
            let documents = from_bytes("a.proto", PROTO.as_bytes()).documents.unwrap();
            let _any = differences(documents.value(), "/shop.Cart/Add", "answer", &bytes);
        }
    }
}
