//! Credentials in the request target.

use super::{About, Cues, Detector, Notebook, Seen};
use crate::case::{Accusation, Bench, Cases};
use crate::finding::Severity;
use crate::trail::{Mark, Outcome, Scope};
use apisec_proto::call::Traits;

pub(super) struct AuthInUrl;

const ABOUT: About = About {
    id: "auth-in-url",
    owasp: "API2:2023",
    cwe: "CWE-598",
    title: "credentials in URLs",
    what: "A key, token or password stands in the query of a request.",
    why: "URLs are written to the logs of servers and proxies, to histories and to the Referer of the next page.",
    evidence: "The name of the parameter; its value is never kept.",
    remedy: "Take credentials from a header field only, and exchange those that were in URLs.",
    bound: "One count per actor and endpoint.",
    settings: &[],
};

/// Names of parameters that hold a secret; keys and tokens are known as credentials.
const SECRETS: [&str; 5] = ["password", "passwd", "pwd", "secret", "client_secret"];

const ACCEPTED: Mark = Mark::new("auth-in-url.accepted");

impl Detector for AuthInUrl {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn cues(&self) -> Cues {
        Cues::ODD_CREDENTIAL.or(Cues::QUERY)
    }

    fn features(&self, seen: &Seen<'_>, notebook: &mut Notebook<'_>) {
        let secret = || {
            let mut names = seen.call.query.iter();
            names.any(|name| SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret)))
        };
        if seen.outcome == Outcome::Accepted
            && (seen.credential_is(Traits::IN_URL) || secret())
            && let Some(trail) = notebook.actor()
        {
            trail.count(ACCEPTED, 1);
        }
    }

    fn judge(&self, cases: &Cases<'_>, bench: &mut Bench<'_>) {
        for case in cases.fresh(Scope::Endpoint) {
            let (trail, accepted) = (case.total(), case.total().counted(ACCEPTED));
            if accepted == 0 {
                continue;
            }
            bench.accuse(
                Accusation::of(&case, trail)
                    .of_everybody()
                    .weigh(Severity::Medium, 8)
                    .say(
                        format!("a credential in the URL of {}", case.operation()),
                        format!("{accepted} of {} calls carried one and were accepted", trail.calls),
                    )
                    .fact("accepted", accepted as f64),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::scene::Scene;

    #[test]
    fn a_key_or_a_password_in_the_query() {
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/report", 200, |call| Scene::credential(call, Traits::IN_URL));
        scene.anonymous().call("GET", "/setup", 200, |call| call.query.push("Password".into()));
        let paths: Vec<String> = scene.found("auth-in-url").into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths.len(), 2, "{paths:?}");
    }

    #[test]
    fn near_misses() {
        let mut scene = Scene::new();
        scene.user(1).call("GET", "/report", 401, |call| Scene::credential(call, Traits::IN_URL));
        scene.user(1).call("GET", "/report", 200, |call| call.query.push("page".into()));
        scene.nothing("auth-in-url");
    }
}
