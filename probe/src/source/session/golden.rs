//! Calls that use every variant and field of the format, and the files that each version made of them.

use super::tests::{Kept, header, plain, replay};
use crate::record::Recorder;
use crate::source::SourceStats;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_proto::call::{
    AuthScheme, Call, Detail, IdentityHash, Notes, Party, Protocol, ShownField, Vantage, Workload,
    WorkloadKind,
};
use std::path::Path;
use std::sync::Arc;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/session/golden-v1.apisec");
const T: u64 = 1_767_225_600_000_000_000;

/// A workload of the kind, with everything set.
pub(super) fn workload(number: u32, kind: WorkloadKind) -> Party {
    let id = format!("{kind:?}:{number}");
    let workload = Workload {
        name: format!("name-{number}").into(),
        kind,
        pid: number.wrapping_add(1000),
        exe: "/usr/sbin/nginx".into(),
        command: "nginx: worker process".into(),
        user: "www-data".into(),
        unit: "nginx.service".into(),
        container: "3f2a9c".into(),
        runtime: "containerd".into(),
        pod_uid: "0b1c-77".into(),
        netns: 4_026_531_840,
        address: "192.0.2.7".into(),
        id: id.into(),
    };
    Party { number, workload: Arc::new(workload) }
}

/// A call with everything set.
pub(super) fn call(src: &Party, dst: &Party) -> Call {
    let field = |name: &str, value: &str| ShownField { name: name.into(), value: value.into() };
    Call {
        at: T,
        src: src.clone(),
        dst: dst.clone(),
        src_addr: "10.0.0.1:40000".parse().unwrap(),
        dst_addr: "[2001:db8::2]:8080".parse().unwrap(),
        vantage: Vantage::Server,
        protocol: Protocol::Http1,
        method: "GET".into(),
        path: "/users/7/orders".into(),
        query: ["page", "größe"].map(Into::into).into_iter().collect(),
        host: "shop.internal:8080".into(),
        status: Some(200),
        ttfb: Some(1_200_000),
        duration: 1_500_000,
        request_bytes: 96,
        response_bytes: 412,
        request_body: 0,
        response_body: 207,
        auth: AuthScheme::Jwt,
        identity: Some(IdentityHash(0xdead_beef_0102_0304)),
        request_type: "text/plain".into(),
        response_type: "application/json".into(),
        trace: Some(77),
        notes: Notes(Notes::GAP.0 | Notes::EXCESS.0),
        detail: Some(Box::new(Detail {
            request_fields: vec![field("authorization", "<jwt 612 B>")],
            response_fields: vec![field("server", "nginx"), field("set-cookie", "<cookie 44 B>")],
        })),
    }
}

/// Records a session with one call between the workloads with these numbers.
pub(in crate::source) fn recorded(path: &Path, [src, dst]: [u32; 2]) {
    let party = |number| workload(number, WorkloadKind::Process);
    let mut recorder = Recorder::create(path, &header(), false).unwrap();
    recorder.record(&call(&party(src), &party(dst)));
    recorder.finish(T).unwrap();
}

/// One call for every variant, and one with everything absent.
fn calls() -> Vec<Call> {
    use WorkloadKind::{Container, External, Pod, Process, Unit};
    let kinds = [Process, Unit, Container, Pod, External];
    let parties: Vec<_> = kinds.into_iter().zip(0..).map(|(kind, number)| workload(number, kind)).collect();
    let base = |index: usize| call(&parties[index % 5], &parties[(index + 1) % 5]);
    let protocols = [
        Protocol::Http1,
        Protocol::Http2,
        Protocol::Grpc,
        Protocol::Graphql,
        Protocol::Websocket,
        Protocol::Sse,
        Protocol::Jsonrpc,
        Protocol::Mcp,
        Protocol::Opaque,
    ];
    let schemes = [
        AuthScheme::None,
        AuthScheme::Basic,
        AuthScheme::Bearer,
        AuthScheme::Jwt,
        AuthScheme::ApiKey,
        AuthScheme::Cookie,
        AuthScheme::Other,
    ];
    let mut calls: Vec<_> =
        protocols.into_iter().enumerate().map(|(index, protocol)| Call { protocol, ..base(index) }).collect();
    calls.extend(schemes.into_iter().enumerate().map(|(index, auth)| Call { auth, ..base(index) }));
    calls.push(Call {
        vantage: Vantage::Client,
        query: [].into_iter().collect(),
        status: None,
        ttfb: None,
        identity: None,
        trace: None,
        notes: Notes(0),
        detail: None,
        ..base(4)
    });
    calls
}

fn degradations() -> Vec<Degradation> {
    [Severity::Notice, Severity::Partial, Severity::Fatal]
        .map(|severity| Degradation {
            code: format!("code-{severity:?}"),
            severity,
            what: "what".into(),
            remedy: "remedy".into(),
        })
        .into()
}

fn stats() -> SourceStats {
    SourceStats {
        chunks: 5,
        losses: [("ring_full".to_owned(), 2)].into(),
        counters: [("records".to_owned(), u64::MAX)].into(),
    }
}

fn write(path: &Path) {
    let mut recorder = Recorder::create(path, &header(), false).unwrap();
    calls().iter().for_each(|call| recorder.record(call));
    recorder.tick(T + 1_000_000_000, &stats(), &degradations());
    recorder.finish(T + 2_000_000_000).unwrap();
}

/// When the format gets a new version, this test writes its golden file, fails once, and the file is
/// committed; the files of older versions stay and are read with `calls()` as it was then.
#[test]
fn sessions_of_version_1_are_read() {
    let golden = Path::new(FILE);
    if !golden.exists() {
        write(golden);
        panic!("{FILE} was written: look at it and commit it");
    }
    let mut kept = Kept::default();
    let source = replay(&std::fs::read(golden).unwrap(), &mut kept);
    let expected: Vec<_> = calls().iter().map(plain).collect();
    assert_eq!(kept.calls.iter().map(plain).collect::<Vec<_>>(), expected);
    assert_eq!(source.degradations(), degradations());
    assert_eq!(source.now(), T + 2_000_000_000);
}

#[test]
fn the_writer_still_writes_what_version_1_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.apisec");
    write(&path);
    let frames = |path: &Path| super::tests::unpacked(&std::fs::read(path).unwrap());
    assert_eq!(frames(&path), frames(Path::new(FILE)), "the format has changed: give it a new version");
}
