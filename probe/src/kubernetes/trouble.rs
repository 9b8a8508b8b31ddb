//! What an API server answered instead, in words, and what to do about it.

use crate::source::SourceError;
use kube::Error;

/// Bytes of what an API server says that are repeated.
const MAX_SAID: usize = 600;

/// Why `what` could not be done.
pub(crate) fn of(error: &Error, what: &str) -> SourceError {
    let (said, remedy) = match error {
        Error::Api(status) => (status.message.clone(), remedy(status.code)),
        Error::Auth(error) => {
            (error.to_string(), "log in anew, as the kubeconfig's user does: kubectl auth whoami")
        }
        _ => (chain(error), "kubectl version; another cluster: --context NAME, --kubeconfig FILE"),
    };
    SourceError {
        what: plain(&format!("the API server did not let us {what}: {said}")),
        remedy: remedy.into(),
    }
}

/// The API server has no such thing.
pub(crate) fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// We may not.
pub(crate) fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if matches!(status.code, 401 | 403))
}

fn remedy(code: u16) -> &'static str {
    match code {
        401 => "log in anew: kubectl auth whoami",
        403 => "kubectl apisec doctor prints exactly the rights that are missing",
        404 => "check the name, and the namespace with -n",
        409 => "somebody else made or changed it meanwhile: look, and try again",
        422 => "the cluster's version or its policies do not allow it: kubectl apisec doctor",
        429 | 500..=599 => "the API server is busy or broken: try again in a moment",
        _ => "kubectl apisec doctor",
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Fit for a terminal and a sentence: one line, without control characters, of a bounded length.
pub(crate) fn plain(text: &str) -> String {
    let mut plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.len() > MAX_SAID {
        let end = (0..=MAX_SAID).rev().find(|end| plain.is_char_boundary(*end)).unwrap_or_default();
        plain.truncate(end);
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use proptest::prelude::*;

    #[test]
    fn a_refusal_leads_to_the_doctor() {
        let status = Status { code: 403, message: "nodes is forbidden".into(), ..Status::default() };
        let error = of(&Error::Api(Box::new(status)), "list nodes");
        assert_eq!(error.what, "the API server did not let us list nodes: nodes is forbidden");
        assert!(error.remedy.contains("doctor"));
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_reaches_a_terminal_raw(text in any::<String>()) {
            let plain = plain(&text);
            prop_assert!(plain.len() <= MAX_SAID + 3 && !plain.chars().any(char::is_control));
        }
    }
}
