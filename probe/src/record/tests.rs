//! What a recorder promises whatever the disk does. Full and read-only disks for real: `tests/tests/record.rs`.

use super::*;
use apisec_proto::call::{AuthScheme, Notes, Protocol, Vantage, WorkloadKind};
use crossbeam_channel::Receiver;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Mutex;

fn header() -> SessionHeader {
    SessionHeader { program: "test".into(), source: "live".into(), started: 1 }
}

fn call() -> Call {
    let text = |text: &str| text.into();
    let workload = Workload { pid: 1, ..Workload::named("process:a", "a", WorkloadKind::Process) };
    let party = Party { number: 0, workload: Arc::new(workload) };
    let addr = "127.0.0.1:1".parse().unwrap();
    Call {
        at: 1,
        src: party.clone(),
        dst: party,
        src_addr: addr,
        dst_addr: addr,
        vantage: Vantage::Server,
        protocol: Protocol::Http1,
        method: text("GET"),
        operation: Default::default(),
        path: text("/"),
        query: [].into_iter().collect(),
        host: text(""),
        status: Some(200),
        ttfb: None,
        duration: 1,
        request_bytes: 1,
        response_bytes: 1,
        request_body: 0,
        response_body: 0,
        auth: AuthScheme::None,
        identity: None,
        request_type: text(""),
        response_type: text(""),
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

/// Fails as it is told, once per frame; waits for a permit before each.
struct Rehearsed {
    permits: Receiver<Option<io::ErrorKind>>,
    frames: Lengths,
}

impl Output for Rehearsed {
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Ok(Some(kind)) = self.permits.recv() {
            return Err(kind.into());
        }
        self.frames.lock().unwrap().push(frame.len());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Permits = Sender<Option<io::ErrorKind>>;
type Lengths = Arc<Mutex<Vec<usize>>>;

fn rehearsed() -> (Recorder, Permits, Lengths) {
    let (permit, permits) = crossbeam_channel::unbounded();
    let frames = Arc::new(Mutex::new(Vec::new()));
    let output = Rehearsed { permits, frames: Arc::clone(&frames) };
    (Recorder::start(Path::new("s"), &header(), output).unwrap(), permit, frames)
}

fn tick(recorder: &mut Recorder) {
    recorder.tick(1, &SourceStats::default(), &[]);
}

fn codes(recorder: &Recorder) -> Vec<String> {
    recorder.degradations().into_iter().map(|each| each.code).collect()
}

#[test]
fn a_disk_that_hangs_never_blocks_the_capture() {
    let (mut recorder, permit, frames) = rehearsed();
    for _ in 0..100 {
        recorder.record(&call());
        tick(&mut recorder);
    }
    // The thread holds at most one frame while it waits, and the first frame holds no call.
    let dropped = recorder.dropped();
    assert!((100 - WAITING as u64 - 1..=100 - WAITING as u64 + 1).contains(&dropped), "{dropped}");
    assert_eq!(codes(&recorder), ["record-overload"]);
    drop(permit);
    let summary = recorder.finish(2).unwrap();
    assert_eq!((summary.calls, summary.dropped), (100 - dropped, dropped));
    assert!(!frames.lock().unwrap().is_empty());
}

#[test]
fn a_full_disk_is_counted_and_tried_again() {
    let (mut recorder, permit, frames) = rehearsed();
    let outcomes = [None, None, Some(io::ErrorKind::StorageFull), Some(io::ErrorKind::QuotaExceeded), None];
    for outcome in outcomes {
        permit.send(outcome).unwrap();
    }
    for _ in 0..4 {
        recorder.record(&call());
        tick(&mut recorder);
    }
    drop(permit);
    let tally = Arc::clone(&recorder.tally);
    let summary = recorder.finish(2).unwrap();
    assert_eq!((summary.calls, summary.dropped, tally.failure()), (2, 2, Some(writer::Failure::DiskFull)));
    assert_eq!(summary.bytes, 16 + frames.lock().unwrap().iter().sum::<usize>() as u64);
}

#[test]
fn another_failure_has_another_name() {
    let (mut recorder, permit, _) = rehearsed();
    permit.send(Some(io::ErrorKind::BrokenPipe)).unwrap();
    recorder.record(&call());
    drop(permit);
    recorder.join().unwrap();
    assert_eq!(codes(&recorder), ["record-failed"]);
}

#[test]
fn frames_are_closed_at_a_megabyte_and_buffers_come_back() {
    let (mut recorder, permit, frames) = rehearsed();
    drop(permit);
    for _ in 0..40_000 {
        recorder.record(&call());
    }
    let dropped = recorder.dropped();
    let summary = recorder.finish(2).unwrap();
    assert_eq!(summary.calls + dropped, 40_000);
    assert!(frames.lock().unwrap().len() >= 3);
}

#[test]
fn an_existing_file_is_kept_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.apisec");
    fs::write(&path, "precious").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Recorder::create(&path, &header(), false).err().unwrap();
    assert!(error.what.contains("not overwritten"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    Recorder::create(&path, &header(), true).unwrap().finish(2).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert!(fs::read(&path).unwrap().starts_with(b"\x89APISEC\n"));
}

#[test]
fn links_and_devices_are_not_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &link).unwrap();
    for force in [false, true] {
        assert!(Recorder::create(&link, &header(), force).is_err());
        assert!(Recorder::create(Path::new("/dev/null"), &header(), force).is_err());
    }
    assert_eq!(fs::read(target).unwrap(), b"precious");
}

#[test]
fn a_missing_folder_is_said() {
    let error = Recorder::create(Path::new("/nonexistent/s.apisec"), &header(), false).err().unwrap();
    assert!(error.to_string().contains("make the folder first"), "{error}");
}

#[test]
fn a_recorder_that_is_dropped_leaves_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.apisec");
    let mut recorder = Recorder::create(&path, &header(), false).unwrap();
    recorder.record(&call());
    drop(recorder);
    let source = crate::source::open(&path).unwrap();
    assert!(fs::metadata(path).unwrap().len() > 100, "{}", source.describe());
}
