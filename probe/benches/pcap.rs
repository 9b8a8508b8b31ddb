//! The cost of reading a capture alone: container, headers and connections, nothing decoded.

#[path = "../examples/generate_pcap/traffic.rs"]
mod traffic;

use apisec_abi::{Exec, Exit, Open};
use apisec_probe::flow::Flow;
use apisec_probe::source::{Progress, Sink, open};
use apisec_proto::call::Call;
use apisec_proto::segment::Segment;
use divan::counter::ItemsCount;
use std::io::Write;

const REQUESTS: u32 = 200_000;

fn main() {
    divan::main();
}

#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn segment(&mut self, segment: &Segment<'_>, _: &Flow) {
        self.0 += u64::from(divan::black_box(segment).len);
    }

    fn opened(&mut self, _: &Open) {}

    fn started(&mut self, _: &Exec) {}

    fn ended(&mut self, _: &Exit) {}

    fn call(&mut self, _: &Call) {}
}

#[divan::bench(sample_count = 20, sample_size = 1)]
#[expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]
fn read(bencher: divan::Bencher<'_, '_>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = Vec::new();
    let packets = traffic::write(&mut bytes, REQUESTS, 64).unwrap();
    file.write_all(&bytes).unwrap();
    bencher.counter(ItemsCount::new(packets)).bench_local(|| {
        let mut source = open(file.path()).unwrap();
        let mut count = Count::default();
        while source.poll(&mut count).unwrap() != Progress::End {}
        count.0
    });
}
