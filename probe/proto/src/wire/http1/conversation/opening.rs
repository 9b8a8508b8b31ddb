//! The beginning of a message, of either side: its first byte and its head.

use super::super::Role;
use super::super::head::{self, MAX_HEAD, Scan};
use super::super::reader::{Phase, Reader};
use super::super::start_line::{is_line, plausible};
use super::{Http1, Step};
use crate::call::Notes;
use crate::wire::{Context, Match};

impl Http1 {
    /// Looks for the first byte of a message.
    pub(super) fn begin(&mut self, role: Role, bytes: &[u8], fresh: bool, cx: &mut Context<'_>) -> Step {
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blank > 0 {
            return Step::Took(blank);
        }
        let seeking = matches!(self.reader(role).phase, Phase::Seek);
        if seeking && !fresh {
            return self.unframed(role, bytes.len(), cx);
        }
        if plausible(role, bytes) == Match::No {
            if self.open.is_empty() && !self.settled && plausible(role.other(), bytes) == Match::Yes {
                self.requester = self.requester.peer();
                return Step::Took(0);
            }
            self.seek(role, cx);
            return self.unframed(role, bytes.len(), cx);
        }
        let began = match role {
            Role::Request => self.begin_request(fresh, cx),
            Role::Response => self.begin_response(cx),
        };
        if !began {
            return Step::Refused;
        }
        *self.reader(role) = Reader { phase: Phase::Head, scan: Scan::default() };
        Step::Took(0)
    }

    /// Collects a head.
    pub(super) fn head(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let Some((reader, open)) = self.current(role) else { return self.abandon(role, bytes.len(), cx) };
        let message = open.message(role);
        if message.partial().is_empty() {
            let room = cx.limits.buffered.saturating_sub(cx.pool.held());
            if let Some(taken) = message.take_head(role, bytes, room, cx.pool) {
                open.touch(role, cx.at);
                return if self.headed(role, false, cx) { Step::Left(taken) } else { Step::Took(taken) };
            }
        }
        let end = reader.scan.end(bytes);
        let take = end.unwrap_or(bytes.len());
        let room =
            (MAX_HEAD - message.partial().len()).min(cx.limits.buffered.saturating_sub(cx.pool.held()));
        if take > room {
            message.push_head(bytes.get(..room).unwrap_or_default(), cx.pool);
            cx.stats.heads_too_large += 1;
            let going = self.cut_head(role, Notes::default(), cx);
            return if going { Step::Took(room) } else { self.unframed(role, bytes.len(), cx) };
        }
        let unread = reader.scan.first_line.filter(|line| *line as usize > message.partial().len());
        message.push_head(bytes.get(..take).unwrap_or_default(), cx.pool);
        if end.is_none() {
            let line = unread.and_then(|line| message.partial().get(..line as usize));
            let wrong = line.is_some_and(|line| !is_line(role, line));
            return if wrong { self.abandon(role, take, cx) } else { Step::Took(take) };
        }
        let scan = reader.scan;
        if !message.read_head(|bytes, fields| head::read(role, bytes, &scan, fields)) {
            return self.abandon(role, take, cx);
        }
        open.touch(role, cx.at);
        if self.headed(role, false, cx) { Step::Left(take) } else { Step::Took(take) }
    }

    /// A head was read, or its beginning when it was `cut`. Whether the connection leaves HTTP/1 with it.
    pub(super) fn headed(&mut self, role: Role, cut: bool, cx: &mut Context<'_>) -> bool {
        self.proven = true;
        match role {
            Role::Request => {
                self.asked(cut, cx);
                false
            }
            Role::Response => self.answered(cut, cx),
        }
    }

    /// The head ends here as far as we see: takes what its start line says, and follows the rest blindly.
    pub(super) fn cut_head(&mut self, role: Role, why: Notes, cx: &mut Context<'_>) -> bool {
        let Some((reader, open)) = self.current(role) else { return false };
        let scan = reader.scan;
        if !open.message(role).read_head(|bytes, fields| head::read_cut(role, bytes, &scan, fields)) {
            open.notes.add(why);
            self.abandon(role, 0, cx);
            return false;
        }
        open.notes.add(why);
        open.touch(role, cx.at);
        self.headed(role, true, cx);
        true
    }

    /// What was collected is not a head.
    pub(super) fn abandon(&mut self, role: Role, taken: usize, cx: &mut Context<'_>) -> Step {
        cx.stats.bad_heads += 1;
        let mut collected = 0;
        if let Some((_, open)) = self.current(role) {
            collected = open.message(role).partial().len();
            open.message(role).clear(cx.pool);
            if role == Role::Response {
                (open.timing.response_start, open.timing.response_end) = (0, 0);
            }
        }
        let dropped = match role {
            Role::Request => self.open.pop(),
            Role::Response => {
                self.adrift = true;
                self.open.first().is_some_and(|open| open.orphan).then(|| self.open.remove(0))
            }
        };
        if let Some(open) = dropped {
            cx.pool.take_back(open);
        }
        if !self.proven {
            return Step::Refused;
        }
        cx.stats.unframed_bytes += collected as u64;
        self.seek(role, cx);
        Step::Took(taken)
    }
}
