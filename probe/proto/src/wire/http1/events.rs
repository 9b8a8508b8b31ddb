//! Server-sent events (WHATWG HTML §9.2), cut out of a body of `text/event-stream` as it comes.
//!
//! An event is what stands between empty lines and has data; comments that only keep the connection alive are none.

/// Bytes of one event that are kept: the names come first.
const MAX_EVENT: usize = 4096;

/// The stream of events of one response.
#[derive(Debug, Default)]
pub(in crate::wire) struct Events {
    /// Kept beginnings of the events, one behind the other; the last one is not complete.
    kept: Vec<u8>,
    /// Size and kept end of each complete event.
    done: Vec<(u64, usize)>,
    size: u64,
    /// Bytes in the line that is being read.
    line: usize,
    after_return: bool,
    /// A part is missing: nothing is believed up to the next empty line.
    lost: bool,
}

impl Events {
    /// Takes bytes of the body.
    pub(super) fn push(&mut self, mut data: &[u8]) {
        if self.after_return && data.first() == Some(&b'\n') {
            data = data.get(1..).unwrap_or_default();
            self.after_return = false;
        }
        self.after_return &= data.is_empty();
        while let Some(end) = memchr::memchr2(b'\n', b'\r', data) {
            self.keep(data.get(..end).unwrap_or_default());
            let is_return = data.get(end) == Some(&b'\r');
            let pair = is_return && data.get(end + 1) == Some(&b'\n');
            self.after_return = is_return && end + 1 == data.len();
            data = data.get(end + 1 + usize::from(pair)..).unwrap_or_default();
            if self.line == 0 {
                self.finish();
            } else {
                self.keep(b"\n");
                self.line = 0;
            }
        }
        self.keep(data);
    }

    /// Bytes of the body are missing.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.drop_open();
        self.line = 1;
        self.after_return = false;
    }

    /// Hands on the complete events, with the size of each, and forgets them.
    pub(super) fn drain(&mut self, mut each: impl FnMut(u64, &[u8])) {
        let mut from = 0;
        for (size, end) in self.done.drain(..) {
            each(size, self.kept.get(from..end).unwrap_or_default());
            from = end;
        }
        self.kept.drain(..from);
    }

    /// Whether a complete event waits.
    pub(super) fn has_any(&self) -> bool {
        !self.done.is_empty()
    }

    fn open_from(&self) -> usize {
        self.done.last().map_or(0, |(_, end)| *end)
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.line = self.line.saturating_add(bytes.len());
        let room = MAX_EVENT.saturating_sub(self.kept.len() - self.open_from());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn finish(&mut self) {
        let event = self.kept.get(self.open_from()..).unwrap_or_default();
        let has_data = event.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"data"));
        if has_data && !std::mem::take(&mut self.lost) {
            self.done.push((self.size, self.kept.len()));
            self.size = 0;
        } else {
            self.lost = false;
            self.drop_open();
        }
    }

    fn drop_open(&mut self) {
        self.kept.truncate(self.open_from());
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::default();
        let mut all = Vec::new();
        for piece in pieces {
            events.push(piece);
            events.drain(|_, event| all.push(String::from_utf8_lossy(event).into_owned()));
        }
        all
    }

    #[test]
    fn events_and_comments() {
        let text = b": hi\n\nevent: tick\ndata: 1\n\n\n\ndata: {\"a\":1}\r\ndata: 2\r\n\r\n:ping\r\rid: 3\r\rdata: x\r\rdata: open";
        assert_eq!(of(&[text]), ["event: tick\ndata: 1\n", "data: {\"a\":1}\ndata: 2\n", "data: x\n"]);
    }

    #[test]
    fn a_hole_costs_the_events_that_it_touches() {
        let mut events = Events::default();
        events.push(b"data: 1\n\ndata: tw");
        events.lose();
        events.push(b"o\n\ndata: 3\n\n");
        let mut seen = Vec::new();
        events.drain(|_, event| seen.push(event.to_vec()));
        assert_eq!(seen, [b"data: 1\n", b"data: 3\n"]);
    }

    #[test]
    fn a_huge_event_is_counted_and_not_kept() {
        let mut events = Events::default();
        events.push(b"data: ");
        (0..1000).for_each(|_| events.push(&[b'x'; 1000]));
        events.push(b"\n\n");
        events.drain(|size, event| assert!(size > 1_000_000 && event.len() <= MAX_EVENT));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "(data|id|:|x|\r|\n|\r\n){0,30}", size in 1_usize..5) {
            let whole = of(&[text.as_bytes()]);
            prop_assert_eq!(of(&text.as_bytes().chunks(size).collect::<Vec<_>>()), whole);
        }
    }
}
