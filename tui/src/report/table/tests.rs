use super::*;
use apisec_engine::degradation::Degradation;
use apisec_engine::snapshot::{Capture, EdgeView, EndpointView, Kind, Window};
use std::collections::BTreeMap;

fn workload(id: &str, name: &str, kind: Kind, calls: (u64, u64)) -> WorkloadView {
    WorkloadView {
        id: id.into(),
        name: name.into(),
        kind,
        pid: 4242,
        exe: "/usr/sbin/nginx".into(),
        command: "nginx -g".into(),
        user: "www-data".into(),
        unit: String::new(),
        container: String::new(),
        pod_uid: String::new(),
        netns: 0,
        address: "127.0.0.1".into(),
        owner: String::new(),
        calls_in: calls.0,
        calls_out: calls.1,
    }
}

fn edge(src: &str, dst: &str, calls: u64) -> EdgeView {
    EdgeView {
        src: src.into(),
        dst: dst.into(),
        protocol: "http1".into(),
        calls,
        errors: calls / 50,
        unanswered: 0,
        rate: 1.0,
        p50_us: 312,
        p99_us: 18_400,
        ..EdgeView::default()
    }
}

fn endpoint(path: &str, calls: u64) -> EndpointView {
    EndpointView {
        service: "process:nginx:8080".into(),
        protocol: "http1".into(),
        method: "GET".into(),
        path: path.into(),
        calls,
        p50_us: 90,
        p99_us: 12_000_000,
        caller_count: 2,
        ..EndpointView::default()
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        window: Window {
            start: "2026-01-02T03:04:05Z".into(),
            start_ns: 1_000_000_000,
            end_ns: 11_000_000_000,
            ..Window::default()
        },
        workloads: vec![
            workload("process:curl", "curl", Kind::Process, (0, 1_234)),
            workload("process:nginx:8080", "nginx", Kind::Process, (1_234_567, 0)),
        ],
        edges: vec![edge("process:curl", "process:nginx:8080", 1_234)],
        endpoints: vec![
            endpoint("/users/{id:int}/orders/{uuid}/a/very/long/tail/of/segments", 40),
            endpoint("/health", 1_194),
        ],
        capture: Capture {
            source: "live".into(),
            calls: 1_234_567,
            lost: 7,
            losses: BTreeMap::from([("ring-full".into(), 7), ("copy".into(), 0)]),
            degradations: vec![Degradation {
                code: "no-btf".into(),
                severity: Severity::Partial,
                what: "the kernel has no BTF\u{1b}[31m".into(),
                remedy: "use a kernel with CONFIG_DEBUG_INFO_BTF".into(),
            }],
            ..Capture::default()
        },
        ..Snapshot::default()
    }
}

fn printed(snapshot: &Snapshot, page: Page) -> String {
    let mut out = Vec::new();
    write(snapshot, &page, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_summary_on_a_narrow_terminal() {
    let text = printed(&snapshot(), Page { width: Some(80), styled: false });
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_pipe_gets_whole_cells_and_no_style() {
    let text = printed(&snapshot(), Page { width: None, styled: false });
    assert!(text.contains("/users/{id:int}/orders/{uuid}/a/very/long/tail/of/segments"));
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_terminal_gets_bold_titles_only_from_us() {
    let text = printed(&snapshot(), Page { width: Some(80), styled: true });
    assert!(text.contains("\u{1b}[1mEndpoints\u{1b}[0m"));
    assert!(!text.contains("\u{1b}[31m"));
}

#[test]
fn nothing_seen_is_said() {
    let text = printed(&Snapshot::default(), Page { width: Some(80), styled: false });
    assert!(text.contains("0 calls (0/s), 0 lost") && text.contains("nothing to report"), "{text}");
}

#[test]
fn many_rows_are_counted_not_hidden() {
    let mut many = snapshot();
    many.endpoints = (0..50).map(|number| endpoint(&format!("/{number}"), number)).collect();
    let text = printed(&many, Page { width: None, styled: false });
    assert!(
        text.contains("… and 30 with fewer calls") && text.contains("/49 ") && !text.contains("/29 "),
        "{text}"
    );
}

#[test]
fn workloads_that_share_a_name_are_shown_by_id() {
    let mut twins = snapshot();
    twins.workloads.push(workload("process:nginx:9090", "nginx", Kind::Process, (1, 0)));
    let text = printed(&twins, Page { width: None, styled: false });
    assert!(text.contains("process:nginx:8080"), "{text}");
}

#[test]
fn errors_come_with_their_share() {
    assert_eq!([errors(0, 9), errors(5, 200), errors(50, 50)], ["", "5  2.5%", "50  100%"]);
}
