//! `doctor`: what works on this machine and what does not, by trying it.

use crate::cli::RunOptions;
use crate::command::Job;
use crate::exit::{Exit, Outcome};
use crate::frame::{MIN_COLUMNS, MIN_ROWS};
use crate::report::Page;
use crate::settings::Settings;
use apisec_engine::degradation::Degradation;
use apisec_probe::doctor::{Check, Verdict, examine};
use apisec_probe::store::{Access, Store};
use clap::Args;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use unicode_width::UnicodeWidthStr;

/// Smallest terminal that shows the views.
const SMALLEST: (u16, u16) = (MIN_COLUMNS, MIN_ROWS);

/// Columns of the verdict and of the name.
const MARGIN: usize = 9 + 18;

/// Columns of the text on a terminal too narrow for the margin, or where there is none.
const TEXT: usize = 72;

/// Examine this machine.
#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// The state folder to look at
    #[arg(long, value_name = "DIR", env = "APISEC_TOP_STATE", hide_env_values = true)]
    state: Option<PathBuf>,

    /// The settings file to look at
    #[arg(long, value_name = "FILE", env = "APISEC_TOP_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

impl Job for Doctor {
    const NAME: &'static str = "doctor";
    const ABOUT: &'static str = "Say what works on this machine, and what to do about the rest";
    const LONG_ABOUT: &'static str = "\
Loads every kernel program and makes it fire once, and looks at the kernel, the cgroup2 mount, the type \
information, our rights, the programs of other tools (which are counted and left alone), the state folder and \
the terminal. Leaves nothing in the kernel. Ends with exit code 1 when live capture cannot work here.";
    const EXAMPLES: &'static str = "\
Examples:
  sudo apisec-top doctor
  sudo apisec-top doctor && sudo apisec-top           only where it works";

    fn run(self) -> Outcome {
        let options = RunOptions { state: self.state, config: self.config, ..RunOptions::default() };
        let settings = Settings::of(&options)?;
        let mut checks = examine();
        checks.push(state(settings.state.as_deref()));
        checks.push(terminal());
        let works = checks.iter().all(|check| check.verdict != Verdict::Failed);
        // A closed standard output is the reader's choice; the exit code says it as well.
        let _closed = write(&checks, &Page::stdout(), &mut io::stdout().lock());
        Ok(if works { Exit::Done } else { Exit::Failed })
    }
}

fn state(folder: Option<&Path>) -> Check {
    let check = |verdict, what, remedy| Check { name: "state folder".into(), verdict, what, remedy };
    let Some(folder) = folder else {
        return check(Verdict::Good, "nothing is kept, as asked".into(), String::new());
    };
    match Store::open(folder, Access::Change) {
        Err(error) => {
            check(Verdict::Failed, format!("no random bytes: {error}"), "look at /dev/urandom".into())
        }
        Ok(store) => match store.degradations().first() {
            None => check(Verdict::Good, folder.display().to_string(), String::new()),
            Some(Degradation { what, remedy, .. }) => check(Verdict::Degraded, what.clone(), remedy.clone()),
        },
    }
}

fn terminal() -> Check {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|_| io::stdout().is_terminal());
    let size = size.map(|size| (size.ws_col, size.ws_row));
    let (verdict, what, remedy) = judge(size);
    Check { name: "terminal".into(), verdict, what, remedy: remedy.into() }
}

fn judge(size: Option<(u16, u16)>) -> (Verdict, String, &'static str) {
    match size {
        None => (Verdict::Good, "standard output is none: it prints instead of drawing".into(), ""),
        Some((columns, rows)) if columns < SMALLEST.0 || rows < SMALLEST.1 => {
            let (least_columns, least_rows) = SMALLEST;
            let what = format!("{columns}×{rows}; the views need {least_columns}×{least_rows}");
            (Verdict::Degraded, what, "make it larger, or use --headless")
        }
        Some((columns, rows)) => (Verdict::Good, format!("{columns}×{rows}"), ""),
    }
}

fn write(checks: &[Check], page: &Page, out: &mut dyn Write) -> io::Result<()> {
    table(checks, page, out)?;
    writeln!(out, "\n{}", conclusion(checks))
}

/// The checks, one below the other.
pub(super) fn table(checks: &[Check], page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let width = page.width.map_or(usize::MAX, |width| width.saturating_sub(MARGIN).max(TEXT.min(width)));
    for check in checks {
        let verdict = word(check.verdict);
        write!(out, "{verdict:<9}{:<17} ", check.name)?;
        let remedy = check.remedy.lines().filter(|line| !line.is_empty()).map(|line| format!("→ {line}"));
        let lines = check.what.lines().map(str::to_owned).chain(remedy).flat_map(|line| wrap(&line, width));
        for (number, line) in lines.enumerate() {
            let margin = if number == 0 { 0 } else { MARGIN };
            writeln!(out, "{:margin$}{line}", "")?;
        }
    }
    Ok(())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Degraded => "partial",
        Verdict::Failed => "FAILED",
    }
}

fn conclusion(checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    match (count(Verdict::Failed), count(Verdict::Degraded)) {
        (0, 0) => "Live capture works here.".into(),
        (0, partial) => {
            format!("Live capture works here; {partial} of {} checks found something missing.", checks.len())
        }
        _ => "Live capture cannot work here; `apisec-top replay FILE` and `apisec-top demo` can.".into(),
    }
}

/// `text` in lines of at most `width` columns, broken at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut() {
            let longer = line.width().saturating_add(word.width()).saturating_add(1);
            if line.is_empty() {
                line.push_str(word);
            } else if longer <= width {
                line.extend([" ", word]);
            } else {
                lines.push(word.to_owned());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, verdict: Verdict, what: &str, remedy: &str) -> Check {
        Check { name: name.into(), verdict, what: what.into(), remedy: remedy.into() }
    }

    #[test]
    fn the_table_is_reviewed() {
        let long = "the kernel does not describe its types, so that the command line of a process that has already \
                    ended when we look is not known";
        let checks = [
            check("kernel", Verdict::Good, "Linux 6.12.0", ""),
            check("BTF", Verdict::Degraded, long, "use a kernel with CONFIG_DEBUG_INFO_BTF=y"),
            check(
                "hook capture",
                Verdict::Failed,
                "not permitted",
                "run it with sudo\napisec-top replay FILE",
            ),
        ];
        let mut out = Vec::new();
        write(&checks, &Page { width: Some(100), styled: false }, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn the_conclusion_follows_the_worst() {
        let good = check("a", Verdict::Good, "", "");
        let partial = check("b", Verdict::Degraded, "", "");
        let failed = check("c", Verdict::Failed, "", "");
        assert_eq!(conclusion(std::slice::from_ref(&good)), "Live capture works here.");
        assert!(conclusion(&[good.clone(), partial.clone()]).contains("1 of 2 checks"));
        assert!(conclusion(&[good, partial, failed]).contains("cannot work"));
    }

    #[test]
    fn a_small_terminal_is_said() {
        assert_eq!(judge(Some((MIN_COLUMNS - 1, 24))).0, Verdict::Degraded);
        assert_eq!(judge(Some((MIN_COLUMNS, MIN_ROWS))).0, Verdict::Good);
        assert_eq!(judge(None).0, Verdict::Good);
    }

    #[test]
    fn a_folder_that_cannot_be_kept_is_partial() {
        assert_eq!(state(Some(Path::new("/proc/nowhere"))).verdict, Verdict::Degraded);
        assert_eq!(state(None).verdict, Verdict::Good);
    }
}
