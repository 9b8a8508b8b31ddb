//! `kube doctor`: whether a cluster can be looked at, and what is missing.

use super::access::{AccessOptions, name};
use crate::command::doctor::table;
use crate::exit::{Exit, Outcome};
use crate::report::Page;
use apisec_probe::doctor::{Check, Verdict};
use apisec_probe::kubernetes::doctor::{Examined, examine};
use apisec_probe::kubernetes::{rbac, wait};
use clap::Args;
use std::io::{self, Write};

pub(super) const LONG_ABOUT: &str = "\
Asks the API server for each right that is needed, tries an agent's pod by dry run, and looks at what the nodes and \
the API tell: kernels, network, mesh, policy engines. Makes nothing. Rights that are missing are printed as YAML that \
an administrator can apply. Ends with exit code 1 when agents cannot work here.";

pub(super) const EXAMPLES: &str = "\
Examples:
  kubectl apisec doctor
  kubectl apisec doctor --as jo --agent-namespace ops
  kubectl apisec doctor --missing > rbac.yaml         only the rights that are missing, as YAML";

/// Examine a cluster.
#[derive(Args, Debug)]
pub(super) struct Doctor {
    /// The namespace that agents would be put into
    #[arg(long, value_name = "NAME", default_value = rbac::AGENTS, value_parser = name)]
    agent_namespace: String,

    /// Print only the rights that are missing, as YAML; nothing when none is
    #[arg(long)]
    missing: bool,

    #[command(flatten)]
    access: AccessOptions,
}

impl Doctor {
    pub(super) fn run(self) -> Outcome {
        let access = self.access.access(None);
        let examined = wait(async {
            let cluster = access.open().await?;
            Ok(examine(&cluster, &self.agent_namespace).await)
        })?;
        let works = examined.checks.iter().all(|check| check.verdict != Verdict::Failed);
        let mut out = io::stdout().lock();
        // A closed standard output is the reader's choice; the exit code says it as well.
        let _closed = if self.missing {
            out.write_all(yaml(&examined).as_bytes())
        } else {
            write(&examined, &Page::stdout(), &mut out)
        };
        Ok(if works { Exit::Done } else { Exit::Failed })
    }
}

fn write(examined: &Examined, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    table(&examined.checks, page, out)?;
    writeln!(out, "\n{}", conclusion(&examined.checks))?;
    let yaml = yaml(examined);
    if yaml.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nThe rights that are missing, for an administrator (kubectl apisec doctor --missing):\n"
    )?;
    out.write_all(yaml.as_bytes())
}

fn yaml(examined: &Examined) -> String {
    [examined.missing.as_str(), examined.missing_beside.as_str()].concat()
}

fn conclusion(checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    match (count(Verdict::Failed), count(Verdict::Degraded)) {
        (0, 0) => "Agents can work here.".into(),
        (0, partial) => {
            format!("Agents can work here; {partial} of {} checks found something missing.", checks.len())
        }
        _ => "Agents cannot work here yet.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_follow_the_table() {
        let check = |name: &str, verdict, what: &str| Check {
            name: name.into(),
            verdict,
            what: what.into(),
            remedy: String::new(),
        };
        let checks = vec![
            check("cluster", Verdict::Good, "Kubernetes v1.36.0 at https://192.0.2.1:6443/"),
            check("rights to watch", Verdict::Failed, "missing: create pods/exec"),
        ];
        let examined =
            Examined { checks, missing: "---\nkind: Role\n".into(), missing_beside: String::new() };
        let mut out = Vec::new();
        write(&examined, &Page { width: Some(80), styled: false }, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
