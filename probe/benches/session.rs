//! The cost of recording calls, on the capture thread and altogether, and of replaying them.

use apisec_abi::{Exec, Exit, Open};
use apisec_probe::flow::Flow;
use apisec_probe::record::{Recorder, SessionHeader};
use apisec_probe::source::{Progress, Sink, SourceStats, open};
use apisec_proto::call::{AuthScheme, Call, Notes, Party, Protocol, Vantage, Workload, WorkloadKind};
use apisec_proto::segment::Segment;
use divan::counter::ItemsCount;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Below what the recorder keeps waiting, so that nothing is dropped however slow the disk is.
const CALLS: usize = 20_000;

fn main() {
    divan::main();
}

struct Count(u64);

impl Sink for Count {
    fn segment(&mut self, _: &Segment<'_>, _: &Flow) {}

    fn opened(&mut self, _: &Open) {}

    fn started(&mut self, _: &Exec) {}

    fn ended(&mut self, _: &Exit) {}

    fn call(&mut self, call: &Call) {
        self.0 += divan::black_box(call).duration;
    }
}

fn party(number: u32) -> Party {
    let workload = Workload {
        pid: number,
        exe: "/usr/local/bin/service".into(),
        command: "service --listen 0.0.0.0:8080".into(),
        user: "www-data".into(),
        unit: "service.service".into(),
        netns: 4_026_531_840,
        address: "10.0.0.2".into(),
        ..Workload::named(
            &format!("process:service-{number}:8080"),
            &format!("service-{number}"),
            WorkloadKind::Process,
        )
    };
    Party { number, workload: Arc::new(workload) }
}

fn calls() -> Vec<Call> {
    let parties: Vec<_> = (0..20).map(party).collect();
    let addr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
    let call = |(number, (src, dst)): (usize, (&Party, &Party))| Call {
        at: 1_767_225_600_000_000_000 + number as u64 * 17_003,
        src: src.clone(),
        dst: dst.clone(),
        src_addr: addr,
        dst_addr: addr,
        vantage: Vantage::Server,
        protocol: Protocol::Http1,
        method: "GET".into(),
        operation: Default::default(),
        path: format!("/api/users/{}/orders", number % 997).into(),
        query: ["page".into()].into_iter().collect(),
        host: "shop.internal:8080".into(),
        status: Some(200),
        ttfb: Some(90_000 + number as u64 % 7919),
        duration: 95_000 + number as u64 % 7919,
        request_bytes: 96,
        response_bytes: 412,
        request_body: 0,
        response_body: 207,
        auth: AuthScheme::None,
        identity: None,
        request_type: "".into(),
        response_type: "application/json".into(),
        trace: None,
        messages: Default::default(),
        app_status: None,
        failed: false,
        notes: Notes(0),
        bodies: None,
        graphql: None,
        clues: None,
        credential: None,
        objects: Default::default(),
        tls: None,
        detail: None,
    };
    let pairs = parties.iter().cycle().zip(parties.iter().cycle().skip(7));
    (0..CALLS).zip(pairs).map(call).collect()
}

#[expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
fn recorder(path: &Path) -> Recorder {
    let header = SessionHeader { program: "bench".into(), source: "live".into(), started: 0 };
    Recorder::create(path, &header, true).unwrap()
}

/// What the capture thread pays.
#[divan::bench(sample_count = 20, sample_size = 1)]
#[expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
fn record(bencher: divan::Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let calls = calls();
    bencher
        .counter(ItemsCount::new(CALLS))
        .with_inputs(|| recorder(&folder.path().join("s.apisec")))
        .bench_local_values(|mut recorder| {
            calls.iter().for_each(|call| recorder.record(call));
            recorder
        });
}

/// With packing, writing and waiting for the disk.
#[divan::bench(sample_count = 20, sample_size = 1)]
#[expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
fn record_to_the_end(bencher: divan::Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let calls = calls();
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        let mut recorder = recorder(&folder.path().join("s.apisec"));
        calls.iter().for_each(|call| recorder.record(call));
        recorder.finish(1).unwrap()
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
#[expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
fn replay(bencher: divan::Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.apisec");
    let mut recorder = recorder(&path);
    calls().iter().for_each(|call| recorder.record(call));
    recorder.tick(1, &SourceStats::default(), &[]);
    let summary = recorder.finish(1).unwrap();
    println!("{} bytes a call", summary.bytes as f64 / summary.calls as f64);
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        let mut source = open(&path).unwrap();
        let mut count = Count(0);
        while source.poll(&mut count).unwrap() != Progress::End {}
        count.0
    });
}
