//! Policies, previews and the journal as text. Everything from outside is escaped.

use crate::widget::escape::escape;
use apisec_engine::load::SECOND;
use apisec_engine::moment::rfc3339;
use apisec_engine::policy::Policy;
use apisec_engine::policy::preview::Preview;
use apisec_engine::policy::standing::PolicyView;
use apisec_probe::journal::Entry;
use apisec_probe::policy::ledger::words;
use std::io::{self, Write};

/// Callers that are printed.
const CALLERS: usize = 10;

pub(super) fn line(text: &str) -> String {
    escape(text).to_string()
}

pub(super) fn preview(
    policy: &Policy,
    preview: &Preview,
    rules: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}: {} for {}", policy.metadata.name, line(&policy.describe()), policy.spec.ttl)?;
    writeln!(out, "  {}", preview.sentence())?;
    for caller in preview.callers.iter().take(CALLERS) {
        let look = if caller.legitimate { "looks legitimate" } else { "does not look legitimate" };
        let why = caller.why.join(", ");
        writeln!(out, "    {} {} of {} calls, {look}: {why}", line(&caller.name), caller.calls, caller.of)?;
    }
    if preview.identity_count > 0 {
        writeln!(out, "  {} identities would have been cut", preview.identity_count)?;
    }
    for covered in &preview.covered {
        writeln!(out, "  covers {}", line(covered))?;
    }
    for rule in rules {
        writeln!(out, "  rule: {}", line(rule))?;
    }
    let all = preview.limits.iter().chain(&preview.unknown);
    for limit in all {
        writeln!(out, "  but: {}", line(limit))?;
    }
    for refusal in &preview.refusals {
        writeln!(out, "  PROTECTED: {} would cut {}", line(&refusal.by), line(&refusal.what))?;
    }
    Ok(())
}

pub(super) fn table(views: &[PolicyView], now: u64, out: &mut dyn Write) -> io::Result<()> {
    if views.is_empty() {
        return writeln!(out, "no policy was ever in force");
    }
    writeln!(out, "{:>4}  {:<8} {:<24} {:<9} {:<44} EFFECT", "ID", "STATE", "NAME", "ENDS IN", "WHAT")?;
    for view in views {
        let left = match view.deadline_ns {
            _ if !view.state.is_open() => "-".to_owned(),
            0 => "never".to_owned(),
            at => format!("{} s", at.saturating_sub(now) / SECOND),
        };
        let (name, what, effect) = (line(&view.name), line(&view.what), view.effect(now));
        writeln!(out, "{:>4}  {:<8} {name:<24} {left:<9} {what:<44} {effect}", view.id, view.state.word())?;
        for one in view.callers.iter().filter(|one| one.blocked + one.passed > 0) {
            writeln!(out, "      {}: blocked {}, passed {}", line(&one.caller), one.blocked, one.passed)?;
        }
        for trouble in &view.trouble {
            writeln!(out, "      ! {}", line(trouble))?;
        }
    }
    Ok(())
}

pub(super) fn entry(entry: &Entry, out: &mut dyn Write) -> io::Result<()> {
    let at = rfc3339(entry.at / SECOND * SECOND);
    let (by, what) = (line(&entry.by.to_string()), line(&words(&entry.event)));
    writeln!(out, "{at}  {:>4}  {:<9} {by:<24} {what}", entry.event.id(), entry.event.word())
}
