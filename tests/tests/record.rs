//! Recording to disks that are full, read-only or slow, for real.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use apisec_abi::{Exec, Exit, Open};
use apisec_probe::flow::Flow;
use apisec_probe::record::{Recorder, SessionHeader};
use apisec_probe::source::{Progress, Sink, SourceStats, open};
use apisec_proto::call::{AuthScheme, Call, Notes, Party, Protocol, Vantage, Workload, WorkloadKind};
use apisec_proto::segment::Segment;
use apisec_tests::eventually;
use apisec_tests::skip::have_root;

const PATIENCE: Duration = Duration::from_secs(180);
/// Calls of one second of a test.
const CALLS: u64 = 200;

/// A file system in memory, unmounted on drop.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mount(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "apisec-test"])
            .arg(folder.path())
            .status();
        assert!(mount.unwrap().success(), "mount a tmpfs");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.folder.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.folder.path().display());
        }
    }
}

#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn segment(&mut self, _: &Segment<'_>, _: &Flow) {}

    fn opened(&mut self, _: &Open) {}

    fn started(&mut self, _: &Exec) {}

    fn ended(&mut self, _: &Exit) {}

    fn call(&mut self, _: &Call) {
        self.0 += 1;
    }
}

fn header() -> SessionHeader {
    SessionHeader { program: "test".into(), source: "live".into(), started: 1 }
}

/// A call whose path cannot be packed much.
fn call(number: u64) -> Call {
    let workload = Workload { pid: 1, ..Workload::named("process:a", "a", WorkloadKind::Process) };
    let party = Party { number: 0, workload: Arc::new(workload) };
    let addr: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let noise =
        (0..24).map(|word| (number * 24 + word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
    Call {
        at: number,
        src: party.clone(),
        dst: party,
        src_addr: addr,
        dst_addr: addr,
        vantage: Vantage::Server,
        protocol: Protocol::Http1,
        method: "GET".into(),
        operation: Default::default(),
        path: noise.map(|word| format!("/{word:x}")).collect::<String>().into(),
        query: [].into_iter().collect(),
        host: "".into(),
        status: Some(200),
        ttfb: None,
        duration: 1,
        request_bytes: 1,
        response_bytes: 1,
        request_body: 0,
        response_body: 0,
        auth: AuthScheme::None,
        identity: None,
        request_type: "".into(),
        response_type: "".into(),
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
    }
}

fn replayed(path: &Path) -> (u64, SourceStats, Vec<String>) {
    let mut source = open(path).unwrap();
    let mut count = Count::default();
    while source.poll(&mut count).unwrap() != Progress::End {}
    (count.0, source.stats(), source.degradations().into_iter().map(|each| each.code).collect())
}

/// Records a second, and waits until the disk has taken or refused it.
fn second(recorder: &mut Recorder, number: u64) {
    for call_number in number * CALLS..(number + 1) * CALLS {
        recorder.record(&call(call_number));
    }
    recorder.tick(number, &SourceStats::default(), &[]);
    let settled = || (recorder.written() + recorder.dropped() == (number + 1) * CALLS).then_some(());
    eventually("the disk to take or refuse a second", PATIENCE, settled).unwrap();
}

#[test]
fn a_full_disk_drops_counts_and_goes_on_when_there_is_room() {
    if !have_root("record::a_full_disk_drops_counts_and_goes_on_when_there_is_room") {
        return;
    }
    let disk = Disk::mount("size=512k");
    fs::write(disk.path("other"), vec![0; 256 << 10]).unwrap();
    let path = disk.path("full.apisec");
    let mut recorder = Recorder::create(&path, &header(), false).unwrap();
    let mut seconds = 0;
    while recorder.dropped() == 0 {
        assert!(seconds < 100, "the disk never filled");
        second(&mut recorder, seconds);
        seconds += 1;
    }
    assert!(seconds > 1, "nothing fitted");
    let degradation = recorder.degradations().remove(0);
    assert_eq!(degradation.code, "record-disk-full");
    assert!(degradation.what.contains(&format!("{CALLS} calls")), "{}", degradation.what);
    // What is there can be read while the disk is full.
    assert_eq!(replayed(&path).0, (seconds - 1) * CALLS);

    fs::remove_file(disk.path("other")).unwrap();
    second(&mut recorder, seconds);
    assert_eq!(recorder.dropped(), CALLS, "there is room again");
    let summary = recorder.finish(seconds + 1).unwrap();
    assert_eq!((summary.calls, summary.dropped), (seconds * CALLS, CALLS));
    assert_eq!(summary.bytes, fs::metadata(&path).unwrap().len());
    let (calls, stats, degradations) = replayed(&path);
    assert_eq!((calls, stats.losses["session_calls_dropped"]), (summary.calls, CALLS));
    assert_eq!(degradations, ["session-dropped"]);
}

#[test]
fn a_read_only_disk_is_refused_with_what_to_do() {
    if !have_root("record::a_read_only_disk_is_refused_with_what_to_do") {
        return;
    }
    let disk = Disk::mount("ro");
    let error = Recorder::create(&disk.path("s.apisec"), &header(), false).err().unwrap().to_string();
    assert!(error.contains("Read-only") && error.contains("folder that you may write to"), "{error}");
}
