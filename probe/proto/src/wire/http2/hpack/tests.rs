//! Against fluke-hpack as the oracle, and against whoever means harm.

use super::huffman::tests::encode;
use super::*;
use fluke_hpack::{Decoder as Oracle, Encoder};
use proptest::collection::vec;
use proptest::prelude::*;

const NO_LIMIT: usize = usize::MAX;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn read(table: &mut Table, block: &[u8]) -> (Fields, u32, bool) {
    let mut section = Section::default();
    let whole = decode(table, block, NO_LIMIT, &mut section).is_ok();
    (section.each().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(), section.opaque, whole)
}

fn text(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::string::string_regex(&format!("[a-z0-9/%_-]{{0,{max}}}")).unwrap().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..max),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![":path", ":status", "cookie", "x-a", "x-b", "grpc-status", "date"]);
    prop_oneof![3 => known.prop_map(|name| name.as_bytes().to_vec()), 1 => text(20)]
}

fn fields() -> impl Strategy<Value = Fields> {
    // Few different values, so that entries are found again.
    let few = prop::sample::select(vec!["", "1", "/a", "/b", "200", "abcdefghijklmnopqrstuvwxyz"]);
    let value =
        prop_oneof![3 => few.prop_map(|value| value.as_bytes().to_vec()), 1 => text(60), 1 => text(1500)];
    vec((name(), value), 0..12)
}

/// How a test writes a field.
#[derive(Clone, Debug)]
enum Way {
    /// By the index of an entry, counted from the first of the static table, modulo what there is.
    Indexed(usize),
    /// A literal; with the name of an entry or its own; 0 indexed, 1 not, 2 never.
    Literal {
        name: Result<usize, Vec<u8>>,
        value: Vec<u8>,
        kind: u8,
        huffman: bool,
    },
    Resize(usize),
}

fn way() -> impl Strategy<Value = Way> {
    let by = prop_oneof![any::<usize>().prop_map(Ok), name().prop_map(Err)];
    let literal = (by, text(50), 0u8..3, any::<bool>())
        .prop_map(|(name, value, kind, huffman)| Way::Literal { name, value, kind, huffman });
    prop_oneof![3 => any::<usize>().prop_map(Way::Indexed), 4 => literal, 1 => (0usize..5000).prop_map(Way::Resize)]
}

/// An encoder that does everything the RFC allows, with the plainest model of its table.
struct Writer {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    limit: usize,
}

impl Writer {
    fn fit(&mut self, limit: usize) {
        while self.entries.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() > limit {
            self.entries.pop();
        }
    }

    fn entry(&self, index: usize) -> (Vec<u8>, Vec<u8>) {
        match table::STATIC.get(index) {
            Some((name, value)) => (name.as_bytes().to_vec(), value.as_bytes().to_vec()),
            None => self.entries[index - 61].clone(),
        }
    }

    fn write(&mut self, ways: &[Way]) -> (Vec<u8>, Fields) {
        let (mut block, mut fields) = (Vec::new(), Vec::new());
        for way in ways {
            match way {
                Way::Indexed(index) => {
                    let index = index % (61 + self.entries.len());
                    put(&mut block, 0x80, 7, index + 1);
                    fields.push(self.entry(index));
                }
                Way::Literal { name, value, kind, huffman } => {
                    let (flag, prefix) = [(0x40, 6), (0, 4), (0x10, 4)][usize::from(*kind)];
                    let name = match name {
                        Ok(index) => {
                            let index = index % (61 + self.entries.len());
                            put(&mut block, flag, prefix, index + 1);
                            self.entry(index).0
                        }
                        Err(name) => {
                            put(&mut block, flag, prefix, 0);
                            put_text(&mut block, name, *huffman);
                            name.clone()
                        }
                    };
                    put_text(&mut block, value, *huffman);
                    if *kind == 0 {
                        let size = name.len() + value.len() + 32;
                        self.fit(self.limit.saturating_sub(size));
                        if size <= self.limit {
                            self.entries.insert(0, (name.clone(), value.clone()));
                        }
                    }
                    fields.push((name, value.clone()));
                }
                Way::Resize(limit) if fields.is_empty() => {
                    put(&mut block, 0x20, 5, *limit);
                    self.limit = *limit;
                    self.fit(*limit);
                }
                Way::Resize(_) => {}
            }
        }
        if fields.is_empty() && !block.is_empty() {
            // The oracle refuses a block that only changes the limit.
            put(&mut block, 0x80, 7, 2);
            fields.push(self.entry(1));
        }
        (block, fields)
    }
}

fn put(block: &mut Vec<u8>, flag: u8, prefix: u32, mut value: usize) {
    let all = (1 << prefix) - 1;
    if value < all {
        return block.push(flag | value as u8);
    }
    block.push(flag | all as u8);
    value -= all;
    while value >= 128 {
        block.push(0x80 | value as u8);
        value >>= 7;
    }
    block.push(value as u8);
}

fn put_text(block: &mut Vec<u8>, text: &[u8], huffman: bool) {
    let coded = if huffman { encode(text) } else { text.to_vec() };
    put(block, if huffman { 0x80 } else { 0 }, 7, coded.len());
    block.extend_from_slice(&coded);
}

/// Whether `part` is `whole` without some of its fields.
fn is_part(part: &Fields, whole: &Fields) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|field| whole.any(|other| other == field))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_the_oracle_writes(blocks in vec(fields(), 1..12)) {
        let (mut encoder, mut table) = (Encoder::new(), Table::new(true));
        for fields in blocks {
            let block = encoder.encode(fields.iter().map(|(name, value)| (&name[..], &value[..])));
            prop_assert_eq!(read(&mut table, &block), (fields, 0, true));
        }
    }

    #[test]
    fn reads_every_representation_as_the_oracle_does(blocks in vec(vec(way(), 0..10), 1..12)) {
        let (mut oracle, mut table) = (Oracle::new(), Table::new(true));
        let mut writer = Writer { entries: Vec::new(), limit: 4096 };
        for ways in blocks {
            let (block, fields) = writer.write(&ways);
            prop_assert_eq!(&read(&mut table, &block), &(fields.clone(), 0, true));
            prop_assert_eq!(oracle.decode(&block).unwrap(), fields);
        }
    }

    /// Met in the middle: what is named is right, what is not is counted.
    #[test]
    fn never_a_wrong_name(blocks in vec(vec(way(), 0..10), 2..16), from in 0usize..8, lost in vec(0usize..16, 0..3)) {
        let mut table = Table::new(false);
        let mut writer = Writer { entries: Vec::new(), limit: 4096 };
        for (at, ways) in blocks.iter().enumerate() {
            let (block, fields) = writer.write(ways);
            if at < from {
                continue;
            }
            if lost.contains(&at) {
                table.forget();
                continue;
            }
            let (known, opaque, whole) = read(&mut table, &block);
            prop_assert!(whole);
            prop_assert_eq!(known.len() + opaque as usize, fields.len());
            prop_assert!(is_part(&known, &fields), "{known:?} of {fields:?}");
        }
    }

    /// The same where the encoder keeps to another limit than we believe.
    #[test]
    fn never_a_wrong_name_under_any_limit(
        blocks in vec(vec(way(), 0..10), 2..16), limit in prop::sample::select(vec![0usize, 100, 1000, 20_000, 200_000]),
    ) {
        let mut table = Table::new(false);
        let mut writer = Writer { entries: Vec::new(), limit };
        for (at, ways) in blocks.iter().enumerate() {
            let ways: Vec<Way> = ways.iter().filter(|way| !matches!(way, Way::Resize(_))).cloned().collect();
            let (block, fields) = writer.write(&ways);
            if at > 0 {
                let (known, opaque, whole) = read(&mut table, &block);
                prop_assert!(whole);
                prop_assert_eq!(known.len() + opaque as usize, fields.len());
                prop_assert!(is_part(&known, &fields), "{known:?} of {fields:?}");
            }
        }
    }

    /// Tables that may not grow know less, and nothing wrong.
    #[test]
    fn never_a_wrong_name_without_room(blocks in vec(vec(way(), 0..10), 2..16), rooms in vec(0usize..200, 16)) {
        let mut table = Table::new(true);
        let mut writer = Writer { entries: Vec::new(), limit: 4096 };
        for (ways, room) in blocks.iter().zip(rooms) {
            let (block, fields) = writer.write(ways);
            let before = table.held();
            let mut section = Section::default();
            prop_assert!(decode(&mut table, &block, room, &mut section).is_ok());
            let known: Fields = section.each().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(known.len() + section.opaque as usize, fields.len());
            prop_assert!(is_part(&known, &fields));
            prop_assert!(table.held() <= 2 * (before + ways.len() * room) + 200);
        }
    }

    #[test]
    fn anything_may_come(blocks in vec(vec(any::<u8>(), 0..200), 1..8), whole in any::<bool>()) {
        let (mut oracle, mut table) = (Oracle::new(), Table::new(whole));
        let mut agreed = whole;
        for block in blocks {
            let (known, opaque, read) = read(&mut table, &block);
            prop_assert!(known.len() + opaque as usize <= block.len());
            prop_assert!(table.held() <= 4 * MAX_DECODED);
            if !read {
                table.forget();
            }
            agreed &= read;
            if agreed {
                // The oracle may accept less (it refuses large limits), never something else.
                match oracle.decode(&block) {
                    Ok(fields) => prop_assert_eq!(fields, known),
                    Err(_) => agreed = false,
                }
            }
        }
    }
}

#[test]
fn a_bomb_costs_its_own_octets() {
    let mut table = Table::new(true);
    let mut block = Vec::new();
    put(&mut block, 0x40, 6, 0);
    put_text(&mut block, b"x", false);
    put_text(&mut block, &[b'a'; 4000], false);
    block.resize(block.len() + 60_000, 0x80 | 62);
    let mut section = Section::default();
    decode(&mut table, &block, NO_LIMIT, &mut section).unwrap();
    assert!(section.bytes.len() <= MAX_DECODED);
    assert_eq!(section.fields.len() + section.cut as usize, 60_001);
    assert!(section.bytes.capacity() <= 4 * MAX_DECODED, "{}", section.bytes.capacity());
    assert!(table.held() < 8192);
}

#[test]
fn a_table_is_as_large_as_agreed_and_no_larger_than_we_follow() {
    let mut table = Table::new(true);
    let mut block = Vec::new();
    put(&mut block, 0x20, 5, 1 << 20);
    for i in 0..4000 {
        put(&mut block, 0x40, 6, 0);
        put_text(&mut block, format!("name-{i}").as_bytes(), false);
        put_text(&mut block, &[b'v'; 100], false);
    }
    let (_, opaque, whole) = read(&mut table, &block);
    assert!(whole && opaque == 0);
    assert!(table.held() <= 2 * table::MAX_LIMIT, "{}", table.held());
    // The peers may still hold the first entry: for us it is unknown, not invalid, and not another one.
    let mut block = Vec::new();
    put(&mut block, 0x80, 7, 62 + 3999);
    put(&mut block, 0x80, 7, 62);
    let (known, opaque, whole) = read(&mut table, &block);
    assert!(whole);
    assert_eq!((known.len(), opaque), (1, 1));
    assert_eq!(known[0].0, b"name-3999");
}

#[test]
fn an_emptied_table_is_known_again() {
    let mut table = Table::new(false);
    assert_eq!(read(&mut table, &[0x80 | 62]), (vec![], 1, true));
    let (known, _, whole) = read(&mut table, &[0x20, 0x3f, 0xe1, 0x1f, 0x82]);
    assert!(whole);
    assert_eq!(known, [(b":method".to_vec(), b"GET".to_vec())]);
    assert!(!read(&mut table, &[0x80 | 62]).2, "what is not there is an error now");
}

#[test]
fn a_value_is_read_although_its_name_is_not_known() {
    let mut table = Table::new(false);
    // A literal named by entry 70, indexed; then the entry itself, then a literal named by it.
    let (known, opaque, whole) =
        read(&mut table, &[0x40 | 63, 7, 1, b'v', 0x80 | 62, 0x40 | 62, 1, b'w', 0x82]);
    assert!(whole);
    assert_eq!(opaque, 3);
    assert_eq!(known, [(b":method".to_vec(), b"GET".to_vec())]);
}

#[test]
fn integers_have_an_end() {
    let mut table = Table::new(true);
    for block in [
        &[0xff; 12][..],
        &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[0x80],
        &[0x7f],
        &[0x41],
        &[0x00, 0xff],
    ] {
        assert!(!read(&mut table, block).2, "{block:x?}");
    }
}
