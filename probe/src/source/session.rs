//! A recorded session as a source: redacted calls, in the order in which they were named.
//!
//! A session never holds raw bytes, so nothing here can decode, reassemble or name anything: calls come
//! with their workloads, and the counters and degradations of the recorded source come with them. What
//! is damaged is skipped frame by frame, counted and said. The file is untrusted: every length is bounded
//! before it is believed, and numbers of workloads are given anew.

pub(crate) mod form;
pub(crate) mod frame;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use golden::recorded;

use super::intake::{Filled, Intake};
use super::{Progress, Sink, Source, SourceError, SourceStats};
use apisec_engine::degradation::{Degradation, Severity};
use apisec_engine::rename::Rename;
use apisec_proto::call::{Party, Workload};
use compact_str::CompactString;
use form::{
    LateForm, MoreForm, ProofForm, Read, Record, TickForm, WorkloadForm, call_of, complete, follow, prove,
    workload_of,
};
use frame::{FILE_HEADER, FRAME_HEADER, FrameHead, MAGIC, Unpacker, VERSION};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// Calls of one poll.
const BATCH: usize = 4096;
/// Workloads of one session: eight times the largest node that is planned for.
const MAX_WORKLOADS: usize = 16_384;
/// Parties of sessions are numbered from here: a capture that is read in the same run numbers its own from 0.
const FIRST_PARTY: u32 = 1 << 31;
/// Frames that look right and are not, before the file is given up: each costs a checksum of up to 4 MiB.
const MAX_FALSE_FRAMES: u64 = 1024;

/// A recorded session.
pub struct SessionSource {
    name: String,
    intake: Intake,
    frames: Frames,
    replay: Replay,
    /// What is unread of the frame in hand.
    position: usize,
    ended: bool,
}

impl SessionSource {
    /// Whether a file that begins with `magic` is a session.
    pub(super) fn recognises(magic: [u8; 8]) -> bool {
        magic == MAGIC
    }

    /// Reads the header of the session `name`.
    pub(super) fn new(name: String, mut intake: Intake) -> Result<Self, SourceError> {
        let unreadable = |error: io::Error| SourceError::unreadable(&name, &error);
        while intake.want(FILE_HEADER).map_err(unreadable)? == Filled::Idle {}
        match frame::version(intake.available()) {
            Some(1..=VERSION) => intake.consume(FILE_HEADER),
            Some(newer) => return Err(newer_version(&name, newer)),
            None => return Err(no_header(&name)),
        }
        let frames = Frames::new().map_err(unreadable)?;
        Ok(Self { name, intake, frames, replay: Replay::default(), position: 0, ended: false })
    }

    /// Hands on the next record of the frame in hand; `None` when there is no other.
    fn record(&mut self, sink: &mut dyn Sink) -> Option<Happened> {
        let rest = self.frames.unpacked.get(self.position..).filter(|rest| !rest.is_empty())?;
        let Some((record, rest)) = form::take(rest) else {
            self.frames.lost += 1;
            self.position = self.frames.unpacked.len();
            return None;
        };
        self.position = self.frames.unpacked.len() - rest.len();
        Some(self.replay.record(record, sink))
    }
}

impl Source for SessionSource {
    fn describe(&self) -> String {
        format!("session {}", self.name)
    }

    /// Returns after every recorded second, so that its time is seen.
    fn poll(&mut self, sink: &mut dyn Sink) -> Result<Progress, SourceError> {
        for _ in 0..BATCH {
            match self.record(sink) {
                Some(Happened::Second) => return Ok(Progress::Some),
                Some(Happened::Record) => continue,
                None if self.ended => return Ok(Progress::End),
                None => {}
            }
            let found = self.frames.next(&mut self.intake);
            self.position = 0;
            match found.map_err(|error| SourceError::unreadable(&self.name, &error))? {
                Found::Frame => self.replay.forget_numbers(),
                Found::Idle => return Ok(Progress::Idle),
                Found::End => self.ended = true,
            }
        }
        Ok(Progress::Some)
    }

    fn now(&self) -> u64 {
        self.replay.now
    }

    fn stats(&mut self) -> SourceStats {
        let tick = &self.replay.tick;
        let mut stats = SourceStats {
            chunks: tick.chunks,
            losses: tick.losses.iter().cloned().collect(),
            counters: tick.counters.iter().cloned().collect(),
        };
        let losses = [
            ("session_calls_dropped", tick.dropped),
            ("session_frames_lost", self.frames.lost),
            ("session_records_refused", self.replay.refused),
        ];
        stats.losses.extend(losses.map(|(name, count)| (name.to_owned(), count)));
        stats
    }

    fn degradations(&self) -> Vec<Degradation> {
        let mut all: Vec<_> = self.replay.tick.degradations.iter().map(Degradation::from).collect();
        if self.frames.lost > 0 || self.replay.refused > 0 {
            all.push(self.damage());
        }
        if self.ended && !self.replay.finished {
            all.push(unfinished(&self.name));
        }
        if self.replay.tick.dropped > 0 {
            all.push(dropped(self.replay.tick.dropped));
        }
        all
    }
}

impl SessionSource {
    fn damage(&self) -> Degradation {
        let given_up = if self.frames.given_up { "; it is so damaged that its end was not read" } else { "" };
        Degradation {
            code: "session-damaged".into(),
            severity: Severity::Partial,
            what: format!(
                "{} is damaged: {} frames are lost ({} bytes skipped), {} records refused{given_up}",
                self.name, self.frames.lost, self.frames.skipped, self.replay.refused
            ),
            remedy: "copy the file again; every frame is about a second of calls".into(),
        }
    }
}

/// What a record meant.
#[derive(PartialEq, Eq)]
enum Happened {
    /// A second was over.
    Second,
    /// Anything else.
    Record,
}

/// Records to calls.
#[derive(Default)]
struct Replay {
    /// Workloads by their id, with the numbers that we give.
    parties: HashMap<CompactString, Party, foldhash::fast::RandomState>,
    /// The numbers that the frame in hand uses.
    numbers: HashMap<u32, Party, foldhash::fast::RandomState>,
    tick: TickForm,
    now: u64,
    refused: u64,
    finished: bool,
}

impl Replay {
    fn forget_numbers(&mut self) {
        self.numbers.clear();
    }

    fn record(&mut self, record: Read<'_>, sink: &mut dyn Sink) -> Happened {
        match record {
            Record::Begin(begin) => self.now = self.now.max(begin.started),
            Record::Workload(form) => self.workload(&form),
            Record::Call(form) => self.call(form, None, None, None, sink),
            Record::Full(form, more) => self.call(form, Some(more), None, None, sink),
            Record::Clued(form, more, clues) => {
                let proof = ProofForm { clues: Some(clues), credential: None, objects: Cow::default() };
                self.call(form, Some(more), Some(proof), None, sink);
            }
            Record::Proven(form, more, proof) => self.call(form, Some(more), Some(proof), None, sink),
            Record::Late(form, more, proof, late) => {
                self.call(form, Some(more), Some(proof), Some(late), sink);
            }
            Record::Renamed { from, to } => {
                sink.renamed(Rename { from: from.into(), to: to.into() });
            }
            Record::Tick(tick) => {
                self.now = self.now.max(tick.at);
                self.tick = tick;
                return Happened::Second;
            }
            Record::End { at, dropped } => {
                self.now = self.now.max(at);
                self.tick.dropped = dropped;
                self.finished = true;
            }
        }
        Happened::Record
    }

    fn workload(&mut self, form: &WorkloadForm<'_>) {
        let workload = workload_of(form);
        match self.party(workload) {
            Some(party) => drop(self.numbers.insert(form.number, party)),
            None => self.refused += 1,
        }
    }

    /// The party of a workload: the one it had, with the newer description; `None` when there are too many.
    fn party(&mut self, workload: Workload) -> Option<Party> {
        let number = self.parties.len();
        if let Some(known) = self.parties.get_mut(&workload.id) {
            if *known.workload != workload {
                known.workload = Arc::new(workload);
            }
            return Some(known.clone());
        }
        if number >= MAX_WORKLOADS {
            return None;
        }
        let party = Party { number: FIRST_PARTY + number as u32, workload: Arc::new(workload) };
        self.parties.insert(party.workload.id.clone(), party.clone());
        Some(party)
    }

    fn call(
        &mut self,
        form: form::CallForm<'_, Vec<&str>, Vec<(&str, &str)>>,
        more: Option<MoreForm<'_>>,
        proof: Option<ProofForm<'_>>,
        late: Option<LateForm<'_>>,
        sink: &mut dyn Sink,
    ) {
        let (Some(src), Some(dst)) = (self.numbers.get(&form.src), self.numbers.get(&form.dst)) else {
            self.refused += 1;
            return;
        };
        let mut call = call_of(form, src.clone(), dst.clone());
        if let Some(more) = more {
            complete(&mut call, more);
        }
        if let Some(proof) = proof {
            prove(&mut call, proof);
        }
        if let Some(late) = late {
            follow(&mut call, late);
        }
        self.now = self.now.max(call.at.saturating_add(call.duration));
        sink.call(&call);
    }
}

/// What looking for the next frame found.
enum Found {
    /// It is unpacked.
    Frame,
    /// The pipe is quiet.
    Idle,
    /// The file is over.
    End,
}

/// Finds, verifies and unpacks frames.
struct Frames {
    unpacker: Unpacker,
    unpacked: Vec<u8>,
    /// Number of the next frame.
    expected: u32,
    /// Frames that are not there, or not what was written.
    lost: u64,
    /// Bytes that were skipped.
    skipped: u64,
    /// Skipping now, because of a frame that the file ends in, or of damage.
    skipping: Option<Skipping>,
    false_frames: u64,
    given_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skipping {
    /// Perhaps only the end of a file that was cut.
    Tail,
    Damage,
}

impl Frames {
    fn new() -> io::Result<Self> {
        Ok(Self {
            unpacker: Unpacker::new()?,
            unpacked: Vec::new(),
            expected: 0,
            lost: 0,
            skipped: 0,
            skipping: None,
            false_frames: 0,
            given_up: false,
        })
    }

    fn next(&mut self, intake: &mut Intake) -> io::Result<Found> {
        self.unpacked.clear();
        loop {
            match intake.want(FRAME_HEADER)? {
                Filled::Yes => {}
                Filled::Idle => return Ok(Found::Idle),
                Filled::End => return Ok(self.end(intake)),
            }
            let Some(head) = FrameHead::parse(intake.available()) else {
                self.skip(Skipping::Damage, intake);
                continue;
            };
            match intake.want(head.length())? {
                Filled::Yes if self.unpack(&head, intake) => return Ok(Found::Frame),
                Filled::Yes => self.distrust(intake),
                Filled::Idle => return Ok(Found::Idle),
                Filled::End => self.skip(Skipping::Tail, intake),
            }
            if self.given_up {
                return Ok(Found::End);
            }
        }
    }

    fn unpack(&mut self, head: &FrameHead, intake: &mut Intake) -> bool {
        let frame = intake.available();
        if !head.verifies(frame) || !self.unpacker.unpack(head, frame, &mut self.unpacked) {
            self.unpacked.clear();
            return false;
        }
        intake.consume(head.length());
        self.lost += u64::from(head.number.saturating_sub(self.expected));
        self.expected = head.number.saturating_add(1);
        self.skipping = None;
        true
    }

    /// Goes on at the next mark, or where one may begin.
    fn skip(&mut self, why: Skipping, intake: &mut Intake) {
        self.skipping.get_or_insert(why);
        let available = intake.available();
        let count = frame::next_mark(available).unwrap_or(available.len().saturating_sub(3).max(1));
        self.skipped += count as u64;
        intake.consume(count);
    }

    fn distrust(&mut self, intake: &mut Intake) {
        self.false_frames += 1;
        self.given_up = self.false_frames > MAX_FALSE_FRAMES;
        self.lost += u64::from(self.given_up);
        self.skip(Skipping::Damage, intake);
    }

    /// A file that ends inside its last frame was cut, which is not damage.
    fn end(&mut self, intake: &mut Intake) -> Found {
        let rest = intake.available().len();
        if rest > 0 {
            self.skipping.get_or_insert(Skipping::Tail);
        }
        self.skipped += rest as u64;
        intake.consume(rest);
        self.lost += u64::from(self.skipping.take() == Some(Skipping::Damage));
        Found::End
    }
}

fn newer_version(name: &str, version: u16) -> SourceError {
    SourceError {
        what: format!("{name} is a session in format {version}; this program reads formats up to {VERSION}"),
        remedy: "replay it with the program that recorded it, or update this one".into(),
    }
}

fn no_header(name: &str) -> SourceError {
    SourceError {
        what: format!("{name} ends inside the header of a session: nothing was recorded"),
        remedy: "record again; if the disk was full, make room first".into(),
    }
}

fn unfinished(name: &str) -> Degradation {
    Degradation {
        code: "session-cut".into(),
        severity: Severity::Notice,
        what: format!("the recording {name} was not ended in order: its last second may be missing"),
        remedy: String::new(),
    }
}

fn dropped(count: u64) -> Degradation {
    Degradation {
        code: "session-dropped".into(),
        severity: Severity::Partial,
        what: format!("{count} calls were dropped while this session was recorded"),
        remedy: "record to a disk with more room or speed".into(),
    }
}
