//! What tcpdump really writes: curl against a real server, captured on several devices, then read.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use apisec_abi::{Exec, Exit, Open};
use apisec_probe::flow::Flow;
use apisec_probe::source::{Progress, Sink, SourceStats, open};
use apisec_proto::call::Call;
use apisec_proto::segment::{ConnId, Segment, Side};
use apisec_tests::skip::{find_program, have_programs, have_root};
use apisec_tests::{client, eventually, server, tool};

const PATIENCE: Duration = Duration::from_secs(180);

/// Puts the streams of every connection in order, as simply as possible: each byte at its number.
#[derive(Default)]
struct Streams {
    bytes: BTreeMap<(ConnId, bool), BTreeMap<u32, u8>>,
    begins: BTreeMap<(ConnId, bool), u32>,
    segments: usize,
    flows: Vec<Flow>,
}

impl Sink for Streams {
    fn segment(&mut self, segment: &Segment<'_>, flow: &Flow) {
        assert!(segment.syn_seen, "the capture began before the connection: {segment:?}");
        let stream = (segment.conn, segment.from == Side::Client);
        let begin = *self.begins.entry(stream).or_insert(segment.seq);
        let bytes = self.bytes.entry(stream).or_default();
        bytes.extend((segment.seq.wrapping_sub(begin)..).zip(segment.bytes.iter().copied()));
        self.segments += 1;
        self.flows.push(*flow);
    }

    fn opened(&mut self, _: &Open) {}

    fn started(&mut self, _: &Exec) {}

    fn ended(&mut self, _: &Exit) {}

    fn call(&mut self, _: &Call) {}
}

impl Streams {
    fn of(&self, client: bool) -> Vec<Vec<u8>> {
        let of_side = self.bytes.iter().filter(|(stream, _)| stream.1 == client);
        of_side.map(|(_, bytes)| bytes.values().copied().collect()).collect()
    }
}

fn read(path: &Path) -> Option<(Streams, SourceStats)> {
    let mut source = open(path).ok()?;
    let mut streams = Streams::default();
    while source.poll(&mut streams).unwrap() != Progress::End {}
    Some((streams, source.stats()))
}

/// Captures three requests of curl with these arguments of tcpdump, and checks every byte of them.
fn capture(device: &str, arguments: &[&str]) {
    let body = "0123456789abcdef".repeat(8_000);
    let python = server::python(&[("big.json", &body)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.pcap");
    let mut tcpdump = Command::new(find_program("tcpdump").unwrap());
    // The folder is ours alone, so tcpdump must stay root; its usual buffer holds only eight large packets.
    tcpdump.args(["-i", device, "--immediate-mode", "-U", "-Z", "root", "-B", "65536", "-w"]);
    tcpdump.arg(&path).args(arguments);
    tcpdump.args(["tcp", "port", &python.address().port().to_string()]);
    let mut tcpdump = tool::Running::start_command(tcpdump).unwrap();
    tcpdump.until_it_says("listening on", PATIENCE).unwrap();
    for _ in 0..3 {
        let answer = client::curl(&[&format!("{}/big.json", python.url())]).unwrap();
        assert_eq!(answer, body.as_bytes());
    }
    // The file is read while tcpdump writes it: it may end inside a packet at any time.
    let (streams, stats) = eventually("three answers in the capture", PATIENCE, || {
        let (streams, stats) = read(&path)?;
        let whole = |stream: &Vec<u8>| stream.len() > body.len() && stream.ends_with(body.as_bytes());
        (streams.of(false).iter().filter(|stream| whole(stream)).count() == 3).then_some((streams, stats))
    })
    .unwrap();
    assert!(tcpdump.interrupt(PATIENCE).unwrap().status.success());
    let requests = streams.of(true);
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.starts_with(b"GET /big.json HTTP/1.1\r\n")));
    assert!(streams.flows.iter().all(|flow| flow.server == python.address()), "{:?}", streams.flows);
    let lost: u64 = stats.losses.iter().filter(|(name, _)| *name != "file_cut").map(|(_, count)| count).sum();
    assert_eq!(lost, 0, "{:?}", stats.losses);
    println!("{device}: {} segments of {} connections", streams.segments, stats.counters["connections"]);
}

#[test]
fn tcpdump_on_loopback_is_read_byte_by_byte() {
    let name = "capture_file::tcpdump_on_loopback_is_read_byte_by_byte";
    if have_root(name) && have_programs(name, &["tcpdump", "curl", "python3"]) {
        capture("lo", &[]);
    }
}

/// Linux cooked in both versions, and nanoseconds.
#[test]
fn tcpdump_on_any_device_is_read_byte_by_byte() {
    let name = "capture_file::tcpdump_on_any_device_is_read_byte_by_byte";
    if have_root(name) && have_programs(name, &["tcpdump", "curl", "python3"]) {
        capture("any", &["--time-stamp-precision=nano"]);
        capture("any", &["-y", "LINUX_SLL"]);
    }
}
