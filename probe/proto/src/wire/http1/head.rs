//! Message heads: where they end, what they say, and what is odd about them.
//!
//! A well-formed head is read by `httparse`; one that it refuses goes to the tolerant reader, which notes
//! what is wrong. Neither interprets more than framing needs.

mod tolerant;

use super::Role;
use crate::call::Notes;
use crate::exchange::Fields;
use std::mem::MaybeUninit;

/// Longest head that is kept. Servers refuse heads above 8 to 64 KiB; positions fit 16 bits below it.
pub(super) const MAX_HEAD: usize = 65_535;
/// Fields of one head that are kept; Apache and nginx accept about as many.
pub(super) const MAX_FIELDS: usize = 128;

/// A part of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u16,
    pub(super) len: u16,
}

impl Span {
    /// Where `part` lies within `whole`.
    fn of(whole: &[u8], part: &[u8]) -> Self {
        let at = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        Self { at: at as u16, len: part.len() as u16 }
    }

    pub(super) fn within(self, bytes: &[u8]) -> &[u8] {
        let from = usize::from(self.at);
        bytes.get(from..from + usize::from(self.len)).unwrap_or_default()
    }
}

/// A field of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// The fields of a head that lies in `bytes`.
pub(in crate::wire) struct View<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) fields: &'a [Field],
}

impl Fields for View<'_> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for field in self.fields {
            each(field.name.within(self.bytes), field.value.within(self.bytes));
        }
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| {
                usize::from(field.name.len) == name.len()
                    && field.name.within(self.bytes).eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|field| field.value.within(self.bytes))
    }
}

/// Finds the end of a head that arrives in pieces, looking at every byte once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Length of the first line with its LF, once seen.
    pub(super) first_line: Option<u32>,
    /// A LF without CR, or a CR without LF at the start of a line.
    pub(super) odd: bool,
    seen: u32,
    line_start: bool,
    last: u8,
}

impl Scan {
    /// The length of the part of `chunk` that belongs to the head, if the head ends in it.
    pub(super) fn end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(taken) = self.empty_line(rest) {
                at += taken;
                if !self.line_start {
                    return Some(at);
                }
                continue;
            }
            let Some(feed) = memchr::memchr(b'\n', rest) else { break };
            let before = feed.checked_sub(1).and_then(|before| rest.get(before)).unwrap_or(&self.last);
            self.odd |= *before != b'\r';
            at += feed + 1;
            self.line_start = true;
            self.last = b'\n';
            self.first_line.get_or_insert(self.seen.saturating_add(at as u32));
        }
        self.last = chunk.last().copied().unwrap_or(self.last);
        self.seen = self.seen.saturating_add(chunk.len() as u32);
        None
    }

    /// At the start of a line: takes what may be its CR or the LF that ends the head (then `line_start`
    /// becomes false). `None` when the line is not empty.
    fn empty_line(&mut self, rest: &[u8]) -> Option<usize> {
        if !self.line_start {
            return None;
        }
        let after_cr = self.last == b'\r';
        match rest {
            [b'\n', ..] => {
                self.odd |= !after_cr;
                self.line_start = false;
                Some(1)
            }
            [b'\r', b'\n', ..] if !after_cr => {
                self.line_start = false;
                Some(2)
            }
            [b'\r'] if !after_cr => {
                self.last = b'\r';
                Some(1)
            }
            _ => {
                self.odd |= after_cr || rest.first() == Some(&b'\r');
                self.line_start = false;
                None
            }
        }
    }
}

/// What the Content-Length fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    #[default]
    None,
    /// All agree.
    Known(u64),
    /// They differ or are not a number.
    Bad,
}

/// What the Transfer-Encoding fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    /// There is none.
    #[default]
    None,
    /// The last coding is `chunked`.
    Chunked,
    /// Anything else.
    Bad,
}

/// What a head says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    /// Method and target of a request.
    pub(super) method: Span,
    pub(super) target: Span,
    /// Status of a response.
    pub(super) status: u16,
    pub(super) minor: u8,
    pub(super) length: Length,
    pub(super) coding: Coding,
    pub(super) notes: Notes,
    hosts: u8,
}

impl Head {
    /// Takes into account a field as far as framing needs it.
    #[inline]
    fn learn(&mut self, name: &[u8], value: &[u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts = self.hosts.saturating_add(1),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.learn_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.learn_coding(value),
            _ => {}
        }
    }

    fn learn_length(&mut self, value: &[u8]) {
        let mut values = value.split(|byte| *byte == b',').map(|one| parse_length(one.trim_ascii()));
        let first = values.next().flatten();
        let agree = values.all(|other| other == first);
        if !agree || self.length != Length::None || memchr::memchr(b',', value).is_some() {
            self.notes.add(Notes::BAD_LENGTH);
        }
        self.length = match (first, self.length) {
            (Some(length), Length::None) if agree => Length::Known(length),
            (Some(length), Length::Known(known)) if agree && known == length => self.length,
            _ => Length::Bad,
        };
        if self.length == Length::Bad {
            self.notes.add(Notes::BAD_LENGTH);
        }
    }

    fn learn_coding(&mut self, value: &[u8]) {
        let mut codings = value.split(|byte| *byte == b',').rev();
        let last = codings.next().unwrap_or_default();
        let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        let again = codings.any(|other| other.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        self.coding = match self.coding {
            Coding::None if chunked && !again => Coding::Chunked,
            _ => Coding::Bad,
        };
    }

    /// Notes what the fields say together.
    fn conclude(&mut self, role: Role) {
        if self.coding == Coding::Bad || (self.coding == Coding::Chunked && self.minor == 0) {
            self.notes.add(Notes::BAD_TRANSFER_ENCODING);
        }
        if self.coding != Coding::None && self.length != Length::None {
            self.notes.add(Notes::LENGTH_AND_CHUNKED);
        }
        if role == Role::Request && (self.hosts > 1 || (self.hosts == 0 && self.minor > 0)) {
            self.notes.add(Notes::BAD_HOST);
        }
    }
}

/// Digits only: no sign, no white space, no other base (RFC 9110 §8.6).
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads a complete head, from its first byte to its empty line. `None`: no start line of that role.
pub(super) fn read(role: Role, bytes: &[u8], scan: &Scan, fields: &mut Vec<Field>) -> Option<Head> {
    fields.clear();
    let mut head = match strict(role, bytes, fields) {
        Some((head, _)) => head,
        None => tolerant::read(role, bytes, fields)?,
    };
    if scan.odd {
        head.notes.add(Notes::ODD_WHITESPACE);
    }
    head.conclude(role);
    Some(head)
}

/// Reads what there is of a head that was cut: its start line, and the fields that are whole.
pub(super) fn read_cut(role: Role, bytes: &[u8], scan: &Scan, fields: &mut Vec<Field>) -> Option<Head> {
    fields.clear();
    let whole = memchr::memrchr(b'\n', bytes).and_then(|end| bytes.get(..=end))?;
    let mut head = tolerant::read(role, whole, fields)?;
    if scan.odd {
        head.notes.add(Notes::ODD_WHITESPACE);
    }
    head.notes.add(Notes::HEAD_TRUNCATED);
    Some(head)
}

/// Reads a head that lies whole at the beginning of `bytes`, as nearly all do; also says how long it is. `None`:
/// it does not, or it is not well-formed.
pub(super) fn read_whole(role: Role, bytes: &[u8], fields: &mut Vec<Field>) -> Option<(Head, usize)> {
    fields.clear();
    let (mut head, len) = strict(role, bytes.get(..MAX_HEAD).unwrap_or(bytes), fields)?;
    if has_bare_feed(bytes, fields, len) {
        head.notes.add(Notes::ODD_WHITESPACE);
    }
    head.conclude(role);
    Some((head, len))
}

/// Whether a line of a head that was read ends in LF alone: one more line than there are CR at line ends.
fn has_bare_feed(bytes: &[u8], fields: &[Field], len: usize) -> bool {
    let ends_bare = |from: usize| {
        let rest = bytes.get(from..len).unwrap_or_default();
        rest.iter().find(|byte| !matches!(byte, b' ' | b'\t')) != Some(&b'\r')
    };
    let bare_field = |field: &Field| ends_bare(usize::from(field.value.at) + usize::from(field.value.len));
    let line = fields.first().map_or(len, |field| usize::from(field.name.at));
    let start_line = bytes.get(..line).unwrap_or_default();
    let bare_start = !fields.is_empty() && !start_line.ends_with(b"\r\n");
    let bare_end = !bytes.get(..len).unwrap_or_default().ends_with(b"\r\n\r\n");
    bare_start || bare_end || fields.iter().any(bare_field)
}

fn strict(role: Role, bytes: &[u8], fields: &mut Vec<Field>) -> Option<(Head, usize)> {
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = Head::default();
    let parsed: &[httparse::Header<'_>];
    let len;
    match role {
        Role::Request => {
            let mut request = httparse::Request::new(&mut []);
            let httparse::Status::Complete(end) = request.parse_with_uninit_headers(bytes, &mut room).ok()?
            else {
                return None;
            };
            len = end;
            head.method = Span::of(bytes, request.method?.as_bytes());
            head.target = Span::of(bytes, request.path?.as_bytes());
            head.minor = request.version?;
            parsed = request.headers;
        }
        Role::Response => {
            let mut response = httparse::Response::new(&mut []);
            let config = httparse::ParserConfig::default();
            let status = config.parse_response_with_uninit_headers(&mut response, bytes, &mut room);
            let httparse::Status::Complete(end) = status.ok()? else { return None };
            len = end;
            head.status = response.code.filter(|code| *code >= 100)?;
            head.minor = response.version?;
            parsed = response.headers;
        }
    }
    for header in parsed {
        let name = header.name.as_bytes();
        fields.push(Field { name: Span::of(bytes, name), value: Span::of(bytes, header.value) });
        head.learn(name, header.value);
    }
    Some((head, len))
}

#[cfg(test)]
mod tests;
