//! What was done to the node, for whoever asks later: one JSON object per line, only ever appended, on the disk before it is
//! believed.

use crate::clock;
use rustix::fs::{Mode, OFlags, open};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

const FILE: &str = "audit.log";

/// Where deeds are written.
pub struct Audit {
    /// `None`: nowhere, because there is no state folder.
    file: Option<File>,
}

/// Something that was done, or tried.
pub struct Deed<'a> {
    /// What, one word.
    pub what: &'static str,
    /// To what.
    pub object: &'a str,
    /// What came of it.
    pub outcome: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    uid: u32,
    /// Who called sudo, empty when nobody did.
    sudo_uid: String,
    pid: u32,
    what: &'a str,
    object: &'a str,
    outcome: &'a str,
}

impl Audit {
    /// An audit that is kept in the state folder.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = open(folder.join(FILE), flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self { file: Some(file.into()) })
    }

    /// An audit of a run that keeps nothing.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self { file: None }
    }

    /// Writes a deed down.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn write(&mut self, deed: &Deed<'_>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = Line {
            at: apisec_engine::moment::rfc3339(clock::now()),
            uid: rustix::process::getuid().as_raw(),
            sudo_uid: std::env::var("SUDO_UID").unwrap_or_default(),
            pid: std::process::id(),
            what: deed.what,
            object: deed.object,
            outcome: deed.outcome,
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        // One write, so that lines of two programs do not mix.
        file.write_all(&bytes)?;
        file.sync_data()
    }
}
