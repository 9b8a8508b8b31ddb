//! `print detectors`: what each of them finds, why, on what ground, what to do, and what can be set.

use apisec_engine::detect::DETECTORS;

/// Every detector, in Markdown.
pub(super) fn write(out: &mut Vec<u8>) {
    let mut line = |text: String| {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    };
    line("# Detectors".to_owned());
    for about in DETECTORS.iter().map(|detector| detector.about()) {
        let owasp = if about.owasp.is_empty() { "beyond the list" } else { about.owasp };
        line(format!("\n## {} ({owasp}, {})\n\n{}.\n", about.id, about.cwe, about.title));
        for (name, text) in [
            ("what", about.what),
            ("why", about.why),
            ("evidence", about.evidence),
            ("to do", about.remedy),
            ("kept", about.bound),
        ] {
            line(format!("* {name}: {text}"));
        }
        for setting in about.settings {
            line(format!("* setting `{}` = {}: {}", setting.name, setting.default, setting.what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detector_is_printed_with_its_settings() {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        for about in DETECTORS.iter().map(|detector| detector.about()) {
            assert!(text.contains(&format!("## {} (", about.id)));
            about
                .settings
                .iter()
                .for_each(|setting| assert!(text.contains(&format!("setting `{}`", setting.name))));
        }
    }
}
