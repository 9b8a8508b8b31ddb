//! An assistant that uses a tool which nobody used before.

use super::{About, Detector, Setting};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Outcome, Scope};

pub(super) struct AgentScope;

const ABOUT: About = About {
    id: "agent-scope",
    owasp: "API5:2023",
    cwe: "CWE-863",
    title: "an agent does what it never did",
    what: "Over the Model Context Protocol a tool is called that was not called in all the traffic before.",
    why: "An agent does what text tells it to. A new tool is often the first thing that is seen of an agent that reads somebody else's instructions.",
    evidence: "The first call of a tool after so many calls of others, within so many seconds of now; that it was answered, and that its answer is several times as large as any before, make it worse.",
    remedy: "Give each agent a list of tools, ask a person before those that export, send or delete, and read what it was told.",
    bound: "Nothing beyond every trail.",
    settings: &[
        Setting { name: "known", default: 45.0, what: "seconds since the first call of any tool" },
        Setting { name: "calls", default: 15.0, what: "calls of other tools that make the usual known" },
        Setting { name: "recent", default: 120.0, what: "seconds since the first call of the new one" },
    ],
};

/// What the operation of a tool's call begins with.
const TOOL: &str = "tools/call ";
/// An answer that is so many times the largest of the others is a reason to worry.
const LARGE: u64 = 4;

impl Detector for AgentScope {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        let (calls, recent) = (cases.setting(&ABOUT, "calls") as u64, cases.setting(&ABOUT, "recent") * 1e9);
        let known = cases.setting(&ABOUT, "known") * 1e9;
        for case in cases.fresh(Scope::Actor) {
            let endpoint = &case.key.endpoint;
            let Some(tool) = endpoint.operation.strip_prefix(TOOL) else { continue };
            let everybody = cases.everybody(&case);
            let first = everybody.as_ref().map_or(case.total().first, |all| all.total().first);
            if cases.now.saturating_sub(first) as f64 > recent {
                continue;
            }
            let others = cases.dossiers.iter().filter(|(key, dossier)| {
                key.scope == Scope::Endpoint
                    && key.endpoint.service == endpoint.service
                    && key.endpoint.vantage == endpoint.vantage
                    && key.endpoint.operation.starts_with(TOOL)
                    && dossier.total.first < first
            });
            let (before, largest, since) =
                others.fold((0_u64, 0_u64, first), |(calls, largest, since), (_, dossier)| {
                    let total = &dossier.total;
                    (calls + total.calls, largest.max(total.largest), since.min(total.first))
                });
            if before < calls || ((first - since) as f64) < known {
                continue;
            }
            let accepted = case.total().with(Outcome::Accepted) > 0;
            let large = case.total().largest > LARGE * largest.max(1);
            let severity = match (accepted, large) {
                (true, true) => Severity::High,
                (true, false) => Severity::Medium,
                (false, _) => Severity::Low,
            };
            let size = if large {
                format!("; its answer has {} bytes, the largest before {largest}", case.total().largest)
            } else {
                String::new()
            };
            let accusation = Accusation::of(&case, case.total())
                .weigh(severity, 5 + 3 * u8::from(large))
                .say(
                    format!("an agent of {} used the tool {tool} for the first time", case.key.caller),
                    format!("{before} calls of other tools before it{size}"),
                )
                .fact("before", before as f64)
                .fact("bytes", case.total().largest as f64)
                .suggest("identity", 0);
            bench.accuse(accusation);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::detect::scene::Scene;
    use crate::finding::Severity;
    use apisec_proto::call::Protocol;

    fn use_tool(scene: &mut Scene, tool: &str, bytes: u64) {
        scene.call("POST", "/mcp", 200, |call| {
            call.protocol = Protocol::Mcp;
            call.operation = format!("tools/call {tool}").into();
            call.response_bytes = bytes;
        });
    }

    #[test]
    fn a_new_tool_with_a_large_answer() {
        let mut scene = Scene::new();
        (0..35).for_each(|_| use_tool(scene.user(1), "search", 500));
        scene.wait(60);
        use_tool(scene.user(1), "export_customers", 9_000);
        let finding = scene.only("agent-scope");
        assert_eq!(finding.severity, Severity::High);
        assert!(finding.title.contains("export_customers"), "{}", finding.title);
    }

    #[test]
    fn near_misses() {
        // Too early to know what is usual; and tools that have been in use for long.
        let mut scene = Scene::new();
        (0..10).for_each(|_| use_tool(scene.user(1), "search", 500));
        use_tool(scene.user(1), "get_order", 500);
        scene.nothing("agent-scope");
        scene.wait(300);
        (0..40).for_each(|_| use_tool(scene.user(2), "search", 500));
        use_tool(scene.user(2), "get_order", 500);
        scene.nothing("agent-scope");
    }
}
