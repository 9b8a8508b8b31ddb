//! Sessions that are whole, cut, damaged and hostile.

use super::form::{self, Record};
use super::frame::{FILE_HEADER, FRAME_HEADER, FrameHead, MAX_RAW, Packer, Unpacker, file_header};
use super::golden::{call, full_call, workload};
use super::*;
use crate::flow::Flow;
use crate::record::{Recorder, SessionHeader};
use crate::source::open::recognise;
use apisec_abi::{Exec, Exit, Open};
use apisec_proto::call::{Call, WorkloadKind};
use apisec_proto::segment::Segment;
use proptest::prelude::*;
use std::net::IpAddr;

/// Keeps calls, and the time of the source when a poll was over.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) calls: Vec<Call>,
}

impl Sink for Kept {
    fn segment(&mut self, _: &Segment<'_>, _: &Flow) {
        unreachable!("a session holds no bytes")
    }

    fn opened(&mut self, _: &Open) {
        unreachable!("a session holds no sockets")
    }

    fn started(&mut self, _: &Exec) {
        unreachable!("a session holds no processes")
    }

    fn ended(&mut self, _: &Exit) {
        unreachable!("a session holds no processes")
    }

    fn call(&mut self, call: &Call) {
        self.calls.push(call.clone());
    }
}

pub(super) fn header() -> SessionHeader {
    SessionHeader {
        program: "apisec-top 0.1.0".into(),
        source: "live".into(),
        started: 1_700_000_000_000_000_000,
    }
}

/// Everything of a call but the numbers of its parties, which every run gives anew.
pub(super) fn plain(call: &Call) -> String {
    let mut call = call.clone();
    call.src.number = 0;
    call.dst.number = 0;
    format!("{call:?}")
}

/// Reads a session to its end.
pub(super) fn replay(bytes: &[u8], sink: &mut Kept) -> Box<dyn Source> {
    let mut source = recognise("test.apisec".into(), Intake::memory(bytes.to_vec())).unwrap();
    while source.poll(sink).unwrap() != Progress::End {}
    source
}

/// The frames of an undamaged session, unpacked.
pub(super) fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &bytes[FILE_HEADER..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let head = FrameHead::parse(rest).unwrap();
        let mut raw = Vec::new();
        assert!(head.verifies(rest) && Unpacker::new().unwrap().unpack(&head, rest, &mut raw));
        frames.push(raw);
        rest = &rest[head.length()..];
    }
    frames
}

/// Five seconds of two calls each; the bytes and where its frames begin.
fn five_seconds() -> (Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("five.apisec");
    let mut recorder = Recorder::create(&path, &header(), false).unwrap();
    let (a, b) = (workload(3, WorkloadKind::Process), workload(9, WorkloadKind::Unit));
    for second in 0..5_u64 {
        for at in [second * 10, second * 10 + 1] {
            recorder.record(&Call { at, ..call(&a, &b) });
        }
        recorder.tick(second, &SourceStats { chunks: second + 1, ..SourceStats::default() }, &[]);
    }
    assert_eq!(recorder.finish(5).unwrap().calls, 10);
    let bytes = std::fs::read(path).unwrap();
    let mut begins = vec![FILE_HEADER];
    while let Some(head) = FrameHead::parse(&bytes[begins[begins.len() - 1]..]) {
        begins.push(begins[begins.len() - 1] + head.length());
    }
    begins.pop();
    (bytes, begins)
}

fn times(kept: &Kept) -> Vec<u64> {
    kept.calls.iter().map(|call| call.at).collect()
}

fn codes(source: &dyn Source) -> Vec<String> {
    source.degradations().into_iter().map(|each| each.code).collect()
}

#[test]
fn a_whole_session_has_nothing_to_complain_of() {
    let mut kept = Kept::default();
    let mut source = replay(&five_seconds().0, &mut kept);
    assert_eq!(times(&kept), [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]);
    assert_eq!(codes(&*source), [""; 0]);
    let stats = source.stats();
    assert_eq!((stats.chunks, stats.losses.values().sum::<u64>()), (5, 0));
}

#[test]
fn every_second_is_seen_at_its_time() {
    let mut source = recognise("test".into(), Intake::memory(five_seconds().0)).unwrap();
    let mut kept = Kept::default();
    let mut chunks = Vec::new();
    while source.poll(&mut kept).unwrap() != Progress::End {
        chunks.push((source.stats().chunks, kept.calls.len()));
    }
    assert_eq!(chunks, [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10)]);
}

#[test]
fn a_cut_session_loses_its_last_frame_only() {
    let (bytes, begins) = five_seconds();
    for length in FILE_HEADER..bytes.len() {
        let mut kept = Kept::default();
        let source = replay(&bytes[..length], &mut kept);
        let whole = begins.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= length).count();
        // The first frame says what the session is, the last that it is over.
        assert_eq!(kept.calls.len(), whole.saturating_sub(1).min(5) * 2, "cut at {length}");
        assert_eq!(codes(&*source), ["session-cut"], "cut at {length}");
    }
}

#[test]
fn a_damaged_frame_is_skipped_counted_and_said() {
    let (bytes, begins) = five_seconds();
    for at in begins[2]..begins[3] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x41;
        let mut kept = Kept::default();
        let mut source = replay(&bytes, &mut kept);
        assert_eq!(times(&kept), [0, 1, 20, 21, 30, 31, 40, 41], "damaged at {at}");
        assert_eq!(codes(&*source), ["session-damaged"]);
        assert_eq!(source.stats().losses["session_frames_lost"], 1, "damaged at {at}");
    }
}

#[test]
fn a_hole_of_any_length_is_survived() {
    let (bytes, begins) = five_seconds();
    for length in [1, 7, 100, begins[4] - begins[2]] {
        let mut bytes = bytes.clone();
        bytes.drain(begins[2] + 3..begins[2] + 3 + length);
        let mut kept = Kept::default();
        let source = replay(&bytes, &mut kept);
        let seen = times(&kept);
        assert!(seen.starts_with(&[0, 1]) && seen.ends_with(&[40, 41]), "{length}: {seen:?}");
        assert!(codes(&*source).contains(&"session-damaged".into()));
    }
}

#[test]
fn a_newer_version_is_refused() {
    let mut bytes = five_seconds().0;
    bytes[8] = VERSION as u8 + 1;
    let error = recognise("new.apisec".into(), Intake::memory(bytes)).err().unwrap();
    assert!(
        error.what.contains(&format!("format {}", VERSION + 1)) && error.remedy.contains("update"),
        "{error}"
    );
    let error = recognise("cut.apisec".into(), Intake::memory(file_header()[..12].to_vec())).err().unwrap();
    assert!(error.what.contains("nothing was recorded"), "{error}");
}

/// A session of these frames.
fn session(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = file_header().to_vec();
    let mut packer = Packer::new().unwrap();
    let mut frame = Vec::new();
    for (raw, number) in frames.iter().zip(0..) {
        packer.frame(number, raw, &mut frame).unwrap();
        bytes.extend(&frame);
    }
    bytes
}

#[test]
fn calls_between_workloads_that_are_not_described_are_refused() {
    let (a, b) = (workload(1, WorkloadKind::Pod), workload(2, WorkloadKind::Pod));
    let mut raw = Vec::new();
    form::append(&form::workload(1, &a.workload), &mut raw);
    form::append(&form::call(&call(&a, &b)), &mut raw);
    form::append(&form::call(&call(&a, &a)), &mut raw);
    let mut second = Vec::new();
    form::append(&form::call(&call(&a, &a)), &mut second);
    let mut kept = Kept::default();
    let mut source = replay(&session(&[raw, second]), &mut kept);
    assert_eq!((kept.calls.len(), source.stats().losses["session_records_refused"]), (1, 2));
}

#[test]
fn workloads_are_bounded_and_numbered_anew() {
    let mut frames = vec![Vec::new(); 20];
    for number in 0..MAX_WORKLOADS as u32 + 10 {
        let party = workload(u32::MAX - number, WorkloadKind::Process);
        let raw = &mut frames[number as usize / 1000];
        form::append(&form::workload(party.number, &party.workload), raw);
        form::append(&form::call(&call(&party, &party)), raw);
    }
    let mut kept = Kept::default();
    let mut source = replay(&session(&frames), &mut kept);
    assert_eq!(kept.calls.len(), MAX_WORKLOADS);
    assert_eq!(source.stats().losses["session_records_refused"], 20);
    assert!(kept.calls.iter().zip(FIRST_PARTY..).all(|(call, number)| call.src.number == number));
}

#[test]
fn a_workload_may_be_described_better_later() {
    let first = workload(1, WorkloadKind::Process);
    let mut better = (*first.workload).clone();
    better.exe = "/usr/bin/curl".into();
    let better = Party { number: 1, workload: Arc::new(better) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut recorder = Recorder::create(&path, &header(), false).unwrap();
    recorder.record(&call(&first, &first));
    recorder.record(&call(&better, &better));
    recorder.finish(0).unwrap();
    let mut kept = Kept::default();
    replay(&std::fs::read(path).unwrap(), &mut kept);
    let seen: Vec<_> =
        kept.calls.iter().map(|call| (call.src.number, call.src.workload.exe.as_str())).collect();
    assert_eq!(seen, [(FIRST_PARTY, "/usr/sbin/nginx"), (FIRST_PARTY, "/usr/bin/curl")]);
}

#[test]
fn texts_are_bounded_whatever_the_file_says() {
    let party = workload(0, WorkloadKind::Process);
    let long = "ä".repeat(3000);
    let huge = Call {
        method: long.as_str().into(),
        path: long.as_str().into(),
        host: long.as_str().into(),
        operation: long.as_str().into(),
        ..full_call(&party, &party)
    };
    let mut raw = Vec::new();
    form::append(&form::workload(0, &party.workload), &mut raw);
    form::append(&form::call(&huge), &mut raw);
    let mut kept = Kept::default();
    replay(&session(&[raw]), &mut kept);
    let call = &kept.calls[0];
    assert_eq!((call.method.len(), call.path.len(), call.host.len()), (24, 512, 1024));
    assert_eq!(call.operation.len(), 128);
}

#[test]
fn a_file_of_false_frames_is_given_up() {
    let mut frame = Vec::new();
    Packer::new().unwrap().frame(0, b"x", &mut frame).unwrap();
    frame[4] ^= 1;
    let bytes = [file_header().to_vec(), frame.repeat(5000)].concat();
    let mut kept = Kept::default();
    let source = replay(&bytes, &mut kept);
    let damage = source.degradations().into_iter().find(|each| each.code == "session-damaged").unwrap();
    assert!(damage.what.contains("its end was not read"), "{}", damage.what);
}

fn text(max: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z/:.{}-]{0,20}",
        prop::collection::vec(any::<char>(), 0..max / 4).prop_map(String::from_iter)
    ]
}

prop_compose! {
    fn any_call()(
        base in (0..4_u32, 0..4_u32, any::<u64>(), any::<(IpAddr, u16)>(), any::<(IpAddr, u16)>()),
        texts in (text(24), text(512), text(200), text(200), text(200)),
        query in prop::collection::vec(text(60), 0..16),
        numbers in (any::<Option<u16>>(), any::<Option<u64>>(), any::<u64>(), any::<[u64; 4]>(), any::<Option<u64>>(), any::<Option<u64>>(), any::<u64>()),
        fields in prop::option::of(prop::collection::vec((text(64), text(256)), 0..5)),
    ) -> Call {
        let party = |number: u32| workload(number * 1_000_003, WorkloadKind::Container);
        let make = if base.2 % 2 == 0 { call } else { full_call };
        let mut made = make(&party(base.0), &party(base.1));
        (made.at, made.src_addr, made.dst_addr) = (base.2, base.3.into(), base.4.into());
        made.method = texts.0.into();
        made.path = texts.1.into();
        made.host = texts.2.into();
        made.request_type = texts.3.into();
        made.response_type = texts.4.into();
        made.query = query.into_iter().map(CompactString::from).collect();
        (made.status, made.ttfb, made.duration) = (numbers.0, numbers.1, numbers.2);
        [made.request_bytes, made.response_bytes, made.request_body, made.response_body] = numbers.3;
        made.identity = numbers.4.map(apisec_proto::call::IdentityHash);
        made.trace = numbers.5;
        made.notes.0 = numbers.6;
        made.detail = fields.map(|fields| {
            let shown = |(name, value): (String, String)| apisec_proto::call::ShownField { name: name.into(), value: value.into() };
            let fields: Vec<_> = fields.into_iter().map(shown).collect();
            Box::new(apisec_proto::call::Detail { request_fields: fields.clone(), response_fields: fields })
        });
        made
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn calls_come_back_as_they_were_in_order(seconds in prop::collection::vec(prop::collection::vec(any_call(), 0..12), 0..4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.apisec");
        let mut recorder = Recorder::create(&path, &header(), false).unwrap();
        for calls in &seconds {
            calls.iter().for_each(|call| recorder.record(call));
            recorder.tick(1, &SourceStats::default(), &[]);
        }
        let summary = recorder.finish(2).unwrap();
        let mut kept = Kept::default();
        let bytes = std::fs::read(path).unwrap();
        let source = replay(&bytes, &mut kept);
        let expected: Vec<_> = seconds.iter().flatten().map(plain).collect();
        prop_assert_eq!((summary.calls, summary.dropped, summary.bytes), (expected.len() as u64, 0, bytes.len() as u64));
        prop_assert_eq!(kept.calls.iter().map(plain).collect::<Vec<_>>(), expected);
        prop_assert_eq!(codes(&*source), [""; 0]);
    }

    #[test]
    fn arbitrary_bytes_behind_a_header_are_survived(noise in prop::collection::vec(any::<u8>(), 0..500)) {
        replay(&[&file_header()[..], &noise].concat(), &mut Kept::default());
    }

    #[test]
    fn arbitrary_records_are_survived(noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5)) {
        replay(&session(&noise), &mut Kept::default());
    }

    #[test]
    fn changed_records_are_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10)) {
        let mut frames = unpacked(&five_seconds().0);
        for (at, value) in changes {
            let frame = &mut frames[1];
            let at = at.index(frame.len());
            frame[at] = value;
        }
        replay(&session(&frames), &mut Kept::default());
    }
}

#[test]
fn lengths_that_lie_do_not_make_us_allocate() {
    let mut raw = vec![2];
    raw.extend([0xff; 40]);
    let frame = session(&[raw]);
    replay(&frame, &mut Kept::default());
    let mut head = [0xff; FRAME_HEADER];
    head[..4].copy_from_slice(&frame[FILE_HEADER..FILE_HEADER + 4]);
    assert!(FrameHead::parse(&head).is_none());
    head[12..16].copy_from_slice(&(MAX_RAW as u32 + 1).to_le_bytes());
    head[16..20].fill(0);
    assert!(FrameHead::parse(&head).is_none());
    assert!(matches!(form::take(&[4, 1, 2]), Some((Record::End { at: 1, dropped: 2 }, []))));
}
