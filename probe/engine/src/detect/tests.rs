use super::*;
use std::collections::BTreeSet;

#[test]
fn every_file_is_registered() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/detect");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let stems = names.map(|name| name.to_string_lossy().trim_end_matches(".rs").replace('_', "-"));
    let files: BTreeSet<String> =
        stems.filter(|stem| !["hostile", "scene", "tests"].contains(&stem.as_str())).collect();
    let ids: BTreeSet<String> = DETECTORS.iter().map(|detector| detector.about().id.to_owned()).collect();
    assert_eq!(ids, files);
    assert_eq!(ids.len(), DETECTORS.len());
}

#[test]
fn every_detector_explains_itself() {
    for detector in DETECTORS {
        let about = detector.about();
        let texts =
            [about.cwe, about.title, about.what, about.why, about.evidence, about.remedy, about.bound];
        assert!(texts.iter().all(|text| !text.is_empty()), "{}", about.id);
        assert!(about.cwe.starts_with("CWE-"), "{}", about.id);
        assert!(about.owasp.is_empty() || about.owasp.ends_with(":2023"), "{}", about.id);
        assert!(about.settings.iter().all(|setting| setting.default.is_finite() && !setting.what.is_empty()));
        assert!(about.settings.iter().all(|setting| setting.name != "enabled"));
        assert_eq!(find(about.id).map(|found| found.about().id), Some(about.id));
    }
}
