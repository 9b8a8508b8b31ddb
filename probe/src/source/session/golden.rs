//! Calls that use every variant and field of the format, and the files that each version made of them.

use super::tests::{Kept, header, plain, replay};
use crate::record::Recorder;
use crate::source::SourceStats;
use apisec_engine::degradation::{Degradation, Severity};
use apisec_proto::body::shape::{Formats, Kinds, Shape, Tally};
use apisec_proto::body::{Body, Coding, Format};
use apisec_proto::call::{
    AuthScheme, Bodies, Call, Clues, Credential, Detail, GraphqlCost, IdentityHash, Messages, Notes, Objects,
    Party, Protocol, ShownField, Tls, Traits, Vantage, Workload, WorkloadKind,
};
use apisec_proto::sensitive::Sensitive;
use std::path::Path;
use std::sync::Arc;

const FILE_V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/session/golden-v1.apisec");
const FILE_V3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/session/golden-v3.apisec");
const FILE_V4: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/session/golden-v4.apisec");
const FILE_V5: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/session/golden-v5.apisec");
const FILE_V2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/session/golden-v2.apisec");
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
        owner: "".into(),
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
        operation: Default::default(),
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
        messages: Default::default(),
        app_status: None,
        failed: false,
        notes: Notes(Notes::GAP.0 | Notes::EXCESS.0),
        bodies: None,
        graphql: None,
        clues: None,
        credential: None,
        objects: Default::default(),
        tls: None,
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

/// A call with everything that version 2 added.
pub(super) fn full_call(src: &Party, dst: &Party) -> Call {
    let mut shape = Shape::default();
    shape.add(".mail", |place| {
        place.kinds.insert(Kinds::STRING);
        place.formats.insert(Formats::EMAIL);
        place.classes.insert(Sensitive::Email);
        (place.count, place.longest) = (2, 31);
    });
    let mut sensitive = Tally::default();
    sensitive.add(Sensitive::Email);
    let body = Body { format: Format::Json, coding: Coding::Br, read: 77, whole: true, shape, sensitive };
    Call {
        protocol: Protocol::Soap,
        method: "MUTATION".into(),
        operation: "addUser,größe".into(),
        messages: [Messages::one(7), Messages { count: 3, bytes: 900, largest: 500 }],
        app_status: Some(-32_601),
        failed: true,
        notes: Notes(Notes::ONE_WAY.0 | Notes::BAD_BODY.0),
        bodies: Some(Box::new(Bodies { request: Some(body), ..Bodies::default() })),
        graphql: Some(Box::new(GraphqlCost { depth: 4, aliases: 2, tokens: 70_000, batch: 1 })),
        tls: Some(Arc::new(Tls {
            version: "1.3".into(),
            alpn: "h2".into(),
            sni: "shop.example".into(),
            subject: "CN=shop.example".into(),
            library: "OpenSSL 3.0.17".into(),
            resumed: false,
            mutual: None,
        })),
        ..call(src, dst)
    }
}

/// One call for every variant of version 1, and one with everything absent.
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

/// Those of version 2 as well.
fn calls_v2() -> Vec<Call> {
    let full = full_call(&workload(7, WorkloadKind::Pod), &workload(8, WorkloadKind::External));
    let operation_alone = Call { operation: "users".into(), ..calls().remove(0) };
    let unread = Call { auth: AuthScheme::Unread, ..calls().remove(1) };
    calls().into_iter().chain([full, operation_alone, unread]).collect()
}

fn write(path: &Path, calls: &[Call]) {
    let mut recorder = Recorder::create(path, &header(), false).unwrap();
    calls.iter().for_each(|call| recorder.record(call));
    recorder.tick(T + 1_000_000_000, &stats(), &degradations());
    recorder.finish(T + 2_000_000_000).unwrap();
}

fn is_read(file: &str, calls: &[Call]) {
    let golden = Path::new(file);
    if !golden.exists() {
        write(golden, calls);
        panic!("{file} was written: look at it and commit it");
    }
    let mut kept = Kept::default();
    let source = replay(&std::fs::read(golden).unwrap(), &mut kept);
    let expected: Vec<_> = calls.iter().map(plain).collect();
    assert_eq!(kept.calls.iter().map(plain).collect::<Vec<_>>(), expected);
    assert_eq!(source.degradations(), degradations());
    assert_eq!(source.now(), T + 2_000_000_000);
}

fn is_still_written(file: &str, calls: &[Call]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.apisec");
    write(&path, calls);
    let frames = |path: &Path| super::tests::unpacked(&std::fs::read(path).unwrap());
    assert_eq!(frames(&path), frames(Path::new(file)), "the format has changed: give it a new version");
}

/// Those of version 3 as well.
fn calls_v3() -> Vec<Call> {
    let clues =
        Clues { hosts: ["169.254.169.254:80".into()].into_iter().collect(), guess: Some(7), arguments: None };
    let clued = Call { clues: Some(Box::new(clues)), ..calls().remove(0) };
    calls_v2().into_iter().chain([clued]).collect()
}

/// Those of version 4 as well.
fn calls_v4() -> Vec<Call> {
    let credential = Credential {
        token: 7,
        source: "authorization".into(),
        traits: Traits::WEAK_SECRET,
        issued: 1_767_225_600,
        expires: 1_767_226_500,
        claims: [("sub".into(), 9)].into_iter().collect(),
    };
    let asked = [3, 4].into_iter().collect();
    let objects = Objects { owned: 2, asked, given: vec![5], account: Some(6), password: None };
    let proven = Call { credential: Some(Arc::new(credential)), objects, ..calls().remove(0) };
    calls_v3().into_iter().chain([proven]).collect()
}

/// Those of version 5 as well.
fn calls_v5() -> Vec<Call> {
    let full = full_call(&workload(7, WorkloadKind::Pod), &workload(8, WorkloadKind::External));
    let mut bodies = *full.bodies.clone().unwrap();
    bodies.request.as_mut().unwrap().sensitive.add_many(Sensitive::Health, 3);
    let mut shape = Shape::default();
    shape.add(".page", |place| {
        place.kinds.insert(Kinds::INTEGER);
        place.count = 1;
    });
    bodies.query = Some(Body { format: Format::Query, read: 6, whole: true, shape, ..Body::default() });
    let alone = Bodies { query: bodies.query.clone(), ..Bodies::default() };
    let late = Call { bodies: Some(Box::new(bodies)), ..full };
    let queried = Call { bodies: Some(Box::new(alone)), ..calls().remove(0) };
    calls_v4().into_iter().chain([late, queried]).collect()
}

#[test]
fn sessions_of_version_5_are_read() {
    is_read(FILE_V5, &calls_v5());
}

#[test]
fn sessions_of_version_4_are_read() {
    is_read(FILE_V4, &calls_v4());
}

#[test]
fn sessions_of_version_3_are_read() {
    is_read(FILE_V3, &calls_v3());
}

#[test]
fn sessions_of_version_1_are_read() {
    is_read(FILE_V1, &calls());
}

/// When the format gets a new version, such a test writes its golden file, fails once, and the file is
/// committed; the files of older versions stay and are read with `calls()` as it was then.
#[test]
fn sessions_of_version_2_are_read() {
    is_read(FILE_V2, &calls_v2());
}

/// Versions 2 to 5 only added a record each: a call that needs nothing new is still written as version 1 did.
#[test]
fn the_writer_still_writes_what_the_versions_are() {
    is_still_written(FILE_V1, &calls());
    is_still_written(FILE_V2, &calls_v2());
    is_still_written(FILE_V3, &calls_v3());
    is_still_written(FILE_V4, &calls_v4());
    is_still_written(FILE_V5, &calls_v5());
}
