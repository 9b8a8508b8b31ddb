//! What was done to the node, for whoever asks later: one JSON object per line, only ever appended, on the disk before it is
//! believed.

use super::read_capped;
use crate::clock;
use apisec_engine::moment;
use apisec_engine::snapshot::ChangeView;
use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

const FILE: &str = "audit.log";
/// Bytes that are read back: some hundred thousand deeds.
const MAX_BYTES: u64 = 32 << 20;

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

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    at: String,
    uid: u32,
    /// Who called sudo, empty when nobody did.
    sudo_uid: String,
    pid: u32,
    what: Cow<'a, str>,
    object: Cow<'a, str>,
    outcome: Cow<'a, str>,
}

/// The deeds that are written down in a state folder; a line that was torn is no deed.
///
/// # Errors
/// The file is there, and cannot be read.
pub fn read(folder: &Path) -> io::Result<Vec<ChangeView>> {
    let bytes = match read_capped(&folder.join(FILE), MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let deed = |line: &[u8]| {
        let Line { at, uid, sudo_uid, what, object, outcome, .. } = serde_json::from_slice(line).ok()?;
        let by = if sudo_uid.is_empty() { format!("uid {uid}") } else { format!("uid {sudo_uid} by sudo") };
        let (what, name, details) = (what.into_owned(), object.into_owned(), outcome.into_owned());
        Some(ChangeView { at: moment::parse(&at)?, what, name, details, by })
    };
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(deed).collect())
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

    /// What is written down can be read later.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Writes a deed down.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn write(&mut self, deed: &Deed<'_>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = Line {
            at: moment::rfc3339(clock::now()),
            uid: rustix::process::getuid().as_raw(),
            sudo_uid: std::env::var("SUDO_UID").unwrap_or_default(),
            pid: std::process::id(),
            what: deed.what.into(),
            object: deed.object.into(),
            outcome: deed.outcome.into(),
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        // One write, so that lines of two programs do not mix.
        file.write_all(&bytes)?;
        file.sync_data()
    }
}
