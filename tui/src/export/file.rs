//! Exports as files: new ones only, readable by their owner, whole or not at all.

use super::{Export, Format};
use crate::report::{Page, Shape};
use apisec_engine::json;
use apisec_engine::moment::rfc3339;
use apisec_engine::snapshot::Snapshot;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest name of a service in the name of a file.
const MAX_NAME: usize = 64;

/// Writes an export of `snapshot` into `folder`; the files that were made.
///
/// # Errors
/// One could not be written.
pub fn write(
    export: &Export,
    format: &Format,
    snapshot: &Snapshot,
    folder: &Path,
) -> io::Result<Vec<PathBuf>> {
    let moment: String =
        rfc3339(snapshot.window.end_ns).chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    let stem = format!("apisec-{}-{moment}", export.name);
    let kind = format.report.name;
    let Some(parts) = format.parts else {
        let Shape::AtEnd(print) = format.report.shape else {
            return Err(io::Error::other("this format has no end"));
        };
        let page = Page { width: None, styled: false };
        return Ok(vec![create(folder, &stem, kind, |out| print(snapshot, &page, out))?]);
    };
    let kind = if kind == "json" { "json".to_owned() } else { format!("{kind}.json") };
    let mut made = Vec::new();
    for (name, document) in parts(snapshot) {
        let stem = format!("{stem}-{}", file_name(&name));
        made.push(create(folder, &stem, &kind, |out| json::write(&document, out))?);
    }
    Ok(made)
}

/// A new file that appears when it is complete; a number makes its name a new one.
fn create(
    folder: &Path,
    stem: &str,
    kind: &str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let draft = folder.join(format!(".{stem}.{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let mut out = BufWriter::new(file);
    let written = fill(&mut out).and_then(|()| out.flush()).and_then(|()| out.get_ref().sync_all());
    let placed = written.and_then(|()| place(&draft, folder, stem, kind));
    fs::remove_file(&draft)?;
    placed
}

/// Gives a draft a name that nobody has.
fn place(draft: &Path, folder: &Path, stem: &str, kind: &str) -> io::Result<PathBuf> {
    for number in 1..1_000 {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("{stem}{more}.{kind}"));
        match fs::hard_link(draft, &path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are a thousand exports of this moment"))
}

/// A name of the wire as part of a file's name.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name = name.rsplit('/').next().unwrap_or_default();
    name.chars().take(MAX_NAME).map(plain).collect::<String>().trim_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::EXPORTS;
    use crate::fixture;

    #[test]
    fn every_export_becomes_new_files_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = fixture::shop();
        let mut made = Vec::new();
        for _ in 0..2 {
            for export in EXPORTS {
                for format in export.formats {
                    made.extend(write(export, format, &snapshot, folder.path()).unwrap());
                }
            }
        }
        let there = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(there, made.len());
        assert!(made.iter().all(|path| path.metadata().unwrap().len() > 2), "{made:?}");
        assert!(made.iter().any(|path| path.extension().is_some_and(|kind| kind == "html")));
    }

    #[test]
    fn names_of_the_wire_stay_in_the_folder() {
        assert_eq!(file_name("../../etc/passwd"), "passwd");
        assert_eq!(file_name("..\u{7}/.."), "");
        assert_eq!(file_name("process:nginx:80"), "process-nginx-80");
    }
}
