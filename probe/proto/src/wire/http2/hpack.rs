//! Header compression (RFC 7541), read field by field: what one field leaves unknown does not hide the next.
//!
//! A block may rest on entries that were inserted before we came. Those fields are counted and left out; names are never
//! guessed. Work and memory are bounded by the octets of the block, whatever it refers to.

mod huffman;
mod table;

use table::Found;
pub(super) use table::Table;

/// Decoded octets of one block that are kept: the largest header lists that servers accept.
pub(super) const MAX_DECODED: usize = 64 * 1024;
/// Fields of one block that are kept.
pub(super) const MAX_FIELDS: usize = 256;
/// Octets after which an integer is refused: 28 bits, more than any index or length that can be meant.
const MAX_INTEGER: u32 = 28;

/// The encoding is not HPACK, or ends too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A part of a [`Section`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    at: u32,
    len: u32,
}

impl Span {
    pub(super) fn within(self, bytes: &[u8]) -> &[u8] {
        let from = self.at as usize;
        bytes.get(from..from + self.len as usize).unwrap_or_default()
    }
}

/// A field whose name and value are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// The fields of a block.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) bytes: Vec<u8>,
    pub(super) fields: Vec<Field>,
    /// Fields that rest on entries which we have not seen.
    pub(super) opaque: u32,
    /// Fields that were too many or too large to keep.
    pub(super) cut: u32,
}

impl Section {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        (self.opaque, self.cut) = (0, 0);
    }

    /// Forgets everything but the capacity, within reason.
    pub(super) fn reset(&mut self, keep: usize) {
        self.clear();
        self.bytes.shrink_to(keep);
        self.fields.shrink_to(keep / size_of::<Field>());
    }

    /// Bytes of memory that it holds.
    pub(super) const fn held(&self) -> usize {
        self.bytes.len() + self.fields.len() * size_of::<Field>()
    }

    /// The first value of a field, by its name in lower case, as HTTP/2 has them.
    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.fields.iter().find(|field| field.name.within(&self.bytes) == name);
        found.map(|field| field.value.within(&self.bytes))
    }

    /// Names and values, in order.
    pub(super) fn each(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (field.name.within(&self.bytes), field.value.within(&self.bytes)))
    }

    /// Appends a field that is known, if there is room.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        let mark = self.bytes.len();
        let field = Field { name: self.text(name), value: self.text(value) };
        self.keep(Some(field), mark);
    }

    fn text(&mut self, text: &[u8]) -> Span {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        Span { at, len: text.len() as u32 }
    }

    /// What was appended after `mark`.
    fn since(&self, mark: usize) -> Span {
        Span { at: mark as u32, len: (self.bytes.len() - mark) as u32 }
    }

    /// Keeps the field whose octets begin at `mark`, if there is room.
    fn keep(&mut self, field: Option<Field>, mark: usize) {
        let fits = self.bytes.len() <= MAX_DECODED && self.fields.len() < MAX_FIELDS;
        match field {
            Some(field) if fits => return self.fields.push(field),
            Some(_) => self.cut = self.cut.saturating_add(1),
            None => self.opaque = self.opaque.saturating_add(1),
        }
        self.bytes.truncate(mark);
    }
}

/// Reads a block into `section`, which keeps what could be read before an error. `limit` is what the settings allow the
/// table, `room` the octets by which it may still grow. After an error the table is of no use: see [`Table::forget`].
pub(super) fn decode(
    table: &mut Table,
    mut block: &[u8],
    room: usize,
    section: &mut Section,
) -> Result<(), Broken> {
    let mut fields = 0;
    while let Some(first) = block.first().copied() {
        let mark = section.bytes.len();
        let field = match first {
            0x80.. => indexed(table, &mut block, section)?,
            0x40..0x80 => {
                let field = literal(table, &mut block, 6, section, mark)?;
                let (name, value) = field.parts(&section.bytes);
                table.insert(name, value, room);
                field.known()
            }
            0x20..0x40 => {
                // Only before the first field (§4.2).
                if fields > 0 {
                    return Err(Broken);
                }
                table.resize(integer(&mut block, 5)?);
                continue;
            }
            _ => literal(table, &mut block, 4, section, mark)?.known(),
        };
        fields += 1;
        section.keep(field, mark);
    }
    Ok(())
}

/// A name that may be unknown, with its value.
struct Literal {
    name: Option<Span>,
    value: Span,
}

impl Literal {
    fn parts<'a>(&self, bytes: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
        (self.name.map(|name| name.within(bytes)), self.value.within(bytes))
    }

    fn known(&self) -> Option<Field> {
        self.name.map(|name| Field { name, value: self.value })
    }
}

fn indexed(table: &Table, block: &mut &[u8], section: &mut Section) -> Result<Option<Field>, Broken> {
    match table.find(integer(block, 7)?) {
        Found::Entry(Some(name), value) => {
            Ok(Some(Field { name: section.text(name), value: section.text(value) }))
        }
        Found::Entry(None, _) | Found::Unknown => Ok(None),
        Found::Invalid => Err(Broken),
    }
}

fn literal(
    table: &Table,
    block: &mut &[u8],
    prefix: u32,
    section: &mut Section,
    mark: usize,
) -> Result<Literal, Broken> {
    let name = match integer(block, prefix)? {
        0 => {
            string(block, section)?;
            Some(section.since(mark))
        }
        index => match table.find(index) {
            Found::Entry(name, _) => name.map(|name| section.text(name)),
            Found::Unknown => None,
            Found::Invalid => return Err(Broken),
        },
    };
    let mark = section.bytes.len();
    string(block, section)?;
    Ok(Literal { name, value: section.since(mark) })
}

/// Appends a string literal (§5.2).
fn string(block: &mut &[u8], section: &mut Section) -> Result<(), Broken> {
    let coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let len = usize::try_from(integer(block, 7)?).map_err(|_| Broken)?;
    let (text, rest) = block.split_at_checked(len).ok_or(Broken)?;
    *block = rest;
    if coded {
        return huffman::decode(text, &mut section.bytes);
    }
    section.bytes.extend_from_slice(text);
    Ok(())
}

/// An integer whose first octet has `prefix` bits for it (§5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<u64, Broken> {
    let (first, mut rest) = block.split_first().ok_or(Broken)?;
    let all = (1u64 << prefix) - 1;
    let mut value = u64::from(*first) & all;
    if value == all {
        let mut shift = 0;
        loop {
            let (octet, after) = rest.split_first().ok_or(Broken)?;
            rest = after;
            value += u64::from(octet & 0x7f) << shift;
            shift += 7;
            if octet & 0x80 == 0 {
                break;
            }
            if shift >= MAX_INTEGER {
                return Err(Broken);
            }
        }
    }
    *block = rest;
    Ok(value)
}

#[cfg(test)]
mod tests;
