//! How the program ends: its exit codes, and a failure that says what to do next.

use apisec_probe::source::SourceError;
use std::fmt;
use std::process::ExitCode;

/// The exit codes. They are part of the contract: scripts and CI read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The job was done.
    Done = 0,
    /// The job could not be done; standard error says why and what to do.
    Failed = 1,
    /// The command line or the configuration was not understood.
    Usage = 2,
    /// There is drift, or a finding, that `--fail-on` names; the report has it.
    Gated = 3,
    /// Interrupted (SIGINT) before the asked-for end; what was seen until then has been printed.
    Interrupted = 130,
    /// Terminated (SIGTERM) before the asked-for end; what was seen until then has been printed.
    Terminated = 143,
}

impl Exit {
    /// Every exit code, in order, for the help and the manual.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Failed, Self::Usage, Self::Gated, Self::Interrupted, Self::Terminated];

    /// One line about it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "the job was done",
            Self::Failed => "the job could not be done; standard error says why and what to do next",
            Self::Usage => "the command line or the configuration was not understood",
            Self::Gated => "there is what --fail-on names; the report has it",
            Self::Interrupted => {
                "interrupted (Ctrl-C) before the asked-for end; the result so far was printed"
            }
            Self::Terminated => "terminated before the asked-for end; the result so far was printed",
        }
    }

    /// The section `EXIT CODES` of the help.
    #[must_use]
    pub fn section() -> String {
        let lines = Self::ALL.map(|exit| format!("  {:<4} {}\n", exit as u8, exit.meaning()));
        format!("Exit codes:\n{}", lines.concat())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a job could not be done, whose fault it is, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, in one sentence without a full stop.
    pub what: String,
    /// What to do next, one suggestion per line; empty when nothing can be done.
    pub remedy: String,
    /// The code to end with.
    pub exit: Exit,
}

impl Failure {
    /// A job that cannot be done.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), exit: Exit::Failed }
    }

    /// Something that was not understood.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what, remedy) }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::new(error.what, error.remedy)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.what)?;
        self.remedy.lines().filter(|line| !line.is_empty()).try_for_each(|line| write!(out, "\n  → {line}"))
    }
}

/// How a job ended.
pub type Outcome = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_contract() {
        assert_eq!(Exit::ALL.map(|exit| exit as u8), [0, 1, 2, 3, 130, 143]);
        insta::assert_snapshot!(Exit::section());
    }

    #[test]
    fn a_failure_lists_every_suggestion() {
        let failure = Failure::new("no root", "sudo apisec-top\napisec-top replay FILE");
        assert_eq!(failure.to_string(), "no root\n  → sudo apisec-top\n  → apisec-top replay FILE");
    }
}
