use super::{Kind, MAX_ENDPOINTS, Metrics};
use crate::snapshot::{EndpointView, Snapshot};
use proptest::prelude::*;

fn endpoint(number: u64) -> EndpointView {
    EndpointView {
        service: "process:shop:80".into(),
        protocol: "http1".into(),
        method: "GET".into(),
        path: format!("/p{number}"),
        calls: number + 1,
        statuses: [("200".to_owned(), number), ("-1".to_owned(), 1)].into(),
        first_seen: 10_000 - number,
        ..EndpointView::default()
    }
}

fn snapshot(endpoints: u64) -> Snapshot {
    Snapshot { endpoints: (0..endpoints).map(endpoint).collect(), ..Snapshot::default() }
}

fn sum(metrics: &Metrics, name: &str) -> f64 {
    let found = metrics.families.iter().find(|family| family.name == name).unwrap();
    assert_eq!(found.kind, Kind::Counter);
    found.points.iter().map(|point| point.value).sum()
}

#[test]
fn series_are_bounded_and_sums_exact() {
    let metrics = Metrics::of(&snapshot(1_500), "0.1.0");
    let calls = metrics.families.iter().find(|family| family.name == "apisec_calls").unwrap();
    assert_eq!(calls.points.len(), MAX_ENDPOINTS + 1);
    let whole: u64 = (1..=1_500).sum();
    #[expect(clippy::cast_precision_loss, reason = "a small sum")]
    let whole = whole as f64;
    assert!((sum(&metrics, "apisec_calls") - whole).abs() < 0.5);
    assert!((sum(&metrics, "apisec_responses") - whole).abs() < 0.5);
    // The oldest keep their series.
    assert!(calls.points.iter().any(|point| point.labels[3].1 == "/p1499"));
    assert!(!calls.points.iter().any(|point| point.labels[3].1 == "/p0"));
}

#[test]
fn the_text_has_types_and_totals() {
    let text = Metrics::of(&snapshot(1), "0.1.0").prometheus();
    assert!(text.contains("# TYPE apisec_calls_total counter\n"), "{text}");
    let line =
        "apisec_calls_total{service=\"process:shop:80\",protocol=\"http1\",method=\"GET\",path=\"/p0\"} 1\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("apisec_build_info{version=\"0.1.0\"} 1\n"), "{text}");
}

proptest! {
    /// Whatever a name holds: one sample a line, quotes closed, nothing that ends the line.
    #[test]
    fn hostile_names_stay_within_their_quotes(path in "\\PC*|(.|\n|\r|\"|\\\\){0,400}") {
        let mut found = snapshot(1);
        found.endpoints[0].path = path;
        let text = Metrics::of(&found, "0.1.0").prometheus();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut inside = false;
            let mut escaped = false;
            for character in line.chars() {
                match character {
                    _ if escaped => escaped = false,
                    '\\' if inside => escaped = true,
                    '"' => inside = !inside,
                    _ => {}
                }
            }
            prop_assert!(!inside && line.starts_with("apisec_"), "{line}");
            prop_assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
}
