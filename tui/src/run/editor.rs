//! The operator's own editor, for a policy: a private file, the editor of `$VISUAL` or `$EDITOR`, and again until what it
//! holds is a policy or was left as it was.

use apisec_engine::policy::Policy;
use apisec_probe::policy::file;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
# Change the policy, save and leave. Its preview follows: nothing is done before you have confirmed it.
# Left as it is, or emptied, nothing changes. The format: apisec-top print schema policy
";

/// The edited policy; `None`: it was left as it was.
///
/// # Errors
/// In words, why it could not be edited.
pub(super) fn edit(policy: &Policy) -> Result<Option<Policy>, String> {
    let draft = Draft::new().map_err(|why| format!("no file can be made for the editor: {why}"))?;
    let mut text = format!("{HELP}{}", file::write(policy));
    loop {
        let edited = draft.through_editor(&text)?;
        if edited == text || is_empty(&edited) {
            return Ok(None);
        }
        match file::parse(&edited) {
            Ok(changed) if changed == *policy => return Ok(None),
            Ok(changed) => return Ok(Some(changed)),
            // Once more, with what is wrong on top; the same text again gives up.
            Err(why) => text = format!("# {}\n{}", one_line(&why.to_string()), without_complaint(&edited)),
        }
    }
}

fn is_empty(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// A complaint may quote what was typed.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Without the first lines that are not of the help: the last complaint.
fn without_complaint(text: &str) -> &str {
    text.find(HELP).and_then(|at| text.get(at..)).unwrap_or(text)
}

/// A file that only we can read, gone when dropped.
struct Draft(PathBuf);

impl Draft {
    fn new() -> io::Result<Self> {
        let nonce = std::collections::hash_map::RandomState::new();
        let number = std::hash::BuildHasher::hash_one(&nonce, std::process::id());
        let path = std::env::temp_dir().join(format!("apisec-top-policy-{number:016x}.yaml"));
        // Nobody's file or link is followed.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self(path))
    }

    fn through_editor(&self, text: &str) -> Result<String, String> {
        let name = |variable: &str| std::env::var(variable).ok().filter(|name| !name.trim().is_empty());
        let editor = name("VISUAL").or_else(|| name("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        fs::write(&self.0, text).map_err(|why| format!("{}: {why}", self.0.display()))?;
        // It may be a command with options; the path is an argument of its own.
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&self.0);
        let status = command.status().map_err(|why| format!("{editor} cannot be started: {why}"))?;
        if !status.success() {
            return Err(format!("the editor {editor} failed ({status}): set EDITOR; nothing was changed"));
        }
        read(&self.0).map_err(|why| format!("{}: {why}", self.0.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

/// The file as the editor left it, which may be another one of the same name.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(file::MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_comments_are_nothing_and_complaints_do_not_pile_up() {
        assert!(is_empty(HELP) && is_empty("\n  # a\n") && !is_empty("kind: Policy"));
        let text = format!("# line 5: wrong\n{HELP}kind: Policy\n");
        assert!(without_complaint(&text).starts_with("# Change the policy"));
        assert_eq!(one_line("a\nb\u{1b}[31m"), "a b [31m");
    }

    #[test]
    fn a_draft_is_private_and_goes() {
        use std::os::unix::fs::PermissionsExt as _;
        let draft = Draft::new().unwrap();
        let path = draft.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(draft);
        assert!(!path.exists());
    }
}
