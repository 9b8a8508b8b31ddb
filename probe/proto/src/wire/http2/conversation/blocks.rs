//! Header blocks: collected over their frames, decoded, and given to their streams.

use super::super::Role;
use super::super::frame::{CONTINUATION, END_HEADERS, END_STREAM, Frame, HEADER, HEADERS, PUSH_PROMISE};
use super::super::hpack::{self, Section};
use super::super::open::Pseudo;
use super::super::reader::{Spoiled, fragment};
use super::Http2;
use crate::call::Notes;
use crate::wire::Context;

impl Http2 {
    /// A frame of a block is complete; `payload` is all of it where it came in one piece.
    pub(super) fn end_block_frame(&mut self, role: Role, payload: &[u8], cx: &mut Context<'_>) {
        let reader = self.reader(role);
        let frame = reader.frame;
        let ends = frame.has(END_HEADERS);
        if reader.block.passed {
            if ends {
                reader.block.finish();
            }
            return;
        }
        let alone = frame.kind != CONTINUATION && ends && payload.len() == frame.len as usize;
        if alone {
            let (from, to) = fragment(&frame, payload);
            return self.end_block(role, payload.get(from..to), cx);
        }
        reader.block.push(payload);
        reader.block.close_frame(&frame);
        let (first, long) = (reader.block.first, reader.block.spoiled == Spoiled::Long);
        if ends || long {
            self.end_block(role, None, cx);
        }
        if long && !ends {
            self.reader(role).block.pass(first);
        }
    }

    /// A block is complete: it is `octets`, or what was collected.
    fn end_block(&mut self, role: Role, octets: Option<&[u8]>, cx: &mut Context<'_>) {
        let mut section = std::mem::take(&mut cx.streams.section);
        section.clear();
        let room = (cx.limits.buffered / 2).saturating_sub(cx.streams.tables);
        let reader = self.reader(role);
        let (first, wire, spoiled) = (reader.block.first, reader.block.wire, reader.block.spoiled);
        let collected = octets.unwrap_or(reader.block.octets());
        let read = hpack::decode(&mut reader.table, collected, room, &mut section);
        let mut notes = if reader.doubt > 0 { Notes::PLACE_GUESSED } else { Notes::default() };
        match spoiled {
            Spoiled::No if read.is_err() => {
                cx.stats.bad_blocks += 1;
                notes.add(Notes::BAD_FRAME);
            }
            Spoiled::No => {}
            Spoiled::Long => {
                cx.stats.heads_too_large += 1;
                notes.add(Notes::HEAD_TRUNCATED);
            }
            Spoiled::Gap => {
                cx.stats.heads_cut += 1;
                notes.add(Notes(Notes::HEAD_TRUNCATED.0 | Notes::GAP.0));
            }
        }
        if read.is_err() || spoiled != Spoiled::No {
            reader.table.forget();
        }
        reader.block.finish();
        self.charge_tables(cx);
        if section.opaque > 0 {
            cx.stats.opaque_fields += u64::from(section.opaque);
            notes.add(Notes::OPAQUE_FIELDS);
        }
        if section.cut > 0 {
            notes.add(Notes::HEAD_TRUNCATED);
        }
        self.place(role, first, wire, notes, &mut section, cx);
        cx.streams.section = section;
    }

    /// Gives a section to its stream.
    fn place(
        &mut self,
        role: Role,
        first: Frame,
        wire: u64,
        notes: Notes,
        section: &mut Section,
        cx: &mut Context<'_>,
    ) {
        if first.kind == PUSH_PROMISE {
            cx.stats.pushes += 1;
            return;
        }
        let pseudo = Pseudo::of(section);
        let role = self.settle(role, &pseudo, cx);
        match role {
            Role::Request => self.asked(first.stream, pseudo, wire, notes, section, cx),
            Role::Response => self.answered(first.stream, pseudo, wire, notes, section, cx),
        }
        if first.kind == HEADERS && first.has(END_STREAM) {
            self.finish(role, first.stream, cx);
        }
    }

    /// Corrects the guess who asks, where content says otherwise.
    fn settle(&mut self, role: Role, pseudo: &Pseudo, cx: &mut Context<'_>) -> Role {
        let says = match (pseudo.asks, pseudo.status) {
            (true, 0) => Role::Request,
            (false, 1..) => Role::Response,
            _ => return role,
        };
        self.proof = super::PROOF;
        if says == role || self.settled {
            self.settled = true;
            return role;
        }
        self.settled = true;
        self.requester = self.requester.peer();
        std::mem::swap(&mut self.requests, &mut self.responses);
        while let Some(open) = self.open.pop() {
            cx.streams.take_back(open, cx.pool);
        }
        says
    }

    /// The block that is collected will not be complete.
    pub(super) fn drop_block(&mut self, role: Role, notes: Notes, cx: &mut Context<'_>) {
        cx.stats.bad_blocks += 1;
        let reader = self.reader(role);
        let stream = reader.block.first.stream;
        reader.block.finish();
        reader.table.forget();
        self.charge_tables(cx);
        if let Some(open) = self.stream(stream) {
            open.notes.add(notes);
        }
    }

    /// Octets of the current frame are missing.
    pub(super) fn miss(&mut self, role: Role, len: u32, lost: bool, cx: &mut Context<'_>) {
        let reader = self.reader(role);
        let frame = reader.frame;
        if frame.kind == super::frame::DATA {
            self.miss_data(role, len, lost, cx);
        } else {
            reader.left -= len;
            if frame.is_block() {
                reader.block.miss();
            }
            // What was gathered of a short payload is no beginning any more.
            reader.have = if frame.len as usize <= HEADER { 0 } else { reader.have };
        }
        if self.reader(role).left == 0 {
            self.end_frame(role, &[], cx);
        }
    }
}
