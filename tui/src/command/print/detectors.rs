//! `print detectors`: what each of them finds, why, on what ground, what to do, and what can be set.

use crate::shop;
use apisec_engine::detect::DETECTORS;
use std::collections::BTreeMap;

/// Every detector, in Markdown.
pub(super) fn write(out: &mut Vec<u8>) {
    let mut line = |text: String| {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    };
    line(
        "# Detectors\n\n| | detector | finds | scenarios of the demo |\n| --- | --- | --- | --- |".to_owned(),
    );
    // Without the shop nothing is known of its scenarios, and the rest is as good.
    let list = shop::scenarios().unwrap_or_default();
    let played = played(&list);
    for about in DETECTORS.iter().map(|detector| detector.about()) {
        let scenarios = played.get(about.id).map(|names| names.join(", ")).unwrap_or_default();
        line(format!("| {} | {} | {} | {scenarios} |", entry(about.owasp), about.id, about.title));
    }
    for about in DETECTORS.iter().map(|detector| detector.about()) {
        line(format!("\n## {} ({}, {})\n\n{}.\n", about.id, entry(about.owasp), about.cwe, about.title));
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

const fn entry(owasp: &'static str) -> &'static str {
    if owasp.is_empty() { "beyond the list" } else { owasp }
}

/// The scenarios that each detector must notice, by the list of the shop: name, OWASP entry, detectors, story.
fn played(list: &[u8]) -> BTreeMap<&str, Vec<&str>> {
    let mut played: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in str::from_utf8(list).unwrap_or_default().lines() {
        let mut columns = line.split_whitespace();
        let (Some(name), Some(raises)) = (columns.next(), columns.nth(1)) else { continue };
        raises.split(',').for_each(|detector| played.entry(detector).or_default().push(name));
    }
    played
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_shop_is_read() {
        let list = b"stuffing  API2:2023  auth-credential-stuffing,auth-brute-force  a list is tried\nmixed all bfla x\n";
        let played = played(list);
        assert_eq!((&*played["auth-brute-force"], &*played["bfla"]), (&["stuffing"][..], &["mixed"][..]));
    }

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
