//! The two capture file formats: where the next packet stands, when it was captured and on what link.
//!
//! Nothing is copied: a [`Record`] says where in the available bytes of the intake the packet is.

pub(super) mod classic;
pub(super) mod ng;

use crate::source::intake::{Filled, Intake};
use std::io;

/// Largest packet or block that is read: `tcpdump` cuts at 256 KiB, and only a damaged length is larger.
const MAX_BLOCK: usize = 16 * 1024 * 1024;

/// A packet at the start of the available bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Unix nanoseconds; `None` where the format has no place for it.
    pub(super) at: Option<u64>,
    /// Link type of its interface.
    pub(super) link: u32,
    /// Length on the wire.
    pub(super) wire: u32,
    /// Bytes before the packet.
    pub(super) skip: usize,
    /// Bytes of the packet that were captured.
    pub(super) captured: usize,
    /// Bytes to consume when done.
    pub(super) length: usize,
}

/// What comes next in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A packet.
    Packet(Record),
    /// Something else, which has been consumed.
    Other,
    /// The pipe is quiet.
    Idle,
    /// The file is over.
    End,
    /// The file ends inside a packet or block.
    Cut,
    /// What stands here cannot be: the reason.
    Damaged(&'static str),
}

/// A capture file in one of the two formats.
pub(super) enum Container {
    /// libpcap's classic format.
    Classic(classic::Classic),
    /// pcapng.
    Ng(ng::Ng),
}

impl Container {
    /// Finds the next packet.
    #[inline]
    pub(super) fn next(&mut self, intake: &mut Intake) -> io::Result<Step> {
        match self {
            Self::Classic(classic) => classic.next(intake),
            Self::Ng(ng) => ng.next(intake),
        }
    }

    /// Packets that the capturing program says it lost.
    pub(super) fn dropped(&self) -> u64 {
        match self {
            Self::Classic(_) => 0,
            Self::Ng(ng) => ng.dropped(),
        }
    }
}

/// The step that stands for bytes that could not be had, or `None` when they are there.
fn missing(filled: Filled, intake: &Intake) -> Option<Step> {
    match filled {
        Filled::Yes => None,
        Filled::Idle => Some(Step::Idle),
        Filled::End if intake.available().is_empty() => Some(Step::End),
        Filled::End => Some(Step::Cut),
    }
}
